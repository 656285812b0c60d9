"""Single releases at which something changed (sheet 1, 2 and 5): the last without, the first with it."""

from __future__ import annotations

import pytest
from opnsense_boxes import NOBODY, peer, running, server
from opnsense_client import Client


def deletes_lists(client: Client) -> bool:
    return bool(client.post(f"wireguard/client/del_client/{peer(client)},{peer(client)}") == {"result": "deleted"})


def trips_over_objects(client: Client) -> bool:
    body = {"server": {"name": "a", "privkey": "AAAA", "peers": {NOBODY: {"selected": 1}}}}
    return "errorMessage" in client.post("wireguard/server/add_server", body)


def refuses_to_revert_on_get(client: Client) -> bool:
    newest = client.get("core/backup/backups/this")["items"][0]["id"]
    return bool(client.get(f"core/backup/revert_backup/{newest}") == {"status": "failed"})


def limits_keepalive(client: Client) -> bool:
    body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "keepalive": "65536"}}
    return "validations" in client.post("wireguard/client/add_client", body)


def knows_debug(client: Client) -> bool:
    return "debug" in client.get("wireguard/server/getServer")["server"]


def shows_private_keys_in_rows(client: Client) -> bool:
    server(client)
    return "privkey" in client.get("wireguard/server/searchServer")["rows"][0]


def rows_without_interface(client: Client) -> bool:
    server(client)
    return "interface" not in client.get("wireguard/server/searchServer")["rows"][0]


def knows_endpoints_of_peers(client: Client) -> bool:
    return "endpoint" in client.get("wireguard/client/getClient")["client"]


def knows_generator_defaults(client: Client) -> bool:
    return "peer_dns" in client.get("wireguard/server/getServer")["server"]


def demands_a_mask_of_peers(client: Client) -> bool:
    body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1"}}
    return "validations" in client.post("wireguard/client/addClient", body)


def takes_an_instance_without_public_key(client: Client) -> bool:
    return "uuid" in client.post("wireguard/server/addServer", {"server": {"name": "a", "privkey": "AAAA"}})


def takes_one_key_with_two_endpoints(client: Client) -> bool:
    peer(client, pubkey="AAAA")
    body = {"client": {"name": "b", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "serverport": "51821"}}
    return "uuid" in client.post("wireguard/client/addClient", body)


def refuses_unknown_instances(client: Client) -> bool:
    body = {"client": {"name": "a", "pubkey": "AAAA", "tunneladdress": "10.0.0.1/32", "servers": NOBODY}}
    return "validations" in client.post("wireguard/client/addClient", body)


def shows_instances_of_a_peer(client: Client) -> bool:
    return "servers" in client.get("wireguard/client/getClient")["client"]


def lists_instances(client: Client) -> bool:
    return client.raw("GET", "/api/wireguard/client/listServers").status == 200


def tells_about_instances(client: Client) -> bool:
    return client.raw("GET", "/api/wireguard/client/getServerInfo").status == 200


CHANGES = [
    (deletes_lists, "26.1.2", "26.1.3"),
    (trips_over_objects, "26.1.10", "26.1.11"),
    (refuses_to_revert_on_get, "25.7.5", "25.7.6"),
    (limits_keepalive, "25.7.7", "25.7.8"),
    (knows_debug, "25.7.5", "25.7.6"),
    (shows_private_keys_in_rows, "25.1.2", "25.1.3"),
    (rows_without_interface, "25.1.2", "25.1.3"),
    (rows_without_interface, "25.7.1", "25.7.0"),
    (knows_endpoints_of_peers, "24.1.6", "24.1.7"),
    (knows_generator_defaults, "24.1.5", "24.1.6"),
    (demands_a_mask_of_peers, "24.1.3", "24.1.4"),
    (takes_an_instance_without_public_key, "24.1.2", "24.1.3"),
    (takes_one_key_with_two_endpoints, "24.1.1", "24.1.2"),
    (refuses_unknown_instances, "24.1.4", "24.1.5"),
    (lists_instances, "24.1.4", "24.1.5"),
    (tells_about_instances, "24.1.5", "24.1.6"),
    (shows_instances_of_a_peer, "23.7.7", "23.7.8"),
]


@pytest.mark.parametrize(("fact", "without", "with_it"), CHANGES)
def test_a_fact_holds_for_one_release_and_not_for_its_neighbour(fact: object, without: str, with_it: str) -> None:
    assert callable(fact)
    for version, expected in ((without, False), (with_it, True)):
        with running(version) as (_, client):
            assert fact(client) == expected, version
