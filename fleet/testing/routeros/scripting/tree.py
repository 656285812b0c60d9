"""A parsed script: expressions that have a value, statements that are run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .data import Array, Function, Value, text
from .environment import Scope
from .errors import Returned, ScriptError


class Expression(Protocol):
    """Anything that has a value."""

    def value(self, scope: Scope) -> Value:
        """Evaluate. Raises ScriptError."""
        ...


class Statement(Protocol):
    """Anything that can stand on a line."""

    def run(self, scope: Scope) -> Value:
        """Carry it out at once; its value is what `[...]` around it gives. Raises ScriptError."""
        ...


class Flow(Statement, Protocol):
    """A statement that may take time: it yields the seconds it waits."""

    def steps(self, scope: Scope) -> Iterator[float]:
        """Carry it out. Raises ScriptError."""
        ...


# --- expressions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. `written`: as the script has it, for arguments of menu commands, whose own type decides."""

    constant: Value
    written: str

    def value(self, scope: Scope) -> Value:
        """Arrays are copied, because `:set` changes elements in place."""
        return self.constant.copy() if isinstance(self.constant, Array) else self.constant


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`."""

    name: str

    def value(self, scope: Scope) -> Value:
        """Nothing when it has none."""
        found = scope.get(self.name)
        return found.copy() if isinstance(found, Array) else found


MAX_STRING: Final = 1_000_000


def within_limit(made: str) -> str:
    """A string that was put together. Raises ScriptError when a script fills the memory."""
    if len(made) > MAX_STRING:
        raise ScriptError("string too long")
    return made


@dataclass(frozen=True, slots=True)
class Template:
    """A quoted string with variables, expressions or commands in it."""

    parts: tuple[str | Expression, ...]

    def value(self, scope: Scope) -> Value:
        """A string."""
        return within_limit("".join(part if isinstance(part, str) else text(part.value(scope)) for part in self.parts))


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """`{a;b}` with elements, or key=element."""

    elements: tuple[tuple[str | None, Expression], ...]

    def value(self, scope: Scope) -> Value:
        """A new array."""
        made = Array()
        for key, element in self.elements:
            if key is None:
                made.items.append(element.value(scope))
            else:
                made.keys[key] = element.value(scope)
        return made


@dataclass(frozen=True, slots=True)
class Substitution:
    """`[command]`; None for `[]`, which is nil."""

    command: Statement | None

    def value(self, scope: Scope) -> Value:
        """What the command gives."""
        return None if self.command is None else self.command.run(scope)


# --- statements --------------------------------------------------------------------------------------------------------


def at_once(steps: Iterator[float]) -> None:
    """Run a flow where a value is wanted. Raises ScriptError if it would wait."""
    for _ in steps:
        raise ScriptError(":delay inside [...] is not simulated")


@dataclass(frozen=True, slots=True)
class Block:
    """`{ ... }`: statements with names of their own."""

    statements: tuple[Statement, ...]

    def run(self, scope: Scope) -> Value:
        """In a scope of its own."""
        at_once(self.steps(scope))
        return None

    def steps(self, scope: Scope) -> Iterator[float]:
        """One statement after the other."""
        return self.within(Scope(scope.job, scope))

    def within(self, scope: Scope) -> Iterator[float]:
        """In the very scope given: loops put their counters there."""
        for statement in self.statements:
            scope.job.step()
            steps = getattr(statement, "steps", None)
            if steps is None:
                statement.run(scope)
            else:
                yield from steps(scope)


def call(function: Function, scope: Scope, arguments: Sequence[Value], named: dict[str, Value]) -> Value:
    """Run a function; `$1`, `$2` and named arguments are its variables. Raises ScriptError."""
    inner = Scope(scope.job)
    for position, argument in enumerate(arguments, 1):
        inner.local(str(position), argument)
    for name, argument in named.items():
        inner.local(name, argument)
    try:
        with scope.job.deeper():
            at_once(function.body.within(inner))
    except Returned as returned:
        return returned.value
    return None
