"""The simulated gateway as the ether sees it. No locks here: the ether asks from any thread."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_interface

from ..ether import Packet, SimInterface, SimPeer
from .settings import Peer, Tunnel


class OnEther:
    """A node of the ether over what runs on a gateway."""

    wan = "wan"
    name: str
    public_hosts: frozenset[str]
    addresses: tuple[str, ...]
    opens_lan: bool
    port_forwards: dict[int, int]
    _running: tuple[Tunnel, ...]  # replaced as a whole

    @property
    def lans(self) -> tuple[str, ...]:
        """Prefixes behind it."""
        return tuple(str(ip_interface(one).network) for one in self.addresses)

    def wireguard(self) -> Sequence[SimInterface]:
        """What runs. Allowed addresses install routes (sheet 4); a bare tunnel address makes none (2.1, unverified)."""
        return [
            SimInterface(
                tunnel.name,
                tunnel.public_key,
                tunnel.listen_port,
                peers=[_on_ether(peer) for peer in tunnel.peers if peer.status],
                addresses=(tunnel.local_ip if "/" in tunnel.local_ip else str(ip_interface(tunnel.local_ip)),),
            )
            for tunnel in self._running
            if tunnel.status
        ]

    def owns(self, address: str) -> bool:
        """Its addresses in its LANs."""
        return any(one.partition("/")[0] == address for one in self.addresses)

    def admits(self, packet: Packet) -> bool:
        """It does not answer for its LAN addresses to packets out of a tunnel (sheet 4, ACL)."""
        tunnelled = packet.in_interface not in (None, "lan", self.wan)
        return packet.established or not (tunnelled and self.owns(packet.target))

    def forwards(self, packet: Packet) -> bool:
        """Tunnel to LAN only when opened; everything else passes."""
        inwards = packet.in_interface not in (None, "lan", self.wan) and packet.out_interface == "lan"
        return self.opens_lan or packet.established or not inwards


def _on_ether(peer: Peer) -> SimPeer:
    endpoint = (peer.end_point, peer.end_point_port) if peer.end_point and peer.end_point_port else None
    return SimPeer(peer.public_key, endpoint, peer.keep_alive, peer.preshared_key or None, peer.allow_address)
