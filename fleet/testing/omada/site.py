"""One site: its settings with every check of the sheet, and the gateway they are delivered to (sheet 2)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from ipaddress import ip_network

from .codes import Refused, invalid
from .gateway import Gateway
from .phases import Firmware
from .settings import Json, Peer, Tunnel
from .strictness import Strictness


def new_id() -> str:
    """24 hex digits."""
    return secrets.token_hex(12)


class Site:
    """A site with at most one gateway. `others`: VPNs of other types, in v2 lists, never touched; `servers`: for clients."""

    def __init__(self, name: str, gateway: Gateway | None = None, *, site_id: str | None = None) -> None:
        self.name = name
        self.id = site_id or new_id()
        self.gateway = gateway
        self.busy = False
        self.ds_lite = False
        self.others: list[Json] = []
        self.servers: list[Json] = []
        self.audit: list[Json] = []
        self.writes = 0
        self.backups: list[tuple[Json, tuple[Tunnel, ...]]] = []
        self.maintained_until: float | None = None
        self.strictness = Strictness()
        self._tunnels: tuple[Tunnel, ...] = ()
        lans = gateway.addresses if gateway is not None else ()
        self.networks: tuple[Json, ...] = tuple(
            {"id": new_id(), "name": f"LAN{number or ''}", "gatewaySubnet": lan} for number, lan in enumerate(lans)
        )

    @property
    def firmware(self) -> Firmware:
        """Of the gateway; without one, of a device that can do nothing."""
        return self.gateway.firmware if self.gateway is not None else Firmware("", "", wireguard=False, statistics=False)

    @property
    def tunnels(self) -> tuple[Tunnel, ...]:
        """As stored, in the order of creation."""
        return self._tunnels

    def store(self, tunnels: Iterable[Tunnel]) -> None:
        """Replace the settings; the gateway gets them in its own time."""
        self._tunnels = tuple(tunnels)
        self.writes += 1
        if self.gateway is not None:
            self.gateway.store(self._tunnels)

    def tunnel(self, tunnel_id: object) -> Tunnel | None:
        """By id."""
        return next((one for one in self._tunnels if one.id == tunnel_id), None)

    def of_peer(self, peer_id: str) -> tuple[Tunnel, Peer] | None:
        """The peer with this id, and its tunnel."""
        for tunnel in self._tunnels:
            peer = tunnel.peer(peer_id)
            if peer is not None:
                return tunnel, peer
        return None

    # --- writes: each raises Refused and then stores nothing ---------------------------------------------------------------

    def writable(self) -> None:
        """What every WireGuard write needs."""
        if not self.firmware.wireguard:
            raise Refused(-43208)

    def put_tunnel(self, tunnel: Tunnel) -> None:
        """Add it, or put it in the place of the one with its id."""
        others = [one for one in self._tunnels if one.id != tunnel.id]
        new = len(others) == len(self._tunnels)
        if new and len(others) >= self.firmware.interfaces:
            raise Refused(-43200)
        self.check_free(tunnel.name, tunnel.listen_port, tunnel.id)
        for peer in tunnel.peers:
            self._check_peer(peer, tunnel.without_peer(peer.id))
        self._check_room(sum(len(one.peers) for one in others) + len(tunnel.peers))
        self.store([*self._tunnels, tunnel] if new else [tunnel if one.id == tunnel.id else one for one in self._tunnels])

    def put_server(self, server: Json) -> None:
        """Add a server for clients, or put it in the place of the one with its id. It runs nowhere here."""
        self.check_free(server["name"], server["servicePort"], server["id"])
        kept = [row for row in self.servers if row["id"] != server["id"]]
        self.servers = [*kept, server]
        self.writes += 1

    def check_free(self, name: str, port: int | None, but: object = None) -> None:
        """Name and port belong to no other VPN of the site (-33006, -43204)."""
        tunnels = [one for one in self._tunnels if one.id != but]
        rows = [row for row in (*self.others, *self.servers) if row["id"] != but]
        if name in {one.name for one in tunnels} | {row["name"] for row in rows}:
            raise Refused(-33006)
        if port in {one.listen_port for one in tunnels} | {row["servicePort"] for row in rows if "servicePort" in row}:
            raise Refused(-43204)

    def put_peer(self, tunnel: Tunnel, peer: Peer) -> None:
        """Add the peer to the tunnel, or change the one with its id, wherever that is now."""
        rest = [one.without_peer(peer.id) for one in self._tunnels]
        target = next(one for one in rest if one.id == tunnel.id)
        self._check_peer(peer, target)
        self._check_room(sum(len(one.peers) for one in rest) + 1)
        held = self.of_peer(peer.id)
        if held is not None and held[0].id == tunnel.id:
            target = tunnel  # it keeps its place in the list
        self.store(target.with_peer(peer) if one.id == tunnel.id else one for one in rest)

    def delete_tunnel(self, tunnel: Tunnel, *, cascade: bool) -> None:
        """Remove it. v1 with peers: refused or cascade, which is unverified (sheet 2.1)."""
        if tunnel.peers and not cascade:
            raise invalid("the interface still has peers")
        self.store(one for one in self._tunnels if one.id != tunnel.id)

    def delete_peer(self, peer_id: str) -> None:
        """Remove it wherever it is."""
        self.store(one.without_peer(peer_id) for one in self._tunnels)

    def _check_peer(self, peer: Peer, tunnel: Tunnel) -> None:
        """`tunnel` without the peer itself."""
        if any(one.public_key == peer.public_key for one in tunnel.peers):
            raise Refused(-43205)
        if self.strictness.overlap == "refused":
            wanted = {ip_network(one) for one in peer.allow_address}
            for one in tunnel.peers:
                for taken in one.allow_address:
                    if ip_network(taken) in wanted:
                        raise invalid(f"allowAddress: {taken} belongs to peer {one.name}")

    def _check_room(self, peers: int) -> None:
        if peers > self.firmware.peers:
            raise Refused(-43202)
