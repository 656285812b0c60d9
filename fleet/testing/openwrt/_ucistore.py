"""What libuci does with files and staging directories: look up, stage, commit, revert."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ._ucifile import Package, ParseError, Section, Value, Words, parse, quoted, serialise, valid_package

NOT_FOUND: Final = "Entry not found"
INVALID: Final = "Invalid argument"
IO: Final = "I/O error"
CODES: Final = {INVALID: 2, NOT_FOUND: 3, IO: 4, "Parse error": 5, "Duplicate entry": 6}
"""Words of libuci's errors with the library's own numbers."""


class UciError(Exception):
    """libuci says no; `words` as printed behind `uci: `."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    @property
    def code(self) -> int:
        """The library's number."""
        return CODES.get(self.words, 5)


@dataclass(frozen=True)
class Delta:
    """One staged edit. `mark`: what the staging file writes before it: nothing set, + add, - delete, | list, ~ unlist,
    @ rename, ^ reorder.
    """

    mark: str
    section: str
    option: str = ""
    value: str | None = None

    def line(self, package: str) -> str:
        """As the staging file has it."""
        return self.mark + self._path(package) + ("" if self.value is None else "=" + quoted(self.value))

    def shown(self, package: str) -> str:
        """As `uci changes` prints it (sheet 2.1)."""
        sign = {"|": "+=", "~": "-="}.get(self.mark, "=")
        before = "-" if self.mark == "-" else ""
        return before + self._path(package) + ("" if self.value is None else sign + quoted(self.value))

    def _path(self, package: str) -> str:
        return f"{package}.{self.section}" + (f".{self.option}" if self.option else "")


@dataclass(frozen=True)
class Target:
    """`package[.section[.option]][=value]`, taken apart. `section` may be `@type[index]`."""

    package: str
    section: str = ""
    option: str = ""
    value: str | None = None

    @classmethod
    def of(cls, text: str) -> Target:
        """Raises UciError."""
        path, equals, value = text.partition("=")
        match = re.match(r"([^.]*)(?:\.(@[^.\]]*\[[^\]]*\]|[^.]*)(?:\.(.*))?)?\Z", path, re.DOTALL)
        if match is None or not valid_package(match[1]):
            raise UciError(INVALID)
        return cls(match[1], match[2] or "", match[3] or "", value if equals else None)


@dataclass
class Store:
    """The files of one router as one process of uci sees them. `found` is called for each staged edit.

    `directory` holds the packages, `override` replaces whole packages where the version knows it, `save` takes new edits,
    `paths` are read beside it. `commits` False: commit is a silent no-op (-P). `writable` says why flash is not, or "".
    """

    directory: Path
    save: Path
    paths: list[Path] = field(default_factory=list)
    override: Path | None = None
    commits: bool = True
    writable: Callable[[], str] = lambda: ""
    wrote: Callable[[str], None] = lambda package: None

    # --- reading -------------------------------------------------------------------------------------------------------

    def packages(self) -> list[str]:
        """Names of the files in the directory."""
        found = [path.name for path in self.directory.glob("*") if path.is_file() and valid_package(path.name)]
        return sorted(found)

    def committed(self, name: str) -> Package:
        """The package without anything staged. Raises UciError."""
        file = self.directory / name
        if self.override is not None and (self.override / name).is_file():
            file = self.override / name
        try:
            return parse(file.read_text("utf-8", "surrogateescape"), name)
        except (FileNotFoundError, NotADirectoryError):
            raise UciError(NOT_FOUND) from None
        except OSError:
            raise UciError(IO) from None
        except ParseError as error:
            raise UciError(str(error)) from None

    def load(self, name: str) -> Package:
        """The package with what is staged. Raises UciError."""
        package = self.committed(name)
        for delta in self.deltas(name):
            replay(package, delta)
        return package

    def deltas(self, name: str) -> list[Delta]:
        """Staged edits, those of other directories first."""
        found: list[Delta] = []
        for directory in self._read_from():
            found += self._deltas_in(directory, name)
        return found

    def staged(self) -> list[str]:
        """Packages with staged edits."""
        names = {path.name for directory in self._read_from() for path in directory.glob("*") if path.is_file()}
        return sorted(name for name in names if self.deltas(name))

    def _read_from(self) -> list[Path]:
        return [path for path in self.paths if path != self.save] + [self.save]

    def _deltas_in(self, directory: Path, name: str) -> list[Delta]:
        try:
            text = (directory / name).read_text("utf-8", "surrogateescape")
        except OSError:
            return []
        words, found = Words(text), list[Delta]()
        while words.next_line():
            try:
                statement = words.statement()
            except ParseError:
                continue
            if len(statement) == 1:
                delta = _delta_of(statement[0][0], name)
                found += [] if delta is None else [delta]
        return found

    # --- writing -------------------------------------------------------------------------------------------------------

    def stage(self, name: str, *edits: Delta) -> None:
        """Append edits to the staging directory. Raises UciError."""
        text = "".join(edit.line(name) + "\n" for edit in edits)
        try:
            self.save.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.save / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, text.encode("utf-8", "surrogateescape"))
            finally:
                os.close(descriptor)
        except OSError:
            raise UciError(IO) from None

    def commit(self, name: str) -> bool:
        """Write what is staged; False when there is nothing (the file stays untouched). Raises UciError."""
        package = self.load(name)
        if not self.commits or not self.deltas(name):
            return False
        self.write(package)
        if (self.save / name).exists():
            (self.save / name).write_text("")
        return True

    def write(self, package: Package) -> None:
        """A package into its file: temporary file, rename, the old mode (sheet 2.4). Raises UciError."""
        if self.writable():
            raise UciError(IO)
        for section in package.sections:
            section.options = {option: value for option, value in section.options.items() if value != []}
        file = self.directory / package.name
        mode = file.stat().st_mode & 0o7777 if file.exists() else 0o600
        descriptor, path = tempfile.mkstemp(prefix=f".{package.name}.uci-", dir=self.directory)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(serialise(package).encode("utf-8", "surrogateescape"))
        os.chmod(path, mode)
        os.replace(path, file)
        self.wrote(package.name)

    def revert(self, target: Target) -> None:
        """Drop staged edits of a package, section or option. Raises UciError."""
        self.committed(target.package)
        kept = [
            delta
            for delta in self._deltas_in(self.save, target.package)
            if (target.section and delta.section != target.section) or (target.option and delta.option != target.option)
        ]
        if (self.save / target.package).exists():
            (self.save / target.package).write_text("".join(delta.line(target.package) + "\n" for delta in kept))


def _delta_of(word: str, name: str) -> Delta | None:
    mark = word[0] if word[:1] in {"+", "-", "|", "~", "@", "^"} else ""
    path, equals, value = word[len(mark) :].partition("=")
    package, _, rest = path.partition(".")
    section, _, option = rest.partition(".")
    if package != name or not section:
        return None
    return Delta(mark, section, option, value if equals else None)


def replay(package: Package, delta: Delta) -> None:
    """Staged edits that fit no more are passed over, as libuci does."""
    section = package.section(delta.section)
    value = delta.value or ""
    if delta.mark in {"", "+"} and not delta.option:
        if section is None:
            section = package.add(value, delta.section)
            section.anonymous = delta.mark == "+"
        else:
            section.type = value
    elif section is None:
        return
    elif delta.mark == "-" and not delta.option:
        package.sections.remove(section)
    elif delta.mark == "@" and not delta.option:
        section.name, section.anonymous = value, False
    elif delta.mark == "^":
        package.sections.remove(section)
        package.sections.insert(int(value or 0), section)
    else:
        _replay_option(section, delta)


def _replay_option(section: Section, delta: Delta) -> None:
    old = section.options.get(delta.option)
    if delta.mark == "-":
        section.options.pop(delta.option, None)
    elif delta.mark == "|":
        section.options[delta.option] = _added(old, delta.value or "")
    elif delta.mark == "~":
        if isinstance(old, list):
            section.options[delta.option] = [one for one in old if one != delta.value]
    elif delta.mark == "@":
        section.options = {(delta.value or "") if key == delta.option else key: one for key, one in section.options.items()}
    else:
        section.options[delta.option] = delta.value or ""


def _added(old: Value | None, value: str) -> list[str]:
    return [*([old] if isinstance(old, str) else old or []), value]
