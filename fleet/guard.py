"""A guarded change to one router: armed before the first write, confirmed after proof, undone otherwise.

The router itself holds the undo and runs it at the deadline, whether or not anybody can still reach it. Here is only
what surrounds that: resolve a guard that a dead run left, arm, write, prove on a fresh connection, then confirm, or trip
the undo (or wait for it where the router cannot be reached any more) and read what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from . import engine, rollback
from .changes import Change, RemoveInterface, RemovePeer
from .diff import diff
from .driver import Batch, Observed, RouterPlan, Script, Step
from .engine import Intent, Journal, Router
from .errors import ConnectionLost, FleetError, NotConverged, RolledBack, RouterError, hints
from .model import Configuration, Interface
from .order import batches
from .overlay import fitted
from .rollback import RollBack, resolve_left_over

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
        began = time.monotonic()
        self._deadline = began + self.confirm_within
        lost = self._armed(changes)
        while True:
            before, changes = changes, self._seen_left(changes)
            if not changes:
                return
            if not lost and len(changes) >= len(before) and set(map(str, changes)) & set(map(str, before)):
                raise self._failed(
                    changes, NotConverged(f"{self.router.name}: accepted every request and still differs: {changes[0]}")
                )
            if time.monotonic() - began > self.confirm_within * PASS_SHARE:
                raise self._undone(changes, f"did not converge within half of the {self.confirm_within} s window")
            script = self._script(changes, arm=False)
            lost = self._send((*script.prepare, *script.guarded), changes)

    def _armed(self, changes: tuple[Change, ...]) -> bool:
        """Arm, then send the first pass; True if the connection was lost on the way, and a read must tell what landed.

        Nothing is written before the router has acknowledged its undo: one whose answer was lost is taken back and armed anew.
        """
        for again in (True, False):
            script = self._script(changes, arm=True)
            arming, first = (*script.prepare, *script.guarded[:1]), script.guarded[1:]
            try:
                for batch in arming:
                    engine.send(self.router, batch, self.journal)
            except ConnectionLost as error:
                self.router.say("apply", error.summary)
                self._take_back(changes, error, again=again)
            except RouterError as error:
                raise self._not_armed(changes, error) from error
            else:
                return self._send(first, changes)
        raise AssertionError("the second loss was raised")

    def _take_back(self, changes: tuple[Change, ...], error: ConnectionLost, *, again: bool) -> None:
        """An arming whose answer was lost. Raises the error, or RolledBack, unless it can be done again."""
        try:
            observed = self._reread()
        except RouterError:
            raise self._undone(changes, error.summary) from error
        if observed.guard is not None and observed.guard.plan_id == self.plan_id:
            back = self._back()
            back.trip()
            if back.ended() is None:
                raise self._undone(changes, error.summary) from error
        if not again:
            error.summary = f"{self.router.name}: {error.summary}"
            error.hint = "no undo could be armed, so nothing was written"
            raise error

    def _send(self, pass_: tuple[Batch, ...], changes: tuple[Change, ...]) -> bool:
        """Send a pass; True if the connection was lost on the way, and a fresh read must tell what landed."""
        for batch in pass_:
            try:
                engine.send(self.router, batch, self.journal)
            except ConnectionLost as error:
                self.router.say("apply", error.summary)
                return True
            except RouterError as error:
                raise self._failed(changes, error) from error
        return False

    def _seen_left(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """What a fresh read still shows as different, while the router is armed."""
        try:
            self._reread()
            self._still_armed(changes)
            return self._left()
        except RolledBack:
            raise
        except FleetError as error:
            raise self._undone(changes, f"cannot be read after the change: {error.summary}") from error

    def _still_armed(self, changes: tuple[Change, ...]) -> None:
        """The undo may have fired while a slow router was still being written: then what came later stands unguarded."""
        assert self.router.observed is not None
        seen = self.router.observed.guard
        if seen is None or seen.plan_id != self.plan_id:
            raise self._undone(changes, f"its undo fired before the change was written (window: {self.confirm_within} s)")

    def _prove(self, made: tuple[Change, ...]) -> None:
        try:
            wrong = self.healthy(self.router, made, self._deadline - self.confirm_within)
        except FleetError as error:
            wrong = f"cannot be proven: {error.summary.removeprefix(f'{self.router.name}: ')}"
        if wrong:
            raise self._undone(made, wrong)
        self.router.say("verify", "reads as intended")

    def _confirm(self, made: tuple[Change, ...]) -> None:
        script = self._script((), arm=False)
        self.router.fresh()
        self.router.say("confirm")
        answered = True
        try:
            engine.send(self.router, (Step("confirm", script.confirm),), self.journal)
        except ConnectionLost as error:
            self.router.say("confirm", error.summary)
            answered = False
        except RouterError as error:
            raise self._undone(made, f"could not be confirmed: {error.summary}") from error
        else:
            self._tidy(script)
        self._read_confirmed(made, answered=answered)
        self.journal.record(self.router.name, "confirm", "confirmed; a fresh read equals the intent")

    def _read_confirmed(self, made: tuple[Change, ...], *, answered: bool) -> None:
        """Read what the confirm did. What a router has acknowledged stands, and is never undone because it cannot be read.

        An answer that was lost is replaced by a read, as soon as there can be one: the change stands, or was undone.
        """
        name = self.router.name
        look = Retrying(
            retry=retry_if_exception_type(RouterError),
            wait=wait_fixed(rollback.LOOK_SECONDS),
            stop=stop_after_delay(0 if answered else self._back().patience),
            reraise=True,
        )
        try:
            observed = look(self._reread)
        except RouterError as error:
            told = "the change is confirmed" if answered else "the change is confirmed or it is undone"
            error.hint = hints(error.hint, f"{told}; when it answers again: fleet plan {name}")
            raise
        armed = observed.guard is not None and observed.guard.plan_id == self.plan_id
        left = self._stored_left()
        if armed or (left and not answered):
            raise self._undone(made, "the confirm did not arrive")
        if left:
            raise NotConverged(
                f"{name}: confirmed, and reads differently: {left[0]}",
                f"see the difference with `fleet plan {name}`",
                router=name,
            )

    def _tidy(self, script: Script) -> None:
        """Clean up on the way to the read that follows the confirm anyway. What this loses, that read shows."""
        if self.router.limits.saves_on_confirm:
            return  # files changed with the confirm: what is to go is seen afterwards
        try:
            for batch in script.cleanup:
                engine.send(self.router, batch, self.journal)
        except RouterError as error:
            self.router.say("apply", error.summary)

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
        error.hint = hints(error.hint, "no undo could be armed, so nothing was written")
        return error

    def _failed(self, changes: tuple[Change, ...], error: RouterError) -> RouterError:
        """The router's own no, with the assurance that what had landed is undone."""
        undone = self._undone(changes, error.summary.removeprefix(f"{self.router.name}: "))
        error.hint = hints(error.hint, undone.summary.rpartition("; ")[2], undone.hint)
        return error

    def _undone(self, changes: tuple[Change, ...], why: str) -> RolledBack:
        """Make sure that the router is as it was; the error that says so, or that it could not be seen."""
        return self._back().run(changes, why)

    def _back(self) -> RollBack:
        snapshot = None if self._snapshot is None else {name: self._mine(one) for name, one in self._snapshot.items()}
        return RollBack(self.router, self.plan_id, self.journal, snapshot, self._deadline)

    def _mine(self, interface: Interface) -> Interface:
        """Without the peers and routes of others: what they do with them in the window is not taken back."""
        wanted = self.intent.configuration.get(interface.name)
        peers, routes = (wanted.peers, wanted.routes) if wanted is not None else ({}, {})
        return replace(
            interface,
            peers={key: peer for key, peer in interface.peers.items() if peer.mark is not None or key in peers},
            routes={prefix: route for prefix, route in interface.routes.items() if route.mark is not None or prefix in routes},
        )

    # -------------------------------------------------------------------------------------------------- helpers
    def _script(self, changes: tuple[Change, ...], *, arm: bool, confirm_within: int | None = None) -> Script:
        assert self.router.observed is not None
        limits = self.router.limits
        within = self.confirm_within if confirm_within is None else confirm_within
        plan = RouterPlan(
            target=self.router.link.target,
            plan_id=self.plan_id,
            batches=batches(changes, limits),
            desired=fitted(engine.partial(self.intent, changes, self._held(first=arm or not within)), limits),
            private_keys=self.intent.private_keys,
            snapshot=self._snapshot or {},
            confirm_within=within,
            arm=arm,
            remaining=max(1, round(self._deadline - time.monotonic())) if self._deadline else 0,
        )
        return self.router.driver.render(plan, self.router.observed)

    def _held(self, *, first: bool) -> Configuration:
        """What a pass is written over: where saving is the confirm, earlier passes of this run are in the running view only.

        Without the peers that others gave the running interface by hand: they belong into no file.
        """
        assert self.router.observed is not None
        stored, running = self.router.observed.stored, self.router.observed.running
        if first or running is None or not self.router.limits.saves_on_confirm:
            return stored
        kept = {name: stored[name].peers if name in stored else {} for name in running}
        return {
            name: replace(
                interface,
                peers={key: peer for key, peer in interface.peers.items() if peer.mark is not None or key in kept[name]},
            )
            for name, interface in running.items()
        }

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


def _parted(change: Change) -> bool:
    """True for the removal of what is disabled already: it can wait for the cleanup."""
    return isinstance(change, RemovePeer | RemoveInterface) and change.old.disabled


__all__ = ["PASS_SHARE", "Guarded", "Healthy", "resolve_left_over"]
