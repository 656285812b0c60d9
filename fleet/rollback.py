"""The way back from a guarded change: run the undo that the router holds, wait for its end, and finish what it left.

The router's undo is the way back. Only where it has run and something of the change still stands (it fired while a slow
router was being written) the rest is planned from what is there, like any other change.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from . import engine
from .changes import AddPeer, Change, SetPeer
from .diff import diff
from .driver import Observed, RouterPlan, Step
from .engine import Journal, Router
from .errors import FleetError, PlanRefused, Rejected, RolledBack, RouterError
from .model import HIDDEN, Configuration
from .order import batches

GRACE_SECONDS = 20.0
"""How long after its deadline an undo may take until the router answers again."""

LOOK_SECONDS = 1.0
"""How often a router that undoes is looked at."""

SETTLE_SECONDS = 6.0
"""How long an undo that has begun may take to finish before the rest of the way back is planned."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look says: whether it is over, and what then still separates the router from its snapshot."""

    over: bool
    left: tuple[Change, ...] | None = None


@dataclass(slots=True)
class RollBack:
    """The way back of one run on one router. `deadline` in monotonic seconds; `snapshot` None: of another run, not known."""

    router: Router
    plan_id: str
    journal: Journal
    snapshot: Configuration | None = None
    deadline: float = 0.0
    _asked: bool = False
    _ended: float | None = None
    _tried: frozenset[str] = frozenset()
    _view: object = field(default=None, repr=False)

    def run(self, changes: tuple[Change, ...], why: str) -> RolledBack:
        """Make sure that the router is as it was; the error that says so, or that it could not be seen."""
        name = self.router.name
        why = why.removeprefix(f"{name}: ")
        self.router.say("roll back", why)
        self.journal.record(name, "roll back", why)
        began = time.monotonic()
        self.trip()
        left = self.ended()
        by = "undone" if self._asked else "it undid itself"
        took = time.monotonic() - began
        tried = f"tried: {changes[0]}" + (f" (and {len(changes) - 1} more)" if len(changes) > 1 else "")
        if left is None:
            self.journal.record(name, "roll back", "not seen: the router does not answer, or its undo has not run yet")
            return RolledBack(
                f"{name}: {why}; it does not answer, its guard undoes the change by itself",
                f"{tried}\n  when it answers again: fleet plan {name}",
                router=name,
            )
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        said = f"{by} after {took:.0f} s" + (f", except {left[0]}{more}" if left else "")
        self.journal.record(name, "roll back", said)
        return RolledBack(f"{name}: {why}; {said}", f"{tried}\n  see the difference with `fleet plan {name}`", router=name)

    @property
    def patience(self) -> float:
        """Seconds from now until the undo has run and the router answers again, at the latest."""
        return max(5.0, self.deadline - time.monotonic()) + GRACE_SECONDS + self.router.limits.undo_seconds

    def trip(self) -> None:
        """Ask the router to undo now. That it cannot be asked, says no, or has undone already, shows in `ended`."""
        try:
            self.router.fresh()
            self._ask(engine.observe(self.router))
        except FleetError as error:
            self.router.say("roll back", error.summary)

    def _ask(self, observed: Observed) -> None:
        if self._asked or observed.guard is None or observed.guard.plan_id != self.plan_id:
            return
        script = self.router.driver.render(self._plan((), within=1), observed)
        engine.send(self.router, (Step("undo now", script.trip),), self.journal)
        self._asked = True

    def ended(self) -> tuple[Change, ...] | None:
        """Wait for the end of the undo: what of the change still stands then, None if its end was not seen.

        The end itself is not shown, an undo removes itself first: a fresh read equals the snapshot, or, where that is not
        known, two reads are the same.
        """
        attempts = Retrying(
            retry=retry_if_result(lambda seen: not seen.over) | retry_if_exception_type(RouterError),
            wait=wait_fixed(LOOK_SECONDS),
            stop=stop_after_delay(self.patience),
        )
        try:
            return attempts(self._look).left
        except RetryError as error:
            last = error.last_attempt
            return None if last.failed else last.result().left

    def _look(self) -> _Seen:
        self.router.fresh()
        observed = engine.observe(self.router)
        if observed.guard is not None and observed.guard.plan_id == self.plan_id:
            self._ask(observed)  # a router that did not answer before
            return _Seen(over=False)
        if self.snapshot is None:
            before, self._view = self._view, (observed.stored, observed.running)
            return _Seen(before == self._view, ())
        left = self._separates()
        if not left:
            return _Seen(over=True, left=())
        self._ended = self._ended or time.monotonic()
        if time.monotonic() - self._ended < SETTLE_SECONDS:
            return _Seen(over=False, left=left)
        shown = frozenset(map(str, left))
        if shown == self._tried:
            return _Seen(over=True, left=left)
        self._tried = shown
        return self._finish(left)

    def _finish(self, left: tuple[Change, ...]) -> _Seen:
        """The undo has run and this still stands: plan the way back from what is there."""
        assert self.router.observed is not None
        back = tuple(_restorable(left))
        try:
            if back:
                engine.apply(self.router, self.router.driver.render(self._plan(back), self.router.observed), self.journal)
        except (PlanRefused, Rejected) as error:
            self.router.say("roll back", error.summary)
        self.router.fresh()
        engine.observe(self.router)
        left = self._separates()
        return _Seen(not left, left)

    def _separates(self) -> tuple[Change, ...]:
        """What separates the router from its snapshot, in both views."""
        assert self.router.observed is not None
        observed, limits = self.router.observed, self.router.limits
        return diff(observed.stored, observed.running, self.snapshot or {}, self.router.overlay, limits=limits).changes

    def _plan(self, changes: tuple[Change, ...], within: int = 0) -> RouterPlan:
        return RouterPlan(
            target=self.router.link.target,
            plan_id=self.plan_id,
            batches=batches(changes, self.router.limits),
            desired=self.snapshot or {},
            snapshot=self.snapshot or {},
            confirm_within=within,
        )


def _restorable(changes: Iterable[Change]) -> Iterable[Change]:
    """Without what a snapshot cannot give back: a preshared key that the router did not show. Its mark stays with it."""
    for change in changes:
        if isinstance(change, SetPeer) and change.wanted.preshared_key is HIDDEN and "preshared_key" in change.differing:
            kept = replace(change.wanted, preshared_key=change.old.preshared_key, mark=change.old.mark)
            change = replace(change, wanted=kept)
            if not change.differing:
                continue
        if not (isinstance(change, AddPeer) and change.wanted.preshared_key is HIDDEN):
            yield change


def resolve_left_over(router: Router, plan_id: str, journal: Journal) -> None:
    """Trip a guard that another run left behind and wait until it is gone: its change was never proven.

    Raises RouterError when it does not go away.
    """
    assert router.observed is not None
    left = router.observed.guard
    if left is None or left.plan_id == plan_id:
        return
    journal.record(router.name, "roll back", f"a guard of run {left.plan_id} was left over; it is tripped")
    router.say("roll back", f"a guard of run {left.plan_id} was left over: undoing that change first")
    when = f" in {left.fires_in:.0f} s" if left.fires_in else ""
    back = RollBack(router, left.plan_id, journal)
    back.trip()
    if back.ended() is None:
        raise RouterError(
            f"{router.name}: a guard of run {left.plan_id} is armed and cannot be tripped",
            f"it fires by itself{when}; then run `fleet sync {router.name}` again",
            router=router.name,
        )
