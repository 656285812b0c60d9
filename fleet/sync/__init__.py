"""One sync of one fleet, from what was prepared to what became of every router.

First contact makes interface and key on every reachable router that has none, reads the key back and pins it. Then
hubs learn, spokes switch, hubs forget. At the end, when both ends of every tunnel have been written, liveness is judged.
Each router's failure is its own; only what must stop everybody is raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from .. import engine, keys
from ..control import Controller, Prepared, failed
from ..danger import managed_through
from ..engine import Journal, Line
from ..errors import HeldBack, UsageError
from ..events import Event
from ..model import Fact, IPAddress
from ..proof import Before, Proof
from ..report import FleetReport, RouterReport
from ..resume import LEFT_OUT, last_stopped
from ..safety import Safety
from ..state import CONFIGURATION, Owner
from .alive import Liveness
from .contact import FirstContact
from .course import Course
from .marker import Markers
from .writing import Writing

__all__ = ["ALIVE_WITHIN", "FIRST_PATIENCE", "Sync"]

ALIVE_WITHIN = 20.0
"""Seconds that a tunnel written in this run gets to shake hands before its router is called waiting.

WireGuard tries a handshake every 5 s, so this is three tries and a margin.
"""

FIRST_PATIENCE = 5.0
"""Seconds after which a silent router is asked again; doubled each time, with jitter."""


class Sync:
    """One run.

    `still_ours` raises LockHeld when somebody took the fleet's lock over meanwhile; it is asked before every router is written.
    `owner` is named by the marker on hubs; None: this process.
    """

    def __init__(
        self,
        controller: Controller,
        prepared: Prepared,
        journal: Journal,
        run_id: str,
        *,
        safety: Safety = Safety(),
        still_ours: Callable[[], None] = lambda: None,
        alive_within: float | None = None,
        owner: Owner | None = None,
    ) -> None:
        self._control = controller
        self._prepared = prepared
        self._course = Course(controller, prepared, journal, run_id, safety, self._ours, self._proving())
        self._lock_is_ours = still_ours
        self._markers = Markers(self._course, owner or Owner.current("sync"))
        self._contact = FirstContact(self._course, self._markers)
        within = ALIVE_WITHIN if alive_within is None else alive_within
        self._writing = Writing(self._course, self._markers, FIRST_PATIENCE, within)
        self._liveness = Liveness(self._course, within)
        self._waiting: dict[str, str] = {}

    def _proving(self) -> Proof:
        """What lived and answered when the run began, against which every guarded change is held."""
        survey, facts = self._prepared.survey, self._prepared.facts

        def connect(name: str, *, address: IPAddress | None = None) -> None:
            router = self._control.reach.router(name, at=address)
            try:
                _ = router.link.session  # opens it: a login is the answer
            finally:
                router.link.close()

        return Proof(
            before=Before.of(survey.observed()),
            carried=managed_through(self._control.fleet),
            connect=connect,
            connect_at=connect,
            runner=self._control.runner,
            others=survey.routers,
            names={fact.public_key: name for name, fact in facts.items() if fact.public_key is not None},
            asked={*survey.routers, *survey.errors},
        )

    def _ours(self) -> None:
        self._lock_is_ours()
        self._markers.check()

    def run(self) -> FleetReport:
        """Do it all.

        Raises, before the first write, UsageError when a secret is needed and cannot be had, LockHeld when another operator's
        marker stands on a hub, PlanRefused for a blast radius that is not consented to.
        """
        try:
            return self._run()
        finally:
            self._markers.release()

    def _run(self) -> FleetReport:
        began = time.monotonic()
        self._need_secret()
        self._leave_out()
        self._pin()
        self._contact.run()
        self._course.desired = self._control.desired(self._course.facts, self._prepared.addresses)
        self._writing.run()
        self._waiting = self._liveness.judge()
        report = self._report()  # before what was confirmed last time is replaced: labels compare with it
        self._record(report, self._remember())
        report.seconds = time.monotonic() - began
        return report

    # ------------------------------------------------------------------------------------------- preparations
    def _need_secret(self) -> None:
        """Make the fleet secret if this fleet has none and nothing of ours is out there; else it must be found."""
        control = self._control
        if control.secret is not None or not (control.fleet.overlay.preshared_keys or self._new_escrow()):
            return
        ours = [
            name
            for name, observed in self._course.survey.observed().items()
            for interface in observed.stored.values()
            if interface.mark is not None and interface.mark.overlay == self._course.overlay
        ]
        if ours or control.make_secret is None:
            place = f"{ours[0]} already holds something of this fleet" if ours else "none was made"
            raise UsageError(
                f"the fleet secret is missing and {place}",
                "copy .fleet/secret from where this fleet is managed, or set FLEET_SECRET; nothing was written",
            )
        control.secret = control.make_secret()
        fingerprint = keys.secret_fingerprint(control.secret)
        self._prepared.notes.append(f"a fleet secret was made; add to the inventory under overlay:  secret_id: {fingerprint}")

    def _new_escrow(self) -> bool:
        course = self._course
        return any(
            self._control.custody(name) == "escrow" and course.facts[name].public_key is None for name in course.survey.routers
        )

    def _leave_out(self) -> None:
        """With `resume`: routers that failed in the run that stopped are not written, kinds that it proved need no canary."""
        course, notes = self._course, self._prepared.notes
        if not course.safety.resume:
            return
        stopped = last_stopped(self._control.state, course.overlay, course.run_id)
        if stopped is None:
            notes.append("no sync stopped that could be gone on with: this is an ordinary one, canaries first")
            return
        known = {*course.survey.routers, *course.survey.errors}  # one that is silent now may answer before the run ends
        out = [name for name in stopped.failed if name in known and course.may_write(name)]
        for name in out:
            outcome, run = stopped.failed[name]
            course.journal.record(name, LEFT_OUT, f"{outcome} in run {run}", {"outcome": outcome, "run": run})
            course.errors[name] = HeldBack(
                f"{name}: left out, because it {'was rolled back' if outcome == 'rolled back' else 'failed'} in run {run}",
                f"see why with `fleet history {run}`; when the cause is gone: fleet sync {name}",
                router=name,
            )
        course.proven = frozenset(course.kind(name) for name in stopped.proven if name in course.survey.routers)
        without = f", without {', '.join(out[:5])}{f' and {len(out) - 5} more' if len(out) > 5 else ''}" if out else ""
        notes.append(f"run {stopped.run} stopped and is gone on with{without}")

    def _pin(self) -> None:
        """Addresses once given are kept, keys once seen are known, names follow `formerly`, who left is noted."""
        course, state, pinned = self._course, self._control.state, self._prepared.pinned
        for name, router in course.fleet.routers.items():
            if router.formerly is not None and name not in pinned:
                state.rename(course.overlay, router.formerly, name)
        state.note_present(course.overlay, tuple(course.fleet.routers))
        changed: dict[str, Fact] = {}
        for name, router in course.fleet.routers.items():
            fact = replace(course.facts[name], addresses=tuple(self._prepared.addresses.get(name, ())))
            course.facts[name] = fact
            # A router that moves to another address is found at the old one until it has both.
            kept = replace(fact, addresses=course.addresses_before[name] or fact.addresses)
            if router.enabled and kept != pinned.get(name):
                changed[name] = kept
        state.pin_all(course.overlay, changed)

    # ------------------------------------------------------------------------------------------------- results
    def _remember(self) -> dict[str, str]:
        """What is confirmed is what a fresh read showed: it tells intent from drift next time, and can be gone back to."""
        course = self._course
        read = {name: course.survey.routers[name].observed for name in course.writable()}
        return self._control.remember(
            {
                name: (course.configuration(name), observed.version)
                for name, observed in read.items()
                if self._prepared.selection.filter(name) is None and observed is not None
            }
        )

    def _report(self) -> FleetReport:
        course, selection = self._course, self._prepared.selection
        assert course.desired is not None
        report = FleetReport("sync", course.overlay, notes=[*self._prepared.notes, *course.desired.notes], run=course.run_id)
        report.not_enrolled = [name for name in course.desired.not_enrolled if name in selection.names]
        report.routers += map(self._one, selection.names)
        for router in report.routers:
            self._control.emit(Event(router.router, "done", router.outcome))
        return report

    def _record(self, report: FleetReport, kept: Mapping[str, str]) -> None:
        """Write down what became of each router and, if all of it is confirmed, under which id that is kept."""
        lines: list[Line] = []
        for router in report.routers:
            confirmed = {CONFIGURATION: kept[router.router]} if router.router in kept else {}
            lines.append((router.router, "outcome", router.outcome, {"summary": router.summary, **confirmed}))
        engine.record_all(self._course.journal, lines)

    def _one(self, name: str) -> RouterReport:
        course = self._course
        report = self._control.blank(name, self._prepared)
        made = course.made.get(name, ())
        self._control.describe(report, made)
        if name in course.errors:
            return failed(report, course.errors[name])
        if name not in course.survey.routers:
            return self._control.absent(report, self._prepared)
        observed = course.survey.routers[name].observed
        report.version = observed.version if observed else ""
        report.outcome = "changed" if made else "in sync"
        if name in self._waiting:
            report.outcome = "waiting"
            report.summary = f"configured, no handshake yet with {self._waiting[name]}"
            report.hint = (
                "check that UDP reaches the endpoint from there; `fleet status` shows when it comes up, nothing else is needed"
            )
        return report
