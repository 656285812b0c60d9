"""Which run is gone on with, and who is left out, as the journal tells it."""

from __future__ import annotations

import datetime as dt

from fleet.resume import LEFT_OUT, NOT_BEGUN, STOPPED, last_stopped
from fleet.state.journal import Entry, RunRecord

NOW = dt.datetime(2026, 11, 24, 3, 0, tzinfo=dt.UTC)


class Journal:
    """Runs, newest first: id, command, entries."""

    def __init__(self, *runs: tuple[str, str, list[Entry]]) -> None:
        self.runs = runs

    def history(self, overlay: str, *, limit: int | None = None) -> list[RunRecord]:
        records = [RunRecord(run, overlay, command, "noc", "", "", NOW, NOW, "done", 0, ()) for run, command, _ in self.runs]
        return records[:limit]

    def journal(self, run_id: str) -> list[Entry]:
        return next(entries for run, _, entries in self.runs if run == run_id)


def sync(run: str, *, stopped: list[str] | None = None, left_out: str = "", **outcomes: str) -> tuple[str, str, list[Entry]]:
    """A sync with the outcome of each router; `stopped` names those it did not begin, `left_out` one of an earlier run."""
    entries = [Entry(run, name, "outcome", outcome, None, NOW) for name, outcome in outcomes.items()]
    if stopped is not None:
        entries.append(Entry(run, "", STOPPED, "s1 did not come through", {NOT_BEGUN: stopped}, NOW))
    if left_out:
        entries.append(Entry(run, left_out, LEFT_OUT, "failed in run r1", {"outcome": "failed", "run": "r1"}, NOW))
    return run, "sync", entries


def test_the_newest_stopped_run_is_gone_on_with():
    found = last_stopped(Journal(sync("r1", stopped=["s2"], hq="changed", s1="failed", s2="pending")), "acme", "now")
    assert found is not None
    assert (found.run, dict(found.failed), found.proven, found.due) == (
        "r1",
        {"s1": ("failed", "r1")},
        frozenset({"hq"}),
        frozenset({"s2"}),
    )


def test_a_fleet_without_runs_has_nothing_to_go_on_with():
    assert last_stopped(Journal(), "acme", "now") is None


def test_a_run_that_ended_by_itself_is_not_gone_on_with():
    assert last_stopped(Journal(sync("r1", hq="changed", s1="failed")), "acme", "now") is None


def test_this_run_is_not_its_own_predecessor():
    assert last_stopped(Journal(sync("now", stopped=["s2"], s1="failed")), "acme", "now") is None


def test_a_killed_run_and_other_commands_in_between_say_nothing():
    stopped = sync("r1", stopped=["s2"], s1="failed")
    trust = ("r2", "trust", [Entry("r2", "s1", "outcome", "changed", None, NOW)])
    found = last_stopped(Journal(sync("r3"), trust, stopped), "acme", "now")
    assert found is not None
    assert dict(found.failed) == {"s1": ("failed", "r1")}


def test_who_came_through_since_is_proven_and_not_left_out():
    found = last_stopped(Journal(sync("r2", s1="changed"), sync("r1", stopped=["s2"], s1="failed")), "acme", "now")
    assert found is not None
    assert dict(found.failed) == {}
    assert found.proven == {"s1"}


def test_who_failed_again_since_is_left_out_because_of_the_newer_run():
    found = last_stopped(Journal(sync("r2", s1="rolled back"), sync("r1", stopped=["s2"], s1="failed")), "acme", "now")
    assert found is not None
    assert dict(found.failed) == {"s1": ("rolled back", "r2")}


def test_who_was_left_out_stays_left_out_because_of_the_run_in_which_it_failed():
    again = sync("r2", stopped=["s3"], left_out="s1", s1="pending", s2="rolled back", s3="pending")
    found = last_stopped(Journal(again, sync("r1", stopped=["s2", "s3"], s1="failed")), "acme", "now")
    assert found is not None
    assert dict(found.failed) == {"s1": ("failed", "r1"), "s2": ("rolled back", "r2")}
    assert found.due == {"s3"}


def test_a_stopped_run_whose_rest_was_done_since_is_over():
    assert last_stopped(Journal(sync("r2", s2="in sync"), sync("r1", stopped=["s2"], s1="failed")), "acme", "now") is None


def test_a_router_that_was_merely_off_is_not_left_out():
    found = last_stopped(Journal(sync("r1", stopped=["s2"], s1="failed", s9="pending")), "acme", "now")
    assert found is not None
    assert "s9" not in found.failed
