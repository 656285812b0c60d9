"""What is measured in the lab: pings, gaps in a stream of pings, and WireGuard's own counters."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from .net import Node

_REPLY = re.compile(r"^\[(\d+\.\d+)\].*icmp_seq=(\d+).*time=([\d.]+) ms", re.MULTILINE)


@dataclass(frozen=True)
class Pings:
    """Replies to a series of pings: `sent` packets, and of each reply its number, time (Unix s) and round trip (ms)."""

    sent: int
    replies: tuple[tuple[int, float, float], ...]

    @property
    def received(self) -> int:
        """How many replies came."""
        return len(self.replies)

    @property
    def loss(self) -> float:
        """Lost part of the packets, 0.0 to 1.0."""
        return 1 - self.received / self.sent if self.sent else 1.0

    @property
    def rtt(self) -> float | None:
        """Average round trip in milliseconds."""
        return sum(reply[2] for reply in self.replies) / len(self.replies) if self.replies else None

    @property
    def max_gap_ms(self) -> float:
        """Longest time between two replies, in milliseconds; infinite with fewer than two."""
        times = [reply[1] for reply in self.replies]
        return max((after - before for before, after in pairwise(times)), default=float("inf")) * 1000


def _pings(output: str, sent: int) -> Pings:
    return Pings(sent, tuple((int(seq), float(at), float(rtt)) for at, seq, rtt in _REPLY.findall(output)))


def ping(source: Node, address: str, *, count: int = 3, origin: str | None = None, size: int = 56) -> Pings:
    """Ping an address from a node, `origin` being one of the node's own addresses; at most 0.2 s a packet and 1 s more."""
    options = ["-I", origin] if origin else []
    command = ["ping", "-D", "-n", "-i", "0.2", "-W", "1", "-c", str(count), "-s", str(size), *options, address]
    return _pings(source.run(*command, check=False).stdout, count)


def reaches(source: Node, address: str, *, origin: str | None = None) -> bool:
    """True as soon as one ping of two comes back."""
    return ping(source, address, count=2, origin=origin).received > 0


class PingStream:
    """Pings without pause while the block runs; afterwards `pings` holds what came back."""

    def __init__(self, source: Node, address: str, *, interval: float = 0.05) -> None:
        self._command: tuple[str, ...] = ("ping", "-D", "-n", "-O", "-i", str(interval), "-W", "1", address)
        self._source = source
        self.pings = Pings(0, ())

    def __enter__(self) -> PingStream:
        self._process: subprocess.Popen[str] = self._source.popen(*self._command)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        output = self._process.communicate(timeout=10)[0]
        sent = re.search(r"(\d+) packets transmitted", output)
        self.pings = _pings(output, int(sent[1]) if sent else 0)


def eventually(holds: Callable[[], bool], *, within: float, every: float = 0.1) -> float | None:
    """Seconds until the condition held, None if it did not within so many seconds."""
    began = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - began
        if time.monotonic() - began > within:
            return None
        time.sleep(every)


@dataclass(frozen=True)
class SeenPeer:
    """One peer as `wg show dump` has it. `handshake` in Unix seconds, 0 for never; keepalive in seconds, 0 for off."""

    public_key: str
    preshared: bool
    endpoint: str | None
    allowed_ips: frozenset[str]
    handshake: int
    received: int
    sent: int
    keepalive: int


def wg_peers(node: Node, interface: str = "wg0") -> dict[str, SeenPeer]:
    """Running peers by public key. Raises Failed without the interface. Source: wg(8), "dump"."""
    peers = {}
    for line in node.run("wg", "show", interface, "dump").stdout.splitlines()[1:]:
        key, preshared, endpoint, allowed, handshake, received, sent, keepalive = line.split("\t")
        peers[key] = SeenPeer(
            key,
            preshared != "(none)",
            None if endpoint == "(none)" else endpoint,
            frozenset(allowed.split(",")) - {"(none)"},
            int(handshake),
            int(received),
            int(sent),
            0 if keepalive == "off" else int(keepalive),
        )
    return peers


def public_key(node: Node, interface: str = "wg0") -> str:
    """The public key of a running interface."""
    return node.run("wg", "show", interface, "public-key").stdout.strip()
