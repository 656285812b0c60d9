"""Observed against desired: what must change, what is claimed, what is foreign and stays, what must be refused. Pure.

Ours is what carries our overlay's mark. An unmarked interface is claimed if something in it equals the intent (its key, an
address, a peer); an unmarked peer of our interface if its public key is one of ours, because a key is an identity; an
unmarked route if its prefix is wanted. Everything else without our mark is foreign: reported, never changed. Addresses and
openings have no mark of their own and belong to the interface they are on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    DropStagedKey,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetOpening,
    SetPeer,
    SetRoute,
    StageKey,
    same,
)
from .effect import apply_changes
from .fingerprint import fingerprint, objects
from .model import (
    Configuration,
    Interface,
    KeyOf,
    PublicKey,
)
from .order import batches
from .ours import PEER, SCALARS, Found, addresses, in_order, keep_strangers, managed
from .running import reapplied

if TYPE_CHECKING:
    from .driver import Limits

__all__ = ["Diff", "apply_changes", "batches", "diff", "fingerprint", "objects"]


@dataclass(frozen=True, slots=True)
class Diff:
    """What separates one router from the intent.

    changes       in a stable order; `batches` says how they may be sent
    claims        unmarked things that are taken over, as sentences
    foreign       things of others on or beside our interfaces, kept
    conflicts     why nothing may be written here, each with the cure
    key_mismatch  the key seen is not the known one, as a sentence; empty if it is
    """

    changes: tuple[Change, ...] = ()
    claims: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    key_mismatch: str = ""


def diff(
    stored: Configuration,
    running: Configuration | None,
    desired: Configuration,
    overlay: str,
    *,
    limits: Limits,
    pinned_endpoints: frozenset[str] = frozenset(),
) -> Diff:
    """What must change so that `stored` and `running` equal `desired`, which is already fitted to the vendor.

    `running` None: the vendor shows only one view. `pinned_endpoints` are routers whose running endpoint must not roam.
    """
    found = Found(overlay, limits)
    for name, wanted in desired.items():
        observed = stored.get(name)
        if not _may_own(observed or (running or {}).get(name), wanted, found):
            continue
        if observed is None:
            found.changes += _created(wanted, found)
            continue
        before = len(found.changes)
        _compare(observed, wanted, found)
        if running is not None:
            kept = tuple(found.changes[before:])
            found.changes += reapplied(running.get(name), observed, wanted, kept, found, pinned_endpoints)
    for name, observed in {**(running or {}), **stored}.items():
        if name not in desired:
            _unwanted(observed, found)
    return Diff(tuple(found.changes), tuple(found.claims), tuple(found.foreign), tuple(found.conflicts), found.key_mismatch)


# ----------------------------------------------------------------------------------------------------- interfaces
def _may_own(observed: Interface | None, wanted: Interface, found: Found) -> bool:
    """True if the interface is ours, claimed, or free to be made; else a conflict is noted."""
    if observed is None or found.ours(observed.mark):
        return True
    if observed.mark is not None:
        found.conflicts.append(
            f"interface {observed.name} belongs to fleet overlay {observed.mark.overlay}: "
            "give one of the two another `interface:` name"
        )
        return False
    if equal := _recognised(observed, wanted):
        found.claims.append(f"interface {observed.name}: unmarked, taken over because {equal} equals the intent")
        return True
    found.conflicts.append(
        f"interface {observed.name} exists, is not marked as ours and nothing in it equals the intent: "
        "set another `interface:` in the inventory, or remove it from the router"
    )
    return False


def _recognised(observed: Interface, wanted: Interface) -> str:
    """What in an unmarked interface equals the intent, in a few words; empty if nothing does."""
    if observed.public_key is not None and observed.public_key == wanted.public_key:
        return "its key"
    if common := observed.addresses & wanted.addresses:
        return f"address {min(map(str, common))}"
    if peers := [wanted.peers[key].label for key in observed.peers if key in wanted.peers]:
        return f"peer {min(peers)}"
    return ""


def _unwanted(observed: Interface, found: Found) -> None:
    peers = len(observed.peers)
    if not found.ours(observed.mark):
        found.foreign.append(f"interface {observed.name} ({peers} {'peer' if peers == 1 else 'peers'})")
        return
    strangers = [peer.label for peer in observed.peers.values() if not found.ours(peer.mark)]
    if strangers:
        found.conflicts.append(
            f"interface {observed.name} is not wanted any more and holds peers of others ({', '.join(sorted(strangers)[:3])}): "
            "move them to another interface, then sync again"
        )
        return
    found.changes.append(RemoveInterface(interface=observed.name, old=observed))


def _bare(wanted: Interface) -> Interface:
    """A new interface as AddInterface makes it: key, port, MTU, mark."""
    return replace(
        wanted, addresses=frozenset(), peers={}, routes={}, openings={}, reresolve=False, staged_key=None, disabled=False
    )


def _created(wanted: Interface, found: Found) -> list[Change]:
    bare = _bare(wanted)
    inside = Found(found.overlay, found.limits)
    _compare(bare, wanted, inside)
    return [AddInterface(interface=wanted.name, wanted=bare), *inside.changes]


def _compare(observed: Interface, wanted: Interface, found: Found) -> None:
    """Note every change that makes what is stored of one interface equal to the intent."""
    _compare_key(observed, wanted, found)
    if "resolve" in wanted.unmanaged:
        wanted = replace(wanted, reresolve=observed.reresolve)
    if any(getattr(observed, name) != getattr(wanted, name) for name in SCALARS):
        found.changes.append(SetInterface(interface=wanted.name, old=observed, wanted=wanted))
    have = addresses(observed, wanted)
    found.changes += [AddAddress(interface=wanted.name, address=it) for it in in_order(wanted.addresses - have)]
    found.changes += [RemoveAddress(interface=wanted.name, address=it) for it in in_order(have - wanted.addresses)]
    _compare_peers(observed, wanted, found)
    if "routes" not in wanted.unmanaged and found.limits.routes != "derived":
        _compare_routes(observed, wanted, found)
    _compare_openings(observed, wanted, found)


def _compare_key(observed: Interface, wanted: Interface, found: Found) -> None:
    name, seen, staged, want = wanted.name, observed.public_key, observed.staged_key, wanted.public_key
    if seen is None and isinstance(want, KeyOf) and isinstance(staged, PublicKey):
        found.changes.append(ActivateKey(interface=name, key=staged))
        return
    if seen is None and isinstance(want, KeyOf) and found.limits.stages_keys:
        found.changes.append(StageKey(interface=name, key=want))
        return
    if seen is None and isinstance(want, KeyOf):
        found.conflicts.append(f"interface {name} has no private key: remove it from the router, then sync again")
    if isinstance(want, PublicKey) and seen != want:
        if staged == want:
            found.changes.append(ActivateKey(interface=name, key=want))
            staged = None
        else:
            shown = f"has key {seen[:8]}..." if isinstance(seen, PublicKey) else "shows no key"
            found.key_mismatch = f"interface {name} {shown}, pinned is {want[:8]}..."
    if staged == wanted.staged_key or (staged is not None and isinstance(wanted.staged_key, KeyOf)):
        return
    if staged is not None:
        found.changes.append(DropStagedKey(interface=name, key=staged if isinstance(staged, PublicKey) else None))
    if wanted.staged_key is not None:
        found.changes.append(StageKey(interface=name, key=wanted.staged_key))


# ---------------------------------------------------------------------------------------- inside an interface
def _compare_peers(observed: Interface, wanted: Interface, found: Found) -> None:
    name = wanted.name
    for key, want in wanted.peers.items():
        have = observed.peers.get(key)
        if have is None:
            found.changes.append(AddPeer(interface=name, wanted=want))
        elif have.mark is not None and not found.ours(have.mark):
            found.conflicts.append(
                f"peer {want.label} on {name} is marked {have.mark}: one key cannot be in two overlays on one interface"
            )
        elif have != want and any(not same(attribute, have, want) for attribute in PEER):
            if have.mark is None:
                found.claims.append(f"peer {want.label} on {name}: unmarked, taken over by its public key")
            found.changes.append(SetPeer(interface=name, old=have, wanted=want))
    strangers = []
    for key, have in observed.peers.items():
        if key in wanted.peers:
            continue
        if found.ours(have.mark):
            found.changes.append(RemovePeer(interface=name, old=have))
        else:
            strangers.append(have)
    keep_strangers(strangers, wanted, found)


def _compare_routes(observed: Interface, wanted: Interface, found: Found) -> None:
    name = wanted.name
    for prefix, want in wanted.routes.items():
        have = observed.routes.get(prefix)
        if have is None:
            found.changes.append(AddRoute(interface=name, wanted=want))
        elif have.mark is not None and not found.ours(have.mark):
            found.conflicts.append(f"route {prefix} via {name} is marked {have.mark}: one prefix cannot be in two overlays")
        elif have.mark != want.mark:
            if have.mark is None:
                found.claims.append(f"route {prefix} via {name}: unmarked, taken over because it is wanted")
            found.changes.append(SetRoute(interface=name, old=have, wanted=want))
    for prefix, have in observed.routes.items():
        if prefix in wanted.routes:
            continue
        if found.ours(have.mark):
            found.changes.append(RemoveRoute(interface=name, old=have))
        else:
            found.foreign.append(f"route {prefix} via {name}")


def _compare_openings(observed: Interface, wanted: Interface, found: Found) -> None:
    name = wanted.name
    for want in managed(wanted.openings.values(), wanted):
        have = observed.openings.get(want.identity)
        if have is None:
            found.changes.append(AddOpening(interface=name, wanted=want))
        elif have != want:
            found.changes.append(SetOpening(interface=name, old=have, wanted=want))
    for have in managed(observed.openings.values(), wanted):
        if have.identity not in wanted.openings:
            found.changes.append(RemoveOpening(interface=name, old=have))
