"""Operators (manual, "Operators"). What it does not say about mixed types is an error, not a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Final, TypeGuard

from .data import Array, Time, Value, empty, number, text, typeof
from .environment import Scope
from .errors import ScriptError
from .posix import regex
from .tree import Expression, within_limit

MAX_ELEMENTS: Final = 100_000


def same(left: Value, right: Value) -> bool:
    """`=`: of one type by value, else by what they print; nil and nothing equal each other only."""
    if empty(left) or empty(right):
        return empty(left) and empty(right)
    if isinstance(left, Array) and isinstance(right, Array):
        return [(key, text(one)) for key, one in left.pairs()] == [(key, text(one)) for key, one in right.pairs()]
    return left == right if type(left) is type(right) else text(left) == text(right)


def less(left: Value, right: Value) -> bool:
    """`<`. Raises ScriptError for different types: nil is not less than any time, it cannot be compared."""
    if isinstance(left, str) and whole(right):
        left = _number(left)
    elif isinstance(right, str) and whole(left):
        right = _number(right)
    if whole(left) and whole(right):
        return left < right
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, Time) and isinstance(right, Time):
        return left < right
    if _host(left) and _host(right) and left.version == right.version:
        return int(left) < int(right)
    raise ScriptError(f"cannot compare if {typeof(left)} is less than {typeof(right)}")


def truth(value: Value) -> bool:
    """A condition. Raises ScriptError: conditional not boolean."""
    if isinstance(value, bool):
        return value
    if value == "true" or value == "false":
        return value == "true"
    raise ScriptError("conditional not boolean")


def matches(left: Value, right: Value) -> bool:
    """`~`: the right side is a regular expression found somewhere in the left."""
    return regex(text(right)).search(text(left)) is not None


def inside(left: Value, right: Value) -> bool:
    """`in`: an address or prefix lies in a prefix. Raises ScriptError."""
    networks = []
    for one in (left, right):
        try:
            networks.append(ip_interface(text(one)).network)
        except ValueError:
            raise ScriptError(f"cannot tell if {typeof(left)} is in {typeof(right)}") from None
    first, second = networks
    return first.version == second.version and first.subnet_of(second)  # type: ignore[arg-type]  # versions are equal


def joined(left: Value, right: Value) -> Value:
    """`.`: strings are joined; over an array once per element (manual, tips and tricks)."""
    if isinstance(left, Array):
        return Array([joined(one, right) for one in left.all()])
    if isinstance(right, Array):
        return Array([joined(left, one) for one in right.all()])
    return within_limit(text(left) + text(right))


def listed(left: Value, right: Value) -> Value:
    """`,`: arrays are put together, other values appended."""
    made = Array()
    for one in (left, right):
        if isinstance(one, Array):
            made.items += one.items
            made.keys |= one.keys
        elif not empty(one):
            made.items.append(one)
    if len(made.items) > MAX_ELEMENTS:
        raise ScriptError("array too long")
    return made


def _number(value: Value) -> Value:
    """Digits in a string count as a number."""
    found = number(value) if isinstance(value, str) else None
    return value if found is None else found


def whole(value: Value) -> TypeGuard[int]:
    """True for a number, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _sized(number: int) -> int:
    """Numbers have 64 bits and a sign."""
    return (number + 2**63) % 2**64 - 2**63


def _host(value: Value) -> TypeGuard[IPv4Address | IPv6Address]:
    return type(value) in (IPv4Address, IPv6Address)


def plus(left: Value, right: Value) -> Value:
    """Numbers, times, address and number."""
    left, right = _number(left), _number(right)
    if whole(left) and whole(right):
        return _sized(left + right)
    if isinstance(left, Time) and isinstance(right, Time):
        return Time(left.milliseconds + right.milliseconds)
    if _host(left) and whole(right):
        return left + right
    raise ScriptError(f"cannot add {typeof(right)} to {typeof(left)}")


def minus(left: Value, right: Value) -> Value:
    """As plus; the difference of two addresses is a number."""
    left, right = _number(left), _number(right)
    if whole(left) and whole(right):
        return _sized(left - right)
    if isinstance(left, Time) and isinstance(right, Time):
        return Time(left.milliseconds - right.milliseconds)
    if _host(left) and _host(right) and left.version == right.version:
        return int(left) - int(right)
    if _host(left) and whole(right):
        return left - right
    raise ScriptError(f"cannot subtract {typeof(right)} from {typeof(left)}")


def times(left: Value, right: Value) -> Value:
    """Numbers, or a time and a number."""
    left, right = _number(left), _number(right)
    if whole(left) and whole(right):
        return _sized(left * right)
    if isinstance(left, Time) and whole(right):
        return Time(left.milliseconds * right)
    raise ScriptError(f"cannot multiply {typeof(left)} by {typeof(right)}")


def divided(left: Value, right: Value) -> Value:
    """Whole numbers towards zero; a time by a number. Raises ScriptError: division by zero."""
    left, right = _number(left), _number(right)
    if whole(right) and right == 0:
        raise ScriptError("division by zero")
    if whole(left) and whole(right):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    if isinstance(left, Time) and whole(right):
        return Time(left.milliseconds // right)
    raise ScriptError(f"cannot divide {typeof(left)} by {typeof(right)}")


def modulo(left: Value, right: Value) -> Value:
    """Rest of whole numbers."""
    return minus(left, times(divided(left, right), right))


def element(left: Value, right: Value) -> Value:
    """`->`: by index or key; nothing there is nil (manual, "Arrays")."""
    if not isinstance(left, Array):
        raise ScriptError(f"-> wants an array, got {typeof(left)}")
    if whole(right):
        everything = left.all()
        return everything[right] if 0 <= right < len(everything) else None
    return left.keys.get(text(right))


BINARY: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "=": same,
    "!=": lambda left, right: not same(left, right),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: not less(right, left),
    ">=": lambda left, right: not less(left, right),
    "~": matches,
    "in": inside,
    ".": joined,
    ",": listed,
    "+": plus,
    "-": minus,
    "*": times,
    "/": divided,
    "%": modulo,
    "->": element,
}


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands; `and` and `or` look at the second only if they must."""

    operator: str
    left: Expression
    right: Expression

    def value(self, scope: Scope) -> Value:
        """Apply. Raises ScriptError."""
        if self.operator == "and":
            return truth(self.left.value(scope)) and truth(self.right.value(scope))
        if self.operator == "or":
            return truth(self.left.value(scope)) or truth(self.right.value(scope))
        left, right = self.left.value(scope), self.right.value(scope)
        try:
            return BINARY[self.operator](left, right)
        except (ValueError, OverflowError) as wrong:  # past the last address
            raise ScriptError(str(wrong)) from None


@dataclass(frozen=True, slots=True)
class Unary:
    """`!` and `-`."""

    operator: str
    operand: Expression

    def value(self, scope: Scope) -> Value:
        """Apply. Raises ScriptError."""
        value = self.operand.value(scope)
        if self.operator == "!":
            return not truth(value)
        return times(value, -1)
