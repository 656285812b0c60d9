"""Two vendors in one fleet: a Linux hub over SSH, a RouterOS branch over its API."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from simulated import PASSWORD, SimulatedFleet

from fleet.testing.linux.simulator import LinuxSimulator
from fleet.testing.sshd import SshServer


class Mixed(SimulatedFleet):
    """Hub `gateway` is a hardened Linux host, spoke `pune` a RouterOS router."""

    def __init__(self, folder: Path, open_: ExitStack) -> None:
        super().__init__(folder)
        self.linux = open_.enter_context(
            LinuxSimulator(
                "gateway",
                self.ether,
                public_hosts=("198.51.100.10", "vpn.example.com"),
                names={"vpn.example.com": "198.51.100.10"},
                lans=("192.168.1.0/24",),
                firewall="nftables",
                hardened=True,
            )
        )
        self.ssh = open_.enter_context(SshServer(self.linux.run, passwords={"fleet": PASSWORD}))
        self.routers["gateway"] = {
            "driver": "wg-quick",
            "role": "hub",
            "host": self.ssh.host,
            "port": self.ssh.port,
            "endpoint": "vpn.example.com:51820",
            "lans": ["192.168.1.0/24"],
        }
        self.add("pune", 30)
