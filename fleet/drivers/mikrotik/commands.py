"""The small commands that every menu has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ... import Words
from ...link import Part
from .rules import Owned
from .values import Row


def set_row(menu: str, row: Row, *words: tuple[str, Part]) -> Words:
    """One `set` of some words of a row."""
    return Words(f"{menu}/set", ((".id", row[".id"]), *words))


def removals(menu: str, rows: Iterable[Row | None]) -> list[Words]:
    """One command for all rows; none for rows that are not there (gone is what is wanted)."""
    ids = [row[".id"] for row in rows if row is not None]
    return [Words(f"{menu}/remove", ((".id", ",".join(ids)),))] if ids else []


def rule_removals(owned: Sequence[Owned]) -> list[Words]:
    """One command per menu for all of these rules."""
    menus = dict.fromkeys(rule.menu for rule in owned)
    return [request for menu in menus for request in removals(menu, [rule.row for rule in owned if rule.menu == menu])]
