"""Removals under a guard: what goes is only disabled, so that the undo can enable it; the cleanup after confirm deletes it.

A peer also gives its allowed IPs up: no other peer of the interface may have them while it does, disabled or not (sheet 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ... import Mark, RemovePeer, RouterPlan, Words
from ...model import IPNetwork, PublicKey
from ...parking import parking_place
from .commands import set_row
from .meaning import Native
from .read import ADDRESSES, INTERFACES, PEERS, ROUTES
from .resolve import MENU as SCHEDULER
from .rules import Owned
from .values import Row, is_yes, mark_of, marked


def disablings(menu: str, rows: Iterable[Row | None]) -> list[Words]:
    """One command for all rows that are not disabled yet; none for rows that are not there."""
    ids = [row[".id"] for row in rows if row is not None and not is_yes(row, "disabled")]
    return [Words(f"{menu}/set", ((".id", ",".join(ids)), ("disabled", "yes")))] if ids else []


def rule_disablings(owned: Sequence[Owned]) -> list[Words]:
    """One command per menu for all of these rules."""
    menus = dict.fromkeys(rule.menu for rule in owned)
    return [request for menu in menus for request in disablings(menu, [rule.row for rule in owned if rule.menu == menu])]


class Parting:
    """Disables what goes, for one plan against one read. Pure."""

    def __init__(self, plan: RouterPlan, native: Native, mark: Mark) -> None:
        self._native = native
        self._mark = mark
        self._places = self._parking_places(plan)

    def peer(self, change: RemovePeer) -> list[Words]:
        """Disabled, and its allowed IPs released."""
        row = self._native.peers.get((change.interface, change.old.public_key))
        if row is None:
            return []
        place = self._places[change.interface, change.old.public_key]
        return [set_row(PEERS, row, ("disabled", "yes"), ("allowed-address", str(place)))]

    def addresses(self, version: int, rows: Sequence[Row]) -> list[Words]:
        """Disabled, and marked if they were not: a lost cleanup must find them."""
        menu = ADDRESSES[version]
        unmarked = [row for row in rows if mark_of(row) is None and not is_yes(row, "disabled")]
        said = [
            set_row(menu, row, ("disabled", "yes"), ("comment", marked(row.get("comment", ""), self._mark))) for row in unmarked
        ]
        return said + disablings(menu, [row for row in rows if row not in unmarked])

    def inside(self, interface: str, routes: Sequence[tuple[int, Row]]) -> list[Words]:
        """Everything on an interface that goes, peers apart: they are down with it."""
        requests: list[Words] = []
        for address, row in self._native.addresses.get(interface, ()):
            requests += self.addresses(address.version, [row])
        for version, row in routes:
            requests += disablings(ROUTES[version], [row])
        requests += disablings(SCHEDULER, [self._native.schedulers.get(interface)])
        rules = [rule for (owner, _), owned in self._native.owned.items() if owner == interface for rule in owned]
        return requests + rule_disablings(rules)

    def interface(self, name: str) -> list[Words]:
        """Disabled: its port is free then."""
        return disablings(INTERFACES, [self._native.interfaces.get(name)])

    def _parking_places(self, plan: RouterPlan) -> dict[tuple[str, PublicKey], IPNetwork]:
        going = [change for change in plan.changes if isinstance(change, RemovePeer)]
        taken: dict[str, set[IPNetwork]] = {}
        for interface in {change.interface for change in going}:
            wanted = plan.desired[interface].peers.values() if interface in plan.desired else ()
            taken[interface] = {prefix for peer in wanted for prefix in peer.allowed_ips} | self._native.allowed(interface)
        places = {}
        for change in going:
            place = parking_place(change.old.public_key, taken[change.interface])
            taken[change.interface].add(place)
            places[change.interface, change.old.public_key] = place
        return places
