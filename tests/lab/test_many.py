"""Twenty branches, as many as fit on a small machine: the same promises, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .measure import wg_peers
from .product import Noc, Run, unreachable_lans
from .topology import Topology, build

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
