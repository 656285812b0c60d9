"""In which states a controller shows its gateways, and what their firmware can do (sheet 4, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Phase: TypeAlias = Literal[
    "connected",
    "offline",
    "provisioning",
    "upgrading",
    "rebooting",
    "pending",
    "adopting",
    "adoption failed",
    "managed by others",
    "heartbeat missed",
    "isolated",
]

# (status, detailStatus). The sheet lists both sets of numbers (5) and not which go together: that is UNVERIFIED, as are the
# two for offline and isolated, for which it has no detailStatus.
PHASES: Final[dict[Phase, tuple[int, int]]] = {
    "connected": (1, 14),
    "offline": (0, 0),
    "provisioning": (1, 10),
    "upgrading": (1, 12),
    "rebooting": (0, 13),
    "pending": (2, 20),
    "adopting": (2, 22),
    "adoption failed": (2, 25),
    "managed by others": (2, 26),
    "heartbeat missed": (3, 30),
    "isolated": (4, 40),
}
CONFIGURING: Final = 11
OFF: Final[frozenset[Phase]] = frozenset({"offline", "rebooting", "upgrading"})
"""Phases in which no packet passes either."""

MISSED_SECONDS: Final = 60.0
"""A gateway that is not heard is first "heartbeat missed", after so long "disconnected". How long is unverified."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the gateway can do. The real limits of the models are unknown (sheet 4), so they are parameters."""

    model: str = "ER707-M2"
    version: str = "1.2.3 Build 20250615 Rel.51218"
    wireguard: bool = True
    domains: bool = False
    statistics: bool = True
    interfaces: int = 10
    peers: int = 100
    subnets: int = 64
