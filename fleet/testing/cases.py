"""The cases of the contract suite, told as stories: a list of states that a router is brought to one after the other.

Easy to odd. Keys, addresses and names are fixed so that a failure reads the same every time.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..driver import Limits
from ..model import (
    ClampMss,
    Endpoint,
    Forward,
    Interface,
    IPNetwork,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Route,
    Secret,
)

OVERLAY = "contract"
ROUTER = "subject"
INTERFACE = "wg7"


def public_key(name: str) -> PublicKey:
    """A key that depends on the name alone."""
    return PublicKey(base64.b64encode(hashlib.sha256(f"public {name}".encode()).digest()).decode())


def preshared_key(name: str) -> Secret:
    """A preshared key that depends on the name alone."""
    return Secret(base64.b64encode(hashlib.sha256(f"preshared {name}".encode()).digest()).decode())


def networks(*texts: str) -> frozenset[IPNetwork]:
    """Prefixes from text."""
    return frozenset(ipaddress.ip_network(text) for text in texts)


def peer(name: str, *allowed: str, **attributes: object) -> Peer:
    """A peer of ours, marked with its name."""
    values: dict[str, object] = {"mark": Mark(OVERLAY, name), **attributes}
    return Peer(public_key(name), networks(*allowed), **values)  # type: ignore[arg-type]  # names checked by Peer itself


@dataclass(frozen=True, slots=True)
class State:
    """A wanted state without the key, which the router makes: what differs from an interface that is bare."""

    peers: tuple[Peer, ...] = ()
    addresses: tuple[str, ...] = ("10.99.0.7/24",)
    routes: Mapping[str, str] = field(default_factory=dict)
    openings: tuple[Opening, ...] = ()
    listen_port: int = 51877
    mtu: int = 1420
    reresolve: bool = False

    def interface(self, key: PublicKey, name: str = INTERFACE) -> Interface:
        """The state as an interface with this public key."""
        return Interface(
            name=name,
            public_key=key,
            listen_port=self.listen_port,
            mtu=self.mtu,
            addresses=frozenset(ipaddress.ip_interface(text) for text in self.addresses),
            peers={one.public_key: one for one in self.peers},
            routes={
                ipaddress.ip_network(prefix): Route(ipaddress.ip_network(prefix), Mark(OVERLAY, owner))
                for prefix, owner in self.routes.items()
            },
            openings={opening.identity: opening for opening in self.openings},
            reresolve=self.reresolve,
            mark=Mark(OVERLAY, ROUTER),
        )

    def within(self, limits: Limits) -> State:
        """What is left of it for a driver that cannot have all of it."""
        return replace(
            self,
            peers=self.peers if limits.preshared_keys else tuple(replace(one, preshared_key=None) for one in self.peers),
            routes=self.routes if limits.routes == "static" else {},
            openings=tuple(one for one in self.openings if type(one) in limits.openings),
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A story: the states in order. `foreign`: somebody else's objects are planted after the first state.

    `rekeyed`: the preshared key of a peer that stays is replaced. fleet plans no such thing (a pair's preshared key never
    changes in place), and an undo may leave the key as written, because it may hold no secret.
    """

    name: str
    states: tuple[State, ...]
    foreign: bool = False
    rekeyed: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


HUB = peer("hub", "10.99.0.1/32", "192.168.0.0/16", endpoint=Endpoint("198.51.100.1", 51820), persistent_keepalive=25)
A = peer("alpha", "10.99.0.2/32", "192.168.2.0/24", preshared_key=preshared_key("alpha"))
B = peer("bravo", "10.99.0.3/32", "192.168.3.0/24", preshared_key=preshared_key("bravo"))
SURROUNDINGS: tuple[Opening, ...] = (
    ListenPort(51877),
    Forward("lan", "tunnel", networks("192.168.7.0/24")),
    Forward("tunnel", "lan", networks("192.168.7.0/24")),
    Forward("tunnel", "tunnel"),
    NoMasquerade(networks("192.168.7.0/24")),
    ClampMss(1420),
    Management(22, networks("10.99.0.1/32")),
)


def _with(one: Peer, **attributes: object) -> Peer:
    return replace(one, **attributes)  # type: ignore[arg-type]  # names checked by Peer itself


CASES: tuple[Case, ...] = (
    Case("bare interface", (State(),)),
    Case("first peer", (State((HUB,)),)),
    Case("roaming peer without endpoint", (State((A,)),)),
    Case("second peer beside the first", (State((A,)), State((A, B)))),
    Case("endpoint changes", (State((HUB,)), State((_with(HUB, endpoint=Endpoint("203.0.113.9", 51821)),)))),
    Case("endpoint cleared", (State((HUB,)), State((_with(HUB, endpoint=None, persistent_keepalive=0),)))),
    Case("endpoint name", (State((_with(HUB, endpoint=Endpoint("vpn.example.com", 51820)),), reresolve=True),)),
    Case("IPv6 endpoint", (State((_with(HUB, endpoint=Endpoint("2001:db8::1", 51820)),)),)),
    Case("keepalive off and on", (State((HUB,)), State((_with(HUB, persistent_keepalive=0),)), State((HUB,)))),
    Case(
        "preshared key set and cleared",
        (State((_with(A, preshared_key=None),)), State((A,)), State((_with(A, preshared_key=None),))),
        rekeyed=True,
    ),
    Case(
        "preshared key arrives with a new epoch",
        (State((A,)), State((_with(A, preshared_key=preshared_key("alpha 1"), mark=Mark(OVERLAY, "alpha", 1)),))),
        rekeyed=True,
    ),
    Case(
        "allowed IPs move",
        (
            State((A, B)),
            State(
                (
                    _with(A, allowed_ips=networks("10.99.0.2/32")),
                    _with(B, allowed_ips=B.allowed_ips | A.allowed_ips - networks("10.99.0.2/32")),
                )
            ),
        ),
    ),
    Case(
        "allowed IPs swap",
        (State((A, B)), State((_with(A, allowed_ips=B.allowed_ips), _with(B, allowed_ips=A.allowed_ips)))),
    ),
    Case("peer parked and back", (State((A, B)), State((A, _with(B, allowed_ips=frozenset()))), State((A, B)))),
    Case("one of two peers removed", (State((A, B)), State((B,)))),
    Case("last peer removed", (State((A,)), State())),
    Case(
        "dual stack", (State((_with(A, allowed_ips=A.allowed_ips | networks("fd99::2/128")),), ("10.99.0.7/24", "fd99::7/64")),)
    ),
    Case("address changes", (State((A,)), State((A,), ("10.99.0.77/24",)))),
    Case("port and mtu change", (State((A,)), State((A,), listen_port=51899, mtu=1380))),
    Case(
        "routes come, move and go",
        (
            State((A, B), routes={"192.168.2.0/24": "alpha"}),
            State((A, B), routes={"192.168.2.0/24": "alpha", "192.168.3.0/24": "bravo"}),
            State((A, B), routes={"192.168.3.0/24": "bravo"}),
            State((A, B)),
        ),
    ),
    Case(
        "every opening comes and goes",
        (State((A,)), State((A,), openings=SURROUNDINGS), State((A,), openings=SURROUNDINGS[:1]), State((A,))),
    ),
    Case(
        "an opening changes what it covers",
        (
            State((A,), openings=(Management(22, networks("10.99.0.1/32")), ClampMss(1420))),
            State((A,), openings=(Management(22, networks("10.99.0.1/32", "192.168.1.0/24")), ClampMss(1380))),
        ),
    ),
    Case("foreign objects are kept", (State((A,)), State((A, B), openings=SURROUNDINGS), State()), foreign=True),
    Case("everything goes at once", (State((HUB, A, B), routes={"192.168.2.0/24": "alpha"}, openings=SURROUNDINGS), State())),
    Case("forty peers", (State(tuple(peer(f"site-{n:02}", f"10.99.0.{n + 20}/32", f"172.20.{n}.0/24") for n in range(40))),)),
)

BEFORE = State(
    (HUB, A, _with(B, allowed_ips=networks("10.99.0.3/32"))),
    routes={"192.168.2.0/24": "alpha"},
    openings=(SURROUNDINGS[0], SURROUNDINGS[1], SURROUNDINGS[4], SURROUNDINGS[6]),
)
AFTER = State(
    (
        _with(HUB, endpoint=Endpoint("203.0.113.9", 51821)),
        _with(B, allowed_ips=networks("10.99.0.3/32") | networks("192.168.2.0/24")),
        peer("delta", "10.99.0.5/32", preshared_key=preshared_key("delta")),
    ),
    addresses=("10.99.0.77/24",),
    routes={"192.168.2.0/24": "bravo", "192.168.3.0/24": "bravo"},
    openings=(SURROUNDINGS[0], SURROUNDINGS[2], Management(22, networks("10.99.0.1/32", "192.168.1.0/24")), ClampMss(1380)),
    mtu=1380,
)
"""Where the crash drills go to and come from: something of every kind is added, changed, removed and handed over between."""
