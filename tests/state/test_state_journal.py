from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path

import pytest

from fleet.errors import Rejected, UsageError
from fleet.model import Secret
from fleet.state import State

from .shared import at, process


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


def test_an_entry_outlives_a_kill_as_soon_as_it_is_recorded(place: Path | str, state: State) -> None:
    program = (
        "run = state.begin_run('acme', 'sync', 'asha@noc'); run.record('mumbai', 'apply', 'sent')\n"
        "import os; os.kill(os.getpid(), 9)"
    )
    with process(place, program) as killed:
        assert killed.end() == -signal.SIGKILL
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
