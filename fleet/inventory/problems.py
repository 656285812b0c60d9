"""Collecting everything that is wrong, each with its place, so that an operator repairs a file once and not ten times."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from ..errors import InventoryError, Problem
from ..model import Where

LONGEST: Final = 60
MOST: Final = 1000
"""Problems said at once; what comes after them has the same cause or is not an inventory."""
_NEAR: Final = 50
"""Names compared letter by letter for one suggestion: with thousands of routers, comparing all takes seconds."""


def shown(text: object, longest: int = LONGEST) -> str:
    """Foreign text as it may stand in a message: quoted, cut, and without a character that a terminal would obey."""
    said = str(text)
    return repr(said if len(said) <= longest else said[:longest] + "...")


def named(names: Iterable[str], most: int = 8) -> str:
    """Names in a sentence, `a, b and 12 more`."""
    listed = list(names)
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")


def meant(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question for a cure, empty if none is near."""
    word = word[:LONGEST]
    candidates = list(known)
    if len(candidates) > _NEAR:
        candidates = [each for each in candidates if abs(len(each) - len(word)) < 3 and each[:1] == word[:1]]
        candidates.sort(key=lambda each: each[:2] != word[:2])
    near = difflib.get_close_matches(word, candidates[:_NEAR], n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


class Refused(ValueError):
    """A value that cannot stand: what was seen, and the cure."""

    def __init__(self, summary: str, cure: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.cure = cure


class Problems:
    """Gathers problems, each once: a wrong value of a group is one problem, not one per member."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, where: Where, summary: str, cure: str = "") -> None:
        """Remember one problem at its place. Raises InventoryError at once when there are too many to be useful."""
        problem = Problem(where.file, where.line, summary, cure)
        if len(self._found) == MOST and problem not in self._found:
            end = Problem(where.file, 0, f"more than {MOST:,} problems; the first {MOST:,} follow", "repair these first")
            raise InventoryError([*self._found, end])
        self._found[problem] = None

    def refused(self, where: Where, refusal: Refused, subject: str = "") -> None:
        """Remember a refused value; `subject` says whose it is."""
        self.add(where, f"{subject}: {refusal.summary}" if subject else refusal.summary, refusal.cure)

    def raise_any(self) -> None:
        """Raises InventoryError with all of them, if there are any."""
        if self._found:
            raise InventoryError(list(self._found))
