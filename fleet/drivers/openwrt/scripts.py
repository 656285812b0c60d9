"""The shell scripts of this driver, put together from the .sh files beside this module.

A script travels on the standard input of `sh -s`: dropbear takes no longer command than 9,000 bytes (sheet 6), and secrets
never reach a command line. Its last line alone starts it, so a connection that breaks on the way has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...link import Exec, Part
from ..shell import joined

_LIBRARY: Final = ("process", "common", "writer", "stage", "live", "guard")

DELIMITER: Final = "FLEET-END"
"""Ends a here-document; lines of `uci batch` begin with its commands, our scripts do not hold it: never ambiguous."""

EXIT_CODES: Final = frozenset({0, *range(10, 27)})
"""Codes that `quirks.refusal` puts into words; any other is left to the transport."""


def _joined(*names: str) -> str:
    return joined(__package__, *names)


def library() -> str:
    """The functions that a write brings along, and that an armed undo keeps on the router."""
    return _joined(*_LIBRARY)


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
    call = f"arm {plan_id} {seconds}"
    return _write(f"begin {overlay}\n", *document(call, library()), shown=f"{call}\n")


def guarded(overlay: str, plan_id: str, calls: Iterable[Part]) -> Exec:
    """Calls under the armed undo of this plan."""
    return _write(f"begin_guarded {overlay} {plan_id}\n", *calls)


def confirm(overlay: str, plan_id: str) -> Exec:
    """Disarm. Refused if the undo fired, was replaced or is about to fire."""
    return _write(f"guard_confirm {overlay} {plan_id}\n")


def trip(overlay: str, plan_id: str) -> Exec:
    """Undo now; done if it was undone already. Refused if the plan was confirmed."""
    return _write(f"guard_trip {overlay} {plan_id}\n")


def _write(*body: Part, shown: str = "") -> Exec:
    said = shown or "".join(str(part) for part in body)
    return _exec(library(), ("main() {\n", *body, "finish\n", "}\n", "run main\n"), said, reads=False)


def _exec(text: str, body: tuple[Part, ...], shown: str, *, reads: bool) -> Exec:
    return Exec(
        command="sh -s", stdin=(text, *body), accept=EXIT_CODES, reads=reads, timeout=60.0 if reads else 180.0, shown=shown
    )


def document(call: str, *parts: Part) -> tuple[Part, ...]:
    """A call with a here-document, taken literally by the shell."""
    return (f"{call} <<'{DELIMITER}'\n", *parts, f"{DELIMITER}\n")
