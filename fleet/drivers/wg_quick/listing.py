"""`fleet-<interface>.list`: routes and openings of an interface, one per line, for the router's own shell to make at start.

    mark fleet:acme:hq
    route 192.168.20.0/24 fleet:acme:mumbai
    listen-port 51820 -
    forward lan tunnel 192.168.1.0/24
    forward tunnel tunnel wg0
    no-masquerade -
    clamp-mss 1420
    management 22 10.100.0.1/32
    reresolve

A "-" stands for any. Lists are joined by commas.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

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

HEADING: Final = "# made by fleet: routes and openings of this interface; what is changed here by hand is undone"


@dataclass(slots=True)
class Listing:
    """What the list of one interface says."""

    mark: Mark | None = None
    routes: dict[IPNetwork, Route] = field(default_factory=dict)
    openings: dict[str, Opening] = field(default_factory=dict)
    reresolve: bool = False

    def text(self, interfaces: Iterable[str]) -> list[str]:
        """Lines in a stable order; `interfaces` are all tunnels of the overlay here, between which a hub forwards."""
        routes = [f"route {prefix} {self.routes[prefix].mark or '-'}" for prefix in sorted_networks(list(self.routes))]
        openings = [_opening_line(self.openings[identity], interfaces) for identity in sorted(self.openings)]
        mark = [f"mark {self.mark}"] if self.mark else []
        return [HEADING, *mark, *routes, *openings, *(["reresolve"] if self.reresolve else [])]


def read_listing(lines: Iterable[str]) -> Listing:
    """The opposite of `Listing.text`. Raises ValueError with the line that is not understood."""
    listing = Listing()
    for line in lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            _read_line(words, listing)
        except (ValueError, IndexError) as error:
            raise ValueError(f"line not understood: {line[:80]!r}") from error
    return listing


def _read_line(words: list[str], listing: Listing) -> None:
    if words[0] == "mark":
        listing.mark = Mark.find(words[1])
    elif words[0] == "route":
        route = Route(ipaddress.ip_network(words[1]), Mark.find(words[2]))
        listing.routes[route.prefix] = route
    elif words[0] == "reresolve":
        listing.reresolve = True
    else:
        opening = _read_opening(words)
        listing.openings[opening.identity] = opening


def _networks(text: str) -> frozenset[IPNetwork]:
    return frozenset() if text == "-" else frozenset(ipaddress.ip_network(item) for item in text.split(","))


def _joined(networks: frozenset[IPNetwork]) -> str:
    return ",".join(str(network) for network in sorted_networks(networks)) or "-"


def _read_opening(words: list[str]) -> Opening:
    match words:
        case ["listen-port", port, source]:
            return ListenPort(int(port), None if source == "-" else ipaddress.ip_network(source))
        case ["forward", "tunnel", "tunnel", _]:
            return Forward("tunnel", "tunnel")
        case ["forward", ("tunnel" | "lan") as source, ("tunnel" | "lan") as target, prefixes]:
            return Forward(source, target, _networks(prefixes))
        case ["no-masquerade", prefixes]:
            return NoMasquerade(_networks(prefixes))
        case ["clamp-mss", mtu]:
            return ClampMss(int(mtu))
        case ["management", port, sources]:
            return Management(int(port), _networks(sources))
    raise ValueError(words[0])


def _opening_line(opening: Opening, interfaces: Iterable[str]) -> str:
    match opening:
        case ListenPort():
            return f"listen-port {opening.port} {opening.source or '-'}"
        case Forward("tunnel", "tunnel"):
            return f"forward tunnel tunnel {','.join(sorted(interfaces)) or '-'}"
        case Forward():
            return f"forward {opening.source} {opening.target} {_joined(opening.prefixes)}"
        case NoMasquerade():
            return f"no-masquerade {_joined(opening.prefixes)}"
        case ClampMss():
            return f"clamp-mss {opening.mtu}"
        case Management():
            return f"management {opening.port} {_joined(opening.sources)}"
    assert_never(opening)


def opening_named(identity: str, known: Mapping[str, Opening]) -> Opening:
    """An opening found live under this identity: the known one, else one that says only what is open.

    Raises ValueError for an identity of another version of fleet.
    """
    if identity in known:
        return known[identity]
    kind, _, rest = identity.partition("/")
    match kind, rest.split("-"):
        case "listen-port", [port]:
            return ListenPort(int(port))
        case "forward", [("tunnel" | "lan") as source, ("tunnel" | "lan") as target]:
            return Forward(source, target)
        case "no-masquerade", _:
            return NoMasquerade()
        case "clamp-mss", _:
            return ClampMss(0)
        case "management", [port]:
            return Management(int(port), frozenset())
    raise ValueError(f"opening not understood: {identity[:60]!r}")
