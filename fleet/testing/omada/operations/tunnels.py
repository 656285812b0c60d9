"""Generation 2: site-to-site VPNs by manual, vpnType 4, on the same objects as generation 1 (sheet 2.2)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from .. import fields
from ..access import SETTINGS_MODIFY, SETTINGS_VIEW
from ..codes import Refused, invalid
from ..settings import IPSEC_BLANK, Json, Peer, Tunnel, present
from ..site import Site, new_id
from .interfaces import shown_secret
from .registry import NOTHING, SITE_V1, SITE_V2, Call, gone, operation, required

VPNS = SITE_V2 + "/vpn/site-to-site-vpns"
WIREGUARD: Final = 4


@operation("GET", VPNS, SETTINGS_VIEW, 2)
def list_vpns(call: Call) -> Json:
    """Summaries of all types, or of `filters.vpnType`, and what gateway and controller can do."""
    rows = [*call.site.others, *(_summary(call.site, one) for one in call.site.tunnels)]
    wanted = call.query.get("filters.vpnType")
    if wanted is not None:
        rows = [row for row in rows if str(row["vpnType"]) == wanted]
    firmware = call.site.firmware
    return fields.grid(
        rows,
        call.query,
        supportWgDomain=firmware.domains,
        supportAutoWireGuard=firmware.wireguard,
        supportServerClientWireGuard=firmware.wireguard,
        supportManualWgLocalNetwork=firmware.wireguard,
        subnetsLimitSize=firmware.subnets,
    )


@operation("GET", VPNS + "/{vpnId}", SETTINGS_VIEW, 2)
def vpn(call: Call) -> Json:
    """The whole of one tunnel."""
    other = next((row for row in call.site.others if row["id"] == call.parts["vpnId"]), None)
    return _detail(call, _held(call)) if other is None else dict(other)


@operation("POST", VPNS, SETTINGS_MODIFY, 2)
def create_vpn(call: Call) -> object:
    """No result: the caller finds the id by name."""
    _may_write(call)
    call.site.put_tunnel(_vpn(call, Tunnel(new_id(), "", True, 0, 0, "", "")))
    return NOTHING


@operation("PATCH", VPNS + "/{vpnId}", SETTINGS_MODIFY, 2)
def modify_vpn(call: Call) -> object:
    """Not partial: what is left out is reset, `peers` replaces all peers."""
    _may_write(call)
    call.site.put_tunnel(_vpn(call, _held(call)))
    return NOTHING


@operation("DELETE", SITE_V2 + "/vpn/{vpnId}", SETTINGS_MODIFY, 2)
def delete_vpn(call: Call) -> object:
    """The tunnel and its peers, which are one object here."""
    held = call.site.tunnel(call.parts["vpnId"])
    if held is None:
        return gone(call, -43201)
    call.site.delete_tunnel(held, cascade=True)
    return NOTHING


@operation("PATCH", SITE_V1 + "/vpn/{vpnId}/status", SETTINGS_MODIFY, 2)
def switch_vpn(call: Call) -> object:
    """Enable or disable, nothing else."""
    call.site.put_tunnel(replace(_held(call), status=fields.flag(call.body, "status")))
    return NOTHING


@operation("DELETE", SITE_V1 + "/vpn", SETTINGS_MODIFY, 2)
def delete_vpns(call: Call) -> object:
    """Several at once; `selectAll` with ids means all others."""
    fields.number(call.body, "usage", 2, 2)
    ids, everything = required(call, "ids"), fields.flag(call.body, "selectAll")
    if not isinstance(ids, list):
        raise invalid("ids")
    for tunnel in call.site.tunnels:
        if (tunnel.id in ids) != everything:
            call.site.delete_tunnel(tunnel, cascade=True)
    return NOTHING


@operation("POST", SITE_V1 + "/vpn/defaultValue", SETTINGS_MODIFY, 2)
def default_value(call: Call) -> Json:
    """A free name, port or tunnel address."""
    kind = fields.number(call.body, "type", 0, 2)
    fields.number(call.body, "usage", 2, 2)
    fields.number(call.body, "vpnType", WIREGUARD, WIREGUARD)
    tunnels = call.site.tunnels
    if kind == 0:
        names = {one.name for one in tunnels}
        return {"vpnName": next(name for number in itertools.count(1) if (name := f"WireGuard{number}") not in names)}
    if kind == 1:
        ports = {one.listen_port for one in tunnels}
        return {"port": next(port for port in itertools.count(51820) if port not in ports)}
    taken = {one.local_ip.partition("/")[0] for one in tunnels}
    return {"tunnelIp": next(ip for number in itertools.count(1) if (ip := f"10.255.{number}.1") not in taken)}


@operation("POST", SITE_V1 + "/vpn/checkValue", SETTINGS_MODIFY, 2)
def check_value(call: Call) -> object:
    """An error when the name or port is taken by another VPN."""
    kind = fields.number(call.body, "type", 0, 1)
    if kind == 0:
        call.site.check_free(fields.text(call.body, "name", 1, 63), None, call.body.get("id"))
    else:
        call.site.check_free("", fields.number(call.body, "port", 1, 65535), call.body.get("id"))
    return NOTHING


@operation("GET", SITE_V1 + "/vpn/{vpnId}/checkUsed", SETTINGS_VIEW, 2)
def check_used(call: Call) -> Json:
    """Nothing else refers to a VPN here."""
    return {"vpnList": []}


def _may_write(call: Call) -> None:
    call.site.writable()
    if call.site.ds_lite:
        raise Refused(-33474)


def _held(call: Call) -> Tunnel:
    held = call.site.tunnel(call.parts["vpnId"])
    if held is None:
        raise Refused(-43201)  # no code is documented for v2: those of v1 are expected (sheet 2.2)
    return held


def _vpn(call: Call, held: Tunnel) -> Tunnel:
    body, strictness = call.body, call.controller.strictness
    fields.number(body, "vpnType", WIREGUARD, WIREGUARD)
    if strictness.ipsec_fields == "required":
        for name, blank in IPSEC_BLANK.items():
            if not isinstance(body.get(name), type(blank)):
                raise invalid(name)
    network_type = fields.number(body, "networkType", 0, 1)
    peers = body.get("peers", [])
    if not isinstance(peers, list):
        raise invalid("peers")
    return replace(
        held,
        name=fields.text(body, "name", 1, 63),
        status=fields.flag(body, "status"),
        mtu=fields.number(body, "mtu", 576, 1440),
        listen_port=fields.number(body, "servicePort", 1, 65535),
        local_ip=fields.tunnel_address(body, "tunnelIp", prefix=strictness.local_ip_prefix, ipv6=strictness.ipv6),
        private_key=fields.key(body, "privateKey"),
        network_type=network_type,
        network_list=_networks(call.site, body) if network_type == 0 else (),
        custom_network=fields.custom_networks(body) if network_type == 1 else (),
        ipsec={name: body.get(name, blank) for name, blank in IPSEC_BLANK.items()},
        peers=tuple(_peer(call, row, held) for row in peers),
    )


def _networks(site: Site, body: Json) -> tuple[str, ...]:
    ids = body.get("networkList")
    known = {row["id"] for row in site.networks}
    if not isinstance(ids, list) or not all(one in known for one in ids):
        raise invalid("networkList")
    return tuple(ids)


def _peer(call: Call, row: Any, held: Tunnel) -> Peer:
    if not isinstance(row, Mapping):
        raise invalid("peers")
    body, firmware = dict(row), call.site.firmware
    key = fields.key(body, "serverPublicKey")
    host, port = fields.endpoint(body, "remoteIp", "servicePort", domains=firmware.domains)
    before = next((one for one in held.peers if one.public_key == key), None)
    kept = before is not None and call.controller.strictness.peer_ids == "kept"
    return Peer(
        id=before.id if before is not None and kept else new_id(),
        name=fields.text(body, "name"),
        status=fields.flag(body, "status"),
        public_key=key,
        allow_address=fields.prefixes(body, "remoteSubnet", limit=firmware.subnets, ipv6=call.controller.strictness.ipv6),
        keep_alive=fields.number(body, "keepAlive", 0, 65535),
        end_point=None if call.endpoints_lost else host,
        end_point_port=None if call.endpoints_lost else port,
        preshared_key=fields.optional_key(body, "preSharedKey"),
        comment=fields.optional_text(body, "comment", 128),
    )


def _summary(site: Site, tunnel: Tunnel) -> Json:
    return {
        "id": tunnel.id,
        "name": tunnel.name,
        "status": tunnel.status,
        "vpnType": WIREGUARD,
        "siteVpnType": tunnel.site_vpn_type,
        "networkType": tunnel.network_type,
        "networkList": list(tunnel.network_list),
        "featureDescription": [{"featureState": 0 if site.firmware.wireguard else 1}],
    }


def _detail(call: Call, tunnel: Tunnel) -> Json:
    return present(
        {
            **_summary(call.site, tunnel),
            **tunnel.ipsec,
            "mtu": tunnel.mtu,
            "tunnelIp": tunnel.local_ip,
            "servicePort": tunnel.listen_port,
            "privateKey": shown_secret(call, tunnel.private_key),
            "publicKey": tunnel.public_key,
            "customNetwork": [{"ip": ip, "mask": mask} for ip, mask in tunnel.custom_network],
            "peers": [_peer_row(call, peer) for peer in tunnel.peers],
        }
    )


def _peer_row(call: Call, peer: Peer) -> Json:
    """No id here (sheet 2.2)."""
    return present(
        {
            "name": peer.name,
            "status": peer.status,
            "remoteIp": peer.end_point,
            "servicePort": peer.end_point_port,
            "serverPublicKey": peer.public_key,
            "remoteSubnet": list(peer.allow_address),
            "preSharedKey": shown_secret(call, peer.preshared_key),
            "keepAlive": peer.keep_alive,
            "comment": peer.comment,
        }
    )
