"""Generation 1: interfaces, peers, key generator (sheet 2.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import curve, fields
from ..access import SETTINGS_MODIFY, SETTINGS_VIEW
from ..codes import Refused
from ..settings import Json, Peer, Tunnel, present
from ..site import new_id
from .registry import NOTHING, SITE_V1, Call, gone, operation

INTERFACES = SITE_V1 + "/vpn/wireguards"
PEERS = SITE_V1 + "/vpn/wireguard-peers"


@operation("GET", INTERFACES, SETTINGS_VIEW, 1)
def list_interfaces(call: Call) -> Json:
    """All interfaces, private keys in clear unless the controller masks them."""
    return fields.grid([interface_row(call, one) for one in call.site.tunnels], call.query)


@operation("POST", INTERFACES, SETTINGS_MODIFY, 1)
def create_interface(call: Call) -> Json:
    """Answers the new id."""
    call.site.writable()
    tunnel = _interface(call, Tunnel(new_id(), "", True, 0, 0, "", ""))
    call.site.put_tunnel(tunnel)
    return {"id": tunnel.id}


@operation("PUT", INTERFACES + "/{id}", SETTINGS_MODIFY, 1)
def modify_interface(call: Call) -> object:
    """The whole object, private key included."""
    call.site.writable()
    held = call.site.tunnel(call.parts["id"])
    if held is None:
        raise Refused(-43201)
    call.site.put_tunnel(_interface(call, held))
    return NOTHING


@operation("DELETE", INTERFACES + "/{id}", SETTINGS_MODIFY, 1)
def delete_interface(call: Call) -> object:
    """With peers: see `Strictness.delete_with_peers`."""
    held = call.site.tunnel(call.parts["id"])
    if held is None:
        return gone(call, -43201)
    call.site.delete_tunnel(held, cascade=call.controller.strictness.delete_with_peers == "cascade")
    return NOTHING


@operation("GET", SITE_V1 + "/vpn/wireguard-summarys", SETTINGS_VIEW, 1)
def summaries(call: Call) -> Json:
    """Ids and names."""
    return {"data": [{"id": one.id, "name": one.name} for one in call.site.tunnels]}


@operation("GET", SITE_V1 + "/vpn/wireguard-key", SETTINGS_VIEW)
def new_key(call: Call) -> Json:
    """A fresh pair, kept nowhere. The one operation of this family that is not deprecated."""
    private = curve.new_private_key()
    return {"privateKey": private, "publicKey": curve.public_key_of(private)}


@operation("GET", PEERS, SETTINGS_VIEW, 1)
def list_peers(call: Call) -> Json:
    """The peers of all interfaces of the site."""
    rows = [peer_row(call, tunnel, peer) for tunnel in call.site.tunnels for peer in tunnel.peers]
    return fields.grid(rows, call.query, supportDomain=call.site.firmware.domains)


@operation("POST", PEERS, SETTINGS_MODIFY, 1)
def create_peer(call: Call) -> Json:
    """Answers the new id."""
    call.site.writable()
    tunnel, peer = _peer(call, new_id())
    call.site.put_peer(tunnel, peer)
    return {"id": peer.id}


@operation("PUT", PEERS + "/{id}", SETTINGS_MODIFY, 1)
def modify_peer(call: Call) -> object:
    """The whole object: an optional field that is left out is gone. Read-only fields beside it are ignored."""
    call.site.writable()
    if call.site.of_peer(call.parts["id"]) is None:
        raise Refused(-43203)
    call.site.put_peer(*_peer(call, call.parts["id"]))
    return NOTHING


@operation("DELETE", PEERS + "/{id}", SETTINGS_MODIFY, 1)
def delete_peer(call: Call) -> object:
    """By id."""
    if call.site.of_peer(call.parts["id"]) is None:
        return gone(call, -43203)
    call.site.delete_peer(call.parts["id"])
    return NOTHING


def _interface(call: Call, held: Tunnel) -> Tunnel:
    body, strictness = call.body, call.controller.strictness
    return replace(
        held,
        name=fields.text(body, "name"),
        status=fields.flag(body, "status"),
        mtu=fields.number(body, "mtu", 576, 1440),
        listen_port=fields.number(body, "listenPort", 1, 65535),
        local_ip=fields.tunnel_address(body, "localIp", prefix=strictness.local_ip_prefix, ipv6=strictness.ipv6),
        private_key=fields.key(body, "privateKey"),
    )


def _peer(call: Call, peer_id: str) -> tuple[Tunnel, Peer]:
    body, site = call.body, call.site
    name, status = fields.text(body, "name"), fields.flag(body, "status")
    tunnel = site.tunnel(fields.text(body, "interfaceId"))
    if tunnel is None:
        raise Refused(-43201)
    host, port = fields.endpoint(body, "endPoint", "endPointPort", domains=site.firmware.domains)
    return tunnel, Peer(
        id=peer_id,
        name=name,
        status=status,
        public_key=fields.key(body, "publicKey"),
        allow_address=fields.prefixes(body, "allowAddress", limit=site.firmware.subnets, ipv6=call.controller.strictness.ipv6),
        keep_alive=fields.number(body, "keepAlive", 0, 65535),
        end_point=None if call.endpoints_lost else host,
        end_point_port=None if call.endpoints_lost else port,
        preshared_key=fields.optional_key(body, "presharedKey"),
        comment=fields.optional_text(body, "comment", 128),
    )


def interface_row(call: Call, tunnel: Tunnel) -> Json:
    """As a v1 list shows it."""
    return present(
        {
            "id": tunnel.id,
            "name": tunnel.name,
            "status": tunnel.status,
            "mtu": tunnel.mtu,
            "listenPort": tunnel.listen_port,
            "localIp": tunnel.local_ip,
            "privateKey": shown_secret(call, tunnel.private_key),
            "publicKey": tunnel.public_key,
        }
    )


def peer_row(call: Call, tunnel: Tunnel, peer: Peer) -> Json:
    """As a v1 list shows it (capture in sheet 10)."""
    row: dict[str, Any] = {
        "id": peer.id,
        "name": peer.name,
        "status": peer.status,
        "interfaceId": tunnel.id,
        "interfaceName": tunnel.name,
        "publicKey": peer.public_key,
        "endPoint": peer.end_point,
        "endPointPort": peer.end_point_port,
        "existDomain": bool(peer.end_point) and not fields.is_address(str(peer.end_point)),
        "allowAddress": list(peer.allow_address),
        "presharedKey": shown_secret(call, peer.preshared_key),
        "keepAlive": peer.keep_alive,
        "comment": peer.comment,
    }
    return present(row)


def shown_secret(call: Call, secret: str | None) -> str | None:
    """The secret, or None where the controller masks it for applications that may only view."""
    masked = call.controller.strictness.masked_keys and not call.application.may(SETTINGS_MODIFY)
    return None if masked else secret
