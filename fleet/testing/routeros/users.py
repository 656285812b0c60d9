"""Accounts of the simulated router: groups, policies, who may log in (sheet 1.3, section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Final

from .device import Behaviour, Device
from .tables import Row
from .values import Refused, no_match

POLICIES: Final = (
    "local", "telnet", "ssh", "ftp", "reboot", "read", "write", "policy", "test", "winbox", "password", "web", "sniff",
    "sensitive", "api", "romon", "rest-api",
)  # fmt: skip

BUILT_IN: Final = {
    # Even `read` has sensitive and reboot (sheet 6).
    "read": frozenset(POLICIES) - {"ftp", "write", "policy"},
    "write": frozenset(POLICIES) - {"ftp", "policy"},
    "full": frozenset(POLICIES),
}


def written(granted: Iterable[str]) -> str:
    """As print shows it: granted ones, then `!` before the rest."""
    have = set(granted)
    return ",".join([*(one for one in POLICIES if one in have), *(f"!{one}" for one in POLICIES if one not in have)])


def granted(policy: str) -> frozenset[str]:
    """The granted ones of a policy list."""
    return frozenset(one for one in policy.split(",") if one and not one.startswith("!"))


class Groups(Behaviour):
    """`/user/group`."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """`add` revokes everything unlisted."""
        if device.table("/user/group").named(fields["name"]) is not None:
            raise Refused("failure: group with the same name already exists", 4)
        _known(fields["policy"])
        fields["policy"] = written(granted(fields["policy"]))

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """`set policy=` is cumulative: only listed policies change, `!x` revokes (sheet 6)."""
        _known(fields["policy"])
        have = set(granted(row.get("policy")))
        for one in fields["policy"].split(","):
            if one.startswith("!"):
                have.discard(one[1:])
            elif one:
                have.add(one)
        fields["policy"] = written(have)


def _known(policy: str) -> None:
    if any(one.removeprefix("!") not in POLICIES for one in policy.split(",") if one):
        raise no_match("policy")


class Users(Behaviour):
    """`/user`."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Names are unique, the group exists."""
        if device.table("/user").named(fields["name"]) is not None:
            raise Refused("failure: user with the same name already exists", 4)
        self._check(device, fields)

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        self._check(device, fields)

    @staticmethod
    def _check(device: Device, fields: Mapping[str, str]) -> None:
        if device.table("/user/group").named(fields["group"]) is None:
            raise no_match("group")


def populate(device: Device, users: Mapping[str, tuple[str, str]]) -> None:
    """Built-in groups, and an account per entry: name -> (password, built-in group or policy list)."""
    for name, policies in BUILT_IN.items():
        device.add("/user/group", {"name": name, "policy": ",".join(sorted(policies))})
    for name, (password, rights) in users.items():
        group = rights
        if rights not in BUILT_IN:
            group = f"{name}-group"
            device.add("/user/group", {"name": group, "policy": rights})
        device.add("/user", {"name": name, "group": group, "password": password})


def login(device: Device, name: str, password: str, source: str) -> frozenset[str] | None:
    """The policies of this login, as they are now: later changes count at the next one. None: refused."""
    user = device.table("/user").named(name)
    if user is None or user.disabled or user.get("password") != password:
        return None
    allowed = [one for one in user.get("address").split(",") if one]
    if allowed and not any(ip_address(source) in ip_network(one, strict=False) for one in allowed):
        return None
    group = device.table("/user/group").named(user.get("group"))
    policies = granted(group.get("policy")) if group is not None else frozenset()
    return policies if "api" in policies else None
