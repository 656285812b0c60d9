"""What belongs to us on a router, and what a comparison found so far. Shared by `diff` and `running`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .changes import Change
from .model import MANAGE_KEY, Interface, IPInterface, Mark, Opening, Peer, sorted_networks

if TYPE_CHECKING:
    from .driver import Limits

PEER: Final = ("allowed_ips", "endpoint", "persistent_keepalive", "preshared_key", "mark", "disabled")
SCALARS: Final = ("listen_port", "mtu", "mark", "disabled", "reresolve")
"""Attributes that SetPeer and SetInterface write."""


@dataclass(slots=True)
class Found:
    """A Diff while it grows."""

    overlay: str
    limits: Limits
    changes: list[Change] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    key_mismatch: str = ""

    def ours(self, mark: Mark | None) -> bool:
        """True for a mark of this overlay."""
        return mark is not None and mark.overlay == self.overlay


def addresses(observed: Interface, wanted: Interface) -> frozenset[IPInterface]:
    """Addresses without the link-local ones that a router gives itself."""
    return frozenset(it for it in observed.addresses if it in wanted.addresses or not it.ip.is_link_local)


def in_order(some: Iterable[IPInterface]) -> list[IPInterface]:
    """IPv4 first: the two families do not compare."""
    return sorted(some, key=lambda it: (it.version, it.ip.packed, it.network.prefixlen))


def managed(openings: Iterable[Opening], wanted: Interface) -> Iterator[Opening]:
    """Those that fleet writes and compares, by what the inventory says under `manage:`."""
    return (opening for opening in openings if MANAGE_KEY[type(opening)] not in wanted.unmanaged)


def keep_strangers(strangers: list[Peer], wanted: Interface, found: Found) -> None:
    """Report foreign peers, and refuse where one owns an allowed IP that a peer of ours needs: taking it would cut it off."""
    if not strangers:
        return
    owners = {prefix: peer for peer in wanted.peers.values() for prefix in peer.allowed_ips if not peer.parked}
    for stranger in strangers:
        found.foreign.append(f"peer {stranger.label} on {wanted.name}")
        for prefix in sorted_networks(stranger.allowed_ips) if not stranger.disabled else ():
            if prefix in owners:
                found.conflicts.append(
                    f"{prefix} on {wanted.name} belongs to peer {stranger.label}, which is not ours, and "
                    f"{owners[prefix].label} needs it: remove it from that peer, or change the inventory"
                )
