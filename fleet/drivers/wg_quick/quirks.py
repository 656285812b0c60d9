"""Exit codes of our scripts, in an operator's words: what was seen and the next action."""

from __future__ import annotations

from typing import Final

from ...errors import Rejected
from ...link import Reply
from .. import shell

_SAYS: Final[dict[int, tuple[str, str]]] = {
    **shell.GUARD_SAYS,
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
}


def refusal(reply: Reply) -> Rejected | None:
    """The error behind a reply of one of our scripts, None for success."""
    if "sudo" in reply.error and reply.code in {1, 126, 127}:
        evidence = shell.last_said(reply.error)
        if reply.code == 127:
            return Rejected("sudo is not installed", "log in as root and leave `sudo` out of `options:`", evidence=evidence)
        hint = "let the account run sh as root without a password (the README shows the sudoers line)"
        return Rejected(f"sudo refused ({evidence})", hint, evidence=evidence)
    return shell.refusal(reply, _SAYS)
