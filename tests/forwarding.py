"""Packets through a computed desired state, hop by hop, with the rules of WireGuard and of the openings."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.model import Fleet, Forward, Interface, IPAddress, IPNetwork, Peer
from fleet.overlay import Desired


def _longest(address: IPAddress, interface: Interface) -> Peer | None:
    """The peer whose allowed IPs match an address best: where WireGuard sends it, and whom it believes it from."""
    found = [
        (prefix.prefixlen, peer)
        for peer in interface.peers.values()
        for prefix in peer.allowed_ips
        if prefix.version == address.version and address in prefix
    ]
    return max(found, key=lambda it: it[0])[1] if found else None


def _inside(address: IPAddress, networks: Mapping[IPNetwork, object] | frozenset[IPNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


class Network:
    """Every enabled router of a fleet with the interface it should have."""

    def __init__(self, fleet: Fleet, desired: Desired) -> None:
        self._fleet = fleet
        self._interfaces = {name: next(iter(desired.configuration(name).values())) for name in desired.names}
        self._names = {interface.public_key: name for name, interface in self._interfaces.items()}

    def walk(self, at: str, source: IPAddress, target: IPAddress) -> list[str]:
        """Routers that a packet passes, up to where it arrives. Raises AssertionError where and why it is dropped."""
        path = [at]
        while not self._home(path[-1], target):
            assert len(path) < 6, f"loop: {path}"
            path.append(self._hop(path[-1], source, target, arrived=len(path) > 1))
        if len(path) > 1 and _inside(target, frozenset(self._fleet.routers[path[-1]].lans)):
            self._passes(path[-1], "tunnel", "lan")
        return path

    def _home(self, name: str, target: IPAddress) -> bool:
        own = {address.ip for address in self._interfaces[name].addresses}
        return target in own or _inside(target, frozenset(self._fleet.routers[name].lans))

    def _hop(self, name: str, source: IPAddress, target: IPAddress, *, arrived: bool) -> str:
        interface = self._interfaces[name]
        connected = frozenset(address.network for address in interface.addresses)
        assert _inside(target, interface.routes) or _inside(target, connected), f"{name} has no route to {target}"
        if arrived:
            self._passes(name, "tunnel", "tunnel")
        elif _inside(source, frozenset(self._fleet.routers[name].lans)):
            self._passes(name, "lan", "tunnel")
        peer = _longest(target, interface)
        assert peer is not None, f"{name} has no peer for {target}"
        far = self._names[peer.public_key]
        back = self._interfaces[far].peers.get(interface.public_key)
        assert back is not None, f"{far} does not know {name}"
        assert peer.endpoint or back.endpoint, f"nobody can dial between {name} and {far}"
        believed = _longest(source, self._interfaces[far])
        assert believed is back, f"{far} drops {source} from {name}: it is allowed from {believed and believed.label}"
        return far

    def _passes(self, name: str, source: str, target: str) -> None:
        openings = self._interfaces[name].openings.values()
        assert any(isinstance(it, Forward) and (it.source, it.target) == (source, target) for it in openings), (
            f"{name} does not forward {source} to {target}"
        )
