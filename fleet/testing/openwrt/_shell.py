"""Processes of a simulated router: commands as dropbear runs them, daemons, and what a process list shows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..linux import LinuxSimulator
from ..linux._call import Call
from ..linux._machine import Invocation
from ..linux._server import guarded
from ..sshd import ChannelInput, Stdin
from ._processes import of_router
from ._tools import TOOLS, UNLOCKED


class Shell(LinuxSimulator):
    """The half of a router that runs processes. `hangs_up`: a command dies with its connection."""

    hangs_up: bool
    _up_since: float

    def _prepare_shell(self) -> None:
        """What must be there before the first process."""
        self.hangs_up = True
        self._run_of = threading.local()
        self._execs: list[str] = []

    @property
    def uptime(self) -> float:
        """Seconds since the last boot."""
        return self.clock.now() - self._up_since

    @property
    def environment(self) -> dict[str, str]:
        """What dropbear gives a command (capture 6)."""
        return {**super().environment, "SHELL": "/bin/ash"}

    def run_tool(self, call: Call) -> int:
        """Run a stand-in of the router."""
        tool = TOOLS.get(call.name)
        if tool is None or self.down.is_set():
            return 127
        if call.name in UNLOCKED:
            code = guarded(tool, call)
        else:
            with self._locked():
                code = guarded(tool, call)
        self._show_uptime()
        self.invocations.append(Invocation(call.name, tuple(call.argv), code))
        if call.name not in UNLOCKED:
            self.touched()
        return code

    def run(self, command: str, stdin: bytes | Stdin = b"", env: Mapping[str, str] | None = None) -> tuple[bytes, bytes, int]:
        """Run a command as dropbear does: it gets a hangup when its connection is lost."""
        over = threading.Event()
        self._show_uptime()
        if isinstance(stdin, ChannelInput):
            self._execs.append(command)
        self._run_of.stdin, self._run_of.over = stdin, over
        try:
            return super().run(command, stdin, env)
        finally:
            over.set()
            self._run_of.stdin = b""

    def _hang_up(self, group: int, stdin: ChannelInput, over: threading.Event) -> None:
        while not over.wait(0.05):
            if stdin.gone:
                if self.hangs_up:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(group, signal.SIGHUP)
                return

    def _spawn(self, argv: list[str], env: Mapping[str, str], *streams: int) -> subprocess.Popen[bytes]:
        # The login shell calls itself `ash` in its errors, whatever its path is (capture 6).
        executable = self.which(argv[0]) or self.root_path / "bin" / argv[0]
        process = subprocess.Popen(
            ["ash" if argv[0] == "sh" else argv[0], *argv[1:]], executable=executable, env=dict(env),
            cwd=self.root_path / "root", start_new_session=True, stdin=streams[0], stdout=streams[1], stderr=streams[2],
        )  # fmt: skip
        self._processes.add(process.pid)
        stdin = getattr(self._run_of, "stdin", b"")
        if isinstance(stdin, ChannelInput):
            watch = (process.pid, stdin, self._run_of.over)
            threading.Thread(target=self._hang_up, args=watch, name="hangup", daemon=True).start()
        return process

    def _show_uptime(self) -> None:
        """Scripts read /proc/uptime themselves: it is right whenever a stand-in has run or time was moved."""
        with contextlib.suppress(OSError):
            # At once, as a kernel answers: whoever reads meanwhile sees the old one or the new one.
            new = self.root_path / "proc" / f".uptime-{threading.get_ident()}"
            new.write_text(f"{self.uptime:.2f} {self.uptime:.2f}\n")
            new.replace(self.root_path / "proc/uptime")

    def spawn_detached(self, argv: Sequence[str], cwd: Path, *, background: bool) -> subprocess.Popen[bytes] | None:
        """A process of its own session, as start-stop-daemon makes it; None when there is no such program."""
        words = [self._on_host(word) for word in argv]
        executable = self.which(words[0])
        if executable is None:
            return None
        nowhere = subprocess.DEVNULL
        environment = {**self.environment, "FLEET_SIM_UID": "0"}
        process = subprocess.Popen(
            [str(executable), *words[1:]], env=environment, cwd=cwd, start_new_session=True,
            stdin=nowhere, stdout=nowhere, stderr=nowhere,
        )  # fmt: skip
        self._processes.add(process.pid)
        if background:  # nobody else waits for it: no zombie may hold its number
            threading.Thread(target=process.wait, name="reaper", daemon=True).start()
        return process

    def processes(self) -> list[tuple[int, list[str]]]:
        """Processes that live now, with their command lines as a router's process list shows them."""
        root = str(self.root_path)
        found = []
        for pid, _, argv in of_router(root):
            words = [word.replace(root, "") for word in argv]
            if len(words) > 2 and words[1] == "-ISE":  # a stand-in: its interpreter is not the router's
                words = words[2:]
            found.append((pid, words))
        return found
