"""Statements of the language itself: variables, conditions, loops, errors (manual, "Commands", "Loops and conditionals")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .data import NOTHING, Array, Function, Time, Value, empty, text, typeof
from .environment import Scope
from .errors import ScriptError
from .operators import Binary, truth
from .tree import Block, Expression, Variable, at_once, call

Run: TypeAlias = Callable[[Scope, Sequence[Value], dict[str, Value]], Value]


@dataclass(frozen=True, slots=True)
class Code:
    """`do={...}` as a value."""

    body: Block

    def value(self, scope: Scope) -> Value:
        """A function."""
        return Function(self.body)


@dataclass(frozen=True, slots=True)
class Local:
    """`:local`."""

    name: str
    given: Expression | None

    def run(self, scope: Scope) -> Value:
        """Hides a variable of the same name outside."""
        scope.local(self.name, NOTHING if self.given is None else self.given.value(scope))
        return None


@dataclass(frozen=True, slots=True)
class Global:
    """`:global`."""

    name: str
    given: Expression | None

    def run(self, scope: Scope) -> Value:
        """Without a value it only becomes visible."""
        scope.share(self.name)
        if self.given is not None:
            scope.job.globals[self.name] = self.given.value(scope)
        return None


@dataclass(frozen=True, slots=True)
class Set:
    """`:set`."""

    name: str
    given: Expression | None

    def run(self, scope: Scope) -> Value:
        """Without a value the variable is undefined."""
        if self.given is None:
            scope.forget(self.name)
        else:
            scope.set(self.name, self.given.value(scope))
        return None


def assignable(target: Expression) -> bool:
    """True for `$array->key`, also deeper."""
    if isinstance(target, Binary) and target.operator == "->":
        return isinstance(target.left, Variable) or assignable(target.left)
    return False


@dataclass(frozen=True, slots=True)
class SetElement:
    """`:set ($array->key) value`."""

    target: Expression
    given: Expression

    def run(self, scope: Scope) -> Value:
        """Raises ScriptError for an index that is not there."""
        self._put(self.target, self.given.value(scope), scope)
        return None

    def _put(self, target: Expression, value: Value, scope: Scope) -> None:
        if isinstance(target, Variable):
            scope.set(target.name, value)
            return
        assert isinstance(target, Binary)
        array, key = target.left.value(scope), target.right.value(scope)
        if not isinstance(array, Array):
            raise ScriptError(f"-> wants an array, got {typeof(array)}")
        if not isinstance(key, int) or isinstance(key, bool):
            array.keys[text(key)] = value
        elif key == len(array.items):
            array.items.append(value)
        elif 0 <= key < len(array.items):
            array.items[key] = value
        else:
            raise ScriptError(f"no element {key}")
        self._put(target.left, array, scope)


@dataclass(frozen=True, slots=True)
class Call:
    """`$function arguments`."""

    function: Variable
    positional: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]

    def run(self, scope: Scope) -> Value:
        """Raises ScriptError if the variable holds no code."""
        function = self.function.value(scope)
        if not isinstance(function, Function):
            raise ScriptError(f"${self.function.name} is {typeof(function)}, not code")
        given = [one.value(scope) for one in self.positional]
        return call(function, scope, given, {name: one.value(scope) for name, one in self.named})


@dataclass(frozen=True, slots=True)
class Builtin:
    """A command with a colon that works on values."""

    where: str
    function: Run
    positional: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]

    def run(self, scope: Scope) -> Value:
        """Raises ScriptError."""
        given = [one.value(scope) for one in self.positional]
        return self.function(scope, given, {name: one.value(scope) for name, one in self.named})


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command that this release, or this simulator, does not have."""

    name: str
    where: str

    def run(self, scope: Scope) -> Value:
        """Raises ScriptError."""
        raise ScriptError(f"bad command name {self.name.strip(':').rpartition('/')[2]}", f"{self.name}; {self.where}")


class _AtOnce:
    """A flow where a value is wanted."""

    __slots__ = ()

    def steps(self, scope: Scope) -> Iterator[float]:
        """Carry it out."""
        raise NotImplementedError

    def run(self, scope: Scope) -> Value:
        """Without waiting."""
        at_once(self.steps(scope))
        return None


@dataclass(frozen=True, slots=True)
class If(_AtOnce):
    """`:if`."""

    condition: Expression
    do: Block
    otherwise: Block | None

    def steps(self, scope: Scope) -> Iterator[float]:
        """One of the blocks."""
        if truth(self.condition.value(scope)):
            yield from self.do.steps(scope)
        elif self.otherwise is not None:
            yield from self.otherwise.steps(scope)


@dataclass(frozen=True, slots=True)
class Foreach(_AtOnce):
    """`:foreach`, over elements or over key and element."""

    first: str
    second: str | None
    over: Expression
    do: Block

    def steps(self, scope: Scope) -> Iterator[float]:
        """A copy is gone through: the body may change the array."""
        over = self.over.value(scope)
        pairs = over.pairs() if isinstance(over, Array) else [] if empty(over) or over == "" else [(0, over)]
        for key, element in pairs:
            scope.job.step()
            inner = Scope(scope.job, scope)
            if self.second is None:
                inner.local(self.first, element)
            else:
                inner.local(self.first, key)
                inner.local(self.second, element)
            yield from self.do.within(inner)


@dataclass(frozen=True, slots=True)
class For(_AtOnce):
    """`:for`, both ends included; counts down where the end is smaller."""

    name: str
    begin: Expression
    end: Expression
    step: Expression
    do: Block

    def steps(self, scope: Scope) -> Iterator[float]:
        """Raises ScriptError for bounds that are no numbers, and a step of 0."""
        begin, end = _whole(self.begin.value(scope)), _whole(self.end.value(scope))
        given = self.step.value(scope)
        step = (1 if begin <= end else -1) if given is None else _whole(given)
        if step == 0:
            raise ScriptError("step of :for is 0")
        for number in range(begin, end + (1 if step > 0 else -1), step):
            scope.job.step()
            inner = Scope(scope.job, scope)
            inner.local(self.name, number)
            yield from self.do.within(inner)


def _whole(value: Value) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ScriptError(f"expected a number, got {typeof(value)}")


@dataclass(frozen=True, slots=True)
class While(_AtOnce):
    """`:while`."""

    condition: Expression
    do: Block

    def steps(self, scope: Scope) -> Iterator[float]:
        """As long as the condition holds."""
        while truth(self.condition.value(scope)):
            scope.job.step()
            yield from self.do.steps(scope)


@dataclass(frozen=True, slots=True)
class Do(_AtOnce):
    """`:do`: once, or while a condition holds; `on-error` catches what fails inside."""

    body: Block
    condition: Expression | None
    rescue: Block | None

    def steps(self, scope: Scope) -> Iterator[float]:
        """What was done before the error stays done."""
        try:
            yield from self.body.steps(scope)
            while self.condition is not None and truth(self.condition.value(scope)):
                scope.job.step()
                yield from self.body.steps(scope)
        except ScriptError:
            if self.rescue is None:
                raise
        else:
            return
        yield from self.rescue.steps(scope)


@dataclass(frozen=True, slots=True)
class Rescue(_AtOnce):
    """`:onerror`: as `:do on-error`, with the message in a variable."""

    name: str
    body: Block
    rescue: Block

    def steps(self, scope: Scope) -> Iterator[float]:
        """The message is what the log would show."""
        try:
            yield from self.body.steps(scope)
            return
        except ScriptError as error:
            inner = Scope(scope.job, scope)
            inner.local(self.name, str(error))
        yield from self.rescue.within(inner)


@dataclass(frozen=True, slots=True)
class Delay(_AtOnce):
    """`:delay`: seconds as a number, or a time."""

    duration: Expression

    def steps(self, scope: Scope) -> Iterator[float]:
        """Waits on the clock that the router lives by."""
        value = self.duration.value(scope)
        if isinstance(value, Time):
            yield value.milliseconds / 1000
        else:
            yield float(_whole(value))
