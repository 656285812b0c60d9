"""Routes: created ones go, disabled ones are enabled, marks are set back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from .... import AddRoute, Change, RemoveInterface, RemoveRoute, SetRoute
from ....model import IPNetwork
from ..read import ROUTES
from ..script import FEW, equal, one_of
from ..values import Row, is_yes, mark_of, marked, yes
from .lines import Lines

Held: TypeAlias = "tuple[str, str]"
"""A route through a known interface: destination and comment as the router shows them."""

_Routes: TypeAlias = "dict[tuple[str, str], list[Held]]"
"""By menu and interface."""

_GONE: Final = (RemoveRoute, RemoveInterface)


def undo(lines: Lines, changes: Sequence[Change]) -> None:
    """Undo what the plan does to routes through interfaces that were there before."""
    created: _Routes = {}
    gone: _Routes = {}
    for change in changes:
        if isinstance(change, AddRoute):
            _added(lines, change, created)
        elif isinstance(change, SetRoute):
            _set_back(lines, change)
        elif isinstance(change, _GONE):
            prefix = change.old.prefix if isinstance(change, RemoveRoute) else None
            for menu, row in _ours(lines, change.interface, prefix):
                if not is_yes(row, "disabled"):
                    gone.setdefault((menu, change.interface), []).append((row["dst-address"], row.get("comment", "")))
    for (menu, interface), held in created.items():
        for conditions in _select(lines, menu, interface, held):
            lines.remove(menu, *conditions)
    for (menu, interface), held in gone.items():
        for conditions in _select(lines, menu, interface, held):
            lines.enable(menu, *conditions)


def _through(lines: Lines, interface: str, prefix: IPNetwork | None = None) -> list[tuple[str, Row]]:
    rows = lines.native.routes.get(interface, ())
    return [(ROUTES[each.version], row) for each, row in rows if prefix in (None, each)]


def _ours(lines: Lines, interface: str, prefix: IPNetwork | None = None) -> list[tuple[str, Row]]:
    overlay = lines.mark.overlay
    return [
        (menu, row) for menu, row in _through(lines, interface, prefix) if (mark := mark_of(row)) and mark.overlay == overlay
    ]


def _exact(row: Row, interface: str, comment: str) -> tuple[str, str, str]:
    return equal("dst-address", row["dst-address"]), equal("gateway", interface), equal("comment", comment)


def _added(lines: Lines, change: AddRoute, created: _Routes) -> None:
    prefix, mark = change.wanted.prefix, change.wanted.mark
    there = _ours(lines, change.interface, prefix)
    for menu, row in there[:1]:  # a disabled one that the plan enables
        old = row.get("comment", "")
        back = (("disabled", yes(is_yes(row, "disabled"))), ("comment", old))
        lines.set(menu, back, *_exact(row, change.interface, marked(old, mark)))
    if not there:
        created.setdefault((ROUTES[prefix.version], change.interface), []).append((str(prefix), str(mark or "")))


def _set_back(lines: Lines, change: SetRoute) -> None:
    for menu, row in _through(lines, change.interface, change.wanted.prefix):
        if mark_of(row) == change.old.mark:
            old = row.get("comment", "")
            lines.set(menu, (("comment", old),), *_exact(row, change.interface, marked(old, change.wanted.mark)))
            return


def _select(lines: Lines, menu: str, interface: str, held: Sequence[Held]) -> list[tuple[str, ...]]:
    """Conditions that together select exactly these routes: few one by one, many by comments that are theirs alone."""
    through = equal("gateway", interface)
    others = {
        row.get("comment", "")
        for at, row in _through(lines, interface)
        if at == menu and (row["dst-address"], row.get("comment", "")) not in held
    }
    grouped = (
        list(dict.fromkeys(comment for _, comment in held if comment and comment not in others)) if len(held) > FEW else []
    )
    single = [each for each in held if each[1] not in grouped]
    conditions: list[tuple[str, ...]] = [(through, condition) for condition in one_of("comment", grouped)]
    return conditions + [
        (equal("dst-address", prefix), through, *([equal("comment", comment)] if comment else [])) for prefix, comment in single
    ]
