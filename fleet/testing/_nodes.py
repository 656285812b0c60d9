"""What simulated nodes show the ether: interfaces, peers, packets, and the clock they share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol


class Clock:
    """Seconds that only go forward. Runs with real time unless `frozen`; `advance` adds to it either way."""

    def __init__(self, *, frozen: bool = False, start: float | None = None) -> None:
        self._frozen = frozen
        self._offset = 0.0
        self._began = time.monotonic()
        self._start = start if start is not None else 0.0 if frozen else self._began
        self._followers: list[Callable[[], None]] = []

    def now(self) -> float:
        """Monotonic seconds."""
        return self._start + self._offset + (0.0 if self._frozen else time.monotonic() - self._began)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: advance({seconds})")
        self._offset += seconds
        for follower in list(self._followers):
            follower()

    def follow(self, follower: Callable[[], None]) -> None:
        """Call `follower` after every advance, in the thread that advanced: for timers of simulated routers."""
        self._followers.append(follower)

    def unfollow(self, follower: Callable[[], None]) -> None:
        """Stop calling it."""
        if follower in self._followers:
            self._followers.remove(follower)


@dataclass
class SimPeer:
    """One enabled peer as its router has it. `keepalive` in seconds, 0 for off.

    `dials`: None dials only with keepalive or traffic (wg), True always (RouterOS), False never (RouterOS responder).
    """

    public_key: str
    endpoint: tuple[str, int] | None = None
    keepalive: int = 0
    preshared_key: str | None = None
    allowed_ips: tuple[str, ...] = ()
    dials: bool | None = None


@dataclass
class SimInterface:
    """One WireGuard interface; `addresses` with prefix length. Disabled peers are not listed."""

    name: str
    public_key: str
    listen_port: int
    up: bool = True
    peers: list[SimPeer] = field(default_factory=list)
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """What a node's firewall is asked about. No `in_interface`: it starts here; no `out_interface`: it ends here."""

    source: str
    target: str
    protocol: str = "icmp"
    port: int | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    established: bool = False


class Node(Protocol):
    """A simulated router on the ether.

    `public_hosts`: names and addresses under which endpoints reach this node's UDP; empty behind NAT. `lans`: prefixes
    behind it. Optional members, looked for by name:

    `routes(target: str) -> str | None`        interface a packet to `target` leaves by; without it, the longest of `lans`
                                               and the allowed IPs of its peers decides, as wg-quick does
    `forwards(packet: Packet) -> bool`         its firewall for packets that pass through; without it, all pass
    `admits(packet: Packet) -> bool`           its firewall for packets to itself, WireGuard's UDP included; default all
    `masquerades(packet: Packet) -> bool`      True when it rewrites the source of this packet; default never
    `owns(address: str) -> bool`               its own addresses beside those of its WireGuard interfaces
    `port_forwards: Mapping[int, int]`         public UDP port -> listen port, when something in front forwards it
    `wan: str`                                 name of the interface towards the Internet, default "wan"
    """

    @property
    def name(self) -> str:
        """Unique on its ether."""
        ...

    @property
    def public_hosts(self) -> frozenset[str]:
        """Where endpoints reach it; may change."""
        ...

    @property
    def lans(self) -> tuple[str, ...]:
        """Prefixes behind it."""
        ...

    def wireguard(self) -> Sequence[SimInterface]:
        """Every WireGuard interface as it is now; called without notice, from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Handshake:
    """The latest handshake of a peer: clock time, the endpoint learned, bytes since the peer was made."""

    at: float
    endpoint: tuple[str, int]
    received: int
    sent: int


@lru_cache(maxsize=100_000)
def _network(prefix: str) -> IPv4Network | IPv6Network:
    return ip_network(prefix, strict=False)


@lru_cache(maxsize=100_000)
def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)


def matched(address: str, prefix: str) -> int | None:
    """Prefix length if the address lies inside, else None."""
    network = _network(prefix)
    return network.prefixlen if _address(address) in network else None


def cryptokey(interface: SimInterface, address: str) -> SimPeer | None:
    """Longest prefix of the allowed IPs; of equal prefixes the last writer has it, as in the kernel."""
    best: tuple[int, SimPeer] | None = None
    for peer in interface.peers:
        for prefix in peer.allowed_ips:
            length = matched(address, prefix)
            if length is not None and (best is None or length >= best[0]):
                best = (length, peer)
    return None if best is None else best[1]


def is_address(host: str) -> bool:
    """True for an IP address, False for a name."""
    try:
        _address(host)
    except ValueError:
        return False
    return True


def asks(node: Node, hook: str, question: object, *, default: bool = True) -> bool:
    """The answer of an optional member of a node."""
    answer = getattr(node, hook, None)
    return default if answer is None else bool(answer(question))
