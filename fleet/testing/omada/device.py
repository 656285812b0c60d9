"""One gateway of a simulated controller as the contract suite wants a device; only the link is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, replace
from typing import Any, Final

from . import curve
from .settings import Peer, Tunnel
from .simulator import OmadaSimulator
from .site import new_id

MARK: Final = "fleet:"
STRANGER: Final = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="


class OmadaGateway:
    """The site `site` of a started simulator: `Device` without `link`. `close` stops the whole simulator."""

    def __init__(self, simulator: OmadaSimulator, site: str = "site") -> None:
        self.simulator = simulator
        self.site = simulator.sites[site]
        self._planted: set[str] = set()

    def writes(self) -> int:
        """Writes that changed the settings of this site."""
        return self.site.writes

    def plant(self, interface: str) -> None:
        """By hand: a peer and local networks on the interface of ours with that name; an interface with a peer; another VPN."""
        phone = self.stranger("Raj's phone", STRANGER, "172.31.0.1/32")
        laptop = self.stranger("laptop", curve.public_key_of(curve.new_private_key()), "172.31.9.2/32")
        road = Tunnel(new_id(), "road-warriors", True, 1400, 13999, "172.31.9.1", curve.new_private_key(), (laptop,))
        self._planted.add(road.id)
        with self.simulator.controller.lock:
            kept = [self._meddled(one, phone) if named(one, interface) else one for one in self.site.tunnels]
            self.site.store([*kept, road])
            self.site.writes -= 1  # a person at the web page is not us
            self.site.others.append({"id": new_id(), "name": "old office", "status": True, "vpnType": 0, "siteVpnType": 1})

    @staticmethod
    def _meddled(tunnel: Tunnel, peer: Peer) -> Tunnel:
        """With a peer more, and with networks that only generation 2 knows: what a whole write must bring back."""
        return replace(tunnel.with_peer(peer), network_type=1, network_list=(), custom_network=(("192.168.77.0", 24),))

    @staticmethod
    def stranger(name: str, public_key: str, *allowed: str) -> Peer:
        """A peer as a person makes one."""
        return Peer(new_id(), name, True, public_key, allowed, 0, preshared_key=curve.new_private_key(), comment="by hand")

    def edit(self, tunnel: Tunnel) -> None:
        """Somebody else changes or adds a tunnel at the web page, at this moment."""
        with self.simulator.controller.lock:
            self.site.put_tunnel(tunnel)
            self.site.writes -= 1

    def foreign(self) -> object:
        """Other tunnels and VPNs whole; of ours every peer without our mark, and the local networks.

        Without the ids of peers, which a write of generation 2 changes.
        """
        tunnels = self.site.tunnels
        return {
            "vpns": [json.dumps(row, sort_keys=True) for row in self.site.others],
            "tunnels": [_shown(one, peers=one.peers) for one in tunnels if one.id in self._planted],
            "networks": [
                (one.network_type, one.network_list, one.custom_network) for one in self._ours() if one.custom_network
            ],
            "peers": [_peer(one) for tunnel in self._ours() for one in tunnel.peers if not marked(one)],
        }

    def ours(self) -> object:
        """Tunnels of ours with their marked peers, as often as they are there."""
        return Counter(
            json.dumps(_shown(one, peers=tuple(peer for peer in one.peers if marked(peer)), alike=True), sort_keys=True)
            for one in self._ours()
        )

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due has been done when this returns."""
        self.simulator.clock.advance(seconds)

    def reboot(self) -> None:
        """The gateway loses power and is back; the controller stays."""
        gateway = self.simulator.gateway(self.site.name)
        with self.simulator.controller.lock:
            gateway.reboot()
        self.simulator.clock.advance(gateway.boot_seconds + gateway.delay + 1)

    def exposed(self) -> str:
        """What other users of the controller see: the audit log, and the addresses of requests as a proxy logs them.

        Without those of /authorize/: the sheet's refresh carries the secret in its query (1.4).
        """
        asked = [f"{one.method} {one.path}?{dict(one.query)}" for one in self.simulator.log if "/authorize/" not in one.path]
        return "\n".join([json.dumps(self.site.audit), *asked])

    def close(self) -> None:
        """Stop the controller."""
        self.simulator.stop()

    def _ours(self) -> list[Tunnel]:
        return [one for one in self.site.tunnels if one.id not in self._planted]


def marked(peer: Peer) -> bool:
    """True if our mark is in the comment or the name."""
    return MARK in f"{peer.comment} {peer.name}"


def named(tunnel: Tunnel, interface: str) -> bool:
    """True if this is the interface of that name, mark or not."""
    return re.search(rf"\b{re.escape(interface)}\b", tunnel.name) is not None


def _peer(peer: Peer) -> dict[str, Any]:
    """Without the id. Empty and left out are the same."""
    return {name: value for name, value in asdict(peer).items() if name != "id" and value not in (None, "")}


def _shown(tunnel: Tunnel, *, peers: tuple[Peer, ...], alike: bool = False) -> dict[str, Any]:
    """`alike`: without what two gateways in the same state do not share, and what is not ours in a tunnel of ours."""
    row = asdict(replace(tunnel, peers=()))
    row["peers"] = sorted((_peer(one) for one in peers), key=lambda one: str(one["public_key"]))
    if alike:
        for name in ("id", "private_key", "network_type", "network_list", "custom_network"):
            del row[name]
    return row
