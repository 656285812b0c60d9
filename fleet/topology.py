"""Who peers with whom and which prefixes each peer carries. Pure; addresses, keys and vendors are not decided here.

Two shapes. A `Star` is hub-and-spoke: spokes know hubs, hubs know everyone. A `Mesh` ties every pair, or exactly the pairs
of `links:` where the overlay has any; a pair in which nobody can be dialled goes through a hub.

No two peers of one router carry the same prefix. A prefix may lie inside another one's (a hub carries the whole overlay,
a second hub its own address): WireGuard takes the longest match, in both directions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, Protocol, TypeAlias

from .errors import PlanRefused
from .model import Fact, Facts, Fleet, IPAddress, IPNetwork, Mark, PublicKey, Router


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One enabled router with what is known about it.

    `hosts` are its overlay addresses as /32 and /128, `reach` those and its LANs; `named`: its endpoint is a DNS name.
    """

    name: str
    router: Router
    key: PublicKey | None
    staged_key: PublicKey | None
    epoch: int
    mark: Mark
    addresses: tuple[IPAddress, ...]
    hosts: frozenset[IPNetwork]
    lans: frozenset[IPNetwork]
    reach: frozenset[IPNetwork]
    named: bool

    @property
    def dialable(self) -> bool:
        """True if other routers can dial it."""
        return self.router.endpoint is not None


Carried: TypeAlias = "list[tuple[Site, frozenset[IPNetwork]]]"
"""Peers of one router with their allowed IPs; no prefix twice."""


class Relayed(NamedTuple):
    """Two routers that meet at a hub because neither can be dialled."""

    a: str
    b: str
    hub: str


class Topology(Protocol):
    """What an overlay's shape answers about its enabled routers."""

    sites: Mapping[str, Site]
    notes: tuple[str, ...]

    def carried(self, site: Site) -> Carried:
        """Every peer of `site`, enrolled or not, with the prefixes that `site` sends to it."""

    def joins_lans(self, one: Site, other: Site) -> bool:
        """True if the LANs of two routers that peer talk through that very tunnel."""

    def relayed(self) -> Iterator[Relayed]:
        """Every pair that meets at a hub because neither can be dialled."""


def known_fact(fleet: Fleet, facts: Facts, name: str) -> Fact:
    """What is pinned about a router, under its name or under the one it had before (`formerly:`)."""
    fact = facts.get(name, Fact())
    former = fleet.routers[name].formerly
    if fact == Fact() and former is not None and former not in fleet.routers:
        return facts.get(former, fact)
    return fact


def topology_of(fleet: Fleet, facts: Facts, addresses: Mapping[str, tuple[IPAddress, ...]]) -> Topology:
    """The overlay's shape over its enabled routers.

    Raises PlanRefused: two routers with one key, a spoke without an enabled hub, pairs that cannot be tunnelled.
    """
    sites = {router.name: _site(fleet, facts, router, addresses.get(router.name, ())) for router in fleet.enabled}
    _refuse_shared_keys(sites.values())
    partial = fleet.overlay.links is not None
    return Mesh(fleet, sites) if partial or fleet.overlay.topology == "full-mesh" else Star(fleet, sites)


def _site(fleet: Fleet, facts: Facts, router: Router, addresses: tuple[IPAddress, ...]) -> Site:
    fact = known_fact(fleet, facts, router.name)
    hosts: frozenset[IPNetwork] = frozenset(ipaddress.ip_network(address) for address in addresses)
    lans = frozenset(router.lans)
    return Site(
        name=router.name,
        router=router,
        key=router.public_key or fact.public_key,
        staged_key=fact.staged_key,
        epoch=fact.epoch,
        mark=Mark(fleet.overlay.name, router.name, fact.epoch),
        addresses=addresses,
        hosts=hosts,
        lans=lans,
        reach=hosts | lans,
        named=router.endpoint is not None and router.endpoint.ip is None,
    )


def _refuse_shared_keys(sites: Iterable[Site]) -> None:
    owners: dict[PublicKey, str] = {}
    for site in sites:
        if site.key is not None and owners.setdefault(site.key, site.name) != site.name:
            raise PlanRefused(
                f"{owners[site.key]} and {site.name} have the same public key {site.key[:8]}...: one was cloned from the other",
                f"delete the WireGuard interface of the clone, accept its new key with `fleet trust {site.name}`, sync again",
            )


def _refuse_undialable(pairs: list[tuple[Site, Site]], cure: str) -> None:
    if pairs:
        named = ", ".join(f"{one.name} and {other.name}" for one, other in pairs[:3])
        more = f" (and {len(pairs) - 3} more pairs)" if len(pairs) > 3 else ""
        raise PlanRefused(f"{named}{more} cannot be tunnelled: neither side has an endpoint that the other could dial", cure)


def _names(sites: Iterable[Site]) -> str:
    return ", ".join(site.name for site in sites)


# ----------------------------------------------------------------------------------------------- hub and spoke
class Star:
    """Hub-and-spoke with one or several hubs."""

    notes: tuple[str, ...] = ()

    def __init__(self, fleet: Fleet, sites: Mapping[str, Site]) -> None:
        self.sites = sites
        self._hubs = [sites[hub.name] for hub in fleet.hubs]
        self._supernets = frozenset(fleet.overlay.lan_supernets)
        self._hubs_of = {name: self._chosen(site) for name, site in sites.items() if site.router.role != "hub"}
        self._users: dict[str, list[Site]] = {hub.name: [] for hub in self._hubs}
        homed: dict[str, set[IPNetwork]] = {hub.name: set(hub.reach) for hub in self._hubs}
        for name, hubs in self._hubs_of.items():
            for hub in hubs:
                self._users[hub.name].append(sites[name])
            homed[hubs[0].name] |= sites[name].lans
        self._behind = {name: frozenset(prefixes) for name, prefixes in homed.items()}
        self._trunk = frozenset(fleet.overlay.prefixes) | self._supernets | self._uncovered()
        _refuse_undialable(
            self._undialable(),
            f"give {_names(self._hubs)} an `endpoint:` with a public address or a forwarded port",
        )

    def _chosen(self, site: Site) -> list[Site]:
        """The hubs of a spoke, its home first: `hubs:` as far as they are enabled, without it every hub in order."""
        wanted = site.router.hubs
        chosen = [hub for name in wanted for hub in self._hubs if hub.name == name] if wanted else self._hubs
        if not chosen:
            said = (
                f"none of its hubs ({', '.join(wanted)}) is enabled" if wanted else "no router of the fleet is an enabled hub"
            )
            raise PlanRefused(
                f"{site.name}: {said}, so it has nobody to peer with", "enable a hub, or name another one in `hubs:`"
            )
        return chosen

    def _uncovered(self) -> frozenset[IPNetwork]:
        """LANs that no supernet covers: spokes must be told each of them."""
        by_family = {version: [net for net in self._supernets if net.version == version] for version in (4, 6)}
        return frozenset(
            lan
            for site in self.sites.values()
            for lan in site.lans
            if not any(lan.subnet_of(net) for net in by_family[lan.version])  # type: ignore[arg-type]  # versions are equal
        )

    def _undialable(self) -> list[tuple[Site, Site]]:
        dead = [pair for pair in combinations(self._hubs, 2) if not (pair[0].dialable or pair[1].dialable)]
        mute = [hub for hub in self._hubs if not hub.dialable]
        return dead + [(spoke, hub) for hub in mute for spoke in self._users[hub.name] if not spoke.dialable]

    def carried(self, site: Site) -> Carried:
        """Every peer of `site` with the prefixes that `site` sends to it."""
        return self._of_hub(site) if site.router.role == "hub" else self._of_spoke(site)

    def _of_hub(self, hub: Site) -> Carried:
        others = [(other, self._behind[other.name]) for other in self._hubs if other is not hub]
        # A spoke that is at home elsewhere is reached here by its own address only: management, rotation, failover.
        return others + [
            (spoke, spoke.reach if self._hubs_of[spoke.name][0] is hub else spoke.hosts) for spoke in self._users[hub.name]
        ]

    def _of_spoke(self, spoke: Site) -> Carried:
        home, *others = self._hubs_of[spoke.name]
        return [(home, self._trunk_of(spoke)), *((hub, hub.hosts) for hub in others)]

    def _trunk_of(self, spoke: Site) -> frozenset[IPNetwork]:
        """What a spoke sends to its home hub; one set for all spokes whose LANs a supernet covers."""
        swallowed = {
            net
            for net in self._supernets
            for lan in spoke.lans
            if net.version == lan.version and net.subnet_of(lan)  # type: ignore[arg-type]  # versions are equal
        }
        without = spoke.lans | swallowed
        return self._trunk if self._trunk.isdisjoint(without) else self._trunk - without

    def joins_lans(self, one: Site, other: Site) -> bool:
        """True between hubs, and between a spoke and its home."""
        for near, far in ((one, other), (other, one)):
            if near.router.role != "hub":
                return self._hubs_of[near.name][0] is far
        return True

    def relayed(self) -> Iterator[Relayed]:
        """Nothing: in a star every spoke reaches every other through its hub by design."""
        return iter(())


# --------------------------------------------------------------------------------------------------------- mesh
class Mesh:
    """Every pair, or exactly those of `links:`; pairs in which nobody can be dialled meet at a hub they have in common."""

    def __init__(self, fleet: Fleet, sites: Mapping[str, Site]) -> None:
        self.sites = sites
        self._relays = [sites[hub.name] for hub in fleet.hubs if sites[hub.name].dialable]
        self._dialable = [site for site in sites.values() if site.dialable]
        self._mute: dict[tuple[str, ...], list[Site]] = {}
        for site in sites.values():
            if not site.dialable:
                self._mute.setdefault(self._hubs_of(site), []).append(site)
        self._tied = _tied(fleet, sites) if fleet.overlay.links is not None else None
        self._guests: dict[str, list[Site]] = {}
        _refuse_undialable(
            [(one, other) for one, other, _ in self._met()] if not self._relays else [],
            "give one side of each pair an `endpoint:`, or give a router that has one `role: hub` to relay them",
        )
        if self._tied is not None:
            self._note_guests()
        self.notes: tuple[str, ...] = tuple(
            f"{hub}: also relays for {_names(guests)}, with which `links:` does not tie it"
            for hub, guests in self._guests.items()
        )

    def _hubs_of(self, site: Site) -> tuple[str, ...]:
        """Hubs that a router prefers as its relay, its home first."""
        known = [hub.name for hub in self._relays]
        return tuple(name for name in site.router.hubs if name in known) if site.router.hubs else tuple(known)

    def _relay(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Site | None:
        """The hub where two routers meet. Both must name the same one, or the return path would be dropped."""
        if ours and theirs and ours[0] == theirs[0]:
            return self.sites[ours[0]]
        in_common = (hub for hub in self._relays if hub.name in ours and hub.name in theirs)
        return next(in_common, self._relays[0] if self._relays else None)

    def _met(self) -> Iterator[tuple[Site, Site, Site | None]]:
        """Every pair in which neither can be dialled, with its hub or None."""
        if self._tied is not None:
            for site in self.sites.values():
                for other in self._tied[site.name].values():
                    if not site.dialable and not other.dialable and site.name < other.name:
                        yield site, other, self._relay(self._hubs_of(site), self._hubs_of(other))
            return
        groups = list(self._mute.items())
        for number, (hubs, members) in enumerate(groups):
            hub = self._relay(hubs, hubs)
            yield from ((one, other, hub) for one, other in combinations(members, 2))
            for others_hubs, others in groups[number + 1 :]:
                hub = self._relay(hubs, others_hubs)
                yield from ((one, other, hub) for one in members for other in others)

    def relayed(self) -> Iterator[Relayed]:
        """Every pair that meets at a hub because neither can be dialled."""
        return (Relayed(one.name, other.name, hub.name) for one, other, hub in self._met() if hub is not None)

    def _note_guests(self) -> None:
        """With `links:`, a router may need a hub that no link ties it to: such a tie carries what is relayed, no hub LAN."""
        assert self._tied is not None
        for one, other, hub in self._met():
            assert hub is not None
            for site in (one, other):
                guests = self._guests.setdefault(hub.name, [])
                if hub.name not in self._tied[site.name] and site not in guests:
                    guests.append(site)
        self._guests = {hub: guests for hub, guests in self._guests.items() if guests}

    def _beyond(self, site: Site) -> dict[str, frozenset[IPNetwork]]:
        """By hub: what a router that nobody can dial reaches through it."""
        if site.dialable:
            return {}
        found: dict[str, set[IPNetwork]] = {}
        ours = self._hubs_of(site)
        tied = self._tied[site.name] if self._tied is not None else None
        for theirs, members in self._mute.items():
            hub = self._relay(ours, theirs)
            if hub is not None:
                met = (member for member in members if member is not site and (tied is None or member.name in tied))
                found.setdefault(hub.name, set()).update(*(member.reach for member in met))
        return {name: frozenset(prefixes) for name, prefixes in found.items() if prefixes}

    def carried(self, site: Site) -> Carried:
        """Every peer of `site` with the prefixes that `site` sends to it."""
        beyond = self._beyond(site)
        pool: Iterable[Site] = self.sites.values() if site.dialable else self._dialable
        if self._tied is not None:
            pool = (other for other in self._tied[site.name].values() if site.dialable or other.dialable)
        if not beyond:
            carried = [(other, other.reach) for other in pool if other is not site]
        else:
            carried = [
                (other, other.reach | beyond.pop(other.name) if other.name in beyond else other.reach)
                for other in pool
                if other is not site
            ]
        carried += [(self.sites[name], self.sites[name].hosts | prefixes) for name, prefixes in beyond.items()]
        return carried + [(guest, guest.reach) for guest in self._guests.get(site.name, ())]

    def joins_lans(self, one: Site, other: Site) -> bool:
        """True unless the tie exists only because one relays for the other."""
        return other not in self._guests.get(one.name, ()) and one not in self._guests.get(other.name, ())


def _tied(fleet: Fleet, sites: Mapping[str, Site]) -> dict[str, dict[str, Site]]:
    """By name: the routers that `links:` ties it to."""
    tied: dict[str, dict[str, Site]] = {name: {} for name in sites}
    for one, other in fleet.overlay.links or ():
        if one in sites and other in sites and one != other:
            tied[one][other] = sites[other]
            tied[other][one] = sites[one]
    return tied
