"""What a guarded change only disabled and a lost cleanup did not delete, and what is there twice: objects of ours.

A disabled peer is reported as one, and its removal is a change. The rest of what is disabled counts as absent (`meaning`):
wanted, it is enabled by a change; not wanted, nobody else would ever delete it. Something is there twice when a connection was
lost and the router carried the write out after it had been read again: of rules and routes RouterOS takes two alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ... import Interface, Words
from ...model import IPNetwork
from .commands import removals
from .read import ADDRESSES, PEERS, ROUTES
from .resolve import MENU as SCHEDULER
from .rules import Owned, alike
from .values import Row, is_yes, mark_of

if TYPE_CHECKING:
    from .meaning import Native

_MANAGED_BY: Final[Mapping[str, str]] = {
    "listen-port": "listen_port",
    "forward": "forwarding",
    "no-masquerade": "masquerade",
    "clamp-mss": "mss",
    "management": "management",
}
"""Which key of `manage:` an identity of a rule belongs to."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A row to delete. `aspect` is the key of `manage:` it belongs to, if any; `key` that of a peer; `why` it is left over."""

    menu: str
    row: Row
    interface: str
    aspect: str
    what: str
    key: str = ""
    why: str = "is disabled and still there"

    @property
    def says(self) -> str:
        """A sentence for the operator."""
        return f"{self.what} on {self.interface} {self.why}"


def found(native: Native, overlay: str) -> list[Leftover]:
    """Every disabled or double object of this overlay's on interfaces of this overlay's."""
    held: list[Leftover] = []
    for (interface, key), row in native.peers.items():
        held += _if_left(row, overlay, Leftover(PEERS, row, interface, "", f"peer {mark_of(row) or ''}", key))
    for interface, addresses in native.addresses.items():
        for address, row in addresses:
            held += _if_left(row, overlay, Leftover(ADDRESSES[address.version], row, interface, "", f"address {address}"))
    for interface, routes in native.routes.items():
        for prefix, row in routes:
            held += _if_left(row, overlay, Leftover(ROUTES[prefix.version], row, interface, "routes", f"route {prefix}"))
        held += _double_routes(interface, [(prefix, row) for prefix, row in routes if _is_ours(row, overlay)])
    for (interface, identity), owned in native.owned.items():
        aspect = _MANAGED_BY.get(identity.partition("/")[0], "")
        for rule in owned:
            held += _if_left(rule.row, overlay, Leftover(rule.menu, rule.row, interface, aspect, f"rule {identity}"))
        held += [
            Leftover(rule.menu, rule.row, interface, aspect, f"rule {identity}", why="is there twice")
            for rule in _doubles(owned)
        ]
    for interface, row in native.schedulers.items():
        held += _if_left(row, overlay, Leftover(SCHEDULER, row, interface, "resolve", f"entry {row.get('name', '')}"))
    return [each for each in held if _is_ours(native.interfaces.get(each.interface, {}), overlay)]


def _double_routes(interface: str, routes: Sequence[tuple[IPNetwork, Row]]) -> list[Leftover]:
    working = [(prefix, row) for prefix, row in routes if not is_yes(row, "disabled")]
    seen: set[IPNetwork] = set()
    doubles = []
    for prefix, row in working:
        if prefix in seen:
            doubles.append(Leftover(ROUTES[prefix.version], row, interface, "routes", f"route {prefix}", why="is there twice"))
        seen.add(prefix)
    return doubles


def _doubles(owned: Sequence[Owned]) -> list[Owned]:
    """Rules that say what another one says already; of two the one that works is kept."""
    kept: list[Owned] = []
    doubles: list[Owned] = []
    for rule in sorted(owned, key=lambda each: not each.holds):
        if not rule.disabled:
            (doubles if any(alike(rule, other) for other in kept) else kept).append(rule)
    return doubles


def _if_left(row: Row, overlay: str, leftover: Leftover) -> list[Leftover]:
    return [leftover] if _is_ours(row, overlay) and is_yes(row, "disabled") else []


def _is_ours(row: Row, overlay: str) -> bool:
    mark = mark_of(row)
    return mark is not None and mark.overlay == overlay


def deletions(left: list[Leftover], desired: Mapping[str, Interface], spared: frozenset[tuple[str, str]]) -> list[Words]:
    """One command per menu for what is left on interfaces of ours. `spared` are (menu, id) that the plan itself writes."""
    by_menu: dict[str, list[Row]] = {}
    for each in left:
        wanted = desired.get(each.interface)
        if wanted is None or each.aspect in wanted.unmanaged or each.key in wanted.peers:
            continue
        if (each.menu, each.row[".id"]) not in spared:
            by_menu.setdefault(each.menu, []).append(each.row)
    return [request for menu, rows in by_menu.items() for request in removals(menu, rows)]
