"""A guarded run as a driver sees it."""

from __future__ import annotations

import pytest
from simulated import SimulatedFleet, three_sites

from fleet.driver import Observed, RouterPlan, Script
from fleet.drivers.mikrotik import MikrotikDriver


@pytest.fixture
def plans(tmp_path, monkeypatch) -> list[RouterPlan]:
    """What the driver of pune was given in one guarded change of it."""
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    net: SimulatedFleet = three_sites(tmp_path)
    given: list[RouterPlan] = []
    render = MikrotikDriver.render

    def note(driver: MikrotikDriver, plan: RouterPlan, observed: Observed) -> Script:
        if plan.target.router == "pune" and plan.confirm_within:
            given.append(plan)
        return render(driver, plan, observed)

    try:
        assert net.sync().code == 0
        net.overlay["mtu"] = 1400
        monkeypatch.setattr(MikrotikDriver, "render", note)
        assert net.sync("--confirm-within", "60").code == 0
    finally:
        net.close()
    return given


def test_a_run_arms_once_and_first(plans):
    assert [plan.arm for plan in plans] == [True, *[False] * (len(plans) - 1)]
    assert len(plans) >= 2


def test_every_pass_is_told_how_many_seconds_the_armed_undo_has_left(plans):
    first, *later = plans
    assert first.remaining == first.confirm_within == 60
    assert all(0 < plan.remaining <= 60 for plan in later)


def test_the_snapshot_of_the_first_pass_is_that_of_all(plans):
    assert {plan.snapshot["wg0"].mtu for plan in plans} == {1420}
