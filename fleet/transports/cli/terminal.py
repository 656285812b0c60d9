"""netmiko on a connection that is verified and logged in to already.

Its own login accepts unknown host keys and its logs hold everything that is typed and printed; neither is used here. This
module is imported when a session is opened: netmiko takes its time, and most commands need none.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import paramiko
from netmiko.exceptions import ReadException, WriteException
from netmiko.terminal_server import TerminalServerSSH

from ...dialects import Cli
from ..sshexec import Answered

OPEN_TIMEOUT = 20.0
"""Seconds that a router may take to open a terminal."""


class Gone(Exception):
    """The terminal ended or the connection broke."""


class _Client(paramiko.SSHClient):
    """A client whose connection somebody else made: netmiko asks it to connect, and there is nothing left to do."""

    def __init__(self, connection: paramiko.Transport) -> None:
        super().__init__()
        self._transport = connection

    def connect(self, *arguments: Any, **options: Any) -> None:
        """Connected already, host key and login verified as for every SSH session of ours."""

    def invoke_shell(self, term: str = "vt100", width: int = 80, height: int = 24, *_: Any, **__: Any) -> paramiko.Channel:
        """A shell on a pseudo terminal. The library's own waits for ever."""
        channel = self._transport.open_session(timeout=OPEN_TIMEOUT)
        channel.event = Answered(time.monotonic() + OPEN_TIMEOUT)
        channel.get_pty(term, width, height)
        channel.invoke_shell()
        return channel


class Terminal(TerminalServerSSH):
    """A pseudo terminal with the router's command line on it. Raises Gone when it ends, TimeoutError at a deadline."""

    def __init__(self, connection: paramiko.Transport, dialect: Cli, router: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self._news = threading.Event()
        super().__init__(host=router, auto_connect=False, use_keys=False, allow_agent=False, encoding="utf-8")

    def open(self) -> None:
        """Ask for the terminal. Raises Gone with the reason when the router gives none."""
        try:
            self.remote_conn_pre = self._build_ssh_client()
            self.establish_connection(self._dialect.width, self._dialect.height)
            assert isinstance(self.remote_conn, paramiko.Channel)
            self.remote_conn.in_buffer.set_event(self._news)
        except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
            raise Gone(str(error) or "the router closed the connection") from None

    def type(self, text: str, deadline: float) -> None:
        """Send keys. Not logged."""
        assert isinstance(self.remote_conn, paramiko.Channel)
        self.remote_conn.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self.channel.write_channel(text)
        except TimeoutError:
            raise
        except (WriteException, paramiko.SSHException, EOFError, OSError):
            raise Gone("the router closed the connection") from None

    def printed(self, seconds: float) -> str:
        """What was printed meanwhile, waiting at most `seconds` for the first of it. Not logged."""
        self._news.wait(seconds)  # set while something is there to be read, and for good when the channel ended
        try:
            text: str = self.channel.read_channel()
        except (ReadException, paramiko.SSHException, EOFError, OSError):
            raise Gone("the router closed the connection") from None
        if not text and self._ended():
            raise Gone("the router closed the connection")
        return text

    def hang_up(self) -> None:
        """Close terminal and connection without waiting; never raises."""
        self.disconnect()
        self._connection.close()

    def _ended(self) -> bool:
        channel = self.remote_conn
        return not isinstance(channel, paramiko.Channel) or bool(channel.closed or channel.eof_received)

    def _build_ssh_client(self) -> paramiko.SSHClient:
        return _Client(self._connection)
