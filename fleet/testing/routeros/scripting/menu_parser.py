"""Commands of menus: path, verb, arguments, checked against what this release of RouterOS has (manual, "Command-line")."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from ..schema import Field
from .commands import MenuCommand
from .conditions import Conditions, Found
from .flow import Unknown
from .tree import Expression, Literal, Statement

if TYPE_CHECKING:
    from ..device import Device

_PART: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_REST: Final = re.compile(r"(?:/[a-z0-9-]+)*")
_NAMED: Final = re.compile(r"([a-z.][a-z0-9.-]*)=")
_REMOVED: Final = re.compile(r"!([a-z][a-z0-9-]*)(?=[\s;\]})]|$)")
_CODE: Final = frozenset({"source", "on-event", "script"})

POSITIONAL: Final = {
    "set": ("numbers",),
    "remove": ("numbers",),
    "enable": ("numbers",),
    "disable": ("numbers",),
    "get": ("number", "value-name"),
    "unset": ("numbers", "value-name"),
    "move": ("numbers", "destination"),
    "comment": ("numbers", "comment"),
    "add": (),
}
"""What unnamed arguments of a verb are, in order."""

SPECIAL: Final = {
    "/ping": (("address",), frozenset({"address", "count", "interval", "src-address", "size", "interface", "ttl"})),
    "/system/reboot": ((), frozenset()),
    "/system/script/run": (("number",), frozenset({"number"})),
    "/user/active/remove": (("numbers",), frozenset({"numbers"})),
    "/user/active/request-logout": (("numbers",), frozenset({"numbers"})),
    **{f"/log/{level}": (("message",), frozenset({"message"})) for level in ("debug", "error", "info", "warning")},
    **{f"/safe-mode/{verb}": ((), frozenset()) for verb in ("take", "release", "unroll", "toggle")},
}
"""Commands that are no verbs on rows: unnamed arguments, all arguments."""

PRINT_FLAGS: Final = frozenset(
    {
        "as-value",
        "count-only",
        "detail",
        "terse",
        "brief",
        "value-list",
        "stats",
        "without-paging",
        "show-ids",
        "show-sensitive",
    }
)


class MenuCommands(Conditions, ABC):
    """Reads `/path verb arguments` in all spellings; `menu` is the current one, changed by a line that is only a path."""

    def __init__(self, text: str, device: Device) -> None:
        super().__init__(text)
        self.device = device
        self.menu = ""
        self._line = (0, 1)
        menus = set(device.tables()) | set(SPECIAL)
        self._prefixes = {path[:end] for path in menus for end in range(1, len(path) + 1) if path[end : end + 1] in ("/", "")}
        self._prefixes -= set(SPECIAL)

    @abstractmethod
    def code(self) -> str:
        """The text of a block."""

    def line(self) -> int:
        """Number of the line here."""
        seen, count = self._line
        count = count + self.text.count("\n", seen, self.at) if seen <= self.at else self.text.count("\n", 0, self.at) + 1
        self._line = (self.at, count)
        return count

    def menu_command(self) -> Statement | None:
        """One command, or None for a change of menu. Raises BadSyntax."""
        start = self.at
        path = self.menu
        if self.take("/"):
            path = ""
            self.blank()
            if self.ends():
                self.menu = ""
                return None
        while True:
            part = self.word(_PART)
            if not part:
                raise self.wrong("syntax error")
            longer = f"{path}/{part}"
            if longer not in self._prefixes:
                break
            path = longer
            if not self.take("/"):
                self.blank()
                if self.ends():
                    self.menu = path
                    return None
        return self._arguments_of(path, part, start)

    def _arguments_of(self, path: str, verb: str, start: int) -> Statement:
        further = self.word(_REST)
        sentence = f"{path}/{verb}{further}"
        if not self.ends() and not self.blank():
            raise self.wrong("expected end of command")
        where = f"{sentence}; line {self.line()}"
        if sentence in SPECIAL:
            return self._with_arguments(MenuCommand(path, verb, where), *SPECIAL[sentence], {})
        table = self.device.tables().get(path)
        if table is None or further:
            return self.bad_command(sentence, start)
        if verb == "print" or (verb == "find" and not table.menu.single):
            return self._selecting(MenuCommand(path, verb, where), table.fields)
        if verb not in table.menu.verbs or verb not in POSITIONAL:
            return self.bad_command(sentence, start)
        unnamed = () if table.menu.single and verb == "set" else POSITIONAL[verb]
        if table.menu.single and verb == "get":
            unnamed = ("value-name",)
        known = set(unnamed)
        if verb in ("add", "set"):
            known |= set(table.settable)
        if verb == "add" and table.menu.ordered:
            known.add("place-before")
        removable = table.settable if verb == "set" and "unset" in table.menu.verbs else {}
        return self._with_arguments(MenuCommand(path, verb, where), unnamed, frozenset(known), removable)

    def _with_arguments(
        self, command: MenuCommand, unnamed: tuple[str, ...], known: frozenset[str], removable: dict[str, Field]
    ) -> MenuCommand:
        waiting, outside = list(unnamed), self.menu
        self.menu = command.path  # `[find ...]` among the arguments is of the same menu
        while not self.ends():
            start = self.at
            removed, named = _REMOVED.match(self.text, self.at), _NAMED.match(self.text, self.at)
            if removed is not None and removed.group(1) in removable:
                self.at = removed.end()
                self.blank()
                command.removed.append(removed.group(1))
                continue
            if named is not None:
                name = named.group(1)
                self.at = named.end()
            elif waiting:
                name = waiting[0]
            else:
                raise self.wrong("expected end of command", start)
            if name not in known or name in command.arguments:
                raise self.wrong("expected end of command", start)
            if name in waiting:
                waiting.remove(name)
            command.arguments[name] = self._value_of(name)
        self.menu = outside
        return command

    def _value_of(self, name: str) -> Expression:
        if self.peek() in (" ", "\t", "\n", "\r", ";", ""):
            raise self.wrong(f"missing value of {name}")
        if name in _CODE and self.peek() == "{":
            source = self.code()
            if not self.ends() and not self.blank():
                raise self.wrong("expected end of command")
            return Literal(source, source)
        return self.argument()

    def _selecting(self, command: MenuCommand, fields: dict[str, Field]) -> MenuCommand:
        if command.verb == "print":
            while (word := _PART.match(self.text, self.at)) is not None and word.group() != "where":
                if word.group() not in PRINT_FLAGS or self.text[word.end() : word.end() + 1] == "=":
                    raise self.wrong("expected end of command")
                self.at = word.end()
                command.flags.add(word.group())
                self.blank()
            if not self.ends() and not self.text.startswith("where", self.at):
                raise self.wrong("expected end of command")
        outside, self.menu = self.menu, command.path
        command.found = self.conditions(fields) if not self.ends() else Found()
        self.menu = outside
        return command

    def bad_command(self, name: str, start: int) -> Statement:
        """Unknown here: found out when it is reached. Its arguments must be readable all the same."""
        command = Unknown(name, f"line {self.line()}")
        while not self.ends():
            named = _NAMED.match(self.text, self.at)
            if named is not None:
                self.at = named.end()
            if self.peek() == "{":
                self.code()
                self.blank()
            elif not self.ends() and not self.blank():
                self.argument()
        return command
