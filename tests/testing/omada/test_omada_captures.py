"""The simulated controller answers in the shape that real ones were seen to answer in (sheet 1.1, 10)."""

from __future__ import annotations

import json
from pathlib import Path

from omada_client import interface, peer

CAPTURES = Path(__file__).parents[2] / "fixtures" / "omada"
INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"


def capture(name):
    return json.loads((CAPTURES / f"{name}.json").read_text())


def shape(value):
    """Names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_api_info_of_an_oc300(client):
    one = client(version="5.7")
    seen = json.loads(one.raw("GET", "/api/info")[1])
    wanted = capture("api_info")["reply"]
    assert seen == {**wanted, "result": {**wanted["result"], "omadacId": one.simulator.omadac_id}}


def test_a_peer_of_generation_1(client):
    one = client()
    wanted = capture("v1_peer")["row"]
    body = {name: value for name, value in wanted.items() if name not in ("id", "interfaceName", "existDomain")}
    key = one.result("POST", INTERFACES, interface())["id"]
    created = one.result("POST", PEERS, {**body, "interfaceId": key})["id"]
    assert one.rows(PEERS) == [{**wanted, "id": created, "interfaceId": key}]


def test_the_status_of_a_peer(client):
    one = client()
    key = one.result("POST", INTERFACES, interface())["id"]
    one.result("POST", PEERS, peer(key))
    (row,) = one.rows("/setting/vpn/stats/s2s?filters.vpnType=4")
    seen = one.call("GET", one.path(f"/setting/vpn/stats/s2s/{row['id']}/peer?page=1&pageSize=10"))[1]
    assert shape(seen) == shape(capture("s2s_peer_status")["reply"])
