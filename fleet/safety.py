"""How careful a run is: the guard's window, waves, budgets, and what was asked for by name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import UsageError
from .waves import Budget, waves

CONFIRM_WITHIN: Final = 120
"""Seconds a router waits for the confirm before it undoes a change by itself."""

WAVES_FROM: Final = 5
"""Routers to write from which a canary goes first; fewer are one wave: they would be the canary."""


@dataclass(frozen=True, slots=True)
class Safety:
    """The options of a run. `batch` and `max_failures` are numbers or percentages, as text. Raises UsageError.

    unguarded  no guard is armed, and changes that can cut off management run without one
    force      the blast radius is meant
    resume     go on with a run that stopped: routers that failed in it are left out, kinds it proved have no canary
    """

    confirm_within: int = CONFIRM_WITHIN
    unguarded: bool = False
    force: bool = False
    canaries: int = 1
    batch: str = "10%"
    max_failures: str = "5%"
    resume: bool = False

    def __post_init__(self) -> None:
        if not 10 <= self.confirm_within <= 3600:
            raise UsageError(
                f"--confirm-within {self.confirm_within} is outside 10 to 3600 seconds",
                "it must be long enough for a fresh login and a handshake, and short enough to wait for",
            )
        # A mistyped share is found here, before anybody is contacted, and not at the first wave.
        waves({}, batch=self.batch)
        Budget.parse(self.max_failures, 0)
