"""What a command found or did, as plain values, and how they become exit codes, text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal[
    "in sync",
    "changes",
    "changed",
    "waiting",
    "not enrolled",
    "pending",
    "failed",
    "refused",
    "rolled back",
    "left",
    "suspended",
]

EXIT: dict[str, int] = {
    "in sync": 0,
    "changed": 0,
    "left": 0,
    "suspended": 0,
    "changes": 2,
    "waiting": 6,
    "not enrolled": 6,
    "pending": 6,
    "failed": 1,
    "refused": 4,
    "rolled back": 5,
}
PRECEDENCE = (3, 4, 5, 1, 6, 2, 0)
"""Which exit code wins when several apply."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change as people and pipelines see it: `sign` is +, ~ or -; `reason` is intent, drift or empty."""

    sign: str
    text: str
    reason: str = ""
    subject: str = field(default="", compare=False)
    """Which object, and what it should become, for the fingerprint of a plan: keys count there and are not shown."""

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"sign": self.sign, "text": self.text, "reason": self.reason}


@dataclass(slots=True)
class RouterReport:
    """What became of one router. `summary` and `hint` are the two lines of an error or refusal, empty without one.

    `included` names the router for whose sake this one is in the selection; `confirmed` is when (UTC) the last sync before this
    command was confirmed, which is what `intent` and `drift` compare with.
    """

    router: str
    driver: str
    role: str
    outcome: Outcome
    changes: tuple[ChangeLine, ...] = ()
    notes: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    summary: str = ""
    hint: str = ""
    seconds: float = 0.0
    included: str = ""
    interrupts: str = "nothing"
    version: str = ""
    confirmed: str = ""

    def to_dict(self) -> dict[str, object]:
        """JSON-ready, secret-free by construction."""
        return {
            "router": self.router,
            "driver": self.driver,
            "role": self.role,
            "version": self.version,
            "outcome": self.outcome,
            "changes": [change.to_dict() for change in self.changes],
            "notes": list(self.notes),
            "native": list(self.native),
            "summary": self.summary,
            "hint": self.hint,
            "seconds": round(self.seconds, 3),
            "included_for": self.included,
            "interrupts": self.interrupts,
            "confirmed": self.confirmed,
        }


@dataclass(slots=True)
class FleetReport:
    """The result of `plan` or `sync`."""

    command: str
    overlay: str
    routers: list[RouterReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_enrolled: list[str] = field(default_factory=list)
    run: str = ""
    fingerprint: str = ""
    seconds: float = 0.0

    def exit_code(self, *, pending_ok: bool = False) -> int:
        """The exit code of section "Exit codes" in the README; for a plan, waiting and not enrolled change nothing."""
        ignored = {"waiting", "not enrolled", "pending"} if pending_ok or self.command == "plan" else set()
        return worst(EXIT[router.outcome] for router in self.routers if router.outcome not in ignored)

    def count(self, outcome: str) -> int:
        """How many routers ended so."""
        return sum(router.outcome == outcome for router in self.routers)

    def to_dict(self, *, pending_ok: bool = False) -> dict[str, object]:
        """JSON-ready, secret-free by construction."""
        return {
            "command": self.command,
            "overlay": self.overlay,
            "run": self.run,
            "fingerprint": self.fingerprint,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code(pending_ok=pending_ok),
            "routers": [router.to_dict() for router in self.routers],
            "not_enrolled": list(self.not_enrolled),
            "notes": list(self.notes),
        }


def worst(codes: Iterable[int]) -> int:
    """The code that wins among several: 3, 4, 5, 1, 6, 2, 0."""
    return min(codes, key=PRECEDENCE.index, default=0)


def sentence(routers: Sequence[RouterReport]) -> str:
    """`3 changed, 1 pending, 12 in sync`, in order of what an operator must look at first."""
    order = ("refused", "failed", "rolled back", "pending", "waiting", "not enrolled", "changes", "changed", "in sync")
    counted = [(outcome, sum(router.outcome == outcome for router in routers)) for outcome in order]
    said = [f"{number} {'with changes' if outcome == 'changes' else outcome}" for outcome, number in counted if number]
    return ", ".join(said) or "no routers"
