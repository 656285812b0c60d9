"""A terminal with a line editor, as a shell on a router's SSH server sees one."""

from __future__ import annotations

import codecs
from typing import Final

import paramiko

INTERRUPT: Final = "\x03"
END: Final = "\x04"
RUBBED: Final = frozenset({"\x08", "\x7f"})


class Terminal:
    """What a shell reads from and writes to: `term`, `width` and `height` as the client asked for, `username` who logged in.

    All methods raise OSError or EOFError when the client is gone.
    """

    def __init__(self, channel: paramiko.Channel, username: str, term: str, width: int, height: int) -> None:
        self.username = username
        self.term = term
        self.width = width
        self.height = height
        self._channel = channel
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._keys: list[str] = []

    def write(self, text: str) -> None:
        """Print, every newline as carriage return and newline."""
        if text:
            self._channel.sendall(text.replace("\n", "\r\n").encode())

    def write_raw(self, octets: bytes) -> None:
        """Print bytes as they are."""
        self._channel.sendall(octets)

    def read_key(self) -> str:
        """One key, not echoed. Raises EOFError."""
        while not self._keys:
            octets = self._channel.recv(4096)
            if not octets:
                raise EOFError
            self._keys += self._decoder.decode(octets)
        return self._keys.pop(0)

    def read_line(self, prompt: str = "", *, echo: bool = True) -> str:
        """A line after the prompt, without its end, echoed as it is typed; wrapped lines show as readline wraps them.

        Ctrl-C gives an empty line. Raises EOFError for Ctrl-D on an empty line.
        """
        self.write(prompt)
        column = len(prompt.rpartition("\n")[2])
        line: list[str] = []
        while (key := self.read_key()) not in ("\r", "\n"):
            if key == INTERRUPT:
                self.write("^C\n")
                return ""
            if key == END and not line:
                raise EOFError
            if key in RUBBED:
                if line:
                    line.pop()
                    self.write_raw(b"\x08 \x08")
                continue
            line.append(key)
            if echo:
                self._echo(key, column + len(line))
        self.write("\n")
        return "".join(line)

    def _echo(self, key: str, column: int) -> None:
        # Seen on EdgeOS at 511 columns: a space and a carriage return where the line wraps (sheet 2.3).
        wraps = self.width and column % self.width == 0
        self._channel.sendall(key.encode() + (b" \r" if wraps else b""))
