"""Ways to reach a router. A transport turns requests into bytes on a connection and knows no vendor semantics."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from ..link import Access, Address, Session


class Dial(Protocol):
    """Opens a TCP connection to a router, directly or inside an SSH channel of its jumps."""

    def __call__(self, address: Address, timeout: float) -> socket.socket:
        """A connected socket. Raises Unreachable with the jump's name when a jump is the reason."""


class Transport(ABC):
    """Opens logged-in sessions for one protocol. Holds no connection itself.

    One object serves all routers of a run, from several threads; what they share (a login at a controller) ends with `close`.
    """

    name: ClassVar[str]

    @abstractmethod
    def connect(self, access: Access, dial: Dial) -> Session:
        """Try `access.addresses` in order and log in on the first that answers.

        Raises Unreachable (no TCP or no banner anywhere), LoginFailed, IdentityChanged.
        """

    def close(self) -> None:  # noqa: B027 - optional by design, most transports share nothing
        """End what outlives single sessions; never raises."""
