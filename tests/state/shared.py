"""What the tests of the state share: owners of locks, other times, other processes."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from fleet.keys import new_private_key, public_key_of
from fleet.state import Owner, State

A, B, C = (public_key_of(new_private_key()) for _ in range(3))
ONE, OTHER = ipaddress.ip_address("10.100.0.5"), ipaddress.ip_address("fd10:100::5")
ELSEWHERE = Owner("other-noc", "another boot", 4711, "1", "ravi@other-noc", "sync")
"""A process of a machine about which nothing but the clock tells."""


def me() -> Owner:
    return Owner.current("sync", {"FLEET_ACTOR": "asha@noc"})


def at(state: State, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """In this process the database's clock stands this many days from now."""
    now = time.time() + days * 86400
    monkeypatch.setattr(type(state), "now", lambda _self, _session: now)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class Process:
    """A Python program with `state` open at the place; says and is told one line at a time."""

    def __init__(self, place: Path | str, program: str) -> None:
        begin = "import sys, time\nfrom fleet.state import *\nfrom fleet.errors import *\nstate = open_state(sys.argv[1])\n"
        says = "def say(text): print(text, flush=True)\ndef told(): return sys.stdin.readline().strip()\n"
        command = [sys.executable, "-c", begin + says + program, str(place)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, text: str = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Wait for its own end; the exit code."""
        self.process.communicate(timeout=60)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def process(place: Path | str, program: str) -> Iterator[Process]:
    """Killed at the end, if it still runs."""
    running = Process(place, program)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def queries() -> Iterator[list[str]]:
    """The statements that are sent to any database meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def writes(sent: list[str]) -> list[str]:
    """Those statements that change something."""
    verbs = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")
    return [statement for statement in sent if statement.strip().upper().startswith(verbs)]
