"""Whole guarded runs by the engine: over the real tools with every case that changes something, and over systemd's timers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from wg_quick_devices import RealLinux, SimulatedLinux
from wg_quick_guard import files, running
from wg_quick_host import wait_for

from fleet.drivers.wg_quick import Options, WgQuickDriver
from fleet.engine import Intent, observe
from fleet.errors import Rejected, RolledBack
from fleet.guard import Guarded, Healthy
from fleet.testing.cases import CASES, SURROUNDINGS, A, B, Case, State
from fleet.testing.contract import Subject

real = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]
CHANGING = [case for case in CASES if len(case.states) > 1]


@pytest.fixture
def linux() -> Iterator[RealLinux]:
    device = RealLinux()
    yield device
    device.close()


def guarded(subject: Subject, state: State, healthy: Healthy | None = None, plan_id: str = "run-1") -> Guarded:
    subject.router.observed = None
    run = Guarded(subject.router, Intent(subject.wanted(state)), plan_id, subject.journal, confirm_within=60)
    run.healthy = healthy or run.healthy
    return run


class TestRealTools:
    pytestmark = real

    @pytest.mark.parametrize("case", CHANGING, ids=str)
    def test_a_change_that_proves_unhealthy_is_as_if_it_never_was(self, linux: RealLinux, case: Case) -> None:
        subject = Subject(WgQuickDriver(), linux)
        subject.converge(case.states[0])
        before, saved = running(linux.router), files(linux.router)
        with pytest.raises(RolledBack, match="the tunnel is dead; undone"):
            guarded(subject, case.states[1], lambda *_: "the tunnel is dead").converge()
        assert (running(linux.router), files(linux.router)) == (before, saved)

    @pytest.mark.parametrize("case", CHANGING, ids=str)
    def test_every_state_is_reached_under_guard_and_saved(self, linux: RealLinux, case: Case) -> None:
        subject = Subject(WgQuickDriver(), linux)
        subject.converge(case.states[0])
        for number, state in enumerate(case.states[1:]):
            guarded(subject, state, plan_id=f"run-{number}").converge()
            assert subject.differences(state) == ()

    def test_a_guarded_run_with_nothing_to_do_writes_nothing(self, linux: RealLinux) -> None:
        subject = Subject(WgQuickDriver(), linux)
        subject.converge(State((A,)))
        before = linux.writes()
        assert guarded(subject, State((A,))).converge() == ()
        assert linux.writes() == before

    def test_a_guarded_change_costs_two_requests_more(self, linux: RealLinux) -> None:
        subject = Subject(WgQuickDriver(), linux)
        subject.converge(State((A,)))
        before = linux.count
        guarded(subject, State((A, B))).converge()
        assert linux.count - before == 3  # arm, write, confirm


@pytest.fixture(params=["systemd", "rc.local"])
def simulated(request: pytest.FixtureRequest) -> Iterator[SimulatedLinux]:
    device = SimulatedLinux("nftables", request.param, root=False)
    yield device
    device.close()


class TestSimulatedHost:
    """Timers of systemd, and detached processes, on a clock that the test moves."""

    def subject(self, device: SimulatedLinux) -> Subject:
        subject = Subject(WgQuickDriver(), device, Options(sudo=True))
        subject.converge(State((A,)))
        return subject

    def test_a_confirmed_change_stays_after_the_window_and_a_restart(self, simulated: SimulatedLinux) -> None:
        subject = self.subject(simulated)
        wanted = State((A, B), openings=SURROUNDINGS)
        guarded(subject, wanted).converge()
        simulated.simulator.clock.advance(120)
        simulated.reboot()
        wait_for(lambda: subject.differences(wanted) == (), "the interface is up again")

    def test_an_unhealthy_change_is_undone(self, simulated: SimulatedLinux) -> None:
        subject = self.subject(simulated)
        before = simulated.state()
        with pytest.raises(RolledBack):
            guarded(subject, State((A, B), openings=SURROUNDINGS), lambda *_: "dead").converge()
        assert simulated.state() == before

    def test_nobody_comes_back_and_the_router_undoes_it_by_itself(self, simulated: SimulatedLinux) -> None:
        subject = self.subject(simulated)
        before = simulated.state()
        with pytest.raises(KeyboardInterrupt):
            guarded(subject, State((A, B), openings=SURROUNDINGS), killed).converge()
        assert simulated.state() != before
        simulated.simulator.clock.advance(61)
        wait_for(lambda: simulated.state() == before, "the guard fires")

    def test_a_restart_in_the_window_reverts(self, simulated: SimulatedLinux) -> None:
        subject = self.subject(simulated)
        with pytest.raises(KeyboardInterrupt):
            guarded(subject, State((A, B), openings=SURROUNDINGS), killed).converge()
        simulated.reboot()
        wait_for(lambda: subject.differences(State((A,))) == (), "the interface is up again")
        assert observe(subject.router).leftovers == ()

    def test_the_next_run_trips_what_a_dead_run_left_armed(self, simulated: SimulatedLinux) -> None:
        subject = self.subject(simulated)
        with pytest.raises(KeyboardInterrupt):
            guarded(subject, State((A, B)), killed).converge()
        guarded(subject, State((B,)), plan_id="run-2").converge()
        assert subject.differences(State((B,))) == ()
        simulated.simulator.clock.advance(120)
        assert subject.differences(State((B,))) == ()


def killed(*_: object) -> str:
    raise KeyboardInterrupt


def test_where_systemd_runs_the_timer_is_a_unit_that_outlives_the_login() -> None:
    device = SimulatedLinux()
    try:
        subject = Subject(WgQuickDriver(), device)
        subject.converge(State((A,)))
        guarded(subject, State((A, B))).converge()
        (timer,) = [run.argv for run in device.simulator.invocations if run.name == "systemd-run"]
        assert {"--unit=fleet-guard-contract", "--on-active=60", "--timer-property=AccuracySec=1s"} <= set(timer)
    finally:
        device.close()


def test_a_guard_that_cannot_be_armed_stops_everything() -> None:
    device = SimulatedLinux()
    try:
        subject = Subject(WgQuickDriver(), device)
        subject.converge(State((A,)))
        (device.simulator.root_path / "bin/systemd-run").unlink()
        device.simulator.write(
            "/bin/systemd-run", "#!/bin/sh\necho 'Failed to start transient timer unit' >&2\nexit 1\n", 0o755
        )
        before = device.state()
        with pytest.raises(Rejected, match=r"could not be armed, nothing was changed .*transient timer"):
            guarded(subject, State((A, B))).converge()
        assert device.state() == before
    finally:
        device.close()
