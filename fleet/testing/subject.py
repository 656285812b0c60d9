"""What the contract suite works on: a device, and a driver that brings it to one state after the other as the engine does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

from .. import engine, keys
from ..changes import AddInterface, Change
from ..diff import diff
from ..driver import Driver, Limits, Observed, RouterPlan, Script
from ..engine import Intent
from ..guard import Guarded, resolve_left_over
from ..link import Link, Reply, Request, RouterLink, Target
from ..model import Configuration, Interface, KeyOf, PublicKey
from ..overlay import fitted
from .cases import INTERFACE, OVERLAY, ROUTER, State
from .disturbed import Event, Wire

WINDOW = 120
"""Seconds within which a guarded change must be confirmed."""

LOOKS = 4
"""How often a router is looked at while its undo takes the time that its limits declare."""


def overdue(limits: Limits) -> float:
    """Seconds after which an undo that nobody stopped must be over."""
    return WINDOW + 2 + limits.undo_seconds


class Device(Protocol):
    """The router under test, as the suite needs it."""

    def link(self, target: Target) -> RouterLink:
        """A link that connects on first use."""

    def writes(self) -> int:
        """How many times anything was written since the device was made."""

    def plant(self, interface: str) -> None:
        """Somebody else adds a peer to this interface by hand, and things of every other kind beside it."""

    def foreign(self) -> object:
        """Everything on the device that is not ours, as a comparable value; byte for byte where it has bytes."""

    def ours(self) -> object:
        """Everything on the device that is ours, disabled or left over, as often as it is there, as a comparable value.

        Without what differs between two devices in the same state: private keys, ids, times, names of runs.
        """

    def advance(self, seconds: float) -> None:
        """Let time pass on the device; what is due in it has run when this returns."""

    def reboot(self) -> None:
        """Cut the power and start again; what starts by itself has started when this returns."""

    def exposed(self) -> str:
        """Everything that other users of the device could see: process arguments, logs."""

    def close(self) -> None:
        """Stop it."""


class Recorder:
    """A journal that remembers what it was told, and where in the course of events. `dies_at`: killed at that line.

    With `dies_at` 3 fleet is killed before the third line is durable, with -3 when it just became so.
    """

    def __init__(self, wire: Wire, dies_at: int = 0) -> None:
        self.lines: list[str] = []
        self._wire = wire
        self._dies_at = dies_at

    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Keep the line. Raises Killed at the line at which the process is to die."""
        self._wire.alive()
        if self._dies_at == len(self.lines) + 1:
            self._wire.kill()
        self.lines.append(f"{router} {phase} {text} {detail}")
        self._wire.events.append(("journal", phase, text))
        if self._dies_at == -len(self.lines):
            self._wire.kill()


_runs = itertools.count(1)


class Subject:
    """A process of fleet with one driver and one device: a new one knows nothing but the key, as from the state."""

    def __init__(
        self,
        driver: Driver,
        device: Device,
        options: object = None,
        *,
        key: PublicKey | None = None,
        wire: Wire | None = None,
        dies_at: int = 0,
    ) -> None:
        self.driver = driver
        self.device = device
        self.key = key
        self.wire = wire or Wire()
        self.journal = Recorder(self.wire, dies_at)
        self.scripts: list[Script] = []
        self.run = f"contract-{next(_runs)}"
        self.options = options
        self._latest: Subject | None = None
        link = device.link(Target(ROUTER, OVERLAY, (INTERFACE,), options or driver.Options()))
        link.through(self.wire.around)
        self._watched = _Watched(driver, self.scripts, self.wire, device)
        self.router = engine.Router(ROUTER, OVERLAY, self._watched, link)

    @property
    def waited(self) -> int:
        """Exchanges of reads that found the router not settled yet."""
        return self._watched.waited

    def again(self, wire: Wire | None = None, dies_at: int = 0) -> Subject:
        """Another process on the same device; the one before it is over."""
        if self._latest is not None:
            self._latest.router.link.close()
        self._latest = Subject(self.driver, self.device, self.options, key=self.key, wire=wire, dies_at=dies_at)
        return self._latest

    def contact(self, state: State) -> PublicKey:
        """First contact: interface and key, read back. An interface that is there already keeps its key."""
        limits = self.driver.limits
        held = self.observe().stored.get(INTERFACE)
        made = {} if limits.makes_keys or held else {INTERFACE: keys.new_private_key()}
        bare = Interface(
            INTERFACE,
            keys.public_key_of(made[INTERFACE]) if made else KeyOf(ROUTER),
            listen_port=state.listen_port,
            mtu=state.mtu,
            mark=state.interface(_ANY_KEY).mark,
        )
        intent = Intent({INTERFACE: bare}, wanted=lambda change: isinstance(change, AddInterface), private_keys=made)
        engine.converge(self.router, intent, plan_id=self.run, journal=self.journal)
        assert self.router.observed is not None
        key = self.router.observed.stored[INTERFACE].public_key
        assert isinstance(key, PublicKey), "the router shows the public key of the interface it made"
        self.key = key
        return key

    def wanted(self, state: State) -> Configuration:
        """The state as the engine wants it from this device."""
        assert self.key is not None
        return {INTERFACE: state.interface(self.key)}

    def converge(self, state: State) -> tuple[Change, ...]:
        """Bring the device to the state without a guard; the changes made."""
        self._begin(state)
        resolve_left_over(self.router, self.run, self.journal)
        return engine.converge(self.router, Intent(self.wanted(state)), plan_id=self.run, journal=self.journal)

    def guarded(self, state: State, meanwhile: Callable[[], str] = lambda: "", *, within: int = WINDOW) -> tuple[Change, ...]:
        """Bring the device to the state under guard. `meanwhile` is called between write and confirm; a word is a no.

        Raises RolledBack when it says one.
        """
        self._begin(state)
        intent = Intent(self.wanted(state))
        run = Guarded(self.router, intent, self.run, self.journal, within, healthy=lambda _router, _made, _began: meanwhile())
        return run.converge()

    def _begin(self, state: State) -> None:
        if self.key is None:
            self.contact(state)
        self.router.observed = None  # a run begins with a read: others may have been at work since
        self.observe()

    def observe(self) -> Observed:
        """What a fresh read says."""
        self.router.fresh()
        return engine.observe(self.router)

    def differences(self, state: State) -> tuple[Change, ...]:
        """What a fresh read still shows as different."""
        observed = self.observe()
        wanted = fitted(self.wanted(state), observed.limits)
        return diff(observed.stored, observed.running, wanted, OVERLAY, limits=observed.limits).changes


class _Watched(Driver):
    """Delegates to the driver under test and keeps every script it renders; asserts that rendering is pure."""

    name = "watched"
    transport = "watched"

    def __init__(self, driver: Driver, scripts: list[Script], wire: Wire, device: Device) -> None:
        self._driver = driver
        self._device = device
        self._armed = False
        self._scripts = scripts
        self._wire = wire
        self.waited = 0
        self.limits = driver.limits  # type: ignore[misc]  # of the driver under test

    def observe(self, link: Link) -> Observed:
        if self._undoing():
            self._device.advance(self.limits.undo_seconds / LOOKS)
        before = self._wire.exchanges
        observed = self._driver.observe(link)
        self._armed = observed.guard is not None
        if not observed.settled:
            self.waited += self._wire.exchanges - before
        return observed

    def _undoing(self) -> bool:
        """True while a router that takes its time was told to undo and has not: each look back is some time later."""
        if not (self.limits.undo_seconds and self._armed):
            return False
        trips = [request for script in self._scripts for request in script.trip]
        return any(event[0] == "carried" and event[1] in trips for event in self._wire.events)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        script = self._driver.render(plan, observed)
        assert script == self._driver.render(plan, observed), "render is not pure: two calls, two scripts"
        self._scripts.append(script)
        return script

    def check(self, request: Request, reply: Reply) -> None:
        self._driver.check(request, reply)


_ANY_KEY = PublicKey("A" * 43 + "=")

__all__ = ["WINDOW", "Device", "Event", "Recorder", "Subject"]
