"""OpenWrt routers in a fleet of three vendors, through the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mixed import Mixed
from simulated import PASSWORD

from fleet.testing.openwrt import OpenWrtSimulator
from fleet.testing.sshd import new_host_key


class ThreeVendors(Mixed):
    """The Linux hub and the RouterOS branch, and two OpenWrt branches."""

    def __init__(self, folder: Path, open_: ExitStack) -> None:
        super().__init__(folder, open_)
        self.openwrt: dict[str, OpenWrtSimulator] = {}
        self.doors = {}
        for number, name in enumerate(("goa", "nashik")):
            lan = f"192.168.{50 + number}.0/24"
            router = open_.enter_context(OpenWrtSimulator(name, self.ether, lans=(lan,), hurry=0.1))
            self.openwrt[name] = router
            self.doors[name] = router.serve_ssh(passwords={"root": PASSWORD})
            door = {"host": self.doors[name].host, "port": self.doors[name].port}
            self.routers[name] = {"driver": "openwrt", "username": "root", "lans": [lan], **door}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[ThreeVendors]:
    with ExitStack() as open_:
        net = ThreeVendors(tmp_path / "noc", open_)
        open_.callback(net.close)
        yield net


def test_three_vendors_come_up_together_drift_and_heal(net: ThreeVendors) -> None:
    done = net.sync("--json")
    assert done.outcomes() == dict.fromkeys(("gateway", "pune", "goa", "nashik"), "changed"), done.err
    assert done.code == 0
    assert net.ether.ping(net.openwrt["goa"], "192.168.50.1", "192.168.51.1")
    assert net.ether.ping(net["pune"], "192.168.30.1", "192.168.50.1")
    commits = net.openwrt["goa"].flash_commits
    assert net.run("plan").code == 0
    assert net.sync().code == 0
    assert net.openwrt["goa"].flash_commits == commits
    net.openwrt["goa"].ok("wg set wg0 listen-port 40000; ip route del 192.168.0.0/16 dev wg0")
    plan = net.run("plan")
    assert plan.code == 2
    assert "stored but not running" in plan.out
    assert net.sync().code == 0
    assert net.run("plan").code == 0
    assert net.ether.ping(net.openwrt["goa"], "192.168.50.1", "192.168.1.1")


@pytest.mark.parametrize("trouble", ["refuses", "disappears", "another host key"])
def test_one_openwrt_router_in_trouble_disturbs_nobody(net: ThreeVendors, trouble: str) -> None:
    code, outcome = 1, "failed"
    if trouble == "refuses":
        net.openwrt["goa"].stage("set network.lan.metric='3'")
        code, outcome, said = 4, "refused", "uci commit"
    elif trouble == "disappears":
        net.doors["goa"].pause()
        code, outcome, said = 6, "pending", "check power"
    else:
        assert net.sync().code == 0
        net.doors["goa"].host_key = new_host_key()
        said = "fleet trust goa"
    done = net.sync("--json")
    assert done.code == code, done.err
    assert done.outcomes()["goa"] == outcome
    assert {name: it for name, it in done.outcomes().items() if name != "goa"} == dict.fromkeys(
        ("gateway", "pune", "nashik"), "changed" if trouble != "another host key" else "in sync"
    )
    assert said in net.run("plan").out
    assert net.ether.ping(net.openwrt["nashik"], "192.168.51.1", "192.168.30.1")


def test_no_secret_of_an_openwrt_router_is_in_what_other_users_of_it_could_see(net: ThreeVendors) -> None:
    assert net.sync().code == 0
    stored = net.openwrt["goa"].read("/etc/config/network")
    secrets = [line.split("'")[1] for line in stored.splitlines() if "private_key" in line or "preshared_key" in line]
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in net.openwrt["goa"].exposed()]
