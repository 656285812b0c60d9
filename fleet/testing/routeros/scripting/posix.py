"""Regular expressions of `~`: POSIX extended ones. What only other dialects know is refused, not guessed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .errors import ScriptError

_CLASSES: Final = {
    "alnum": "A-Za-z0-9", "alpha": "A-Za-z", "blank": r" \t", "digit": "0-9", "lower": "a-z", "upper": "A-Z",
    "space": r" \t\n\r\f\v", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip
_PIECE: Final = re.compile(r"\\(.)|(\[\^?\]?(?:\[:[a-z]+:\]|[^\]])*\])|(\(\?)|([*+?}][?+])|(\$)|.", re.DOTALL)
_IN_SET: Final = re.compile(r"\[:([a-z]+):\]|([\[\]\\&~|])", re.DOTALL)


@lru_cache(maxsize=2000)
def regex(pattern: str) -> re.Pattern[str]:
    """Compiled. Raises ScriptError."""

    def piece(found: re.Match[str]) -> str:
        escaped, characters, group, doubled, end = found.groups()
        if (escaped and escaped.isalnum()) or group or doubled:
            raise ScriptError(f"bad regular expression {pattern}: {found.group()} is not POSIX")
        if characters:
            return _set(characters, pattern)
        return r"\Z" if end else found.group()

    try:
        return re.compile(_PIECE.sub(piece, pattern), re.DOTALL)
    except (re.error, OverflowError) as wrong:
        raise ScriptError(f"bad regular expression {pattern}: {wrong}") from None


def _set(characters: str, pattern: str) -> str:
    """`[...]`: a backslash is one of its characters, `[:digit:]` a class."""
    inner, opening = characters[1:-1], "["
    if inner.startswith("^"):
        inner, opening = inner[1:], "[^"

    def one(found: re.Match[str]) -> str:
        name, special = found.groups()
        if name is None:
            return f"\\{special}"
        if name not in _CLASSES:
            raise ScriptError(f"bad regular expression {pattern}: no class {name}")
        return _CLASSES[name]

    return f"{opening}{_IN_SET.sub(one, inner).replace('--', '-')}]"
