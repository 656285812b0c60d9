"""Firewall rules: those that carry the tag of this guard go, those that were enabled are enabled.

Under a guard rules are only made (with the tag) and disabled, never moved or changed, so their order is restored, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .... import (
    AddAddress,
    AddInterface,
    AddOpening,
    ClampMss,
    Forward,
    ListenPort,
    Management,
    NoMasquerade,
    Opening,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RouterPlan,
    SetOpening,
)
from .. import rules
from ..rules import Owned
from ..script import equal, like, plain
from .lines import Lines

_TOUCHING: Final = (AddInterface, RemoveInterface, AddAddress, RemoveAddress, AddOpening, SetOpening, RemoveOpening)
"""Changes after which a later pass may write rules: which ones an opening needs depends on the interface's addresses, too."""

_MENUS: Final[Mapping[type[Opening], Mapping[int, str]]] = {
    ListenPort: rules.FILTER,
    Forward: rules.FILTER,
    Management: rules.FILTER,
    NoMasquerade: rules.NAT,
    ClampMss: rules.MANGLE,
}
"""Where the rules of an opening stand."""

_MATCHED: Final = ("chain", "action", "new-mss", *rules.MATCHERS)


def undo(lines: Lines, plan: RouterPlan) -> None:
    """Undo what this pass and any later one does to rules."""
    touching = {change.interface for change in plan.changes if isinstance(change, _TOUCHING)}
    for menu in rules.MENUS:
        if menu in lines.native.menus:
            held = [rule for (interface, _), owned in lines.native.owned.items() if interface in touching for rule in owned]
            _enable(lines, menu, [rule for rule in held if rule.menu == menu])
    wanted = [opening for name in touching & set(plan.desired) for opening in plan.desired[name].openings.values()]
    menus = {menu for opening in wanted for menu in _MENUS[type(opening)].values()}
    for menu in rules.MENUS:
        if menu in menus & lines.native.menus:
            lines.withdraw(menu, like("comment", f" {plain(lines.tag)}( |$)"), lines.ours)


def _enable(lines: Lines, menu: str, owned: Sequence[Owned]) -> None:
    """By their comment, which is the same for all rules of one opening; rule by rule if some of them were disabled before."""
    by_comment: dict[str, list[Owned]] = {}
    for rule in owned:
        by_comment.setdefault(rule.row.get("comment", ""), []).append(rule)
    for comment, alike in by_comment.items():
        if not any(rule.disabled for rule in alike):
            lines.enable(menu, equal("comment", comment))
            continue
        for rule in alike:
            if not rule.disabled:
                says = [equal(name, rule.row[name]) for name in _MATCHED if rule.row.get(name)]
                lines.enable(menu, equal("comment", comment), *says)
