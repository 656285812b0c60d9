"""Fields of a model: how a posted value is cast, checked, stored and shown (sheet 2 and 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from .checks import Check
from .phpjson import array
from .refusal import php_error
from .release import Release
from .store import Config

if TYPE_CHECKING:
    from .box import Box

Choices: TypeAlias = "Callable[[Box, Config], Mapping[str, str]]"
REQUIRED = "A value is required."


@dataclass(frozen=True)
class Field:
    """One field. `choices` makes it a relation: value -> text shown. `blank`: the text of the choice of nothing.

    `volatile` fields are checked and never stored; `read` computes them from (key, record).
    """

    name: str
    check: Check | None = None
    default: str = ""
    required: bool = False
    shape: Literal["text", "list", "options"] = "text"
    choices: Choices | None = None
    unknown: Callable[[str, Release], str] = lambda value, release: "Option not in list."
    blank: str | None = None
    lower: bool = False
    volatile: bool = False
    read: Callable[[str, Mapping[str, str]], str] | None = field(default=None, compare=False)

    def cast(self, value: object, release: Release) -> str:
        """A posted JSON value as the text that PHP makes of it. Raises ApiError 500 where PHP trips over it."""
        if isinstance(value, bool):
            return "1" if value else ""
        if value is None:
            return ""
        if isinstance(value, dict) and self.shape == "options" and not release.since(26, 1, 11):
            return "Array"
        if isinstance(value, (dict, list)):
            raise php_error()
        return str(value).lower() if self.lower else str(value)

    def messages(self, value: str, box: Box, config: Config) -> list[str]:
        """What validation says about a value."""
        if not value:
            return [REQUIRED] if self.required else []
        if self.choices is not None:
            known = self.choices(box, config)
            return [self.unknown(entry, box.release) for entry in value.split(",") if entry not in known]
        return list(self.check(value)) if self.check is not None else []

    def shown(self, value: str, box: Box, config: Config) -> object:
        """The value as `get` shows it: text, or an object of options."""
        if self.shape == "list":
            return {entry: {"value": entry, "selected": 1} for entry in value.split(",")}
        if self.shape == "options" and self.choices is not None:
            chosen = value.split(",") if value else []
            options = {} if self.blank is None else {"": {"value": self.blank, "selected": int(not chosen)}}
            known = self.choices(box, config)
            return array(options | {key: {"value": text, "selected": int(key in chosen)} for key, text in known.items()})
        return value

    def described(self, value: str, box: Box, config: Config, joint: str = ", ") -> str:
        """The value as a grid shows it to people: names instead of uuids."""
        if self.choices is None or not value:
            return value
        known = self.choices(box, config)
        return joint.join(known[entry] for entry in value.split(",") if entry in known)


Fields: TypeAlias = "Sequence[Field]"


def defaults(fields: Fields) -> dict[str, str]:
    """A new record."""
    return {one.name: one.default for one in fields if not one.volatile}


def updated(fields: Fields, record: Mapping[str, str], posted: Mapping[str, object], release: Release) -> dict[str, str]:
    """A record with posted values: absent fields keep theirs, unknown ones are ignored, volatile ones stay for checking."""
    values = dict(record)
    for one in fields:
        if one.name in posted and one.read is None:
            values[one.name] = one.cast(posted[one.name], release)
    return values


def stored(fields: Fields, values: Mapping[str, str]) -> dict[str, str]:
    """What of the values is kept, in the model's order."""
    return {one.name: values[one.name] for one in fields if not one.volatile and one.name in values}


def failures(fields: Fields, values: Mapping[str, str], prefix: str, box: Box, config: Config) -> dict[str, str | list[str]]:
    """Validation of a whole record: message by field, a list where a field broke several rules (captures 5.1, 10)."""
    found: dict[str, str | list[str]] = {}
    for one in fields:
        messages = one.messages(values.get(one.name, ""), box, config) if one.read is None else []
        if messages:
            found[f"{prefix}.{one.name}"] = messages[0] if len(messages) == 1 else list(dict.fromkeys(messages))
    return found
