"""Make before break: a change that would cut the path it travels on becomes union, switch, final. Pure.

A stage is an ordinary desired state per router, so drivers see no special case. In the union a router that moves to another
overlay address has both, its peers accept both, and management openings let both through; the final state has only the new
one. In between it is reached at the old address and confirmed on the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from .changes import AddPeer, Change, RemovePeer, SetInterface, SetPeer
from .model import Configuration, Fleet, Interface, IPAddress, IPNetwork, Management, Opening, Peer, PublicKey


@dataclass(frozen=True, slots=True)
class Moves:
    """Overlay addresses that routers still have and shall not keep: `addresses` by name, `keys` as their peers know them."""

    addresses: Mapping[str, frozenset[IPAddress]]
    keys: Mapping[PublicKey, str]

    def __bool__(self) -> bool:
        return bool(self.addresses)

    def note(self) -> str:
        """What is said about it in a plan."""
        moved = ", ".join(f"{name} (from {', '.join(sorted(map(str, old)))})" for name, old in sorted(self.addresses.items()))
        return f"overlay addresses change in two stages, both at once first, the old ones go last: {moved}"

    def only(self, names: Iterable[str]) -> Moves:
        """The same for some of the routers."""
        return Moves({name: self.addresses[name] for name in names if name in self.addresses}, self.keys)

    def leads_to(self, prefix: IPNetwork) -> bool:
        """True if an old address of anybody lies in this prefix."""
        old = (address for addresses in self.addresses.values() for address in addresses)
        return any(address.version == prefix.version and address in prefix for address in old)


def moves(
    before: Mapping[str, Iterable[IPAddress]],
    after: Mapping[str, Iterable[IPAddress]],
    known: Mapping[str, PublicKey],
) -> Moves:
    """Which routers change their overlay address: by what they have and what they shall have, by name.

    `known` are public keys; a router without one has no peers yet, and a first address is no move.
    """
    addresses = {
        name: gone
        for name, old in before.items()
        if name in after and name in known and (gone := frozenset(old) - frozenset(after[name]))
    }
    return Moves(addresses, {key: name for name, key in known.items()})


def union(configuration: Configuration, name: str, moving: Moves, stored: Configuration) -> Configuration:
    """The desired state of router `name` with the old addresses still valid, wherever it holds them now."""
    return {
        interface.name: _union(interface, moving.addresses.get(name, frozenset()), moving, stored.get(interface.name))
        for interface in configuration.values()
    }


def _union(interface: Interface, old: frozenset[IPAddress], moving: Moves, held: Interface | None) -> Interface:
    kept = frozenset(address for address in held.addresses if address.ip in old) if held is not None else frozenset()
    wanted = frozenset(prefix for peer in interface.peers.values() for prefix in peer.allowed_ips)
    peers = {key: _both(peer, moving, held, wanted) for key, peer in interface.peers.items()}
    openings = {identity: _open_to(opening, held) for identity, opening in interface.openings.items()}
    return replace(interface, addresses=interface.addresses | kept, peers=peers, openings=openings)


def _both(peer: Peer, moving: Moves, held: Interface | None, wanted: frozenset[IPNetwork]) -> Peer:
    """A peer keeps what leads to old addresses through it now: hosts, or the old overlay prefix. What others get is theirs."""
    before = held.peers.get(peer.public_key) if held is not None else None
    had = before.allowed_ips if before is not None else frozenset()
    kept = frozenset(prefix for prefix in had - wanted if moving.leads_to(prefix))
    return replace(peer, allowed_ips=peer.allowed_ips | kept) if kept else peer


def _open_to(opening: Opening, held: Interface | None) -> Opening:
    """Management stays open to where it is used from now: the jump itself may be what moves."""
    before = held.openings.get(opening.identity) if held is not None else None
    if isinstance(opening, Management) and isinstance(before, Management):
        return replace(opening, sources=opening.sources | before.sources)
    return opening


def unbridged(fleet: Fleet, changes: Mapping[str, Iterable[Change]]) -> Iterator[str]:
    """What no union state can carry a network over, as sentences for the plan; `changes` by router.

    A listen port: a socket has one, and what dials the old one from behind NAT hears nothing from the new one (measured: the
    NAT drops it), so it can be told of the new port by no tunnel of that router.
    """
    for name, own in changes.items():
        own = tuple(own)
        yield from _ports(fleet, name, own)
        yield from _other_ways(name, own)


def _ports(fleet: Fleet, name: str, changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        if not isinstance(change, SetInterface) or change.old.listen_port == change.wanted.listen_port:
            continue
        if fleet.routers[name].endpoint is None:
            continue  # it only dials: its peers follow it
        old, new = change.old.listen_port, change.wanted.listen_port
        yield (
            f"{name}: a UDP socket has one port, so from the change of {old} to {new} every tunnel that is dialled there "
            f"is down until its other end dials {new}, and a router that is managed by it cannot be told. Without that: "
            f"let the firewall of {name} forward UDP {new} to {old}, change the port of its `endpoint:` and sync, then "
            "change `listen_port:` and take the forward away"
        )


def _other_ways(name: str, changes: Iterable[Change]) -> Iterator[str]:
    """Prefixes that go from one peer to another: packets of a prefix are taken from one peer only, so both ends must turn."""
    had: dict[tuple[str, IPNetwork], str] = {}
    gets: dict[tuple[str, IPNetwork], str] = {}
    for change in changes:
        if not isinstance(change, AddPeer | SetPeer | RemovePeer):
            continue
        before = frozenset() if isinstance(change, AddPeer) else change.old.allowed_ips
        after = frozenset() if isinstance(change, RemovePeer) else change.wanted.allowed_ips
        label = change.old.label if isinstance(change, RemovePeer) else change.wanted.label
        had |= dict.fromkeys(((change.interface, prefix) for prefix in before - after), label)
        gets |= dict.fromkeys(((change.interface, prefix) for prefix in after - before), label)
    moved = {
        *((prefix, old, new) for (one, prefix), new in gets.items() if (old := _held_by(one, prefix, had)) not in (None, new)),
        *((prefix, old, new) for (one, prefix), old in had.items() if (new := _held_by(one, prefix, gets)) not in (None, old)),
    }
    if moved:
        prefix, old, new = min(moved, key=lambda one: (one[0].version, one[0].network_address.packed, one[0].prefixlen))
        others = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        yield (
            f"{name}: the way to {prefix} goes from peer {old} to peer {new}{others}. WireGuard takes the packets of a prefix "
            "from one peer only, so they are lost from the moment this end is written until the other end is"
        )


def _held_by(interface: str, prefix: IPNetwork, had: Mapping[tuple[str, IPNetwork], str]) -> str | None:
    """Whose peer a prefix was, by itself or inside a larger one."""
    around = (prefix.supernet(new_prefix=length) for length in range(prefix.prefixlen, -1, -1))
    return next((had[interface, one] for one in around if (interface, one) in had), None)
