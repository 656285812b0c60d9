"""The contract suite against simulated controllers: each generation of the API, strict and lenient readings of the sheet."""

from __future__ import annotations

from dataclasses import replace

from omada_device import OPTIONS, SimulatedGateway

from fleet.drivers.omada import OmadaDriver
from fleet.testing.contract import DriverContract
from fleet.testing.omada import LENIENT


class TestFirstGeneration(DriverContract):
    """A controller 5.x: interfaces and peers are objects."""

    driver = OmadaDriver()
    options = OPTIONS
    drill_stride = 7

    def device(self) -> SimulatedGateway:
        return SimulatedGateway("5.14", generations=frozenset({0, 1}))


class TestSecondGeneration(DriverContract):
    """A controller that has dropped the first: a tunnel is one object."""

    driver = OmadaDriver()
    options = OPTIONS
    sampled = True
    drill_stride = 7

    def device(self) -> SimulatedGateway:
        return SimulatedGateway("6.2", generations=frozenset({0, 2}))


class TestBothGenerationsLenient(DriverContract):
    """A controller 6.x that answers both, and reads everything the other way."""

    driver = OmadaDriver()
    options = OPTIONS
    sampled = 3
    drill_stride = 15

    def device(self) -> SimulatedGateway:
        return SimulatedGateway("6.0", strictness=replace(LENIENT, budget=None))
