"""The generations of EdgeOS, told apart by what is there: each is brought there and back, guarded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_devices import DRIVER, SimulatedEdgeRouter

from fleet.errors import RolledBack
from fleet.testing.cases import AFTER, BEFORE, INTERFACE
from fleet.testing.subject import Subject


@pytest.fixture(params=["1.10.11", "3.0.0"])
def router(request: pytest.FixtureRequest) -> Iterator[SimulatedEdgeRouter]:
    device = SimulatedEdgeRouter(request.param)
    yield device
    device.close()


def test_every_generation_converges_under_guard_and_is_undone_by_itself(router: SimulatedEdgeRouter) -> None:
    run = Subject(DRIVER, router)
    run.converge(BEFORE)
    router.plant(INTERFACE)
    foreign = router.foreign()
    run.again().guarded(AFTER)
    assert run.differences(AFTER) == ()
    with pytest.raises(RolledBack, match="the drill says so; undone after"):
        run.again().guarded(BEFORE, lambda: "the drill says so")
    assert run.differences(AFTER) == ()
    assert router.foreign() == foreign
