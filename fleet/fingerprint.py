"""Fingerprints of what is ours in a configuration: no handshakes, no foreign objects, no secrets. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import assert_never

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
)
from .model import Configuration, Interface, Peer, sorted_networks


def objects(configuration: Configuration, overlay: str) -> dict[str, str]:
    """A short fingerprint of every object of ours by its identity (`wg0 peer KEY`), free of secrets and JSON-ready."""
    return {identity: _short(content) for identity, content in _described(configuration, overlay)}


def fingerprint(configuration: Configuration, overlay: str) -> str:
    """SHA-256 over everything of ours in a configuration. Preshared keys count as present or absent, parked as empty."""
    return hashlib.sha256(_canonical(sorted(_described(configuration, overlay)))).hexdigest()


def subject(change: Change) -> tuple[str, str]:
    """Identity of the object a change is about, and the fingerprint it should have afterwards (empty: it should be gone)."""
    name = change.interface
    match change:
        case AddPeer() | SetPeer():
            return f"{name} peer {change.wanted.public_key}", _short(_plain_peer(change.wanted))
        case RemovePeer():
            return f"{name} peer {change.old.public_key}", ""
        case AddRoute() | SetRoute():
            return f"{name} route {change.wanted.prefix}", _short([str(change.wanted.mark)])
        case RemoveRoute():
            return f"{name} route {change.old.prefix}", ""
        case AddOpening() | SetOpening():
            return f"{name} opening {change.wanted.identity}", _short([str(change.wanted)])
        case RemoveOpening():
            return f"{name} opening {change.old.identity}", ""
        case AddAddress():
            return f"{name} address {change.address}", _short([])
        case RemoveAddress():
            return f"{name} address {change.address}", ""
        case AddInterface() | SetInterface():
            return name, _short(_plain_interface(change.wanted))
        case RemoveInterface():
            return name, ""
        case StageKey() | ActivateKey() | DropStagedKey() | Reapply():
            return f"{name} key", ""
        case _:
            assert_never(change)


def _short(content: object) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()[:16]


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _described(configuration: Configuration, overlay: str) -> Iterator[tuple[str, object]]:
    for interface in configuration.values():
        if interface.mark is None or interface.mark.overlay != overlay:
            continue
        name = interface.name
        yield name, _plain_interface(interface)
        yield f"{name} key", [str(interface.public_key), str(interface.staged_key)]
        yield from ((f"{name} address {address}", []) for address in interface.addresses)
        for peer in interface.peers.values():
            if peer.mark is not None and peer.mark.overlay == overlay:
                yield f"{name} peer {peer.public_key}", _plain_peer(peer)
        for route in interface.routes.values():
            if route.mark is not None and route.mark.overlay == overlay:
                yield f"{name} route {route.prefix}", [str(route.mark)]
        yield from ((f"{name} opening {opening.identity}", [str(opening)]) for opening in interface.openings.values())


def _plain_interface(interface: Interface) -> list[object]:
    return [interface.listen_port, interface.mtu, str(interface.mark), interface.disabled, interface.reresolve]


def _plain_peer(peer: Peer) -> list[object]:
    return [
        [] if peer.parked else [str(prefix) for prefix in sorted_networks(peer.allowed_ips)],
        str(peer.endpoint),
        peer.persistent_keepalive,
        peer.preshared_key is not None,
        str(peer.mark),
        peer.disabled,
    ]
