"""The contract suite itself: it passes a router that guards itself rightly, and catches what authors get wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import pytest
from toy_kinds import Kind, KindDriver, KindRouter, MarkedDriver, MarkedRouter
from toy_router import ToyDriver, ToyRouter

from fleet import Limits, rollback
from fleet.errors import RouterError
from fleet.model import Forward, ListenPort
from fleet.testing import guardlaws, markerlaws
from fleet.testing.cases import BEFORE, CASES, State
from fleet.testing.contract import DriverContract
from fleet.testing.disturbed import KINDS, Killed, Wire
from fleet.testing.disturbed import Kind as Trouble
from fleet.testing.subject import Subject

BY_NAME = {case.name: case for case in CASES}
EVERYTHING = BY_NAME["everything goes at once"]
ROUTES = BY_NAME["routes come, move and go"]


class TestRouterThatDisables(DriverContract):
    """Peers that go are disabled, then deleted."""

    driver = ToyDriver()

    def device(self) -> ToyRouter:
        return ToyRouter()


class TestRouterThatSavesOnConfirm(DriverContract):
    """What runs is apart from what is stored."""

    driver = ToyDriver(two_views=True)

    def device(self) -> ToyRouter:
        return ToyRouter(two_views=True)


FEW = frozenset({ListenPort, Forward})


TELLING = {"everything goes at once", "peer parked and back", "routes come, move and go", "every opening comes and goes"}


class _OfKind(DriverContract):
    """The contract of a router of some kind: `kind` says which. The kinds share the cases out, but for the telling ones."""

    __test__ = False
    kind: ClassVar[Kind]
    kinds: ClassVar[list[type]] = []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            turn = self.kinds.index(type(self))
            mine = [case for number, case in enumerate(CASES) if case.name in TELLING or (number - turn) % 3 == 0]
            metafunc.parametrize("case", mine, ids=str)

    def __init_subclass__(cls) -> None:
        cls.__test__ = True
        cls.driver = KindDriver(kind=cls.kind)
        cls.kinds.append(cls)

    def device(self) -> KindRouter:
        return KindRouter(self.kind)


class TestRouterArmedByItsFirstWrite(_OfKind):
    """A confirmed commit: one batch, native undo."""

    kind = Kind(Limits(unit="batch", guard="native", arms_by_write=True, saves_on_confirm=True))


class TestRouterArmedByItsFirstWriteWithOneView(_OfKind):
    """The same where what is committed is stored at once."""

    kind = Kind(Limits(unit="batch", guard="native", arms_by_write=True))


class TestRouterWithoutGuard(_OfKind):
    """No undo of any kind; everything else works."""

    kind = Kind(Limits(guard="none"))


class TestRouterThatDeliversLater(_OfKind):
    """Stored first, live some reads later, without an undo: a gateway behind a controller."""

    kind = Kind(
        Limits(guard="none", makes_keys=False, empty_allowed_ips=False, routes="none", openings=frozenset(), reresolve=False),
        delivers_after=2,
    )


class TestGuardedRouterThatDeliversLater(_OfKind):
    """The same with an undo of its own."""

    kind = Kind(Limits(guard="emulated"), delivers_after=1)


class TestRouterThatUndoesLate(_OfKind):
    """Its undo is a job of cron, which counts in minutes, at the deadline and when it is told to undo now."""

    kind = Kind(Limits(guard="emulated", undo_seconds=60.0))


class TestRouterThatIsGivenItsKey(_OfKind):
    """It makes no keys: the private half comes with the plan."""

    kind = Kind(Limits(guard="emulated", makes_keys=False))


class TestRouterWithLittleRoom(_OfKind):
    """Marks of 32 characters, allowed IPs for every peer, two kinds of opening, no preshared keys, no names."""

    kind = Kind(
        Limits(
            guard="emulated",
            empty_allowed_ips=False,
            openings=FEW,
            preshared_keys=False,
            endpoint_names=False,
            ipv6=False,
            mark_length=32,
        )
    )


class TestRouterThatDerivesRoutes(_OfKind):
    """Routes follow allowed IPs; the ones it made are nobody's."""

    kind = Kind(Limits(guard="emulated", routes="derived"))


class TestRouterThatDerivesRoutesAndSavesOnConfirm(_OfKind):
    """The same where what runs is judged."""

    kind = Kind(Limits(guard="emulated", routes="derived", saves_on_confirm=True, makes_keys=False))


class TestRouterThatHoldsAMarker(DriverContract):
    """Two operators without a common database see each other on it."""

    driver = MarkedDriver()

    def device(self) -> MarkedRouter:
        return MarkedRouter(MarkedDriver().kind)


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(rollback, "SETTLE_SECONDS", 0.02)
    monkeypatch.setattr(rollback, "GRACE_SECONDS", 0.1)


class Planted(DriverContract):
    """A contract to call by hand."""

    __test__ = False

    def __init__(self, device: str = "", driver: str = "") -> None:
        self.driver = ToyDriver(faults=frozenset({driver}))  # type: ignore[misc]  # of this one
        self._device = device

    def device(self) -> ToyRouter:
        return ToyRouter(faults=frozenset({self._device}))

    def subject_(self) -> Subject:
        return Subject(self.driver, self.device())


Law = Callable[[Planted, Subject], None]


def on(law: Any, case: Any = EVERYTHING, **given: Any) -> Law:
    return lambda contract, subject: law(contract, subject, case, **given)


def confirmed(contract: Planted, subject: Subject) -> None:
    contract.test_a_guarded_change_ends_confirmed_and_as_an_unguarded_one_would(subject, EVERYTHING, contract.subject_)


unproven = DriverContract.test_a_change_that_does_not_prove_itself_is_undone_at_once
left_alone = DriverContract.test_a_change_that_nobody_confirms_is_undone_by_the_router_itself
arming = DriverContract.test_arming_comes_first_alone_and_once
too_late = DriverContract.test_a_confirm_that_comes_too_late_is_refused_and_said


LAWS: dict[str, Law] = {
    "confirm does not disarm": confirmed,
    "the undo forgets routes": on(unproven, ROUTES),
    "the undo takes what is others'": on(unproven),
    "its time never comes": on(left_alone, end=guardlaws._deadline),
    "forgotten at boot": on(left_alone, end=guardlaws._power_cut),
    "a late confirm is a yes": on(too_late),
}


@pytest.mark.parametrize("fault", LAWS)
def test_a_router_that_guards_badly_is_caught(fault: str) -> None:
    law = LAWS[fault]
    law(Planted(), Planted().subject_())
    contract = Planted(device=fault)
    with pytest.raises((AssertionError, RouterError)):
        law(contract, contract.subject_())


@pytest.mark.parametrize("fault", ["armed after the write", "arming covers a change"])
def test_a_driver_that_arms_badly_is_caught(fault: str) -> None:
    contract = Planted(driver=fault)
    with pytest.raises((AssertionError, RouterError)):
        arming(contract, contract.subject_(), EVERYTHING)


def marker_of(fault: str) -> tuple[Subject, Callable[[], Subject]]:
    def make(planted: str = "") -> Subject:
        return Subject(MarkedDriver(), MarkedRouter(MarkedDriver().kind, planted))

    subject = make(fault)
    subject.converge(State())
    markerlaws._mark(subject, markerlaws.ONE, markerlaws._read(subject))
    return subject, make


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("anybody's", lambda laws, marked, make: laws.test_another_writer_is_refused_by_the_router_itself(marked, make)),
        ("never renewed", lambda laws, marked, _: laws.test_a_renewed_marker_stands_for_its_whole_time_again(marked)),
        ("never over", lambda laws, marked, _: laws.test_a_marker_that_is_over_stands_in_nobodys_way(marked)),
        ("stays", lambda laws, marked, _: laws.test_a_marker_that_was_taken_off_is_gone(marked)),
        ("is configuration", lambda laws, _, make: laws.test_the_writers_marker_is_read_back_and_changes_nothing_else(make())),
    ],
)
def test_a_marker_that_does_not_hold_is_caught(fault: str, law: Callable[..., None]) -> None:
    right, make = marker_of("")
    law(markerlaws.MarkerLaws(), right, make)
    wrong, _ = marker_of(fault)
    with pytest.raises((AssertionError, RouterError, pytest.fail.Exception)):
        law(markerlaws.MarkerLaws(), wrong, lambda: Subject(MarkedDriver(), MarkedRouter(MarkedDriver().kind, fault)))


def test_a_guard_that_the_limits_do_not_declare_is_caught() -> None:
    contract = Planted()
    device = ToyRouter(guards=False)
    subject = Subject(_Undeclared(), device)
    with pytest.raises(AssertionError, match="do not declare"):
        unproven(contract, subject, EVERYTHING)


class _Undeclared(ToyDriver):
    def render(self, plan: Any, observed: Any) -> Any:
        script = super().render(plan, observed)
        return type(script)(script.guarded, cleanup=script.cleanup, trip=(partial,))  # type: ignore[arg-type]  # anything


# ------------------------------------------------------------------------------------------------------------ the wire
@pytest.fixture
def subject() -> Subject:
    made = Subject(ToyDriver(), ToyRouter())
    made.converge(State())
    return made


def verbs(subject: Subject) -> list[str]:
    device = subject.device
    assert isinstance(device, ToyRouter)
    return [call.verb for call in device.log]


def hit(run: Subject) -> None:
    """Converge, whatever comes of it."""
    with suppress(Killed, RouterError):
        run.converge(BEFORE)


def test_an_undisturbed_wire_counts_and_changes_nothing(subject: Subject) -> None:
    run = subject.again()
    run.converge(BEFORE)
    assert run.wire.moments > 5
    assert run.wire.exchanges <= run.wire.moments
    assert not run.wire.struck
    assert subject.differences(BEFORE) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_trouble_strikes_at_its_moment(subject: Subject, kind: Trouble) -> None:
    run = subject.again(Wire(kind, 3, subject.device.reboot))
    hit(run)
    assert run.wire.struck


def test_what_a_killed_process_sends_never_arrives(subject: Subject) -> None:
    run = subject.again(Wire("killed before", 3))
    with pytest.raises(Killed):
        run.converge(BEFORE)
    seen = len(verbs(subject))
    with pytest.raises(Killed):
        run.observe()
    assert len(verbs(subject)) == seen


def test_a_write_dropped_after_it_was_done_is_done_and_unheard(subject: Subject) -> None:
    run = subject.again(Wire("dropped after", 3))
    hit(run)
    carried = [event for event in run.wire.events if event[0] == "carried" and not event[2]]
    assert len(carried) == 1


def test_a_late_write_lands_behind_the_read_that_missed_it(subject: Subject) -> None:
    before = len(verbs(subject))
    hit(subject.again(Wire("late", 3)))
    seen = verbs(subject)[before:]
    assert seen[:4] == ["read", "apply", "read", "apply"], "read, a write, the read after the loss, what was too slow"


def test_a_router_that_is_away_refuses_connections_for_a_while(subject: Subject) -> None:
    run = subject.again(Wire("away", 3))
    with pytest.raises(RouterError):
        run.converge(BEFORE)
    with suppress(RouterError):
        run.observe()
    assert run.observe().stored


@pytest.mark.parametrize(("dies_at", "kept"), [(2, 1), (-2, 2)])
def test_a_process_dies_before_or_after_a_line_of_its_journal(subject: Subject, dies_at: int, kept: int) -> None:
    run = subject.again(dies_at=dies_at)
    with pytest.raises(Killed):
        run.converge(BEFORE)
    assert len(run.journal.lines) == kept
