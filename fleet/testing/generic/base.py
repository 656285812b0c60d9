"""What the three invented devices share: sessions, planned faults, counting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ...errors import ConnectionLost, Rejected, RouterError, Unreachable
from ...link import Address, Body, Exec, Http, Reply, Request, RouterLink, Session, Target
from ...model import Secret


class Simulator(ABC):
    """What the three share: sessions, faults, counting."""

    def __init__(self) -> None:
        self.offline = False
        self.log: list[Request] = []
        self._written = 0
        self._faults: list[tuple[int, str]] = []

    @abstractmethod
    def answer(self, request: Request) -> Reply:
        """The device's reply. Raises Rejected when it says no."""

    @abstractmethod
    def snapshot(self) -> object:
        """Everything it stores, as a comparable copy."""

    @abstractmethod
    def plant(self, interface: str) -> None:
        """Somebody else adds a peer to this interface, a setting no driver knows, and an interface of his own."""

    @abstractmethod
    def foreign(self) -> object:
        """Everything that carries no `fleet:` mark, as a comparable copy."""

    def fault(self, nth: int, kind: Literal["drop_before", "drop_after"]) -> None:
        """Lose the connection at the nth request from now, before or after it is carried out."""
        self._faults.append((len(self.log) + nth, kind))

    def connect(self) -> Session:
        """A logged-in session. Raises Unreachable while `offline`."""
        if self.offline:
            raise Unreachable("no TCP connection to 192.0.2.1:1", "check that the router has power and an uplink")
        return _Session(self)

    def link(self, target: Target) -> RouterLink:
        """A link as the engine makes one."""
        return RouterLink(target, self.connect)

    def writes(self) -> int:
        """How many requests changed something."""
        return self._written

    @abstractmethod
    def ours(self) -> object:
        """Everything that carries a `fleet:` mark, as a comparable copy without keys made here and ids."""

    def advance(self, seconds: float) -> None:  # noqa: B027 - nothing is due on these devices
        """Let time pass."""

    def reboot(self) -> None:  # noqa: B027 - what they store is all there is
        """Lose power and start again."""

    def exposed(self) -> str:
        """What other users of the device see: commands and paths, never bodies or standard input."""
        return "\n".join(_visible(request) for request in self.log)

    def close(self) -> None:  # noqa: B027 - part of the contract suite's Device; there is nothing to stop here
        """Nothing is held."""

    def wrote(self) -> None:
        """Count a write."""
        self._written += 1

    def carry(self, request: Request) -> Reply:
        """Log, fail as planned, answer. Raises RouterError."""
        self.log.append(request)
        kinds = [kind for number, kind in self._faults if number == len(self.log)]
        if "drop_before" in kinds:
            raise ConnectionLost("connection closed by the router", "run sync again", sent=True)
        reply = self.answer(request)
        if kinds:
            raise ConnectionLost("connection closed by the router", "run sync again", sent=True)
        return reply


class _Session:
    """One connection; after a loss the rest of what was to be sent certainly never left."""

    identity = ""
    address = Address("192.0.2.1", 1)

    def __init__(self, device: Simulator) -> None:
        self._device = device

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        replies: list[Reply | RouterError] = []
        lost = False
        for request in requests:
            if lost:
                replies.append(ConnectionLost("the connection was lost before", "run sync again", sent=False))
                continue
            try:
                replies.append(self._device.carry(request))
            except RouterError as error:
                lost = isinstance(error, ConnectionLost)
                replies.append(error)
        return replies

    def close(self) -> None:
        """Nothing to tell."""


def _visible(request: Request) -> str:
    if isinstance(request, Exec):
        return request.command
    return f"{request.method} {request.path}" if isinstance(request, Http) else getattr(request, "command", "")


def refuse(why: str) -> Rejected:
    """What the device says no with."""
    return Rejected(f"the router said no: {why}", "correct it and run sync again", evidence=why)


def plain(body: Body) -> Any:
    """A request's body as it travels: secrets revealed, as any transport does."""
    if isinstance(body, Secret):
        return body.reveal()
    if isinstance(body, Mapping):
        return {name: plain(value) for name, value in body.items()}
    if isinstance(body, Sequence) and not isinstance(body, str):
        return [plain(value) for value in body]
    return body
