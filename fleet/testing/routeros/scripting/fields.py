"""What type a property of a menu has for scripts, and how conditions compare it."""

from __future__ import annotations

from typing import Final

from ..durations import letters
from ..schema import Field
from ..values import kind
from .data import Array, Prefix, Time, Value, empty, literal, text

_LISTS: Final = frozenset({"policy"})
"""Properties stored as text that scripts see as arrays."""

ID: Final = Field(".id")


def kind_of(field: Field) -> str:
    """str, num, bool, time, array, ip-prefix, id; `guess`: whatever its text looks like."""
    if field.name == ".id":
        return "id"
    if field.name in _LISTS:
        return "array"
    return "guess" if field.readonly or field.name == "time" else kind(field.parse)


def typed(field: Field, stored: str | None) -> Value:
    """A property as `get` gives it. Not there: an empty string for text, false for a flag, nil for the rest."""
    what = kind_of(field)
    if stored is None:
        return "" if what == "str" else False if what == "bool" else None
    if what == "str":
        return stored
    if what == "array":
        return Array([literal(one) if one[:1].isdigit() else one for one in stored.split(",") if one])
    if what == "guess" and ("," in stored or stored in ("yes", "no")):
        return stored
    return literal(stored)


def accepted(field: Field, wanted: Value) -> frozenset[str | None]:
    """The stored texts that equal a value; None stands for a property that is not there."""
    what = kind_of(field)
    if empty(wanted):
        return frozenset() if what in ("str", "bool") else frozenset({None})
    if isinstance(wanted, Prefix) and what == "str":
        # `/ip/address address` is a string: an unquoted prefix never equals it (manual, tips and tricks).
        return frozenset()
    if isinstance(wanted, Time):
        return frozenset({letters(wanted.milliseconds / 1000)})
    if isinstance(wanted, Array):
        return frozenset({",".join(text(one) for one in wanted.items)})
    written = text(wanted)
    absent = (what == "str" and not written) or (what == "bool" and wanted is False)
    return frozenset({written, None}) if absent else frozenset({written})
