"""What a menu of the simulated router looks like, as data: fields with the versions that know them, verbs, flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from .values import Parser, flag, text

Version: TypeAlias = tuple[int, ...]

EVER: Final[Version] = (7, 1)


def version(written: str) -> Version:
    """`7.16.2 (stable)` -> (7, 16, 2); `7.16rc1` -> (7, 16). Compare as tuples, never as numbers (sheet 9.17)."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", written)
    if found is None:
        raise ValueError(f"not a RouterOS version: {written}")
    return tuple(int(part) for part in found.groups() if part is not None)


@dataclass(frozen=True, slots=True)
class Field:
    """One argument and property.

    `default`: reply form stored when `add` leaves it out, None: the word is absent. `absent`: reply forms that make the word
    disappear. `readonly`: printed, refused as argument. `hidden`: taken, never printed. `secret`: masked without policy
    `sensitive`. `until` is the first version without it.
    """

    name: str
    parse: Parser = text
    since: Version = EVER
    until: Version | None = None
    required: bool = False
    default: str | None = None
    absent: frozenset[str] = frozenset()
    readonly: bool = False
    hidden: bool = False
    secret: bool = False

    def known(self, release: Version) -> bool:
        """True if this release has the field."""
        return self.since <= release and (self.until is None or release < self.until)


LIST: Final = frozenset({"print", "getall", "get", "listen", "add", "set", "remove", "enable", "disable", "comment"})
ORDERED: Final = LIST | {"move"}
UNSETTABLE: Final = LIST | {"unset"}
ORDERED_UNSETTABLE: Final = ORDERED | {"unset"}
READ: Final = frozenset({"print", "getall", "get", "listen"})
SINGLE: Final = READ | {"set"}


@dataclass(frozen=True, slots=True)
class Menu:
    """One path. `single`: one nameless row. `ids`: menus that share one number space. `policy`: what writing needs."""

    path: str
    fields: tuple[Field, ...]
    verbs: frozenset[str] = LIST
    since: Version = EVER
    single: bool = False
    ids: str = ""
    policy: str = "write"

    @property
    def ordered(self) -> bool:
        """Rows have an order that matters: `place-before` and `move`."""
        return "move" in self.verbs

    def known(self, release: Version) -> dict[str, Field]:
        """Fields of one release by name."""
        return {field.name: field for field in self.fields if field.known(release)}


COMMENT: Final = Field("comment", absent=frozenset({""}))
DISABLED: Final = Field("disabled", flag, default="false")
DYNAMIC: Final = Field("dynamic", flag, default="false", readonly=True)
INVALID: Final = Field("invalid", flag, default="false", readonly=True)


def shown(name: str, default: str | None = None, *, since: Version = EVER) -> Field:
    """A read-only property."""
    return Field(name, default=default, readonly=True, since=since)
