"""Moves absolute paths of scripts below the router's own directory: real ones do not know `$FLEET_ROOT`."""

from __future__ import annotations

import re
from typing import Final

from ..sshd import Stdin

_MOVED: Final = re.compile(
    r"""(?<![\w}/.~@+-])(?<!\w["'])(?<!}["'])(?=/(?:opt/vyatta|config|etc|var|run|tmp|home|usr|s?bin|proc/uptime|proc/sys)(?:[/\s"';&|)<>]|$))"""
)


class Rooted:
    """One command with its standard input. Text that names FLEET_ROOT is left as it is, from its first line on."""

    def __init__(self, root: str, command: str) -> None:
        self._root = root
        self._knows = "FLEET_ROOT" in command

    def text(self, script: str) -> str:
        """The script with its paths moved."""
        if self._knows or "FLEET_ROOT" in script:
            return script
        already = self._root + "/"
        return _MOVED.sub(lambda match: "" if script.startswith(already, match.start()) else self._root, script)

    def stream(self, stdin: bytes | Stdin) -> bytes | Stdin:
        """Standard input, moved line by line as it arrives."""
        if isinstance(stdin, bytes):
            return self._bytes(stdin)
        return stdin if self._knows else _Moved(stdin, self)

    def _bytes(self, raw: bytes) -> bytes:
        return self.text(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def lines(self, raw: bytes) -> bytes:
        """A piece that ends with a line; the first that names FLEET_ROOT ends the moving."""
        self._knows = self._knows or b"FLEET_ROOT" in raw
        return raw if self._knows else self._bytes(raw)


class _Moved:
    def __init__(self, source: Stdin, rooted: Rooted) -> None:
        self._source = source
        self._rooted = rooted
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Whole lines, as soon as there is one; b"" at the end."""
        while True:
            part = self._source.read(65536 if size < 0 else size)
            self._rest += part
            if not part:
                last, self._rest = self._rest, b""
                return self._rooted.lines(last) if last else b""
            ready, newline, rest = self._rest.rpartition(b"\n")
            if newline and size >= 0:
                self._rest = rest
                return self._rooted.lines(ready + newline)
