"""The SSH server's interactive shells: a pseudo terminal with a line editor, given to a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paramiko
import pytest

from fleet.testing.sshd import SshServer, Terminal


@contextmanager
def shell(handler: Callable[[Terminal], None], width: int = 80) -> Iterator[paramiko.Channel]:
    """A terminal on a server with this shell."""
    with SshServer(shell=handler, passwords={"ubnt": "pw"}) as server:
        client = paramiko.Transport((server.host, server.port))
        try:
            client.connect(username="ubnt", password="pw")
            channel = client.open_session()
            channel.settimeout(5)
            channel.get_pty("vt100", width, 1000)
            channel.invoke_shell()
            yield channel
        finally:
            client.close()


def read(channel: paramiko.Channel) -> bytes:
    """Everything until the shell ends."""
    said = b""
    while part := channel.recv(4096):
        said += part
    return said


def test_a_shell_knows_its_user_and_terminal():
    def who(terminal: Terminal) -> None:
        terminal.write(f"{terminal.username} {terminal.term} {terminal.width}x{terminal.height}\n")

    with shell(who) as channel:
        assert read(channel) == b"ubnt vt100 80x1000\r\n"


def test_a_line_is_echoed_after_its_prompt():
    def once(terminal: Terminal) -> None:
        terminal.write(f"<{terminal.read_line('$ ')}>\n")

    with shell(once) as channel:
        channel.sendall(b"show version\n")
        assert read(channel) == b"$ show version\r\n<show version>\r\n"


def test_a_line_that_is_not_to_be_seen_is_not_echoed():
    def once(terminal: Terminal) -> None:
        terminal.write(f"{len(terminal.read_line('Password: ', echo=False))}\n")

    with shell(once) as channel:
        channel.sendall(b"secret\n")
        assert read(channel) == b"Password: \r\n6\r\n"


def test_a_long_line_wraps_with_a_blank_and_a_carriage_return():
    def once(terminal: Terminal) -> None:
        terminal.write(terminal.read_line("$ ") + "\n")

    with shell(once, width=10) as channel:
        channel.sendall(b"0123456789\n")
        assert read(channel) == b"$ 01234567 \r89\r\n0123456789\r\n"


def test_keys_are_rubbed_out_and_lines_interrupted():
    def thrice(terminal: Terminal) -> None:
        lines = [terminal.read_line() for _ in range(2)]
        with pytest.raises(EOFError):
            terminal.read_line()
        terminal.write(repr(lines))

    with shell(thrice) as channel:
        channel.sendall(b"shx\x7fow\nhalf\x03\x04")
        assert read(channel).endswith(b"['show', '']")


def test_a_key_is_read_without_waiting_for_a_line():
    def once(terminal: Terminal) -> None:
        terminal.write("Proceed? ")
        terminal.write(f"<{terminal.read_key()}>")

    with shell(once) as channel:
        channel.sendall(b"y")
        assert read(channel) == b"Proceed? <y>"


def test_a_server_without_a_shell_refuses_one():
    with SshServer(passwords={"ubnt": "pw"}) as server:
        client = paramiko.Transport((server.host, server.port))
        try:
            client.connect(username="ubnt", password="pw")
            with pytest.raises(paramiko.SSHException):
                client.open_session().get_pty()
        finally:
            client.close()
        assert server.shells == 0
