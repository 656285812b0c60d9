"""Variables and the job they belong to, while a script runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .data import NOTHING, Value
from .errors import ScriptError

if TYPE_CHECKING:
    from .jobs import Job


class Scope:
    """Names visible in one block. A global is looked up where all scripts keep them, once it is declared here."""

    __slots__ = ("job", "names", "outer", "row", "shared")

    def __init__(self, job: Job, outer: Scope | None = None) -> None:
        self.job = job
        self.row: Mapping[str, Value] | None = None if outer is None else outer.row
        self.outer = outer
        self.names: dict[str, Value] = {}
        self.shared: set[str] = set()

    def local(self, name: str, value: Value) -> None:
        """`:local`, and the counters of loops."""
        self.names[name] = value

    def share(self, name: str) -> None:
        """`:global` without a value: make the global visible here."""
        self.shared.add(name)

    def get(self, name: str) -> Value:
        """A variable. In conditions of `find` the properties of the row hide variables of the same name."""
        if self.row is not None and name in self.row:
            return self.row[name]
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            if name in scope.shared:
                return self.job.globals.get(name, NOTHING)
            scope = scope.outer
        return NOTHING

    def set(self, name: str, value: Value) -> None:
        """`:set` of a declared variable. Raises ScriptError for an undeclared one."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                scope.names[name] = value
                return
            if name in scope.shared:
                self.job.globals[name] = value
                return
            scope = scope.outer
        raise ScriptError(f"no such variable {name}: declare it with :local or :global")

    def forget(self, name: str) -> None:
        """`:set name` without a value: a global leaves the environment, a local holds nothing."""
        self.set(name, NOTHING)
        if name not in self.names:
            self.job.globals.pop(name, None)

    def inside(self, row: Mapping[str, Value]) -> Scope:
        """The same names while a row is looked at."""
        scope = Scope(self.job, self)
        scope.row = row
        return scope
