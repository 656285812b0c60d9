"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

from typing import Final

from ..shell import GUARD_SAYS

SAYS: Final[dict[int, tuple[str, str]]] = {
    **GUARD_SAYS,
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
    25: (
        "somebody's changes are not committed, nothing was changed",
        "`uci commit` or `uci revert` them on the router, then sync again",
    ),
}
