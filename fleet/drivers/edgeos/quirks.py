"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

import re
from typing import Final

from ...errors import Rejected
from ...link import Reply

RIGHTS: Final = "the account may not change the configuration: give it `level admin` (set system login user NAME level admin)"

_SAYS: Final[dict[int, tuple[str, str]]] = {
    1: ("the account cannot work in the group vyattacfg", "give it `level admin` (set system login user NAME level admin)"),
    10: ("this is no EdgeOS", "set the right `driver:` in the inventory"),
    11: ("its configuration cannot be read", "look at /config/config.boot on the router, then sync again"),
    12: (
        "WireGuard is gone from this firmware, nothing was saved",
        "install the package for this board and firmware, `load` and `commit` the saved configuration, then sync again",
    ),
    13: ("the router cannot write its temporary files", "restart it if it stays so; then sync again"),
    14: ("nothing could be saved", "look at `df /config`, and whether it is mounted read-only; then sync again"),
    15: (
        "the configuration changed while we looked, nothing was written",
        "somebody else is at work on it: sync again",
    ),
    16: ("the router refused a setting, nothing was committed", "look at the reason given, correct it and sync again"),
    17: ("the commit failed", "look at the reason given and at /var/log/vyatta/vyatta-commit.log, then sync again"),
    19: (
        "an endpoint's name does not resolve on this router, nothing was committed",
        "correct its name server or the name, or give an address as endpoint; then sync again",
    ),
    20: (
        "the guard of this plan fired or was replaced, nothing was written",
        "the previous configuration runs: look at the difference with `fleet plan`, then sync again",
    ),
    21: (
        "the guard of another run is armed, nothing was changed",
        "it undoes that change by itself: sync again when it is gone",
    ),
    22: ("the change was confirmed before, nothing was undone", "look at the difference with `fleet plan`"),
    23: ("the guard could not be armed, nothing was changed", "correct the reason given, then sync again"),
    24: ("another sync is writing to this router, nothing was changed", "sync again when it has ended"),
    26: (
        "somebody else's commit holds the configuration",
        "wait until it is over, or end it on the router, then sync again",
    ),
    126: ("no shell for this account", RIGHTS),
    127: ("no shell for this account", RIGHTS),
}

_KEY = re.compile(r"(?<![\w/+])[A-Za-z0-9+/]{42,}=*")


def refusal(reply: Reply) -> Rejected | None:
    """The error behind a reply of one of our scripts, None for success."""
    if reply.code == 0:
        return None
    evidence = _evidence(reply.error)
    said = f" ({evidence})" if evidence else ""
    summary, hint = _SAYS.get(reply.code, (f"fleet's script ended with code {reply.code}", "look at the reason given"))
    return Rejected(summary + said, hint, evidence=evidence)


def _evidence(error: str) -> str:
    """The last thing said, without our own prefix, without anything that could be a key."""
    lines = [line for line in error.split("\n") if line.strip()]
    ours = [line.removeprefix("fleet: ") for line in lines if line.startswith("fleet: ")]
    text = (ours or lines or [""])[-1].strip()
    return _KEY.sub("***", "".join(character for character in text if character.isprintable()))[:200]
