"""A guarded change to one router: armed before the first write, confirmed after proof, undone otherwise.

The router itself holds the undo and runs it at the deadline, whether or not anybody can still reach it. Here is only
what surrounds that: resolve a guard that a dead run left, arm, write, prove on a fresh connection, then confirm, or trip
the undo (or wait for it where the router cannot be reached any more) and read what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from . import engine
from .changes import Change, RemoveInterface, RemovePeer
from .diff import diff
from .driver import Observed, RouterPlan, Script, Step
from .engine import Intent, Journal, Router
from .errors import ConnectionLost, FleetError, NotConverged, RolledBack, RouterError
from .model import Configuration
from .order import batches
from .overlay import fitted

GRACE_SECONDS = 20.0
"""How long after its deadline an undo may take until the router answers again."""

SETTLE_SECONDS = 6.0
"""How long an undo that has begun may take to finish before the rest of the way back is planned."""

PASS_SHARE = 0.5
"""The passes of a run must be through within this share of the window: the rest is for verify and confirm."""

Healthy = Callable[[Router, tuple[Change, ...], float], str]
"""Proof beyond the router's own state, after these changes begun at this monotonic second: empty, or what is wrong."""


def _always(router: Router, changes: tuple[Change, ...], began: float) -> str:  # noqa: ARG001 - the shape of Healthy
    return ""


@dataclass(slots=True)
class Guarded:
    """One guarded run over one router."""

    router: Router
    intent: Intent
    plan_id: str
    journal: Journal
    confirm_within: int
    healthy: Healthy = _always
    _snapshot: Configuration | None = None
    _deadline: float = 0.0

    def converge(self) -> tuple[Change, ...]:
        """Bring the router to the intent under guard; the changes made, empty if there was nothing to do.

        Raises RolledBack with what was tried and why; RouterError as engine.converge does when nothing was armed yet.
        """
        if self.router.observed is None:
            engine.observe(self.router)
        resolve_left_over(self.router, self.plan_id, self.journal)
        made = self._left()
        if not made:
            self._clean_up()
            return ()
        self._write(made)
        self._prove(made)
        self._confirm(made)
        self._clean_up()
        return made

    # -------------------------------------------------------------------------------------------------- phases
    def _write(self, changes: tuple[Change, ...]) -> None:
        self._snapshot = self._ours()
        left: frozenset[str] = frozenset()
        began = time.monotonic()
        self._deadline = began + self.confirm_within
        arm = True
        while changes:
            if not arm and time.monotonic() - began > self.confirm_within * PASS_SHARE:
                raise self._undone(changes, f"did not converge within half of the {self.confirm_within} s window")
            shown = frozenset(map(str, changes))
            if left and len(shown) >= len(left) and shown & left:
                raise self._failed(
                    changes, NotConverged(f"{self.router.name}: accepted every request and still differs: {changes[0]}")
                )
            lost = self._send(self._script(changes, arm=arm), changes, arm=arm)
            try:
                self._reread()
                self._still_armed(changes)
                arm, left = False, frozenset() if lost else shown
                changes = self._left()
            except RolledBack:
                raise
            except FleetError as error:
                raise self._undone(changes, f"cannot be read after the change: {error.summary}") from error

    def _send(self, script: Script, changes: tuple[Change, ...], *, arm: bool) -> bool:
        """Send a pass; True if the connection was lost on the way, and a fresh read must tell what landed."""
        first = True
        for phase in (script.prepare, script.guarded):
            for batch in phase:
                try:
                    engine.send(self.router, batch, self.journal)
                except ConnectionLost as error:
                    self.router.say("apply", error.summary)
                    return True
                except RouterError as error:
                    if arm and first:
                        raise self._not_armed(changes, error) from error
                    raise self._failed(changes, error) from error
                first = False
        return False

    def _still_armed(self, changes: tuple[Change, ...]) -> None:
        """The undo may have fired while a slow router was still being written: then what came later stands unguarded."""
        assert self.router.observed is not None
        seen = self.router.observed.guard
        if seen is None or seen.plan_id != self.plan_id:
            raise self._undone(changes, f"its undo fired before the change was written (window: {self.confirm_within} s)")

    def _prove(self, made: tuple[Change, ...]) -> None:
        wrong = self.healthy(self.router, made, self._deadline - self.confirm_within)
        if wrong:
            raise self._undone(made, wrong)
        self.router.say("verify", "reads as intended")

    def _confirm(self, made: tuple[Change, ...]) -> None:
        script = self._script((), arm=False)
        self.router.fresh()
        self.router.say("confirm")
        try:
            engine.send(self.router, (Step("confirm", script.confirm),), self.journal)
        except ConnectionLost as error:
            self.router.say("confirm", error.summary)  # it may have arrived: the read below tells
        except RouterError as error:
            raise self._undone(made, f"could not be confirmed: {error.summary}") from error
        try:
            observed = self._reread()
        except RouterError as error:
            raise self._undone(made, f"cannot be read after the confirm: {error.summary}") from error
        if observed.guard is not None and observed.guard.plan_id == self.plan_id:
            raise self._undone(made, "the confirm did not arrive")
        left = self._stored_left()
        if left:
            raise NotConverged(
                f"{self.router.name}: confirmed, and reads differently: {left[0]}",
                f"see the difference with `fleet plan {self.router.name}`",
                router=self.router.name,
            )
        self.journal.record(self.router.name, "confirm", "confirmed; a fresh read equals the intent")

    def _clean_up(self) -> None:
        """Delete what was only disabled, and what an earlier cleanup left. Losing this is repaired by the next sync."""
        assert self.router.observed is not None
        changes = self._parting()
        if not changes and not self.router.observed.leftovers:
            return
        script = self._script(changes, arm=False, confirm_within=0)
        for phase in (script.guarded, script.cleanup):
            for batch in phase:
                engine.send(self.router, batch, self.journal)
        self._reread()

    # -------------------------------------------------------------------------------------------------- undoing
    def _not_armed(self, changes: tuple[Change, ...], error: RouterError) -> RouterError:
        """The arming was refused: nothing is written, unless half an undo stands, which is then run."""
        try:
            observed = self._reread()
        except RouterError:
            return error
        if observed.guard is not None and observed.guard.plan_id == self.plan_id:
            return self._failed(changes, error)
        error.hint = "\n  ".join(part for part in (error.hint, "no undo could be armed, so nothing was written") if part)
        return error

    def _failed(self, changes: tuple[Change, ...], error: RouterError) -> RouterError:
        """The router's own no, with the assurance that what had landed is undone."""
        undone = self._undone(changes, error.summary.removeprefix(f"{self.router.name}: "))
        error.hint = "\n  ".join(part for part in (error.hint, undone.summary.rpartition("; ")[2], undone.hint) if part)
        return error

    def _undone(self, changes: tuple[Change, ...], why: str) -> RolledBack:
        """Make sure that the router is as it was; the error that says so, or that it could not be seen."""
        name = self.router.name
        why = why.removeprefix(f"{name}: ")
        self.router.say("roll back", why)
        self.journal.record(name, "roll back", why)
        began = time.monotonic()
        tripped = self._trip()
        seen = self._await_undo()
        took = time.monotonic() - began
        tried = f"tried: {changes[0]}" + (f" (and {len(changes) - 1} more)" if len(changes) > 1 else "")
        if seen:
            by = "undone" if tripped else "it undid itself"
            self.journal.record(name, "roll back", f"{by} after {took:.0f} s")
            return RolledBack(
                f"{name}: {why}; {by} after {took:.0f} s",
                f"{tried}\n  see the difference with `fleet plan {name}`",
                router=name,
            )
        self.journal.record(name, "roll back", "not seen: the router does not answer, or is not yet as it was")
        return RolledBack(
            f"{name}: {why}; it does not answer, its guard undoes the change by itself",
            f"{tried}\n  when it answers again: fleet plan {name}",
            router=name,
        )

    def _trip(self) -> bool:
        """Ask the router to undo now; False if it cannot be asked."""
        try:
            self.router.fresh()
            script = self._script((), arm=False)
            if not script.trip:
                return False
            engine.send(self.router, (Step("undo now", script.trip),), self.journal)
        except FleetError:
            return False
        return True

    def _await_undo(self) -> bool:
        """Until a fresh read equals the snapshot; the undo's own end is not seen, it removes itself first.

        Where the undo has run and something of the change still stands (it fired while the router was being written), the
        way back is planned from what is there.
        """
        patience = max(5.0, self._deadline - time.monotonic()) + GRACE_SECONDS
        attempts = Retrying(
            retry=retry_if_result(lambda as_before: not as_before) | retry_if_exception_type(RouterError),
            wait=wait_fixed(1),
            stop=stop_after_delay(patience),
        )
        settled = _Patience(SETTLE_SECONDS)

        def as_before() -> bool:
            observed = self._reread()
            if observed.guard is not None and observed.guard.plan_id == self.plan_id:
                return False
            left = self._from_snapshot()
            if left and settled.over():
                engine.apply(self.router, self._back(left), self.journal)
                self._reread()
                left = self._from_snapshot()
            return not left

        try:
            return attempts(as_before)
        except RetryError:
            return False

    def _from_snapshot(self) -> tuple[Change, ...]:
        """What separates the router from its snapshot, in both views; a left-over guard of another run has none."""
        assert self.router.observed is not None
        if self._snapshot is None:
            return ()
        observed, limits = self.router.observed, self.router.limits
        return diff(observed.stored, observed.running, self._snapshot, self.router.overlay, limits=limits).changes

    def _back(self, changes: tuple[Change, ...]) -> Script:
        assert self.router.observed is not None
        plan = RouterPlan(
            target=self.router.link.target,
            plan_id=self.plan_id,
            batches=batches(changes, self.router.limits),
            desired=self._snapshot or {},
        )
        return self.router.driver.render(plan, self.router.observed)

    # -------------------------------------------------------------------------------------------------- helpers
    def _script(self, changes: tuple[Change, ...], *, arm: bool, confirm_within: int | None = None) -> Script:
        assert self.router.observed is not None
        limits = self.router.limits
        plan = RouterPlan(
            target=self.router.link.target,
            plan_id=self.plan_id,
            batches=batches(changes, limits),
            desired=fitted(engine.partial(self.intent, changes, self.router.observed), limits),
            private_keys=self.intent.private_keys,
            snapshot=self._snapshot or {},
            confirm_within=self.confirm_within if confirm_within is None else confirm_within,
            arm=arm,
        )
        return self.router.driver.render(plan, self.router.observed)

    def _ours(self) -> Configuration:
        """Our interfaces as they are, for the undo: what is foreign on them is not its business."""
        assert self.router.observed is not None
        return {
            name: interface
            for name, interface in self.router.observed.stored.items()
            if name in self.intent.configuration or (interface.mark and interface.mark.overlay == self.router.overlay)
        }

    def _reread(self) -> Observed:
        self.router.fresh()
        return engine.observe(self.router)

    def _left(self) -> tuple[Change, ...]:
        """What still differs and is not merely waiting for cleanup; where saving is the confirm, in the running view."""
        assert self.router.observed is not None
        observed = self.router.observed
        if self._snapshot is None or not self.router.limits.saves_on_confirm or observed.running is None:
            return tuple(change for change in self._stored_left() if not _parted(change))
        wanted = fitted(self.intent.configuration, self.router.limits)
        found = diff(observed.running, None, wanted, self.router.overlay, limits=self.router.limits)
        return tuple(change for change in engine.chosen(found.changes, self.intent) if not _parted(change))

    def _stored_left(self) -> tuple[Change, ...]:
        changes = engine.chosen(engine.compare(self.router, self.intent).changes, self.intent)
        return tuple(change for change in changes if not _parted(change))

    def _parting(self) -> tuple[Change, ...]:
        changes = engine.chosen(engine.compare(self.router, self.intent).changes, self.intent)
        return tuple(change for change in changes if _parted(change))


class _Patience:
    """True in `over` once `seconds` have passed since it was first asked."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None

    def over(self) -> bool:
        self._began = self._began or time.monotonic()
        return time.monotonic() - self._began >= self._seconds


def _parted(change: Change) -> bool:
    """True for the removal of what is disabled already: it can wait for the cleanup."""
    return isinstance(change, RemovePeer | RemoveInterface) and change.old.disabled


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
    dead = Guarded(router, Intent({}), left.plan_id, journal, confirm_within=1)
    if not dead._trip() or not dead._await_undo():  # noqa: SLF001 - the same class
        raise RouterError(
            f"{router.name}: a guard of run {left.plan_id} is armed and cannot be tripped",
            f"it fires by itself{when}; then run `fleet sync {router.name}` again",
            router=router.name,
        )
