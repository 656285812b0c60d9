"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

import re
from typing import Final

from ...errors import Rejected
from ...link import Reply

_SAYS: Final[dict[int, tuple[str, str]]] = {
    10: ("this is no OpenWrt", "set the right `driver:` in the inventory"),
    11: ("its configuration cannot be read", "look at /etc/config on the router, correct the reason given and sync again"),
    13: ("the router cannot write its files", "restart it, and look at its flash if it stays so; then sync again"),
    14: ("the configuration was not written", "free some space in /overlay (`df /overlay`), then sync again"),
    15: (
        "the configuration changed while we looked, nothing was written",
        "somebody else is at work on it: sync again",
    ),
    16: ("uci refused the change, nothing was written", "look at the reason given, correct it and sync again"),
    17: ("the interface does not run what is stored", "look at the reason given and at `logread -e netifd` on the router"),
    18: ("the firewall refused the change", "correct its configuration, or leave it out under `manage:`"),
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
    25: (
        "somebody's changes are not committed, nothing was changed",
        "`uci commit` or `uci revert` them on the router, then sync again",
    ),
}

_KEY = re.compile(r"[A-Za-z0-9+/]{30,}=*")


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
