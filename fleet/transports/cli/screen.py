"""What a command printed, out of what a terminal shows: without echo, pager and prompt."""

from __future__ import annotations

import re
from functools import lru_cache

from ...dialects import Cli

TAIL = 1000
"""Characters at the end of the screen that a prompt, a pager or a question is looked for in."""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


# CSI sequences, titles, keypad modes and character sets (ECMA-48; xterm's "Control Sequences").
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>])")


def without_escapes(text: str) -> str:
    """Text without what moves a cursor or colours letters. The terminal's own library knows only some of it."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def plain(text: str) -> str:
    """Text with newlines alone: terminals print a carriage return or two before each, and one alone begins a line anew."""
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
    return "\n".join(map(_overwritten, text.split("\n"))) if "\r" in text else text


def _overwritten(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part), "")


def without_echo(text: str, typed: str) -> str | None:
    """What follows the echo of a command, None while the echo is not complete. `text` has no escape sequences.

    A line editor wraps long lines by a carriage return, with a blank or a newline beside it (EdgeOS: blank, carriage return).
    """
    match = _echo(typed).match(text)
    return None if match is None else text[match.end() :]


@lru_cache(maxsize=32)
def _echo(typed: str) -> re.Pattern[str]:
    return re.compile(r"\s*" + r"(?: ?\r\n?)?".join(map(re.escape, typed)) + r"\s*?\n")


def before(text: str, pattern: str) -> str | None:
    """The text before what matches up to its end, None if nothing does."""
    matches = [match for match in _compiled(pattern).finditer(text[-TAIL:]) if match.end() == len(text[-TAIL:])]
    return text[: len(text) - len(text[-TAIL:]) + matches[0].start()] if matches else None


def without_erasure(text: str) -> str:
    """Text after a pager's prompt: it begins with what wiped that out, backspaces or a line overwritten by blanks."""
    return re.sub(r"^(?:[ \b]*\x08[ \b]*|\r *\r)", "", text)


def refusal(printed: str, dialect: Cli, accept: tuple[str, ...]) -> bool:
    """True if the output of a command says no."""
    if any(_compiled(pattern).search(printed) for pattern in accept):
        return False
    return any(_compiled(pattern).search(printed) for pattern in dialect.errors)
