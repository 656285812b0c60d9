"""What a router runs against what it stores and should: the difference that only a reload mends. Pure.

A kernel's view has no marks, and its endpoints are wherever the last packet came from: neither is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias, assert_never

from .changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    DropStagedKey,
    Reapply,
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
from .model import Interface, Peer
from .ours import Found, addresses, in_order, keep_strangers, managed


def reapplied(
    running: Interface | None,
    stored: Interface,
    wanted: Interface,
    changes: tuple[Change, ...],
    found: Found,
    pinned_endpoints: frozenset[str],
) -> list[Change]:
    """One Reapply if the router runs something else than it stores, beyond what `changes` are about to write anyway."""
    if running is None:
        return [Reapply(interface=wanted.name, what=("the interface is not up",))]
    touched = {_subject(change) for change in changes}
    what = [
        *(text for subject, text in _differing_scalars(running, stored, wanted) if subject not in touched),
        *(
            text
            for subject, text in _differing_peers(running, stored, wanted, found, pinned_endpoints)
            if subject not in touched
        ),
        *(text for subject, text in _differing_rest(running, wanted, found) if subject not in touched),
    ]
    return [Reapply(interface=wanted.name, what=tuple(what))] if what else []


_Subject: TypeAlias = "tuple[str, object]"


def _subject(change: Change) -> _Subject:
    """What a change is about, in the terms in which a running view is compared."""
    match change:
        case AddAddress() | RemoveAddress():
            return "address", change.address
        case AddPeer() | SetPeer():
            return "peer", change.wanted.public_key
        case RemovePeer():
            return "peer", change.old.public_key
        case AddRoute() | SetRoute():
            return "route", change.wanted.prefix
        case RemoveRoute():
            return "route", change.old.prefix
        case AddOpening() | SetOpening():
            return "opening", change.wanted.identity
        case RemoveOpening():
            return "opening", change.old.identity
        case StageKey() | ActivateKey() | DropStagedKey():
            return "key", ""
        case AddInterface() | SetInterface() | RemoveInterface() | Reapply():
            return "interface", ""
        case _:
            assert_never(change)


def _differing_scalars(running: Interface, stored: Interface, wanted: Interface) -> Iterator[tuple[_Subject, str]]:
    for name, label in (("listen_port", "port"), ("mtu", "mtu"), ("disabled", "disabled")):
        runs, want = getattr(running, name), getattr(wanted, name)
        if runs is not None and runs != want:
            yield ("interface", ""), f"{label} {runs}, stored {want}"
    if "resolve" not in wanted.unmanaged and running.reresolve != wanted.reresolve:
        yield ("interface", ""), "re-resolving of endpoints is not active" if wanted.reresolve else "endpoints are re-resolved"
    if running.public_key is not None and stored.public_key is not None and running.public_key != stored.public_key:
        yield ("key", ""), "another private key is loaded"
    have = addresses(running, wanted)
    for address in in_order(wanted.addresses ^ have):
        yield ("address", address), f"address {address} {'missing' if address in wanted.addresses else 'still there'}"


def _differing_peers(
    running: Interface, stored: Interface, wanted: Interface, found: Found, pinned_endpoints: frozenset[str]
) -> Iterator[tuple[_Subject, str]]:
    for key, want in wanted.peers.items():
        runs = running.peers.get(key)
        if runs is None:
            yield ("peer", key), f"peer {want.label} missing"
        elif differing := _running_attributes(runs, want, pinned=want.label in pinned_endpoints):
            yield ("peer", key), f"peer {want.label}: {', '.join(differing)}"
    strangers = []
    for key, runs in running.peers.items():
        if key in wanted.peers:
            continue
        if found.ours(runs.mark):
            yield ("peer", key), f"peer {runs.label} still there"
        elif key not in stored.peers:
            strangers.append(runs)
    keep_strangers(strangers, wanted, found)


def _running_attributes(runs: Peer, want: Peer, *, pinned: bool) -> list[str]:
    """What differs in a kernel's view of a peer. It has no marks, and its endpoint is wherever the last packet came from."""
    runs = replace(runs, mark=want.mark)
    names = [
        name.replace("_", " ")
        for name in ("allowed_ips", "persistent_keepalive", "preshared_key", "disabled")
        if not same(name, runs, want)
    ]
    if want.endpoint is not None:
        moved = pinned and want.endpoint.ip is not None and runs.endpoint != want.endpoint
        if runs.endpoint is None or moved:
            names.append("endpoint")
    return names


def _differing_rest(running: Interface, wanted: Interface, found: Found) -> Iterator[tuple[_Subject, str]]:
    if "routes" not in wanted.unmanaged and found.limits.routes != "derived":
        for prefix in wanted.routes:
            if prefix not in running.routes:
                yield ("route", prefix), f"route {prefix} missing"
        for prefix, route in running.routes.items():
            if prefix not in wanted.routes and found.ours(route.mark):
                yield ("route", prefix), f"route {prefix} still there"
    for opening in managed(wanted.openings.values(), wanted):
        if running.openings.get(opening.identity) != opening:
            yield ("opening", opening.identity), f"not active: {opening}"
    for opening in managed(running.openings.values(), wanted):
        if opening.identity not in wanted.openings:
            yield ("opening", opening.identity), f"still active: {opening}"
