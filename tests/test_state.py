from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from fleet.errors import LockHeld, PlanRefused, Rejected, UsageError
from fleet.keys import new_private_key, public_key_of, seal, unseal
from fleet.model import Fact, PublicKey, Secret
from fleet.state import Owner, State, actor, default_place, inventory_commit, open_state
from fleet.state import machine as machine_module
from fleet.state.schema import Base
from fleet.state.store import moment

A, B, C = (public_key_of(new_private_key()) for _ in range(3))
ONE, OTHER = ipaddress.ip_address("10.100.0.5"), ipaddress.ip_address("fd10:100::5")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return default_place(tmp_path)


@pytest.fixture
def state(place: Path) -> Iterator[State]:
    with open_state(place) as opened:
        yield opened


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


# ------------------------------------------------------------------------------------------------------- the file
def test_looking_at_a_fleet_leaves_no_files_behind(tmp_path: Path, state: State) -> None:
    assert state.facts("acme") == {}
    assert state.history("acme") == []
    assert state.confirmed("acme", "mumbai") is None
    assert list(tmp_path.iterdir()) == []


def test_the_state_is_readable_by_its_owner_only(tmp_path: Path, state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    folder = tmp_path / ".fleet"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name.startswith("state.db")}
    assert {"state.db", "state.db-wal", "state.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_state_that_others_could_read_is_closed_to_them(tmp_path: Path, place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    place.chmod(0o644)
    with open_state(place) as state:
        assert state.facts("acme")
    assert place.stat().st_mode & 0o777 == 0o600


def test_what_one_run_pins_the_next_one_knows(place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A, addresses=(ONE, OTHER), epoch=3, staged_key=B)
    with open_state(place) as state:
        assert state.facts("acme") == {"mumbai": Fact(A, (ONE, OTHER), 3, B)}


def test_a_closed_state_is_one_file_that_can_be_copied(place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    assert sorted(path.name for path in place.parent.iterdir()) == [".gitignore", "state.db"]


@pytest.mark.parametrize("spell", ["{}", "sqlite:///{}"])
def test_the_state_may_be_given_as_path_or_url(tmp_path: Path, spell: str) -> None:
    with open_state(spell.format(tmp_path / "elsewhere.db")) as state:
        state.pin("acme", "mumbai", public_key=A)
    assert (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://user:hunter2@db/fleet", "unknown kind of database"),
        ("postgresql://user:hunter2@db/fleet", "is not installed"),
        ("sqlite://", "names no file"),
        ("://", "not a database URL"),
    ],
)
def test_an_unusable_url_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught, open_state(url) as state:
        state.facts("acme")
    assert "hunter2" not in str(caught.value)


def test_a_state_of_a_newer_fleet_is_refused(place: Path) -> None:
    with open_state(place) as state:
        state.pin("acme", "mumbai", public_key=A)
    with sqlite3.connect(place) as database:
        database.execute("update schema_version set version = 99")
    database.close()
    with pytest.raises(UsageError, match="newer fleet") as caught, open_state(place) as state:
        state.facts("acme")
    assert "upgrade" in caught.value.hint


def test_a_damaged_state_says_how_it_is_rebuilt(place: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(b"no database at all" * 1000)
    with pytest.raises(UsageError) as caught, open_state(place) as state:
        state.facts("acme")
    assert "rebuilt from the routers" in caught.value.hint


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with open_state(tmp_path / "file" / "state.db") as state, pytest.raises(UsageError, match=r"file/state\.db") as caught:
        state.pin("acme", "mumbai", public_key=A)
    assert "--state" in caught.value.hint


def test_the_tables_can_be_made_in_postgresql() -> None:
    made = "".join(str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in Base.metadata.sorted_tables)
    assert "BYTEA" in made
    assert "DOUBLE" in made or "FLOAT(53)" in made


def test_many_threads_may_write_at_once(state: State) -> None:
    with ThreadPoolExecutor(16) as many:
        list(many.map(lambda number: state.pin("acme", f"r{number}", public_key=A, epoch=number), range(100)))
    assert {name: fact.epoch for name, fact in state.facts("acme").items()} == {f"r{n}": n for n in range(100)}


def test_processes_that_make_the_state_at_the_same_time_do_not_disturb_each_other(place: Path) -> None:
    script = (
        "import sys; from fleet.state import *; s = open_state(sys.argv[1]); s.pin('acme', sys.argv[2], epoch=1); s.close()"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(place), f"r{number}"]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    with open_state(place) as state:
        assert set(state.facts("acme")) == {"r0", "r1", "r2", "r3"}


# ------------------------------------------------------------------------------------------------------------ pins
def test_pinning_one_thing_keeps_the_others(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,), epoch=2)
    state.pin("acme", "mumbai", staged_key=B)
    assert state.facts("acme")["mumbai"] == Fact(A, (ONE,), 2, B)


def test_pinning_nothing_and_keeping_are_two_things(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, staged_key=B)
    state.pin("acme", "mumbai", staged_key=None)
    assert state.facts("acme")["mumbai"] == Fact(A)


def test_pinning_what_is_pinned_writes_nothing(place: Path, state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    written = (place.parent / "state.db-wal").stat()
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    after = (place.parent / "state.db-wal").stat()
    assert (after.st_size, after.st_mtime_ns) == (written.st_size, written.st_mtime_ns)


def test_many_routers_are_pinned_at_once_or_not_at_all(state: State) -> None:
    state.tombstone("acme", C)
    with pytest.raises(PlanRefused):
        state.pin_all("acme", {"mumbai": Fact(A), "pune": Fact(C)})
    assert state.facts("acme") == {}
    state.pin_all("acme", {"mumbai": Fact(A, (ONE,)), "pune": Fact(B)})
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,)), "pune": Fact(B)}
    assert state.fact("acme", "mumbai") == Fact(A, (ONE,))
    assert state.fact("acme", "delhi") is None


def test_overlays_do_not_see_each_other(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    assert state.facts("other") == {}
    assert state.identity("other", "mumbai") == {}


def test_identities_are_kept_by_kind_oldest_first(state: State) -> None:
    for kind, value in (("ssh", "ssh-rsa ZZZZ"), ("ssh", "ssh-ed25519 AAAA"), ("tls", "ab" * 32), ("ssh", "ssh-rsa ZZZZ")):
        state.pin_identity("acme", "mumbai", kind, value)
    assert state.identity("acme", "mumbai") == {"ssh": ("ssh-rsa ZZZZ", "ssh-ed25519 AAAA"), "tls": ("ab" * 32,)}


def test_forgetting_the_host_key_keeps_the_certificate(state: State) -> None:
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    state.pin_identity("acme", "mumbai", "tls", "ab" * 32)
    state.forget_identity("acme", "mumbai", "ssh")
    assert state.identity("acme", "mumbai") == {"tls": ("ab" * 32,)}


def test_a_revoked_key_can_never_be_pinned_again(state: State) -> None:
    state.tombstone("acme", A, "mumbai")
    with pytest.raises(PlanRefused, match="revoked for ever"):
        state.pin("acme", "pune", public_key=A)
    with pytest.raises(PlanRefused):
        state.pin("acme", "pune", staged_key=A)
    assert state.tombstones("acme") == {A}
    assert state.facts("acme") == {}


def test_revoking_twice_is_revoking(state: State) -> None:
    state.tombstone("acme", A)
    state.tombstone("acme", A)
    assert state.tombstones("acme") == {A}


# ------------------------------------------------------------------------------------------------- those that left
def at(state: State, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    now = time.time() + days * 86400
    monkeypatch.setattr(type(state), "now", lambda _self, _session: now)


def test_the_address_of_a_router_that_left_is_held_for_90_days(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", ["pune"])
    at(state, monkeypatch, 89)
    assert state.held("acme") == {"mumbai": (ONE,)}
    assert set(state.left("acme")) == {"mumbai"}
    at(state, monkeypatch, 91)
    assert state.held("acme") == {}
    assert state.facts("acme") == {}
    assert state.fact("acme", "mumbai") is None


def test_a_router_that_comes_back_has_its_key_and_address(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", [])
    state.note_present("acme", ["mumbai"])
    at(state, monkeypatch, 1000)
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,))}
    assert state.left("acme") == {}


def test_the_90_days_begin_once(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.note_present("acme", [])
    began = state.left("acme")["mumbai"]
    at(state, monkeypatch, 30)
    state.note_present("acme", [])
    assert state.left("acme")["mumbai"] == began


def test_the_address_of_a_router_in_the_inventory_is_held_too(state: State) -> None:
    state.pin("acme", "mumbai", addresses=(ONE,))
    assert state.held("acme") == {"mumbai": (ONE,)}


def test_a_forgotten_router_is_gone_with_its_address_and_keeps_its_tombstones(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A, addresses=(ONE,))
    state.pin_identity("acme", "mumbai", "ssh", "ssh-ed25519 AAAA")
    state.put_escrow("acme", "mumbai", b"sealed", A)
    state.set_confirmed("acme", "mumbai", fingerprint="f", objects={})
    state.tombstone("acme", B, "mumbai")
    state.forget("acme", "mumbai")
    assert (state.facts("acme"), state.identity("acme", "mumbai"), state.held("acme")) == ({}, {}, {})
    assert (state.get_escrow("acme", "mumbai"), state.confirmed("acme", "mumbai")) == (None, None)
    assert state.tombstones("acme") == {B}


# --------------------------------------------------------------------------------------------------------- renames
def test_a_renamed_router_keeps_all_that_is_known_of_it(state: State) -> None:
    state.pin("acme", "bombay", public_key=A, addresses=(ONE,), epoch=1)
    state.pin_identity("acme", "bombay", "ssh", "ssh-ed25519 AAAA")
    state.set_confirmed("acme", "bombay", fingerprint="f", objects={"wg0": "1"}, version="7.18")
    state.rename("acme", "bombay", "mumbai")
    assert state.facts("acme") == {"mumbai": Fact(A, (ONE,), 1)}
    assert state.identity("acme", "mumbai") == {"ssh": ("ssh-ed25519 AAAA",)}
    confirmed = state.confirmed("acme", "mumbai")
    assert confirmed is not None
    assert confirmed.version == "7.18"


def test_the_escrowed_key_of_a_renamed_router_can_still_be_opened(state: State) -> None:
    fleet_secret, private_key = Secret("fleet secret"), new_private_key()
    state.pin("acme", "bombay", public_key=public_key_of(private_key))
    state.put_escrow("acme", "bombay", seal(fleet_secret, "bombay", private_key), public_key_of(private_key))
    state.rename("acme", "bombay", "mumbai")
    escrow = state.get_escrow("acme", "mumbai")
    assert escrow is not None
    assert unseal(fleet_secret, escrow.sealed_as, escrow.sealed) == private_key


def test_renaming_onto_a_known_router_is_refused(state: State) -> None:
    state.pin("acme", "bombay", public_key=A)
    state.pin("acme", "mumbai", public_key=B)
    with pytest.raises(UsageError, match="known already"):
        state.rename("acme", "bombay", "mumbai")
    assert state.facts("acme") == {"bombay": Fact(A), "mumbai": Fact(B)}


def test_renaming_a_router_that_is_not_known_writes_nothing(tmp_path: Path, state: State) -> None:
    state.rename("acme", "bombay", "mumbai")
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------- escrow and confirmed
def test_the_newest_escrowed_key_is_given_unless_one_is_asked_for(state: State) -> None:
    state.put_escrow("acme", "hq", b"first", A)
    state.put_escrow("acme", "hq", b"second", B)
    newest, asked = state.get_escrow("acme", "hq"), state.get_escrow("acme", "hq", A)
    assert newest is not None
    assert (newest.public_key, newest.sealed) == (B, b"second")
    assert asked is not None
    assert (asked.public_key, asked.sealed) == (A, b"first")
    assert state.get_escrow("acme", "hq", C) is None


def test_no_private_key_stands_in_the_file_of_the_state(place: Path) -> None:
    private_key = new_private_key()
    with open_state(place) as state:
        state.put_escrow("acme", "hq", seal(Secret("fleet secret"), "hq", private_key), public_key_of(private_key))
    assert private_key.reveal().encode() not in place.read_bytes()


def test_the_last_confirmed_sync_is_what_counts(state: State) -> None:
    state.set_confirmed("acme", "mumbai", fingerprint="one", objects={"wg0": "1"}, version="7.17")
    state.set_confirmed("acme", "mumbai", fingerprint="two", objects={"wg0": "2"}, version="7.18")
    confirmed = state.confirmed("acme", "mumbai")
    assert confirmed is not None
    assert (confirmed.fingerprint, dict(confirmed.objects), confirmed.version) == ("two", {"wg0": "2"}, "7.18")
    assert abs(confirmed.at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


# --------------------------------------------------------------------------------------------------------- history
def test_a_run_is_written_down_with_who_from_what_and_how_it_ended(state: State) -> None:
    run = state.begin_run("acme", "sync mumbai", "asha@noc", "a1b2c3d", "plan-1")
    run.record("mumbai", "apply", "peer hq: add", {"interrupts": "nothing"})
    run.record("", "verify", "all tunnels alive")
    run.finish("done", 0)
    (record,) = state.history("acme")
    assert (record.id, record.command, record.actor) == (run.id, "sync mumbai", "asha@noc")
    assert (record.inventory_commit, record.plan_fingerprint) == ("a1b2c3d", "plan-1")
    assert (record.outcome, record.exit_code, record.routers) == ("done", 0, ("mumbai",))
    assert record.finished is not None
    assert record.started <= record.finished


def test_the_journal_of_a_run_is_in_the_order_it_was_written(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    for number in range(5):
        run.record("mumbai", "apply", f"step {number}")
    entries = state.journal(run.id)
    assert [entry.text for entry in entries] == [f"step {number}" for number in range(5)]
    assert entries[0].to_dict()["router"] == "mumbai"


def test_an_entry_is_on_disk_before_the_next_step_is_sent(place: Path) -> None:
    script = (
        "import os, sys; from fleet.state import *; run = open_state(sys.argv[1]).begin_run('acme', 'sync', 'asha@noc');"
        "run.record('mumbai', 'apply', 'sent'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(place)], check=False).returncode == -signal.SIGKILL
    with open_state(place) as state:
        (record,) = state.history("acme")
        assert record.exit_code is None
        assert [entry.text for entry in state.journal(record.id)] == ["sent"]


def test_a_secret_cannot_be_written_into_the_journal(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    with pytest.raises(TypeError):
        run.record("mumbai", "apply", "key", {"private_key": Secret("s3cret")})
    assert state.journal(run.id) == []


def test_runs_are_listed_newest_first_and_their_names_sort_by_time(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for days in range(3):
        at(state, monkeypatch, days)
        runs.append(state.begin_run("acme", "sync", "asha@noc").id)
    assert [record.id for record in state.history("acme")] == runs[::-1]
    assert sorted(runs) == runs
    assert [record.id for record in state.history("acme", limit=2)] == runs[:0:-1]


def test_history_is_narrowed_by_router_actor_and_time(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    first = state.begin_run("acme", "sync", "asha@noc")
    first.record("mumbai", "apply", "x")
    at(state, monkeypatch, 10)
    second = state.begin_run("acme", "sync", "ravi@noc")
    second.record("pune", "apply", "x")
    assert [record.id for record in state.history("acme", router="mumbai")] == [first.id]
    assert [record.id for record in state.history("acme", actor="ravi@noc")] == [second.id]
    since = dt.datetime.now(dt.UTC) + dt.timedelta(days=5)
    assert [record.id for record in state.history("acme", since=since)] == [second.id]


def test_a_run_that_an_error_ends_says_so(state: State) -> None:
    with pytest.raises(Rejected), state.begin_run("acme", "sync", "asha@noc"):
        raise Rejected("mumbai: entry already exists")
    (record,) = state.history("acme")
    assert (record.outcome, record.exit_code) == ("failed: mumbai: entry already exists", 1)


def test_a_run_that_ctrl_c_ends_is_called_interrupted(state: State) -> None:
    with pytest.raises(KeyboardInterrupt), state.begin_run("acme", "sync", "asha@noc"):
        raise KeyboardInterrupt
    assert state.history("acme")[0].outcome == "interrupted"


def test_an_end_that_was_written_down_stays(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    run.finish("done", 6)
    with pytest.raises(Rejected), run:
        raise Rejected("too late")
    assert state.history("acme")[0].exit_code == 6


def test_an_unknown_run_is_refused_with_where_to_look(state: State) -> None:
    with pytest.raises(UsageError, match="no run 'nonsense'") as caught:
        state.journal("nonsense")
    assert "fleet history" in caught.value.hint


# ------------------------------------------------------------------------------------------------------------ lock
ELSEWHERE = Owner("other-noc", "another boot", 4711, "1", "ravi@other-noc", "sync")


def me() -> Owner:
    return Owner.current("sync", {"FLEET_ACTOR": "asha@noc"})


def test_a_second_writer_is_refused_with_who_since_when_and_what_to_do(state: State, place: Path) -> None:
    with state.lock("acme", me()), open_state(place) as other:
        error = refused(other, replace(me(), actor="ravi@noc"))
    assert "asha@noc" in error.summary
    assert f"process {os.getpid()}" in error.summary
    assert "UTC" in error.summary
    assert "wait" in error.hint
    assert error.exit_code == 4


def refused(state: State, owner: Owner | None = None) -> LockHeld:
    with pytest.raises(LockHeld) as caught, state.lock("acme", owner or me()):
        pass
    return caught.value


def test_a_lock_that_was_released_is_free(state: State) -> None:
    with state.lock("acme", me()):
        assert state.writer("acme") is not None
    assert state.writer("acme") is None
    with state.lock("acme", me()) as lock:
        lock.check()


def test_a_lock_is_released_by_an_error_too(state: State) -> None:
    with pytest.raises(Rejected), state.lock("acme", me()):
        raise Rejected("no")
    assert state.writer("acme") is None


def test_two_overlays_are_written_side_by_side(state: State) -> None:
    with state.lock("acme", me()), state.lock("other", me()) as other:
        other.check()


def test_of_many_that_begin_at_once_one_writes(place: Path) -> None:
    together = threading.Barrier(8, timeout=20)
    done = threading.Barrier(8, timeout=20)

    def begin(_: int) -> bool:
        with open_state(place) as state:
            together.wait()
            try:
                with state.lock("acme", me()):
                    done.wait()
                    return True
            except LockHeld:
                done.wait()
                return False

    with ThreadPoolExecutor(8) as many:
        assert sum(many.map(begin, range(8))) == 1


@contextmanager
def another_process(place: Path, after: str = "sys.stdin.read()") -> Iterator[subprocess.Popen[bytes]]:
    """Holds the lock in a process of its own until its standard input ends."""
    script = (
        "import os, sys; from fleet.state import *; state = open_state(sys.argv[1])\n"
        "with state.lock('acme', Owner.current('sync', {'FLEET_ACTOR': 'ravi@noc'})):\n"
        f"    print('held', flush=True); {after}\n"
    )
    command = [sys.executable, "-c", script, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_lock_of_a_killed_process_on_this_machine_is_taken_over_at_once(state: State, place: Path) -> None:
    with another_process(place) as process:
        assert "ravi@noc" in refused(state).summary
        process.kill()
        process.wait()
        with state.lock("acme", me()) as lock:
            lock.check()


def test_the_lock_of_a_stopped_process_on_this_machine_is_not_taken_over_even_after_its_time(
    state: State, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_process(place) as process:
        process.send_signal(signal.SIGSTOP)
        at(state, monkeypatch, 1)
        refused(state)
        process.send_signal(signal.SIGCONT)


def test_a_process_that_has_the_pid_of_a_dead_owner_does_not_keep_its_lock(state: State) -> None:
    with holding(state, replace(me(), start_time="1")), state.lock("acme", me()) as lock:
        lock.check()


@contextmanager
def holding(state: State, owner: Owner, **terms: float) -> Iterator[None]:
    """An owner that took the lock and then neither renewed nor released it."""
    lock = state.lock("acme", owner, **terms)
    lock._take()
    yield


def test_a_lock_of_another_machine_is_respected_until_it_expires(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding(state, ELSEWHERE):
        assert "other-noc" in refused(state).summary
        at(state, monkeypatch, 119 / 86400)
        refused(state)
        at(state, monkeypatch, 121 / 86400)
        with state.lock("acme", me()) as lock:
            lock.check()


def test_another_boot_of_this_machine_counts_as_another_machine(state: State) -> None:
    with holding(state, replace(me(), boot_id="an earlier boot", pid=1)), pytest.raises(LockHeld), state.lock("acme", me()):
        raise AssertionError


def test_a_lock_is_renewed_while_its_owner_works(state: State, place: Path) -> None:
    def expiry() -> float:
        with sqlite3.connect(place) as database:
            found = database.execute("select expires_at from locks").fetchone()[0]
        database.close()
        return float(found)

    with state.lock("acme", me(), renew_seconds=0.02):
        first = expiry()
        until(lambda: expiry() > first)


def test_an_owner_that_lost_its_lock_is_told_before_it_writes(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with state.lock("acme", ELSEWHERE, renew_seconds=1000) as lost:
        lost.check()
        at(state, monkeypatch, 1)
        with state.lock("acme", me()) as taken:
            with pytest.raises(LockHeld, match="lost the lock") as caught:
                lost.check()
            taken.check()
        assert "fleet sync" in caught.value.hint


def test_the_old_owner_does_not_release_the_lock_of_the_new_one(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with state.lock("acme", ELSEWHERE, renew_seconds=1000):
        at(state, monkeypatch, 1)
        taken = state.lock("acme", me())
        taken.__enter__()
    taken.check()
    taken.__exit__(None, None, None)


def test_a_lock_that_ran_out_and_that_nobody_took_is_renewed_by_the_check(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state.lock("acme", ELSEWHERE, renew_seconds=1000) as lock:
        at(state, monkeypatch, 1)
        lock.check()
        refused(state)


# --------------------------------------------------------------------------------------------------------- machine
def test_the_actor_is_what_the_environment_says() -> None:
    assert actor({"FLEET_ACTOR": "asha (change 4711)"}) == "asha (change 4711)"


def test_without_that_the_actor_is_user_at_host() -> None:
    assert actor({}).endswith(f"@{machine_module.socket.gethostname()}")


def test_an_actor_cannot_smuggle_control_characters_into_history() -> None:
    assert actor({"FLEET_ACTOR": "asha\x1b[31m\n"}) == "asha?[31m"


def test_a_running_process_is_told_apart_from_one_that_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        owner = replace(me(), pid=process.pid, start_time=machine_module.start_time(process.pid) or "")
        assert owner.gone(me()) is False
        process.kill()
        until(lambda: owner.gone(me()) is True)  # a zombie, not yet waited for, has ended


def test_of_another_machine_nothing_is_known() -> None:
    assert ELSEWHERE.gone(me()) is None


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_the_inventory_says_whether_it_differs(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "fleet.yaml").write_text("overlay: {}\n")
    git(tmp_path, "add", "fleet.yaml")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert inventory_commit(tmp_path) == commit
    (tmp_path / "fleet.yaml").write_text("overlay: {name: acme}\n")
    assert inventory_commit(tmp_path) == f"{commit}+dirty"


def test_an_inventory_without_git_has_no_commit(tmp_path: Path) -> None:
    assert inventory_commit(tmp_path) == ""
    assert inventory_commit(tmp_path / "missing") == ""


def test_times_carry_their_zone() -> None:
    assert moment(0).isoformat() == "1970-01-01T00:00:00+00:00"


def test_a_pinned_key_is_a_public_key_again(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    assert isinstance(state.facts("acme")["mumbai"].public_key, PublicKey)
