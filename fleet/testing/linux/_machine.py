"""Processes of a simulated host: what arrives runs under a real `sh`, with stand-ins and nothing else on its PATH."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..sshd import Stdin
from ._call import Call
from ._server import guarded
from ._tools import TOOLS, UNLOCKED

if TYPE_CHECKING:
    from .simulator import LinuxSimulator


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of a stand-in: what a process list would have shown, and its exit status."""

    name: str
    argv: tuple[str, ...]
    code: int


class Machine:
    """The half of a host that runs processes. `root_path` is its own directory."""

    root_path: Path
    root: bool
    username: str
    host: LinuxSimulator

    def __init__(self) -> None:
        self.invocations: list[Invocation] = []
        self.down = threading.Event()
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._processes: set[int] = set()
        self._reboot_wanted = False

    @property
    def environment(self) -> dict[str, str]:
        """What a login shell has: PATH of stand-ins, the host's own directory, and nothing of the caller's."""
        root = self.root_path
        return {
            "PATH": str(root / "bin"),
            "FLEET_ROOT": str(root),
            "HOME": str(root / "root"),
            "TMPDIR": str(root / "tmp"),
            "LC_ALL": "C",
            "LANG": "C",
            "USER": "root" if self.root else self.username,
            "FLEET_SIM_UID": "0" if self.root else "1000",
        }

    def run(self, command: str, stdin: bytes | Stdin = b"", env: Mapping[str, str] | None = None) -> tuple[bytes, bytes, int]:
        """Run a command as sshd does, by the login's shell: output, error output, exit status. A handler for SshServer.

        Returns when every process that holds the output has ended, as sshd does; one that must live on redirects it.
        """
        if self.down.is_set():
            return b"", b"the simulated host is off\n", 255
        reader, writer = os.pipe()
        environment = {**self.environment, **(env or {})}
        try:
            process = self._spawn(["sh", "-c", command], environment, reader, subprocess.PIPE, subprocess.PIPE)
        finally:
            os.close(reader)
        threading.Thread(target=_feed, args=(stdin, writer), name="stdin", daemon=True).start()
        out, error = process.communicate()
        self._reaped(process)
        if self._reboot_wanted:
            self._reboot_wanted = False
            self.host.reboot()
        return out, error, process.returncode if process.returncode >= 0 else 128 - process.returncode

    def shell(self, text: str, fds: tuple[int, int, int] | None = None) -> int:
        """Run a snippet (a hook, a unit) as root; output to `fds` or nowhere. Exit status."""
        return self._wait(["sh", "-c", text], fds)

    def _wait(self, argv: list[str], fds: tuple[int, int, int] | None = None, env: Mapping[str, str] | None = None) -> int:
        streams = (subprocess.DEVNULL,) * 3 if fds is None else fds
        process = self._spawn(argv, {**self.environment, "FLEET_SIM_UID": "0", **(env or {})}, *streams)
        process.wait()
        self._reaped(process)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def _spawn(self, argv: list[str], env: Mapping[str, str], *streams: int) -> subprocess.Popen[bytes]:
        executable = self.which(argv[0]) or self.root_path / "bin" / argv[0]
        process = subprocess.Popen(
            [str(executable), *argv[1:]], env=dict(env), cwd=self.root_path / "root", start_new_session=True,
            stdin=streams[0], stdout=streams[1], stderr=streams[2],
        )  # fmt: skip
        self._processes.add(process.pid)
        return process

    def _reaped(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the group in mind as long as something of it lives: its number is not given to others before."""
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            self._processes.discard(process.pid)

    def run_unit(self, words: list[str], environment: Sequence[str] = ()) -> int:
        """Run a unit's command line: absolute paths are those of this host."""
        pairs = dict(pair.partition("=")[::2] for pair in environment)
        argv = [self._on_host(word) for word in words]
        if self.which(argv[0]) is None:
            return 203
        return self._wait(argv, env=pairs)

    def spawn_unit(self, words: list[str], environment: Sequence[str] = ()) -> None:
        """As run_unit, without waiting."""
        threading.Thread(target=self.run_unit, args=(words, environment), name="unit", daemon=True).start()

    def _on_host(self, word: str) -> str:
        if not word.startswith("/") or word.startswith(str(self.root_path)):
            return word
        inside = self.root_path / word.lstrip("/")
        if inside.exists():
            return str(inside)
        name = word.rpartition("/")[2]
        return name if (self.root_path / "bin" / name).exists() else word

    def which(self, name: str) -> Path | None:
        """The executable a command name means here."""
        path = Path(name) if "/" in name else self.root_path / "bin" / name
        path = path if path.is_relative_to(self.root_path) else self.root_path / "bin" / path.name
        return path if os.access(path, os.X_OK) else None

    def has(self, tool: str) -> bool:
        """True if this host has the tool."""
        return (self.root_path / "bin" / tool).exists()

    def invoke(self, parent: Call, argv: list[str], stdin: bytes = b"") -> int:
        """Run a stand-in from inside another one; it speaks through the parent."""
        call = _Inner(self.host, argv[0], argv[1:], parent.cwd, parent.uid, parent.fds)
        call.given = stdin
        code = self.run_tool(call) if self.has(argv[0]) else 127
        parent.adopt(call)
        return code

    def capture(self, argv: list[str]) -> str:
        """Standard output of a stand-in."""
        call = _Inner(self.host, argv[0], argv[1:], self.root_path)
        self.run_tool(call)
        return call.said()

    def make_call(self, name: str, argv: list[str], cwd: Path, uid: int, fds: tuple[int, int, int]) -> Call:
        return Call(self.host, name, argv, cwd, uid, fds)

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let other stand-ins run while this one waits for something."""
        held = self._holder == threading.get_ident()
        if held:
            self._holder = None
            self._lock.release()
        try:
            yield
        finally:
            if held:
                self._lock.acquire()
                self._holder = threading.get_ident()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._holder == threading.get_ident():  # a stand-in run by another one
            yield
            return
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None

    def run_tool(self, call: Call) -> int:
        tool = TOOLS.get(call.name)
        if tool is None or self.down.is_set():
            return 127
        with contextlib.nullcontext() if call.name in UNLOCKED else self._locked():
            code = guarded(tool, call)
        self.invocations.append(Invocation(call.name, tuple(call.argv), code))
        self.host.touched()
        return code

    def kill_processes(self) -> None:
        """End what this host started, and wait until it is gone: what was killed may still write for a moment."""
        for group in list(self._processes):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self._processes.clear()
        give_up = time.monotonic() + 10.0
        while self._kill_marked() and time.monotonic() < give_up:
            time.sleep(0.005)

    def _kill_marked(self) -> bool:
        """Kill by the mark in the environment, which what left its group (setsid) has, too; False if nothing was there."""
        mark = f"FLEET_ROOT={self.root_path}".encode()
        found = False
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                mine = mark in path.read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and int(path.parent.name) != os.getpid():
                found = True
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(path.parent.name), signal.SIGKILL)
        return found


def _feed(stdin: bytes | Stdin, writer: int) -> None:
    """Hand standard input on as it arrives, until its end or until nobody reads."""
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    with contextlib.suppress(OSError):
        while part := source.read(65536):
            while part:
                part = part[os.write(writer, part) :]
    os.close(writer)


class _Inner(Call):
    """A stand-in run inside another one: standard input is given, output kept."""

    given: bytes = b""

    def stdin(self) -> bytes:
        return self.given
