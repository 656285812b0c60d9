"""One router by the engine, with a driver that says what it is told to say."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fleet import engine
from fleet.driver import Driver, Observed, RouterPlan, Script
from fleet.errors import NotSettled
from fleet.link import Link, RouterLink, Session, Target


class Says(Driver):
    """Answers reads from a list, the last one for ever."""

    name: ClassVar[str] = "says"
    transport: ClassVar[str] = "none"

    def __init__(self, *settled: bool) -> None:
        self.reads = [Observed(stored={}, settled=one) for one in settled]

    def observe(self, link: Link) -> Observed:
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        raise AssertionError("nothing is written here")


def router(driver: Driver) -> engine.Router:
    def connect() -> Session:
        raise AssertionError("nothing is sent here")

    return engine.Router("goa", "acme", driver, RouterLink(Target("goa", "acme", ("wg0",)), connect))


def test_a_router_that_is_not_settled_is_read_again_until_it_is():
    goa = router(Says(False, True))
    assert engine.observe(goa).settled
    assert goa.observed is not None


def test_a_router_that_stores_and_does_not_deliver_is_pending_and_picked_up_later(monkeypatch):
    monkeypatch.setattr(engine, "SETTLE_SECONDS", 0.1)
    goa = router(Says(False))
    with pytest.raises(NotSettled) as caught:
        engine.observe(goa)
    assert caught.value.outcome == "pending"
    assert "goa: stored its configuration and did not make it live" in caught.value.summary
    assert "next `fleet sync`" in caught.value.hint


def test_one_that_stays_so_and_shows_what_it_runs_is_compared_by_that(monkeypatch):
    monkeypatch.setattr(engine, "SETTLE_SECONDS", 0.1)
    stuck = Says(False)
    stuck.reads = [Observed(stored={}, running={}, settled=False)]
    assert engine.observe(router(stuck)).running == {}
