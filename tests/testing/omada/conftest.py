"""Simulated controllers and clients that are closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest
from omada_client import Client

from fleet.testing.omada import OmadaSimulator, Strictness

UNHURRIED = Strictness(budget=None)


@pytest.fixture
def open_things() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def controller(open_things: ExitStack) -> Callable[..., OmadaSimulator]:
    """Makes started controllers; without the budget of requests unless `strictness` says so."""

    def make(version: str = "6.2", **given: Any) -> OmadaSimulator:
        given.setdefault("strictness", UNHURRIED)
        return open_things.enter_context(OmadaSimulator(version, **given))

    return make


@pytest.fixture
def client(open_things: ExitStack, controller: Callable[..., OmadaSimulator]) -> Callable[..., Client]:
    """Makes clients that are logged in, of a controller given or made from the arguments; keywords go to Strictness too."""

    def make(
        simulator: OmadaSimulator | None = None, *, application: Any = None, version: str = "6.2", **strictness: Any
    ) -> Client:
        simulator = simulator or controller(version, strictness=replace(UNHURRIED, **strictness))
        made = open_things.enter_context(closing(Client(simulator, application)))
        made.login()
        return made

    return make
