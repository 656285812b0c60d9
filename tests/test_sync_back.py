"""`sync --back-to RUN`: routers are what that run confirmed, and the inventory is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated import Result, SimulatedFleet, three_sites

from fleet.model import PublicKey


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedFleet]:
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    net = three_sites(tmp_path, lan_supernets=[])
    yield net
    net.close()


def synced(net: SimulatedFleet, *arguments: str) -> str:
    """Sync and be in sync; the run."""
    done = net.sync("--json", *arguments)
    assert done.code == 0, done.said
    return str(done.json["run"])


def allowed(net: SimulatedFleet, router: str, peer: str) -> set[str]:
    return set(net.peers(router)[f"fleet:acme:{peer}"]["allowed-address"].split(","))


def changed(net: SimulatedFleet) -> None:
    net.routers["pune"] |= {"lans": ["192.168.31.0/24"], "mtu": 1380}


def test_a_fleet_is_brought_back_to_what_a_run_confirmed(sites):
    first = synced(sites)
    before = {name: (sites.interface(name)["mtu"], sites.peers(name).keys()) for name in sites.simulators}
    carried = allowed(sites, "hq", "pune")
    changed(sites)
    synced(sites)
    assert allowed(sites, "hq", "pune") != carried
    synced(sites, "--back-to", first)
    assert {name: (sites.interface(name)["mtu"], sites.peers(name).keys()) for name in sites.simulators} == before
    assert allowed(sites, "hq", "pune") == carried
    assert sites.ether.ping(sites["pune"], "192.168.30.1", "192.168.1.1")
    assert sites.run("plan", "--back-to", first).code == 0


def test_after_going_back_the_next_plan_shows_the_inventory_again_as_intent_and_the_sync_says_so(sites):
    first = synced(sites)
    changed(sites)
    synced(sites)
    done = sites.sync("--back-to", first)
    assert (
        f"back to what run {first} confirmed; where the inventory says otherwise, the next `fleet plan` shows that" in done.out
    )
    plan = sites.run("plan", "--json")
    assert plan.code == 2
    reasons = {change["reason"] for router in plan.json["routers"] for change in router["changes"]}
    assert reasons == {"intent"}


def test_a_plan_shows_what_going_back_would_change_and_writes_nothing(sites):
    first = synced(sites)
    changed(sites)
    synced(sites)
    sites.reset_counters()
    plan = sites.run("plan", "--back-to", first)
    assert plan.code == 2
    assert "192.168.30.0/24" in plan.out
    assert f"`fleet sync --back-to {first}`" in plan.err
    assert set(sites.writes().values()) == {0}


def test_a_reviewed_plan_that_goes_back_is_run_as_such(sites, tmp_path):
    first = synced(sites)
    changed(sites)
    synced(sites)
    file = str(tmp_path / "back.plan")
    assert sites.run("plan", "--back-to", first, "--out", file).code == 2
    synced(sites, "--plan", file)
    assert sites.interface("pune")["mtu"] == "1420"


def test_one_router_goes_back_with_its_peer_on_the_hub_and_nothing_else_does(sites):
    first = synced(sites)
    changed(sites)
    sites.routers["mumbai"]["mtu"] = 1400
    synced(sites)
    synced(sites, "pune", "--back-to", first)
    assert "192.168.30.0/24" in allowed(sites, "hq", "pune")
    assert sites.interface("pune")["mtu"] == "1420"
    assert sites.interface("mumbai")["mtu"] == "1400"


def test_a_revoked_key_does_not_come_back(sites):
    first = synced(sites)
    key = PublicKey(sites.interface("mumbai")["public-key"])
    del sites.routers["mumbai"]
    synced(sites)
    sites.state().tombstone("acme", key, "mumbai")
    done = sites.sync("--back-to", first)
    assert done.code == 0
    assert "not brought back: mumbai" in done.out
    assert "fleet:acme:mumbai" not in sites.peers("hq")


def test_a_suspended_router_stays_out(sites):
    first = synced(sites)
    sites.routers["mumbai"]["enabled"] = False
    synced(sites)
    assert sites.sync("--back-to", first).code == 0
    assert "fleet:acme:mumbai" not in sites.peers("hq")


def test_a_router_that_joined_later_keeps_its_tunnel_although_its_hub_goes_back(sites):
    first = synced(sites)
    sites.add("surat", 40)
    synced(sites)
    sites.overlay["mtu"] = 1400
    synced(sites)
    done = sites.sync("--back-to", first, "--limit", "!surat")
    assert done.code == 0
    assert "joined after run" in done.out
    assert sites.interface("hq")["mtu"] == "1420"
    assert "fleet:acme:surat" in sites.peers("hq")


def test_keys_stay_those_of_today(sites):
    first = synced(sites)
    changed(sites)
    synced(sites)
    key = sites.interface("pune")["public-key"]
    synced(sites, "--back-to", first)
    assert sites.interface("pune")["public-key"] == key


@pytest.mark.parametrize("command", [("plan",), ("sync", "--yes")])
def test_a_router_of_which_a_run_kept_nothing_is_said_and_nothing_is_contacted(sites, command):
    first = synced(sites)
    sites.add("surat", 40)
    synced(sites)
    sites.reset_counters()
    refused: Result = sites.run(*command, "--back-to", first)
    assert refused.code == 3
    assert f"no configuration of surat from run {first} to go back to: that run did not confirm it" in refused.err
    assert "--limit '!surat'" in refused.err
    assert sum(simulator.counters.connections for simulator in sites.simulators.values()) == 0


def test_an_unknown_run_is_a_usage_error_with_the_next_action(sites):
    synced(sites)
    refused = sites.run("plan", "--back-to", "20200101-000000-dead")
    assert refused.code == 3
    assert "no run '20200101-000000-dead' of acme" in refused.err
    assert "fleet history" in refused.err


def test_another_overlay_address_since_then_is_refused_with_what_to_write(sites):
    first = synced(sites)
    old = sites.state().facts("acme")["pune"].addresses[0]
    sites.routers["pune"]["address"] = "10.100.0.99"
    synced(sites)
    refused = sites.run("sync", "--yes", "--back-to", first)
    assert refused.code == 3
    assert f"write `address: {old}` for pune" in refused.err
