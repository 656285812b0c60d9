"""The contract suite against simulated EdgeRouters of every generation."""

from __future__ import annotations

from edgeos_devices import DRIVER, SimulatedEdgeRouter

from fleet.testing.contract import DriverContract


class TestEdgeOs209(DriverContract):
    """2.0.9 with the package."""

    driver = DRIVER
    sampled = True
    drill_stride = 7

    def device(self) -> SimulatedEdgeRouter:
        return SimulatedEdgeRouter("2.0.9")
