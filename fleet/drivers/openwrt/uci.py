"""UCI in text: what `uci -X show` prints, and the lines that `uci batch` takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ...errors import Unparseable
from ...link import Part
from ...model import Secret


@dataclass(slots=True)
class Section:
    """One section: its name (`cfg0696fc` for an anonymous one), its type, and every option as a list of values."""

    name: str
    type: str
    options: dict[str, list[str]] = field(default_factory=dict)

    def one(self, option: str) -> str:
        """The value of a scalar, several joined by spaces as shell scripts of OpenWrt see them; empty if it is not there."""
        return " ".join(self.options.get(option, []))

    def many(self, option: str) -> list[str]:
        """The values of a list; a scalar option that holds several words is one as well (sheet 1.1)."""
        return [word for value in self.options.get(option, []) for word in value.split()]

    def number(self, option: str) -> int | None:
        """A number, None if it is not there or is none."""
        value = self.one(option)
        return int(value) if value.isascii() and value.isdigit() else None

    def flag(self, option: str, default: bool = False) -> bool:
        """A boolean as `config_get_bool` reads it (sheet 1.2): other text is the default."""
        value = self.one(option)
        if value in {"1", "on", "true", "yes", "enabled"}:
            return True
        return False if value in {"0", "off", "false", "no", "disabled"} else default

    @property
    def anonymous(self) -> bool:
        """True for a generated name, which changes when sections before it come and go (sheet 1.3)."""
        return self.name.startswith("cfg") and len(self.name) == 9 and all(c in "0123456789abcdef" for c in self.name[3:])


Package = Mapping[str, Section]
"""Sections by name, in the order of the file."""


def read_show(text: str) -> dict[str, Section]:
    """The output of `uci -X show PACKAGE`. Values may hold newlines and quotes (sheet 2.1). Raises Unparseable."""
    package: dict[str, Section] = {}
    for path, value in _assignments(text):
        names = path.split(".")
        if len(names) == 2:
            package[names[1]] = Section(names[1], value)
        elif len(names) == 3 and names[1] in package:
            package[names[1]].options[names[2]] = _values(value)
        else:
            raise Unparseable("`uci show` prints something unknown", path[:60])
    return package


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Path and raw value of each line; a value goes on over newlines while a quote is open."""
    pending = ""
    for line in text.split("\n"):
        pending = f"{pending}\n{line}" if pending else line
        if _unfinished(pending):
            continue
        if pending:
            path, equals, value = pending.partition("=")
            if not equals:
                raise Unparseable("`uci show` prints something unknown", path[:60])
            yield path, value
        pending = ""
    if pending:
        raise Unparseable("the answer of `uci show` breaks off in a value", pending.partition("=")[0][:60])


def _unfinished(text: str) -> bool:
    """True while a quote is open. Inside quotes a backslash is one, outside it takes the next character as it is."""
    if "\\" not in text:
        return text.count("'") % 2 == 1
    inside, escaped = False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "'":
            inside = not inside
        elif character == "\\" and not inside:
            escaped = True
    return inside


def _values(text: str) -> list[str]:
    """Values in single quotes, each with the quotes inside it as the shell writes them; bare text is one value."""
    values: list[str] = []
    current, inside, started = "", False, False
    position = 0
    while position < len(text):
        character = text[position]
        if inside:
            if character == "'":
                inside = False
            else:
                current += character
        elif character == "'":
            inside = started = True
        elif character == "\\" and position + 1 < len(text):
            position += 1
            current += text[position]
            started = True
        elif character == " ":
            if started:
                values.append(current)
            current, started = "", False
        else:
            current += character
            started = True
        position += 1
    return [*values, current] if started else values


# ------------------------------------------------------------------------------------------------------------ batch
def quoted(value: str) -> str:
    """A value as one word of `uci batch`. Raises ValueError for a newline: one line is one command (sheet 2.3)."""
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"not a value for one line of uci batch: {value[:40]!r}")
    return "'" + value.replace("'", "'\\''") + "'"


def set_(path: str, value: str | Secret) -> tuple[Part, ...]:
    """`set PATH='VALUE'`, a secret kept apart."""
    if isinstance(value, Secret):
        return (f"set {path}='", value, "'\n")
    return (f"set {path}={quoted(value)}\n",)


def delete(path: str) -> tuple[Part, ...]:
    """`delete PATH`; of something missing it is an error."""
    return (f"delete {path}\n",)


def list_(path: str, values: Iterable[str], *, present: bool) -> Iterator[Part]:
    """The whole list anew: `add_list` always appends (sheet 2.2)."""
    if present:
        yield from delete(path)
    for value in values:
        yield f"add_list {path}={quoted(value)}\n"
