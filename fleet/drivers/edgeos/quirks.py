"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

from typing import Final

from ..shell import GUARD_SAYS

RIGHTS: Final = "the account may not change the configuration: give it `level admin` (set system login user NAME level admin)"

SAYS: Final[dict[int, tuple[str, str]]] = {
    **GUARD_SAYS,
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
    26: (
        "somebody else's commit holds the configuration",
        "wait until it is over, or end it on the router, then sync again",
    ),
    126: ("no shell for this account", RIGHTS),
    127: ("no shell for this account", RIGHTS),
}
