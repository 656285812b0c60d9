"""In which order the changes of one router may be sent, and which of them together. Pure.

Rules, strongest first:
- An interface is made before anything inside it.
- Release before claim. An allowed IP belongs to one peer of an interface, a prefix's route to one interface, a port to one
  socket: whoever has it gives it up before another takes it. Peers that exchange allowed IPs are split into a release
  and a claim, because no order of whole sets survives on a device that refuses duplicates.
- Make before break for addresses and openings: the new one stands before the old one goes, so management never loses both.
- A stale staged key goes before the next one is staged. An interface that is not wanted any more goes after everything that
  replaces it, unless it holds what the new one needs.
- What is only stored is loaded when all of it is stored (Reapply). The private key is switched last.

Routes and peers are independent: a route without its peer drops packets, a peer without its route is silent, and no
vendor refuses either, so both ride in one batch. Whatever these rules leave free is in one batch: one round trip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from .changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Batch,
    Change,
    DropStagedKey,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetPeer,
    StageKey,
)
from .model import PARKING, Interface, IPNetwork, Peer
from .parking import parking_place

if TYPE_CHECKING:
    from .driver import Limits

Token: TypeAlias = "tuple[str, str, object]"  # noqa: S105 - a type, no password
"""Something that only one object may hold: its kind, the interface it is unique in (empty: the router), the thing."""


def batches(changes: Iterable[Change], limits: Limits) -> tuple[Batch, ...]:
    """The changes in the order they must land; those of one batch are independent of one another.

    Where one write replaces the whole file or takes effect at once (`limits.unit` is file or batch) nothing can be refused half
    way: one batch, nothing split.
    """
    if limits.unit == "item":
        return _levelled(_split(list(changes), limits))
    ordered = tuple(change for batch in _levelled(list(changes)) for change in batch)
    return (ordered,) if ordered else ()


# --------------------------------------------------------------------------------------------- what a change holds
def _allowed(interface: str, prefixes: Iterable[IPNetwork]) -> set[Token]:
    # A parking place is nobody else's: it is made from the peer's own key.
    return {("allowed", interface, prefix) for prefix in prefixes if not (prefix.version == 4 and prefix.subnet_of(PARKING))}


def _held(interface: Interface) -> set[Token]:
    return {
        *({("port", "", interface.listen_port)} if interface.listen_port else ()),
        *(("address", "", address.ip) for address in interface.addresses),
        *(("route", "", prefix) for prefix in interface.routes),
    }


def releases(change: Change) -> set[Token]:
    """What nobody holds once this change has landed, and somebody held before."""
    match change:
        case SetPeer():
            return _allowed(change.interface, change.old.allowed_ips - change.wanted.allowed_ips)
        case RemovePeer():
            return _allowed(change.interface, change.old.allowed_ips)
        case RemoveRoute():
            return {("route", "", change.old.prefix)}
        case RemoveAddress():
            return {("address", "", change.address.ip)}
        case RemoveInterface():
            return _held(change.old)
        case SetInterface() if change.old.listen_port != change.wanted.listen_port and change.old.listen_port:
            return {("port", "", change.old.listen_port)}
        case _:
            return set()


def claims(change: Change) -> set[Token]:
    """What this change takes for its object."""
    match change:
        case SetPeer():
            return _allowed(change.interface, change.wanted.allowed_ips - change.old.allowed_ips)
        case AddPeer():
            return _allowed(change.interface, change.wanted.allowed_ips)
        case AddRoute():
            return {("route", "", change.wanted.prefix)}
        case AddAddress():
            return {("address", "", change.address.ip)}
        case AddInterface():
            return {("port", "", change.wanted.listen_port)} if change.wanted.listen_port else set()
        case SetInterface() if change.old.listen_port != change.wanted.listen_port and change.wanted.listen_port:
            return {("port", "", change.wanted.listen_port)}
        case _:
            return set()


# ------------------------------------------------------------------------------------------------------- splitting
def _split(changes: list[Change], limits: Limits) -> list[Change]:
    """Split every SetPeer that gives up what another peer wants and takes what another peer has."""
    freed = {token for change in changes if isinstance(change, SetPeer | RemovePeer) for token in releases(change)}
    wanted = {token for change in changes if isinstance(change, SetPeer | AddPeer) for token in claims(change)}
    contested = freed & wanted
    if not contested:
        return changes
    parked = {prefix for change in changes if isinstance(change, SetPeer | AddPeer) for prefix in change.wanted.allowed_ips}
    result: list[Change] = []
    for change in changes:
        if isinstance(change, SetPeer) and releases(change) & contested and claims(change) & contested:
            between = _released(change, contested, limits, parked)
            result += [replace(change, wanted=between), replace(change, old=between)]
        else:
            result.append(change)
    return result


def _released(change: SetPeer, contested: set[Token], limits: Limits, parked: set[IPNetwork]) -> Peer:
    """The peer between release and claim: without what others wait for; parked where a vendor demands an allowed IP."""
    rest = frozenset(prefix for prefix in change.old.allowed_ips if ("allowed", change.interface, prefix) not in contested)
    if not rest and not limits.empty_allowed_ips:
        place = parking_place(change.old.public_key, parked)
        parked.add(place)
        rest = frozenset({place})
    return replace(change.old, allowed_ips=rest)


# -------------------------------------------------------------------------------------------------------- levels
def _levelled(changes: Sequence[Change]) -> tuple[Batch, ...]:
    """Group by the length of the longest chain of changes that must land before."""
    levels = _Levels(changes)
    grouped: dict[int, list[Change]] = {}
    for number, change in enumerate(changes):
        grouped.setdefault(levels.of(number), []).append(change)
    return tuple(tuple(grouped[level]) for level in sorted(grouped))


class _Levels:
    """How many batches must come before each change of one router."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._known: dict[int, int] = {}
        self._made = {change.interface: n for n, change in enumerate(changes) if isinstance(change, AddInterface)}
        self._releasing: dict[Token, list[int]] = {}
        self._claimed: set[Token] = set()
        self._adding: dict[tuple[str, str], list[int]] = {}
        self._dropping: dict[str, int] = {}
        for number, change in enumerate(changes):
            for token in releases(change):
                self._releasing.setdefault(token, []).append(number)
            self._claimed |= claims(change)
            if isinstance(change, AddAddress | AddOpening):
                self._adding.setdefault((change.interface, _family(change)), []).append(number)
            elif isinstance(change, DropStagedKey):
                self._dropping[change.interface] = number

    def of(self, number: int) -> int:
        """The level of one change; 0 can go at once."""
        if number not in self._known:
            self._known[number] = 0  # a cycle (two interfaces that swap ports) ends here instead of never
            self._known[number] = 1 + max((self.of(other) for other in self._before(number)), default=-1)
        return self._known[number]

    def _before(self, number: int) -> Iterable[int]:
        change = self._changes[number]
        everything = range(len(self._changes))
        if isinstance(change, ActivateKey):
            return [n for n in everything if not isinstance(self._changes[n], ActivateKey)]
        if isinstance(change, Reapply):
            return [n for n in everything if not isinstance(self._changes[n], ActivateKey | Reapply)]
        if isinstance(change, RemoveInterface):
            return [] if releases(change) & self._claimed else [n for n in everything if _builds(self._changes[n])]
        return self._before_ordinary(number, change)

    def _before_ordinary(self, number: int, change: Change) -> list[int]:
        before = [
            other
            for token in claims(change)
            for other in self._releasing.get(token, ())
            if other != number and not _same_address(change, self._changes[other])
        ]
        made = self._made.get(change.interface)
        if made is not None and made != number:
            before.append(made)
        if isinstance(change, RemoveAddress | RemoveOpening):
            before += self._adding.get((change.interface, _family(change)), ())
        if isinstance(change, StageKey) and change.interface in self._dropping:
            before.append(self._dropping[change.interface])
        return before


def _builds(change: Change) -> bool:
    return not isinstance(
        change, RemoveInterface | RemovePeer | RemoveRoute | RemoveAddress | RemoveOpening | Reapply | ActivateKey
    )


def _family(change: AddAddress | RemoveAddress | AddOpening | RemoveOpening) -> str:
    return "address" if isinstance(change, AddAddress | RemoveAddress) else "opening"


def _same_address(change: Change, other: Change) -> bool:
    """The same host with another prefix length on the same interface: there make-before-break wins over release-first."""
    return isinstance(change, AddAddress) and isinstance(other, RemoveAddress) and change.interface == other.interface
