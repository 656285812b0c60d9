"""Crash drills, inherited by every driver's contract test: fleet dies, the link breaks, the router refuses or reboots, at any
moment of a change. A new process that knows only the key must then bring the router to the intent.

A quick run disturbs every `drill_stride`th moment, each with another kind; the exhaustive ones every moment with every kind.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import pytest

from ..changes import Change, RemoveInterface, RemovePeer
from ..driver import Script
from ..errors import RouterError
from ..model import PublicKey
from .cases import AFTER, BEFORE, INTERFACE, State
from .disturbed import KINDS, Killed, Kind, Wire
from .subject import Subject, overdue

Mode: TypeAlias = Literal["guarded", "unguarded"]
Blow: TypeAlias = "Kind | Literal['killed at the journal', 'killed after the journal']"
"""What hits a run."""

JOURNAL: tuple[Blow, ...] = ("killed at the journal", "killed after the journal")
MIXED: tuple[Blow, ...] = (
    *("dropped after", "killed at the journal", "killed after", "late", "reset", "killed after the journal"),
    *("away", "rebooted", "killed before", "dropped before", "refused"),
)
"""All of them, the more telling ones first."""

MODES: tuple[Mode, ...] = ("guarded", "unguarded")


@dataclass(frozen=True, slots=True)
class _Reference:
    """What undisturbed runs leave, by state, what is others', and how long such a run is."""

    ours: tuple[object, object]
    foreign: object
    moments: int
    lines: int


class CrashDrills:
    """`drill_stride`: in a quick run every how manyth moment is disturbed."""

    drill_stride: ClassVar[int] = 3

    @pytest.mark.parametrize("mode", MODES)
    def test_disturbed_at_some_moments_the_next_sync_converges(self, blank: Subject, mode: Mode) -> None:
        """Each time with another kind of trouble."""
        blows = itertools.cycle(MIXED)
        self._drill(blank, mode, lambda _number: [next(blows)], stride=self.drill_stride)

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("kind", [*KINDS, *JOURNAL])
    def test_disturbed_at_any_moment_the_next_sync_converges(self, blank: Subject, mode: Mode, kind: Blow) -> None:
        """Every moment, there and back."""
        self._drill(blank, mode, lambda _number: [kind], stride=1)

    def test_disturbed_at_first_contact_no_key_is_lost_and_the_next_sync_converges(
        self, another: Callable[[], Subject]
    ) -> None:
        """A key that the router showed is the key that it keeps; an interface is never made twice."""
        blows = itertools.cycle(MIXED)
        self._contacts(another, lambda _number: [next(blows)], self.drill_stride)

    @pytest.mark.exhaustive
    def test_disturbed_anyhow_at_first_contact_the_next_sync_converges(self, another: Callable[[], Subject]) -> None:
        """Every moment with every kind of trouble."""
        self._contacts(another, lambda _number: [*KINDS, *JOURNAL], 1)

    def _contacts(self, another: Callable[[], Subject], blows: Callable[[int], Iterable[Blow]], stride: int) -> None:
        moments = _undisturbed_contact(another())
        for number in range(1, moments + 2, stride):
            for blow in blows(number):
                _contact(another(), blow, number)

    def _drill(self, subject: Subject, mode: Mode, blows: Callable[[int], Iterable[Blow]], stride: int) -> None:
        """There and back, disturbed at one moment after the other."""
        limits = subject.observe().limits
        states = (BEFORE.within(limits), AFTER.within(limits))
        known = _reference(subject, states, mode)
        for number in range(1, max(known.moments, known.lines) + 1, stride):
            for blow in blows(number):
                if number <= (known.lines if blow in JOURNAL else known.moments):
                    for way in (1, 0):
                        self._one(subject, mode, blow, number, states, way, known)

    def _one(
        self, subject: Subject, mode: Mode, blow: Blow, number: int, states: tuple[State, State], way: int, known: _Reference
    ) -> None:
        """One disturbed run and the sync that follows it."""
        story = f"{mode}, {blow} at {number}, to {'AFTER' if way else 'BEFORE'}"
        wanted, old = states[way], states[1 - way]
        process = _blow(subject, blow, number)
        guarded = mode == "guarded" and subject.observe().limits.guard != "none"
        _disturbed(subject, process, lambda run: (run.guarded if guarded else run.converge)(wanted))
        process.wire.catch_up()
        _truthful(process, subject, wanted, old, story)
        if guarded and number % 2:
            subject.device.advance(overdue(subject.driver.limits))
            _whole(subject, wanted, old, story)
        following = subject.again()
        # The next run is guarded or not, whatever the one before it was.
        (following.guarded if (number // 2) % 2 == 0 and guarded else following.converge)(wanted)
        subject.device.advance(2 * overdue(subject.driver.limits))
        _healed(subject, wanted, known.ours[way], known.foreign, story)


def _undisturbed_contact(subject: Subject) -> int:
    """How many moments a first contact has."""
    subject.contact(BEFORE)
    subject.device.close()
    return subject.wire.moments


def _contact(subject: Subject, blow: Blow, number: int) -> None:
    """One disturbed first contact, and the sync that follows it."""
    _disturbed(subject, _blow(subject, blow, number), lambda process: process.contact(BEFORE))
    seen = subject.observe()
    shown, state = seen.stored.get(INTERFACE), BEFORE.within(seen.limits)
    following = subject.again()
    following.converge(state)
    assert following.differences(state) == (), f"{blow} at {number}"
    assert shown is None or shown.public_key == following.key, f"{blow} at {number}: the key was lost"
    subject.device.close()


def _reference(subject: Subject, states: tuple[State, State], mode: Mode) -> _Reference:
    subject.converge(states[0])
    subject.device.plant(INTERFACE)
    foreign = subject.device.foreign()
    there = _undisturbed(subject, states[1], mode)
    after = subject.device.ours()
    back = _undisturbed(subject, states[0], mode)
    runs = (there, back)
    moments, lines = max(run.wire.moments for run in runs), max(len(run.journal.lines) for run in runs)
    return _Reference((subject.device.ours(), after), foreign, moments, lines)


def _undisturbed(subject: Subject, state: State, mode: Mode) -> Subject:
    guarded = mode == "guarded" and subject.observe().limits.guard != "none"
    run = subject.again()
    (run.guarded if guarded else run.converge)(state)
    return run


def _blow(subject: Subject, blow: Blow, number: int) -> Subject:
    """A process that will be hit."""
    if blow == "killed at the journal" or blow == "killed after the journal":
        return subject.again(dies_at=number if blow == "killed at the journal" else -number)
    return subject.again(Wire(blow, number, subject.device.reboot))


def _disturbed(subject: Subject, process: Subject, run: Callable[[Subject], object]) -> None:
    """Run it to its end, whichever. Other exceptions are the driver's or the core's."""
    with suppress(Killed, RouterError):
        run(process)
    subject.key = subject.key or process.key


def _whole(subject: Subject, wanted: State, old: State, story: str) -> None:
    """The window is over: the change is there or it is not; nothing is half, nothing armed."""
    observed = subject.observe()
    assert observed.guard is None, f"{story}: armed after its window"
    differing = [tuple(map(str, _unparted(subject.differences(state)))) for state in (wanted, old)]
    assert () in differing, f"{story}: half a change stands: {differing}"


def _unparted(changes: Iterable[Change]) -> list[Change]:
    """Without the deletion of what is disabled already: that waits for the next cleanup."""
    return [change for change in changes if not (isinstance(change, RemovePeer | RemoveInterface) and change.old.disabled)]


def _healed(subject: Subject, wanted: State, ours: object, foreign: object, story: str) -> None:
    observed = subject.observe()
    assert (observed.guard, observed.leftovers) == (None, ()), story
    assert subject.differences(wanted) == (), story
    key = observed.stored[INTERFACE].public_key
    assert isinstance(key, PublicKey)
    assert key == subject.key, f"{story}: the key was lost"
    assert subject.device.ours() == ours, f"{story}: duplicates or orphans"
    assert subject.device.foreign() == foreign, f"{story}: something of others changed"


def _truthful(process: Subject, subject: Subject, wanted: State, old: State, story: str) -> None:
    """The journal said before what was sent, and after only what had been answered; `confirm` and `roll back` are true."""
    said: set[str] = set()
    done: list[object] = []
    reached: list[object] = []
    for event in process.wire.events:
        if event[0] == "journal":
            _, phase, text = event
            if phase == "apply":
                said.add(text)
            elif phase == "applied":
                assert _all_sent(process.scripts, text, done), f"{story}: the journal says applied: {text}"
        else:
            _, request, answered = event
            reached.append(request)
            done += [request] if answered else []
            if not request.reads:
                assert _announced(process.scripts, said, request), (
                    f"{story}: sent and not journalled before: {request.native()}"
                )
    lines = [event[1:] for event in process.wire.events if event[0] == "journal"]
    if any(phase == "confirm" for phase, _ in lines) or ("verify", "a fresh read equals the intent") in lines:
        assert not _unparted(subject.differences(wanted)), f"{story}: the journal says confirmed"
    if any(phase == "roll back" and " after " in text for phase, text in lines):
        assert subject.differences(old) == (), f"{story}: the journal says undone"


def _steps(scripts: Iterable[Script]) -> Iterable[tuple[str, tuple[object, ...]]]:
    for script in scripts:
        yield from ((step.summary, step.requests) for step in script.steps)
        yield from (("confirm", script.confirm), ("undo now", script.trip))


def _all_sent(scripts: Iterable[Script], summary: str, done: list[object]) -> bool:
    return any(all(one in done for one in requests) for text, requests in _steps(scripts) if text == summary)


def _announced(scripts: Iterable[Script], said: set[str], request: object) -> bool:
    return any(request in requests for text, requests in _steps(scripts) if text in said)


__all__ = ["CrashDrills"]
