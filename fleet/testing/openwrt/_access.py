"""Who may log in to a simulated router: root, by what is on its flash (sheet 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ..linux._call import Call, Refused
from ._router import router_of
from ._ucistore import UciError

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

_Default = TypeVar("_Default")


class Passwords(dict[str, str]):
    """Passwords of a server; root's is the router's own, blank on a fresh one, unless dropbear takes none."""

    def __init__(self, router: OpenWrtSimulator, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self._router = router

    def get(self, username: str, default: _Default = None) -> str | _Default:  # type: ignore[assignment]  # the signature of Mapping.get
        if not password_logins(self._router):
            return default
        return self._router.root_password if username == "root" else super().get(username) or default


class Keys(set[str]):
    """Authorized keys of a server, and those of /etc/dropbear/authorized_keys."""

    def __init__(self, router: OpenWrtSimulator, given: Iterable[str]) -> None:
        super().__init__(given)
        self._router = router

    def __contains__(self, line: object) -> bool:
        path = self._router.root_path / "etc/dropbear/authorized_keys"
        lines = path.read_text().splitlines() if path.exists() else []
        return super().__contains__(line) or line in {" ".join(one.split()[:2]) for one in lines}


def password_logins(router: OpenWrtSimulator) -> bool:
    """Whether /etc/config/dropbear lets passwords in."""
    try:
        sections = router.store.committed("dropbear").of_type("dropbear")
    except UciError:
        return True
    return all(section.options.get("PasswordAuth", "on") in {"on", "1", "true", "yes", "enabled"} for section in sections)


def passwd(call: Call) -> int:
    """The new password twice on standard input; /etc/shadow keeps it over a power cut."""
    router = router_of(call)
    lines = call.stdin().decode(errors="replace").split("\n")
    if len(lines) < 2 or lines[0] != lines[1]:
        raise Refused("Passwords don't match\npasswd: password for root is unchanged")
    if router.flash_fault():
        raise Refused("passwd: can't update password file /etc/shadow")
    router.root_password = lines[0]
    digest = hashlib.sha256(lines[0].encode()).hexdigest()
    shadow = router.root_path / "etc/shadow"
    shadow.write_text(f"root:$5${digest}:20000:0:99999:7:::\n")
    shadow.chmod(0o600)
    call.out("Changing password for root\nNew password: \nRetype password: ")
    call.out("passwd: password for root changed by root")
    return 0
