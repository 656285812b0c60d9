"""WireGuard settings as the controller stores them: one set of objects, seen by both generations of the Open API (sheet 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from . import curve

Json: TypeAlias = dict[str, Any]

IPSEC_BLANK: Mapping[str, Any] = {"preSharedKey": "", "remoteIp": "", "remoteSubnet": [], "wans": [], "advancedSetting": {}}
"""What a v2 detail shows in the fields of IPsec for a tunnel that was made by v1."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. None: the field was left out of the write, and is left out of reads."""

    id: str
    name: str
    status: bool
    public_key: str
    allow_address: tuple[str, ...]
    keep_alive: int
    end_point: str | None = None
    end_point_port: int | None = None
    preshared_key: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One WireGuard interface and its peers. `ipsec`: what v2 writes carried in the fields of IPsec, given back as sent."""

    id: str
    name: str
    status: bool
    mtu: int
    listen_port: int
    local_ip: str
    private_key: str
    peers: tuple[Peer, ...] = ()
    network_type: int = 0
    network_list: tuple[str, ...] = ()
    custom_network: tuple[tuple[str, int], ...] = ()
    ipsec: Mapping[str, Any] = field(default_factory=lambda: dict(IPSEC_BLANK))
    site_vpn_type: int = 1

    @property
    def public_key(self) -> str:
        """Derived by the controller."""
        return curve.public_key_of(self.private_key)

    def peer(self, peer_id: str) -> Peer | None:
        """By id."""
        return next((one for one in self.peers if one.id == peer_id), None)

    def with_peer(self, peer: Peer) -> Tunnel:
        """The peer put in the place of the one with its id, or at the end."""
        if self.peer(peer.id) is None:
            return replace(self, peers=(*self.peers, peer))
        return replace(self, peers=tuple(peer if one.id == peer.id else one for one in self.peers))

    def without_peer(self, peer_id: str) -> Tunnel:
        """Without it."""
        return replace(self, peers=tuple(one for one in self.peers if one.id != peer_id))


def present(row: Json) -> Json:
    """Without what was never given."""
    return {name: value for name, value in row.items() if value is not None}
