"""Values of the scripting language and how they are written (manual, "Data types")."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .tree import Block


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """A duration."""

    milliseconds: int

    def __str__(self) -> str:
        seconds, milliseconds = divmod(abs(self.milliseconds), 1000)
        days, rest = divmod(seconds, 86400)
        weeks, days = divmod(days, 7)
        day = (f"{weeks}w" if weeks else "") + (f"{days}d" if days or weeks else "")
        clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        fraction = f".{milliseconds:03}" if milliseconds else ""
        return ("-" if self.milliseconds < 0 else "") + day + clock + fraction


@dataclass(frozen=True, slots=True, order=True)
class Id:
    """An internal ID: `*` and uppercase hex."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Nothing:
    """A variable that was declared without a value, or the answer of a command that has none."""

    def __str__(self) -> str:
        return ""


@dataclass(slots=True)
class Array:
    """Elements in order, then those with keys; printing sorts by key (manual, "Arrays")."""

    items: list[Value] = field(default_factory=list)
    keys: dict[str, Value] = field(default_factory=dict)

    def pairs(self) -> list[tuple[Value, Value]]:
        """(index or key, element)."""
        return [*enumerate(self.items), *((key, self.keys[key]) for key in sorted(self.keys))]

    def all(self) -> list[Value]:
        """Elements without their keys."""
        return [value for _, value in self.pairs()]

    def copy(self) -> Array:
        """Another array with the same elements: assignment copies."""
        return Array(list(self.items), dict(self.keys))

    def __str__(self) -> str:
        return ";".join([*(text(one) for one in self.items), *(f"{key}={text(self.keys[key])}" for key in sorted(self.keys))])


@dataclass(frozen=True, slots=True)
class Function:
    """Code: `do={...}` kept in a variable, or what `:parse` returns."""

    body: Block

    def __str__(self) -> str:
        return "(code)"


Address: TypeAlias = IPv4Address | IPv6Address
Prefix: TypeAlias = IPv4Interface | IPv6Interface
Value: TypeAlias = "None | Nothing | bool | int | str | Time | Id | Address | Prefix | Array | Function"
"""None is nil."""

NOTHING: Final = Nothing()

_NAMES: Final = {
    type(None): "nil", Nothing: "nothing", bool: "bool", int: "num", str: "str", Time: "time", Id: "id",
    IPv4Address: "ip", IPv6Address: "ip6", IPv4Interface: "ip-prefix", IPv6Interface: "ip6-prefix", Array: "array",
    Function: "code",
}  # fmt: skip


def typeof(value: Value) -> str:
    """As `:typeof` names it."""
    return _NAMES[type(value)]


def empty(value: Value) -> bool:
    """True for nil and nothing."""
    return value is None or isinstance(value, Nothing)


def text(value: Value) -> str:
    """As `:tostr`, and as a string takes it in."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def argument(value: Value, name: str) -> str:
    """As an argument of a menu command takes it. Raises ValueError where the manual does not say what happens."""
    if isinstance(value, Array):
        if value.keys:
            raise ValueError(f"argument {name} takes no array with keys")
        return ",".join(text(one) for one in value.items)
    if empty(value) or isinstance(value, Function):
        raise ValueError(f"argument {name} got {typeof(value)}: what a router does with it is not documented")
    return text(value)


# --- literals ----------------------------------------------------------------------------------------------------------

_CLOCK: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$")
_LETTERS: Final = re.compile(r"(?=\d)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")
_ID: Final = re.compile(r"\*[0-9A-F]+$")
_WORDS: Final[dict[str, Value]] = {"true": True, "yes": True, "false": False, "no": False}


def time(written: str) -> Time | None:
    """`150s`, `1m30s`, `200ms`, `1d02:03:04`, `00:02:30.5`; None if it is none of these."""
    found = _CLOCK.match(written)
    if found:
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:5])
        milliseconds = int((found.group(6) or "0").ljust(3, "0"))
    else:
        found = _LETTERS.match(written)
        if not found or written.isdigit():
            return None
        weeks, days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in found.groups())
    return Time(((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + milliseconds)


def number(written: str) -> int | None:
    """Decimal or 0x hexadecimal, perhaps negative; what does not fit into 64 bits is a string."""
    digits = written.removeprefix("-")
    hexadecimal = digits[:2] in ("0x", "0X")
    if len(digits) > 19 or not (hexadecimal or (digits.isascii() and digits.isdigit())):
        return None
    try:
        found = int(written, 16 if hexadecimal else 10)
    except ValueError:
        return None
    return found if -(2**63) <= found < 2**63 else None


def address(written: str) -> Address | Prefix | None:
    """An address, or a prefix, which keeps its host bits."""
    if not written[:1].isalnum() and not written.startswith(":"):
        return None
    try:
        return ip_interface(written) if "/" in written else ip_address(written)
    except ValueError:
        return None


def literal(word: str) -> Value:
    """The value of an unquoted word: the most special type it fits."""
    if word in _WORDS:
        return _WORDS[word]
    if word[:1].isdigit() or word[:1] in "-*:" or ":" in word:
        if _ID.match(word):
            return Id(word)
        found: Value = number(word)
        if found is None:
            found = time(word)
        if found is None:
            found = address(word)
        if found is not None:
            return found
    if "," in word:
        return Array([literal(part) for part in word.split(",")])
    return word
