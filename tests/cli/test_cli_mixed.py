"""Two vendors in one fleet: a Linux hub over SSH, a RouterOS branch over its API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from simulated import PASSWORD, SimulatedFleet

from fleet.testing.linux.simulator import LinuxSimulator
from fleet.testing.sshd import SshServer, new_host_key


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


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with ExitStack() as open_:
        net = Mixed(tmp_path / "noc", open_)
        open_.callback(net.close)
        yield net


def test_a_linux_hub_and_a_mikrotik_branch_come_up_together_and_stay_as_they_are(mixed):
    done = mixed.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"gateway": "changed", "pune": "changed"}
    assert mixed.ether.ping(mixed["pune"], "192.168.30.1", "192.168.1.1")
    before = mixed.linux.snapshot()
    assert mixed.sync().code == 0
    assert mixed.linux.snapshot() == before
    assert mixed.run("plan").code == 0
    assert mixed.run("status").code == 0


def test_a_changed_host_key_is_refused_until_trust_accepts_it_and_others_go_on(mixed):
    assert "gateway: first contact at" in mixed.sync().err
    mixed.ssh.host_key = new_host_key()
    mixed["pune"].change("/interface/wireguard", "wg0", mtu=1300)
    done = mixed.sync()
    assert done.code == 1
    head, summary, hint = mixed.run("plan").block("gateway")
    assert "failed" in head
    assert "host key" in summary
    assert "fleet trust gateway" in hint
    assert mixed.interface("pune")["mtu"] == "1420", "the branch was healed meanwhile"
    shown = mixed.run("trust", "gateway", "--yes")
    assert shown.code == 0
    assert "SSH host key" in shown.out
    assert mixed.sync().code == 0
