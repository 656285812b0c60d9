"""Going back to what a run confirmed: its configurations as desired state, as far as keys and pins of today allow. Pure.

Keys, overlay addresses and what is left to others are today's: a private key cannot come back, a revoked one must not, and a
router is reached at the address it has. A router that is suspended stays out, one that joined after that run stays in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeAlias

from .errors import UsageError
from .model import (
    MANAGED,
    Configuration,
    DerivedKey,
    Fact,
    Facts,
    Fleet,
    Interface,
    IPAddress,
    KeyOf,
    Mark,
    Peer,
    PublicKey,
    Route,
)
from .overlay import Desired, Pair


@dataclass(frozen=True, slots=True)
class BackTo:
    """What run `run` confirmed: `kept` by router, as far as the command is about it; `known` are all routers it confirmed."""

    run: str
    kept: Mapping[str, Configuration]
    known: frozenset[str]


class Back:
    """The desired state of a command that goes back: what was kept for the routers of `back`, today's for all others.

    Raises UsageError where a router had another overlay address.
    """

    def __init__(
        self,
        today: Desired,
        back: BackTo,
        fleet: Fleet,
        facts: Facts,
        addresses: Mapping[str, tuple[IPAddress, ...]],
        tombstones: AbstractSet[PublicKey],
    ) -> None:
        self._today = today
        self._fleet = fleet
        self._facts = facts
        self._addresses = addresses
        self._tombstones = tombstones
        self._back = back
        self._out: set[str] = set()
        self._joined: set[str] = set()
        self._kept = {name: self._returned(name, kept) for name, kept in back.kept.items()}

    @property
    def not_enrolled(self) -> tuple[str, ...]:
        """Enabled routers whose key is unknown."""
        return self._today.not_enrolled

    @property
    def pinned_endpoints(self) -> frozenset[str]:
        """Routers whose endpoint must not roam."""
        return self._today.pinned_endpoints

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the operator: above all that the inventory says otherwise."""
        inventory = "where the inventory says otherwise, the next `fleet plan` shows that again as intent"
        said = [f"back to what run {self._back.run} confirmed; {inventory}"]
        if self._out:
            said.append(f"revoked or suspended since run {self._back.run}, not brought back: {', '.join(sorted(self._out))}")
        if self._joined:
            said.append(f"joined after run {self._back.run}, tunnels stay as they are: {', '.join(sorted(self._joined))}")
        return (*self._today.notes, *said)

    @property
    def pairs(self) -> Iterator[Pair]:
        """Every two routers that peer, as far as one of them goes back; of the others, today's."""
        seen: set[frozenset[str]] = set()
        for name, kept in self._kept.items():
            for peer in (peer for interface in kept.values() for peer in interface.peers.values()):
                if peer.mark is not None and peer.mark.name in self._facts:
                    pair = frozenset((name, peer.mark.name))
                    if pair not in seen:
                        yield Pair(name, peer.mark.name, frozenset(), frozenset())
                    seen.add(pair)
        yield from (pair for pair in self._today.pairs if not {pair.a, pair.b} & self._kept.keys())

    def configuration(self, name: str) -> Configuration:
        """The interfaces of one router. Raises PlanRefused if it is disabled."""
        today = self._today.configuration(name)  # refuses a disabled one
        return self._kept.get(name, today)

    # ------------------------------------------------------------------------------------------------ one router
    def _returned(self, name: str, kept: Configuration) -> Configuration:
        today = next(iter(self._today.configuration(name).values()))
        return {interface.name: self._interface(name, interface, today) for interface in kept.values()}

    def _interface(self, name: str, kept: Interface, today: Interface) -> Interface:
        self._same_address(name, (address.ip for address in kept.addresses), name)
        own = self._fact(name)
        peers = [back for peer in kept.peers.values() if (back := self._peer(name, peer, own)) is not None]
        out = {peer.mark.name for peer in kept.peers.values() if peer.mark} - {peer.mark.name for peer in peers if peer.mark}
        routes = {prefix: self._route(route) for prefix, route in kept.routes.items() if not _of(route.mark, out)}
        present = {peer.mark.name for peer in kept.peers.values() if peer.mark}
        later = [peer for peer in today.peers.values() if self._later(peer, present)]
        taken = frozenset[object]().union(*(peer.allowed_ips for peer in peers))
        peers += [replace(peer, allowed_ips=peer.allowed_ips - taken) for peer in later]
        joined = {peer.mark.name for peer in later if peer.mark}
        routes |= {prefix: route for prefix, route in today.routes.items() if prefix not in routes and _of(route.mark, joined)}
        self._out |= out
        self._joined |= joined
        return replace(
            kept,
            public_key=own.public_key or KeyOf(name),
            peers={peer.public_key: peer for peer in peers},
            routes=routes,
            mark=today.mark,
            unmanaged=kept.unmanaged | (MANAGED - self._fleet.routers[name].manage),
        )

    def _peer(self, name: str, kept: Peer, own: Fact) -> Peer | None:
        """A peer as it was, with the key that its router has today; None if it must not come back."""
        other = kept.mark.name if kept.mark else ""
        router, fact = self._fleet.routers.get(other), self._fact(other)
        key = fact.public_key if other in self._facts else kept.public_key
        if key is None or key in self._tombstones or (router is not None and not router.enabled):
            return None
        overlay = self._fleet.overlay.prefixes
        hosts = [
            prefix.network_address
            for prefix in kept.allowed_ips
            if prefix.num_addresses == 1
            and any(prefix.version == around.version and prefix.network_address in around for around in overlay)
        ]
        if router is not None and hosts:
            self._same_address(other, hosts, name)
        preshared = None if kept.preshared_key is None else DerivedKey(max(own.epoch, fact.epoch))
        mark = replace(kept.mark, epoch=fact.epoch) if kept.mark is not None and other in self._facts else kept.mark
        return replace(kept, public_key=key, preshared_key=preshared, mark=mark)

    def _route(self, route: Route) -> Route:
        if route.mark is None or route.mark.name not in self._facts:
            return route
        return replace(route, mark=replace(route.mark, epoch=self._fact(route.mark.name).epoch))

    def _later(self, peer: Peer, present: AbstractSet[str]) -> bool:
        """True for a router that the run did not know: to go back is no reason to cut it off."""
        return peer.mark is not None and peer.mark.name not in present | self._back.known

    def _fact(self, name: str) -> Fact:
        return self._facts.get(name, Fact())

    def _same_address(self, name: str, before: Iterable[IPAddress], asked: str) -> None:
        had, has = frozenset(before), frozenset(self._addresses.get(name, ()))
        if had <= has:
            return
        shown = ", ".join(str(ipaddress.ip_address(address)) for address in sorted(had - has, key=str))
        raise UsageError(
            f"{asked} cannot go back to run {self._back.run}: {name} had the overlay address {shown} then, "
            f"and has {', '.join(map(str, has)) or 'none'} now",
            f"write `address: {shown}` for {name} into the inventory and run `fleet sync` first, or leave {asked} out",
        )


DesiredState: TypeAlias = Desired | Back
"""What routers shall be: as the inventory says, or as a run left them."""


def _of(mark: Mark | None, names: AbstractSet[str]) -> bool:
    return mark is not None and mark.name in names
