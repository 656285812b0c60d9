from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import LockHeld, Rejected, UsageError
from fleet.state import Owner, State, open_state
from fleet.state.schema import LockRow

from .postgres import Server
from .shared import ELSEWHERE, Process, at, me, process, until

HOLD = """
try:
    with state.lock('acme', Owner.current('sync', {'FLEET_ACTOR': 'ravi@noc'})):
        say('held'); told()
except LockHeld as error:
    say('refused ' + str(error).replace('\\n', ' | '))
"""
"""A process that holds the lock until it is told a line."""


def refused(state: State, owner: Owner | None = None) -> LockHeld:
    with pytest.raises(LockHeld) as caught, state.lock("acme", owner or me()):
        pass
    return caught.value


@contextmanager
def holding(state: State, owner: Owner, **terms: float) -> Iterator[None]:
    """An owner that took the lock and then neither renewed nor released it."""
    state.lock("acme", owner, **terms)._take()
    yield


def expiry(state: State) -> float:
    with state.reading() as session:
        row = session.get(LockRow, "acme")
        assert row is not None
        return row.expires_at


# -------------------------------------------------------------------------------------------------------- refusal
def test_a_second_writer_is_refused_with_who_since_when_and_what_to_do(state: State, place: Path | str) -> None:
    with state.lock("acme", me()), open_state(place) as other:
        error = refused(other, replace(me(), actor="ravi@noc"))
    assert "asha@noc" in error.summary
    assert f"process {os.getpid()}" in error.summary
    assert "UTC" in error.summary
    assert "wait" in error.hint
    assert error.exit_code == 4


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


def test_of_many_threads_that_begin_at_once_one_writes(place: Path | str) -> None:
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


# ------------------------------------------------------------------------------------- two operators, two processes
ROUNDS = 12
RACE = f"""
who = told()
for number in range({ROUNDS}):
    start = float(told())
    while time.time() < start: pass
    try:
        with state.lock(f'acme-{{number}}', Owner.current('sync', {{'FLEET_ACTOR': who}})):
            say('won'); told()
    except LockHeld as error:
        say('refused ' + str(error).replace('\\n', ' | ')); told()
"""


def test_of_two_operators_who_begin_in_the_same_instant_one_writes_and_the_other_is_told_who(place: Path | str) -> None:
    """The first round makes the state as well; each round is another overlay, so that nothing but the race decides."""
    with process(place, RACE) as asha, process(place, RACE) as ravi:
        asha.tell("asha@noc")
        ravi.tell("ravi@noc")
        for _ in range(ROUNDS):
            start = time.time() + 0.03
            asha.tell(str(start))
            ravi.tell(str(start))
            said = {"asha@noc": asha.said(), "ravi@noc": ravi.said()}
            winners = [who for who, what in said.items() if what == "won"]
            assert len(winners) == 1, said
            (loser,) = [what for what in said.values() if what.startswith("refused")]
            assert winners[0] in loser
            assert "UTC" in loser
            assert "wait until that run has ended" in loser
            asha.tell()
            ravi.tell()


def test_the_lock_of_a_killed_process_on_this_machine_is_taken_over_at_once(state: State, place: Path | str) -> None:
    with process(place, HOLD) as owner:
        assert owner.said() == "held"
        assert "ravi@noc" in refused(state).summary
        owner.process.kill()
        owner.process.wait()
        with state.lock("acme", me()) as lock:
            lock.check()


def test_two_that_find_the_lock_of_a_killed_process_do_not_both_take_it_over(state: State, place: Path | str) -> None:
    with process(place, HOLD) as killed:
        assert killed.said() == "held"
        killed.process.kill()
        killed.process.wait()
    with ExitStack() as stack:
        both: list[Process] = [stack.enter_context(process(place, "told()\n" + HOLD)) for _ in range(2)]
        for one in both:
            one.tell()
        said = [one.said() for one in both]
    assert sorted(what.split()[0] for what in said) == ["held", "refused"]


def test_the_lock_of_a_stopped_process_on_this_machine_is_not_taken_over_even_after_its_time(
    state: State, place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process(place, HOLD) as owner:
        assert owner.said() == "held"
        owner.process.send_signal(signal.SIGSTOP)
        at(state, monkeypatch, 1)
        refused(state)


EXPIRE = 1.0
SLEEPER = f"""
from dataclasses import replace
owner = replace(Owner.current('sync', {{'FLEET_ACTOR': 'ravi@laptop'}}), host='laptop', boot_id='the boot of a laptop')
with state.lock('acme', owner, renew_seconds={EXPIRE / 10}, expire_seconds={EXPIRE}) as lock:
    say('held'); told()
    try:
        lock.check(); say('writes')
    except LockHeld as error:
        say('lost ' + str(error).replace('\\n', ' | '))
"""
"""A process that other machines know by its expiry only, as they would a laptop with its lid closed."""


def test_an_owner_elsewhere_that_slept_past_its_time_is_taken_over_and_notices_before_its_next_write(
    state: State, place: Path | str
) -> None:
    with process(place, SLEEPER) as sleeper:
        assert sleeper.said() == "held"
        assert "ravi@laptop" in refused(state).summary
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        until(lambda: _taken(state))
        with state.lock("acme", me()) as taken:
            os.kill(sleeper.process.pid, signal.SIGCONT)
            sleeper.tell()
            said = sleeper.said()
            taken.check()
        assert said.startswith("lost ")
        assert "another run began" in said
        assert "fleet sync" in said


def _taken(state: State) -> bool:
    """True once the lock can be had; then it is given back as if its old owner had lost it to a run that ended."""
    try:
        with state.lock("acme", me()):
            return True
    except LockHeld:
        return False


def test_an_owner_elsewhere_that_slept_past_its_time_goes_on_if_nobody_began_meanwhile(place: Path | str) -> None:
    with process(place, SLEEPER) as sleeper, open_state(place) as state:
        assert sleeper.said() == "held"
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        deadline = expiry(state)

        def over() -> bool:
            with state.reading() as session:
                return state.now(session) > deadline

        until(over)
        os.kill(sleeper.process.pid, signal.SIGCONT)
        sleeper.tell()
        assert sleeper.said() == "writes"


def test_a_busy_owner_elsewhere_keeps_its_lock_well_past_its_first_time(state: State, place: Path | str) -> None:
    with process(place, SLEEPER) as owner:
        assert owner.said() == "held"
        first = expiry(state)

        def over() -> bool:
            with state.reading() as session:
                return state.now(session) > first + EXPIRE / 2

        until(over)
        assert "ravi@laptop" in refused(state).summary
        owner.tell()
        assert owner.said() == "writes"


# ------------------------------------------------------------------------------------------------- whose clock, whose pid
def test_a_process_that_has_the_pid_of_a_dead_owner_does_not_keep_its_lock(state: State) -> None:
    with holding(state, replace(me(), start_time="1")), state.lock("acme", me()) as lock:
        lock.check()


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


def test_a_lock_is_renewed_while_its_owner_works(state: State) -> None:
    with state.lock("acme", me(), renew_seconds=0.02):
        first = expiry(state)
        until(lambda: expiry(state) > first)


@pytest.mark.xdist_group("postgresql")
def test_a_machine_whose_clock_is_wrong_goes_by_the_clock_of_the_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_state(server.database()) as state, holding(state, ELSEWHERE):
        monkeypatch.setattr("time.time", lambda: 4e9)
        refused(state)


# ------------------------------------------------------------------------------------------------------- lost locks
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


@pytest.mark.xdist_group("postgresql")
class TestServerAway:
    """The server stops answering in the middle of a run."""

    def test_a_run_that_cannot_ask_for_its_lock_does_not_write(self) -> None:
        with Server() as server, open_state(server.database()) as state, state.lock("acme", me(), renew_seconds=1000) as lock:
            lock.check()
            server.stop()
            with pytest.raises(UsageError):
                lock.check()

    def test_a_run_that_did_its_work_does_not_fail_for_not_giving_back_its_lock(self) -> None:
        with Server() as server, open_state(server.database()) as state:
            with state.lock("acme", ELSEWHERE, renew_seconds=1000, expire_seconds=0.05):
                server.stop()
            server.start()
            until(lambda: _taken(state))
