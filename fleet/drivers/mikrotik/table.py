"""Where rules stand: an accept below the drop does nothing (sheet 4; sheet 9, pitfall 6)."""

from __future__ import annotations

from collections.abc import Sequence

from .rules import NAT, Owned, Rule, owner
from .values import Row, is_yes


class Table:
    """One firewall menu as it was read, in rule order, with what of it is ours."""

    def __init__(self, menu: str, rows: Sequence[Row], overlay: str) -> None:
        self.menu = menu
        self._rows = rows
        self._overlay = overlay
        self._dropping = _dropping_chains(rows)

    def owned(self) -> list[tuple[str, str, Owned]]:
        """(interface, identity, rule) of every rule of ours."""
        found = []
        for at, row in enumerate(self._rows):
            claim = owner(row, self._overlay)
            if claim is not None and not is_yes(row, "dynamic"):
                found.append((*claim, Owned(self.menu, row, self._placed(at, row, claim))))
        return found

    def first(self, ids: Sequence[str | None]) -> str | None:
        """Which of these rules stands first, None if none is there."""
        return next((row[".id"] for row in self._rows if row.get(".id") in ids), None)

    def anchor(self, rule: Rule) -> str | None:
        """The `.id` that `rule` must be placed before, None for the end of the list. Never a rule of ours."""
        for row in self._foreign(rule.chain):
            if rule.before == "drop" and self._drops(row):
                return row[".id"]
            if rule.before == "accept" and (self._drops(row) or _accepts_freely(row)):
                return row[".id"]
            if rule.before == "masquerade" and row.get("action") not in ("accept", "passthrough", "log"):
                return row[".id"]
        return None

    def _foreign(self, chain: str) -> list[Row]:
        return [
            row
            for row in self._rows
            if row.get("chain") == chain and not is_yes(row, "dynamic") and owner(row, self._overlay) is None
        ]

    def _drops(self, row: Row) -> bool:
        jumps = row.get("action") == "jump" and row.get("jump-target") in self._dropping
        return row.get("action") in ("drop", "reject", "tarpit") or jumps

    def _placed(self, at: int, row: Row, claim: tuple[str, str]) -> bool:
        if claim[1].startswith("clamp-mss"):
            return True
        before = [
            other
            for other in self._rows[:at]
            if other.get("chain") == row.get("chain") and not is_yes(other, "disabled") and not is_yes(other, "dynamic")
        ]
        if any(owner(other, self._overlay) is None and self._hinders(other, row) for other in before):
            return False
        # Of our own rules only a management drop can be in the way, of the accepts that belong to it.
        return not any(owner(other, self._overlay) == claim and other.get("action") == "drop" for other in before)

    def _hinders(self, other: Row, row: Row) -> bool:
        if self.menu in NAT.values():
            return other.get("action") not in ("accept", "passthrough", "log", "jump", "return") and _meet(other, row)
        in_the_way = _accepts_freely(other) if row.get("action") == "drop" else self._drops(other)
        return in_the_way and _meet(other, row)


def _dropping_chains(rows: Sequence[Row]) -> frozenset[str]:
    """Names of chains in which something is dropped, also by a jump further on."""
    chains = {row.get("chain", "") for row in rows if row.get("action") in ("drop", "reject", "tarpit")}
    while (
        more := {row.get("chain", "") for row in rows if row.get("action") == "jump" and row.get("jump-target") in chains}
        - chains
    ):
        chains |= more
    return frozenset(chains)


def _accepts_freely(row: Row) -> bool:
    """An accept that lets new connections in, not only the packets of old ones."""
    states = set((row.get("connection-state") or "new").split(","))
    return row.get("action") == "accept" and "new" in states and row.get("protocol") in (None, "", "tcp")


def _meet(other: Row, row: Row) -> bool:
    """Whether a packet of `row` may be caught by `other`. False only where it certainly is not, or not in general."""
    if other.get("connection-state") == "invalid":
        return False
    for name in ("protocol", "dst-port", "in-interface", "out-interface"):
        theirs, ours = other.get(name, ""), row.get(name, "")
        if theirs and ours and not theirs.startswith("!") and not _overlap(name, theirs, ours):
            return False
    # A block list of the operator's own (`src-address-list=banned`) is meant to win; `!allowed` drops everybody else.
    listed = other.get("src-address-list", "")
    return not listed or listed.startswith("!")


def _overlap(name: str, theirs: str, ours: str) -> bool:
    if name != "dst-port":
        return theirs == ours
    wanted = int(ours) if ours.isdigit() else -1
    for part in theirs.split(","):
        low, _, high = part.partition("-")
        if low.isdigit() and int(low) <= wanted <= int(high if high.isdigit() else low):
            return True
    return False
