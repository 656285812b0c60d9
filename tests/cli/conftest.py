"""Simulated fleets for the command line: blank, or already in sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated import SimulatedFleet, three_sites


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that cannot come up is given up on after a moment; one that can is up at once on the simulated ether."""
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[SimulatedFleet]:
    """Hub hq, spokes mumbai and pune: nothing of fleet on any."""
    net = three_sites(tmp_path / "noc")
    yield net
    net.close()


@pytest.fixture
def synced(blank: SimulatedFleet) -> SimulatedFleet:
    """The same after a first sync, counters at zero."""
    assert blank.sync().code == 0
    blank.reset_counters()
    return blank
