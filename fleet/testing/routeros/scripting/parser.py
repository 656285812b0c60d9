"""From text to statements: lines, blocks, commands with a colon (manual, "Line structure", "Global commands").

Everything that can be seen without running is refused here, and then nothing of the script runs: undeclared variables,
unknown arguments of menu commands, comments that do not begin their line. Only the name of an unknown command is found out
when it is reached, as on a router.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from . import flow
from .errors import BadSyntax
from .functions import FUNCTIONS
from .menu_parser import MenuCommands
from .tree import Block, Expression, Literal, Statement, Substitution

if TYPE_CHECKING:
    from ..device import Device

_COMMAND: Final = re.compile(r"[a-z][a-z0-9-]*")
_ARGUMENT: Final = re.compile(r"([a-z][a-zA-Z0-9-]*)=")
_LINE_ENDS: Final = re.compile(r"[ \t\r\n;]*")


def parse(text: str, device: Device, *, function: bool = False) -> Block:
    """The whole script. `function`: code of `:parse`, whose arguments are variables nobody declares. Raises BadSyntax."""
    parser = Parser(text, device, function=function)
    block = Block(parser.statements())
    if parser.peek():
        raise parser.wrong("syntax error")
    return block


class Parser(MenuCommands):
    """Statements of one script for one release of RouterOS."""

    def __init__(self, text: str, device: Device, *, function: bool = False) -> None:
        super().__init__(text, device)
        self._declared: list[set[str]] = [set()]
        self._functions = int(function)

    # --- names ---------------------------------------------------------------------------------------------------------

    def used(self, name: str, at: int) -> None:
        """In a function anything may be an argument; in a condition properties come first."""
        if self.property_of_row(name) or self._functions or any(name in names for names in self._declared):
            return
        raise self.wrong(f"undeclared variable {name}: declare it with :local or :global", at)

    def declare(self, name: str) -> None:
        """Known from here to the end of the block."""
        self._declared[-1].add(name)

    # --- lines ---------------------------------------------------------------------------------------------------------

    def _next_line(self) -> None:
        while True:
            self.blank()
            self.word(_LINE_ENDS)
            if self.peek() != "#":
                return
            begin = self.text.rfind("\n", 0, self.at) + 1
            if self.text[begin : self.at].strip():
                raise self.wrong("a comment begins its line")
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end

    def statements(self) -> tuple[Statement, ...]:
        """Up to the closing brace or the end."""
        found: list[Statement] = []
        menu = self.menu
        with self.nested():
            self._next_line()
            while self.peek() not in ("", "}"):
                statement = self.statement()
                if statement is not None:
                    found.append(statement)
                self.blank()
                if self.peek() not in ("", "}", ";", "\n", "\r"):
                    raise self.wrong("expected end of command")
                self._next_line()
        self.menu = menu
        return tuple(found)

    def block(self, *names: str) -> Block:
        """`{ ... }`, with names that exist in it."""
        self.expect("{")
        self._declared.append(set(names))
        statements = self.statements()
        self._declared.pop()
        self.expect("}")
        return Block(statements)

    def function_body(self) -> Block:
        """`do={...}` of a variable: sees its arguments and globals it declares, no locals of its surroundings."""
        self._functions += 1
        try:
            return self.block()
        finally:
            self._functions -= 1

    def code(self) -> str:
        """`{ ... }` where a menu command wants the text of a script; it must be one."""
        start, declared = self.at, self._declared
        self._declared = [set()]
        try:
            self.block()
        finally:
            self._declared = declared
        return self.text[start + 1 : self.at - 1]

    def substitution(self) -> Substitution:
        """One command, or none."""
        self.space()
        statement = None if self.peek() == "]" else self.statement()
        self.space()
        self.expect("]")
        return Substitution(statement)

    def statement(self) -> Statement | None:
        """One command; None for a line that only changes the menu. Raises BadSyntax."""
        first = self.peek()
        if first == "{":
            return self.block()
        if first == "$":
            return self._call()
        if first == ":":
            self.at += 1
            return self._global(self.word(_COMMAND))
        if first != "/" and not self.menu:
            word = _COMMAND.match(self.text, self.at)
            if word is not None and (word.group() in FUNCTIONS or word.group() in _PARSERS):
                self.at = word.end()
                return self._global(word.group())
        return self.menu_command()

    def _call(self) -> Statement:
        function = self.variable()
        if not self.ends() and not self.blank():
            raise self.wrong("expected end of command")
        positional, named = self.arguments()
        return flow.Call(function, tuple(positional), tuple(named.items()))

    def _argument_or_code(self, code: bool) -> Expression:
        if not code or self.peek() != "{":
            return self.argument()
        source = self.code()
        if not self.ends() and not self.blank():
            raise self.wrong("expected end of command")
        return Literal(source, source)

    def arguments(self, *allowed: str, code: bool = False) -> tuple[list[Expression], dict[str, Expression]]:
        """Values and name=value pairs to the end of the command; without `allowed` any name. Raises BadSyntax.

        `code`: a block is the text of a script.
        """
        positional: list[Expression] = []
        named: dict[str, Expression] = {}
        self.blank()
        while not self.ends():
            start = self.at
            found = _ARGUMENT.match(self.text, self.at)
            if found is None:
                positional.append(self._argument_or_code(code))
                continue
            name = found.group(1)
            if (allowed and name not in allowed) or name in named:
                raise self.wrong("expected end of command", start)
            self.at = found.end()
            self.blank()
            named[name] = self._argument_or_code(code)
        return positional, named

    def _global(self, name: str) -> Statement:
        start = self.at
        if not name:
            raise self.wrong("syntax error")
        parser = _PARSERS.get(name)
        if parser is None and name not in FUNCTIONS:
            return self.bad_command(f":{name}", start)
        if not self.ends() and not self.blank() and self.peek() not in ("(", "[", "{", "$", '"'):
            raise self.wrong("expected end of command")
        if parser is not None:
            return parser(self)
        least, most, allowed, run = FUNCTIONS[name]
        positional, named = self.arguments(*(allowed or ("",)), code=name == "execute")
        if not least <= len(positional) <= most and not named:
            raise self.wrong("missing value(s)" if len(positional) < least else "expected end of command", start)
        return flow.Builtin(f":{name}; line {self.line()}", run, tuple(positional), tuple(named.items()))

    # --- commands with blocks ------------------------------------------------------------------------------------------

    def _keyword(self, *names: str) -> str:
        """The next `name=`, empty at the end of the command. Raises BadSyntax for another."""
        self.blank()
        if self.ends():
            return ""
        for name in names:
            if self.take(f"{name}="):
                self.blank()
                return name
        raise self.wrong("expected end of command")

    def declaration(self) -> Statement:
        """`:local name [value]`."""
        name, value = self._name_and_value()
        self.declare(name)
        return flow.Local(name, value)

    def shared(self) -> Statement:
        """`:global name [value]`."""
        name, value = self._name_and_value()
        self.declare(name)
        return flow.Global(name, value)

    def _name_and_value(self) -> tuple[str, Expression | None]:
        name = self.name()
        if not self.ends() and not self.blank():
            raise self.wrong("expected end of command")
        if self.ends():
            return name, None
        if self.take("do="):
            return name, flow.Code(self.function_body())
        return name, self.argument()

    def assignment(self) -> Statement:
        """`:set name [value]`, `:set ($array->key) value`."""
        start = self.at
        if self.peek() == "(":
            target = self.parenthesised()
            self.blank()
            if not flow.assignable(target):
                raise self.wrong("syntax error", start)
            return flow.SetElement(target, self.argument())
        name, value = self._name_and_value()
        self.used(name, start)
        return flow.Set(name, value)

    def conditional(self) -> Statement:
        """`:if (condition) do={} else={}`."""
        condition = self.argument()
        if self._keyword("do") != "do":
            raise self.wrong("missing value(s) of argument(s) do")
        do = self.block()
        otherwise = self.block() if self._keyword("else") else None
        return flow.If(condition, do, otherwise)

    def each(self) -> Statement:
        """`:foreach name[,name] in=array do={}`."""
        first = self.name()
        second = self.name() if self.take(",") else None
        if self._keyword("in") != "in":
            raise self.wrong("missing value(s) of argument(s) in")
        over = self.argument()
        if self._keyword("do") != "do":
            raise self.wrong("missing value(s) of argument(s) do")
        return flow.Foreach(first, second, over, self.block(first, second or first))

    def counting(self) -> Statement:
        """`:for name from= to= [step=] do={}`."""
        name = self.name()
        bounds: dict[str, Expression] = {}
        while (found := self._keyword("from", "to", "step", "do")) not in ("do", ""):
            bounds[found] = self.argument()
        if found != "do" or "from" not in bounds or "to" not in bounds:
            raise self.wrong("missing value(s) of argument(s) from to do")
        step = bounds.get("step", Literal(None, ""))
        return flow.For(name, bounds["from"], bounds["to"], step, self.block(name))

    def looping(self) -> Statement:
        """`:while (condition) do={}`."""
        condition = self.argument()
        if self._keyword("do") != "do":
            raise self.wrong("missing value(s) of argument(s) do")
        return flow.While(condition, self.block())

    def doing(self) -> Statement:
        """`:do {} [while=()] [on-error={}]`."""
        body = self.block()
        condition, rescue = None, None
        while found := self._keyword("while", "on-error"):
            if found == "while":
                condition = self.argument()
            else:
                rescue = self.block()
        return flow.Do(body, condition, rescue)

    def on_error(self) -> Statement:
        """`:onerror name in={} do={}` (7.13)."""
        if self.device.version < (7, 13):
            return self.bad_command(":onerror", self.at)
        name = self.name()
        if self._keyword("in") != "in":
            raise self.wrong("missing value(s) of argument(s) in")
        body = self.block()
        rescue = self.block(name) if self._keyword("do") else Block(())
        return flow.Rescue(name, body, rescue)

    def delaying(self) -> Statement:
        """`:delay time`."""
        positional, _ = self.arguments("")
        if len(positional) > 1:
            raise self.wrong("expected end of command")
        return flow.Delay(positional[0] if positional else Literal(1, "1"))


_PARSERS: Final = {
    "local": Parser.declaration,
    "global": Parser.shared,
    "set": Parser.assignment,
    "if": Parser.conditional,
    "foreach": Parser.each,
    "for": Parser.counting,
    "while": Parser.looping,
    "do": Parser.doing,
    "onerror": Parser.on_error,
    "delay": Parser.delaying,
}

__all__ = ["BadSyntax", "Parser", "parse"]
