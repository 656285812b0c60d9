"""`make bench` measures what it says: its counters count, its ratios divide. No time is asserted."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fleet.testing.bench import __main__ as program
from fleet.testing.bench.clock import timed
from fleet.testing.bench.farms import FARM, MikrotikRouter
from fleet.testing.bench.network import Network
from fleet.testing.bench.planning import mesh, plan_all, star
from fleet.testing.bench.ratios import Ratio, ratios

pytestmark = pytest.mark.xdist_group("bench")

TINY = {"mesh": 8, "star": 10, "many": 3, "small": 1, "hub": 3, "sites": 3}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return program.measure(TINY, Console(file=io.StringIO()))


def test_every_pair_of_a_mesh_is_planned() -> None:
    assert plan_all(mesh(8)) == 8 * 7


def test_every_spoke_of_a_hub_is_planned_on_both_ends() -> None:
    assert plan_all(star(10)) == 20


def test_the_mesh_is_written_as_files(tmp_path: Path) -> None:
    plan_all(mesh(3), folder=tmp_path)
    assert (tmp_path / "r1.conf").read_text().count("[Peer]") == 2


def test_waiting_costs_no_processor() -> None:
    timing = timed(lambda: time.sleep(0.05))
    assert timing.cpu < timing.wall


@pytest.mark.parametrize("kind", FARM)
def test_a_noop_is_one_read_of_the_hub_and_writes_nothing(found: dict[str, Any], kind: str) -> None:
    for hub in found["hubs"][kind]:
        assert hub["noop"]["round_trips"] == 1
        assert hub["noop_writes_anywhere"] == 0


def test_a_controller_is_asked_within_the_budget_and_one_site_is_one_write(found: dict[str, Any]) -> None:
    (run,) = found["controllers"]
    assert run["noop"]["writes"] == 0
    assert run["noop"]["requests"] <= 4 * run["sites"] + 3 + 2  # two of the login
    assert run["one_site"]["writes"] == run["one_site_selected"]["writes"] == 1
    assert run["one_site"]["requests"] - run["noop"]["requests"] <= 12


@pytest.mark.parametrize("kind", FARM)
def test_one_more_spoke_writes_to_no_other_spoke(found: dict[str, Any], kind: str) -> None:
    assert found["hubs"][kind][1]["writes_on_other_spokes"] == 0


@pytest.mark.parametrize("kind", FARM)
def test_one_more_spoke_is_more_traffic_than_none(found: dict[str, Any], kind: str) -> None:
    hub = found["hubs"][kind][1]
    assert hub["one_more_spoke"]["bytes_sent"] > hub["noop"]["bytes_sent"] > 0


@pytest.mark.parametrize("kind", FARM)
def test_a_guard_costs_at_most_four_round_trips_more(found: dict[str, Any], kind: str) -> None:
    costs = found["guards"][kind]
    assert 0 < costs["guarded"]["round_trips"] - costs["unguarded"]["round_trips"] <= 4


def test_every_driver_of_the_farm_has_its_figures_in_the_table(found: dict[str, Any]) -> None:
    said = [row["what"] for row in found["ratios"]]
    assert all(f"one peer more under guard, {kind}" in said for kind in FARM)


def test_the_artificial_round_trip_is_really_waited_for(found: dict[str, Any]) -> None:
    assert found["many"][1]["read_seconds"] >= 2 * 0.05


def test_a_hub_counts_from_the_reset(tmp_path: Path) -> None:
    with Network("mikrotik", 1, tmp_path) as network:
        network.read()
        network.reset()
        assert network.at_hub().round_trips == 0
        network.read()
        assert network.at_hub().round_trips == 1


def test_a_sync_of_the_bench_network_makes_real_peers(tmp_path: Path) -> None:
    with Network("mikrotik", 2, tmp_path) as network:
        network.sync()
        assert isinstance(network.hub, MikrotikRouter)
        assert len(network.hub.simulator.rows("/interface/wireguard/peers")) == 2


def test_a_ratio_is_the_figure_by_the_other() -> None:
    assert Ratio("a", 3.0, "s", "b", 2.0, "below 1").ratio == 1.5


def test_without_the_other_there_is_no_ratio() -> None:
    assert Ratio("a", 3.0, "s", "b", None, "below 1").ratio is None


def test_the_table_shows_every_ratio(found: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(program.table(ratios(found)))
    assert isinstance(console.file, io.StringIO)
    assert len(console.file.getvalue().splitlines()) == 1 + len(found["ratios"])


def test_the_program_writes_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    monkeypatch.setattr(program, "measure", lambda sizes, say: found)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--json", str(tmp_path / "bench.json")])
    program.main()
    assert json.loads((tmp_path / "bench.json").read_text())["ratios"][0]["what"].startswith("plan a mesh of 8")
