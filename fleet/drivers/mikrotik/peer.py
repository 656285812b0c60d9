"""Peers as commands."""

from __future__ import annotations

from typing import TypeAlias

from ... import AddPeer, Peer, RemovePeer, RouterPlan, Secret, SetPeer, Words
from ...errors import Unsupported
from ...link import Part
from .commands import removals, set_row
from .meaning import Native
from .parting import Parting
from .read import PEERS
from .values import join_networks, marked, yes

Attributes: TypeAlias = tuple[tuple[str, Part], ...]


class PeerWriter:
    """Writes the peers of one plan against one read. Pure. `parting`: a guard is armed."""

    def __init__(self, plan: RouterPlan, native: Native, parting: Parting | None) -> None:
        self._plan = plan
        self._native = native
        self._parting = parting

    def add(self, change: AddPeer) -> Words:
        """A peer with everything at once."""
        wanted = change.wanted
        words: list[tuple[str, Part]] = [("interface", change.interface), ("public-key", wanted.public_key)]
        words.append(("allowed-address", join_networks(wanted.allowed_ips)))
        if wanted.endpoint is not None:
            words += _endpoint(wanted)
        if wanted.persistent_keepalive:
            words.append(("persistent-keepalive", f"{wanted.persistent_keepalive}s"))
        if wanted.preshared_key is not None:
            words.append(("preshared-key", self._preshared(wanted)))
        if wanted.mark is not None:
            words.append(("comment", str(wanted.mark)))
        if wanted.disabled:
            words.append(("disabled", "yes"))
        return Words(f"{PEERS}/add", tuple(words))

    def remove(self, change: RemovePeer) -> list[Words]:
        """Gone, or under a guard only disabled."""
        if self._parting:
            return self._parting.peer(change)
        return removals(PEERS, [self._native.peers.get((change.interface, change.old.public_key))])

    def set(self, change: SetPeer) -> list[Words]:
        """Only the words that differ; nothing if the peer has no id yet."""
        wanted, differing = change.wanted, change.differing
        row = self._native.peers.get((change.interface, wanted.public_key))
        if row is None:
            return []
        words: list[tuple[str, Part]] = []
        if "allowed_ips" in differing:
            words.append(("allowed-address", join_networks(wanted.allowed_ips)))
        if "endpoint" in differing:
            words += _endpoint(wanted)
        if "persistent_keepalive" in differing:
            words.append(("persistent-keepalive", f"{wanted.persistent_keepalive}s" if wanted.persistent_keepalive else "0"))
        if "preshared_key" in differing:
            words.append(("preshared-key", self._preshared(wanted)))
        if "mark" in differing:
            words.append(("comment", marked(row.get("comment", ""), wanted.mark)))
        if "disabled" in differing:
            words.append(("disabled", yes(wanted.disabled)))
        return [set_row(PEERS, row, *words)]

    def _preshared(self, peer: Peer) -> Part:
        if peer.preshared_key is None:
            return ""  # clears it (sheet 3.2)
        if isinstance(peer.preshared_key, Secret):
            return peer.preshared_key
        raise Unsupported(
            f"{self._plan.target.router}: the preshared key of peer {peer.label} cannot be derived here",
            "run it where the fleet secret is (FLEET_SECRET or .fleet/secret)",
        )


def _endpoint(peer: Peer) -> Attributes:
    if peer.endpoint is None:
        return (("endpoint-address", ""), ("endpoint-port", "0"))  # the way to clear it (sheet 3.2)
    return (("endpoint-address", peer.endpoint.host), ("endpoint-port", str(peer.endpoint.port)))
