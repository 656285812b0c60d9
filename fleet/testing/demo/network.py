"""The simulated network of the demo: a Linux hub, branches behind carrier NAT, a notebook that is not ours."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from ...keys import new_private_key, public_key_of
from ..ether import Ether, Trace
from ..linux import LinuxSimulator
from ..sshd import SshServer
from .branches import BY_DRIVER, PASSWORD, Branch, BranchRouter

HUB: Final = "hq"
OFFLINE: Final = "surat"
LATE: Final = 1.0
"""Seconds until the simulated network notices a lost session. WireGuard takes 15 s; nobody watches a demo for that."""


BRANCHES: Final = (
    Branch("mumbai", "7.20.4", 20),
    Branch("pune", "7.16.2", 30),
    Branch("delhi", "7.12.1", 40),
    Branch("goa", "23.05.5", 50, "openwrt"),
    Branch("nashik", "25.12", 70, "openwrt"),
    Branch("satara", "6.0", 80, "omada"),
    Branch("thane", "26.1", 90, "opnsense"),
    Branch(OFFLINE, "7.21", 60),
)


def drivers() -> list[str]:
    """Drivers of the branches, in the order in which they come first."""
    return list(dict.fromkeys(branch.driver for branch in BRANCHES))


def vendors() -> str:
    """How many branches of which vendor, as words."""
    counts = [(sum(branch.driver == driver for branch in BRANCHES), BY_DRIVER[driver].vendor) for driver in drivers()]
    return " and ".join(f"{count} {vendor}" for count, vendor in counts)


class Network:
    """Everything on loopback, started by `with` and gone afterwards; `inventory` is the file that describes it."""

    def __init__(self) -> None:
        self.ether = Ether(recovery=LATE)
        # Somebody's notebook, dialling the hub as an administrator set it up: not in the inventory, so not fleet's.
        self.notebook = public_key_of(new_private_key())
        self.branches: dict[str, BranchRouter] = {}
        self._open = ExitStack()

    def __enter__(self) -> Network:
        with ExitStack() as opening:
            self.hub = opening.enter_context(
                LinuxSimulator(
                    HUB,
                    self.ether,
                    public_hosts=("198.51.100.10", "vpn.example.com"),
                    names={"vpn.example.com": "198.51.100.10"},
                    lans=("192.168.1.0/24",),
                    firewall="nftables",
                    hardened=True,
                )
            )
            self.ssh = opening.enter_context(SshServer(self.hub.run, passwords={"fleet": PASSWORD}))
            for branch in BRANCHES:
                self.branches[branch.name] = opening.enter_context(BY_DRIVER[branch.driver](branch, self.ether))
            self.branches[OFFLINE].set_offline()
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    @property
    def inventory(self) -> str:
        """YAML. Real ones name a `host` per router or a `via`; here all are this machine and a port each."""
        lines = [
            "overlay:",
            "  name: acme",
            "  ipv4: 10.100.0.0/20              # tunnel addresses for 4,094 routers",
            "  lan_supernets: [192.168.0.0/16]  # so a new branch changes the hub alone",
            "defaults: {username: fleet, password: 'env:FLEET_PASSWORD'}",
            "groups:",
            *(f"  {driver}: {{{BY_DRIVER[driver].group}}}" for driver in drivers()),
            "routers:",
            f"  {HUB}:",
            "    driver: wg-quick",
            "    role: hub",
            f"    host: {self.ssh.host}",
            f"    port: {self.ssh.port}",
            "    endpoint: 'vpn.example.com:51820'",
            "    lans: [192.168.1.0/24]",
        ]
        for branch in BRANCHES:
            keys = self.branches[branch.name].keys
            lines.append(f"  {branch.name + ':':<7} {{groups: [{branch.driver}], {keys}, lans: [192.168.{branch.lan}.0/24]}}")
        return "\n".join(lines) + "\n"

    def ping(self, source: str, target: str) -> Trace:
        """From a host in the LAN of one branch to a host in the LAN of another, through tunnels, routes and firewalls."""
        hosts = {branch.name: branch.host for branch in BRANCHES}
        return self.ether.trace(self.branches[source].node, hosts[source], hosts[target])

    def peers(self) -> set[str]:
        """Public keys of the peers that the hub's kernel holds."""
        return {peer.public_key for interface in self.hub.wireguard() for peer in interface.peers}

    def key_of(self, name: str) -> str:
        """A branch's public key."""
        return self.branches[name].node.wireguard()[0].public_key

    def tamper(self, victim: str) -> list[str]:
        """On the hub by hand, one peer of ours goes and one that is not ours comes; the commands that did it."""
        commands = [
            f"wg set wg0 peer {self.key_of(victim)} remove",
            f"wg set wg0 peer {self.notebook} allowed-ips 10.200.0.9/32",
        ]
        for command in commands:
            self.hub.ok(command)
        self.ether.settle()
        return commands

    def writes(self, *, but: str = "") -> int:
        """Write commands that the branches took so far, one of them left out."""
        return sum(branch.writes for name, branch in self.branches.items() if name != but)

    def secrets(self) -> set[str]:
        """Every private and preshared key that exists on the simulated routers now, and their password."""
        found = {PASSWORD}
        for branch in self.branches.values():
            found |= branch.secrets()
        for path in Path(self.hub.root_path, "etc/wireguard").glob("*"):
            words = path.read_text().split()
            found |= {word for word in words if len(word) == 44 and word.endswith("=")} - self._public_keys()
        return found - {""}

    def _public_keys(self) -> set[str]:
        keys = self.peers() | {interface.public_key for interface in self.hub.wireguard()}
        return keys | {interface.public_key for branch in self.branches.values() for interface in branch.node.wireguard()}
