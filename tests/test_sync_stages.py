"""Stages of one sync: addresses are made before they are broken, and who answers late is still written."""

from __future__ import annotations

import pytest
from simulated import SimulatedFleet, three_sites

from fleet.sync.writing import Writing


@pytest.fixture
def sites(tmp_path, monkeypatch):
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    net = three_sites(tmp_path)
    yield net
    net.close()


def addresses(net: SimulatedFleet, name: str) -> set[str]:
    return {row["address"] for row in net[name].rows("/ip/address") if row["interface"] == "wg0"}


def allowed(net: SimulatedFleet, peer: str) -> set[str]:
    """Allowed addresses of a peer on the hub."""
    return set(net.peers("hq")[f"fleet:acme:{peer}"]["allowed-address"].split(","))


def test_a_router_that_moves_to_another_address_has_both_for_a_while(sites, monkeypatch):
    assert sites.sync().code == 0
    old = addresses(sites, "pune")
    sites.routers["pune"]["address"] = "10.100.0.99"
    seen: list[set[str]] = []
    three_stages = Writing._three_stages

    def watched(self, changes):
        three_stages(self, changes)
        seen.append(addresses(sites, "pune"))

    monkeypatch.setattr(Writing, "_three_stages", watched)
    done = sites.sync("--json")
    assert done.code == 0
    assert seen == [old | {"10.100.0.99/20"}, {"10.100.0.99/20"}]
    assert any("two stages" in note for note in done.json["notes"])


def test_the_hub_takes_the_old_address_until_the_router_has_the_new_one(sites):
    assert sites.sync().code == 0
    before = allowed(sites, "pune")
    sites.routers["pune"]["address"] = "10.100.0.99"
    sites["pune"].set_offline()
    assert sites.sync().code == 6
    assert allowed(sites, "pune") == before | {"10.100.0.99/32"}
    sites["pune"].set_offline(False)
    assert sites.sync().code == 0
    assert allowed(sites, "pune") == (before - {address for address in before if address.startswith("10.100.0.")}) | {
        "10.100.0.99/32"
    }
    assert sites.run("plan").code == 0


def test_a_router_that_answers_late_is_written_in_the_same_run(sites, monkeypatch):
    assert sites.sync().code == 0
    monkeypatch.setattr("fleet.sync.FIRST_PATIENCE", 0.0)
    sites["pune"].set_offline()
    sites["pune"].delete("/ip/address", next(r[".id"] for r in sites["pune"].rows("/ip/address") if r["interface"] == "wg0"))
    stage = Writing._stage

    def back(self, names, part):
        stage(self, names, part)
        sites["pune"].set_offline(False)

    monkeypatch.setattr(Writing, "_stage", back)
    done = sites.sync("--json")
    assert done.outcomes()["pune"] == "changed"
    assert done.code == 0
