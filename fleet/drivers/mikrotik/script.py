"""RouterOS script, the small part of it that the undo is written in: quoting, conditions, commands that may fail.

Texts stand in double quotes, where backslash, quote, dollar and control characters are escaped. Comparing a quoted
text with an address or a prefix is what the vendor's own examples do (sheet 6: `find dst-address=$farLan`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

FEW: Final = 3
"""Up to so many objects are named one by one, more of them by a pattern, to keep a script short."""

_AT_ONCE: Final = 40
"""Alternatives in one pattern: how long a pattern may be is unverified."""

_KEY_START: Final = 16
"""Characters of a public key in a pattern: 96 bits of it."""

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_BARE: Final = re.compile(r"yes|no|[0-9]{1,9}", re.ASCII)


def quoted(text: str) -> str:
    """A string literal."""
    return '"' + "".join(_ESCAPES.get(each, each if each >= " " else f"\\{ord(each):02X}") for each in text) + '"'


def equal(name: str, value: str) -> str:
    """A condition."""
    return f"{name}={quoted(value)}"


def like(name: str, pattern: str) -> str:
    """A condition by POSIX pattern."""
    return f"{name}~{quoted(pattern)}"


def plain(text: str) -> str:
    """A text as a pattern that matches only itself."""
    return re.sub(r"[.+*?()\[\]{}|$]", lambda found: f"[{found[0]}]", text.replace("\\", r"\\").replace("^", r"\^"))


def one_of(name: str, values: Sequence[str]) -> list[str]:
    """Conditions that together select the objects whose `name` is one of these texts."""
    if len(values) <= FEW:
        return [equal(name, value) for value in values]
    return [like(name, f"^({'|'.join(map(plain, some))})$") for some in _portions(values)]


def one_of_keys(keys: Sequence[str]) -> list[str]:
    """Conditions that together select the peers with these public keys; of many by the first 96 bits of the key."""
    if len(keys) <= FEW:
        return [equal("public-key", key) for key in keys]
    return [like("public-key", f"^({'|'.join(plain(key[:_KEY_START]) for key in some)})") for some in _portions(keys)]


def found(*conditions: str) -> str:
    """The objects of the command's own menu that meet all conditions."""
    return f"[find where {' && '.join(conditions)}]"


def attempt(command: str) -> str:
    """A command whose failure does not end the script."""
    return f":do {{{command}}} on-error={{}}"


def words(attributes: Iterable[tuple[str, str]]) -> str:
    """Attributes of a `set`; truth values and numbers stand bare, as in the vendor's examples."""
    return " ".join(f"{name}={value if _BARE.fullmatch(value) else quoted(value)}" for name, value in attributes)


def _portions(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE)]
