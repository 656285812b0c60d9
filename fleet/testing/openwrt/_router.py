"""What tells one release of OpenWrt from another, and how a stand-in finds its router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from ..linux._call import Call

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

Handler = Literal["H0", "H1", "H2", "H3"]
"""Generations of the WireGuard proto handler, named as in the sheet's table."""

Manager = Literal["opkg", "apk"]


@dataclass(frozen=True, slots=True)
class Release:
    """What a release ships. Sources: sheet, table at its top, sections 2, 3.1, 5 and 6."""

    version: str
    handler: Handler
    manager: Manager
    tools_version: str
    dropbear: str
    firewall: Literal["fw3", "fw4"]
    uci_savedir: bool
    """`uci -t` exists (2021-04, so not in 21.02)."""
    uci_overrides: bool
    """`/var/run/uci` replaces packages (2025-01, so 25.12)."""
    ubus_negative: bool
    """A failed `ubus call` exits 256 minus its status (2022-02, so not in 21.02)."""


_RELEASES: Final = {
    "21.02": Release("21.02.7", "H0", "opkg", "1.0.20210223", "2020.81", "fw3", False, False, False),
    "22.03": Release("22.03.7", "H1", "opkg", "1.0.20210914", "2022.82", "fw4", True, False, True),
    "23.05": Release("23.05.5", "H1", "opkg", "1.0.20210914", "2022.83", "fw4", True, False, True),
    "24.10": Release("24.10.2", "H1", "opkg", "1.0.20210914", "2024.86", "fw4", True, False, True),
    "25.12": Release("25.12.1", "H2", "apk", "1.0.20250521", "2025.89", "fw4", True, True, True),
}


def release_of(version: str) -> Release:
    """The release of `23.05` or `23.05.5`. Raises ValueError."""
    known = _RELEASES.get(".".join(version.split(".")[:2]))
    if known is None:
        raise ValueError(f"no OpenWrt {version} is simulated: take one of {', '.join(_RELEASES)}")
    if version.count(".") < 2:
        return known
    return Release(version, *(getattr(known, name) for name in Release.__dataclass_fields__ if name != "version"))


def router_of(call: Call) -> OpenWrtSimulator:
    """The router a stand-in runs on."""
    return cast("OpenWrtSimulator", call.host)
