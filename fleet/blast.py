"""The blast radius of a plan: removals so wide that a typing error explains them better than an intention. Pure.

Each refusal names its numbers and the flag. What interrupts a peer counts as its removal: for the site behind it there is no
difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .changes import AddPeer, Change, RemoveInterface, RemovePeer
from .model import Configuration, Fleet, PublicKey

PEERS_SHARE, PEERS_LEAST = 0.30, 3
ROUTERS_SHARE, ROUTERS_LEAST = 0.10, 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason to ask for `--force`."""

    summary: str

    def __str__(self) -> str:
        return f"{self.summary}; if that is meant: --force"


def refusals(
    fleet: Fleet,
    changes: Mapping[str, Sequence[Change]],
    stored: Mapping[str, Configuration],
    consented: frozenset[str] = frozenset(),
) -> list[Refusal]:
    """Why these changes (by router) to these configurations (as read) need `--force`; empty if they do not.

    `consented` are routers whose removal was itself what the command asked for.
    """
    removed = {name: _removed(own, consented) for name, own in changes.items()}
    return [
        *_per_interface(removed, stored),
        *_per_fleet(fleet, removed),
        *_last_paths(fleet, changes, stored),
        *_hubs(fleet, removed),
    ]


def _removed(changes: Sequence[Change], consented: frozenset[str]) -> list[RemovePeer]:
    return [change for change in changes if isinstance(change, RemovePeer) and _label(change) not in consented]


def _label(change: RemovePeer) -> str:
    return change.old.mark.name if change.old.mark else ""


def _per_interface(removed: Mapping[str, list[RemovePeer]], stored: Mapping[str, Configuration]) -> list[Refusal]:
    found = []
    for name, own in removed.items():
        for interface in {change.interface for change in own}:
            gone = sum(change.interface == interface for change in own)
            present = len(stored[name][interface].peers) if interface in stored.get(name, {}) else gone
            if gone >= PEERS_LEAST and gone > PEERS_SHARE * present:
                share = f"{gone * 100 // max(present, 1)} %"
                found.append(
                    Refusal(f"{name}: {gone} of {present} peers of {interface} would be removed ({share}, limit 30 %)")
                )
    return found


def _per_fleet(fleet: Fleet, removed: Mapping[str, list[RemovePeer]]) -> list[Refusal]:
    leaving = {_label(change) for own in removed.values() for change in own} - {""}
    # A router that only loses one of several tunnels is not leaving; one that is gone from the inventory is.
    gone = {name for name in leaving if name not in fleet.routers or not fleet.routers[name].enabled}
    whole = len(fleet.enabled) + len(gone)
    if len(gone) >= ROUTERS_LEAST and len(gone) > ROUTERS_SHARE * whole:
        return [
            Refusal(
                f"{len(gone)} of {whole} routers would leave the fleet ({len(gone) * 100 // whole} %, limit 10 %): "
                + ", ".join(sorted(gone)[:5])
                + (" and more" if len(gone) > 5 else "")
            )
        ]
    return []


def _last_paths(fleet: Fleet, changes: Mapping[str, Sequence[Change]], stored: Mapping[str, Configuration]) -> list[Refusal]:
    """Enabled routers that would have no peer left although they have some now."""
    found = []
    for name, own in changes.items():
        if not fleet.routers[name].enabled:
            continue
        for interface in stored.get(name, {}).values():
            ours = {key for key, peer in interface.peers.items() if peer.mark and peer.mark.overlay == fleet.overlay.name}
            left = _left(ours, own, interface.name)
            if ours and not left:
                found.append(Refusal(f"{name}: its last tunnel on {interface.name} would be removed"))
    return found


def _left(ours: set[PublicKey], changes: Sequence[Change], interface: str) -> set[PublicKey]:
    left = set(ours)
    for change in changes:
        if change.interface != interface:
            continue
        if isinstance(change, RemovePeer):
            left.discard(change.old.public_key)
        elif isinstance(change, RemoveInterface):
            left.clear()
        elif isinstance(change, AddPeer):
            left.add(change.wanted.public_key)
    return left


def _hubs(fleet: Fleet, removed: Mapping[str, list[RemovePeer]]) -> list[Refusal]:
    hubs = {router.name for router in fleet.routers.values() if router.role == "hub"}
    losing: dict[str, int] = {}
    for own in removed.values():
        for hub in {_label(change) for change in own} & hubs:
            losing[hub] = losing.get(hub, 0) + 1
    return [Refusal(f"hub {hub} would be removed from {count} routers") for hub, count in sorted(losing.items())]
