"""The hooks of plugins: each registers objects once at start; plain calls afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .driver import Driver
    from .transports import Transport

PROJECT = "fleet"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def fleet_drivers() -> Iterable[type[Driver]]:
    """Driver classes this plugin adds."""
    return ()


@hookspec
def fleet_transports() -> Iterable[type[Transport]]:
    """Ways to reach a router that fleet does not ship."""
    return ()
