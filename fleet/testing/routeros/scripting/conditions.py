"""Conditions of `find` and `print where`: on properties of rows, tested on what the menu stores."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from ..schema import Field
from .data import Array, Value, empty, text
from .environment import Scope
from .expressions import Expressions
from .fields import ID, accepted, kind_of, typed
from .operators import inside, less
from .posix import regex
from .tree import Expression

Row: TypeAlias = Mapping[str, str]
Test: TypeAlias = Callable[[Row], bool]

_FIELD: Final = re.compile(r'[a-z.][a-z0-9.-]*|"[a-z0-9.-]+"')
_SIGN: Final = re.compile(r"!=|<=|>=|=|<|>|~|in(?=[ \t])")
_OR: Final = re.compile(r"\|\||or(?=[ \t(])")
_AND: Final = re.compile(r"&&|and(?=[ \t(])")
_NOT: Final = re.compile(r"!|not(?=[ \t(])")


class Condition(Protocol):
    """A test that is prepared once per command and then put to every row."""

    def prepare(self, scope: Scope) -> Test:
        """Evaluate the values that do not depend on the row."""
        ...


@dataclass(frozen=True, slots=True)
class Compare:
    """`property sign value`. `row_bound`: the value reads properties, because they hide variables of the same name."""

    field: Field
    sign: str
    wanted: Expression
    row_bound: Mapping[str, Field] | None

    def prepare(self, scope: Scope) -> Test:
        """One comparison."""
        fields, name = self.row_bound, self.field.name
        if fields is None:
            return self._against(self.wanted.value(scope))

        def test(row: Row) -> bool:
            seen = {one: typed(known, row.get(one)) for one, known in fields.items()}
            return self._against(self.wanted.value(scope.inside(seen)))(row)

        # The known trap: `find name=$name` compares the property with itself, whatever the variable holds.
        if self.sign == "=" and getattr(self.wanted, "name", None) == name:
            return lambda row: True
        return test

    def _against(self, wanted: Value) -> Test:
        known, name, sign = self.field, self.field.name, self.sign
        if sign == "=":
            texts = accepted(known, wanted)
            return lambda row: row.get(name) in texts
        if sign == "!=":
            texts = accepted(known, wanted)
            return lambda row: row.get(name) not in texts
        if sign == "~":
            found = regex(text(wanted)).search
            return lambda row: found(_printed(known, row.get(name))) is not None
        return lambda row: _ordered(sign, typed(known, row.get(name)), wanted)


def _printed(known: Field, stored: str | None) -> str:
    return (stored or "").replace(",", ";") if kind_of(known) == "array" else stored or ""


def _ordered(sign: str, left: Value, right: Value) -> bool:
    """A property that is not there is in no order to anything."""
    if empty(left):
        return False
    if sign == "in":
        return any(inside(one, right) for one in (left.all() if isinstance(left, Array) else [left]) if text(one))
    if sign in ("<", ">="):
        return less(left, right) is (sign == "<")
    return less(right, left) is (sign == ">")


@dataclass(frozen=True, slots=True)
class Has:
    """A bare property: true, or there and neither empty nor zero."""

    name: str

    def prepare(self, scope: Scope) -> Test:
        """Look at the stored text."""
        name = self.name
        return lambda row: row.get(name, "") not in ("", "false", "0", "0s")


@dataclass(frozen=True, slots=True)
class Combined:
    """`and`, `or`, `not`."""

    operator: str
    parts: tuple[Condition, ...]

    def prepare(self, scope: Scope) -> Test:
        """Of the prepared parts."""
        tests = [part.prepare(scope) for part in self.parts]
        if self.operator == "not":
            return lambda row: not tests[0](row)
        if self.operator == "or":
            return lambda row: any(test(row) for test in tests)
        return lambda row: all(test(row) for test in tests)


@dataclass(slots=True)
class Found:
    """A whole condition and the properties it looks at."""

    condition: Condition | None = None
    names: set[str] = field(default_factory=set)

    def prepare(self, scope: Scope) -> Test:
        """The test of rows; without a condition every row passes."""
        return _everything if self.condition is None else self.condition.prepare(scope)


def _everything(row: Row) -> bool:
    return True


class Conditions(Expressions, ABC):
    """Reads conditions."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._fields: Mapping[str, Field] | None = None
        self._bound: dict[str, Field] = {}
        self._names: set[str] = set()

    def conditions(self, fields: Mapping[str, Field]) -> Found:
        """Up to the end of the command. Blanks around signs only after `where` (manual, "Whitespace between tokens")."""
        before = self._fields, self._names
        self._fields, self._names = {**fields, ".id": ID}, set()
        try:
            spaced = self._where()
            if self.ends():
                return Found()
            return Found(self._any(spaced), self._names)
        finally:
            self._fields, self._names = before

    def _where(self) -> bool:
        found = self.text.startswith("where", self.at) and not self.text[self.at + 5 : self.at + 6].strip()
        if found:
            self.at += 5
            self.blank()
        return found

    def property_of_row(self, name: str) -> bool:
        """True if `$name` means the row's property here."""
        known = None if self._fields is None else self._fields.get(name)
        if known is not None:
            self._bound[name] = known
            self._names.add(name)
        return known is not None

    def _any(self, spaced: bool) -> Condition:
        parts = [self._all(spaced)]
        while True:
            self.blank()
            if not self.word(_OR):
                break
            self.blank()
            parts.append(self._all(spaced))
        return parts[0] if len(parts) == 1 else Combined("or", tuple(parts))

    def _all(self, spaced: bool) -> Condition:
        parts = [self._one(spaced)]
        while True:
            self.blank()
            if self.word(_AND):
                self.blank()
            elif self.ends() or _OR.match(self.text, self.at):
                break
            parts.append(self._one(spaced))
        return parts[0] if len(parts) == 1 else Combined("and", tuple(parts))

    def _one(self, spaced: bool) -> Condition:
        if self.word(_NOT):
            self.blank()
            with self.nested():
                return Combined("not", (self._one(spaced),))
        if self.take("("):
            self.blank()
            with self.nested():
                inner = self._any(spaced)
            self.expect(")")
            return inner
        return self._comparison_of_row(spaced)

    def _comparison_of_row(self, spaced: bool) -> Condition:
        start = self.at
        name = self.word(_FIELD).strip('"')
        known = (self._fields or {}).get(name)
        if known is None:
            raise self.wrong("expected end of command", start)
        self._names.add(name)
        if spaced:
            self.blank()
        sign = self.word(_SIGN)
        if not sign:
            return Has(name)
        if spaced or sign == "in":
            self.blank()
        outer, self._bound = self._bound, {}
        wanted = self._bare_argument()
        bound, self._bound = self._bound, outer
        return Compare(known, sign, wanted, bound or None)
