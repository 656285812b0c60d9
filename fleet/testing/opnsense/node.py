"""The simulated box as the ether sees it: wg devices, routes, packet filter, own addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from ..ether import Clock, Ether, Handshake, Packet, SimInterface, SimPeer, is_address

if TYPE_CHECKING:
    from .extras import Routing
    from .firewall import Filter
    from .kernel import Kernel
    from .store import Store


class OnEther:
    """A node of the ether over a box. Its answers take no lock, because the ether asks from any thread."""

    wan = "wan"
    name: str
    public_hosts: frozenset[str]
    names: dict[str, str]
    ether: Ether | None
    clock: Clock
    store: Store
    kernel: Kernel
    filter: Filter
    routing: Routing

    @property
    def lans(self) -> tuple[str, ...]:
        """Prefixes of ports that are neither uplink nor tunnel."""
        return tuple(
            str(ip_network(record["ipaddr"], strict=False))
            for key, record in list(self.store.current["interfaces"].items())
            if key != "wan" and record.get("ipaddr")
        )

    def wireguard(self) -> Sequence[SimInterface]:
        """Devices as they run now."""
        return [
            SimInterface(
                device.name,
                device.public_key,
                device.port,
                device.up,
                [
                    SimPeer(peer.public_key, peer.endpoint, peer.keepalive, peer.psk or None, peer.allowed_ips)
                    for peer in list(device.peers.values())
                ],
                tuple(device.addresses),
            )
            for device in list(self.kernel.devices.values())
            if device.private_key
        ]

    def routes(self, target: str) -> str | None:
        """Longest prefix of ports, tunnel addresses, routes of instances and static ones; the default is the uplink."""
        found = [(length, name) for prefix, name in self._prefixes() if (length := _inside(target, prefix)) is not None]
        return max(found, key=lambda one: one[0])[1] if found else "wan"

    def _prefixes(self) -> Iterator[tuple[str, str]]:
        for key, record in list(self.store.current["interfaces"].items()):
            if record.get("ipaddr"):
                yield record["ipaddr"], key
        for device in list(self.kernel.devices.values()):
            if self.clock.now() >= device.dark_until:
                for prefix in [*device.addresses, *device.routes]:
                    yield prefix, device.name
        yield from self.routing.running()

    def owns(self, address: str) -> bool:
        """Addresses of its ports."""
        return any(
            record.get("ipaddr", "").split("/")[0] == address for record in list(self.store.current["interfaces"].values())
        )

    def admits(self, packet: Packet) -> bool:
        """Packets to itself."""
        return self.filter.loaded.passes(packet, to_self=True)

    def forwards(self, packet: Packet) -> bool:
        """Packets that pass through: filtered where they come in; what leaves is let out."""
        return self.filter.loaded.passes(packet, to_self=False)

    def masquerades(self, packet: Packet) -> bool:
        """Automatic outbound NAT happens on assigned tunnels with a gateway, unless a rule excludes it (sheet 4)."""
        return self.routing.masquerades(packet)

    # --- what the box tells and asks the ether --------------------------------------------------------------------------

    def changed(self) -> None:
        """Something the ether looks at differs."""
        if self.ether is not None:
            self.ether.touch(self)

    def forget(self, device: str, peer_key: str) -> None:
        """A peer's session is gone."""
        if self.ether is not None:
            self.ether.forget(self, device, peer_key)

    def handshake(self, device: str, peer_key: str) -> Handshake | None:
        """What the ether knows."""
        return None if self.ether is None else self.ether.handshake(self, device, peer_key)

    def resolve(self, host: str) -> str | None:
        """An address for an endpoint name, None if it does not resolve."""
        if is_address(host):
            return host
        return self.names.get(host) or (None if self.ether is None else self.ether.resolve(host))


def _inside(address: str, prefix: str) -> int | None:
    network = ip_network(prefix, strict=False)
    return network.prefixlen if ip_address(address) in network else None
