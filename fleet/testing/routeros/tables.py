"""Rows of one menu: ids that are never reused, order, names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from .schema import Field, Menu, Version
from .values import Refused


class Row:
    """One entry: its number in the id space and its properties in reply form, absent ones missing."""

    __slots__ = ("fields", "number")

    def __init__(self, number: int, fields: dict[str, str]) -> None:
        self.number = number
        self.fields = fields

    @property
    def id(self) -> str:
        """`*` and uppercase hex (sheet 4)."""
        return f"*{self.number:X}"

    @property
    def disabled(self) -> bool:
        """True if switched off."""
        return self.fields.get("disabled") == "true"

    @property
    def dynamic(self) -> bool:
        """True if the router itself made it: it cannot be changed (sheet 4)."""
        return self.fields.get("dynamic") == "true" or self.fields.get("builtin") == "true"

    def get(self, name: str, default: str = "") -> str:
        """A stored property."""
        return self.fields.get(name, default)


class Numbers:
    """An id space: numbers only grow, also across menus that share it."""

    def __init__(self, first: int = 1) -> None:
        self._next = first

    def take(self) -> int:
        """The next number."""
        number = self._next
        self._next += 1
        return number

    def skip(self, count: int) -> None:
        """Leave a gap."""
        self._next += count


Listener: TypeAlias = Callable[[Row, bool], None]
"""(row, removed): told after each change."""


class Table:
    """The rows of one menu in order."""

    def __init__(self, menu: Menu, release: Version, numbers: Numbers) -> None:
        self.menu = menu
        self.fields: dict[str, Field] = menu.known(release)
        self.settable: dict[str, Field] = {name: field for name, field in self.fields.items() if not field.readonly}
        self.secrets = tuple(name for name, field in self.fields.items() if field.secret)
        self.hidden = tuple(name for name, field in self.fields.items() if field.hidden)
        self.rows: list[Row] = []
        self.listeners: list[Listener] = []
        self._numbers = numbers
        self._by_number: dict[int, Row] = {}

    def insert(self, fields: dict[str, str], before: Row | None = None) -> Row:
        """A new row with a new id, at the end or before another row."""
        row = Row(self._numbers.take(), fields)
        self.rows.insert(len(self.rows) if before is None else self.rows.index(before), row)
        self._by_number[row.number] = row
        self.tell(row)
        return row

    def delete(self, row: Row) -> None:
        """Remove a row; its id never comes back."""
        self.rows.remove(row)
        del self._by_number[row.number]
        self.tell(row, removed=True)

    def move(self, row: Row, before: Row | None) -> None:
        """Put a row before another, or at the end."""
        if row is before:
            return
        self.rows.remove(row)
        self.rows.insert(len(self.rows) if before is None else self.rows.index(before), row)
        self.tell(row)

    def tell(self, row: Row, *, removed: bool = False) -> None:
        """Report a change to `listen`."""
        for listener in list(self.listeners):
            listener(row, removed)

    def named(self, name: str) -> Row | None:
        """The first row of that name."""
        return next((row for row in self.rows if row.fields.get("name") == name), None)

    def find(self, reference: str) -> Row:
        """By id, or by name in menus that have names. Raises Refused: no such item."""
        if reference.startswith("*"):
            try:
                row = self._by_number.get(int(reference[1:], 16))
            except ValueError:
                row = None
        else:
            row = self.named(reference) if "name" in self.fields else None
        if row is None:
            raise Refused("no such item", 0)
        return row

    def find_all(self, references: str) -> list[Row]:
        """A comma list of ids or names."""
        return [self.find(reference) for reference in references.split(",")]

    def renumber(self) -> None:
        """Give every row a new id, as after a reboot."""
        for row in self.rows:
            row.number = self._numbers.take()
        self._by_number = {row.number: row for row in self.rows}

    def replace(self, rows: Iterable[tuple[int, dict[str, str]]]) -> None:
        """Put saved rows back with their ids."""
        self.rows = [Row(number, dict(fields)) for number, fields in rows]
        self._by_number = {row.number: row for row in self.rows}

    def saved(self) -> list[tuple[int, dict[str, str]]]:
        """What `replace` takes."""
        return [(row.number, dict(row.fields)) for row in self.rows]
