"""Changes that a network lives through: pings on every pair of LANs while the overlay is rebuilt beneath them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from .handmade import PORT
from .measure import PingStream, eventually
from .product import Noc, Run, unreachable_lans
from .topology import Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.exhaustive, pytest.mark.xdist_group("lab-stages"), pytest.mark.timeout(600)]

LONGEST_SECONDS = 2.0
SYNC_SECONDS = 90.0
SECOND_ADDRESS = "198.51.100.11"
MOVING = "192.168.90.0/24"
ADDRESSES: Mapping[str, str] = {
    "hq": "10.100.0.1",
    "hq2": "10.100.0.2",
    "hq3": "10.100.0.3",
    "branch-1": "10.100.0.11",
    "branch-2": "10.100.0.12",
}
SPOKES = {"hq2": {"role": "spoke"}, "hq3": {"role": "spoke"}}


class Pairs:
    """Pings on every pair of LANs while the block runs; `gaps` then holds the longest silence of each pair in seconds."""

    def __init__(self, topology: Topology) -> None:
        self.gaps: dict[str, float] = {}
        pairs = list(combinations(topology.sites, 2))
        self._streams = {
            f"{one.name} - {other.name}": PingStream(one.host, other.host_address, interval=0.1) for one, other in pairs
        }
        self._stack = ExitStack()

    def __enter__(self) -> Pairs:
        for stream in self._streams.values():
            self._stack.enter_context(stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.gaps = {name: stream.pings.max_gap_ms / 1000 for name, stream in self._streams.items()}

    @property
    def worst(self) -> tuple[str, float]:
        """The pair that was silent longest, and how long."""
        return max(self.gaps.items(), key=lambda pair: pair[1])


class Living:
    """Five sites in sync: a hub and two sites with public addresses, two branches behind carriers, managed by the tunnel."""

    def __init__(self, topology: Topology, folder: Path, overlay: Mapping[str, Any] | None = None) -> None:
        self.topology = topology
        self.noc = Noc(topology, folder / "noc")
        self.want(overlay=overlay)
        first = self.noc.sync()
        assert first.code == 0, first.said
        topology.ship()
        assert self.whole()

    def want(self, routers: Mapping[str, Mapping[str, Any]] | None = None, overlay: Mapping[str, Any] | None = None) -> None:
        """Write the inventory with these keys over what the drills begin with."""
        given = routers or {}
        self.noc.routers = {
            name: {"address": address, **SPOKES.get(name, {}), **given.get(name, {})} for name, address in ADDRESSES.items()
        }
        self.noc.overlay = dict(overlay or {})
        self.noc.write()

    def whole(self) -> bool:
        """True once every LAN reaches every other."""
        return eventually(lambda: not unreachable_lans(self.topology), within=30) is not None

    def change(self, *arguments: str) -> tuple[Run, Pairs]:
        """Sync with pings on all pairs."""
        with Pairs(self.topology) as pairs:
            run = self.noc.fleet("sync", "--yes", "--json", *arguments)
        return run, pairs


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One network for all drills; each begins where the one before it ended, put right."""
    folder = tmp_path_factory.mktemp("stages")
    with build(folder, hubs=3, branches=2) as topology:
        # The second address of the hub is there before anybody is told of it.
        topology.hub.router.run("ip", "address", "add", f"{SECOND_ADDRESS}/24", "dev", "wan")
        yield Living(topology, folder)


@pytest.fixture
def living(network: Living) -> Iterator[Living]:
    """The same; after the drill the inventory of the beginning is synced again."""
    assert network.whole()
    yield network
    network.want()
    network.noc.fleet("sync", "--yes", "--force")


@pytest.fixture
def lives(
    living: Living, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> Callable[..., Run]:
    """Makes a change and demands that no pair was silent for long; figures are printed."""

    def check(what: str, *arguments: str) -> Run:
        run, pairs = living.change(*arguments)
        pair, seconds = pairs.worst
        with capsys.disabled():
            print(f"\n{what}: exit {run.code} in {run.json()['seconds']:.1f} s, longest silence {seconds:.2f} s ({pair})")
        record_property("longest_seconds", seconds)
        assert run.code == 0, run.said
        assert living.whole()
        assert seconds <= LONGEST_SECONDS, pairs.gaps
        assert run.json()["seconds"] < SYNC_SECONDS, "it waited for a connection that nobody answers"
        return run

    return check


def test_a_branch_gets_another_overlay_address(living: Living, lives: Callable[..., Run]) -> None:
    living.want({"branch-1": {"address": "10.100.0.99"}})
    lives("overlay address of a branch")


def test_the_hub_gets_another_overlay_address(living: Living, lives: Callable[..., Run]) -> None:
    living.want({"hq": {"address": "10.100.0.77"}})
    lives("overlay address of the hub")


def test_the_hub_is_dialled_at_another_address(living: Living, lives: Callable[..., Run]) -> None:
    living.want({"hq": {"endpoint": f"{SECOND_ADDRESS}:{PORT}"}})
    lives("endpoint of the hub")


def test_the_overlay_gets_another_prefix(living: Living, lives: Callable[..., Run]) -> None:
    moved = {name: {"address": address.replace("10.100.", "10.101.")} for name, address in ADDRESSES.items()}
    living.want(moved, {"ipv4": "10.101.0.0/20"})
    lives("overlay prefix")


def test_a_spoke_is_promoted_to_hub(living: Living, lives: Callable[..., Run]) -> None:
    living.want({"hq2": {"role": "hub"}})
    lives("spoke promoted to hub")


def test_a_lan_moves_to_another_router(living: Living, lives: Callable[..., Run]) -> None:
    lans = {site.name: site.lan for site in living.topology.sites}
    living.want({"branch-1": {"lans": [lans["branch-1"], MOVING]}})
    assert living.noc.fleet("sync", "--yes").code == 0
    living.want({"branch-2": {"lans": [lans["branch-2"], MOVING]}})
    assert "goes from peer branch-1 to peer branch-2" in said(living.noc.fleet("plan"))
    lives("LAN moved to another branch")


def test_a_star_becomes_a_mesh_and_a_star_again_and_the_plan_says_what_is_cut_meanwhile(
    living: Living, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair that changes its way is cut between the writes of its two ends: a prefix belongs to one peer of an interface."""
    for what, overlay, arguments in (("star to mesh", {"topology": "full-mesh"}, ()), ("mesh to star", {}, ("--force",))):
        living.want(overlay=overlay)
        plan = living.noc.fleet("plan")
        assert plan.code == 2, plan.said
        assert "from the moment this end is written until the other end is" in said(plan)
        run, pairs = living.change(*arguments)
        pair, seconds = pairs.worst
        with capsys.disabled():
            print(f"\n{what}: exit {run.code} in {run.json()['seconds']:.1f} s, longest silence {seconds:.2f} s ({pair})")
        assert run.code == 0, run.said
        assert living.whole()


def test_the_plan_says_that_a_listen_port_cannot_be_changed_without_a_break(living: Living) -> None:
    living.want({"hq": {"listen_port": 51999}})
    shown = living.noc.fleet("plan")
    assert shown.code == 2, shown.said
    assert "a UDP socket has one port" in said(shown)


def said(run: Run) -> str:
    """Everything a command said, in one line."""
    return " ".join(run.said.split())
