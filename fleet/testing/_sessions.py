"""A WireGuard session between two simulated interfaces: when, and how many bytes each side counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

SideKey: TypeAlias = tuple[str, str, str]
"""Node name, interface name, the interface's public key: a new key is a new side."""


@dataclass(slots=True)
class Side:
    """What one end shows: endpoint learned, keepalive it sends (seconds, 0 off), bytes since its peer was made."""

    endpoint: tuple[str, int]
    keepalive: int = 0
    received: int = 0
    sent: int = 0


@dataclass(slots=True)
class Session:
    """Both ends of one pair; an end that removed its peer has no side any more.

    Times from the WireGuard paper, section 6: rekey after 120 s, reject after 180 s.
    """

    REKEY_AFTER: ClassVar[float] = 120.0
    REJECT_AFTER: ClassVar[float] = 180.0

    pair: frozenset[SideKey]
    at: float = 0.0
    sides: dict[SideKey, Side] = field(default_factory=dict)
    refreshing: bool = False
    broken_at: float | None = None
    counted: float = 0.0

    @property
    def whole(self) -> bool:
        """Both ends hold it."""
        return len(self.sides) == 2

    def other(self, key: SideKey) -> SideKey:
        """The far end of `key`."""
        return next(side for side in self.pair if side != key)

    def fresh(self, now: float) -> bool:
        """Young enough to carry packets."""
        return now - self.at < self.REJECT_AFTER

    def begin(self, now: float, sides: dict[SideKey, Side]) -> None:
        """A handshake: an end that kept its peer keeps its counters."""
        self.advance(now)
        for key, side in sides.items():
            kept = self.sides.get(key)
            if kept is not None:
                side.received, side.sent = kept.received, kept.sent
        self.sides = sides
        self.at = self.counted = now
        self.broken_at = None
        for key in sides:  # initiation 148 bytes, response 92, first keepalive 32: close enough from both ends
            self.carried(key, 148)

    def carried(self, sender: SideKey, size: int) -> None:
        """`size` bytes went from `sender` to the other end."""
        if sender in self.sides:
            self.sides[sender].sent += size
        other = self.other(sender)
        if other in self.sides and sender in self.sides:
            self.sides[other].received += size

    def advance(self, now: float) -> None:
        """Let keepalives run until `now`: bytes grow, and the handshake renews while `refreshing`."""
        if self.refreshing:
            self.at += ((now - self.at) // self.REKEY_AFTER) * self.REKEY_AFTER
        elapsed = now - self.counted
        spacing = [side.keepalive for side in self.sides.values() if side.keepalive]
        if not spacing or not self.whole or not (self.refreshing or self.fresh(now)):
            self.counted = now
            return
        rounds = int(elapsed // min(spacing))
        if rounds:
            self.counted += rounds * min(spacing)
            for key in self.sides:
                self.carried(key, 32 * rounds)
