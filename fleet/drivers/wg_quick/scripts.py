"""The shell scripts of this driver, put together from the .sh files beside this module.

A script travels on standard input (`sh -s`), so secrets never reach a command line; its last line alone starts it, so a
connection that breaks on the way has changed nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from ...link import Exec, Part
from ...model import Secret

_READING: Final = ("common", "firewall_read", "running_read")
_WRITING: Final = ("common", "firewall_read", "firewall_write", "running_read", "running_write")

DELIMITER: Final = "FLEET-END"
"""Ends a here-document. Lines of files start with = or !, keys are base64, our scripts do not hold it: never ambiguous."""

EXIT_CODES: Final = frozenset({0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 126, 127})
"""Codes that `quirks.refusal` puts into words; any other is left to the transport."""


@cache
def _part(name: str) -> str:
    """A shell file without its comments and indentation: what travels at every read is a third shorter."""
    text = files(__package__).joinpath(f"{name}.sh").read_text(encoding="utf-8")
    lines = (line.strip(" ") for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


@cache
def _joined(*names: str) -> str:
    return "".join(_part(name) for name in names)


@cache
def helper() -> str:
    """What stays on the router as `fleet-<interface>.sh`: comments kept, since people will read it there."""
    parts = [files(__package__).joinpath(f"{name}.sh").read_text(encoding="utf-8") for name in (*_WRITING, "helper")]
    return "#!/bin/sh\n# Made by fleet and replaced by it; what is changed here by hand is lost.\n\n" + "\n".join(parts)


@cache
def helper_digest() -> str:
    """SHA-256 of the helper as the router computes it."""
    return hashlib.sha256(helper().encode()).hexdigest()


def shell(sudo: bool) -> str:
    """The command that reads a script from standard input."""
    return "sudo -n sh -s" if sudo else "sh -s"


def observe(overlay: str, sudo: bool) -> Exec:
    """The one read."""
    call = f"observe {overlay} </dev/null\n"
    text = _joined(*_READING, "observe")
    return Exec(command=shell(sudo), stdin=(text, call), accept=EXIT_CODES, reads=True, timeout=60.0, shown=call)


def apply(calls: Iterable[Part], sudo: bool) -> Exec:
    """One write that makes these calls, each a line or the parts of one, in order."""
    body = ("begin\n", *calls, "finish\n")
    text = _joined(*_WRITING, "apply")
    shown = "".join(str(part) for part in body if "\n# Made by fleet" not in str(part))
    stdin = (text, "main() {\n", *body, "}\n", "main </dev/null\n")
    return Exec(command=shell(sudo), stdin=stdin, accept=EXIT_CODES, timeout=180.0, shown=shown)


def document(call: str, *parts: Part) -> tuple[Part, ...]:
    """A call with a here-document, taken literally by the shell."""
    return (f"{call} <<'{DELIMITER}'\n", *parts, f"{DELIMITER}\n")


def secret_document(call: str, secret: Secret) -> tuple[Part, ...]:
    """A call that reads one secret line."""
    return document(call, secret, "\n")
