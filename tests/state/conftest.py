"""The same tests on both kinds of database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.state import State, default_place, open_state

from .postgres import Server, missing

REQUIRED = os.environ.get("FLEET_LAB") == "required"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running PostgreSQL server; skips, with the reason, where there can be none."""
    if reason := missing():
        pytest.fail(reason, pytrace=False) if REQUIRED else pytest.skip(reason)
    with Server() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new state may be made: a file, or an empty database of a server."""
    if request.param == "sqlite":
        return default_place(tmp_path)
    running: Server = request.getfixturevalue("server")
    return running.database()


@pytest.fixture
def state(place: Path | str) -> Iterator[State]:
    """A state that does not exist yet."""
    with open_state(place) as opened:
        yield opened
