"""Client-to-site servers and clients: other people's VPNs beside ours, which take names and ports (sheet 2.3)."""

from __future__ import annotations

import re
from typing import Any, Final

from .. import curve, fields
from ..access import SETTINGS_MODIFY, SETTINGS_VIEW
from ..codes import Refused, invalid
from ..settings import Json
from ..site import new_id
from .registry import NOTHING, SITE_V2, Call, operation

SERVERS = SITE_V2 + "/vpn/client-to-site-vpn-servers"
CLIENT_NAME: Final = re.compile(r"\w{1,64}", re.ASCII)
"""Letters, digits, underscore only; peers of generation 1 do take a hyphen."""


@operation("GET", SERVERS, SETTINGS_VIEW, 2)
def list_servers(call: Call) -> Json:
    """Summaries."""
    rows = [{name: row[name] for name in ("id", "name", "status", "vpnType")} for row in call.site.servers]
    return fields.grid(rows, call.query)


@operation("GET", SERVERS + "/{vpnId}", SETTINGS_VIEW, 2)
def server(call: Call) -> Json:
    """The whole of one, private keys of its clients included."""
    return dict(_held(call))


@operation("POST", SERVERS, SETTINGS_MODIFY, 2)
def create_server(call: Call) -> object:
    """No result."""
    call.site.writable()
    call.site.put_server(_server(call, new_id()))
    return NOTHING


@operation("PATCH", SERVERS + "/{vpnId}", SETTINGS_MODIFY, 2)
def modify_server(call: Call) -> object:
    """The whole object; the controller gives its clients new ids."""
    call.site.put_server(_server(call, _held(call)["id"]))
    return NOTHING


@operation("GET", SITE_V2 + "/vpn/client-to-site-vpn-clients", SETTINGS_VIEW, 2)
def list_clients(call: Call) -> Json:
    """No gateway dials out here."""
    return fields.grid([], call.query)


def _held(call: Call) -> Json:
    found = next((row for row in call.site.servers if row["id"] == call.parts["vpnId"]), None)
    if found is None:
        raise Refused(-43201)
    return found


def _server(call: Call, server_id: str) -> Json:
    body = call.body
    fields.text(body, "name", 1, 63)
    fields.flag(body, "status")
    fields.number(body, "vpnType", 4, 4)
    fields.number(body, "servicePort", 1, 65535)
    fields.number(body, "mtu", 576, 1440)
    private = fields.key(body, "privateKey")
    clients = body.get("clients")
    if not isinstance(clients, list):
        raise invalid("clients")
    return {
        **body,
        "id": server_id,
        "publicKey": curve.public_key_of(private),
        "clients": [_client(row) for row in clients],
    }


def _client(row: Any) -> Json:
    if not isinstance(row, dict) or not CLIENT_NAME.fullmatch(fields.text(row, "name")):
        raise invalid("clients")
    fields.key(row, "publicKey")
    return {**row, "id": new_id()}
