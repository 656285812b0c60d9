"""Interactive command lines over SSH: prompts, paging and errors are data, `Cli`, which a driver declares as its `dialect`.

netmiko carries the terminal; host keys and logins are those of transport `ssh`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ...dialects import Cli
from ...errors import LoginFailed, Unreachable
from ...link import Access, Session
from .. import Dial, Transport
from ..hostkeys import KNOWN_HOSTS
from ..ssh import CONNECT_TIMEOUT, connect_ssh

__all__ = ["CliTransport"]

GREETING_TIMEOUT = 30.0
"""Seconds until the first prompt: small routers load their command line for a while."""


class CliTransport(Transport):
    """Sessions that run `Dialogue` requests on a terminal. `known_hosts` is read, never written."""

    name: ClassVar[str] = "cli"

    def __init__(
        self,
        known_hosts: Path = KNOWN_HOSTS,
        connect_timeout: float = CONNECT_TIMEOUT,
        greeting_timeout: float = GREETING_TIMEOUT,
    ) -> None:
        self._known_hosts = known_hosts
        self._connect_timeout = connect_timeout
        self._greeting_timeout = greeting_timeout

    def connect(self, access: Access, dial: Dial) -> Session:
        """Log in on the first address that answers with SSH, and await its command line.

        Raises Unreachable naming all that was tried, LoginFailed (no terminal, no prompt), IdentityChanged.
        """
        if not isinstance(access.dialect, Cli):
            raise TypeError("transport cli needs a driver with a `dialect` of kind Cli")
        from .session import CliSession
        from .terminal import Gone, Terminal

        connection, identity, address = connect_ssh(access, dial, self._known_hosts, self._connect_timeout)
        terminal = Terminal(connection, access.dialect, access.router)
        try:
            terminal.open()
            session = CliSession(terminal, access.dialect, identity, address, access.router)
            session.greet(self._greeting_timeout)
        except BaseException as error:
            lost = not connection.is_active()
            with suppress(Exception):
                terminal.hang_up()
            if isinstance(error, Gone) and lost:
                raise Unreachable(f"{address} broke off the login", "try again", router=access.router) from None
            if isinstance(error, Gone | TimeoutError):
                said = str(error) if isinstance(error, Gone) else f"no prompt within {self._greeting_timeout:g} s"
                raise LoginFailed(
                    f"{address} gives user {access.username} no command line: {said}",
                    "give the account the vendor's own command line as its shell",
                    router=access.router,
                ) from None
            raise
        return session
