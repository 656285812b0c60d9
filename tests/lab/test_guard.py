"""A change that cuts a router off undoes itself, on the router, whether the NOC lives or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .measure import eventually, reaches, wg_peers
from .product import Noc, unreachable_lans
from .router import LabRouter
from .topology import Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-guard")]

WINDOW_SECONDS = 25
NOBODY = "198.51.100.99:51820"
"""An endpoint at which nobody answers: the mistake in the inventory that cuts off every spoke."""


@dataclass
class Guarded:
    """A synced network managed through its own tunnels; branch 1 runs systemd, branch 2 does not."""

    topology: Topology
    noc: Noc

    def mistake(self) -> None:
        """Write the inventory with the wrong endpoint."""
        self.noc.routers["hq"] = {"endpoint": NOBODY}
        self.noc.write()

    def correct(self) -> None:
        """Write it as it should be."""
        self.noc.routers.pop("hq", None)
        self.noc.write()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Shipped, in sync."""
    folder = tmp_path_factory.mktemp("guard")
    with build(folder, branches=2) as topology:
        noc = Noc(topology, folder / "noc")
        first = noc.sync()
        assert first.code == 0, first.said
        topology.ship()
        yield Guarded(topology, noc)


def dials_nobody(router: LabRouter) -> bool:
    """True while the mistake is in force on a router."""
    return any(peer.endpoint == NOBODY for peer in wg_peers(router).values())


def saved(router: LabRouter) -> str:
    """What a restart would bring."""
    return router.read("/etc/wireguard/wg0.conf")


def test_a_change_that_cuts_off_a_branch_is_rolled_back_and_the_branch_is_there_again(guarded: Guarded) -> None:
    before = {branch.name: saved(branch.router) for branch in guarded.topology.branches}
    guarded.mistake()
    run = guarded.noc.fleet("sync", "--yes", "--confirm-within", str(WINDOW_SECONDS), "--json")
    assert run.code == 5, run.said
    assert "rolled back" in run.outcomes().values()
    assert [branch.name for branch in guarded.topology.branches if dials_nobody(branch.router)] == []
    assert {branch.name: saved(branch.router) for branch in guarded.topology.branches} == before
    assert eventually(lambda: not unreachable_lans(guarded.topology), within=30) is not None
    guarded.correct()
    shown = guarded.noc.fleet("plan")
    assert shown.code == 0, shown.said


@pytest.mark.parametrize("number", [1, 2], ids=["systemd", "rc.local"])
def test_a_noc_that_dies_in_the_middle_leaves_no_branch_cut_off(guarded: Guarded, number: int) -> None:
    branch = guarded.topology.branches[number - 1]
    guarded.mistake()
    with guarded.noc.killed("sync", branch.name, "--only", "--yes", "--confirm-within", str(WINDOW_SECONDS)):
        assert eventually(lambda: dials_nobody(branch.router), within=30, every=0.02) is not None
    killed = time.monotonic()
    assert eventually(lambda: not dials_nobody(branch.router), within=WINDOW_SECONDS + 10) is not None
    assert time.monotonic() - killed > 5, "it was the router's own timer, not the NOC"
    assert eventually(lambda: reaches(branch.host, guarded.topology.hub.host_address), within=30) is not None
    guarded.correct()
    run = guarded.noc.fleet("sync", "--yes")
    assert run.code == 0, run.said
    assert guarded.noc.fleet("plan").code == 0


@pytest.mark.parametrize("number", [1, 2], ids=["systemd", "rc.local"])
def test_a_branch_that_restarts_before_the_confirm_comes_back_as_it_was(guarded: Guarded, number: int) -> None:
    branch = guarded.topology.branches[number - 1]
    before = saved(branch.router)
    guarded.mistake()
    with guarded.noc.killed("sync", branch.name, "--only", "--yes", "--confirm-within", "120"):
        assert eventually(lambda: dials_nobody(branch.router), within=30, every=0.02) is not None
    branch.router.restart()
    assert saved(branch.router) == before
    assert eventually(lambda: reaches(branch.host, guarded.topology.hub.host_address), within=30) is not None
    guarded.correct()
    run = guarded.noc.fleet("sync", "--yes")
    assert run.code == 0, run.said
