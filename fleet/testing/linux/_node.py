"""The half of a simulated host that stands on the ether: interfaces, routes and firewall as other nodes meet them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .._nodes import Handshake, Packet, SimInterface, SimPeer
from ..ether import Ether
from ._kernel import Kernel
from ._nftset import Ruleset

if TYPE_CHECKING:
    from .simulator import LinuxSimulator

SWITCHES: Final = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
"""Whether the host forwards; also files under /proc/sys."""


class LinuxNode:
    """What `Ether` asks of a node. Answers come from the running kernel without a lock, because the ether holds its own."""

    wan: str = "eth0"
    name: str
    ether: Ether | None
    kernel: Kernel
    nftables: Ruleset
    names: dict[str, str]
    root_path: Path
    host: LinuxSimulator

    def wireguard(self) -> Sequence[SimInterface]:
        """Every WireGuard interface as it is now."""
        found = []
        for device in list(self.kernel.devices.values()):
            wireguard = device.wg
            if wireguard is None or wireguard.private_key is None:
                continue
            peers = [
                SimPeer(peer.public_key, peer.endpoint, peer.keepalive, peer.preshared_key, tuple(map(str, peer.allowed_ips)))
                for peer in list(wireguard.peers.values())
            ]
            addresses = tuple(map(str, device.addresses))
            found.append(
                SimInterface(device.name, wireguard.public_key or "", wireguard.listen_port, device.up, peers, addresses)
            )
        return found

    def routes(self, target: str) -> str | None:
        """The interface a packet to `target` leaves by."""
        route = self.kernel.lookup(ipaddress.ip_address(target))
        return None if route is None or route.kind != "unicast" else route.device

    def forwards(self, packet: Packet) -> bool:
        """The forwarding switch, then every firewall chain."""
        self.read_switches()
        key = "net.ipv6.conf.all.forwarding" if ":" in packet.target else "net.ipv4.ip_forward"
        return self.kernel.sysctls[key] == "1" and self.nftables.passes("forward", packet)

    def admits(self, packet: Packet) -> bool:
        """Every firewall chain for packets to the host itself."""
        return self.nftables.passes("input", packet)

    def masquerades(self, packet: Packet) -> bool:
        """True when a nat chain rewrites the source."""
        return self.nftables.rewrites_source(packet)

    def owns(self, address: str) -> bool:
        """Its own addresses."""
        return self.kernel.owner(ipaddress.ip_address(address)) is not None

    def handshake(self, interface: str, peer_key: str) -> Handshake | None:
        """The latest handshake of a peer."""
        return None if self.ether is None else self.ether.handshake(self.host, interface, peer_key)

    def pings(self, source: str | None, target: str) -> bool:
        """One ping from the host itself."""
        if self.owns(target):
            return True
        return self.ether is not None and self.ether.ping(self.host, source, target)

    def resolve(self, name: str) -> str | None:
        """The address of a name, as the host's resolver answers at this moment."""
        known = self.names.get(name)
        if known is None and self.ether is not None:
            ask: Callable[[str], str | None] | None = getattr(self.ether, "resolve", None)
            known = ask(name) if ask is not None else None
        return known

    def forget_peer(self, interface: str, peer_key: str) -> None:
        """The peer was removed: its session is gone even if it comes back at once."""
        if self.ether is not None:
            self.ether.forget(self.host, interface, peer_key)

    def touched(self) -> None:
        """Something ran here: the ether looks again when somebody next asks."""
        if self.ether is not None:
            self.ether.touch(self.host)

    def read_switches(self) -> None:
        """A script may write to /proc/sys itself: on a real host that is the switch, and sysctl(8) only another way to it."""
        sysctls, written = self.kernel.sysctls, []
        for key in SWITCHES:
            path = self.root_path / "proc/sys" / key.replace(".", "/")
            value = path.read_text().strip() if path.exists() else ""
            if value.isdigit() and value != sysctls[key]:
                sysctls[key] = value
                written.append(key)
        for key in written:
            self.sysctl_changed(key)

    def sysctl_changed(self, name: str) -> None:
        """Keep the switches that the kernel keeps equal equal."""
        sysctls = self.kernel.sysctls
        if name in {"net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"}:
            sysctls["net.ipv4.ip_forward"] = sysctls["net.ipv4.conf.all.forwarding"] = sysctls[name]
        for key in SWITCHES:
            path = self.root_path / "proc/sys" / key.replace(".", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sysctls[key] + "\n")
