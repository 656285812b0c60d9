"""Tunnels that the controller sets up by itself between two of its sites (sheet 2.2)."""

from __future__ import annotations

import itertools
from dataclasses import replace

from .. import curve, fields
from ..access import SETTINGS_MODIFY
from ..codes import invalid
from ..settings import Peer, Tunnel
from ..site import Site, new_id
from .registry import NOTHING, Call, operation
from .tunnels import VPNS, WIREGUARD


@operation("POST", VPNS + "/auto", SETTINGS_MODIFY, 2)
def connect_sites(call: Call) -> object:
    """A tunnel between two sites of this controller that it sets up by itself; siteVpnType 0."""
    name = fields.text(call.body, "name", 1, 63)
    fields.flag(call.body, "status")
    fields.number(call.body, "vpnType", WIREGUARD, WIREGUARD)
    remote = call.controller.reachable(call.application, fields.text(call.body, "remoteSite"))
    ends = (call.site, remote)
    if remote is call.site:
        raise invalid("remoteSite")
    tunnels = [_automatic(call, site, name, number) for number, site in enumerate(ends, 1)]
    for site, tunnel in zip(ends, tunnels, strict=True):
        site.writable()
        site.check_free(tunnel.name, tunnel.listen_port)
    for number, site in enumerate(ends):
        there, other = tunnels[1 - number], ends[1 - number]
        site.put_tunnel(replace(tunnels[number], peers=(_automatic_peer(there, other),)))
    return NOTHING


def _automatic(call: Call, site: Site, name: str, number: int) -> Tunnel:
    ports = {one.listen_port for one in site.tunnels}
    port = next(port for port in itertools.count(51820) if port not in ports)
    key = curve.new_private_key()
    status = bool(call.body["status"])
    return Tunnel(new_id(), name, status, 1420, port, f"10.254.0.{number}", key, site_vpn_type=0)


def _automatic_peer(there: Tunnel, site: Site) -> Peer:
    gateway = site.gateway
    hosts = sorted(host for host in (gateway.public_hosts if gateway else ()) if fields.is_address(host))
    return Peer(
        id=new_id(),
        name=site.name,
        status=True,
        public_key=there.public_key,
        allow_address=(f"{there.local_ip}/32", *(gateway.lans if gateway else ())),
        keep_alive=25,
        end_point=hosts[0] if hosts else None,
        end_point_port=there.listen_port if hosts else None,
    )
