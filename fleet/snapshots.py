"""Configurations as plain data without secrets, for keeping what a sync confirmed. Pure.

A preshared key is kept as the epoch of its recipe and derived again; of keys there are public halves only. A key that waits
on a router is not part of what was confirmed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, assert_never

from .fingerprint import fingerprint
from .model import (
    ClampMss,
    Configuration,
    DerivedKey,
    Endpoint,
    Forward,
    Interface,
    IPNetwork,
    KeyOf,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Route,
    sorted_networks,
)

Plain: TypeAlias = dict[str, Any]
FORMAT = 1


def snapshot_id(configuration: Configuration, overlay: str) -> str:
    """What tells this desired state from every other: its fingerprint and what fleet leaves to others."""
    unmanaged = sorted(aspect for interface in configuration.values() for aspect in interface.unmanaged)
    return hashlib.sha256(f"{fingerprint(configuration, overlay)} {unmanaged}".encode()).hexdigest()[:32]


def dump(configuration: Configuration) -> str:
    """JSON of a desired state: preshared keys not derived yet, or absent."""
    content = {"format": FORMAT, "interfaces": [_interface(interface) for interface in configuration.values()]}
    return json.dumps(content, separators=(",", ":"))


def load(text: str) -> Configuration:
    """The same desired state again. Raises ValueError for what another version of fleet wrote in another way."""
    content = json.loads(text)
    if content.get("format") != FORMAT:
        raise ValueError(f"format {content.get('format')} is not known")
    return {item["name"]: _read_interface(item) for item in content["interfaces"]}


# ------------------------------------------------------------------------------------------------------ to plain
def _interface(interface: Interface) -> Plain:
    return {
        "name": interface.name,
        "public_key": interface.public_key if isinstance(interface.public_key, PublicKey) else None,
        "listen_port": interface.listen_port,
        "mtu": interface.mtu,
        "addresses": sorted(map(str, interface.addresses)),
        "peers": [_peer(peer) for peer in interface.peers.values()],
        "routes": [[str(route.prefix), _text(route.mark)] for route in interface.routes.values()],
        "openings": [_opening(opening) for opening in interface.openings.values()],
        "reresolve": interface.reresolve,
        "mark": _text(interface.mark),
        "unmanaged": sorted(interface.unmanaged),
    }


def _peer(peer: Peer) -> Plain:
    return {
        "public_key": peer.public_key,
        "allowed_ips": _texts(peer.allowed_ips),
        "endpoint": _text(peer.endpoint),
        "persistent_keepalive": peer.persistent_keepalive,
        "preshared_epoch": peer.preshared_key.epoch if isinstance(peer.preshared_key, DerivedKey) else None,
        "mark": _text(peer.mark),
    }


def _opening(opening: Opening) -> list[object]:
    match opening:
        case ListenPort():
            return ["listen-port", opening.port, _text(opening.source)]
        case Forward():
            return ["forward", opening.source, opening.target, _texts(opening.prefixes)]
        case NoMasquerade():
            return ["no-masquerade", _texts(opening.prefixes)]
        case ClampMss():
            return ["clamp-mss", opening.mtu]
        case Management():
            return ["management", opening.port, _texts(opening.sources)]
        case _:
            assert_never(opening)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(prefixes: Iterable[IPNetwork]) -> list[str]:
    return [str(prefix) for prefix in sorted_networks(frozenset(prefixes))]


# ---------------------------------------------------------------------------------------------------- from plain
def _read_interface(item: Plain) -> Interface:
    peers = [_read_peer(peer) for peer in item["peers"]]
    routes = [Route(ipaddress.ip_network(prefix), _mark(mark)) for prefix, mark in item["routes"]]
    openings = [_read_opening(*opening) for opening in item["openings"]]
    mark = _mark(item["mark"])
    return Interface(
        name=item["name"],
        public_key=PublicKey(item["public_key"]) if item["public_key"] else KeyOf(mark.name if mark else ""),
        listen_port=item["listen_port"],
        mtu=item["mtu"],
        addresses=frozenset(map(ipaddress.ip_interface, item["addresses"])),
        peers={peer.public_key: peer for peer in peers},
        routes={route.prefix: route for route in routes},
        openings={opening.identity: opening for opening in openings},
        reresolve=item["reresolve"],
        mark=mark,
        unmanaged=frozenset(item["unmanaged"]),
    )


def _read_peer(item: Mapping[str, Any]) -> Peer:
    return Peer(
        public_key=PublicKey(item["public_key"]),
        allowed_ips=_prefixes(item["allowed_ips"]),
        endpoint=Endpoint.parse(item["endpoint"]) if item["endpoint"] else None,
        persistent_keepalive=item["persistent_keepalive"],
        preshared_key=None if item["preshared_epoch"] is None else DerivedKey(item["preshared_epoch"]),
        mark=_mark(item["mark"]),
    )


def _read_opening(kind: str, *values: Any) -> Opening:
    match kind:
        case "listen-port":
            return ListenPort(values[0], ipaddress.ip_network(values[1]) if values[1] else None)
        case "forward":
            return Forward(values[0], values[1], _prefixes(values[2]))
        case "no-masquerade":
            return NoMasquerade(_prefixes(values[0]))
        case "clamp-mss":
            return ClampMss(values[0])
        case "management":
            return Management(values[0], _prefixes(values[1]))
        case _:
            raise ValueError(f"opening {kind} is not known")


def _mark(text: str | None) -> Mark | None:
    return Mark.find(text) if text else None


def _prefixes(texts: Iterable[str]) -> frozenset[IPNetwork]:
    return frozenset(map(ipaddress.ip_network, texts))
