"""The contract suite against simulated firewalls of five releases."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from opnsense_device import GUARDED, SimulatedFirewall

from fleet.drivers.opnsense import OpnsenseDriver
from fleet.model import ClampMss
from fleet.testing.cases import CASES, Case
from fleet.testing.contract import DriverContract


def _without_clamp(case: Case) -> Case:
    """The MSS clamp has no API, and its refusal would hide what else a case has."""
    kept = (
        replace(state, openings=tuple(one for one in state.openings if not isinstance(one, ClampMss))) for state in case.states
    )
    return replace(case, states=tuple(kept), name=f"{case.name}, no clamp")


CLAMPED = [case for case in CASES if any(isinstance(one, ClampMss) for state in case.states for one in state.openings)]
EVERY = (*CASES, *map(_without_clamp, CLAMPED))
assert len(CLAMPED) > 3


class _Contract(DriverContract):
    """`version` of the firewall; every `stride`th case from `first` on."""

    driver = OpnsenseDriver()
    drill_stride = 11
    version: ClassVar[str]
    first: ClassVar[int] = 0
    stride: ClassVar[int] = 11

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", EVERY[self.first :: self.stride], ids=str)

    def device(self) -> SimulatedFirewall:
        return SimulatedFirewall(self.version)


class Test247(_Contract):
    """24.7: rows of searches hold texts and few fields."""

    version = "24.7"
    drill_stride = 7
    stride = 2


class Test251(_Contract):
    """25.1: ages of handshakes."""

    version = "25.1"


class Test257(_Contract):
    """25.7: rows of searches hold what is stored."""

    version = "25.7"
    first = 1


class Test261(_Contract):
    """26.1: other words in refusals."""

    version = "26.1"
    first = 2


class Test267(_Contract):
    """26.7: no savepoints."""

    version = "26.7"
    first = 3


class Test237(_Contract):
    """23.7: a plugin, no lock, a deleted peer stays linked."""

    version = "23.7"
    first = 4
    stride = 13


class TestWithWatchdog(_Contract):
    """26.1 with an action that restores: guarded."""

    version = "26.1"
    options = GUARDED
    first = 1

    def device(self) -> SimulatedFirewall:
        return SimulatedFirewall(self.version, watchdog=True)
