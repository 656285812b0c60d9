"""What every router should be: one inventory plus known public keys in, a desired state per router out. Pure.

Who peers with whom and what each peer carries is decided in `topology`; this module turns that into interfaces, and holds
the three steps that surround it: addresses (`allocate`), preshared keys (`resolve_preshared`), vendors (`fitted`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import PlanRefused
from .keys import derive_preshared_key
from .model import (
    MANAGED,
    ClampMss,
    Configuration,
    DerivedKey,
    Facts,
    Fleet,
    Forward,
    Interface,
    IPAddress,
    IPNetwork,
    KeyOf,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Route,
    Secret,
)
from .parking import parking_place
from .topology import Carried, Relayed, Site, Topology, known_fact, topology_of

if TYPE_CHECKING:
    from .driver import Limits

__all__ = ["Desired", "Pair", "Relayed", "allocate", "desired_state", "fitted", "parking_place", "resolve_preshared"]

_NOTHING: Final[frozenset[IPNetwork]] = frozenset()


# ----------------------------------------------------------------------------------------------------- addresses
def allocate(fleet: Fleet, facts: Facts, held: frozenset[IPAddress] = frozenset()) -> dict[str, tuple[IPAddress, ...]]:
    """Overlay host addresses of every router, disabled ones too, one per overlay family, IPv4 first.

    An address given by the inventory wins over a pinned one, a pinned one over the lowest that is free. `held` are those of
    routers that left. Nothing moves while it is pinned. Raises PlanRefused when a prefix is full.
    """
    found: dict[str, dict[int, IPAddress]] = {name: {} for name in fleet.routers}
    for prefix in fleet.overlay.prefixes:
        taken = _kept(fleet, facts, prefix, found)
        _fill(fleet, prefix, found, taken | {address for address in held if address.version == prefix.version})
    return {name: tuple(by_family.values()) for name, by_family in found.items()}


def _kept(fleet: Fleet, facts: Facts, prefix: IPNetwork, found: dict[str, dict[int, IPAddress]]) -> set[IPAddress]:
    """Place given addresses, then pinned ones that are still free and usable; all that are taken."""
    taken: set[IPAddress] = set()
    for router in fleet.routers.values():
        for address in router.addresses:
            if address.version == prefix.version:
                found[router.name][prefix.version] = address
                taken.add(address)
    first, last = _usable(prefix)
    for router in fleet.routers.values():
        for address in known_fact(fleet, facts, router.name).addresses:
            # A pin outside the prefix is from before the overlay was renumbered; one that was given away lost.
            usable = address.version == prefix.version and first <= int(address) <= last and address not in taken
            if usable and prefix.version not in found[router.name]:
                found[router.name][prefix.version] = address
                taken.add(address)
    return taken


def _fill(fleet: Fleet, prefix: IPNetwork, found: dict[str, dict[int, IPAddress]], taken: set[IPAddress]) -> None:
    """The lowest free address for whoever has none. A cursor, never a list of hosts: an IPv6 prefix has 2**64 of them."""
    used = {int(address) for address in taken}
    cursor, last = _usable(prefix)
    for by_family in found.values():
        if prefix.version in by_family:
            continue
        while cursor in used:
            cursor += 1
        if cursor > last:
            raise _full(fleet, prefix, len(used))
        by_family[prefix.version] = prefix.network_address + (cursor - int(prefix.network_address))
        used.add(cursor)


def _usable(prefix: IPNetwork) -> tuple[int, int]:
    """First and last host as numbers: without network and broadcast address, except in a /31, /32 (RFC 3021) and IPv6 alike."""
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    return (first, last) if prefix.num_addresses <= 2 else (first + 1, last - 1)


def _full(fleet: Fleet, prefix: IPNetwork, used: int) -> PlanRefused:
    first, last = _usable(prefix)
    return PlanRefused(
        f"overlay {fleet.overlay.name}: {prefix} has {last - first + 1} host addresses, {len(fleet.routers)} routers need one "
        f"and {used} are taken or held",
        f"widen `ipv{prefix.version}:` to a shorter prefix around the same addresses (/{max(prefix.prefixlen - 1, 0)} holds "
        "twice as many); addresses that are in use stay as they are",
    )


# ------------------------------------------------------------------------------------------------- desired state
class Pair(NamedTuple):
    """Two enrolled routers that peer, `a` before `b` in the inventory, and the LANs on each side that the other reaches through
    this very tunnel.
    """

    a: str
    b: str
    lans_of_a: frozenset[IPNetwork]
    lans_of_b: frozenset[IPNetwork]


class Desired:
    """The desired state of every enabled router. Each router's is computed when asked for and kept by nobody.

    `not_enrolled` are enabled routers whose key is unknown, `addresses` overlay host addresses by name, `notes` sentences for
    the operator, `pinned_endpoints` routers whose endpoint must not roam.
    """

    def __init__(self, fleet: Fleet, topology: Topology, mgmt_ports: Mapping[str, int]) -> None:
        self._fleet = fleet
        self._topology = topology
        self._mgmt_ports = mgmt_ports
        self._peers: dict[tuple[str, int, int], Peer] = {}
        self._stock: dict[str, tuple[frozenset[IPNetwork], dict[IPNetwork, Route]]] = {}
        self._connected = frozenset(fleet.overlay.prefixes).union(*(site.hosts for site in topology.sites.values()))
        self.names: tuple[str, ...] = tuple(topology.sites)
        self.addresses: Mapping[str, tuple[IPAddress, ...]] = {name: site.addresses for name, site in topology.sites.items()}
        self.not_enrolled: tuple[str, ...] = tuple(name for name, site in topology.sites.items() if site.key is None)
        self.pinned_endpoints: frozenset[str] = frozenset(
            name for name, site in topology.sites.items() if site.router.pin_endpoint
        )
        self.notes: tuple[str, ...] = topology.notes

    def configuration(self, name: str) -> Configuration:
        """The interfaces of one router. Raises PlanRefused if it is disabled: its own device is left alone."""
        site = self._site(name)
        interface = self._interface(site)
        return {interface.name: interface}

    def missing_peers(self, name: str) -> tuple[str, ...]:
        """Routers whose unknown key keeps a peer of `name` from being written; itself first if its own is unknown."""
        site = self._site(name)
        own = (name,) if site.key is None else ()
        return own + tuple(other.name for other, _ in self._topology.carried(site) if other.key is None)

    @property
    def pairs(self) -> Iterator[Pair]:
        """Every two enrolled routers that peer, each pair once."""
        order = {name: number for number, name in enumerate(self.names)}
        for site in self._topology.sites.values():
            for other, _ in self._topology.carried(site) if site.key is not None else ():
                if other.key is not None and order[site.name] < order[other.name]:
                    joined = self._topology.joins_lans(site, other)
                    yield Pair(site.name, other.name, site.lans if joined else _NOTHING, other.lans if joined else _NOTHING)

    @property
    def relayed(self) -> Iterator[Relayed]:
        """Every two routers of a mesh that cannot reach each other directly, with the hub in between."""
        return self._topology.relayed()

    def _site(self, name: str) -> Site:
        site = self._topology.sites.get(name)
        if site is None:
            raise PlanRefused(
                f"{name}: not an enabled router of this inventory, so it has no desired state",
                "set `enabled: true` to bring it back; until then its own device is left alone",
            )
        return site

    def _interface(self, site: Site) -> Interface:
        router, overlay = site.router, self._fleet.overlay
        carried = self._topology.carried(site) if site.key is not None else []
        peers = {other.key: self._peer(site, other, prefixes) for other, prefixes in carried if other.key is not None}
        return Interface(
            name=router.interface,
            public_key=site.key or KeyOf(site.name),
            listen_port=router.listen_port,
            mtu=router.mtu,
            addresses=frozenset(
                ipaddress.ip_interface((address, prefix.prefixlen))
                for prefix in overlay.prefixes
                for address in site.addresses
                if address.version == prefix.version
            ),
            peers=peers,
            routes=self._routes_of(site, carried) if "routes" in router.manage else {},
            openings={opening.identity: opening for opening in self._openings(site)},
            reresolve="resolve" in router.manage and any(other.named and other.key is not None for other, _ in carried),
            staged_key=site.staged_key,
            mark=Mark(overlay.name, site.name),
            unmanaged=MANAGED - router.manage,
        )

    def _peer(self, site: Site, other: Site, allowed_ips: frozenset[IPNetwork]) -> Peer:
        """`other` as `site` sees it; one object for all who see it alike, because a mesh has a million of them."""
        # Only the side that cannot be dialled keeps the mapping of its own NAT alive, and only where it can dial.
        keepalive = site.router.persistent_keepalive if site.router.endpoint is None and other.router.endpoint else 0
        epoch = max(site.epoch, other.epoch)
        variant = (other.name, keepalive, epoch)
        known = self._peers.get(variant)
        if known is not None and known.allowed_ips is allowed_ips:
            return known
        assert other.key is not None
        peer = Peer(
            public_key=other.key,
            allowed_ips=allowed_ips,
            endpoint=other.router.endpoint,
            persistent_keepalive=keepalive,
            preshared_key=DerivedKey(epoch) if self._fleet.overlay.preshared_keys else None,
            mark=other.mark,
        )
        self._peers[variant] = peer
        return peer

    def _routes_of(self, site: Site, carried: Carried) -> dict[IPNetwork, Route]:
        """A route per carried prefix; the overlay itself is connected, because the interface carries its prefix length."""
        routes: dict[IPNetwork, Route] = {}
        for other, prefixes in carried:
            if other.key is None:
                continue
            routes.update(self._routes_to(other, prefixes))
        return routes

    def _routes_to(self, other: Site, prefixes: frozenset[IPNetwork]) -> dict[IPNetwork, Route]:
        """Routes to these prefixes through one router, from a stock of all that were ever asked for.

        Copying a dict and subtracting sets hashes nothing, and hashing a network is what costs: a spoke without supernets
        has ten thousand routes that every other spoke has too.
        """
        stocked, stock = self._stock.get(other.name, (_NOTHING, {}))
        if fresh := prefixes - stocked - self._connected:
            stock = {**stock, **{prefix: Route(prefix, other.mark) for prefix in fresh}}
            stocked = stocked | fresh
            self._stock[other.name] = stocked, stock
        surplus = stocked - prefixes
        if not surplus:
            return stock
        routes = stock.copy()
        for prefix in surplus:
            del routes[prefix]
        return routes

    def _openings(self, site: Site) -> Iterator[Opening]:
        router = site.router
        forwards = router.role == "hub" or bool(site.lans)
        if "listen_port" in router.manage and (router.role == "hub" or router.endpoint is not None):
            yield ListenPort(router.listen_port)
        if "forwarding" in router.manage:
            if site.lans:
                yield Forward("lan", "tunnel", site.lans)
                yield Forward("tunnel", "lan", site.lans)
            if router.role == "hub":
                yield Forward("tunnel", "tunnel")
        if "masquerade" in router.manage and forwards:
            # What a hub passes on between branches comes from LANs that are not its own: there everything is exempt.
            yield NoMasquerade(_NOTHING if router.role == "hub" else site.lans)
        if "mss" in router.manage and forwards:
            yield ClampMss(router.mtu)
        management = self._management(site)
        if "management" in router.manage and management is not None:
            yield management

    def _management(self, site: Site) -> Opening | None:
        jumps = [self._topology.sites[name] for name in site.router.via if name in self._topology.sites]
        sources = frozenset(site.router.management_from).union(*(jump.hosts for jump in jumps))
        port = self._mgmt_ports.get(site.name)
        return Management(port, sources) if sources and port is not None else None


def desired_state(
    fleet: Fleet,
    facts: Facts,
    addresses: Mapping[str, tuple[IPAddress, ...]],
    mgmt_ports: Mapping[str, int],
) -> Desired:
    """What every enabled router should be.

    `addresses` come from `allocate`, `mgmt_ports` are TCP ports of management by router (absent: nothing to open).
    Raises PlanRefused for pairs that cannot be tunnelled and for two routers with one key, naming both and the cure.
    """
    return Desired(fleet, topology_of(fleet, facts, addresses), mgmt_ports)


# ------------------------------------------------------------------------------------------------ preshared keys
def resolve_preshared(configuration: Configuration, fleet_secret: Secret) -> Configuration:
    """The same configuration with every derived preshared key as a Secret. Derives for these peers and no others."""
    return {name: _resolved(interface, fleet_secret) for name, interface in configuration.items()}


def _resolved(interface: Interface, fleet_secret: Secret) -> Interface:
    own = interface.public_key
    if not isinstance(own, PublicKey):
        return interface
    peers = {
        key: replace(peer, preshared_key=derive_preshared_key(fleet_secret, own, key, peer.preshared_key.epoch))
        if isinstance(peer.preshared_key, DerivedKey)
        else peer
        for key, peer in interface.peers.items()
    }
    return replace(interface, peers=peers)


# ------------------------------------------------------------------------------------------------------- vendors
def fitted(configuration: Configuration, limits: Limits) -> Configuration:
    """The intent as this vendor can hold it: without routes it derives by itself, openings that hold by themselves, addresses
    as hosts where it holds no prefix lengths, parked peers on a /32 if it needs one.

    What a vendor cannot hold at all is not dropped here: `Limits.refusals` says so.
    """
    return {name: _fitted(interface, limits) for name, interface in configuration.items()}


def _fitted(interface: Interface, limits: Limits) -> Interface:
    if limits.routes == "derived" and interface.routes:
        interface = replace(interface, routes={})
    if limits.inherent:
        kept = {name: one for name, one in interface.openings.items() if type(one) not in limits.inherent}
        interface = replace(interface, openings=kept)
    if not limits.address_lengths:
        interface = replace(interface, addresses=frozenset(ipaddress.ip_interface(it.ip) for it in interface.addresses))
    if limits.empty_allowed_ips or all(peer.allowed_ips for peer in interface.peers.values()):
        return interface
    taken = {prefix for peer in interface.peers.values() for prefix in peer.allowed_ips}
    peers = dict(interface.peers)
    for key in sorted(key for key, peer in peers.items() if not peer.allowed_ips):
        place = parking_place(key, taken)
        taken.add(place)
        peers[key] = replace(peers[key], allowed_ips=frozenset({place}))
    return replace(interface, peers=peers)
