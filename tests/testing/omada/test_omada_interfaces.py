"""Generation 1: interfaces and peers (sheet 2.1)."""

from __future__ import annotations

import pytest
from omada_client import interface, peer

from fleet.testing.omada import VIEWER, Application, Firmware, Gateway, Site, Strictness
from fleet.testing.omada.curve import new_private_key, public_key_of

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"


def made(one, **changes):
    """The id of a new interface."""
    return one.result("POST", INTERFACES, interface(**changes))["id"]


def with_firmware(controller, client, **firmware):
    site = Site("site", Gateway("site", firmware=Firmware(**firmware)))
    return client(controller(sites=[site]))


# ------------------------------------------------------------------------------------------------------------ interfaces
def test_creating_an_interface_answers_its_id_and_the_list_shows_it_with_both_keys(client):
    one = client()
    body = interface()
    made = one.result("POST", INTERFACES, body)
    (row,) = one.rows(INTERFACES)
    assert row == {**body, "id": made["id"], "publicKey": public_key_of(body["privateKey"])}


@pytest.mark.parametrize("field", ["name", "status", "mtu", "listenPort", "localIp", "privateKey"])
def test_every_field_of_an_interface_is_required_on_create_and_modify(client, field):
    one = client()
    body = interface()
    body.pop(field)
    assert one.code("POST", INTERFACES, body) == -1001
    assert one.code("PUT", f"{INTERFACES}/{made(one)}", body) == -1001


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"status": 1},
        {"mtu": 575},
        {"mtu": 1441},
        {"mtu": "1420"},
        {"listenPort": 0},
        {"listenPort": 65536},
        {"localIp": "10.99.0.1/24"},
        {"localIp": "fd00::1"},
        {"localIp": "wg"},
        {"privateKey": "A" * 43},
        {"privateKey": "*" * 43 + "="},
    ],
    ids=str,
)
def test_an_interface_outside_the_limits_is_1001(client, wrong):
    one = client()
    assert one.code("POST", INTERFACES, interface(**wrong)) == -1001
    assert one.rows(INTERFACES) == []


def test_an_address_with_prefix_is_taken_where_the_controller_is_lenient(client):
    one = client(local_ip_prefix=True)
    assert one.code("POST", INTERFACES, interface(localIp="10.99.0.1/24")) == 0


def test_a_port_of_another_interface_is_43204(client):
    one = client()
    made(one)
    assert one.code("POST", INTERFACES, interface(name="wg1")) == -43204


def test_a_name_of_another_interface_is_33006(client):
    one = client()
    made(one)
    assert one.code("POST", INTERFACES, interface(listenPort=51821)) == -33006


def test_modifying_replaces_the_interface_and_keeps_its_id(client):
    one = client()
    key = made(one)
    body = interface(name="wg9", listenPort=51999)
    assert one.result("PUT", f"{INTERFACES}/{key}", body) is None
    (row,) = one.rows(INTERFACES)
    assert (row["id"], row["name"], row["publicKey"]) == (key, "wg9", public_key_of(body["privateKey"]))


def test_modifying_an_interface_that_is_not_there_is_43201(client):
    assert client().code("PUT", f"{INTERFACES}/{'0' * 24}", interface()) == -43201


def test_one_interface_too_many_is_43200(controller, client):
    one = with_firmware(controller, client, interfaces=1)
    made(one)
    assert one.code("POST", INTERFACES, interface(name="wg1", listenPort=51821)) == -43200


def test_an_interface_with_peers_is_not_deleted_unless_the_controller_cascades(client):
    for behaviour, left in (("refused", 1), ("cascade", 0)):
        one = client(delete_with_peers=behaviour)
        key = made(one)
        one.result("POST", PEERS, peer(key))
        assert one.code("DELETE", f"{INTERFACES}/{key}") == (-1001 if left else 0)
        assert len(one.rows(INTERFACES)) == len(one.rows(PEERS)) == left


def test_deleting_what_is_not_there_is_success(client):
    one = client()
    assert one.code("DELETE", f"{INTERFACES}/{'0' * 24}") == 0
    assert one.code("DELETE", f"{PEERS}/{'0' * 24}") == 0


def test_there_is_no_read_by_id(client):
    one = client()
    assert one.call("GET", one.path(f"{INTERFACES}/{made(one)}"))[0] == 405


def test_the_summary_has_ids_and_names(client):
    one = client()
    key = made(one)
    assert one.result("GET", "/vpn/wireguard-summarys") == {"data": [{"id": key, "name": "wg0"}]}


def test_the_key_generator_makes_a_pair_that_is_not_stored(client):
    one = client()
    pair = one.result("GET", "/vpn/wireguard-key")
    assert pair["publicKey"] == public_key_of(pair["privateKey"])
    assert pair != one.result("GET", "/vpn/wireguard-key")
    assert one.rows(INTERFACES) == []


def test_an_application_that_may_only_view_reads_private_keys_unless_they_are_masked(controller, client):
    for masked in (False, True):
        viewer = Application(rights=VIEWER)
        simulator = controller(applications=[viewer], strictness=Strictness(budget=None, masked_keys=masked))
        admin = client(simulator)
        made(admin)
        (row,) = client(simulator, application=viewer).rows(INTERFACES)
        assert ("privateKey" in row) is not masked
        assert "privateKey" in admin.rows(INTERFACES)[0]


# ----------------------------------------------------------------------------------------------------------------- peers
def test_a_peer_with_the_required_fields_alone_is_a_roaming_one(client):
    one = client()
    body = peer(made(one))
    key = one.result("POST", PEERS, body)["id"]
    (row,) = one.rows(PEERS)
    assert row == {**body, "id": key, "interfaceName": "wg0", "existDomain": False}


def test_the_peer_list_says_whether_domains_are_supported(controller, client):
    for domains in (False, True):
        one = with_firmware(controller, client, domains=domains)
        assert one.result("GET", f"{PEERS}?page=1&pageSize=10")["supportDomain"] is domains


@pytest.mark.parametrize("field", ["name", "status", "interfaceId", "publicKey", "allowAddress", "keepAlive"])
def test_every_required_field_of_a_peer_is_required_on_create_and_modify(client, field):
    one = client()
    interface_id = made(one)
    key = one.result("POST", PEERS, peer(interface_id))["id"]
    body = peer(interface_id, allowAddress=["10.99.0.9/32"])
    body.pop(field)
    assert one.code("POST", PEERS, body) == -1001
    assert one.code("PUT", f"{PEERS}/{key}", body) == -1001


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowAddress": []},
        {"allowAddress": "10.99.0.2/32"},
        {"allowAddress": ["10.99.0.2"]},
        {"allowAddress": ["10.99.0.2/24"]},
        {"allowAddress": ["10.99.0.2/255.255.255.255"]},
        {"allowAddress": ["fd00::2/128"]},
        {"keepAlive": -1},
        {"keepAlive": 65536},
        {"keepAlive": True},
        {"comment": "x" * 129},
        {"presharedKey": "secret"},
        {"publicKey": ""},
        {"endPoint": "no address", "endPointPort": 51820},
        {"endPoint": "192.0.2.1", "endPointPort": 0},
        {"endPoint": "192.0.2.1", "endPointPort": "51820"},
    ],
    ids=str,
)
def test_a_peer_outside_the_limits_is_1001(client, wrong):
    one = client()
    assert one.code("POST", PEERS, peer(made(one), **wrong)) == -1001
    assert one.rows(PEERS) == []


def test_endpoint_and_port_come_together(client):
    one = client()
    key = made(one)
    assert one.code("POST", PEERS, peer(key, endPoint="192.0.2.1")) == -43207
    assert one.code("POST", PEERS, peer(key, endPointPort=51820)) == -43207
    assert one.code("POST", PEERS, peer(key, endPoint="192.0.2.1", endPointPort=51820)) == 0


def test_a_domain_is_43206_unless_the_gateway_takes_one(controller, client):
    for domains in (False, True):
        one = with_firmware(controller, client, domains=domains)
        body = peer(made(one), endPoint="vpn.example.com", endPointPort=51820)
        assert one.code("POST", PEERS, body) == (0 if domains else -43206)
        assert [row["existDomain"] for row in one.rows(PEERS)] == [True] * domains


def test_a_key_twice_on_one_interface_is_43205_and_on_two_is_not(client):
    one = client()
    first, second = made(one), made(one, name="wg1", listenPort=51821)
    body = peer(first)
    one.result("POST", PEERS, body)
    assert one.code("POST", PEERS, {**body, "allowAddress": ["10.99.0.3/32"]}) == -43205
    assert one.code("POST", PEERS, {**body, "interfaceId": second}) == 0


def test_two_peers_may_have_one_name(client):
    one = client()
    key = made(one)
    assert one.code("POST", PEERS, peer(key)) == 0
    assert one.code("POST", PEERS, peer(key, allowAddress=["10.99.0.3/32"])) == 0


def test_an_allowed_address_of_another_peer_is_refused_unless_the_controller_accepts(client):
    for behaviour, code in (("refused", -1001), ("accepted", 0)):
        one = client(overlap=behaviour)
        key = made(one)
        one.result("POST", PEERS, peer(key, allowAddress=["10.99.0.2/32", "10.8.0.0/16"]))
        assert one.code("POST", PEERS, peer(key, allowAddress=["10.8.0.0/16"])) == code
        assert one.code("POST", PEERS, peer(key, allowAddress=["10.8.1.0/24"])) == 0


def test_what_a_modified_peer_leaves_out_is_gone(client):
    one = client()
    interface_id = made(one)
    full = {"endPoint": "192.0.2.1", "endPointPort": 51820, "presharedKey": new_private_key(), "comment": "fleet:acme:branch"}
    body = peer(interface_id)
    key = one.result("POST", PEERS, {**body, **full})["id"]
    assert one.rows(PEERS)[0].items() >= full.items()
    one.result("PUT", f"{PEERS}/{key}", body)
    assert not set(full) & set(one.rows(PEERS)[0])


def test_a_peer_as_read_may_be_written_back(client):
    one = client()
    interface_id = made(one)
    one.result("POST", PEERS, peer(interface_id, presharedKey="", endPoint="192.0.2.1", endPointPort=51820))
    (row,) = one.rows(PEERS)
    assert one.code("PUT", f"{PEERS}/{row['id']}", row) == 0
    assert one.rows(PEERS) == [row]


def test_modifying_a_peer_that_is_not_there_is_43203(client):
    one = client()
    assert one.code("PUT", f"{PEERS}/{'0' * 24}", peer(made(one))) == -43203


def test_a_peer_moves_to_another_interface(client):
    one = client()
    first, second = made(one), made(one, name="wg1", listenPort=51821)
    key = one.result("POST", PEERS, peer(first))["id"]
    one.result("PUT", f"{PEERS}/{key}", peer(second))
    (row,) = one.rows(PEERS)
    assert (row["id"], row["interfaceName"]) == (key, "wg1")


def test_one_peer_too_many_is_43202(controller, client):
    one = with_firmware(controller, client, peers=1)
    key = made(one)
    one.result("POST", PEERS, peer(key))
    assert one.code("POST", PEERS, peer(key, allowAddress=["10.99.0.3/32"])) == -43202


def test_a_gateway_without_wireguard_refuses_every_write_with_43208(controller, client):
    one = with_firmware(controller, client, wireguard=False)
    assert one.result("GET", "/capacity") == {"wireguard": False}
    assert one.code("POST", INTERFACES, interface()) == -43208
    assert one.code("PUT", f"{INTERFACES}/{'0' * 24}", interface()) == -43208
    assert one.code("POST", PEERS, peer("0" * 24)) == -43208
    assert one.code("PUT", f"{PEERS}/{'0' * 24}", peer("0" * 24)) == -43208


def test_settings_of_one_site_are_not_those_of_another(controller, client):
    one = client(controller(sites=["a", "b"]))
    one.result("POST", INTERFACES, interface(), site="a")
    assert one.rows(INTERFACES, site="b") == []
    assert one.code("POST", INTERFACES, interface(), site="b") == 0
