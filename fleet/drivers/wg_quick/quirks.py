"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

import re
from typing import Final

from ...errors import Rejected
from ...link import Reply

_SAYS: Final[dict[int, tuple[str, str]]] = {
    10: ("wireguard-tools is not installed", "install the package wireguard-tools (it brings wg and wg-quick) and sync again"),
    11: (
        "the account has not the rights",
        "log in as root, or set `options: {sudo: true}` for an account that may run sh as root",
    ),
    12: ("bash or wg-quick is missing, nothing was changed", "install bash and wireguard-tools, then sync again"),
    13: ("the router cannot write its files", "remount the file system read-write (`mount -o remount,rw /`), then sync again"),
    14: ("the disk is full, nothing was changed", "free some space on the file system of /etc, then sync again"),
    15: (
        "a file changed while we looked, nothing was saved",
        "somebody else is at work on this router: sync again when done",
    ),
    16: ("the kernel refused the configuration, the previous one runs", "look at the reason given, correct it and sync again"),
    17: ("the interface does not come up or go down", "look at the reason given and at `journalctl -u wg-quick@INTERFACE`"),
    18: (
        "the firewall refused an opening, the previous configuration runs",
        "correct its rules, or leave it out under `manage:`",
    ),
    19: ("the interface could not be enabled at boot", "look at `systemctl status wg-quick@INTERFACE` on the router"),
    20: (
        "the guard of this plan fired or was replaced, nothing was saved",
        "the previous configuration runs: look at the difference with `fleet plan`, then sync again",
    ),
    21: (
        "the guard of another run is armed, nothing was changed",
        "it undoes that change by itself: sync again when it is gone",
    ),
    22: ("the change was confirmed before, nothing was undone", "look at the difference with `fleet plan`"),
    23: ("the guard could not be armed, nothing was changed", "correct the reason given, then sync again"),
    24: ("another sync is writing to this router, nothing was changed", "sync again when it has ended"),
}

_KEY = re.compile(r"[A-Za-z0-9+/]{30,}=*")


def refusal(reply: Reply) -> Rejected | None:
    """The error behind a reply of one of our scripts, None for success."""
    evidence = _evidence(reply.error)
    said = f" ({evidence})" if evidence else ""
    if reply.code in _SAYS:
        summary, hint = _SAYS[reply.code]
        return Rejected(summary + said, hint, evidence=evidence)
    if "sudo" in reply.error and reply.code in {1, 126, 127}:
        if reply.code == 127:
            return Rejected("sudo is not installed", "log in as root and leave `sudo` out of `options:`", evidence=evidence)
        hint = "let the account run sh as root without a password (the README shows the sudoers line)"
        return Rejected(f"sudo refused{said}", hint, evidence=evidence)
    if reply.code != 0:
        return Rejected(f"fleet's script ended with code {reply.code}{said}", "look at the reason given", evidence=evidence)
    return None


def _evidence(error: str) -> str:
    """The last thing said, without our own prefix, without anything that could be a key."""
    lines = [line for line in error.split("\n") if line.strip()]
    ours = [line.removeprefix("fleet: ") for line in lines if line.startswith("fleet: ")]
    text = (ours or lines or [""])[-1].strip()
    return _KEY.sub("***", "".join(character for character in text if character.isprintable()))[:200]
