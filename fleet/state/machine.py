"""Who runs fleet and where: what locks and history need to know about this process."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Owner:
    """One process of one machine, told apart from every other that ever ran.

    `boot_id` names the boot and the process namespace, `start_time` when the process began, in the system's own unit;
    either is empty where the system does not say.
    """

    host: str
    boot_id: str
    pid: int
    start_time: str
    actor: str
    command: str

    @classmethod
    def current(cls, command: str, environ: Mapping[str, str] = os.environ) -> Owner:
        """Name this process. `command` is shown to whoever meets its lock."""
        pid = os.getpid()
        return cls(socket.gethostname(), boot_id(), pid, start_time(pid) or "", actor(environ), command)

    def gone(self, seen_from: Owner) -> bool | None:
        """True if this process certainly ended, False if it certainly runs, None if `seen_from` cannot know."""
        if not self.boot_id or not self.start_time or (self.host, self.boot_id) != (seen_from.host, seen_from.boot_id):
            return None
        return start_time(self.pid) != self.start_time


def actor(environ: Mapping[str, str] = os.environ) -> str:
    """Who is responsible: `FLEET_ACTOR`, else user@host."""
    if given := environ.get("FLEET_ACTOR", "").strip():
        return re.sub(r"[^\x20-\x7e\u00a0-\uffff]", "?", given)[:256]
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def boot_id() -> str:
    """Names this boot of this machine, and on Linux the process namespace: in another container a pid means another process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return _said(["sysctl", "-n", "kern.bootsessionuuid"])  # macOS


def start_time(pid: int) -> str | None:
    """When a process began, None if there is no such process. A zombie has ended."""
    try:
        # proc(5): the name in parentheses may hold anything; then state (field 3) and, as field 22, the start in ticks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _said(["ps", "-o", "lstart=", "-p", str(pid)]) or None
    return None if fields[0] in ("Z", "X") else fields[19]


def inventory_commit(folder: Path | str) -> str:
    """Short hash of the commit that the inventory's folder is at, with `+dirty` if the folder differs; empty without git."""
    git = ["git", "-C", str(folder), "--no-optional-locks"]
    commit = _said([*git, "rev-parse", "--short", "HEAD"])
    if not commit:
        return ""
    return commit + ("+dirty" if _said([*git, "status", "--porcelain", "--", "."]) else "")


def _said(command: Sequence[str]) -> str:
    """Standard output of a command, empty if it fails for whatever reason."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
