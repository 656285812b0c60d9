"""Query words of `print` (sheet 1.5): a stack machine over each row; the bottom of the stack is an endless supply of true."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Row: TypeAlias = Mapping[str, str]
Test: TypeAlias = Callable[[Row], bool]

_BOOLEANS = {"yes": "true", "no": "false"}
_OPERATIONS = re.compile(r"(\d+)|([!&|.])")


class BadQuery(Exception):
    """A query word that cannot be read."""


def matcher(queries: Sequence[str]) -> Test:
    """One test for all query words, in their order. Raises BadQuery."""
    steps = [_step(query) for query in queries]
    if len(steps) == 1 and isinstance(steps[0], _Compare):
        return steps[0]

    def passes(row: Row) -> bool:
        stack: list[bool] = []
        for step in steps:
            if isinstance(step, str):
                _operate(stack, step)
            else:
                stack.append(step(row))
        return all(stack)

    return passes


class _Compare:
    """`?k`, `?-k`, `?k=v`, `?=k=v`, `?<k=v`, `?>k=v`."""

    def __init__(self, sign: str, name: str, value: str) -> None:
        self._sign, self._name, self._value = sign, name, _BOOLEANS.get(value, value)

    def __call__(self, row: Row) -> bool:
        value = row.get(self._name)
        if self._sign == "has":
            return value is not None
        if self._sign == "lacks":
            return value is None
        if value is None:
            return False
        if self._sign == "=":
            return _BOOLEANS.get(value, value) == self._value
        smaller, larger = (value, self._value) if self._sign == "<" else (self._value, value)
        return int(smaller) < int(larger) if smaller.isdigit() and larger.isdigit() else smaller < larger


def _step(query: str) -> _Compare | str:
    body = query[1:]
    if body.startswith("#"):
        if _OPERATIONS.sub("", body[1:]):
            raise BadQuery(query)
        return body[1:]
    if body[:1] in ("<", ">", "="):
        sign, body = body[0], body[1:]
        name, equals, value = body.partition("=")
        if not equals:
            raise BadQuery(query)
        return _Compare(sign, name, value)
    if body.startswith("-"):
        return _Compare("lacks", body[1:], "")
    name, equals, value = body.partition("=")
    return _Compare("=" if equals else "has", name, value)


def _operate(stack: list[bool], operations: str) -> None:
    """Digits are an index from the top: before another character push a copy, at the end replace all by that value."""
    after_index = False
    for found in _OPERATIONS.finditer(operations):
        index, operation = found.groups()
        if index is not None:
            value = stack[-1 - int(index)] if int(index) < len(stack) else True
            if found.end() == len(operations):
                stack[:] = [value]
            else:
                stack.append(value)
        elif operation == "!":
            stack.append(not _pop(stack))
        elif operation == ".":
            if not after_index:
                stack.append(stack[-1] if stack else True)
        else:
            right, left = _pop(stack), _pop(stack)
            stack.append(left and right if operation == "&" else left or right)
        after_index = index is not None


def _pop(stack: list[bool]) -> bool:
    return stack.pop() if stack else True
