"""A small router with an interactive command line, for tests of the cli transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.dial import direct
from fleet.dialects import Cli, Mode
from fleet.link import Access, Address, Session
from fleet.model import Secret
from fleet.testing.sshd import SshServer, Terminal
from fleet.transports import Dial
from fleet.transports.cli import CliTransport

DIALECT = Cli(
    prompt=r"(?:\[edit[^\]]*\]\n)?\w+@\w+(?::\S+\$|#) $",
    prepare=("terminal length 0",),
    errors=(r"^Set failed$", r"^Commit failed$", r"^ +Invalid command:", r"temporarily locked"),
    modes={"configure": Mode(("configure",), ("commit", "exit"), ("exit discard",))},
    pager=r"^:$",
)

PSK = "pr3sh+ared/key="


class Shell:
    """What its one user typed and what it holds; `tree` is what was committed."""

    def __init__(self) -> None:
        self.typed: list[str] = []
        self.tree: list[str] = []
        self.greeting = "Linux edge\nWelcome to EdgeOS\nLast login: Mon\n"
        self.paging = True

    def __call__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        terminal.write(self.greeting)
        while True:
            line = terminal.read_line("ubnt@edge:~$ ")
            self.typed.append(line)
            if line == "exit":
                return
            if line == "configure":
                self._configure(terminal)
            else:
                self._operate(terminal, line)

    def _operate(self, terminal: Terminal, line: str) -> None:
        if line == "terminal length 0":
            self.paging = False
        elif line == "show version":
            terminal.write("Version:      v2.0.9\nHW model:     EdgeRouter X\n")
        elif line == "show prompts":
            for part in ("the next looks like one\nubnt@edge:~$ ", "and is none\n"):
                terminal.write(part)
        elif line == "show pages":
            for number in range(3):
                terminal.write(f"page {number}\n:")
                assert terminal.read_key() == " "
                terminal.write_raw(b"\x08\x1b[K")
        elif line == "reboot":
            terminal.write("Proceed with reboot? [confirm]")
            terminal.write(terminal.read_key() + "\nrebooting\n")
        elif line == "password":
            secret = terminal.read_line("New password: ", echo=False)
            terminal.write(f"{len(secret)} characters\n")
        elif line.startswith("echo "):
            terminal.write(line[5:] + "\n")
        elif line == "large":
            terminal.write("".join(f"line {number}\n" for number in range(20_000)))
        elif line == "colours":
            terminal.write("\x1b[?1h\x1b=\x1b[1mbold\x1b[m\x1b[K\n")
        elif line == "hang":
            terminal.read_key()
        elif line == "die":
            raise EOFError
        elif line:
            terminal.write(f"\n  Invalid command: [{line.split(maxsplit=1)[0]}]\n\n")

    def _configure(self, terminal: Terminal) -> None:
        pending: list[str] = []
        while True:
            terminal.write_raw(b"[edit]\r\r\n")
            line = terminal.read_line("ubnt@edge# ")
            self.typed.append(line)
            if line == "commit":
                if any("busy" in held for held in pending):
                    terminal.write("[ interfaces wireguard wg0 ]\nmessage\n\nCommit failed\n")
                    continue
                self.tree += pending
                pending = []
            elif line == "exit discard":
                terminal.write("exit\n")
                return
            elif line == "exit":
                if pending:
                    terminal.write(
                        "Cannot exit: configuration modified.\nUse 'exit discard' to discard the changes and exit.\n"
                    )
                    continue
                terminal.write("exit\n")
                return
            elif line.startswith("set bad"):
                terminal.write(f'"{line[8:]}" is not a valid value of type "u32"\n\nValue validation failed\nSet failed\n')
            elif line.startswith("delete"):
                terminal.write("Nothing to delete (the specified node does not exist)\n")
            else:
                pending.append(line)


def access(server: SshServer, dialect: Cli = DIALECT, **changes: object) -> Access:
    """How to log in to a server."""
    known: dict[str, Any] = {
        "username": "ubnt",
        "password": Secret("ubnt"),
        "host_keys": (server.host_key_line,),
        "dialect": dialect,
    }
    return Access("edge", (Address(server.host, server.port),), **{**known, **changes})


def connect(server: SshServer, dialect: Cli = DIALECT, *, dial: Dial = direct, wait: float = 10, **changes: object) -> Session:
    """A session of its own, without regard to this machine's known_hosts."""
    transport = CliTransport(known_hosts=Path("/dev/null"), greeting_timeout=wait)
    return transport.connect(access(server, dialect, **changes), dial)


@contextmanager
def talking(shell: Shell | None = None, dialect: Cli = DIALECT) -> Iterator[tuple[Shell, Session, SshServer]]:
    """A router and a session with it."""
    shell = shell or Shell()
    with SshServer(shell=shell, passwords={"ubnt": "ubnt"}) as server:
        session = connect(server, dialect)
        try:
            yield shell, session, server
        finally:
            session.close()
