"""No secret leaves by any door: output, journal, state, arguments, exceptions, files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from simulated import PASSWORD, SimulatedFleet

from fleet.secrets import FleetSecret


def secrets_of(net: SimulatedFleet) -> dict[str, str]:
    """Everything that must never be seen, by what it is."""
    found = {"password": PASSWORD}
    fleet_secret = FleetSecret.locate(net.folder)
    if fleet_secret is not None:
        found["fleet secret"] = fleet_secret.reveal()
    for name, simulator in net.simulators.items():
        for row in simulator.rows("/interface/wireguard"):
            found[f"private key of {name}"] = row["private-key"]
        for row in simulator.rows("/interface/wireguard/peers"):
            if row.get("preshared-key"):
                found[f"preshared key on {name} for {row['comment']}"] = row["preshared-key"]
    return found


def seen_in(text: str, net: SimulatedFleet) -> list[str]:
    return [what for what, secret in secrets_of(net).items() if secret in text]


def disturb(net: SimulatedFleet) -> None:
    """One of everything that makes fleet say something: drift, refusal, a stranger, a wrong login, a lost hub."""
    net["hq"].delete("/interface/wireguard", "wg0")
    net["pune"].fault("/interface/wireguard/peers/set", "trap", message="failure: simulated")
    net["pune"].change("/interface/wireguard/peers", net.peers("pune")["fleet:acme:hq"][".id"], persistent_keepalive="7s")
    net["mumbai"].change("/interface/wireguard", "wg0", private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")


def test_there_is_something_to_hide(synced):
    kinds = {what.split(" of ")[0].split(" on ")[0] for what in secrets_of(synced)}
    assert kinds == {"password", "fleet secret", "private key", "preshared key"}


@pytest.mark.parametrize(
    "command",
    [
        ("plan",),
        ("plan", "--native"),
        ("plan", "--native", "--json"),
        ("plan", "--offline"),
        ("check", "--table"),
        ("check", "--login"),
        ("status", "--deep"),
        ("show", "hq"),
        ("show", "mumbai", "--json"),
        ("trust", "mumbai", "--yes"),
        ("history",),
        ("sync", "--yes"),
        ("sync", "--yes", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_secret_is_said_at_vv_in_a_fleet_where_everything_goes_wrong(synced, command):
    secret = secrets_of(synced)
    disturb(synced)
    secret |= secrets_of(synced)
    done = synced.run("-vv", *command)
    secret |= secrets_of(synced)
    assert [what for what, value in secret.items() if value in done.said] == []


def test_nothing_secret_is_said_at_vv_in_a_first_sync(blank):
    done = blank.run("-vv", "sync", "--yes", "--json")
    assert done.code == 0
    assert seen_in(done.said, blank) == []


def test_a_wrong_password_is_in_no_word_that_is_said(synced):
    done = synced.run("-vv", "sync", "--yes", FLEET_TEST_PASSWORD="the-wrong-one-4711")
    assert done.code == 1
    assert "the-wrong-one-4711" not in done.said


def test_nothing_secret_is_in_the_bytes_of_any_file_but_the_secret_itself(synced):
    disturb(synced)
    synced.sync()
    secret = secrets_of(synced)
    files = [path for path in synced.folder.rglob("*") if path.is_file() and path.name != "secret"]
    assert any(path.name == "state.db" for path in files)
    leaks = [(path.name, what) for path in files for what, value in secret.items() if value.encode() in path.read_bytes()]
    assert leaks == []


def test_nothing_secret_is_in_any_row_of_the_state(synced):
    disturb(synced)
    synced.sync()
    secret = secrets_of(synced)
    database = sqlite3.connect(synced.folder / ".fleet" / "state.db")
    try:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        text = "\n".join(repr(row) for table in tables for row in database.execute(f'select * from "{table}"'))
    finally:
        database.close()
    assert "public key" in text
    assert [what for what, value in secret.items() if value in text] == []


def test_the_key_of_the_only_hub_is_in_escrow_and_sealed(synced):
    with synced.state() as state:
        escrow = state.get_escrow("acme", "hq")
    assert escrow is not None
    assert escrow.public_key == synced.interface("hq")["public-key"]
    assert synced.interface("hq")["private-key"].encode() not in escrow.sealed


def test_private_keys_of_spokes_are_never_sent_or_read(blank):
    assert blank.sync().code == 0
    for name in ("mumbai", "pune"):
        for command in blank[name].log:
            assert "private-key" not in command.attributes
            assert "private-key" not in command.attributes.get(".proplist", "")


def test_no_secret_is_in_the_arguments_or_the_environment_of_a_process_that_a_sync_starts(blank, monkeypatch, tmp_path):
    started: list[str] = []
    import subprocess

    genuine = subprocess.Popen.__init__

    def started_with(self, arguments, *rest, **keywords):
        started.append(repr(arguments))
        genuine(self, arguments, *rest, **keywords)

    monkeypatch.setattr(subprocess.Popen, "__init__", started_with)
    blank.defaults["password"] = 'cmd:printf %s "$FLEET_TEST_PASSWORD"'
    assert blank.sync().code == 0
    assert any("printf" in arguments for arguments in started)
    assert seen_in("\n".join(started), blank) == []


def test_a_secret_asked_of_a_command_is_asked_once_per_run(blank, tmp_path):
    asked = tmp_path / "asked"
    blank.defaults["password"] = f"cmd:echo once >> {asked}; printf %s {PASSWORD}"
    assert blank.sync().code == 0
    assert asked.read_text() == "once\n"


def test_render_has_no_private_key_and_has_preshared_keys_only_with_the_secret(synced):
    shown = synced.run("render", "mumbai").out
    assert [what for what in seen_in(shown, synced) if "private" in what or "secret" in what] == []
    preshared = synced.peers("mumbai")["fleet:acme:hq"]["preshared-key"]
    assert f"PresharedKey = {preshared}" in shown
    secret = synced.folder / ".fleet" / "secret"
    secret.rename(synced.folder / "elsewhere")
    assert preshared not in synced.run("render", "mumbai").said


def test_a_bare_secret_in_the_inventory_is_refused_and_not_repeated(blank):
    blank.defaults["password"] = PASSWORD
    done = blank.run("plan")
    assert done.code == 3
    assert PASSWORD not in done.said


def test_the_secret_file_stays_out_of_git(synced):
    assert (synced.folder / ".fleet" / ".gitignore").read_text().strip() == "*"


def test_nothing_is_written_outside_the_folder_of_the_inventory(blank, tmp_path):
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(blank.folder)}
    assert blank.sync().code == 0
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(blank.folder)}
    assert before == after
    assert Path(blank.folder / ".fleet" / "state.db").exists()
