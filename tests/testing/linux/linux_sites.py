"""A hub and a branch as administrators would have built them, for tests of the simulated Linux host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.testing.ether import Clock, Ether
from fleet.testing.linux import LinuxSimulator

HUB_WAN = "198.51.100.10"
PEER = "nK9N2bYylyXSOTaMcBl55JmJSQairL2fbELygtk0LTQ="
OTHER = "GXmO3ylmjACK55CpeehrAgP7j7Bwoek4aUTUMmnfuUc="
KEY = "AGf465JfZE+bHKFl87flLuJdndrnfKsV2GgLyK1r83o="


def make_key(host: LinuxSimulator) -> str:
    """A key made on the host, in a file of its own; the public half."""
    host.ok('umask 077; wg genkey > "$FLEET_ROOT/etc/wireguard/wg0.key"')
    return host.ok('wg pubkey < "$FLEET_ROOT/etc/wireguard/wg0.key"').strip()


def configure(host: LinuxSimulator, address: str, peer: str, allowed_ips: str, *, port: int = 0, endpoint: str = "") -> None:
    """wg0 with one peer, enabled, up, forwarding on."""
    lines = ["[Interface]", f"Address = {address}", 'PostUp = wg set %i private-key "$FLEET_ROOT/etc/wireguard/%i.key"']
    lines += [f"ListenPort = {port}"] if port else []
    lines += ["[Peer]", f"PublicKey = {peer}", f"AllowedIPs = {allowed_ips}"]
    lines += [f"Endpoint = {endpoint}", "PersistentKeepalive = 25"] if endpoint else []
    host.write("/etc/wireguard/wg0.conf", "\n".join(lines) + "\n", 0o600)
    host.write("/etc/sysctl.d/99-forward.conf", "net.ipv4.ip_forward = 1\n")
    host.ok("sysctl -q --system; wg-quick up wg0 2>/dev/null")


@contextmanager
def two_sites(**hub_options: object) -> Iterator[tuple[Ether, LinuxSimulator, LinuxSimulator]]:
    """On a frozen clock: hub `hq` with 192.168.1.0/24, branch `mumbai` behind NAT with 192.168.20.0/24; both configured."""
    ether = Ether(Clock(frozen=True), recovery=0)
    hosts = (HUB_WAN, "vpn.example.com")
    hub = LinuxSimulator("hq", ether, public_hosts=hosts, lans=("192.168.1.0/24",), **hub_options)  # type: ignore[arg-type]
    branch = LinuxSimulator("mumbai", ether, lans=("192.168.20.0/24",))
    with hub, branch:
        keys = {host.name: make_key(host) for host in (hub, branch)}
        configure(hub, "10.100.0.1/20", keys["mumbai"], "10.100.0.2/32, 192.168.20.0/24", port=51820)
        configure(branch, "10.100.0.2/20", keys["hq"], "10.100.0.0/20, 192.168.0.0/16", endpoint=f"{HUB_WAN}:51820")
        yield ether, hub, branch
