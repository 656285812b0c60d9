"""The fleet-wide plan: stages, labels, what a plan says about itself. Pure and serialisable; holds no secret.

Order between routers keeps tunnels up: hubs learn before spokes switch, spokes leave before hubs forget. Order within a
router is in `order`; which routers a command is about is in `selection`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

from .changes import (
    ActivateKey,
    AddInterface,
    AddRoute,
    Batch,
    Change,
    DropStagedKey,
    Reapply,
    Reason,
    RemoveInterface,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetPeer,
    StageKey,
)
from .fingerprint import objects, subject
from .model import Configuration, Fleet, Interface, IPNetwork
from .order import claims, releases
from .selection import Selection, relevant, select

__all__ = [
    "FleetPlan",
    "PlannedRouter",
    "Selection",
    "Stage",
    "interruption",
    "labelled",
    "lan_impact",
    "order",
    "relevant",
    "select",
    "split_removals",
]

Interrupts: TypeAlias = Literal["nothing", "peer", "interface", "reboot"]
_SEVERITY: tuple[Interrupts, ...] = ("nothing", "peer", "interface", "reboot")


# ---------------------------------------------------------------------------------------------------------- stages
class Stage(NamedTuple):
    """Routers that may be written at the same time. `what`: learn (hubs, everything but removals), switch, forget."""

    what: Literal["learn", "switch", "forget"]
    routers: tuple[str, ...]


def split_removals(changes: Iterable[Change]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What a hub does before the spokes switch, and the removals of peers and routes that wait until they have.

    A removal does not wait if something else needs what it frees (a router's new key takes over its allowed IPs).
    """
    changes = tuple(changes)
    needed = {token for change in changes for token in claims(change)}
    waits = [isinstance(change, RemovePeer | RemoveRoute) and releases(change).isdisjoint(needed) for change in changes]
    first = tuple(change for change, late in zip(changes, waits, strict=True) if not late)
    return first, tuple(change for change, late in zip(changes, waits, strict=True) if late)


def order(fleet: Fleet, changes: Mapping[str, Sequence[Change]]) -> tuple[Stage, ...]:
    """The stages of a run in which these routers have changes: hubs learn, the others switch, hubs forget."""
    parts = {name: split_removals(own) for name, own in changes.items() if fleet.routers[name].role == "hub"}
    named = [name for name in fleet.routers if changes.get(name)]
    stages = (
        Stage("learn", tuple(name for name in named if name in parts and parts[name][0])),
        Stage("switch", tuple(name for name in named if name not in parts)),
        Stage("forget", tuple(name for name in named if name in parts and parts[name][1])),
    )
    return tuple(stage for stage in stages if stage.routers)


# ---------------------------------------------------------------------------------------------------------- labels
def labelled(changes: Iterable[Change], last_confirmed: Configuration | Mapping[str, str] | None) -> tuple[Change, ...]:
    """The same changes, each with its reason: `intent` if the inventory moved since the last confirmed sync, else `drift`.

    `last_confirmed` is the state confirmed then, or what `fingerprint.objects` made of it; None: never, no reason is given.
    """
    if last_confirmed is None:
        return tuple(changes)
    known: dict[str, str] = {}
    for name, value in last_confirmed.items():
        if isinstance(value, Interface):
            known |= objects({name: value}, value.mark.overlay if value.mark else "")
        else:
            known[name] = value
    return tuple(replace(change, reason=_reason(change, known)) for change in changes)


def _reason(change: Change, known: Mapping[str, str]) -> Reason:
    if isinstance(change, Reapply | DropStagedKey):
        return "drift"
    if isinstance(change, StageKey | ActivateKey):
        return "intent"
    identity, wanted = subject(change)
    if isinstance(change, AddInterface):
        return "drift" if identity in known else "intent"  # it was there and is gone
    if not wanted:
        return "intent" if identity in known else "drift"
    return "drift" if known.get(identity) == wanted else "intent"


# ------------------------------------------------------------------------------------------------------------ plan
def interruption(changes: Iterable[Change]) -> Interrupts:
    """The least that these changes interrupt on any vendor; a driver's steps may interrupt more."""
    worst: Interrupts = "nothing"
    for change in changes:
        match change:
            case AddInterface() | RemoveInterface() | ActivateKey():
                one: Interrupts = "interface"
            case SetInterface():
                one = "interface" if change.old.listen_port != change.wanted.listen_port else "nothing"
            case RemovePeer():
                one = "peer"
            case SetPeer():
                one = "peer" if change.differing & {"preshared_key", "endpoint", "disabled"} else "nothing"
            case _:
                one = "nothing"
        worst = max(worst, one, key=_SEVERITY.index)
    return worst


@dataclass(frozen=True, slots=True)
class PlannedRouter:
    """What one router has before it: `batches` as they will be sent, and what is said about the rest.

    `outcome` is `changes`, `in sync`, `not enrolled`, `pending`, `failed` or `refused`.
    """

    name: str
    role: str
    outcome: str
    batches: tuple[Batch, ...] = ()
    interrupts: Interrupts = "nothing"
    claims: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in order."""
        return tuple(change for batch in self.batches for change in batch)

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: changes as the lines that people read."""
        return {
            "name": self.name,
            "role": self.role,
            "outcome": self.outcome,
            "interrupts": self.interrupts,
            "batches": [[{"text": str(change), "reason": change.reason} for change in batch] for batch in self.batches],
            "claims": list(self.claims),
            "foreign": list(self.foreign),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Everything a run would do: routers by name in file order, and the stages in which they are written."""

    overlay: str
    routers: Mapping[str, PlannedRouter]
    stages: tuple[Stage, ...] = ()
    not_enrolled: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what would be written and in which order; notes and foreign things do not count."""
        content = [
            self.overlay,
            [[stage.what, *stage.routers] for stage in self.stages],
            [[name, [[str(change) for change in batch] for batch in one.batches]] for name, one in self.routers.items()],
        ]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "overlay": self.overlay,
            "fingerprint": self.fingerprint,
            "stages": [{"what": stage.what, "routers": list(stage.routers)} for stage in self.stages],
            "routers": [router.to_dict() for router in self.routers.values()],
            "not_enrolled": list(self.not_enrolled),
            "notes": list(self.notes),
        }


def lan_impact(fleet: Fleet, changes: Mapping[str, Sequence[Change]]) -> str:
    """The sentence that says on how many spokes LANs of other routers are written one by one; empty if on none.

    `changes` are those of each router. With `lan_supernets` a new branch changes the hubs and nothing else.
    """
    if fleet.overlay.topology != "hub-and-spoke" or fleet.overlay.links is not None:
        return ""
    lans = {lan for router in fleet.routers.values() for lan in router.lans}
    spokes = [
        name
        for name, own in changes.items()
        if fleet.routers[name].role != "hub" and any(_carries(change, lans) for change in own)
    ]
    if not spokes:
        return ""
    return (
        f"LANs of other routers are written on {len(spokes)} {'spoke' if len(spokes) == 1 else 'spokes'}; "
        "with `lan_supernets:` that cover them a new LAN changes the hubs and nothing else"
    )


def _carries(change: Change, lans: set[IPNetwork]) -> bool:
    if isinstance(change, SetPeer):
        return not lans.isdisjoint(change.wanted.allowed_ips - change.old.allowed_ips)
    return isinstance(change, AddRoute) and change.wanted.prefix in lans
