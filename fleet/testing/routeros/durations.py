"""Time as RouterOS reads and prints it (sheet 3.1)."""

from __future__ import annotations

import re
from typing import Final

_LETTERS: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")
_CLOCK: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d\d)(?::(\d\d))?$")


def seconds(value: str) -> int | None:
    """Seconds of `25`, `25s`, `1m45s`, `1d2h3m4s`, `00:00:25`, `1w2d03:04:05`; None if it is none of these."""
    if value.isdigit():
        return int(value)
    found = _CLOCK.match(value)
    if found:
        weeks, days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    else:
        found = _LETTERS.match(value)
        if not found or not value:
            return None
        weeks, days, hours, minutes, rest, _ = (int(part or 0) for part in found.groups())
    return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + rest


def letters(total: float) -> str:
    """The letter form of v7 replies: `1w2d3h4m5s`, `0s` for nothing."""
    rest = int(total)
    parts = []
    for size, letter in ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"
