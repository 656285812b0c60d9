"""How a script fails."""

from __future__ import annotations

from .data import Value


class ScriptError(Exception):
    """The script stops here unless an `on-error` catches it. `where`: path and verb of the command, with its line."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message, self.where = message, where

    def __str__(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


class BadSyntax(ScriptError):
    """Found before anything was run: the whole script does not run, no `on-error` of it catches this."""

    def __init__(self, message: str, text: str, at: int) -> None:
        line = text.count("\n", 0, at) + 1
        column = at - text.rfind("\n", 0, at)
        super().__init__(f"{message} (line {line} column {column})")


class TooLong(Exception):
    """The script ran for so many steps that it would never end; not caught by `on-error`."""


class Returned(Exception):
    """`:return`: ends the function, or the script."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value
