"""Writing the routers of a run: hubs learn, spokes switch, hubs forget; in waves, each healthy before the next."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from .. import engine, keys
from ..blast import refusals
from ..changes import Change
from ..danger import cutting, sentence
from ..engine import Intent
from ..errors import FleetError, PlanRefused, RouterError, Unreachable, Unsupported
from ..guard import Guarded, resolve_left_over
from ..model import Secret
from ..plan import split_removals
from ..resume import NOT_BEGUN, STOPPED
from ..safety import WAVES_FROM
from ..stages import Moves, moves, union
from ..waves import Budget, waves
from .course import Course
from .marker import Markers
from .way import leads_to

Part: TypeAlias = Callable[[tuple[Change, ...]], tuple[Change, ...]]
"""Which of a router's changes are written in this stage."""


class Writing:
    """The part of a sync that changes routers.

    `patience`: seconds after which a silent one is asked again, then doubled; `alive_within`: seconds for which one is awaited
    whose tunnel this run has mended.
    """

    def __init__(self, course: Course, markers: Markers, patience: float, alive_within: float) -> None:
        self._course = course
        self._markers = markers
        self._union: Moves | None = None
        self._patience = patience
        self._alive_within = alive_within
        self._ask_again = time.monotonic() + patience
        self._intents: dict[str, Intent] = {}
        self._behind_moved: frozenset[str] = frozenset()

    def run(self) -> None:
        """Bring all writable routers to the intent; routers that move to another address in two rounds, make before break.

        Raises, before the first write of a round, PlanRefused when its blast radius is not consented to, LockHeld when somebody
        else writes.
        """
        course = self._course
        moving = self._moving()
        if moving:
            course.prepared.notes.append(moving.note())
            self._union = moving
            course.proof.moving = frozenset(moving.addresses)
            self._three_stages(self._wanted())
            # Who could not be written keeps its old address until it can: only the others lose theirs.
            moved = [name for name in moving.addresses if name in course.survey.routers and name not in course.errors]
            self._union = moving.only(set(moving.addresses) - set(moved))
            course.control.state.pin_all(course.overlay, {name: course.facts[name] for name in moved})
            course.control.reach.moved({name: course.facts[name] for name in moved})
            for name in moved:
                course.survey.routers[name].fresh()  # hubs forget the old address first: a connection there would hang
            carried = course.proof.carried
            self._behind_moved = frozenset().union(*(carried.get(name, frozenset()) for name in moved))
        self._three_stages(self._wanted())

    def _leave_old_ways(self) -> None:
        """A connection that came from an address which its carrier has given up would hang until it times out."""
        for name in self._behind_moved & self._course.survey.routers.keys():
            self._course.survey.routers[name].link.fresh()

    def _moving(self) -> Moves:
        course = self._course
        known = {name: fact.public_key for name, fact in course.facts.items() if fact.public_key is not None}
        after = {router.name: course.facts[router.name].addresses for router in course.fleet.enabled}
        return moves(course.addresses_before, after, known)

    # -------------------------------------------------------------------------------------------------- stages
    def _three_stages(self, changes: dict[str, tuple[Change, ...]]) -> None:
        """Hubs learn before spokes switch; spokes leave before hubs forget."""
        self._refuse_blast(changes)
        self._begin(changes)
        hubs = [name for name in changes if self._course.is_hub(name)]
        others = [name for name in changes if not self._course.is_hub(name)]
        self._stage(hubs, lambda changes: split_removals(changes)[0])
        self._leave_old_ways()
        self._stage([*others, *self._reconnected()], None)
        while late := self._late():
            self._begin(late)
            self._stage(late, None)
        self._stage(hubs, None)
        self._leave_old_ways()
        if self._course.stopped:
            self._hold_back(changes)

    def _begin(self, names: Iterable[str]) -> None:
        """Put the writer's marker on the hubs if any of these routers will be written."""
        if any(self._due(name) for name in names):
            self._markers.hold()

    def _due(self, name: str) -> bool:
        try:
            return self._unfinished(self._course.survey.routers[name], self._intent(name))[0]
        except FleetError:
            return False  # it will be refused, and is not written

    @staticmethod
    def _unfinished(router: engine.Router, intent: Intent) -> tuple[bool, tuple[Change, ...]]:
        """Whether there is something to write, the remains of a dead run included, and the changes."""
        assert router.observed is not None
        changes = engine.chosen(engine.compare(router, intent).changes, intent)
        return bool(changes or router.observed.guard is not None or router.observed.leftovers), changes

    def _wanted(self) -> dict[str, tuple[Change, ...]]:
        """What every writable router has before it; one that must be refused is refused here, before anybody is written."""
        found: dict[str, tuple[Change, ...]] = {}
        self._intents = {}
        for name in self._course.writable():
            router = self._course.survey.routers[name]
            try:
                intent = self._intent(name)
                found[name] = engine.chosen(engine.compare(router, intent).changes, intent)
                self._refuse_cutting(router, found[name])
            except FleetError as error:
                self._course.errors[name] = error
                found.pop(name, None)
        return found

    def _reconnected(self) -> list[str]:
        """Silent routers to which this run has just mended the way, and that answer now: awaited as long as a tunnel takes."""
        course = self._course
        due = {name for name in self._silent() if leads_to(name, course.made, course.fleet)}
        if not due or course.stopped:
            return []
        found: list[str] = []

        def look() -> bool:
            found.extend(course.ask_again(due.intersection(self._silent())))
            return not due.intersection(self._silent())

        Retrying(
            retry=retry_if_result(lambda all_there: not all_there),
            wait=wait_fixed(1),
            stop=stop_after_delay(self._alive_within),
            retry_error_callback=lambda _: None,
        )(look)
        self._begin(found)
        return found

    def _late(self) -> list[str]:
        """Routers that did not answer at first and do now; asked again while the run lasts, ever less often, never awaited."""
        silent = self._silent()
        if not silent or self._course.stopped or time.monotonic() < self._ask_again:
            return []
        self._patience *= 2
        # Jitter, so that a thousand branches of one dead hub do not all knock in the same second.
        self._ask_again = time.monotonic() + self._patience * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        return self._course.ask_again(silent)

    def _silent(self) -> list[str]:
        course = self._course
        return [
            name
            for name, error in course.survey.errors.items()
            if isinstance(error, Unreachable) and course.may_write(name) and course.facts[name].public_key is not None
        ]

    def _hold_back(self, names: Iterable[str]) -> None:
        """A run that stopped says what it leaves undone: above all the removals that hubs make last."""
        course = self._course
        for name in names:
            if name in course.errors:
                continue
            intent = self._intent(name)
            left = engine.chosen(engine.compare(course.survey.routers[name], intent).changes, intent)
            if left:
                more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
                begun = "not finished" if course.made.get(name) else "not begun"
                course.errors[name] = course.held_back(name, begun, f": {left[0]}{more}")

    # ------------------------------------------------------------------------------------------------ refusals
    def _refuse_blast(self, changes: Mapping[str, tuple[Change, ...]]) -> None:
        course = self._course
        if course.safety.force:
            return
        stored = {name: read.stored for name, read in course.survey.observed().items()}
        found = refusals(course.fleet, changes, stored)
        if found:
            more = "".join(f"; {refusal.summary}" for refusal in found[1:4])
            raise PlanRefused(f"{found[0].summary}{more}", "nothing was written; if that is what you mean, add --force")

    def _refuse_cutting(self, router: engine.Router, changes: tuple[Change, ...]) -> None:
        course = self._course
        if course.safety.unguarded or router.limits.guard != "none":
            return
        cut = cutting(course.fleet, router.name, changes)
        if cut:
            raise Unsupported(
                f"{router.name}: this router cannot undo a change by itself, and {sentence(cut)}",
                "nothing was written to it; with another way to reach it at hand: --unguarded",
            )

    # --------------------------------------------------------------------------------------------------- waves
    def _stage(self, names: Iterable[str], part: Part | None) -> None:
        """Write these routers wave by wave; what an unhealthy wave stops is not begun, and said."""
        course, options = self._course, self._course.safety
        due = [name for name in names if name not in course.errors and not course.stopped]
        kinds = {name: course.kind(name) for name in due}
        few, canaried = len(due) < WAVES_FROM, not course.proven.issuperset(kinds.values())
        rounds = (tuple(due),) if few else waves(kinds, canaries=options.canaries, batch=options.batch, proven=course.proven)
        budget = Budget.parse(options.max_failures, len(due))
        for number, wave in enumerate(rounds):
            self._wave(wave, part)
            bad = [name for name in due if _broke(course.errors.get(name))]
            canary_failed = number == 0 and canaried and len(rounds) > 1 and any(name in bad for name in wave)
            if (canary_failed or len(bad) > budget.failures) and number + 1 < len(rounds):
                self._stop(bad[0], [name for later in rounds[number + 1 :] for name in later])
                return

    def _stop(self, culprit: str, names: Sequence[str]) -> None:
        course = self._course
        course.stopped = culprit
        course.journal.record("", STOPPED, f"{culprit} did not come through; {len(names)} not begun", {NOT_BEGUN: list(names)})
        for name in names:
            course.errors[name] = course.held_back(name, "not begun")

    def _wave(self, names: Iterable[str], part: Part | None) -> None:
        def work(name: str) -> None:
            router = self._course.survey.routers[name]
            intent = self._intent(name)
            if part is not None:
                first = frozenset(map(str, part(engine.chosen(engine.compare(router, intent).changes, intent))))
                intent = replace(intent, wanted=lambda change: str(change) in first)
            began = time.monotonic()
            self._course.wrote(name, self._converge(router, intent), began)

        for name, outcome in self._course.control.runner.run(work, names).items():
            if outcome.error is not None:
                self._course.failed(name, outcome.error)

    def _converge(self, router: engine.Router, intent: Intent) -> tuple[Change, ...]:
        course = self._course
        unfinished, changes = self._unfinished(router, intent)
        if not unfinished:
            return ()
        self._refuse_cutting(router, changes)
        course.still_ours()
        if course.safety.unguarded or router.limits.guard == "none":
            resolve_left_over(router, course.run_id, course.journal)
            return engine.converge(router, intent, plan_id=course.run_id, journal=course.journal)
        course.proof.look_before(router.name)
        within, healthy = course.safety.confirm_within, course.proof.healthy
        return Guarded(router, intent, course.run_id, course.journal, within, healthy=healthy).converge()

    # ------------------------------------------------------------------------------------------------- intents
    def _intent(self, name: str) -> Intent:
        """Computed once per round: it is asked for several times, and a large mesh has many peers."""
        known = self._intents.get(name)
        if known is None:
            known = self._intents[name] = self._new_intent(name)
        return known

    def _new_intent(self, name: str) -> Intent:
        course = self._course
        assert course.desired is not None
        intent = course.control.intent(name, course.desired, course.prepared)
        intent = replace(intent, private_keys=self._escrowed(name))
        observed = course.survey.routers[name].observed
        if self._union and observed is not None:
            both = union(intent.configuration, name, self._union, observed.stored)
            if observed.limits.addresses == 1:
                # It cannot have two: it moves at once, to where everybody accepts both.
                both = {one: replace(both[one], addresses=wanted.addresses) for one, wanted in intent.configuration.items()}
            intent = replace(intent, configuration=both)
        course.control.refuse_lost_key(course.survey.routers[name], course.facts[name], intent)
        return intent

    def _escrowed(self, name: str) -> dict[str, Secret]:
        """The pinned key out of escrow, for a router that lost it; nothing is unsealed for one that has it."""
        control = self._course.control
        interface, observed = self._course.fleet.routers[name].interface, self._course.survey.routers[name].observed
        if control.secret is None or (observed is not None and interface in observed.stored):
            return {}
        held = control.escrow(name, self._course.facts[name].public_key)
        return {interface: keys.unseal(control.secret, held.sealed_as, held.sealed)} if held is not None else {}


def _broke(error: FleetError | None) -> bool:
    """True if a router failed or was rolled back: not for one that went offline, and not for one that was refused."""
    return isinstance(error, RouterError) and error.outcome in ("failed", "rolled back")
