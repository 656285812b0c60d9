"""Re-resolution of named endpoints by the router: a scheduler entry of ours per interface.

RouterOS resolves an endpoint's name when it is set; when it does so again is unverified (sheet 3.2). So twice a minute the
entry sets the name of every peer of the interface that is dialled by name and has not shaken hands for 150 s to itself.
Unverified on a device: that setting the same name resolves it anew. Each construct of the script is documented; it reads and
sets peers only, so policies read and write are enough, and an error with one peer does not keep it from the next.
"""

from __future__ import annotations

from typing import Final

from ... import Mark
from .rules import owner
from .values import Row, is_yes, parse_duration

MENU: Final = "/system/scheduler"
FIELDS: Final = (".id", "name", "interval", "on-event", "policy", "next-run", "disabled", "comment")
"""The guard's entries are in this menu, too."""

IDENTITY: Final = "reresolve"
INTERVAL: Final = 30.0
"""Seconds. With `STALE` and a handshake, a tunnel whose name moved is back within 200."""

STALE: Final = "150s"
POLICY: Final = frozenset({"read", "write"})
KEPT: Final = ("interval", "on-event", "policy")
"""What makes the entry; a repair sets these."""


# `:toip` gives nil for what is no address; `last-handshake` is absent until the first handshake (sheet 3.1).
_SCRIPT: Final = (
    ':foreach p in=[/interface/wireguard/peers/find where interface="{interface}" and disabled=no] do={{:do {{'
    ":local host [/interface/wireguard/peers/get $p endpoint-address]; "
    ":local age [/interface/wireguard/peers/get $p last-handshake]; "
    ":local stale true; "
    ':if ([:typeof $age] = "time") do={{:set stale ($age > {stale})}}; '
    ':if ($stale and [:len $host] > 0 and [:typeof [:toip $host]] = "nil" and [:typeof [:toip6 $host]] = "nil") '
    "do={{/interface/wireguard/peers/set $p endpoint-address=$host}}}} on-error={{}}}}"
)


def script_for(interface: str) -> str:
    """The script of the entry. Interface names are letters, digits and `_=+.-`: nothing to escape."""
    return _SCRIPT.format(interface=interface, stale=STALE)


def entry_name(overlay: str, interface: str) -> str:
    """The name of the entry."""
    return f"fleet-{overlay}-{interface}-{IDENTITY}"


def entry_for(mark: Mark, interface: str) -> tuple[tuple[str, str], ...]:
    """The words of the entry."""
    return (
        ("name", entry_name(mark.overlay, interface)),
        ("interval", f"{INTERVAL:.0f}s"),
        ("on-event", script_for(interface)),
        ("policy", ",".join(sorted(POLICY))),
        ("comment", f"{mark} {interface} {IDENTITY}"),
    )


def ours(row: Row, overlay: str) -> str | None:
    """The interface that an entry of ours serves, None for anybody else's."""
    claim = owner(row, overlay)
    return claim[0] if claim is not None and claim[1] == IDENTITY else None


def works(row: Row, interface: str) -> bool:
    """True if the entry is enabled and does exactly what we would write."""
    return not is_yes(row, "disabled") and says(row, interface)


def says(row: Row, interface: str) -> bool:
    """True if the entry, when enabled, does exactly what we would write."""
    return (
        parse_duration(row.get("interval", "0")) == INTERVAL
        and row.get("on-event", "").strip() == script_for(interface)
        and set(row.get("policy", "").split(",")) >= POLICY
    )
