"""The simulated Internet between simulated routers: who can shake hands, and which pings arrive.

Nothing here knows a vendor. A simulator implements `Node` and calls `Ether.settle(self)` (or, cheaper, `touch`) after each
change of its own; the ether then decides which WireGuard interfaces find each other, keeps handshake times and byte
counters, and carries pings hop by hop through cryptokey routing, with the nodes' own routes and firewalls when they offer
them.

Nodes are called back from whichever thread asks, with the ether's lock held: a node must not wait for a lock of its own
that it also holds while calling the ether.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from ._handshakes import Handshakes
from ._nodes import Clock, Handshake, Node, Packet, SimInterface, SimPeer, asks, cryptokey, is_address, matched

__all__ = ["Clock", "Ether", "Handshake", "Node", "Packet", "SimInterface", "SimPeer", "Trace", "is_address"]

MAX_HOPS: Final = 16


@dataclass(frozen=True, slots=True)
class Trace:
    """How far a packet got: nodes in order; `stopped` says in a sentence why it did not arrive, empty if it did."""

    hops: tuple[str, ...]
    stopped: str = ""


class Ether:
    """Joins nodes. `recovery`: seconds until a dialler notices that the other end lost their session.

    WireGuard takes 15 s with traffic (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT); 0 makes it immediate.
    """

    def __init__(self, clock: Clock | None = None, *, recovery: float = 15.0) -> None:
        self.clock = clock or Clock()
        self._lock = threading.RLock()
        self._air = Handshakes(self.clock, recovery)
        self._touched: set[str] = set()

    def attach(self, node: Node) -> None:
        """Put a node on the ether; its name must be free."""
        with self._lock:
            if node.name in self._air.nodes:
                raise ValueError(f"two nodes named {node.name} on one ether: give the second another name")
            self._air.nodes[node.name] = node
            self.settle(node)

    def detach(self, node: Node) -> None:
        """Take a node off: power or uplink gone. The other ends keep their last handshake, which grows old."""
        with self._lock:
            if self._air.nodes.get(node.name) is node:
                del self._air.nodes[node.name]
                self._touched.discard(node.name)
                self._air.read(node.name)

    def touch(self, node: Node) -> None:
        """The node changed: like settle(node), but only when somebody next asks. Cheap enough for every write."""
        with self._lock:
            if self._air.nodes.get(node.name) is node:
                self._touched.add(node.name)

    def settle(self, node: Node | None = None) -> None:
        """Read one node again (all without argument) and let every handshake happen that now can."""
        with self._lock:
            names = list(self._air.nodes) if node is None else [*self._touched, node.name]
            self._touched.clear()
            for name in names:
                self._air.read(name)
            for name in names:
                self._air.meet_all(name)

    def forget(self, node: Node, interface: str, peer_key: str) -> None:
        """The peer was removed or disabled on this node: its session and counters are gone even if it comes back at once."""
        with self._lock:
            self._air.forget(node.name, interface, peer_key)

    def handshake(self, node: Node, interface: str, peer_key: str) -> Handshake | None:
        """The latest handshake as this node's interface shows it for a peer, None if there never was one."""
        with self._lock:
            self._catch_up()
            return self._air.handshake(node.name, interface, peer_key)

    def resolve(self, host: str) -> str | None:
        """What a name server would answer: the first public address of the node that has this name, None if nobody has."""
        with self._lock:
            for node in self._air.nodes.values():
                if host in node.public_hosts:
                    return next((one for one in sorted(node.public_hosts) if is_address(one)), None)
            return None

    def ping(self, node: Node, source_ip: str | None, target_ip: str) -> bool:
        """True if an echo and its reply both arrive.

        With a source that is not the node's own, a host in its LAN sends it. A source rewritten on the way counts as not
        arrived: the far end would see, and filter, the wrong address.
        """
        return not self.trace(node, source_ip, target_ip).stopped

    def trace(self, node: Node, source_ip: str | None, target_ip: str) -> Trace:
        """Like ping, with the path there and the sentence that says where and why it stopped."""
        with self._lock:
            self._catch_up()
            if self._air.nodes.get(node.name) is not node:
                return Trace((node.name,), f"{node.name} is not on the ether")
            source = source_ip or self._default_source(node, target_ip)
            if source is None:
                return Trace((node.name,), f"{node.name}: no route to {target_ip}")
            there = self._carry(node.name, source, target_ip, established=False)
            if there.stopped:
                return there
            back = self._carry(there.hops[-1], target_ip, source, established=True)
            if not back.stopped and back.hops[-1] != node.name:
                back = Trace(back.hops, f"it went to {back.hops[-1]}")
            return Trace(there.hops, f"reply: {back.stopped}" if back.stopped else "")

    def _catch_up(self) -> None:
        touched, self._touched = self._touched, set()
        for name in touched:
            self._air.read(name)
        for name in touched:
            self._air.meet_all(name)

    def _carry(self, name: str, source: str, target: str, *, established: bool) -> Trace:
        hops = [name]
        node = self._air.nodes[name]
        arrived_by = None if self._owns(node, source) else self._route(node, source)
        for _ in range(MAX_HOPS):
            if self._owns(node, target):
                packet = Packet(source, target, in_interface=arrived_by, established=established)
                admitted = arrived_by is None or asks(node, "admits", packet)
                return Trace(tuple(hops), "" if admitted else f"{node.name}: input refused {source} -> {target}")
            stopped, step = self._leave(node, source, target, arrived_by, established)
            if stopped or step is None:
                return Trace(tuple(hops), stopped)
            node, arrived_by = step
            hops.append(node.name)
        return Trace(tuple(hops), f"routing loop: {source} -> {target}")

    def _leave(
        self, node: Node, source: str, target: str, arrived_by: str | None, established: bool
    ) -> tuple[str, tuple[Node, str] | None]:
        """Why the packet stops here, or the next node and the interface it arrives by; neither: delivered to a LAN."""
        out = self._route(node, target)
        if out is None:
            return f"{node.name}: no route to {target}", None
        packet = Packet(source, target, in_interface=arrived_by, out_interface=out, established=established)
        if arrived_by is not None and not asks(node, "forwards", packet):
            return f"{node.name}: forward refused {source} -> {target}", None
        if not established and asks(node, "masquerades", packet, default=False):
            return f"{node.name}: source {source} rewritten", None
        interface = self._air.interface(node.name, out)
        if interface is None:
            delivered = any(matched(target, lan) is not None for lan in node.lans)
            return ("" if delivered else f"{node.name}: {target} leaves by {out}, outside the tunnels"), None
        return self._tunnel(node, interface, source, target)

    def _tunnel(self, node: Node, interface: SimInterface, source: str, target: str) -> tuple[str, tuple[Node, str] | None]:
        peer = cryptokey(interface, target)
        if peer is None:
            return f"{node.name}: no peer of {interface.name} has {target} in its allowed IPs", None
        session = self._air.meet(node.name, interface.name, peer, traffic=True)
        if session is None:
            return f"{node.name}: no handshake with {peer.public_key[:8]}... for {target}", None
        here = (node.name, interface.name, interface.public_key)
        there = session.other(here)
        session.carried(here, 128)
        other = self._air.interface(there[0], there[1])
        if other is None:
            return f"{there[0]}: interface {there[1]} is down", None
        back = cryptokey(other, source)
        if back is None or back.public_key != interface.public_key:
            return f"{there[0]}: {source} is not in the allowed IPs of {node.name}", None
        return "", (self._air.nodes[there[0]], there[1])

    def _route(self, node: Node, target: str) -> str | None:
        routes = getattr(node, "routes", None)
        if routes is not None:
            found = routes(target)
            return None if found is None else str(found)
        best: tuple[int, str] | None = None
        for prefix, name in self._prefixes(node):
            length = matched(target, prefix)
            if length is not None and (best is None or length > best[0]):
                best = (length, name)
        return None if best is None else best[1]

    def _prefixes(self, node: Node) -> Iterator[tuple[str, str]]:
        for lan in node.lans:
            yield lan, "lan"
        for interface in self._air.interfaces(node.name):
            for address in interface.addresses:
                yield address, interface.name
            for peer in interface.peers:
                for prefix in peer.allowed_ips:
                    yield prefix, interface.name

    def _owns(self, node: Node, address: str) -> bool:
        for interface in self._air.interfaces(node.name):
            if any(one.split("/")[0] == address for one in interface.addresses):
                return True
        return asks(node, "owns", address, default=False)

    def _default_source(self, node: Node, target: str) -> str | None:
        out = self._route(node, target)
        for interface in self._air.interfaces(node.name):
            for address in interface.addresses:
                if (out == interface.name) and (":" in address) == (":" in target):
                    return address.split("/")[0]
        return next((str(ip_network(lan)[1]) for lan in node.lans if out is not None and (":" in lan) == (":" in target)), None)
