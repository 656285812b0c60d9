"""Paging, sorting and searching of grids (sheet 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def page(rows: Sequence[Mapping[str, Any]], asked: Mapping[str, object], *, every: int = -1) -> dict[str, Any]:
    """`rowCount` in the reply is the number of rows in this page; `every`: rows of a page when none are asked for."""
    phrase = str(asked.get("searchPhrase") or "").lower()
    found = [row for row in rows if not phrase or any(phrase in str(value).lower() for value in row.values())]
    order = asked.get("sort")
    if isinstance(order, dict):
        for name, direction in reversed(list(order.items())):
            found.sort(key=lambda row, name=name: str(row.get(name, "")).lower(), reverse=str(direction) == "desc")  # type: ignore[misc]  # likewise
    count, current = number(asked.get("rowCount"), every), max(number(asked.get("current"), 1), 1)
    shown = found if count < 1 else found[(current - 1) * count : current * count]
    return {"rows": shown, "rowCount": len(shown), "total": len(found), "current": current}


def number(value: object, default: int) -> int:
    """An integer out of JSON or a form."""
    text = str(value).strip() if value is not None else ""
    return int(text) if text.lstrip("-").isdigit() else default
