"""Runs the real command line in processes of its own, on a pseudo-terminal when the demo itself has a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import selectors
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

CLI: Final = (sys.executable, "-c", "from fleet.cli import main; main()")
LIMIT: Final = 60.0
"""Seconds a command may take before the demo gives it up."""

TERMINAL_DELAY: Final = 0.02
"""Seconds: what was written before to a pseudo-terminal arrives a little later than what goes through a pipe."""

KEPT: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "CI",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "SYSTEMROOT",
    "TZ",
)
"""What a command inherits: nothing that could lead it to a real fleet, an SSH agent or somebody's keys."""

Show = Callable[[str, bool], None]
"""Called with each line, and True for those of standard error."""


class Shell:
    """`fleet ...` in one folder. `width`: columns of the terminal that the commands see, None for a pipe."""

    def __init__(self, folder: Path, password: str, *, width: int | None) -> None:
        self._folder = folder
        self._width = width
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environment = {**kept, "HOME": str(folder), "FLEET_PASSWORD": password, "FLEET_ACTOR": "you", "FLEET_PLUGINS": ""}

    def run(self, arguments: list[str], show: Show) -> int:
        """Run it and show its lines as they come; the exit code. Raises TimeoutError."""
        if self._width is None:
            read, write = os.pipe()
        else:
            read, write = pty.openpty()
            fcntl.ioctl(write, termios.TIOCSWINSZ, struct.pack("HHHH", 50, self._width, 0, 0))
        with open(read, "rb", buffering=0):  # closes it
            process = subprocess.Popen(
                [*CLI, *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
            os.close(write)
            try:
                assert process.stderr is not None
                with process.stderr:
                    for text, aside in _lines(read, process.stderr.fileno()):
                        show(text, aside)
                return process.wait(LIMIT)
            except BaseException:
                process.kill()
                process.wait()
                raise


def _lines(output: int, error: int) -> Iterator[tuple[str, bool]]:
    """Lines of both files as they come, True for those of standard error."""
    left = {output: b"", error: b""}
    with selectors.DefaultSelector() as selector:
        for file in left:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = {key.fd for key, _ in selector.select(LIMIT)}
            if not ready:
                raise TimeoutError(f"no output for {LIMIT:.0f} s")
            if ready == {error}:
                time.sleep(TERMINAL_DELAY)
                ready = {key.fd for key, _ in selector.select(0)}
            for file in sorted(ready, key=list(left).index):
                part = b""
                with suppress(OSError):  # a pseudo-terminal ends with EIO (Linux)
                    part = os.read(file, 65536)
                *lines, left[file] = (left[file] + part).split(b"\n")
                if not part:
                    selector.unregister(file)
                    lines += [left[file]] if left[file] else []
                for line in lines:
                    yield line.decode(errors="replace").rstrip("\r"), file == error
