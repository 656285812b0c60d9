"""What a plan says about changes: which wait for other routers, why they are due, what they interrupt. Pure.

Order between routers keeps tunnels up: hubs learn before spokes switch, spokes leave before hubs forget. Order within a
router is in `order`; which routers a command is about is in `selection`; in which waves they are written is in `waves`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from .changes import (
    ActivateKey,
    AddInterface,
    AddRoute,
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

Interrupts: TypeAlias = Literal["nothing", "peer", "interface", "reboot"]
_SEVERITY: tuple[Interrupts, ...] = ("nothing", "peer", "interface", "reboot")


# ---------------------------------------------------------------------------------------------------------- stages
def split_removals(changes: Iterable[Change]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """What a hub does before the spokes switch, and the removals of peers and routes that wait until they have.

    A removal does not wait if something else needs what it frees (a router's new key takes over its allowed IPs).
    """
    changes = tuple(changes)
    needed = {token for change in changes for token in claims(change)}
    waits = [isinstance(change, RemovePeer | RemoveRoute) and releases(change).isdisjoint(needed) for change in changes]
    first = tuple(change for change, late in zip(changes, waits, strict=True) if not late)
    return first, tuple(change for change, late in zip(changes, waits, strict=True) if late)


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
