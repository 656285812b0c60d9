"""The language of files in /etc/config: words, sections, and how libuci writes them back.

Words of `uci batch` follow the same syntax (sheet 2.3). Positions in errors are those of real uci (capture 2.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Value: TypeAlias = "str | list[str]"

_NAME: Final = re.compile(r"[A-Za-z0-9_]+\Z")
_PACKAGE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_TYPE: Final = re.compile(r"[!-~]+\Z")


class ParseError(Exception):
    """A file or a line that uci does not take; `reason`, line from 1 and byte in it as uci counts them."""

    def __init__(self, reason: str, line: int, byte: int) -> None:
        super().__init__(f"Parse error ({reason}) at line {line}, byte {byte}")


def valid_name(text: str) -> bool:
    """True for the name of a section or an option."""
    return _NAME.match(text) is not None


def valid_package(text: str) -> bool:
    """True for the name of a package; `-` is allowed there (sheet 1.3)."""
    return _PACKAGE.match(text) is not None


def valid_type(text: str) -> bool:
    """True for a type: printable ASCII without space (sheet 1.3)."""
    return _TYPE.match(text) is not None


@dataclass
class Section:
    """One section. `anonymous`: its name was generated."""

    type: str
    name: str
    anonymous: bool = False
    options: dict[str, Value] = field(default_factory=dict)


def djb_hash(text: str) -> int:
    """The hash in generated names; a zero seed would hash the empty string."""
    value = 5381
    for byte in text.encode("utf-8", "surrogateescape"):
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


@dataclass
class Package:
    """One file. `count` is the running section number that generated names carry."""

    name: str
    sections: list[Section] = field(default_factory=list)
    count: int = 0

    def section(self, name: str) -> Section | None:
        """The section of that name."""
        return next((section for section in self.sections if section.name == name), None)

    def of_type(self, kind: str) -> list[Section]:
        """Sections of one type in order."""
        return [section for section in self.sections if section.type == kind]

    def add(self, kind: str, name: str = "") -> Section:
        """A new last section; without a name it gets `cfg`, its number and a hash of its type (sheet 1.3)."""
        self.count += 1
        section = Section(kind, name or f"cfg{self.count:02x}{djb_hash(kind) & 0xFFFF:04x}", not name)
        self.sections.append(section)
        return section


# ------------------------------------------------------------------------------------------------------------- words
class Words:
    """The words of a text, statement by statement; quotes may span lines unless `one_line`."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        if self._lines and not self._lines[-1]:
            self._lines.pop()
        self._at = -1
        self.line, self.position = "", 0

    @property
    def number(self) -> int:
        """Line number from 1."""
        return self._at + 1

    def next_line(self) -> bool:
        """Go to the next line; False at the end."""
        if self._at + 1 >= len(self._lines):
            return False
        self._at += 1
        self.line, self.position = self._lines[self._at] + "\n", 0
        return True

    def statement(self) -> list[tuple[str, int]]:
        """The words of this line with their positions, up to a `;`, a comment or the end. Raises ParseError."""
        words: list[tuple[str, int]] = []
        while self._skip():
            start = self.position
            words.append((self._word(), start))
        return words

    def error(self, reason: str, byte: int | None = None) -> ParseError:
        """An error here."""
        return ParseError(reason, self.number, self.position if byte is None else byte)

    def _skip(self) -> bool:
        while self.position < len(self.line) and self.line[self.position] in " \t\r\n":
            self.position += 1
        return self.position < len(self.line) and self.line[self.position] not in "#;"

    def _word(self) -> str:
        word = ""
        while self.position < len(self.line) and self.line[self.position] not in " \t\r\n;":
            letter = self.line[self.position]
            self.position += 1
            if letter in "'\"":
                word += self._quoted(letter)
            elif letter == "\\" and self.position < len(self.line):
                word += self.line[self.position].rstrip("\n")
                self.position += 1
            else:
                word += letter
        return word

    def _quoted(self, quote: str) -> str:
        word = ""
        while True:
            if self.position >= len(self.line):
                if self._at + 1 >= len(self._lines):
                    raise self.error(f"EOF with unterminated {quote}")
                self.next_line()
                continue
            letter = self.line[self.position]
            self.position += 1
            if letter == quote:
                return word
            if letter == "\\" and quote == '"' and self.position < len(self.line):
                letter = self.line[self.position]
                self.position += 1
            word += letter


# -------------------------------------------------------------------------------------------------------------- file
def parse(text: str, name: str) -> Package:
    """A package out of a file's text. Raises ParseError."""
    package, words = Package(name), Words(text)
    section: Section | None = None
    while words.next_line():
        found = words.statement()
        if not found:
            continue
        keyword, start = found[0]
        if keyword == "package":
            continue
        if keyword in {"config", "c"}:
            section = _section(package, words, [word for word, _ in found[1:]])
        elif keyword in {"option", "o", "list", "l"}:
            if section is None:
                raise words.error("option/list command found before the first section", start)
            _option(section, words, keyword[0] == "l", [word for word, _ in found[1:]])
        else:
            raise words.error("invalid command", start)
    return package


def _section(package: Package, words: Words, arguments: list[str]) -> Section:
    if not arguments:
        raise words.error("insufficient arguments")
    if len(arguments) > 2:
        raise words.error("too many arguments")
    kind, name = arguments[0], arguments[1] if len(arguments) > 1 else ""
    if not valid_type(kind):
        raise words.error("invalid character in type field")
    if name and not valid_name(name):
        raise words.error("invalid character in name field")
    known = package.section(name) if name else None
    if known is None:
        return package.add(kind, name)
    if known.type != kind:
        raise words.error("section of different type overwrites prior section with same name")
    return known


def _option(section: Section, words: Words, is_list: bool, arguments: list[str]) -> None:
    if len(arguments) < 2:
        raise words.error("insufficient arguments")
    if len(arguments) > 2:
        raise words.error("too many arguments")
    name, value = arguments
    if not valid_name(name):
        raise words.error("invalid character in name field")
    old = section.options.get(name)
    if is_list:
        section.options[name] = [*([old] if isinstance(old, str) else old or []), value]
    elif value:
        section.options[name] = value


def quoted(text: str) -> str:
    """A value as uci prints it, quotes of its own escaped the shell's way."""
    return "'" + text.replace("'", "'\\''") + "'"


def serialise(package: Package, *, header: bool = False, all_names: bool = False) -> str:
    """The text of a package as `uci export` and `uci commit` write it. Comments of the file it came from are gone."""
    lines = [f"package {package.name}"] if header else []
    for section in package.sections:
        named = f" '{section.name}'" if all_names or not section.anonymous else ""
        lines += ["", f"config {section.type}{named}"]
        for option, value in section.options.items():
            if isinstance(value, str):
                lines.append(f"\toption {option} {quoted(value)}")
            else:
                lines += [f"\tlist {option} {quoted(one)}" for one in value]
    return "\n".join([*lines, "", ""])
