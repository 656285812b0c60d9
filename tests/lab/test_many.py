"""Twenty branches, as many as fit on a small machine: the same promises, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from .lockout import WINDOW_SECONDS
from .measure import eventually, reaches, wg_peers
from .net import everywhere
from .product import Noc, Run, unreachable_lans
from .topology import Branch, Topology, build

pytestmark = [pytest.mark.lab, pytest.mark.exhaustive, pytest.mark.xdist_group("lab-many"), pytest.mark.timeout(600)]


@dataclass
class Many:
    """The network after its first sync; seconds that building and syncing took."""

    topology: Topology
    noc: Noc
    first: Run
    built: float
    synced: float


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    """Hub and 20 branches, synced from the bench."""
    folder = tmp_path_factory.mktemp("many")
    began = time.monotonic()
    with build(folder, branches=20) as topology:
        built = time.monotonic()
        noc = Noc(topology, folder / "noc")
        first = noc.sync()
        yield Many(topology, noc, first, built - began, time.monotonic() - built)


def test_twenty_blank_branches_become_one_network(many: Many, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n20 branches: built in {many.built:.1f} s, first sync in {many.synced:.1f} s")
    assert many.first.code == 0, many.first.said
    branches, hub = many.topology.branches, many.topology.hub
    around = list(zip(branches, [*branches[1:], branches[0]], strict=True))
    assert (
        unreachable_lans(many.topology, [*((one, hub) for one in branches), *((hub, one) for one in branches), *around]) == []
    )
    assert len(wg_peers(hub.router)) == 20


def test_twenty_branches_are_managed_through_the_hub_alone(many: Many) -> None:
    many.topology.ship()
    began = time.monotonic()
    again = many.noc.sync("--json")
    assert (again.code, set(again.outcomes().values())) == (0, {"in sync"}), again.said
    assert time.monotonic() - began < 60


def traces(branch: Branch) -> tuple[dict[str, tuple[int, int]], str]:
    """What a write would leave on a branch: files with inode and change time, and what runs."""
    shown = "wg showconf wg0; ip -o address show dev wg0; ip route; nft -s list ruleset"
    return branch.router.times("/etc", "/var/spool"), branch.router.sh(shown)


def test_a_bad_change_stops_after_the_canary_and_nineteen_branches_never_saw_it(
    many: Many, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    many.topology.ship()
    before = everywhere(traces, many.topology.branches)
    many.noc.routers = {"hq": {"endpoint": "vpn.example.com:51999"}}
    many.noc.write()
    run = many.noc.fleet("sync", "--yes", "--json", "--confirm-within", str(WINDOW_SECONDS))
    assert run.code == 5, run.said
    outcomes = run.outcomes()
    (canary,) = (name for name, outcome in outcomes.items() if outcome == "rolled back")
    others = [branch for branch in many.topology.branches if branch.name != canary]
    assert len(others) == 19
    assert {run.router(branch.name)["summary"] for branch in others} == {
        f"not begun, because {canary} did not come through the same change"
    }
    entries = many.noc.fleet("history", "--json", run.json()["run"]).json()["entries"]
    assert {entry["router"] for entry in entries if entry["phase"] in ("apply", "applied", "roll back")} == {canary}
    after = everywhere(traces, many.topology.branches)
    names = [branch.name for branch in many.topology.branches]
    assert {name for name, was, now in zip(names, before, after, strict=True) if was != now} <= {canary}
    lost = next(branch for branch in many.topology.branches if branch.name == canary)
    back = eventually(lambda: reaches(lost.host, many.topology.hub.host_address), within=30)
    many.noc.routers = {}
    many.noc.write()
    again = many.noc.fleet("plan", "--json")
    with capsys.disabled():
        print(f"\n20 branches, bad change: stopped in {run.json()['seconds']:.0f} s, all in {time.monotonic() - began:.0f} s")
        print(f"  {canary}: {run.router(canary)['summary']}")
    record_property("seconds", time.monotonic() - began)
    assert back is not None
    assert (again.code, set(again.outcomes().values())) == (0, {"in sync"}), again.said
