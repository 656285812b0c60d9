"""What happens during a run, as data: for progress on a terminal, plain lines in pipes, and reporters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["observe", "diff", "plan", "render", "apply", "verify", "confirm", "roll back", "done"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `router` (empty for the fleet), the phase, and a sentence without secrets."""

    router: str
    phase: Phase
    text: str = ""


Emit: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The Emit of callers who do not want to know."""
