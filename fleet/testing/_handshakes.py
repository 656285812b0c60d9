"""Which simulated WireGuard interfaces hold a session, and since when. Not thread-safe: the ether holds the lock."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from ._nodes import Clock, Handshake, Node, Packet, SimInterface, SimPeer, asks, is_address
from ._sessions import Session, Side, SideKey

_Pair = frozenset[SideKey]


class _Seen:
    """One interface as last read, its peers by key."""

    __slots__ = ("interface", "key", "peers")

    def __init__(self, node: str, interface: SimInterface) -> None:
        self.interface = interface
        self.key: SideKey = (node, interface.name, interface.public_key)
        self.peers = {peer.public_key: peer for peer in interface.peers}


class Handshakes:
    """Nodes as last read, and the sessions between them."""

    def __init__(self, clock: Clock, recovery: float) -> None:
        self.nodes: dict[str, Node] = {}
        self._clock = clock
        self._recovery = recovery
        self._seen: dict[str, dict[str, _Seen]] = {}
        self._by_key: dict[str, list[_Seen]] = {}
        self._sessions: dict[_Pair, Session] = {}
        self._of_peer: dict[tuple[str, str, str], set[_Pair]] = {}
        self._of_node: dict[str, set[_Pair]] = {}
        self._outside: dict[str, str] = {}
        self._behind_nat = 0

    # --- reading nodes -------------------------------------------------------------------------------------------------

    def read(self, name: str) -> None:
        """Take the node's interfaces as they are now; sessions whose peer is gone lose that side."""
        node = self.nodes.get(name)
        for pair in self._of_node.get(name, ()):
            self._sessions[pair].advance(self._clock.now())
        for seen in self._seen.pop(name, {}).values():
            self._by_key[seen.key[2]].remove(seen)
        if node is not None:
            self._seen[name] = {one.name: _Seen(name, one) for one in node.wireguard() if one.up}
            for seen in self._seen[name].values():
                self._by_key.setdefault(seen.key[2], []).append(seen)
            self._allot_outside(node)
        for pair in list(self._of_node.get(name, ())):
            self._recheck(self._sessions[pair], name)

    def interface(self, name: str, interface: str) -> SimInterface | None:
        """An interface that is up, as last read."""
        seen = self._seen.get(name, {}).get(interface)
        return None if seen is None else seen.interface

    def interfaces(self, name: str) -> Iterable[SimInterface]:
        """All interfaces of a node that are up, as last read."""
        return [seen.interface for seen in self._seen.get(name, {}).values()]

    def meet_all(self, name: str) -> None:
        """Let every handshake of this node happen that now can."""
        for seen in self._seen.get(name, {}).values():
            for peer in seen.peers.values():
                self.meet(name, seen.interface.name, peer)

    def forget(self, name: str, interface: str, peer_key: str) -> None:
        """The peer was removed: its side is gone even if it comes back at once."""
        for pair in list(self._of_peer.get((name, interface, peer_key), ())):
            session = self._sessions[pair]
            for key in pair:
                if key[:2] == (name, interface):
                    self._drop(session, key)

    def handshake(self, name: str, interface: str, peer_key: str) -> Handshake | None:
        """The latest handshake as this end shows it."""
        seen = self._seen.get(name, {}).get(interface)
        if seen is not None and peer_key in seen.peers:
            self.meet(name, interface, seen.peers[peer_key])
        newest: tuple[Session, Side] | None = None
        for pair in self._of_peer.get((name, interface, peer_key), ()):
            session = self._sessions[pair]
            session.advance(self._clock.now())
            for key, side in session.sides.items():
                if key[:2] == (name, interface) and (newest is None or session.at > newest[0].at):
                    newest = (session, side)
        if newest is None:
            return None
        session, side = newest
        return Handshake(session.at, side.endpoint, side.received, side.sent)

    def _recheck(self, session: Session, name: str) -> None:
        for key in session.pair:
            if key[0] == name and key in session.sides and self._peer(key, session.other(key)[2]) is None:
                self._drop(session, key)
        if session.sides:
            session.refreshing = self._refreshes(session)

    def _drop(self, session: Session, key: SideKey) -> None:
        session.advance(self._clock.now())
        session.sides.pop(key, None)
        session.refreshing = False
        session.broken_at = self._clock.now()
        if not session.sides:
            self._sessions.pop(session.pair, None)
            for one in session.pair:
                self._of_node[one[0]].discard(session.pair)
                self._of_peer[one[0], one[1], session.other(one)[2]].discard(session.pair)

    def _allot_outside(self, node: Node) -> None:
        addresses = [host for host in sorted(node.public_hosts) if is_address(host)]
        if addresses:
            self._outside[node.name] = addresses[0]
        elif not self._outside.get(node.name, "").startswith("100."):
            # Behind carrier NAT (RFC 6598 space): the address others learn, never one that can be dialled first.
            self._behind_nat += 1
            self._outside[node.name] = str(ip_address("100.64.0.0") + self._behind_nat)

    def _at(self, key: SideKey) -> _Seen | None:
        seen = self._seen.get(key[0], {}).get(key[1])
        return seen if seen is not None and seen.key == key else None

    def _peer(self, key: SideKey, peer_key: str) -> SimPeer | None:
        seen = self._at(key)
        return None if seen is None else seen.peers.get(peer_key)

    # --- handshakes ----------------------------------------------------------------------------------------------------

    def meet(self, name: str, interface: str, peer: SimPeer, *, traffic: bool = False) -> Session | None:
        """The live session of this peer, made now if it can be; None if there is none."""
        here = self._seen[name][interface]
        for there in self._candidates(here, peer):
            back = there.peers.get(here.key[2])
            if back is None:
                continue
            session = self._sessions.get(frozenset((here.key, there.key)))
            if session is not None and self._usable(session):
                return session
            if (back.preshared_key or None) != (peer.preshared_key or None):
                continue
            if self._starts(session, here, peer, there, traffic) or self._starts(session, there, back, here, traffic):
                return self._shake(here, there, peer, back)
        return None

    def _candidates(self, here: _Seen, peer: SimPeer) -> list[_Seen]:
        found = [seen for seen in self._by_key.get(peer.public_key, ()) if seen.key[0] != here.key[0]]
        if peer.endpoint is not None and len(found) > 1:  # one key on two nodes: the endpoint decides
            found.sort(key=lambda there: not self._reaches(here, peer, there))
        return found

    def _usable(self, session: Session) -> bool:
        session.advance(self._clock.now())
        return session.whole and session.fresh(self._clock.now())

    def _starts(self, session: Session | None, here: _Seen, peer: SimPeer, there: _Seen, traffic: bool) -> bool:
        """True if this end would send a handshake now, and it would arrive."""
        if peer.dials is False or not (traffic or peer.dials or peer.keepalive):
            return False
        now = self._clock.now()
        holds = session is not None and here.key in session.sides and session.fresh(now)
        if (
            session is not None
            and holds
            and there.key not in session.sides
            and now - (session.broken_at or 0.0) < self._recovery
        ):
            return False  # this end still believes in the old session: it sends no handshake until it notices
        return self._reaches(here, peer, there) or (holds and there.key[0] in self.nodes)

    def _reaches(self, here: _Seen, peer: SimPeer, there: _Seen) -> bool:
        node = self.nodes.get(there.key[0])
        if peer.endpoint is None or node is None:
            return False
        host, port = peer.endpoint
        port = getattr(node, "port_forwards", {}).get(port, port)
        if host not in node.public_hosts or port != there.interface.listen_port:
            return False
        wan = getattr(node, "wan", "wan")
        # A firewall is asked about addresses; a name has been resolved by the time a packet is on its way.
        target = host if is_address(host) else self._outside[node.name]
        return asks(node, "admits", Packet(self._outside[here.key[0]], target, "udp", port, in_interface=wan))

    def _shake(self, here: _Seen, there: _Seen, peer: SimPeer, back: SimPeer) -> Session:
        pair = frozenset((here.key, there.key))
        session = self._sessions.get(pair)
        if session is None:
            session = self._sessions[pair] = Session(pair)
            for one, other in ((here, there), (there, here)):
                self._of_node.setdefault(one.key[0], set()).add(pair)
                self._of_peer.setdefault((one.key[0], one.key[1], other.key[2]), set()).add(pair)
        sides = {
            here.key: Side(self._learned(peer, there), peer.keepalive),
            there.key: Side(self._learned(back, here), back.keepalive),
        }
        session.begin(self._clock.now(), sides)
        session.refreshing = self._refreshes(session)
        return session

    def _learned(self, peer: SimPeer, there: _Seen) -> tuple[str, int]:
        """The endpoint that one end learns for the other."""
        outside = self._outside[there.key[0]]
        if peer.endpoint is not None and self.nodes[there.key[0]].public_hosts:
            host, port = peer.endpoint
            return (host if is_address(host) else outside, port)
        return (outside, there.interface.listen_port)

    def _refreshes(self, session: Session) -> bool:
        """True if keepalives renew this session by themselves."""
        if not session.whole:
            return False
        one, other = session.pair
        here, there = self._at(one), self._at(other)
        if here is None or there is None:
            return False
        peer, back = here.peers.get(other[2]), there.peers.get(one[2])
        if peer is None or back is None or (peer.preshared_key or None) != (back.preshared_key or None):
            return False
        session.sides[one].keepalive, session.sides[other].keepalive = peer.keepalive, back.keepalive
        return self._starts(session, here, peer, there, traffic=False) or self._starts(
            session, there, back, here, traffic=False
        )
