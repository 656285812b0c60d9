"""What fleet remembers, and what becomes of a fleet when that is lost, copied, or used by two at once."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from simulated import SimulatedFleet, three_sites

from fleet import keys
from fleet.errors import LockHeld
from fleet.model import Secret
from fleet.secrets import FleetSecret
from fleet.state import Owner


def with_secret_id(net: SimulatedFleet) -> str:
    secret = FleetSecret.locate(net.folder)
    assert secret is not None
    net.overlay["secret_id"] = keys.secret_fingerprint(secret)
    return str(net.overlay["secret_id"])


# ------------------------------------------------------------------------------------------------------ state lost
@pytest.mark.parametrize("given", [False, True], ids=["allocated addresses", "addresses in the inventory"])
def test_with_the_state_gone_and_the_secret_kept_a_plan_is_empty_again(tmp_path, given):
    net = three_sites(tmp_path)
    try:
        if given:
            for number, router in enumerate(net.routers.values(), 10):
                router["address"] = f"10.100.0.{number}"
        assert net.sync().code == 0
        facts = net.state().facts("acme")
        net.lose_state()
        seen = net.run("plan", "--json")
        assert seen.code == 0
        assert set(seen.outcomes().values()) == {"in sync"}
        net.reset_counters()
        assert net.sync().code == 0
        assert set(net.writes().values()) == {0}
        assert net.state().facts("acme") == facts
    finally:
        net.close()


def test_with_the_state_gone_addresses_out_of_order_are_kept_not_allocated_again(synced):
    synced.routers = dict(reversed(synced.routers.items()))
    synced.lose_state()
    assert synced.run("plan").code == 0


def test_with_the_state_gone_the_address_of_a_router_that_is_off_is_not_given_away(synced):
    synced["mumbai"].set_offline()
    synced.lose_state()
    synced.add("surat", 60)
    done = synced.sync("--json")
    assert done.code == 6
    assert synced.state().facts("acme")["surat"].addresses[0] not in synced.state().facts("acme")["mumbai"].addresses
    synced["mumbai"].set_offline(False)
    assert synced.sync().code == 0
    assert synced.run("status").code == 0


def test_with_the_state_gone_the_address_of_a_router_taken_out_of_the_file_meanwhile_is_not_given_away(synced):
    left = synced.state().facts("acme")["mumbai"].addresses
    del synced.routers["mumbai"]
    synced.lose_state()
    synced.add("surat", 60)
    assert synced.sync().code == 0
    assert synced.state().facts("acme")["surat"].addresses != left


def test_with_the_state_gone_and_a_hub_unread_nothing_is_allocated(synced):
    synced["hq"].set_offline()
    synced.lose_state()
    synced.add("surat", 60)
    before = synced.snapshots()
    for command in (("plan",), ("sync", "--yes")):
        done = synced.run(*command)
        assert done.code == 4
        assert "the state is empty and hub hq cannot be read" in done.err
        assert "bring hq back, restore the state, or write `address:` for" in done.err
    assert synced.snapshots() == before
    assert synced.state().facts("acme") == {}


def test_with_the_state_gone_and_a_hub_unread_given_addresses_suffice(tmp_path):
    net = three_sites(tmp_path)
    try:
        for number, router in enumerate(net.routers.values(), 1):
            router["address"] = f"10.100.0.{number}"
        assert net.sync().code == 0
        net.lose_state()
        net["hq"].set_offline()
        assert net.run("plan").code == 0
    finally:
        net.close()


def test_a_state_of_another_overlay_in_the_same_folder_is_not_taken_for_ours(synced):
    with synced.state() as state:
        state.pin("other", "hq", public_key=None, addresses=())
    synced["hq"].set_offline()
    with sqlite3.connect(synced.folder / ".fleet" / "state.db") as database:
        database.execute("delete from pins where overlay = 'acme'")
    database.close()
    assert synced.run("plan").code == 4


def test_without_the_state_who_has_escrow_is_not_known_and_check_login_says_so(synced):
    synced.lose_state()
    assert "not in escrow" in synced.run("check", "--login").out


# ---------------------------------------------------------------------------------------------------- second clone
@pytest.fixture
def clone(synced, tmp_path):
    """The same inventory on another machine, without the secret."""
    with_secret_id(synced)
    synced.write()
    other = SimulatedFleet(tmp_path / "clone")
    other.overlay, other.routers, other.simulators = synced.overlay, synced.routers, synced.simulators
    other.write()
    return other


@pytest.mark.parametrize("command", [("plan",), ("sync", "--yes"), ("sync", "--yes", "--json"), ("status",), ("trust", "pune")])
def test_a_second_clone_without_the_secret_exits_3_says_where_to_get_it_and_writes_nothing_anywhere(clone, command):
    files, routers = clone.listing(), clone.snapshots()
    clone.reset_counters()
    done = clone.run(*command)
    assert done.code == 3
    assert done.out == ""
    assert f"fleet secret {clone.overlay['secret_id']} of overlay acme is not here" in done.err
    assert "copy .fleet/secret from the machine that made this fleet" in done.err
    assert {name: what for name, what in clone.listing().items() if name != "acme.yaml"} == {
        name: what for name, what in files.items() if name != "acme.yaml"
    }
    assert clone.snapshots() == routers
    assert [simulator.counters.connections for simulator in clone.simulators.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    "command", [("check",), ("check", "--table"), ("plan", "--offline"), ("render", "mumbai"), ("history",), ("drivers",)]
)
def test_what_needs_no_secret_works_in_a_second_clone_and_leaves_no_file(clone, command):
    assert clone.run(*command).code == 0
    assert list(clone.listing()) == ["acme.yaml"]


def test_check_login_works_in_a_second_clone(clone):
    assert clone.run("check", "--login").code == 0


def test_the_secret_copied_into_a_second_clone_makes_its_plan_empty(clone, synced):
    (clone.folder / ".fleet").mkdir(mode=0o700)
    shutil.copy(synced.folder / ".fleet" / "secret", clone.folder / ".fleet" / "secret")
    assert clone.run("plan").code == 0


def test_the_secret_may_come_from_the_environment(clone, synced):
    secret = FleetSecret.locate(synced.folder)
    assert isinstance(secret, Secret)
    assert clone.run("plan", FLEET_SECRET="env:VAULT", VAULT=secret.reveal()).code == 0
    wrong = clone.run("plan", FLEET_SECRET="env:VAULT", VAULT="another")
    assert wrong.code == 3
    assert "FLEET_SECRET holds fleet secret" in wrong.err


def test_without_secret_id_no_second_secret_is_made_while_routers_hold_something_of_ours(clone):
    del clone.overlay["secret_id"]
    before = clone.snapshots()
    done = clone.sync()
    assert done.code == 3
    assert "the fleet secret is missing and hq already holds something of this fleet" in done.err
    assert clone.snapshots() == before
    assert not (clone.folder / ".fleet" / "secret").exists()


def test_a_fleet_without_preshared_keys_and_escrow_needs_no_secret(tmp_path):
    net = three_sites(tmp_path, preshared_keys=False)
    try:
        net.routers["hq"]["keys"] = {"custody": "device"}
        assert net.sync().code == 0
        assert not (net.folder / ".fleet" / "secret").exists()
    finally:
        net.close()


# -------------------------------------------------------------------------------------------------------- two at once
def test_of_two_operators_at_once_the_second_is_refused_and_told_who(synced):
    other = Owner("noc-2", "another boot", 4711, "12345", "maria@noc-2", "sync")
    with synced.state() as state, state.lock("acme", other):
        done = synced.sync()
    assert done.code == 4
    assert "acme is being written by maria@noc-2 (`fleet sync`, process 4711 on noc-2)" in done.err
    assert set(synced.writes().values()) == {0}


def test_reading_needs_no_lock(synced):
    other = Owner("noc-2", "another boot", 4711, "12345", "maria@noc-2", "sync")
    with synced.state() as state, state.lock("acme", other):
        assert synced.run("plan").code == 0
        assert synced.run("status").code == 0


def test_trust_is_refused_while_somebody_else_writes(synced):
    synced["pune"].change("/interface/wireguard", "wg0", private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
    other = Owner("noc-2", "another boot", 4711, "12345", "maria@noc-2", "sync")
    with synced.state() as state, state.lock("acme", other):
        assert synced.run("trust", "pune", "--yes").code == 4
    assert synced.sync().code == 1


def test_the_lock_of_a_process_that_is_gone_is_taken_over(synced):
    gone = Owner.current("sync")
    gone = Owner(gone.host, gone.boot_id, gone.pid, "1", gone.actor, "sync")
    with synced.state() as state:
        lock = state.lock("acme", gone)
        lock.__enter__()
        try:
            assert synced.sync().code == 0
        finally:
            lock.__exit__(None, None, None)


def test_a_run_that_lost_its_lock_writes_on_no_further_router(synced, monkeypatch):
    synced["hq"].delete("/interface/wireguard/peers", synced.peers("hq")["fleet:acme:pune"][".id"])

    def lost(self):
        raise LockHeld("this run lost the lock of acme", "see `fleet history`")

    monkeypatch.setattr("fleet.state.lock.Lock.check", lost)
    done = synced.sync("--json")
    assert done.code == 4
    assert synced.writes()["hq"] == 0


# ----------------------------------------------------------------------------------------------------------- history
def test_history_tells_who_when_and_which_routers(synced):
    runs = synced.run("history", "--json").json["runs"]
    assert [run["actor"] for run in runs] == ["noc@desk"]
    assert runs[0]["routers"] == ["hq", "mumbai", "pune"]
    assert runs[0]["exit_code"] == 0
    shown = synced.run("history").out
    assert "noc@desk" in shown


def test_history_of_a_run_has_every_step_in_order(synced):
    run = synced.run("history", "--json").json["runs"][0]["id"]
    entries = synced.run("history", run, "--json").json["entries"]
    phases = [entry["phase"] for entry in entries if entry["router"] == "pune"]
    assert phases[0] == "apply"
    assert phases[-1] == "outcome"
    assert "pin" in phases
    assert synced.run("history", run).out.count("\n") == len(entries)


def test_history_before_the_first_run_says_what_makes_one_and_writes_nothing(blank):
    done = blank.run("history")
    assert done.code == 0
    assert "`fleet sync` makes the first" in done.err
    assert not (blank.folder / ".fleet").exists()


def test_a_run_that_does_not_exist_is_a_usage_error(synced):
    assert synced.run("history", "20200101-000000-aaaa").code == 3


def test_history_shows_a_failed_run_and_its_exit_code(synced):
    synced.routers["pune"]["password"] = "env:WRONG"
    assert synced.run("sync", "--yes", WRONG="x").code == 1
    assert synced.run("history", "--last", "1", "--json").json["runs"][0]["exit_code"] == 1


# -------------------------------------------------------------------------------------------------------- the files
def test_state_and_secret_can_be_read_by_nobody_else(synced):
    modes = {path.name: path.stat().st_mode & 0o777 for path in (synced.folder / ".fleet").iterdir()}
    assert modes.pop(".gitignore")
    assert set(modes.values()) == {0o600}
    assert (synced.folder / ".fleet").stat().st_mode & 0o777 == 0o700


def test_a_second_sync_changes_no_row_of_pins_and_keys(synced):
    def rows():
        with sqlite3.connect(synced.folder / ".fleet" / "state.db") as database:
            return [
                database.execute(f"select * from {table}").fetchall()
                for table in ("pins", "identities", "escrow", "tombstones")
            ]

    before = rows()
    assert synced.sync().code == 0
    assert rows() == before


def test_a_state_elsewhere_is_used_from_the_option_and_from_the_environment(blank, tmp_path):
    place = tmp_path / "elsewhere.db"
    assert blank.run("--state", str(place), "sync", "--yes").code == 0
    assert not (blank.folder / ".fleet" / "state.db").exists()
    assert blank.run("plan", FLEET_STATE=f"sqlite:///{place}").code == 0
    assert "noc@desk" in blank.run("history", FLEET_STATE=str(place)).out


def test_a_damaged_state_is_an_error_that_says_what_to_do(synced):
    database = synced.folder / ".fleet" / "state.db"
    for path in database.parent.glob("state.db-*"):
        path.unlink()
    database.write_bytes(b"this is no database" * 100)
    done = synced.run("plan")
    assert done.code == 3
    assert "rebuilt from the routers" in done.err
