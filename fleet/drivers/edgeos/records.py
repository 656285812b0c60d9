"""What fleet keeps beside the configuration, in /config/user-data/fleet.

Who is at the other end of a route, which has no place for a mark here, and what was opened, also where nothing had to be
written because nothing was closed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from ...model import (
    ClampMss,
    Forward,
    IPNetwork,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    Route,
    sorted_networks,
)


@dataclass(frozen=True, slots=True)
class Records:
    """Of one interface: marks of routes by prefix, openings by identity."""

    routes: Mapping[IPNetwork, Mark] = field(default_factory=dict)
    openings: Mapping[str, Opening] = field(default_factory=dict)


def read_records(lines: Iterable[str]) -> Records:
    """The whole file is ours, so a broken line is no error: what is missing is written again."""
    routes: dict[IPNetwork, Mark] = {}
    openings: dict[str, Opening] = {}
    for line in lines:
        kind, *words = line.split()
        try:
            if kind == "route":
                mark = Mark.find(words[1])
                if mark is not None:
                    routes[ipaddress.ip_network(words[0])] = mark
            else:
                opening = _opening(kind, words)
                openings[opening.identity] = opening
        except (ValueError, IndexError):
            continue
    return Records(routes, openings)


def write_records(routes: Iterable[Route], openings: Iterable[Opening]) -> list[str]:
    """Lines in one order, whatever the order of what is recorded."""
    lines = [f"route {route.prefix} {route.mark}" for route in routes if route.mark is not None]
    return sorted([*lines, *map(_line, openings)])


def _opening(kind: str, words: list[str]) -> Opening:
    match kind:
        case "listen-port":
            return ListenPort(int(words[0]), ipaddress.ip_network(words[1]) if len(words) > 1 else None)
        case "forward":
            if words[0] not in ("tunnel", "lan") or words[1] not in ("tunnel", "lan"):
                raise ValueError(kind)
            source, target = ("lan" if word == "lan" else "tunnel" for word in words[:2])
            return Forward(source, target, _prefixes(words[2:]))  # type: ignore[arg-type]  # checked above
        case "no-masquerade":
            return NoMasquerade(_prefixes(words))
        case "clamp-mss":
            return ClampMss(int(words[0]))
        case "management":
            return Management(int(words[0]), _prefixes(words[1:]))
    raise ValueError(kind)


def _line(opening: Opening) -> str:
    match opening:
        case ListenPort():
            words = ["listen-port", str(opening.port), *([str(opening.source)] if opening.source else [])]
        case Forward():
            words = ["forward", opening.source, opening.target, *_texts(opening.prefixes)]
        case NoMasquerade():
            words = ["no-masquerade", *_texts(opening.prefixes)]
        case ClampMss():
            words = ["clamp-mss", str(opening.mtu)]
        case Management():
            words = ["management", str(opening.port), *_texts(opening.sources)]
        case _:
            assert_never(opening)
    return " ".join(words)


def _texts(prefixes: frozenset[IPNetwork]) -> list[str]:
    return [str(prefix) for prefix in sorted_networks(prefixes)]


def _prefixes(words: Iterable[str]) -> frozenset[IPNetwork]:
    return frozenset(map(ipaddress.ip_network, words))
