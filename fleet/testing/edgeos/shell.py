"""The interactive shell behind an SSH server: lines typed on a terminal, one `Terminal` each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .terminal import Terminal

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator


class Screen(Protocol):
    """The other end of a terminal, as the SSH server gives it. Methods raise OSError or EOFError when the client is gone."""

    username: str
    height: int

    def write_raw(self, octets: bytes) -> None:
        """Print bytes as they are."""

    def read_key(self) -> str:
        """One key, not echoed."""

    def read_line(self, prompt: str = "", *, echo: bool = True) -> str:
        """A line, echoed as it is typed."""


def interactive(router: EdgeOsSimulator) -> Callable[[Screen], None]:
    """A handler for interactive logins of the router's accounts."""

    def serve(screen: Screen) -> None:
        login = screen.username if router.uid_of(screen.username) else ""
        terminal = Terminal(router, login, rows=screen.height or 24)
        try:
            screen.write_raw(terminal.greeting().encode())
            while not terminal.closed:
                typed = screen.read_key() if terminal.wants_key else screen.read_line()
                said = terminal.answer(typed)
                screen.write_raw(said.encode())
        finally:
            terminal.hang_up()

    return serve
