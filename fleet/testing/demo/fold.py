"""Makes long reports short enough to read: what repeats is counted instead of shown, and the count is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")

Print = Callable[[str], None]


class Blocks:
    """Blocks of a report are a line at the margin and the indented lines under it, changes begin with + ~ or -.

    Of the first `whole` blocks with many changes the first `lines` changes are shown, of later ones none. What is no
    change (an error and its cure, a note) and up to three changes are always shown.
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
        if _bare(text).startswith("    "):
            self._block.append(text)
        else:
            self.end()
            self._show(text)

    def end(self) -> None:
        """The block is over."""
        block, self._block = self._block, []
        changes = sum(map(_is_change, block))
        left = 0
        if changes > self.SHORT:
            left = changes - (self._lines if self._whole > 0 else 0)
            self._whole -= 1
        for text in _without_last(block, left):
            self._show(text)
        if left > 0:
            self._count(f"    ... {left} more" if left < changes else f"    ... {left} changes")


def _bare(text: str) -> str:
    return ANSI.sub("", text)


def _is_change(text: str) -> bool:
    return _bare(text).startswith(("    + ", "    ~ ", "    - "))


def _without_last(block: list[str], changes: int) -> list[str]:
    """The block without its last changes; the rest of a wrapped one goes with it."""
    kept: list[str] = []
    shown, hiding = sum(map(_is_change, block)) - changes, False
    for text in block:
        if _is_change(text):
            hiding = shown <= 0
            shown -= 1
        elif not _bare(text).startswith("     "):
            hiding = False
        if not hiding:
            kept.append(text)
    return kept


class First:
    """The first `lines` lines as they come; the others are counted, and kept in `hidden`."""

    def __init__(self, show: Print, count: Print, lines: int) -> None:
        self._show = show
        self._count = count
        self._lines = lines
        self._left = 0
        self.hidden: list[str] = []

    def line(self, text: str) -> None:
        """One more line."""
        if self._lines > 0:
            self._show(text)
            self._lines -= 1
        else:
            self._left += 1
            self.hidden.append(text)

    def end(self) -> None:
        """No more come for now."""
        left, self._left = self._left, 0
        if left:
            self._count(f"... {left} more")
