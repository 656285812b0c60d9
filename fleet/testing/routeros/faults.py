"""What can be made to go wrong on a simulated router's connections, and what is counted on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .commands import Command

Kind: TypeAlias = Literal["drop_before", "drop_after", "reset_mid_reply", "stall", "trap"]
When: TypeAlias = "int | str | Callable[[Command], bool]"


@dataclass(slots=True)
class Fault:
    """One planned failure.

    drop_before      hang up before the command is run
    drop_after       run it, hang up without any reply
    reset_mid_reply  run it, send half of the reply, reset
    stall            run it, then say nothing more on this connection
    trap             do not run it, refuse with `message`

    `when`: the nth command from now (1 is the next), a sentence (`/ip/address/add`), or a test of the command. Happens `times`
    times.
    """

    when: When
    kind: Kind
    message: str = "failure: simulated"
    times: int = 1
    _seen: int = 0

    def strikes(self, command: Command) -> bool:
        """True if this command is hit; counts."""
        self._seen += 1
        if self.times <= 0:
            return False
        if isinstance(self.when, int):
            hit = self._seen >= self.when
        elif isinstance(self.when, str):
            hit = command.sentence == self.when
        else:
            hit = self.when(command)
        self.times -= hit
        return hit


@dataclass(slots=True)
class Counters:
    """Since the start or the last `reset`. `round_trips`: bursts after login that the client waited for."""

    connections: int = 0
    logins: int = 0
    commands: int = 0
    writes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    round_trips: int = 0

    def reset(self) -> None:
        """All to zero."""
        for name in self.__dataclass_fields__:
            setattr(self, name, 0)


@dataclass(frozen=True, slots=True)
class Latency:
    """Artificial round-trip time in seconds per burst; beyond `knee` commands on a connection each costs `slow` more.

    Sheet 1.4: about 1 ms a command, 20 ms each after 120 to 220 commands.
    """

    round_trip: float = 0.0
    knee: int | None = None
    slow: float = 0.02
