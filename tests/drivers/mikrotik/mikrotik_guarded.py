"""A simulated router under guard: armed, written to in part or in whole, and left to its own undo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mikrotik_device import SimulatedRouter

from fleet import Observed, Request, RouterPlan, Script, engine
from fleet.changes import Change, RemoveInterface, RemovePeer
from fleet.drivers.mikrotik import MikrotikDriver
from fleet.errors import RouterError
from fleet.model import Configuration
from fleet.order import batches
from fleet.overlay import fitted
from fleet.testing.cases import INTERFACE, OVERLAY, ROUTER, Case, State
from fleet.testing.contract import Subject

WINDOW = 120


class GuardedRouter(Subject):
    """The contract's subject, driven step by step."""

    def __init__(self, version: str = "7.20.8", **given: object) -> None:
        self.simulated = SimulatedRouter(version, **given)
        self.simulator = self.simulated.simulator
        super().__init__(MikrotikDriver(), self.simulated)
        self._snapshot: Configuration = {}

    def observe(self) -> Observed:
        self.router.fresh()
        return engine.observe(self.router)

    def script(self, wanted: Configuration, plan_id: str = "run-1", *, arm: bool = True, within: int = WINDOW) -> Script:
        """From a fresh read; the snapshot is that of the pass that arms."""
        observed = self.observe()
        if arm:
            self._snapshot = {
                name: each for name, each in observed.stored.items() if each.mark and each.mark.overlay == OVERLAY
            }
        wanted = fitted(wanted, observed.limits)
        found = engine.compare(self.router, engine.Intent(wanted)).changes
        changes = [change for change in found if not (within and _parted(change))]
        target = self.router.link.target
        plan = RouterPlan(
            target, plan_id, batches(changes, observed.limits), wanted, {}, self._snapshot, within, arm and bool(within)
        )
        return self.driver.render(plan, observed)

    def write(self, script: Script, wanted: Configuration) -> None:
        """All of a first pass, and the passes that follow it."""
        self.send(writes(script))
        for _ in range(4):
            if more := writes(self.script(wanted, arm=False)):
                self.send(more)

    def send(self, requests: list[Request]) -> None:
        for request in requests:
            self.router.link.send(request)

    def tried(self, requests: list[Request]) -> None:
        """Like the engine: until the first error."""
        try:
            self.send(requests)
        except RouterError:
            self.router.fresh()

    def confirm(self, wanted: Configuration) -> None:
        """Confirm and clean up."""
        self.send(list(self.script(wanted, arm=False).confirm))
        script = self.script(wanted, within=0)
        self.send([request for batch in (*script.guarded, *script.cleanup) for step in batch for request in step.requests])

    def pass_time(self, seconds: float = WINDOW + 1) -> None:
        self.simulator.clock.advance(seconds)

    def held(self) -> dict[str, Any]:
        """All configuration, in order."""
        return self.simulator.snapshot()

    def guards(self) -> list[str]:
        return [row["name"] for row in self.simulator.rows("/system/scheduler") if row["name"].startswith("fleet-guard-")]


def _parted(change: Change) -> bool:
    return isinstance(change, RemovePeer | RemoveInterface) and change.old.disabled


def writes(script: Script) -> list[Request]:
    """The requests of a pass in order, arming among them."""
    return [request for batch in (*script.prepare, *script.guarded) for step in batch for request in step.requests]


@contextmanager
def guarded_router(version: str = "7.20.8", **given: object) -> Iterator[GuardedRouter]:
    router = GuardedRouter(version, **given)
    try:
        yield router
    finally:
        router.simulated.close()


def transitions(case: Case) -> list[State]:
    """From a bare interface through the states of a case, and all the way back."""
    return [*case.states, *reversed(case.states[:-1]), State()]


__all__ = ["INTERFACE", "OVERLAY", "ROUTER", "WINDOW", "GuardedRouter", "guarded_router", "transitions", "writes"]
