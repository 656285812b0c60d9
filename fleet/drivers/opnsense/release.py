"""Which release answers, by what its replies hold; and the router's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .read import Reading
from .values import number


def named(reading: Reading) -> str:
    """As exact as the replies tell (sheet 2.2, 2.3, 3.2), and the endpoints where they were asked for: `25.7.6 or later`."""
    servers, clients = reading.servers.values(), reading.clients.values()
    told = [
        ("25.7.6", any("debug" in one for one in servers)),
        ("25.1.2", any("peer-status" in row for row in reading.shown)),
        ("24.1.7", any("endpoint" in one for one in clients)),
        (reading.series, bool(reading.series)),
    ]
    known = [release for release, yes in told if yes]
    if known:
        return f"{max(known, key=lambda release: [int(part) for part in release.split('.')])} or later"
    return "before 25.1.2" if servers or clients else ""


def clock(reading: Reading) -> float:
    """Unix time by the router's web server, or by a peer whose handshake is given as a time and as an age; else ours."""
    if reading.clock is not None:
        return reading.clock
    for row in reading.shown:
        at, since = number(row.get("latest-handshake")), number(row.get("latest-handshake-age"))
        if at and since is not None:
            return float(at + since)
    return reading.here


def age(row: Mapping[str, Any], now: float) -> float | None:
    """Seconds since the last handshake; None if there was none."""
    since, at = number(row.get("latest-handshake-age")), number(row.get("latest-handshake"))
    if since is not None:
        return float(since)
    return max(0.0, now - at) if at else None
