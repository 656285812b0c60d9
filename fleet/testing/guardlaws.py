"""The laws of a guarded change, inherited by every driver's contract test.

A driver that declares `guard="none"` is held to that: its scripts neither arm nor confirm nor trip, and a whole sync refuses
what could cut off the router's own management.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ..driver import Script
from ..errors import RolledBack
from ..model import Configuration
from ..report import FleetReport
from .alone import Alone
from .cases import HUB, INTERFACE, ROUTER, A, B, Case, State
from .disturbed import Killed
from .subject import WINDOW, Subject, overdue

ROUND_TRIPS_MORE = 4
"""What a guarded change of one peer may cost beyond an unguarded one."""

End: TypeAlias = Callable[[Subject], None]


def _deadline(subject: Subject) -> None:
    subject.device.advance(overdue(subject.driver.limits))


def _power_cut(subject: Subject) -> None:
    subject.device.reboot()


class GuardLaws:
    """Every case under guard. `_allowed` and the fixtures are the contract's."""

    def _allowed(self, subject: Subject, case: Case) -> bool:
        raise NotImplementedError

    def _guards(self, subject: Subject, case: Case) -> bool:
        """True if the device guards what it can express of this case; without a guard, that it claims none is asserted."""
        if not self._allowed(subject, case):
            return False
        if subject.router.limits.guard != "none":
            return True
        subject.converge(case.states[-1])
        assert not [script for script in subject.scripts if script.confirm or script.trip], "a guard that limits do not declare"
        return False

    def _transitions(self, subject: Subject, case: Case) -> Iterator[tuple[State, State]]:
        """From a bare interface through the states; somebody else's things are there too."""
        states = [State(), *case.states]
        subject.converge(states[0])
        subject.device.plant(INTERFACE)
        for old, new in pairwise(states):
            yield old, new
            subject.again().converge(new)

    def test_a_guarded_change_ends_confirmed_and_as_an_unguarded_one_would(
        self, subject: Subject, case: Case, another: Callable[[], Subject]
    ) -> None:
        """Same objects, none disabled or twice, nothing armed, nothing left to clean up; and nothing happens later."""
        if not self._guards(subject, case):
            return
        plain = another()
        for subject_ in (subject, plain):
            subject_.converge(State())
            subject_.device.plant(INTERFACE)
        foreign = subject.device.foreign()
        for state in case.states:
            plain.converge(state)
            subject.again().guarded(state)
            subject.device.advance(2 * overdue(subject.driver.limits))
            assert subject.differences(state) == ()
            observed = subject.observe()
            assert (observed.guard, observed.leftovers) == (None, ())
            assert subject.device.ours() == plain.device.ours()
            assert subject.device.foreign() == foreign

    def test_arming_comes_first_alone_and_once(self, subject: Subject, case: Case) -> None:
        """Before the first write the router has acknowledged its undo; later passes arm no second one.

        Where the first write itself arms (`arms_by_write`), it is that which must be first and once.
        """
        if not self._guards(subject, case):
            return
        for _, new in self._transitions(subject, case):
            run = subject.again()
            made = run.guarded(new)
            if not made:
                assert [script for script in run.scripts if script.guarded] == [], "armed for nothing"
                continue
            first = next(script for script in run.scripts if script.guarded)
            arming = first.guarded[0]
            assert len(arming) == 1, "arming is a batch of its own"
            assert arming[0].requests
            assert arming[0].covers == () or run.router.limits.arms_by_write
            sent = [event[1] for event in run.wire.events if event[0] == "carried" and not event[1].reads]
            prepared = [request for batch in first.prepare for step in batch for request in step.requests]
            assert sent[len(prepared)] == arming[0].requests[0]
            assert not [step for script in run.scripts[1:] for step in script.steps if step.summary == arming[0].summary]
            _covers_each_change_once(run.scripts)

    def test_a_change_that_does_not_prove_itself_is_undone_at_once(self, subject: Subject, case: Case) -> None:
        """The router reads exactly as before, what is others' included."""
        if not self._guards(subject, case):
            return
        for _, new in self._transitions(subject, case):
            before = _everything(subject, case)
            run = subject.again()
            said = _rolled_back(run, new, lambda: "the drill says so")
            assert said is None or "the drill says so; undone after" in said
            assert said is None or case.rekeyed or _by_its_undo_alone(run), "the router's undo left something to finish"
            assert _everything(subject, case) == before
            subject.device.advance(2 * overdue(subject.driver.limits))
            assert _everything(subject, case) == before

    @pytest.mark.parametrize("end", [_deadline, _power_cut], ids=["deadline", "power-cut"])
    def test_a_change_that_nobody_confirms_is_undone_by_the_router_itself(self, subject: Subject, case: Case, end: End) -> None:
        """The process died after the last write: at the deadline, or when the power comes back, all is as before."""
        if not self._guards(subject, case):
            return
        for _, new in self._transitions(subject, case):
            before = _everything(subject, case)
            if not _dies_before_confirm(subject, new):
                continue
            end(subject)
            assert _everything(subject, case) == before

    def test_a_confirm_that_comes_too_late_is_refused_and_said(self, subject: Subject, case: Case) -> None:
        """The undo had run: that is no success, and no half of the change is kept."""
        if not self._guards(subject, case):
            return
        for _, new in self._transitions(subject, case):
            before = _everything(subject, case)

            def dawdle() -> str:
                subject.device.advance(overdue(subject.driver.limits))
                return ""

            said = _rolled_back(subject.again(), new, dawdle)
            assert said is None or "could not be confirmed" in said
            assert _everything(subject, case) == before

    def test_a_guard_that_a_dead_run_left_is_seen_and_resolved(self, subject: Subject, case: Case) -> None:
        """The next contact reads whose undo is armed, runs it, and only then does its own."""
        if not self._guards(subject, case):
            return
        for number, (_, new) in enumerate(self._transitions(subject, case)):
            dead = _dies_before_confirm(subject, new)
            if not dead:
                continue
            seen = subject.observe().guard
            assert seen is not None
            assert seen.plan_id == dead.run
            assert seen.fires_in is None or 0 < seen.fires_in <= WINDOW
            following = subject.again()
            (following.guarded if number % 2 else following.converge)(new)
            assert any("was left over" in line for line in following.journal.lines)
            observed = subject.observe()
            assert (observed.guard, observed.leftovers) == (None, ())
            assert subject.differences(new) == ()

    def test_without_a_guard_what_can_cut_off_its_own_management_is_refused(self, blank: Subject, tmp_path: Path) -> None:
        """By the whole of fleet: nothing is written, what is no danger is done, and the operator's word lifts it."""
        if blank.observe().limits.guard != "none":
            return
        alone = Alone(blank.driver, blank.device, tmp_path, blank.options)
        try:
            assert _outcome(alone.sync("198.51.100.1")) != "refused", "the first interface and peer cut nobody off"
            before = blank.device.writes()
            assert _outcome(alone.sync("203.0.113.9")) == "refused"
            assert blank.device.writes() == before
            assert _outcome(alone.sync("203.0.113.9", unguarded=True)) != "refused"
            assert blank.device.writes() > before
        finally:
            alone.close()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (State((A,)), State((A, B))),
            (State((A, HUB)), State((A, replace(HUB, endpoint=None)))),
            (State((A, B)), State((B,))),
        ],
        ids=["added", "changed", "removed"],
    )
    def test_a_guarded_change_of_one_peer_costs_at_most_four_more_round_trips(
        self, blank: Subject, old: State, new: State
    ) -> None:
        """A read, a write and an answer each count as one; what a connection costs is the transport's.

        Looking again at what the router has stored and not made live yet does not count: it is waiting.
        """
        limits = blank.observe().limits
        if limits.guard == "none":
            return
        counts = []
        for guarded in (False, True):
            blank.again().converge(old.within(limits)) if blank.key else blank.converge(old.within(limits))
            run = blank.again()
            (run.guarded if guarded else run.converge)(new.within(limits))
            counts.append(run.wire.exchanges - run.waited)
        assert counts[1] - counts[0] <= ROUND_TRIPS_MORE


def _outcome(report: FleetReport) -> str:
    (found,) = [router for router in report.routers if router.router == ROUTER]
    assert found.outcome in ("changed", "waiting", "refused"), f"{found.outcome}: {found.summary}"
    return found.outcome


def _rolled_back(run: Subject, new: State, meanwhile: Callable[[], str]) -> str | None:
    """What a run says that had to be rolled back; None if there was nothing to write."""
    try:
        made = run.guarded(new, meanwhile)
    except RolledBack as undone:
        return undone.summary
    assert made == (), "a change was taken for confirmed that was not"
    return None


def _by_its_undo_alone(run: Subject) -> bool:
    """True if the trip was the last thing written."""
    trips = [request for script in run.scripts for request in script.trip]
    writes = [event[1] for event in run.wire.events if event[0] == "carried" and not event[1].reads]
    return writes[-1] in trips


def _dies_before_confirm(subject: Subject, new: State) -> Subject | None:
    """The process that wrote the change under guard and was killed then; None if there was nothing to write."""
    run = subject.again()

    def die() -> str:
        run.wire.kill()
        return ""

    try:
        run.guarded(new, die)
    except Killed:
        return run
    return None


def _everything(subject: Subject, case: Case) -> tuple[Any, ...]:
    observed = subject.observe()
    stored, running = observed.stored, observed.running
    if case.rekeyed:
        stored = _without_preshared_keys(stored)
        running = None if running is None else _without_preshared_keys(running)
        return stored, running, observed.guard, observed.leftovers, subject.device.foreign()
    return stored, running, observed.guard, observed.leftovers, subject.device.foreign(), subject.device.ours()


def _without_preshared_keys(configuration: Configuration) -> Configuration:
    return {
        name: replace(
            interface,
            peers={
                key: replace(peer, preshared_key=None, mark=peer.mark and replace(peer.mark, epoch=0))
                for key, peer in interface.peers.items()
            },
        )
        for name, interface in configuration.items()
    }


def _covers_each_change_once(scripts: list[Script]) -> None:
    for script in scripts:
        covered = [str(change) for step in script.steps for change in step.covers]
        assert len(covered) == len(set(covered))
