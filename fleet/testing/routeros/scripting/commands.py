"""Commands of menus, run with the rights of the script through the same code as those of an API connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..commands import Account, Answer, Command, need
from ..execute import execute
from ..reading import MASK, masks
from ..schema import Field
from ..tables import Row as Stored
from ..tables import Table
from ..values import Refused
from .conditions import Found, Row
from .data import Array, Id, Value, argument, empty, number, text
from .environment import Scope
from .errors import ScriptError
from .fields import ID, typed
from .tree import Expression, Literal

PERMISSIONS: Final = "not enough permissions (9)"
_KEPT: Final = frozenset({".id", "public-key", "dynamic", "builtin", "owner"})
"""Read-only properties that are stored; the others are computed when asked for."""


@dataclass(slots=True)
class MenuCommand:
    """`/path verb arguments`. `removed`: properties with `!` before them; `found`: the condition of find and print."""

    path: str
    verb: str
    where: str
    arguments: dict[str, Expression] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    found: Found = field(default_factory=Found)

    def run(self, scope: Scope) -> Value:
        """Carry it out. Raises ScriptError; what rights forbid is in the log as well (sheet 5.3)."""
        try:
            return self._run(scope)
        except Refused as refused:
            if refused.message == PERMISSIONS:
                scope.job.log("script,error", PERMISSIONS)
            raise ScriptError(refused.message, self.where) from None
        except (ValueError, OverflowError) as wrong:
            raise ScriptError(str(wrong), self.where) from None

    def _run(self, scope: Scope) -> Value:
        account = scope.job.account
        if self.verb == "find":
            need(account, "read")
            return Array([Id(number) for number in self._ids(scope)])
        if self.verb == "print":
            need(account, "read")
            return self._print(scope)
        if self.path == "/log" and self.verb != "get":
            scope.job.log(f"script,{self.verb}", text(self._given(scope, "message")))
            return None
        if self.verb == "get":
            return self._get(scope, account)
        if f"{self.path}/{self.verb}" == "/system/script/run":
            scope.job.jobs.run_stored(self._reference(scope, "number"), scope.job)
            return None
        return self._command(scope, account)

    def _given(self, scope: Scope, name: str) -> Value:
        given = self.arguments.get(name)
        return None if given is None else given.value(scope)

    # --- rows ----------------------------------------------------------------------------------------------------------

    def _ids(self, scope: Scope) -> list[str]:
        """Ids of the rows that pass. Properties that the router computes are only computed if the condition asks for them."""
        router, names = scope.job.router, self.found.names
        table = router.device.table(self.path)
        passes = self.found.prepare(scope)
        ids = [words[".id"] for words in router.extra_rows(self.path) if passes(words)]
        if any(name in table.fields and table.fields[name].readonly for name in names - _KEPT):
            return ids + [row.id for row in list(table.rows) if passes(router.device.shown(self.path, table, row))]
        if ".id" in names:
            return ids + [row.id for row in table.rows if passes({".id": row.id, **row.fields})]
        return ids + [row.id for row in table.rows if passes(row.fields)]

    def _print(self, scope: Scope) -> Value:
        ids = set(self._ids(scope))
        if "count-only" in self.flags:
            scope.job.say(str(len(ids)))
            return len(ids)
        router, table = scope.job.router, scope.job.router.device.table(self.path)
        shown = router.extra_rows(self.path) + [router.device.shown(self.path, table, row) for row in table.rows]
        masked = table.secrets if self._masks(scope) else ()
        rows = [
            {name: MASK if value and name in masked else value for name, value in words.items()}
            for words in shown
            if table.menu.single or words[".id"] in ids
        ]
        if "as-value" in self.flags:
            values = [Array([], {name: self._typed(table, name, value) for name, value in words.items()}) for words in rows]
            return values[0] if table.menu.single else Array([*values])
        for words in rows:
            scope.job.say(" ".join(f"{name}={value}" for name, value in words.items()))
        return None

    def _masks(self, scope: Scope) -> bool:
        words = {"show-sensitive": ""} if "show-sensitive" in self.flags else {}
        return masks(scope.job.router, scope.job.account, Command(self.where, self.path, self.verb, words))

    @staticmethod
    def _typed(table: Table, name: str, stored: str | None) -> Value:
        return typed(table.fields.get(name, ID if name == ".id" else Field(name)), stored)

    # --- get -----------------------------------------------------------------------------------------------------------

    def _get(self, scope: Scope, account: Account) -> Value:
        need(account, "read")
        router = scope.job.router
        table = router.device.table(self.path)
        name = self._name_of_value(scope, table)
        words = self._one(scope, table, name)
        if name is None:
            return Array([], {one: self._typed(table, one, value) for one, value in words.items() if one != ".id"})
        value = words.get(name)
        if value and name in table.secrets and "sensitive" not in account.policies:
            value = MASK
        return self._typed(table, name, value)

    def _name_of_value(self, scope: Scope, table: Table) -> str | None:
        if "value-name" not in self.arguments:
            return None
        name = text(self._given(scope, "value-name"))
        if name not in table.fields:
            raise Refused("input does not match any value of value-name", 1)
        return name

    def _one(self, scope: Scope, table: Table, name: str | None) -> Row:
        router = scope.job.router
        if table.menu.single:
            return router.device.shown(self.path, table, table.rows[0])
        reference = self._reference(scope, "number")
        for words in router.extra_rows(self.path):
            if reference in (words[".id"], words.get("name")):
                return words
        row: Stored = table.find(reference)
        if name is not None and not table.fields[name].readonly:
            return row.fields
        return router.device.shown(self.path, table, row)

    # --- everything else -----------------------------------------------------------------------------------------------

    def _reference(self, scope: Scope, name: str) -> str:
        """Exactly one row. Raises Refused."""
        references = self._references(scope, name)
        if len(references) != 1:
            raise Refused("no such item" if not references else "invalid internal item number", 0)
        return references[0]

    def _references(self, scope: Scope, name: str) -> list[str]:
        """Ids or names. Raises Refused: numbers of a print do not exist in scripts (manual, tips and tricks)."""
        value = self._given(scope, name)
        if name not in self.arguments:
            raise Refused(f"missing value(s) of argument(s) {name}", 1)
        if isinstance(value, Array):
            return [text(one) for one in value.all()]
        if empty(value) or value == "" or number(text(value)) is not None:
            raise Refused("no such item", 0)
        return text(value).split(",")

    def _command(self, scope: Scope, account: Account) -> Value:
        words: dict[str, str] = {}
        for name, given in self.arguments.items():
            if name in ("numbers", "destination", "place-before"):
                references = self._references(scope, name)
                if name == "numbers" and not references:
                    return None  # nothing found, nothing to do
                if name != "numbers" and len(references) != 1:
                    raise Refused("no such item" if not references else "invalid internal item number", 0)
                words[".id" if name == "numbers" else name] = ",".join(references)
            elif isinstance(given, Literal):
                words[name] = given.written
            else:
                words[name] = argument(given.value(scope), name)
        for name in self.removed:
            self._execute(scope, account, "unset", {".id": words[".id"], "value-name": name})
        if self.removed and set(words) == {".id"}:
            return None
        return self._result(self._execute(scope, account, self.verb, words))

    def _execute(self, scope: Scope, account: Account, verb: str, words: dict[str, str]) -> Answer:
        if self.path == "" and verb == "ping":
            words.setdefault("count", "1")
        answer = execute(scope.job.router, account, Command(f"{self.path}/{verb}", self.path, verb, words))
        if answer.trap is not None:
            raise answer.trap
        return answer

    def _result(self, answer: Answer) -> Value:
        if self.path == "" and self.verb == "ping":
            return sum("=status=timeout" not in row for row in answer.rows)
        made = [word.removeprefix("=ret=") for word in answer.done if word.startswith("=ret=")]
        return Id(made[0]) if made and self.verb == "add" else None
