"""What the account may do: its row in `/user`, the policies of its group.

Sheet 6: `read,write,api` read and change everything but users; `test` is for ping. Granted policies are listed bare, the others
with `!`. Policies count from the next login, so a group that was changed under this very session is told as it will be.
Unverified: that an account without `policy` may read these two menus. Where it may not, and for accounts that a RADIUS server
knows, nothing is claimed: whatever is refused later says so in the router's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ... import Rejected, RouterError, Words
from .values import Row

USERS: Final = "/user"
GROUPS: Final = "/user/group"

NEEDED: Final[Mapping[str, str]] = {
    "read": "it cannot be read",
    "write": "nothing can be changed on it",
    "api": "the next login is refused",
}
"""Policies that fleet cannot do without, and what is lost without each."""

DENIED: Final = "not enough permissions"
"""What a refusal for want of a policy says (manual, "Scheduler" and "REST API")."""


@dataclass(frozen=True, slots=True)
class Rights:
    """`lacks` are sentences about policies that are needed and missing, `notes` about ones that are merely of use."""

    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def questions(username: str) -> dict[str, Words]:
    """The reads by menu."""
    return {
        USERS: Words(f"{USERS}/print", ((".proplist", "name,group"),), (f"?name={username}",), reads=True),
        GROUPS: Words(f"{GROUPS}/print", ((".proplist", "name,policy"),), reads=True),
    }


def found(username: str, asked: Mapping[str, tuple[Row, ...]]) -> Rights:
    """What the answers say; menus that were not asked for, or are refused, are not in `asked`."""
    group = next((row.get("group", "") for row in asked.get(USERS, ()) if row.get("name") == username), "")
    policies = next((_granted(row) for row in asked.get(GROUPS, ()) if group and row.get("name") == group), None)
    if policies is None:
        return Rights(notes=(f"the policies of account {username} cannot be read: fleet needs {', '.join(NEEDED)}",))
    whose = f"account {username} (group {group})"
    lacks = tuple(f"{whose} lacks policy {name}: {loss}" for name, loss in NEEDED.items() if name not in policies)
    silent = () if "test" in policies else (f"{whose} has no policy test: the router cannot be asked to ping",)
    return Rights(lacks, silent)


def unreadable(username: str, refused: Rejected) -> RouterError:
    """The error of a read that was refused: for want of rights, with the command that gives them."""
    if DENIED not in refused.evidence or not username:
        return refused
    group = f'[find name=[/user/get [find name="{username}"] group]]'
    return Rejected(
        f"account {username} lacks policy read: {refused.evidence}",
        f"as an administrator: `/user/group/set {group} policy={','.join(NEEDED)}`; it counts from the next login",
        evidence=refused.evidence,
    )


def _granted(row: Row) -> frozenset[str]:
    listed = (name.strip() for name in row.get("policy", "").split(","))
    return frozenset(name for name in listed if name and not name.startswith("!"))
