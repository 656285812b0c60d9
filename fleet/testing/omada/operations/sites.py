"""Sites, devices, capabilities, status (sheet 5, 11.7, 11.13, 11.15)."""

from __future__ import annotations

from typing import Any, Final

from .. import fields
from ..access import DEVICES_MODIFY, DEVICES_VIEW, NO_RIGHT, SETTINGS_VIEW
from ..codes import Refused, invalid
from ..gateway import Gateway
from ..settings import Json, Peer, Tunnel
from .registry import NOTHING, SITE_V1, Call, operation

STATS = SITE_V1 + "/setting/vpn/stats"
ALIVE: Final = 180.0
"""Seconds after which a WireGuard session without handshake is dead, and shown as disconnected."""


@operation("GET", "/openapi/v1/{omadacId}/sites", NO_RIGHT)
def list_sites(call: Call) -> Json:
    """The sites that the application was given. Only `siteId` and `name` matter; the sheet names no more."""
    rows: list[Json] = [
        {"siteId": site.id, "name": site.name, "region": "United States", "timeZone": "UTC", "scenario": "Office", "type": 0}
        for site in call.controller.sites.values()
        if call.application.reaches(site.id)
    ]
    return fields.grid(rows, call.query)


@operation("GET", SITE_V1 + "/devices", DEVICES_VIEW)
def list_devices(call: Call) -> Json:
    """Gateway and whatever else the site has, one page."""
    return fields.grid(_devices(call), call.query)


@operation("GET", SITE_V1 + "/devices/all", DEVICES_VIEW)
def all_devices(call: Call) -> list[Json]:
    """All at once; the shape of this result is not in the sheet, a list is assumed."""
    return _devices(call)


@operation("GET", SITE_V1 + "/capacity", SETTINGS_VIEW)
def capacity(call: Call) -> Json:
    """What the site's gateway can do."""
    return {"wireguard": call.site.firmware.wireguard}


@operation("POST", SITE_V1 + "/devices/{mac}/force-provision", DEVICES_MODIFY)
def force_provision(call: Call) -> object:
    """Push everything again."""
    gateway = call.site.gateway
    if gateway is None or gateway.mac != call.parts["mac"]:
        raise Refused(-39050)
    if not gateway.connected:
        raise Refused(-39051)
    call.site.writes += 1
    gateway.force_provision()
    return NOTHING


@operation("GET", STATS + "/s2s", SETTINGS_VIEW)
def tunnels(call: Call) -> Json:
    """One row per tunnel that runs on the gateway. A gateway that is not connected shows none."""
    rows = []
    for gateway, tunnel in _shown(call):
        connected = sum(_handshake_age(call, gateway, tunnel, peer) is not None for peer in tunnel.peers if peer.status)
        total = sum(peer.status for peer in tunnel.peers)
        rows.append(
            {
                "id": _row_id(call, gateway, tunnel.id),
                "vpnId": tunnel.id,
                "name": tunnel.name,
                "port": tunnel.listen_port,
                "connectedNum": connected,
                "disconnectedNum": total - connected,
                "totalRemoteNum": total,
            }
        )
    return _statistics(call, rows)


@operation("GET", STATS + "/s2s/{rowId}/peer", SETTINGS_VIEW)
def peers(call: Call) -> Json:
    """One row per enabled peer. `rowId` is the id of the status row, not of the VPN; `vpnId` in the rows is the peer's own."""
    rows: list[Json] = []
    for gateway, tunnel in _shown(call):
        if str(_row_id(call, gateway, tunnel.id)) == call.parts["rowId"]:
            rows = [_peer_row(call, gateway, tunnel, peer) for peer in tunnel.peers if peer.status]
    wanted = call.query.get("filters.status")
    if wanted not in (None, "0", "1"):
        raise invalid("filters.status")
    return _statistics(call, [row for row in rows if wanted is None or str(row["status"]) == wanted], filtered=False)


@operation("GET", STATS + "/server", SETTINGS_VIEW)
@operation("GET", STATS + "/client", SETTINGS_VIEW)
@operation("GET", STATS + "/server/{rowId}/client", SETTINGS_VIEW)
def roaming(call: Call) -> Json:
    """No client-to-site VPN here."""
    return _statistics(call, [], filtered=False)


def _devices(call: Call) -> list[Json]:
    access_point = {"mac": "AA-BB-DD-00-00-01", "name": "ap", "type": "ap", "model": "EAP650", "status": 1, "detailStatus": 14}
    gateway = call.site.gateway
    return [access_point, *([gateway.row()] if gateway is not None else [])]


def _shown(call: Call) -> list[tuple[Gateway, Tunnel]]:
    if call.query.get("filters.vpnType", "4") != "4":
        return []
    gateway = call.site.gateway
    if gateway is None or not gateway.connected:
        return []
    return [(gateway, tunnel) for tunnel in gateway.running if tunnel.status]


def _row_id(call: Call, gateway: Gateway, key: str) -> Any:
    text = gateway.row_id(key)
    return text if call.controller.strictness.row_ids == "string" else int(text)


def _statistics(call: Call, rows: list[Json], *, filtered: bool = True) -> Json:
    """The captures have no currentPage and no currentSize (sheet 10)."""
    if filtered and "filters.vpnType" not in call.query:
        raise invalid("filters.vpnType")
    shown = fields.grid(rows, call.query)
    return {
        "totalRows": shown["totalRows"],
        "data": shown["data"],
        "supportWireguardStatus": call.site.firmware.statistics,
    }


def _handshake_age(call: Call, gateway: Gateway, tunnel: Tunnel, peer: Peer) -> float | None:
    """Seconds, None where the session is dead or the firmware tells nothing."""
    seen = gateway.handshake(tunnel, peer) if gateway.firmware.statistics else None
    age = None if seen is None else call.controller.clock.now() - seen.at
    return age if age is not None and age < ALIVE else None


def _peer_row(call: Call, gateway: Gateway, tunnel: Tunnel, peer: Peer) -> Json:
    seen = gateway.handshake(tunnel, peer)
    age = _handshake_age(call, gateway, tunnel, peer)
    host, port = (peer.end_point or "", peer.end_point_port or 0) if seen is None else seen.endpoint
    down, up = (0, 0) if seen is None else (seen.received, seen.sent)
    return {
        "id": _row_id(call, gateway, f"{tunnel.id} {peer.id}"),
        "vpnId": peer.id,
        "name": peer.name,
        "remoteIp": host,
        "downPkts": down // 128,
        "downBytes": down,
        "upPkts": up // 128,
        "upBytes": up,
        "loginTime": 0 if age is None else int((call.controller.wall() - age) * 1000),
        "port": port,
        "status": 0 if age is None else 1,
    }
