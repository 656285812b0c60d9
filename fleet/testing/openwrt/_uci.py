"""The `uci` command (sheet 2). Words, exit codes and output are those of the captures, section 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..linux._call import Call
from ._router import router_of
from ._ucieditor import Editor
from ._ucifile import Package, ParseError, Section, Value, Words, parse, quoted, serialise
from ._ucistore import INVALID, NOT_FOUND, Store, Target, UciError

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

_USAGE: Final = """\
Usage: uci [<options>] <command> [<arguments>]

Commands:
	batch
	export     [<config>]
	import     [<config>]
	changes    [<config>]
	commit     [<config>]
	add        <config> <section-type>
	add_list   <config>.<section>.<option>=<string>
	del_list   <config>.<section>.<option>=<string>
	show       [<config>[.<section>[.<option>]]]
	get        <config>.<section>[.<option>]
	set        <config>.<section>[.<option>]=<value>
	delete     <config>[.<section>[[.<option>][=<id>]]]
	rename     <config>.<section>[.<option>]=<name>
	revert     <config>[.<section>[.<option>]]
	reorder    <config>.<section>=<position>
"""
_VALUED: Final = frozenset("cCdfpPt")
_USAGE_CODE: Final = 255
_MAX_WORDS: Final = 4


class _Usage(Exception):
    """The usage text, or `Unknown command` in a batch."""


@dataclass
class _Options:
    """What stands before the command."""

    quiet: bool = False
    real_names: bool = False
    export_names: bool = False
    merge: bool = False
    delimiter: str = " "
    file: str = ""
    values: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def store_of(router: OpenWrtSimulator) -> Store:
    """The store as a command without options sees it: `/etc/config`, edits in `/tmp/.uci`."""
    root = router.root_path
    override = root / "var/run/uci" if router.release.uci_overrides else None
    return Store(root / "etc/config", root / "tmp/.uci", [], override, writable=router.flash_fault, wrote=router.flash_wrote)


def uci(call: Call) -> int:
    """One run of the command."""
    try:
        options = _options(call)
        if not options.words:
            call.err(_USAGE)
            return 0
        return _Session(call, options, _store(call, options)).command(options.words)
    except _Usage:
        call.err(_USAGE)
        return _USAGE_CODE


def _options(call: Call) -> _Options:
    found, words = _Options(), list(call.argv)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        letters = words.pop(0)[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _VALUED:
                if letter == "t" and not router_of(call).release.uci_savedir:
                    raise _Usage
                value, letters = letters or (words.pop(0) if words else ""), ""
                _valued(found, letter, value)
            elif letter in "qXnNmsS":
                found.quiet = found.quiet or letter == "q"
                found.real_names = found.real_names or letter == "X"
                found.export_names = letter == "n" or (found.export_names and letter != "N")
                found.merge = found.merge or letter == "m"
            else:
                raise _Usage
    found.words = words
    return found


def _valued(found: _Options, letter: str, value: str) -> None:
    if letter == "d":
        found.delimiter = value
    elif letter == "f":
        found.file = value
    else:
        found.values.append((letter, value))


def _store(call: Call, options: _Options) -> Store:
    store = store_of(router_of(call))
    default = store.save
    for letter, value in options.values:
        path = call.path(value)
        if letter == "c":
            store.directory = path
        elif letter == "C":
            store.override = path
        elif letter == "p":
            store.paths.append(path)
        else:  # the default directory stays on the path of deltas: -t isolates nothing (sheet 2.4)
            store.save, store.paths = path, [default, *store.paths]
            store.commits = store.commits and letter != "P"
    return store


class _Session:
    """One process: its options, and the store."""

    def __init__(self, call: Call, options: _Options, store: Store) -> None:
        self._call, self._options, self._store = call, options, store
        self._batch = False

    def command(self, words: list[str]) -> int:
        """One command with its arguments; the exit status. Raises _Usage."""
        name, *arguments = words
        known = _COMMANDS.get(name)
        if known is None:
            raise _Usage
        least, most, run = known
        if not least <= len(arguments) <= most:
            raise _Usage
        try:
            return run(self, arguments)
        except UciError as error:
            self._say(error)
            # `add` alone hands the library's own number on (sheet 2.2).
            return error.code if name == "add" else 1

    def _say(self, error: UciError) -> None:
        if not self._options.quiet:
            self._call.err(f"uci: {error.words}")

    # --- reading -------------------------------------------------------------------------------------------------------

    def show(self, arguments: list[str]) -> int:
        if not arguments:
            for name in self._store.packages():
                try:
                    self._show_package(self._store.load(name))
                except UciError as error:
                    self._say(error)
            return 0
        target = Target.of(arguments[0])
        editor = Editor(self._store, target.package)
        if not target.section:
            self._show_package(editor.package)
            return 0
        value = editor.value(target)
        section = editor.section(target.section)
        assert section is not None
        path = f"{target.package}.{section.name}"
        if isinstance(value, Section):
            self._show_section(path, section)
        else:
            self._show_option(f"{path}.{target.option}", value)
        return 0

    def _show_package(self, package: Package) -> None:
        counts: dict[str, int] = {}
        for section in package.sections:
            number = counts[section.type] = counts.get(section.type, -1) + 1
            plain = not section.anonymous or self._options.real_names
            name = section.name if plain else f"@{section.type}[{number}]"
            self._show_section(f"{package.name}.{name}", section)

    def _show_section(self, path: str, section: Section) -> None:
        self._call.out(f"{path}={section.type}")
        for option, value in section.options.items():
            self._show_option(f"{path}.{option}", value)

    def _show_option(self, path: str, value: Value) -> None:
        values = [value] if isinstance(value, str) else value
        self._call.out(f"{path}={self._options.delimiter.join(map(quoted, values))}")

    def get(self, arguments: list[str]) -> int:
        target = Target.of(arguments[0])
        if not target.section:
            raise UciError(INVALID)
        value = Editor(self._store, target.package).value(target)
        if isinstance(value, Section):
            self._call.out(value.type)
        elif isinstance(value, str):
            self._call.out(value)
        else:
            self._call.out(self._options.delimiter.join(quoted(one) if re.search(r"\s", one) else one for one in value))
        return 0

    def export(self, arguments: list[str]) -> int:
        for name in arguments or self._store.packages():
            self._call.out(serialise(self._store.load(name), header=True, all_names=self._options.export_names), end="")
        return 0

    def changes(self, arguments: list[str]) -> int:
        for name in arguments or self._store.staged():
            if arguments:
                self._store.committed(name)
            for delta in self._store.deltas(name):
                self._call.out(delta.shown(name))
        return 0

    # --- writing -------------------------------------------------------------------------------------------------------

    def add(self, arguments: list[str]) -> int:
        self._call.out(Editor(self._store, arguments[0]).add(arguments[1]))
        return 0

    def edit(self, arguments: list[str], how: Callable[[Editor, Target], None]) -> int:
        target = Target.of(arguments[0])
        how(Editor(self._store, target.package), target)
        return 0

    def commit(self, arguments: list[str]) -> int:
        for name in arguments or self._store.staged():
            self._store.commit(Target.of(name).package)
        return 0

    def revert(self, arguments: list[str]) -> int:
        self._store.revert(Target.of(arguments[0]))
        return 0

    def imported(self, arguments: list[str]) -> int:
        text = (self._call.read(self._options.file) if self._options.file else self._call.stdin()).decode()
        head = re.search(r"^package\s+'?([\w-]+)", text, re.MULTILINE)
        name = arguments[0] if arguments else head[1] if head else ""
        if not name:
            raise UciError(INVALID)
        try:
            package = parse(text, name)
        except ParseError as error:
            raise UciError(str(error)) from None
        if self._options.merge:
            package = parse(serialise(self._store.load(name)) + serialise(package), name)
        self._store.write(package)
        return 0

    # --- batch ---------------------------------------------------------------------------------------------------------

    def batch(self, arguments: list[str]) -> int:
        """One command per line; always 0, and it goes on after an error (sheet 2.3)."""
        if self._batch:
            raise _Usage
        self._batch = True
        text = self._call.read(self._options.file) if self._options.file else self._call.stdin()
        lines = text.decode("utf-8", "surrogateescape").split("\n")
        while lines:
            # Each command is a text of its own: real uci counts from line 1 again (capture 2.4). Quotes may span lines.
            words = Words("\n".join(lines))
            words.next_line()
            try:
                found = [word for word, _ in words.statement()]
            except ParseError as error:
                self._say(UciError(str(error)))
                found = []
            lines = lines[max(words.number, 1) :]
            if found[:1] == ["exit"]:
                break
            if found:
                self._batch_line(found)
        return 0

    def _batch_line(self, words: list[str]) -> None:
        if len(words) > _MAX_WORDS:
            self._call.err("Too many arguments")
            return
        try:
            self.command(words)
        except _Usage:
            self._call.err("Unknown command")


_Command = Callable[[_Session, list[str]], int]


def _edits(how: Callable[[Editor, Target], None]) -> _Command:
    return lambda session, arguments: session.edit(arguments, how)


_COMMANDS: Final[dict[str, tuple[int, int, _Command]]] = {
    "batch": (0, 0, _Session.batch),
    "export": (0, 1, _Session.export),
    "import": (0, 1, _Session.imported),
    "changes": (0, 1, _Session.changes),
    "commit": (0, 1, _Session.commit),
    "add": (2, 2, _Session.add),
    "add_list": (1, 1, _edits(lambda editor, target: editor.listed(target, "|"))),
    "del_list": (1, 1, _edits(lambda editor, target: editor.listed(target, "~"))),
    "show": (0, 1, _Session.show),
    "get": (1, 1, _Session.get),
    "set": (1, 1, _edits(Editor.set)),
    "delete": (1, 1, _edits(Editor.delete)),
    "rename": (1, 1, _edits(Editor.rename)),
    "revert": (1, 1, _Session.revert),
    "reorder": (1, 1, _edits(Editor.reorder)),
}

__all__ = ["NOT_FOUND", "store_of", "uci"]
