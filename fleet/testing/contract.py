"""The contract suite: every case of `cases` under every law, for any driver.

A driver's test module holds three lines:

```python
class TestAcme(DriverContract):
    driver = AcmeDriver()
    def device(self): return AcmeDevice(...)      # a Device: usually a thin wrapper of a simulator
```

No law may be skipped: where the driver declares a limit, the suite asserts that the core refuses the case and that
nothing was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import pytest

from .. import engine
from ..changes import Change
from ..diff import diff
from ..driver import Driver, Script
from ..engine import Intent
from ..errors import Unsupported
from ..link import RouterLink, Target
from ..model import Configuration, Interface, KeyOf, PublicKey, Secret
from ..overlay import fitted
from .cases import CASES, INTERFACE, OVERLAY, ROUTER, Case, State


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

    def exposed(self) -> str:
        """Everything that other users of the device could see: process arguments, logs."""

    def close(self) -> None:
        """Stop it."""


class _Recorder:
    """A journal that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Keep the line."""
        self.lines.append(f"{router} {phase} {text} {detail}")


class Subject:
    """A driver with a device, brought to one state after the other as the engine does it."""

    def __init__(self, driver: Driver, device: Device, options: object = None) -> None:
        self.driver = driver
        self.device = device
        self.journal = _Recorder()
        self.scripts: list[Script] = []
        link = device.link(Target(ROUTER, OVERLAY, (INTERFACE,), options or driver.Options()))
        self.router = engine.Router(ROUTER, OVERLAY, _Watched(driver, self.scripts), link)
        self.key: PublicKey | None = None

    def contact(self, state: State) -> PublicKey:
        """First contact: interface and key, read back."""
        from .. import keys

        limits = self.driver.limits
        made = {} if limits.makes_keys else {INTERFACE: keys.new_private_key()}
        bare = Interface(
            INTERFACE,
            keys.public_key_of(made[INTERFACE]) if made else KeyOf(ROUTER),
            listen_port=state.listen_port,
            mtu=state.mtu,
            mark=state.interface(_ANY_KEY).mark,
        )
        engine.converge(self.router, Intent({INTERFACE: bare}, private_keys=made), plan_id="contract", journal=self.journal)
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
        """Bring the device to the state; the changes made."""
        if self.key is None:
            self.contact(state)
        self.router.observed = None  # a run begins with a read: others may have been at work since
        return engine.converge(self.router, Intent(self.wanted(state)), plan_id="contract", journal=self.journal)

    def differences(self, state: State) -> tuple[Change, ...]:
        """What a fresh read still shows as different."""
        self.router.fresh()
        observed = engine.observe(self.router)
        wanted = fitted(self.wanted(state), observed.limits)
        return diff(observed.stored, observed.running, wanted, OVERLAY, limits=observed.limits).changes


class _Watched(Driver):
    """Delegates to the driver under test and keeps every script it renders; asserts that rendering is pure."""

    name = "watched"
    transport = "watched"

    def __init__(self, driver: Driver, scripts: list[Script]) -> None:
        self._driver = driver
        self._scripts = scripts
        self.limits = driver.limits  # type: ignore[misc]  # of the driver under test

    def observe(self, link):  # type: ignore[no-untyped-def]
        return self._driver.observe(link)

    def render(self, plan, observed):  # type: ignore[no-untyped-def]
        script = self._driver.render(plan, observed)
        assert script == self._driver.render(plan, observed), "render is not pure: two calls, two scripts"
        self._scripts.append(script)
        return script

    def check(self, request, reply):  # type: ignore[no-untyped-def]
        self._driver.check(request, reply)


_ANY_KEY = PublicKey("A" * 43 + "=")


def secrets_of(case: Case) -> set[str]:
    """Every secret that the case sends."""
    return {one.preshared_key.reveal() for state in case.states for one in state.peers if isinstance(one.preshared_key, Secret)}


@pytest.mark.parametrize("case", CASES, ids=str)
class DriverContract:
    """Subclass it, name the driver, return a device."""

    driver: ClassVar[Driver]
    options: ClassVar[object] = None

    def device(self) -> Device:
        """A fresh, blank device."""
        raise NotImplementedError

    @pytest.fixture
    def subject(self, case: Case) -> Iterator[Subject]:
        """The driver and a blank device; where a limit forbids the case, the refusal is asserted and the test ends."""
        device = self.device()
        try:
            yield Subject(self.driver, device, self.options)
        finally:
            device.close()

    def _allowed(self, subject: Subject, case: Case) -> bool:
        """True if this device can express the case; else asserts that the core refuses and writes nothing."""
        engine.observe(subject.router)
        limits = subject.router.limits
        for state in case.states:
            wanted = fitted({INTERFACE: state.interface(_ANY_KEY)}, limits)
            if limits.refusals(wanted[INTERFACE]):
                before = subject.device.writes()
                with pytest.raises(Unsupported):
                    engine.compare(subject.router, Intent({INTERFACE: state.interface(_ANY_KEY)}))
                assert subject.device.writes() == before, "a refused case was written"
                return False
        return True

    def _story(self, subject: Subject, case: Case) -> None:
        for number, state in enumerate(case.states):
            subject.converge(state)
            if number == 0 and case.foreign:
                subject.device.plant(INTERFACE)

    def test_every_state_is_reached_and_read_back(self, subject: Subject, case: Case) -> None:
        """One sync converges: a fresh read, stored and running, equals the intent."""
        if not self._allowed(subject, case):
            return
        for number, state in enumerate(case.states):
            subject.converge(state)
            assert subject.differences(state) == (), f"state {number + 1} of {len(case.states)}"
            if number == 0 and case.foreign:
                subject.device.plant(INTERFACE)

    def test_a_second_sync_writes_nothing(self, subject: Subject, case: Case) -> None:
        """A no-op is a no-op on the device, not only in our words."""
        if not self._allowed(subject, case):
            return
        self._story(subject, case)
        before = subject.device.writes()
        assert subject.converge(case.states[-1]) == ()
        assert subject.device.writes() == before

    def test_every_change_is_in_exactly_one_step(self, subject: Subject, case: Case) -> None:
        """No change is lost, none is done twice, and every step says in a line what it does."""
        if not self._allowed(subject, case):
            return
        self._story(subject, case)
        for script in subject.scripts:
            covered = [str(change) for step in script.steps for change in step.covers]
            assert len(covered) == len(set(covered))
            assert all(step.summary.strip() and "\n" not in step.summary for step in script.steps)

    def test_going_back_restores_what_was(self, subject: Subject, case: Case) -> None:
        """Converging to an earlier state is a rollback: the device reads as it did then."""
        if not self._allowed(subject, case):
            return
        self._story(subject, case)
        for state in reversed(case.states[:-1]):
            subject.converge(state)
            assert subject.differences(state) == ()

    def test_foreign_objects_survive_unchanged(self, subject: Subject, case: Case) -> None:
        """What somebody else put there is the same after every state."""
        if not self._allowed(subject, case):
            return
        subject.converge(case.states[0])
        subject.device.plant(INTERFACE)
        before = subject.device.foreign()
        assert before, "the device shows what was planted"
        for state in (*case.states[1:], case.states[0]):
            subject.converge(state)
            assert subject.device.foreign() == before

    def test_no_secret_is_shown_anywhere(self, subject: Subject, case: Case) -> None:
        """Neither native requests, summaries and journal on our side nor arguments and logs on the router's hold one."""
        if not self._allowed(subject, case):
            return
        self._story(subject, case)
        ours = [
            request.native() + repr(request) for script in subject.scripts for step in script.steps for request in step.requests
        ]
        ours += [step.summary for script in subject.scripts for step in script.steps] + subject.journal.lines
        for secret in secrets_of(case):
            assert not [text for text in ours if secret in text]
            assert secret not in subject.device.exposed()
