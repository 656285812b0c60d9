"""Guarded runs over the simulated router, as the engine does them."""

from __future__ import annotations

import pytest
from mikrotik_guarded import INTERFACE, GuardedRouter, guarded_router, writes

from fleet import guard
from fleet.engine import Intent
from fleet.errors import RolledBack
from fleet.model import Configuration
from fleet.testing.cases import CASES

CASE = next(case for case in CASES if case.name == "everything goes at once")


def run(router: GuardedRouter, wanted: Configuration, wrong: str = "") -> None:
    router.router.observed = None
    guard.Guarded(router.router, Intent(wanted), "run-2", router.journal, 120, lambda *_: wrong).converge()


def ready(router: GuardedRouter) -> None:
    router.converge(CASE.states[0])
    router.simulated.plant(INTERFACE)


def test_a_guarded_run_confirms_and_cleans_up() -> None:
    with guarded_router() as router:
        ready(router)
        run(router, router.wanted(CASE.states[1]))
        assert router.differences(CASE.states[1]) == ()
        assert (router.observe().leftovers, router.guards()) == ((), [])


def test_a_change_that_does_not_prove_itself_is_undone_at_once() -> None:
    with guarded_router() as router:
        ready(router)
        before = router.held()
        with pytest.raises(RolledBack, match="no handshake; undone after"):
            run(router, router.wanted(CASE.states[1]), "no handshake")
        assert router.held() == before


def test_a_guard_left_by_a_dead_run_is_resolved_before_anything_else() -> None:
    with guarded_router() as router:
        ready(router)
        wanted = router.wanted(CASE.states[1])
        router.send(writes(router.script(wanted, "run-1"))[:6])
        run(router, wanted)
        assert router.differences(CASE.states[1]) == ()
        assert router.guards() == []


def test_a_second_guarded_run_writes_nothing() -> None:
    with guarded_router() as router:
        ready(router)
        run(router, router.wanted(CASE.states[1]))
        written = router.simulated.writes()
        run(router, router.wanted(CASE.states[1]))
        assert router.simulated.writes() == written


def test_one_peer_more_costs_at_most_four_round_trips_more_than_without_a_guard() -> None:
    more = next(case for case in CASES if case.name == "second peer beside the first")
    costs = []
    for guarded in (False, True):
        with guarded_router() as router:
            router.converge(more.states[0])
            router.simulator.counters.reset()
            if guarded:
                run(router, router.wanted(more.states[1]))
            else:
                router.router.observed = None
                router.converge(more.states[1])
            costs.append(router.simulator.counters.round_trips)
    assert costs[1] - costs[0] <= 4, costs
