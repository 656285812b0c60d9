"""Releases of OPNsense and when each behaviour came (sheet 0 and captures, part A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SERIES: Final = {
    "23.1": "23.1.11",
    "23.7": "23.7.12",
    "24.1": "24.1.10",
    "24.7": "24.7.12",
    "25.1": "25.1.12",
    "25.7": "25.7.11",
    "26.1": "26.1.11",
    "26.7": "26.7.2",
}
"""What a series without a patch number stands for: where there are captures, the release that was captured."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release; `number` compares."""

    text: str
    number: tuple[int, ...]

    def since(self, *number: int) -> bool:
        """True for this release and later ones."""
        return self.number >= number

    @property
    def parses_json(self) -> bool:
        """False on 24.7.0, whose key branch never parsed a JSON body (sheet 9, core#7645)."""
        return self.number != (24, 7, 0)


def release(text: str) -> Release:
    """`25.1` or `25.1.12`. Raises ValueError for anything older than 23.1."""
    full = SERIES.get(text, text)
    number = tuple(int(part) for part in full.split("."))
    if number < (23, 1) or len(number) not in (2, 3):
        raise ValueError(f"no simulated OPNsense {text}: give one of {', '.join(SERIES)}, or a release of these")
    return Release(full, number)
