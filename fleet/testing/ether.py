"""The simulated Internet between simulated routers: who can shake hands, and which pings arrive.

Nothing here knows a vendor. A simulator implements `Node` and calls `Ether.settle(self)` after each change of its own; the
ether then decides which WireGuard interfaces find each other, keeps handshake times and byte counters, and carries pings
hop by hop through cryptokey routing, with the nodes' own routes and firewalls when they offer them.

Nodes are called back from whichever thread asks, with the ether's lock held: a node must not wait for a lock of its own
that it also holds while calling the ether.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

from ._sessions import Session, Side
from ._sessions import SideKey as _SideKey

MAX_HOPS: Final = 16


class Clock:
    """Seconds that only go forward. Runs with real time unless `frozen`; `advance` adds to it either way."""

    def __init__(self, *, frozen: bool = False, start: float | None = None) -> None:
        self._frozen = frozen
        self._offset = 0.0
        self._start = time.monotonic() if start is None else start
        self._began = time.monotonic()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._start + self._offset + (0.0 if self._frozen else time.monotonic() - self._began)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: advance({seconds})")
        self._offset += seconds


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

    name: str
    public_hosts: frozenset[str]
    lans: tuple[str, ...]

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
        self._recovery = recovery
        self._lock = threading.RLock()
        self._nodes: dict[str, Node] = {}
        self._interfaces: dict[str, tuple[SimInterface, ...]] = {}
        self._by_key: dict[str, list[tuple[str, SimInterface]]] = {}
        self._sessions: dict[frozenset[_SideKey], Session] = {}
        self._of_node: dict[str, set[frozenset[_SideKey]]] = {}
        self._outside: dict[str, str] = {}
        self._allotted = 0

    def attach(self, node: Node) -> None:
        """Put a node on the ether; its name must be free."""
        with self._lock:
            if node.name in self._nodes:
                raise ValueError(f"two nodes named {node.name} on one ether: give the second another name")
            self._nodes[node.name] = node
            self.settle(node)

    def detach(self, node: Node) -> None:
        """Take a node off: power or uplink gone. The other ends keep their last handshake, which grows old."""
        with self._lock:
            if self._nodes.get(node.name) is node:
                del self._nodes[node.name]
                self._read(node.name)

    def settle(self, node: Node | None = None) -> None:
        """Read one node again (all without argument) and let every handshake happen that now can."""
        with self._lock:
            names = list(self._nodes) if node is None else [node.name]
            for name in names:
                self._read(name)
            for name in names:
                for interface in self._interfaces.get(name, ()):
                    for peer in interface.peers:
                        self._meet(name, interface, peer)

    def forget(self, node: Node, interface: str, peer_key: str) -> None:
        """The peer was removed or disabled on this node: its session and counters are gone even if it comes back at once."""
        with self._lock:
            for pair in list(self._of_node.get(node.name, ())):
                session = self._sessions[pair]
                for key in pair:
                    if key[0] == node.name and key[1] == interface and session.other(key)[2] == peer_key:
                        self._drop(session, key)

    def handshake(self, node: Node, interface: str, peer_key: str) -> Handshake | None:
        """The latest handshake as this node's interface shows it for a peer, None if there never was one."""
        with self._lock:
            found = self._session_of(node.name, interface, peer_key)
            if found is None:
                return None
            session, key = found
            self._advance(session)
            side = session.sides[key]
            return Handshake(session.at, side.endpoint, side.received, side.sent)

    def ping(self, node: Node, source_ip: str | None, target_ip: str) -> bool:
        """True if an echo and its reply both arrive.

        With a source that is not the node's own, a host in its LAN sends it. A source rewritten on the way counts as not
        arrived: the far end would see, and filter, the wrong address.
        """
        return not self.trace(node, source_ip, target_ip).stopped

    def trace(self, node: Node, source_ip: str | None, target_ip: str) -> Trace:
        """Like ping, with the path there and the sentence that says where and why it stopped."""
        with self._lock:
            if node.name not in self._nodes:
                return Trace((node.name,), f"{node.name} is not on the ether")
            source = source_ip or self._default_source(node, target_ip)
            if source is None:
                return Trace((node.name,), f"{node.name} has no route to {target_ip}")
            there = self._carry(node.name, source, target_ip, established=False)
            if there.stopped:
                return there
            back = self._carry(there.hops[-1], target_ip, source, established=True)
            if not back.stopped and back.hops[-1] != node.name:
                back = Trace(back.hops, f"the reply went to {back.hops[-1]}")
            return Trace(there.hops, f"reply: {back.stopped}" if back.stopped else "")

    # --- reading nodes -------------------------------------------------------------------------------------------------

    def _read(self, name: str) -> None:
        node = self._nodes.get(name)
        if name in self._of_node:
            for pair in self._of_node[name]:
                self._advance(self._sessions[pair])
        for interface in self._interfaces.pop(name, ()):
            entries = self._by_key[interface.public_key]
            entries.remove((name, interface))
            if not entries:
                del self._by_key[interface.public_key]
        if node is not None:
            self._interfaces[name] = tuple(interface for interface in node.wireguard() if interface.up)
            for interface in self._interfaces[name]:
                self._by_key.setdefault(interface.public_key, []).append((name, interface))
            self._give_outside(node)
        self._drop_stale(name)

    def _drop_stale(self, name: str) -> None:
        """Sessions whose peer is gone from this node lose that side; what keeps the rest alive is computed anew."""
        for pair in list(self._of_node.get(name, ())):
            session = self._sessions[pair]
            for key in pair:
                if key[0] == name and key in session.sides and self._peer(key, session.other(key)[2]) is None:
                    self._drop(session, key)
            if pair in self._sessions:
                session.refreshing = self._refreshes(session)

    def _drop(self, session: Session, key: _SideKey) -> None:
        self._advance(session)
        session.sides.pop(key, None)
        session.refreshing = False
        session.broken_at = self.clock.now()
        if not session.sides:
            del self._sessions[session.pair]
            for side in session.pair:
                self._of_node[side[0]].discard(session.pair)

    def _give_outside(self, node: Node) -> None:
        addresses = [host for host in sorted(node.public_hosts) if _is_address(host)]
        if addresses:
            self._outside[node.name] = addresses[0]
        elif node.name not in self._outside or not self._outside[node.name].startswith("100."):
            # Behind carrier NAT (RFC 6598 space): the address others learn, never one that can be dialled first.
            self._allotted += 1
            self._outside[node.name] = str(ip_address("100.64.0.0") + self._allotted)

    def _interface(self, key: _SideKey) -> SimInterface | None:
        for interface in self._interfaces.get(key[0], ()):
            if interface.name == key[1] and interface.public_key == key[2]:
                return interface
        return None

    def _peer(self, key: _SideKey, peer_key: str) -> SimPeer | None:
        interface = self._interface(key)
        return None if interface is None else _peer_of(interface, peer_key)

    # --- handshakes ----------------------------------------------------------------------------------------------------

    def _meet(self, name: str, interface: SimInterface, peer: SimPeer, *, traffic: bool = False) -> Session | None:
        """The live session of this peer, made now if it can be; None if there is none."""
        for other_name, other in self._candidates(name, interface, peer):
            back = _peer_of(other, interface.public_key)
            if back is None:
                continue
            here: _SideKey = (name, interface.name, interface.public_key)
            there: _SideKey = (other_name, other.name, other.public_key)
            session = self._sessions.get(frozenset((here, there)))
            if session is not None and self._usable(session):
                return session
            if (back.preshared_key or None) != (peer.preshared_key or None):
                continue
            if self._starts(session, here, peer, there, traffic) or self._starts(session, there, back, here, traffic):
                return self._shake(here, there, peer, back)
        return None

    def _candidates(self, name: str, interface: SimInterface, peer: SimPeer) -> list[tuple[str, SimInterface]]:
        found = [(at, other) for at, other in self._by_key.get(peer.public_key, ()) if at != name]
        if peer.endpoint is not None and len(found) > 1:  # one key on two nodes: the endpoint decides
            found.sort(key=lambda entry: not self._reaches(name, interface, peer, *entry))
        return found

    def _usable(self, session: Session) -> bool:
        self._advance(session)
        return session.whole and self.clock.now() - session.at < Session.REJECT_AFTER

    def _starts(self, session: Session | None, here: _SideKey, peer: SimPeer, there: _SideKey, traffic: bool) -> bool:
        """True if this side would send a handshake to the other now, and it would arrive."""
        if peer.dials is False or not (traffic or peer.dials or peer.keepalive):
            return False
        if session is not None and here in session.sides and there not in session.sides and session.fresh(self.clock.now()):
            # This end still believes in the old session: nothing is sent until it notices.
            noticed = self.clock.now() - (session.broken_at or 0.0) >= self._recovery
            if not noticed:
                return False
        interface, other = self._interface(here), self._interface(there)
        if interface is None or other is None:
            return False
        if self._reaches(here[0], interface, peer, there[0], other):
            return True
        learned = session is not None and here in session.sides and session.fresh(self.clock.now())
        return learned and there[0] in self._nodes

    def _reaches(self, name: str, interface: SimInterface, peer: SimPeer, other_name: str, other: SimInterface) -> bool:
        node = self._nodes.get(other_name)
        if peer.endpoint is None or node is None:
            return False
        host, port = peer.endpoint
        port = getattr(node, "port_forwards", {}).get(port, port)
        if host not in node.public_hosts or port != other.listen_port:
            return False
        wan = getattr(node, "wan", "wan")
        return self._asks(node, "admits", Packet(self._outside[name], host, "udp", port, in_interface=wan))

    def _shake(self, here: _SideKey, there: _SideKey, peer: SimPeer, back: SimPeer) -> Session:
        pair = frozenset((here, there))
        session = self._sessions.get(pair)
        if session is None:
            session = self._sessions[pair] = Session(pair)
            self._of_node.setdefault(here[0], set()).add(pair)
            self._of_node.setdefault(there[0], set()).add(pair)
        session.begin(
            self.clock.now(),
            {
                here: Side(self._seen(here, there, peer), peer.keepalive),
                there: Side(self._seen(there, here, back), back.keepalive),
            },
        )
        session.refreshing = self._refreshes(session)
        return session

    def _seen(self, here: _SideKey, there: _SideKey, peer: SimPeer) -> tuple[str, int]:
        """The endpoint that `here` learns for `there`."""
        other = self._interface(there)
        port = other.listen_port if other is not None else 0
        if peer.endpoint is not None and self._nodes[there[0]].public_hosts:
            return (peer.endpoint[0] if _is_address(peer.endpoint[0]) else self._outside[there[0]], peer.endpoint[1])
        return (self._outside[there[0]], port)

    def _refreshes(self, session: Session) -> bool:
        """True if keepalives renew this session by themselves."""
        if not session.whole:
            return False
        (here, there) = session.pair
        peer, back = self._peer(here, there[2]), self._peer(there, here[2])
        if peer is None or back is None or (peer.preshared_key or None) != (back.preshared_key or None):
            return False
        session.sides[here].keepalive, session.sides[there].keepalive = peer.keepalive, back.keepalive
        return self._starts(session, here, peer, there, traffic=False) or self._starts(
            session, there, back, here, traffic=False
        )

    def _advance(self, session: Session) -> None:
        session.advance(self.clock.now())

    def _session_of(self, name: str, interface: str, peer_key: str) -> tuple[Session, _SideKey] | None:
        self._renew(name, interface, peer_key)
        newest: tuple[Session, _SideKey] | None = None
        for pair in self._of_node.get(name, ()):
            session = self._sessions[pair]
            for key in session.sides:
                if key[:2] == (name, interface) and session.other(key)[2] == peer_key:
                    newest = (session, key) if newest is None or session.at > newest[0].at else newest
        return newest

    def _renew(self, name: str, interface: str, peer_key: str) -> None:
        """Time passed: what was broken may have been noticed since."""
        for one in self._interfaces.get(name, ()):
            if one.name == interface:
                peer = _peer_of(one, peer_key)
                if peer is not None:
                    self._meet(name, one, peer)

    # --- packets -------------------------------------------------------------------------------------------------------

    def _carry(self, name: str, source: str, target: str, *, established: bool) -> Trace:
        hops = [name]
        node = self._nodes[name]
        arrived_by = None if self._owns(node, source) else self._route(node, source)
        for _ in range(MAX_HOPS):
            if self._owns(node, target):
                packet = Packet(source, target, in_interface=arrived_by, established=established)
                admitted = arrived_by is None or self._asks(node, "admits", packet)
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
        if arrived_by is not None and not self._asks(node, "forwards", packet):
            return f"{node.name}: forward refused {source} -> {target}", None
        if not established and self._asks(node, "masquerades", packet, default=False):
            return f"{node.name}: source {source} rewritten", None
        interface = next((one for one in self._interfaces[node.name] if one.name == out), None)
        if interface is None:
            delivered = any(_within(target, lan) for lan in node.lans)
            return ("" if delivered else f"{node.name}: {target} leaves by {out}, outside the tunnels"), None
        return self._tunnel(node, interface, source, target)

    def _tunnel(self, node: Node, interface: SimInterface, source: str, target: str) -> tuple[str, tuple[Node, str] | None]:
        peer = _cryptokey(interface, target)
        if peer is None:
            return f"{node.name}: no peer of {interface.name} has {target} in its allowed IPs", None
        session = self._meet(node.name, interface, peer, traffic=True)
        if session is None:
            return f"{node.name}: no handshake with {peer.public_key[:8]}... for {target}", None
        here: _SideKey = (node.name, interface.name, interface.public_key)
        there = session.other(here)
        session.carried(here, 128)
        other = self._interface(there)
        if other is None or other.name != there[1]:
            return f"{there[0]}: interface {there[1]} is down", None
        back = _cryptokey(other, source)
        if back is None or back.public_key != interface.public_key:
            return f"{there[0]}: {source} is not in the allowed IPs of {node.name}", None
        return "", (self._nodes[there[0]], there[1])

    def _route(self, node: Node, target: str) -> str | None:
        routes = getattr(node, "routes", None)
        if routes is not None:
            found = routes(target)
            return None if found is None else str(found)
        best: tuple[int, str] | None = None
        for prefix, name in self._prefixes(node):
            length = _match(target, prefix)
            if length is not None and (best is None or length > best[0]):
                best = (length, name)
        return None if best is None else best[1]

    def _prefixes(self, node: Node) -> Iterator[tuple[str, str]]:
        for lan in node.lans:
            yield lan, "lan"
        for interface in self._interfaces.get(node.name, ()):
            for address in interface.addresses:
                yield address, interface.name
            for peer in interface.peers:
                for prefix in peer.allowed_ips:
                    yield prefix, interface.name

    def _owns(self, node: Node, address: str) -> bool:
        for interface in self._interfaces.get(node.name, ()):
            if any(one.split("/")[0] == address for one in interface.addresses):
                return True
        return self._asks(node, "owns", address, default=False)

    def _default_source(self, node: Node, target: str) -> str | None:
        out = self._route(node, target)
        for interface in self._interfaces.get(node.name, ()):
            for address in interface.addresses:
                if (out == interface.name) and (":" in address) == (":" in target):
                    return address.split("/")[0]
        return next((str(ip_network(lan)[1]) for lan in node.lans if out is not None and (":" in lan) == (":" in target)), None)

    @staticmethod
    def _asks(node: Node, hook: str, question: object, *, default: bool = True) -> bool:
        answer = getattr(node, hook, None)
        return default if answer is None else bool(answer(question))


def _peer_of(interface: SimInterface, public_key: str) -> SimPeer | None:
    return next((peer for peer in interface.peers if peer.public_key == public_key), None)


def _cryptokey(interface: SimInterface, address: str) -> SimPeer | None:
    """Longest prefix of the allowed IPs; of equal prefixes the last writer has it, as in the kernel."""
    best: tuple[int, SimPeer] | None = None
    for peer in interface.peers:
        for prefix in peer.allowed_ips:
            length = _match(address, prefix)
            if length is not None and (best is None or length >= best[0]):
                best = (length, peer)
    return None if best is None else best[1]


def _match(address: str, prefix: str) -> int | None:
    network = ip_network(prefix, strict=False)
    return network.prefixlen if ip_address(address) in network else None


def _within(address: str, prefix: str) -> bool:
    return _match(address, prefix) is not None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
