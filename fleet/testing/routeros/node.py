"""The simulated router as the ether sees it: interfaces, routes, firewall, own addresses."""

from __future__ import annotations

from collections.abc import Sequence

from ..ether import Ether, Handshake, Packet, SimInterface
from . import firewall
from .device import Device
from .paths import local_prefixes, own_addresses, route_to
from .wireguard import on_ether


class OnEther:
    """A node of the ether over a device. Its answers take no lock, because the ether asks from any thread."""

    wan = "ether1"
    name: str
    public_hosts: frozenset[str]
    device: Device
    ether: Ether | None
    handshakes: dict[tuple[str, str], Handshake]

    @property
    def lans(self) -> tuple[str, ...]:
        """Prefixes connected to neither uplink nor tunnels."""
        return local_prefixes(self.device, self.wan)

    def wireguard(self) -> Sequence[SimInterface]:
        """Interfaces as they are now."""
        return on_ether(self.device)

    def routes(self, target: str) -> str | None:
        """By its routing table; allowed addresses make no routes (sheet 3.2)."""
        return route_to(self.device, target)

    def owns(self, address: str) -> bool:
        """Its own addresses."""
        return address in own_addresses(self.device)

    def admits(self, packet: Packet) -> bool:
        """Its input chain."""
        return firewall.accepts(self.device, packet)

    def forwards(self, packet: Packet) -> bool:
        """Its forward chain."""
        return firewall.accepts(self.device, packet)

    def masquerades(self, packet: Packet) -> bool:
        """Its srcnat chain; masquerading the address of the interface it leaves by changes nothing."""
        leaves = [row for row in list(self.device.table("/ip/address").rows) if row.get("interface") == packet.out_interface]
        if any(row.get("address").partition("/")[0] == packet.source for row in leaves):
            return False
        return firewall.rewrites_source(self.device, packet)

    # --- what the device tells and asks the ether ------------------------------------------------------------------------

    def changed(self) -> None:
        """Something the ether looks at differs."""
        if self.ether is not None:
            self.ether.touch(self)

    def forget(self, interface: str, peer_key: str) -> None:
        """A peer's session is gone."""
        self.handshakes.pop((interface, peer_key), None)
        if self.ether is not None:
            self.ether.forget(self, interface, peer_key)

    def handshake(self, interface: str, peer_key: str) -> Handshake | None:
        """What the ether knows, or what a test put into `handshakes`."""
        known = self.handshakes.get((interface, peer_key))
        if known is not None or self.ether is None:
            return known
        return self.ether.handshake(self, interface, peer_key)

    def resolve(self, host: str) -> str | None:
        """`:resolve`: an address under which the ether knows that name, None if nobody has it."""
        return None if self.ether is None else self.ether.resolve(host)

    def reaches(self, source: str | None, target: str) -> bool:
        """`/ping`."""
        if target in own_addresses(self.device):
            return True
        return self.ether is not None and self.ether.ping(self, source, target)
