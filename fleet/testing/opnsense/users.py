"""Users with API keys, and which paths their privileges open (sheet 1)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .release import Release

PRIVILEGES: Final[Mapping[str, tuple[str, ...]]] = {
    "page-all": ("*",),
    "page-wireguard-config": ("api/wireguard/*",),
    "page-wireguard-diagnostics": ("api/wireguard/service/*",),
    "page-diagnostics-configurationhistory": ("api/core/backup/*",),
    "page-filter-api": ("api/firewall/filter/*",),
    "page-filter-snat-api": ("api/firewall/source_nat/*",),
    "page-firewall-alias-edit": ("api/firewall/alias/*",),
    "page-system-staticroutes": ("api/routes/*", "api/routing/settings/*"),
    "page-system-gateways": ("api/routes/*", "api/routing/settings/*"),
    "page-interfaces-assignnetworkports": ("api/interfaces/assignment/*",),
    "page-status-interfaces": ("api/interfaces/overview/*",),
    "page-status-services": ("api/core/service/*",),
    "page-system-firmware-manualupdate": ("api/core/firmware/*",),
    "page-system-settings-cron": ("api/cron/*",),
    "page-system-usermanager": ("api/auth/user/*",),
}
"""Path patterns by privilege. Ids that the sheet does not give are made in its manner (unverified)."""

TITLES: Final = {
    "VPN: WireGuard: Configuration": "page-wireguard-config",
    "VPN: WireGuard: Status": "page-wireguard-diagnostics",
    "Diagnostics: Configuration History": "page-diagnostics-configurationhistory",
    "Firewall: Rules [new]": "page-filter-api",
    "Firewall: NAT: Source NAT": "page-filter-snat-api",
    "Firewall: Alias: Edit": "page-firewall-alias-edit",
    "System: Static Routes": "page-system-staticroutes",
    "System: Gateways": "page-system-gateways",
    "Interfaces: Assign network ports": "page-interfaces-assignnetworkports",
    "Status: Interfaces": "page-status-interfaces",
    "Status: Services": "page-status-services",
    "System: Firmware": "page-system-firmware-manualupdate",
    "System: Settings: Cron": "page-system-settings-cron",
    "System: User Manager": "page-system-usermanager",
    "All pages": "page-all",
}
READ_ONLY: Final = "user-config-readonly"
_SINCE: Final = {"page-wireguard-diagnostics": (25, 7), "page-interfaces-assignnetworkports": (26, 7)}


@dataclass(slots=True)
class User:
    """A user; `keys`: API key -> secret. `privileges` by id or by the title that the GUI shows."""

    name: str
    privileges: tuple[str, ...] = ("page-all",)
    keys: dict[str, str] = field(default_factory=dict)
    disabled: bool = False

    def allowed(self, path: str, release: Release) -> bool:
        """True if a privilege covers a raw URI path, compared case by case."""
        found = (TITLES.get(one, one) for one in self.privileges)
        patterns = [p for one in found if release.number >= _SINCE.get(one, (0,)) for p in PRIVILEGES.get(one, ())]
        return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), path.lstrip("/")) for pattern in patterns)

    def readonly(self, release: Release) -> bool:
        """On 25.7 to 26.1.11 it has no effect beside another privilege (sheet 1)."""
        if READ_ONLY not in self.privileges:
            return False
        return len(self.privileges) == 1 or not (25, 7) <= release.number <= (26, 1, 11)

    def add_key(self) -> tuple[str, str]:
        """A new key and its secret: each base64 of 60 random bytes."""
        key, secret = (base64.b64encode(secrets.token_bytes(60)).decode() for _ in range(2))
        self.keys[key] = secret
        return key, secret


class Users:
    """Who may log in."""

    def __init__(self, users: Iterable[User]) -> None:
        self.by_name = {user.name: user for user in users}

    def authenticated(self, header: str) -> User | None:
        """Any scheme word; the second word is key and secret (sheet 1)."""
        words = header.split()
        if len(words) < 2:
            return None
        try:
            key, colon, secret = base64.b64decode(words[1], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        for user in self.by_name.values():
            if colon and not user.disabled and user.keys.get(key) == secret and secret:
                return user
        return None
