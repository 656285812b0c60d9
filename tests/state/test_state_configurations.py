"""Confirmed configurations: kept by router and id, the last ten of each, found by the run that confirmed them."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.state import CONFIGURATION, KEEP_CONFIGURATIONS, State


def confirmed(state: State, overlay: str = "acme", **ids: str) -> str:
    """A run that confirmed these configurations."""
    with state.begin_run(overlay, "sync", "noc@desk") as run:
        run.record_all((name, "outcome", "changed", {"summary": "", CONFIGURATION: one}) for name, one in ids.items())
    return run.id


def test_what_is_kept_is_found_again_by_router_and_id(state: State) -> None:
    state.keep_configurations("acme", {"hq": ("one", "{1}"), "pune": ("two", "{2}")})
    assert state.configurations("acme", {"hq": "one", "pune": "one"}) == {"hq": "{1}"}
    assert state.configurations("other", {"hq": "one"}) == {}


def test_a_run_knows_what_it_confirmed(state: State) -> None:
    run = confirmed(state, hq="one", pune="two")
    assert state.confirmed_by("acme", run) == {"hq": "one", "pune": "two"}


def test_a_run_of_another_overlay_is_none_of_this_one(state: State) -> None:
    run = confirmed(state, "other", hq="one")
    with pytest.raises(UsageError, match="no run"):
        state.confirmed_by("acme", run)


def test_the_last_ten_configurations_of_a_router_are_kept(state: State) -> None:
    for number in range(KEEP_CONFIGURATIONS + 3):
        state.keep_configurations("acme", {"hq": (f"id{number}", "{}")})
    state.keep_configurations("acme", {"pune": ("id0", "{}")})
    kept = state.configuration_ids("acme")
    assert kept["hq"] == tuple(f"id{number}" for number in range(KEEP_CONFIGURATIONS + 2, 2, -1))
    assert kept["pune"] == ("id0",)


def test_one_that_is_confirmed_again_is_the_newest(state: State) -> None:
    state.keep_configurations("acme", {"hq": ("one", "{}")})
    state.keep_configurations("acme", {"hq": ("two", "{}")})
    state.keep_configurations("acme", {}, {"hq": "one"})
    assert state.configuration_ids("acme")["hq"] == ("one", "two")


def test_a_renamed_router_keeps_its_configurations(state: State) -> None:
    state.pin_identity("acme", "old", "ssh", "key")
    state.keep_configurations("acme", {"old": ("one", "{}")})
    state.rename("acme", "old", "new")
    assert state.configuration_ids("acme") == {"new": ("one",)}


def test_a_state_without_any_reads_as_empty(state: State) -> None:
    assert state.configuration_ids("acme") == {}
    assert state.configurations("acme", {"hq": "one"}) == {}
