"""Routers hardened by somebody else: fleet opens what the tunnel needs where the drop is, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .measure import eventually
from .product import Noc, unreachable_lans
from .router import Init, LabRouter
from .topology import HARDENED, HARDENED_IPTABLES, Firewall, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-firewall")]

FILES = {"nftables": ("/etc/nftables.conf", HARDENED), "iptables": ("/etc/iptables/load", HARDENED_IPTABLES)}


def rules(router: LabRouter, firewall: str) -> list[str]:
    """Somebody else's rules as they run, in order, without those that carry our mark."""
    listed = {"nftables": "nft list table inet corporate", "iptables": "iptables-save -t filter | grep -v '^#\\|^:'"}[firewall]
    return [line.strip() for line in router.sh(listed).splitlines() if "fleet:" not in line]


class Hardened:
    """A synced network of hardened routers, with the rules as they were before."""

    def __init__(self, topology: Topology, firewall: str, folder: Path) -> None:
        self.topology = topology
        self.firewall = firewall
        self.before = {router.name: rules(router, firewall) for router in topology.routers}
        self.noc = Noc(topology, folder / "noc")
        self.first = self.noc.sync()


@pytest.fixture(scope="module", params=[("nftables", "systemd"), ("iptables", "rc.local")], ids=["nftables", "iptables"])
def hardened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hardened]:
    """Hub and branches drop whatever is not named; nftables with systemd, iptables with rc.local."""
    firewall: Firewall
    init: Init
    firewall, init = request.param
    folder = tmp_path_factory.mktemp(firewall)
    with build(folder, branches=2, hub_firewall=firewall, branch_firewall=firewall, hub_init=init, inits=[init]) as topology:
        yield Hardened(topology, firewall, folder)


def test_one_sync_makes_the_lans_reach_one_another_through_hardened_routers(hardened: Hardened) -> None:
    assert hardened.first.code == 0, hardened.first.said
    assert unreachable_lans(hardened.topology) == []


def test_management_goes_through_the_tunnel_of_a_hardened_branch(hardened: Hardened) -> None:
    hardened.topology.ship()
    shown = hardened.noc.fleet("plan", "--json")
    assert shown.code == 0, shown.said
    assert set(shown.outcomes().values()) == {"in sync"}


def test_the_rules_of_others_stand_as_they_stood(hardened: Hardened) -> None:
    path, text = FILES[hardened.firewall]
    for router in hardened.topology.routers:
        assert rules(router, hardened.firewall) == hardened.before[router.name]
        assert router.read(path) == text


def test_what_nobody_opened_is_still_dropped(hardened: Hardened) -> None:
    branch = hardened.topology.branches[0]
    answered = branch.host.run("timeout", "2", "bash", "-c", f"echo >/dev/tcp/{hardened.topology.hub.gateway}/22", check=False)
    assert answered.returncode != 0


def test_an_opening_that_somebody_removed_is_drift_and_heals(hardened: Hardened) -> None:
    router = hardened.topology.hub.router
    flush = {"nftables": "nft -f /etc/nftables.conf", "iptables": "/etc/iptables/load"}[hardened.firewall]
    router.sh(flush)
    assert unreachable_lans(hardened.topology) != []
    shown = hardened.noc.fleet("plan", "hq", "--only")
    assert shown.code == 2, shown.said
    healed = hardened.noc.sync("hq", "--only")
    assert healed.code == 0, healed.said
    assert eventually(lambda: not unreachable_lans(hardened.topology), within=30) is not None


def test_hardened_routers_come_back_after_a_restart(hardened: Hardened) -> None:
    for router in hardened.topology.routers:
        router.restart()
    assert eventually(lambda: not unreachable_lans(hardened.topology), within=30) is not None
    shown = hardened.noc.fleet("plan")
    assert shown.code == 0, shown.said
