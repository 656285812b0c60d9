"""A change that cuts a router off undoes itself, on the router, whether the NOC lives or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .measure import eventually, reaches, wg_peers
from .product import Noc
from .router import LabRouter
from .topology import Branch, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-guard")]

WINDOW_SECONDS = 20
NOBODY = "198.51.100.99:51820"
"""An endpoint at which nobody answers: the mistake in an inventory that costs a visit to every branch."""


@dataclass
class Guarded:
    """A synced network managed through its own tunnels; branch 1 runs systemd, branch 2 does not."""

    topology: Topology
    noc: Noc

    def want(self, name: str, **keys: object) -> None:
        """Write these keys of a router into the inventory, and only these."""
        self.noc.routers = {name: keys} if keys else {}
        self.noc.write()

    def reaches_hub(self, branch: Branch) -> bool:
        """True once the branch's LAN reaches the hub's."""
        return eventually(lambda: reaches(branch.host, self.topology.hub.host_address), within=30) is not None


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Shipped, in sync."""
    folder = tmp_path_factory.mktemp("guard")
    with build(folder, branches=2) as topology:
        noc = Noc(topology, folder / "noc")
        first = noc.sync()
        assert first.code == 0, first.said
        topology.ship()
        yield Guarded(topology, noc)


@pytest.fixture
def guarded(network: Guarded) -> Iterator[Guarded]:
    """The same, with every branch at home before the test, and the inventory right again after it."""
    assert all(network.reaches_hub(branch) for branch in network.topology.branches)
    yield network
    network.want("hq")


def keepalive(router: LabRouter) -> int:
    """What the branch runs with, in seconds: the change that these drills make. 0 while the tunnel is not up."""
    if "wg0" not in router.sh("ls /sys/class/net").split():
        return 0
    return next((peer.keepalive for peer in wg_peers(router).values()), 0)


def saved(router: LabRouter) -> str:
    """What a restart would bring."""
    return router.read("/etc/wireguard/wg0.conf")


def change(name: str, window: int = WINDOW_SECONDS) -> tuple[str, ...]:
    """The command line that applies a change to one branch."""
    return ("sync", name, "--only", "--yes", "--confirm-within", str(window))


@pytest.mark.parametrize("number", [1, 2], ids=["systemd", "rc.local"])
def test_a_noc_that_dies_in_the_middle_leaves_a_branch_that_undoes_by_itself(guarded: Guarded, number: int) -> None:
    branch = guarded.topology.branches[number - 1]
    before = saved(branch.router)
    guarded.want(branch.name, persistent_keepalive=21)
    with guarded.noc.killed(*change(branch.name)):
        assert eventually(lambda: keepalive(branch.router) == 21, within=30, every=0.01) is not None
    assert eventually(lambda: keepalive(branch.router) == 25, within=WINDOW_SECONDS + 10) is not None
    assert saved(branch.router) == before
    assert reaches(branch.host, guarded.topology.hub.host_address), "the session never broke"
    again = guarded.noc.fleet("sync", "--yes")
    assert again.code == 0, again.said
    assert keepalive(branch.router) == 21
    assert "PersistentKeepalive = 21" in saved(branch.router)


@pytest.mark.parametrize(
    "number", [pytest.param(1, id="systemd"), pytest.param(2, id="rc.local", marks=pytest.mark.exhaustive)]
)
def test_a_branch_that_restarts_before_the_confirm_comes_back_as_it_was(guarded: Guarded, number: int) -> None:
    branch = guarded.topology.branches[number - 1]
    assert guarded.noc.fleet(*change(branch.name)).code == 0
    before = saved(branch.router)
    guarded.want(branch.name, persistent_keepalive=22)
    with guarded.noc.killed(*change(branch.name, 120)):
        assert eventually(lambda: keepalive(branch.router) == 22, within=30, every=0.01) is not None
    branch.router.restart()
    assert saved(branch.router) == before
    assert eventually(lambda: keepalive(branch.router) == 25, within=15) is not None
    assert guarded.reaches_hub(branch)
    again = guarded.noc.fleet("sync", "--yes")
    assert again.code == 0, again.said


@pytest.mark.exhaustive
def test_a_line_that_breaks_in_the_middle_leaves_the_branch_as_it_was(guarded: Guarded) -> None:
    branch = guarded.topology.branches[0]
    assert guarded.noc.fleet(*change(branch.name)).code == 0
    before = saved(branch.router)
    guarded.want(branch.name, persistent_keepalive=23)
    with guarded.noc.meanwhile(*change(branch.name)) as ended:
        assert eventually(lambda: keepalive(branch.router) == 23, within=30, every=0.01) is not None
        branch.carrier.sh("ip link set wan down")
        assert eventually(lambda: keepalive(branch.router) == 25, within=WINDOW_SECONDS + 10) is not None
        branch.carrier.readdress(branch.carrier.address)
        run = ended()
    assert run.code in (1, 5), run.said
    assert saved(branch.router) == before
    assert guarded.reaches_hub(branch)


def test_an_endpoint_at_which_nobody_answers_is_never_saved(guarded: Guarded) -> None:
    branches = guarded.topology.branches
    before = [saved(branch.router) for branch in branches]
    guarded.want("hq", endpoint=NOBODY)
    # The session in use lives on: the hub's packets carry its real address back to the branch. Only a handshake that the
    # branch begins at the new endpoint proves it, and without that proof the next restart would lose the branch.
    run = guarded.noc.fleet("sync", "--yes", "--confirm-within", str(WINDOW_SECONDS), "--json")
    assert [saved(branch.router) for branch in branches] == before
    assert run.code == 5, run.said
    branches[0].router.restart()
    assert guarded.reaches_hub(branches[0])
