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

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from .. import engine, rollback
from ..driver import Driver
from ..engine import Intent
from ..errors import Unsupported
from ..model import PublicKey, Secret
from ..overlay import fitted
from .cases import CASES, INTERFACE, Case
from .drills import CrashDrills
from .guardlaws import GuardLaws
from .markerlaws import MarkerLaws
from .subject import Device, Subject

_ANY_KEY = PublicKey("A" * 43 + "=")


def secrets_of(case: Case) -> set[str]:
    """Every secret that the case sends."""
    return {one.preshared_key.reveal() for state in case.states for one in state.peers if isinstance(one.preshared_key, Secret)}


class DriverContract(GuardLaws, MarkerLaws, CrashDrills):
    """Subclass it, name the driver, return a device."""

    driver: ClassVar[Driver]
    options: ClassVar[object] = None

    def device(self) -> Device:
        """A fresh, blank device."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Every law that takes a case runs with every case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", CASES, ids=str)

    @pytest.fixture(autouse=True)
    def _brisk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """How often the engine looks again is not what is tested."""
        monkeypatch.setattr(rollback, "LOOK_SECONDS", 0.05)
        monkeypatch.setattr(rollback, "SETTLE_SECONDS", 0.3)
        monkeypatch.setattr(engine, "SETTLE_LOOK", 0.01)

    @pytest.fixture
    def another(self) -> Iterator[Callable[[], Subject]]:
        """Makes subjects, each with a blank device of its own."""
        devices: list[Device] = []

        def make() -> Subject:
            devices.append(self.device())
            return Subject(self.driver, devices[-1], self.options)

        yield make
        for device in devices:
            device.close()

    @pytest.fixture
    def blank(self, another: Callable[[], Subject]) -> Subject:
        """The driver and a blank device."""
        return another()

    @pytest.fixture
    def subject(self, blank: Subject) -> Subject:
        """The same, for a law that brings it to the states of a case."""
        return blank

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
