"""Hypothesis strategies for fleets and for what routers hold, and the small makers that the core's tests share."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from fleet.model import (
    MANAGED,
    ClampMss,
    Configuration,
    Endpoint,
    Fact,
    Fleet,
    Forward,
    Interface,
    IPNetwork,
    ListenPort,
    Mark,
    Opening,
    Overlay,
    Peer,
    PublicKey,
    Route,
    Router,
    Secret,
)
from fleet.overlay import Desired, allocate, desired_state

OVERLAY = "acme"


@cache
def key(name: str) -> PublicKey:
    """The public key that router `name` has in tests."""
    return PublicKey(base64.b64encode(hashlib.sha256(name.encode()).digest()).decode())


@cache
def net(text: str) -> IPNetwork:
    """A network from its text."""
    return ipaddress.ip_network(text)


def nets(*texts: str) -> frozenset[IPNetwork]:
    """Networks from their texts."""
    return frozenset(map(net, texts))


def hub(name: str = "hq", *lans: str, **more: Any) -> Router:
    """A hub with an endpoint."""
    more.setdefault("endpoint", Endpoint(f"{name}.example.com", 51820))
    return router(name, *lans, role="hub", **more)


def router(name: str, *lans: str, **more: Any) -> Router:
    """A router, a spoke without endpoint unless told otherwise."""
    return Router(name, more.pop("driver", "wg-quick"), lans=tuple(map(net, lans)), **more)


def fleet_of(*routers: Router, **overlay: Any) -> Fleet:
    """A fleet on 10.100.0.0/24."""
    overlay.setdefault("ipv4", net("10.100.0.0/24"))
    return Fleet(Overlay(OVERLAY, **overlay), {one.name: one for one in routers})


def facts_of(fleet: Fleet, *, without: Iterable[str] = (), **epochs: int) -> dict[str, Fact]:
    """Every router enrolled under its test key, except those `without`."""
    return {name: Fact(key(name), epoch=epochs.get(name, 0)) for name in fleet.routers if name not in set(without)}


def desired_of(fleet: Fleet, facts: dict[str, Fact] | None = None, ports: dict[str, int] | None = None) -> Desired:
    """The desired state with everybody enrolled and management on port 22."""
    facts = facts_of(fleet) if facts is None else facts
    return desired_state(fleet, facts, allocate(fleet, facts), dict.fromkeys(fleet.routers, 22) if ports is None else ports)


# -------------------------------------------------------------------------------------------------------- fleets
def _lans(number: int, count: int, *, ipv6: bool) -> tuple[IPNetwork, ...]:
    found: list[IPNetwork] = [net(f"192.168.{number * 3 + i}.0/24") for i in range(count)]
    return (*found, net(f"fd00:{number + 1:x}::/64")) if ipv6 and count else tuple(found)


@st.composite
def fleets(draw: st.DrawFn, *, shapes: tuple[str, ...] = ("hub-and-spoke", "full-mesh")) -> Fleet:
    """Fleets as the inventory lets them through: an enabled hub with an endpoint, LANs apart."""
    ipv6 = draw(st.booleans())
    hubs = draw(st.integers(1, 3))
    names = [f"h{i}" for i in range(hubs)] + [f"s{i}" for i in range(draw(st.integers(0, 5)))]
    routers = {}
    for number, name in enumerate(names):
        is_hub = name.startswith("h")
        dialable = is_hub or draw(st.booleans())
        wanted = draw(st.permutations([f"h{i}" for i in range(hubs)]))
        routers[name] = Router(
            name,
            "wg-quick",
            role="hub" if is_hub else "spoke",
            endpoint=Endpoint(draw(st.sampled_from(("198.51.100.7", f"{name}.example.com"))), 51820 + number)
            if dialable
            else None,
            lans=_lans(number, draw(st.integers(0, 2)), ipv6=ipv6),
            hubs=() if is_hub or draw(st.booleans()) else tuple({"h0", *wanted[: draw(st.integers(0, hubs))]}),
            via=("h0",) if name != "h0" and draw(st.booleans()) else (),
            manage=MANAGED - draw(st.sets(st.sampled_from(sorted(MANAGED - {"routes", "forwarding"})), max_size=2)),
            enabled=name == "h0" or draw(st.integers(0, 5)) > 0,
        )
    overlay = Overlay(
        OVERLAY,
        ipv4=net("10.100.0.0/24"),
        ipv6=net("fd10:100::/64") if ipv6 else None,
        topology=draw(st.sampled_from(shapes)),
        lan_supernets=draw(st.sampled_from(((), (net("192.168.0.0/16"),), (net("192.168.0.0/21"),)))),
        preshared_keys=draw(st.booleans()),
    )
    return Fleet(overlay, routers)


@st.composite
def partial_meshes(draw: st.DrawFn) -> Fleet:
    """Fleets with `links:`."""
    fleet = draw(fleets(shapes=("full-mesh",)))
    pairs = [(a, b) for a in fleet.routers for b in fleet.routers if a < b]
    links = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    overlay = Overlay(OVERLAY, ipv4=fleet.overlay.ipv4, ipv6=fleet.overlay.ipv6, topology="full-mesh", links=tuple(links))
    return Fleet(overlay, fleet.routers)


@st.composite
def facts(draw: st.DrawFn, fleet: Fleet) -> dict[str, Fact]:
    """Some routers enrolled, some of those with a later key."""
    return {
        name: Fact(key(name), epoch=draw(st.sampled_from((0, 0, 1, 3)))) for name in fleet.routers if draw(st.integers(0, 4))
    }


# ------------------------------------------------------------------------------------------------ what routers hold
PREFIXES = tuple(net(f"10.{i}.0.0/16") for i in range(6))
ADDRESSES = tuple(map(ipaddress.ip_interface, ("10.100.0.5/24", "10.100.0.5/20", "10.100.0.6/24", "fd10::5/64")))
OPENINGS: tuple[Opening, ...] = (
    *(ListenPort(51820), ListenPort(51821), ClampMss(1420), ClampMss(1400)),
    Forward("tunnel", "tunnel"),
)
NAMES = ("ams", "bkk", "cnx", "del", "eze")


@st.composite
def interfaces(draw: st.DrawFn, name: str = "wg0", *, strangers: bool = False) -> Interface:
    """An interface of ours over small pools of peers and prefixes, so that two of them differ by moves and swaps.

    With `strangers`, it also holds peers and routes without our mark, on prefixes of their own.
    """
    owner = {prefix: draw(st.sampled_from((*NAMES, None))) for prefix in PREFIXES}
    peers = {}
    for other in draw(st.sets(st.sampled_from(NAMES))):
        allowed = frozenset(prefix for prefix, holder in owner.items() if holder == other)
        peers[key(other)] = Peer(
            key(other),
            allowed,
            endpoint=draw(st.sampled_from((None, Endpoint("192.0.2.1", 51820)))),
            persistent_keepalive=draw(st.sampled_from((0, 25))),
            preshared_key=draw(st.sampled_from((None, Secret("A" * 43 + "=")))),
            mark=Mark(OVERLAY, other),
        )
    routes = {prefix: Route(prefix, Mark(OVERLAY, "bkk")) for prefix in draw(st.sets(st.sampled_from(PREFIXES)))}
    if strangers:
        for number, mark in enumerate(draw(st.lists(st.sampled_from((None, Mark("other", "x"))), max_size=2))):
            foreign = net(f"172.16.{number}.0/24")
            peers[key(f"foreign{number}")] = Peer(key(f"foreign{number}"), frozenset({foreign}), mark=mark)
            routes[foreign] = Route(foreign, mark)
    shown = draw(st.frozensets(st.sampled_from(OPENINGS)))
    return Interface(
        name,
        key("self"),
        listen_port=draw(st.sampled_from((51820, 51821))),
        mtu=draw(st.sampled_from((1420, 1412))),
        addresses=draw(st.frozensets(st.sampled_from(ADDRESSES), max_size=3)),
        peers=peers,
        routes=routes,
        openings={opening.identity: opening for opening in shown},
        reresolve=draw(st.booleans()),
        mark=Mark(OVERLAY, "self"),
    )


@st.composite
def configurations(draw: st.DrawFn, *, strangers: bool = False) -> Configuration:
    """None, one or two interfaces of ours."""
    found = {name: draw(interfaces(name, strangers=strangers)) for name in draw(st.sets(st.sampled_from(("wg0", "wg1"))))}
    if len(found) == 2:
        # A port, an address or a route cannot be on two interfaces of one router.
        first, second = found.values()
        found["wg1"] = _apart(found["wg1"], found["wg0"])
        assert first is not second
    return found


def _apart(one: Interface, other: Interface) -> Interface:
    taken = {address.ip for address in other.addresses}
    return Interface(
        one.name,
        one.public_key,
        listen_port=51830,
        mtu=one.mtu,
        addresses=frozenset(address for address in one.addresses if address.ip not in taken),
        peers=one.peers,
        routes={prefix: route for prefix, route in one.routes.items() if prefix not in other.routes},
        openings=one.openings,
        reresolve=one.reresolve,
        mark=one.mark,
    )
