"""The shell scripts of this driver, put together from the .sh files beside this module.

A script travels on the standard input of one shell whose primary group is vyattacfg, without which every commit that concerns
WireGuard fails (sheet 2.4), so secrets never reach a command line. Its last line alone starts it: a connection that breaks on
the way has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from ...link import Exec, Part
from ...model import Secret
from ..shell import joined

_LIBRARY: Final = ("process", "common", "writer", "write", "guard")

COMMAND: Final = "sg vyattacfg -c 'bash -s'"
"""As the login user, never by sudo: session files of root break later commits of others (sheet 2.4)."""

DELIMITER: Final = "FLEET-END"
"""Ends a here-document; lines begin with verbs, paths or base64, our scripts do not hold it: never ambiguous."""

EXIT_CODES: Final = frozenset({0, 1, *range(10, 28), 126, 127})
"""Codes that `quirks.refusal` puts into words; any other is left to the transport."""


def _joined(*names: str) -> str:
    return joined(__package__, *names)


def resolver(overlay: str) -> str:
    """What stays on the router for its task scheduler: comments kept, since people will read it there."""
    text = files(__package__).joinpath("resolve.sh").read_text(encoding="utf-8")
    return text.replace("@OVERLAY@", overlay)


def observe(overlay: str) -> Exec:
    """The one read."""
    call = f"observe {overlay} </dev/null\n"
    return _exec(_joined("process", "common", "observe"), (call,), call, reads=True)


def apply(overlay: str, calls: Iterable[Part]) -> Exec:
    """One write that makes these calls, each a line or the parts of one, in order."""
    return _write(f"begin {overlay}\n", *calls)


def beside(overlay: str, calls: Iterable[Part]) -> Exec:
    """Calls that change no configuration, whether or not an undo is armed."""
    return _write(f"begin_beside {overlay}\n", *calls)


def arm(overlay: str, plan_id: str, seconds: int) -> Exec:
    """Arm the undo, `seconds` from now, with its functions. Refused while another one is armed."""
    library = document(f"arm {plan_id} {seconds}", _joined(*_LIBRARY))
    return _write(f"begin {overlay}\n", *library, shown=f"arm {plan_id} {seconds}\n")


def guarded(overlay: str, plan_id: str, calls: Iterable[Part]) -> Exec:
    """Calls under the armed undo of this plan."""
    return _write(f"begin_guarded {overlay} {plan_id}\n", *calls, 'note_hash "$GUARD"\n')


def confirm(overlay: str, plan_id: str) -> Exec:
    """Save and disarm. Refused if the undo fired, was replaced or is about to fire."""
    return _write(f"guard_confirm {overlay} {plan_id}\n")


def trip(overlay: str, plan_id: str) -> Exec:
    """Undo now; done if it was undone already. Refused if the plan was confirmed."""
    return _write(f"guard_trip {overlay} {plan_id}\n")


def _write(*body: Part, shown: str = "") -> Exec:
    said = shown or "".join(str(part) for part in body if not str(part).startswith("#!"))
    text = _joined(*_LIBRARY)
    overlay = str(body[0]).split()[1]
    return _exec(text, ("main() {\n", *body, "finish\n", "}\n", f"paths {overlay}\nrun main\n"), said, reads=False)


def _exec(text: str, body: tuple[Part, ...], shown: str, *, reads: bool) -> Exec:
    return Exec(
        command=COMMAND, stdin=(text, *body), accept=EXIT_CODES, reads=reads, timeout=60.0 if reads else 240.0, shown=shown
    )


def document(call: str, *parts: Part) -> tuple[Part, ...]:
    """A call with a here-document, taken literally by the shell."""
    return (f"{call} <<'{DELIMITER}'\n", *parts, f"{DELIMITER}\n")


def secret_document(call: str, secret: Secret) -> tuple[Part, ...]:
    """A call that reads one secret line."""
    return document(call, secret, "\n")
