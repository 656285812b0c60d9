"""Fingerprints of what is ours in a configuration: no handshakes, no foreign objects, no secrets. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from .model import Configuration, Peer, sorted_networks


def objects(configuration: Configuration, overlay: str) -> dict[str, str]:
    """A short fingerprint of every object of ours by its identity (`wg0 peer KEY`), free of secrets and JSON-ready."""
    return {
        identity: hashlib.sha256(_canonical(content)).hexdigest()[:16]
        for identity, content in _described(configuration, overlay)
    }


def fingerprint(configuration: Configuration, overlay: str) -> str:
    """SHA-256 over everything of ours in a configuration. Preshared keys count as present or absent, parked as empty."""
    return hashlib.sha256(_canonical(sorted(_described(configuration, overlay)))).hexdigest()


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _described(configuration: Configuration, overlay: str) -> Iterator[tuple[str, object]]:
    for interface in configuration.values():
        if interface.mark is None or interface.mark.overlay != overlay:
            continue
        name = interface.name
        yield name, [interface.listen_port, interface.mtu, str(interface.mark), interface.disabled, interface.reresolve]
        yield f"{name} key", [str(interface.public_key), str(interface.staged_key)]
        yield from ((f"{name} address {address}", []) for address in interface.addresses)
        for peer in interface.peers.values():
            if peer.mark is not None and peer.mark.overlay == overlay:
                yield f"{name} peer {peer.public_key}", _plain_peer(peer)
        for route in interface.routes.values():
            if route.mark is not None and route.mark.overlay == overlay:
                yield f"{name} route {route.prefix}", [str(route.mark)]
        yield from ((f"{name} opening {opening.identity}", [str(opening)]) for opening in interface.openings.values())


def _plain_peer(peer: Peer) -> list[object]:
    return [
        [] if peer.parked else [str(prefix) for prefix in sorted_networks(peer.allowed_ips)],
        str(peer.endpoint),
        peer.persistent_keepalive,
        peer.preshared_key is not None,
        str(peer.mark),
        peer.disabled,
    ]
