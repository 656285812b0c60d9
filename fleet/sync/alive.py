"""Whether tunnels live, judged at the end of a run, when both ends of every tunnel have been written."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from .. import engine
from ..driver import Ask, Probe, ProbeResult
from ..errors import RouterError
from ..liveness import FRESH_SECONDS, Session, judge
from ..proof import CLOCK_STEP, rehandshake
from .course import Course


class Liveness:
    """The part of a sync that waits for the tunnels it wrote, at most `within` seconds."""

    def __init__(self, course: Course, within: float) -> None:
        self._course = course
        self._within = within

    def judge(self) -> dict[str, str]:
        """Wait for the tunnels that this run wrote; by router that should dial, whose handshake is missing."""
        touched = {name for name, made in self._course.made.items() if made}
        sessions = self._sessions()
        due = [session for session in sessions if touched & {session.one, session.other}]
        self._hurry(due)
        self._knock(session for session in due if session.verdict == "idle" and session.age is None)
        if any(session.verdict != "alive" for session in due):
            sessions = self._awaited(touched)
        waiting: dict[str, str] = {}
        for session in sessions:
            if session.verdict == "waiting":
                waiting.setdefault(session.dialler, session.other if session.dialler == session.one else session.one)
        return waiting

    def _sessions(self) -> list[Session]:
        course = self._course
        assert course.desired is not None
        observed = course.observed()
        wanted = {name: course.configuration(name) for name in observed}
        pairs = [(pair[0], pair[1]) for pair in course.desired.pairs]
        return judge(pairs, course.facts, wanted, observed, self._younger_than)

    def _younger_than(self, one: str, other: str) -> float:
        broken = self._course.broken.get(frozenset((one, other)))
        return FRESH_SECONDS if broken is None else min(FRESH_SECONDS, time.monotonic() - broken + CLOCK_STEP)

    def _hurry(self, sessions: Iterable[Session]) -> None:
        """Force the handshakes that this run's changes made necessary, on the end that dials: measured, 9 ms against 15 s."""
        course = self._course
        diallers: dict[str, set[str]] = {}
        for session in sessions:
            if session.verdict == "waiting" and frozenset((session.one, session.other)) in course.broken:
                far = session.other if session.dialler == session.one else session.one
                diallers.setdefault(session.dialler, set()).add(far)

        def hurry(name: str) -> None:
            router = course.survey.routers[name]
            keys_of = {course.facts[far].public_key for far in diallers[name]}
            assert router.observed is not None
            for interface in router.observed.stored.values():
                for peer in interface.peers.values():
                    if peer.public_key in keys_of:
                        rehandshake(router, interface.name, peer)
            engine.observe(router)

        course.control.runner.run(hurry, [name for name in diallers if self._answers(name)])

    def _awaited(self, touched: set[str]) -> list[Session]:
        """Read again until every tunnel of the touched routers lives, or its time is over; hubs tell for their spokes."""
        course = self._course

        def look() -> list[Session]:
            pending = [s for s in self._sessions() if touched & {s.one, s.other} and s.verdict == "waiting"]
            listeners = {session.one if session.dialler == session.other else session.other for session in pending}
            readers = [name for name in listeners if self._answers(name)]
            course.control.runner.run(lambda name: engine.observe(course.survey.routers[name]), readers)
            return self._sessions()

        attempts = Retrying(
            retry=retry_if_result(lambda found: any(s.verdict == "waiting" and touched & {s.one, s.other} for s in found)),
            wait=wait_fixed(1),
            stop=stop_after_delay(self._within),
        )
        try:
            return attempts(look)
        except RetryError as error:
            return list(error.last_attempt.result())

    def _knock(self, sessions: Iterable[Session]) -> None:
        """Send one packet through each tunnel that nobody keeps alive, so that it shows whether it can live."""
        asks: dict[str, list[Ask[ProbeResult]]] = {}
        for session in sessions:
            for near, far in ((session.one, session.other), (session.other, session.one)):
                ask = self._probe(near, far)
                if ask is not None:
                    asks.setdefault(near, []).append(ask)
                    break

        def knock(name: str) -> None:
            router = self._course.survey.routers[name]
            for ask in asks[name]:
                try:
                    router.link.send_all(ask.requests)
                except RouterError as error:
                    router.say("verify", f"probe: {error.summary}")
            engine.observe(router)

        self._course.control.runner.run(knock, asks)

    def _probe(self, near: str, far: str) -> Ask[ProbeResult] | None:
        """A ping from `near` to the overlay address of `far`; None where it cannot be sent, or `far` is known not to answer."""
        course = self._course
        router = course.survey.routers.get(near)
        if router is None or router.observed is None or {near, far} & {*course.errors, *course.survey.errors}:
            return None
        sources = {address.version: address for address in course.facts[near].addresses}
        target = next((address for address in course.facts[far].addresses if address.version in sources), None)
        if target is None:
            return None
        return router.driver.probe(Probe(target, sources[target.version], count=1), router.observed)

    def _answers(self, name: str) -> bool:
        return name in self._course.survey.routers and name not in self._course.errors
