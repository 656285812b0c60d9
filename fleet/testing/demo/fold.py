"""Makes long reports short enough to read: what repeats is counted instead of shown, and the count is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")

Print = Callable[[str], None]


class Blocks:
    """Blocks of a report are a line at the margin and the indented lines under it.

    Of the first `whole` long blocks the first `lines` indented lines are shown, of later ones none. Blocks of up to three
    lines, an error and its cure, are always shown.
    """

    SHORT: Final = 3

    def __init__(self, show: Print, count: Print, *, whole: int, lines: int) -> None:
        self._show = show
        self._count = count
        self._whole = whole
        self._lines = lines
        self._block: list[str] = []

    def line(self, text: str) -> None:
        """One more line."""
        if ANSI.sub("", text).startswith("    "):
            self._block.append(text)
        else:
            self.end()
            self._show(text)

    def end(self) -> None:
        """The block is over."""
        block, self._block = self._block, []
        shown = len(block)
        if shown > self.SHORT:
            shown = min(shown, self._lines) if self._whole > 0 else 0
            self._whole -= 1
        for text in block[:shown]:
            self._show(text)
        if left := len(block) - shown:
            self._count(f"    ... {left} more" if shown else f"    ... {left} changes")


class First:
    """The first `lines` lines as they come; the others are counted."""

    def __init__(self, show: Print, count: Print, lines: int) -> None:
        self._show = show
        self._count = count
        self._lines = lines
        self._left = 0

    def line(self, text: str) -> None:
        """One more line."""
        if self._lines > 0:
            self._show(text)
            self._lines -= 1
        else:
            self._left += 1

    def end(self) -> None:
        """No more come for now."""
        left, self._left = self._left, 0
        if left:
            self._count(f"... {left} more")
