"""What was reviewed is what runs: `plan --out FILE`, then `sync --plan FILE`, which refuses whatever moved in between."""

from __future__ import annotations

import datetime as dt
import json
import types
from pathlib import Path

import pytest
from simulated import SimulatedFleet, three_sites


@pytest.fixture
def night(synced: SimulatedFleet, tmp_path: Path) -> Path:
    """A plan file for a LAN that pune is to have."""
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    file = tmp_path / "night.plan"
    assert synced.run("plan", "--out", str(file)).code == 2
    synced.reset_counters()
    return file


def nothing_written(net: SimulatedFleet) -> bool:
    return set(net.writes().values()) == {0}


# ------------------------------------------------------------------------------------------------------- as reviewed
def test_a_plan_file_runs_without_a_question_and_does_what_it_showed(synced, night):
    assert synced.run("sync", "--plan", str(night)).code == 0
    assert "192.168.31.0/24" in synced.peers("hq")["fleet:acme:pune"]["allowed-address"]
    assert synced.run("plan").code == 0


def test_the_plan_says_with_which_command_it_is_applied(synced, night, tmp_path):
    again = synced.run("plan", "--out", str(tmp_path / "again.plan"))
    assert f"apply it with `fleet sync --plan {tmp_path / 'again.plan'}`" in again.err


def test_a_plan_file_holds_the_plan_as_json_prints_it(synced, night):
    held = json.loads(night.read_text())
    shown = synced.run("plan", "--json").json
    for one in (held["plan"], shown):
        one.pop("seconds")
    assert held["plan"] == shown
    assert held["fingerprint"] == shown["fingerprint"]
    assert held["actor"] == "noc@desk"


def test_a_plan_file_holds_no_secret(synced, night):
    text = night.read_text()
    kept = [(synced.folder / ".fleet" / "secret").read_text().strip(), "pass-word-of-the-management-account"]
    kept += [row["preshared-key"] for row in synced.peers("hq").values()]
    assert [secret for secret in kept if secret in text] == []


def test_the_journal_knows_which_plan_a_run_was_of(synced, night):
    assert synced.run("sync", "--plan", str(night)).code == 0
    (newest, *_) = synced.run("history", "--json").json["runs"]
    assert newest["plan_fingerprint"] == json.loads(night.read_text())["fingerprint"]


def test_a_plan_of_one_router_only_writes_to_no_other(synced, tmp_path):
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    synced.overlay["mtu"] = 1400
    file = tmp_path / "pune.plan"
    assert synced.run("plan", "pune", "--only", "--out", str(file)).code == 2
    synced.reset_counters()
    assert synced.run("sync", "--plan", str(file)).code == 0
    assert [name for name, writes in synced.writes().items() if writes] == ["pune"]


def test_a_plan_of_a_limit_runs_for_that_limit(synced, tmp_path):
    synced.overlay["mtu"] = 1400
    file = tmp_path / "limit.plan"
    assert synced.run("plan", "--limit", "mumbai", "--only", "--out", str(file)).code == 2
    synced.reset_counters()
    assert synced.run("sync", "--plan", str(file)).code == 0
    assert [name for name, writes in synced.writes().items() if writes] == ["mumbai"]


def test_a_plan_without_changes_runs_and_writes_nothing(synced, tmp_path):
    file = tmp_path / "quiet.plan"
    assert synced.run("plan", "--out", str(file)).code == 0
    assert synced.run("sync", "--plan", str(file)).code == 0
    assert nothing_written(synced)


def test_a_first_plan_is_made_before_any_key_and_runs(blank, tmp_path):
    file, secret = tmp_path / "first.plan", {"FLEET_SECRET": "env:FLEET_TEST_SECRET", "FLEET_TEST_SECRET": "A" * 43 + "="}
    assert blank.run("plan", "--out", str(file), **secret).code == 2
    assert blank.run("sync", "--plan", str(file), **secret).code == 0
    assert blank.ether.ping(blank["mumbai"], "192.168.20.1", "192.168.30.1")


# ----------------------------------------------------------------------------------------------------------- refused
def refused(net: SimulatedFleet, file: Path, why: str, code: int = 4) -> None:
    """Refused with this reason, one next action, and nothing written on any router."""
    before = net.snapshots()
    done = net.run("sync", "--plan", str(file))
    assert done.code == code, done.said
    assert why in done.err
    assert len(done.err.strip().splitlines()) == 2
    assert net.snapshots() == before
    assert nothing_written(net)


def test_a_plan_that_was_edited_is_refused(synced, night):
    held = json.loads(night.read_text())
    held["plan"]["routers"] = []
    night.write_text(json.dumps(held))
    refused(synced, night, "was edited after it was planned")


def test_a_plan_whose_selection_was_widened_is_refused(synced, tmp_path):
    synced.overlay["mtu"] = 1400
    file = tmp_path / "one.plan"
    synced.run("plan", "pune", "--only", "--out", str(file))
    synced.reset_counters()
    held = json.loads(file.read_text())
    held["names"] = []
    file.write_text(json.dumps(held))
    refused(synced, file, "was edited after it was planned")


def test_a_plan_of_yesterday_is_refused(synced, night, monkeypatch):
    class Tomorrow(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime.now(tz) + dt.timedelta(hours=24, minutes=1)

    clock = types.SimpleNamespace(datetime=Tomorrow, timedelta=dt.timedelta, UTC=dt.UTC)
    monkeypatch.setattr("fleet.planfile.dt", clock)
    refused(synced, night, "is good for 24 hours")


def test_a_plan_of_another_fleet_is_refused(synced, night, tmp_path):
    other = three_sites(tmp_path / "other", name="other")
    try:
        assert other.sync().code == 0
        other.reset_counters()
        refused(other, night, "is a plan of overlay 'acme', this is other")
    finally:
        other.close()


def test_a_plan_signed_with_another_secret_is_refused(synced, tmp_path):
    other = three_sites(tmp_path / "other")
    try:
        assert other.sync().code == 0
        file = tmp_path / "other.plan"
        assert other.run("plan", "--out", str(file)).code == 0
        refused(synced, file, "planned with another fleet secret")
    finally:
        other.close()


def test_a_plan_is_refused_when_a_router_moved(synced, night):
    held = synced.peers("hq")["fleet:acme:mumbai"]
    synced["hq"].change("/interface/wireguard/peers", held[".id"], allowed_address="10.100.0.2/32")
    refused(synced, night, "the inventory or the routers moved since the plan was made")


def test_a_plan_is_refused_when_the_inventory_moved(synced, night):
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.32.0/24"]
    refused(synced, night, "the inventory or the routers moved since the plan was made")


def test_a_plan_is_refused_when_a_router_does_not_answer_any_more(synced, night):
    synced["mumbai"].set_offline()
    refused(synced, night, "the inventory or the routers moved since the plan was made")


def test_what_is_foreign_may_move(synced, night):
    synced["hq"].insert("/interface/wireguard", name="vendor", listen_port=13231)
    synced.reset_counters()
    assert synced.run("sync", "--plan", str(night)).code == 0


def test_a_plan_runs_once(synced, night):
    assert synced.run("sync", "--plan", str(night)).code == 0
    synced.reset_counters()
    refused(synced, night, "the inventory or the routers moved since the plan was made")


@pytest.mark.parametrize("more", [("pune",), ("--limit", "pune"), ("--only",)])
def test_a_plan_says_itself_which_routers_it_is_for(synced, night, more):
    done = synced.run("sync", "--plan", str(night), *more)
    assert done.code == 3
    assert "a plan file says itself which routers it is for" in done.err
    assert nothing_written(synced)


def test_a_file_that_is_no_plan_is_a_usage_error(synced, tmp_path):
    file = tmp_path / "night.plan"
    file.write_text("routers: all\n")
    refused(synced, file, "is no plan file of this fleet version", code=3)


def test_a_file_that_is_not_there_is_a_usage_error(synced, tmp_path):
    refused(synced, tmp_path / "nowhere.plan", "cannot be read: No such file or directory", code=3)


def test_a_fleet_without_a_secret_cannot_sign_a_plan_and_says_how_to_make_one(blank, tmp_path):
    done = blank.run("plan", "--out", str(tmp_path / "night.plan"))
    assert done.code == 3
    assert "signed with the fleet secret" in done.err
    assert not (tmp_path / "night.plan").exists()


def test_a_plan_that_cannot_be_written_is_a_usage_error(synced, tmp_path):
    done = synced.run("plan", "--out", str(tmp_path / "no" / "such" / "folder.plan"))
    assert done.code == 3
    assert "cannot be written" in done.err
