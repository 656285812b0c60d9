"""One invocation of a stand-in: its arguments, standard streams and what it may say."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from .simulator import LinuxSimulator


class Refused(Exception):
    """The tool says no: `words` go to standard error, `code` is the exit status. Both as the real tool has them."""

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.words = words
        self.code = code


class Replace(Exception):
    """The stand-in becomes another command (sudo): the client executes `argv` in its own place, as user `uid`."""

    def __init__(self, argv: list[str], uid: int) -> None:
        super().__init__(argv)
        self.argv = argv
        self.uid = uid


@dataclass
class Call:
    """What a stand-in is given. `fds` are the caller's own standard input, output and error, closed by the server.

    `pid` is the client's process, 0 for a stand-in run from inside the simulator.
    """

    host: LinuxSimulator
    name: str
    argv: list[str]
    cwd: Path
    uid: int = 0
    fds: tuple[int, int, int] = (0, 1, 2)
    pid: int = 0
    _said: list[tuple[int, str]] = field(default_factory=list)

    def out(self, text: str, end: str = "\n") -> None:
        """Say on standard output."""
        self._said.append((1, text + end))

    def err(self, text: str, end: str = "\n") -> None:
        """Say on standard error."""
        self._said.append((2, text + end))

    def flush(self) -> None:
        """Write what was said so far."""
        said, self._said = self._said, []
        for stream, pieces in itertools.groupby(said, key=lambda piece: piece[0]):
            text = "".join(piece for _, piece in pieces).encode("utf-8", "surrogateescape")
            while text:
                try:
                    text = text[os.write(self.fds[stream], text) :]
                except OSError:  # the reader left, as in `nft list ruleset | head -1`
                    break

    def said(self) -> str:
        """What was said on standard output and not yet flushed."""
        return "".join(text for stream, text in self._said if stream == 1)

    def adopt(self, inner: Call) -> None:
        """Say what a stand-in run inside this one said."""
        self._said += inner._said

    def stdin(self) -> bytes:
        """All of standard input. Read only by tools that read it: a script may stand in the same pipe."""
        parts = []
        # Whoever writes the other end, as in `wg genkey | wg pubkey`, may be a stand-in that waits for the host's lock.
        with self.host.unlocked():
            while part := os.read(self.fds[0], 65536):
                parts.append(part)
        return b"".join(parts)

    def path(self, text: str) -> Path:
        """The file that `text` names on this host: inside its directory whatever it says."""
        root = self.host.root_path
        path = Path(text) if text.startswith("/") else self.cwd / text
        path = Path(os.path.normpath(path))
        return path if path.is_relative_to(root) else root / str(path).lstrip("/")

    def read(self, text: str) -> bytes:
        """Content of a file argument, `-` and /dev/stdin included. Raises OSError."""
        if text in {"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}:
            return self.stdin()
        return b"" if text == "/dev/null" else self.path(text).read_bytes()

    def need_root(self, words: str, code: int = 1) -> None:
        """Refuse ordinary users."""
        if self.uid != 0:
            raise Refused(words, code)


Tool: TypeAlias = Callable[[Call], int | None]


def refuse(words: str, code: int = 1) -> NoReturn:
    """Raise Refused: reads better at the end of a branch."""
    raise Refused(words, code)
