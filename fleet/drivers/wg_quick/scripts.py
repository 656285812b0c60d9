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

_READING: Final = ("common", "pending", "firewall_read", "running_read")
_HELPING: Final = ("common", "pending", "firewall_read", "firewall_write", "running_read", "running_write")
_LIBRARY: Final = (*_HELPING, "build", "live", "saved", "lock", "guard", "undo")
_BOOTSTRAP: Final = ("common", "pending", "enter")

DELIMITER: Final = "FLEET-END"
"""Ends a here-document. Lines of files start with = or !, keys are base64, our scripts do not hold it: never ambiguous."""

EXIT_CODES: Final = frozenset({0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 126, 127})
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
    parts = [files(__package__).joinpath(f"{name}.sh").read_text(encoding="utf-8") for name in (*_HELPING, "helper")]
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


def apply(overlay: str, calls: Iterable[Part], sudo: bool) -> Exec:
    """One write that makes these calls, each a line or the parts of one, in order, and saves."""
    return _exec(_joined(*_LIBRARY), (f"begin {overlay}\n", *calls, "finish\n"), sudo)


def beside(overlay: str, calls: Iterable[Part], sudo: bool) -> Exec:
    """Calls that change no configuration, whether or not an undo is armed."""
    return _exec(_joined(*_LIBRARY), (f"begin_beside {overlay}\n", *calls, "finish\n"), sudo)


# Under guard the functions travel once: with the request that arms, which leaves them on the router for the undo and for
# the requests that follow.
def arm(overlay: str, plan_id: str, seconds: int, sudo: bool) -> Exec:
    """Arm the undo, `seconds` from now. Refused while another one is armed."""
    library = document(f"guard_new {overlay}", _joined(*_LIBRARY))
    calls = (f"begin {overlay}\n", f"arm {plan_id} {seconds}\n", "finish\n")
    body = (*library, '. "$LIB"\nNEW=${LIB%/lib.sh}\n', *calls)
    return _exec(_joined(*_BOOTSTRAP), body, sudo, shown="".join(calls))


def guarded(overlay: str, plan_id: str, calls: Iterable[Part], sudo: bool) -> Exec:
    """Calls under the armed undo of this plan."""
    return _exec(_joined(*_BOOTSTRAP), _entered(overlay, plan_id, f"begin_guarded {overlay} {plan_id}\n", *calls), sudo)


def confirm(overlay: str, plan_id: str, sudo: bool) -> Exec:
    """Save what runs and disarm. Refused if the undo fired, was replaced or is about to fire."""
    return _exec(_joined(*_BOOTSTRAP), _entered(overlay, plan_id, f"guard_confirm {overlay} {plan_id}\n"), sudo)


def trip(overlay: str, plan_id: str, sudo: bool) -> Exec:
    """Undo now; done if it was undone already. Refused if the plan was confirmed."""
    return _exec(_joined(*_BOOTSTRAP), _entered(overlay, plan_id, f"guard_trip {overlay} {plan_id}\n", missing="undone"), sudo)


def _entered(overlay: str, plan_id: str, *calls: Part, missing: str = "") -> tuple[Part, ...]:
    return (f"guard_enter {overlay} {plan_id} {missing}".rstrip() + "\n", '[ -z "$LIB" ] || . "$LIB"\n', *calls, "finish\n")


def _exec(text: str, body: tuple[Part, ...], sudo: bool, shown: str = "") -> Exec:
    said = shown or "".join(str(part) for part in body if "\n# Made by fleet" not in str(part))
    stdin = (text, "main() {\n", *body, "}\n", "main </dev/null\n")
    return Exec(command=shell(sudo), stdin=stdin, accept=EXIT_CODES, timeout=180.0, shown=said)


def document(call: str, *parts: Part) -> tuple[Part, ...]:
    """A call with a here-document, taken literally by the shell."""
    return (f"{call} <<'{DELIMITER}'\n", *parts, f"{DELIMITER}\n")


def secret_document(call: str, secret: Secret) -> tuple[Part, ...]:
    """A call that reads one secret line."""
    return document(call, secret, "\n")
