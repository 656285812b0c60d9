"""Generation 2: site-to-site VPNs on the same objects (sheet 2.2)."""

from __future__ import annotations

import pytest
from omada_client import interface, peer, s2s, s2s_peer

from fleet.testing.ether import Ether
from fleet.testing.omada import Gateway, OmadaGateway, Site
from fleet.testing.omada.curve import new_private_key, public_key_of

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"
VPNS = "/vpn/site-to-site-vpns"


def created(one, *peers, **changes):
    """The id of a new VPN, found by name."""
    body = s2s(*peers, **changes)
    assert one.result("POST", VPNS, body, version=2) is None
    return next(row["id"] for row in one.rows(VPNS, version=2) if row["name"] == body["name"])


def test_creating_a_tunnel_answers_no_id(client):
    one = client()
    status, reply = one.call("POST", one.path(VPNS, version=2), s2s())
    assert (status, reply) == (200, {"errorCode": 0, "msg": "Success."})


def test_creating_the_same_tunnel_again_is_refused_by_its_name(client):
    one = client()
    created(one)
    assert one.code("POST", VPNS, s2s(servicePort=51821), version=2) == -33006


def test_both_generations_see_the_same_objects_with_the_same_ids(client):
    one = client()
    key = created(one, s2s_peer(comment="fleet:acme:branch"))
    (row,) = one.rows(INTERFACES)
    assert (row["id"], row["localIp"], row["listenPort"]) == (key, "10.99.0.1", 51820)
    one.result("POST", PEERS, peer(key, name="second", allowAddress=["10.99.0.3/32"]))
    detail = one.result("GET", f"{VPNS}/{key}", version=2)
    assert [row["name"] for row in detail["peers"]] == ["branch", "second"]


def test_a_detail_has_its_own_words_and_peers_without_ids(client):
    one = client()
    given = s2s_peer(remoteIp="192.0.2.1", servicePort=51820, preSharedKey="", comment="x")
    detail = one.result("GET", f"{VPNS}/{created(one, given)}", version=2)
    assert detail["peers"] == [given]
    assert detail["vpnType"] == 4
    assert {"tunnelIp", "servicePort", "privateKey", "publicKey", "siteVpnType", "featureDescription"} <= set(detail)


def test_the_list_can_be_narrowed_to_wireguard_and_tells_what_the_gateway_can(client):
    one = client()
    created(one)
    OmadaGateway(one.simulator).plant("wg0")
    assert {row["vpnType"] for row in one.rows(VPNS, version=2)} == {0, 4}
    shown = one.result("GET", f"{VPNS}?page=1&pageSize=10&filters.vpnType=4", version=2)
    assert {row["vpnType"] for row in shown["data"]} == {4}
    assert shown["supportWgDomain"] is False
    assert shown["subnetsLimitSize"] == 64


@pytest.mark.parametrize("field", ["preSharedKey", "remoteIp", "remoteSubnet", "wans", "advancedSetting"])
def test_the_ipsec_fields_are_required_unless_the_controller_is_lenient(client, field):
    for behaviour, code in (("required", -1001), ("optional", 0)):
        body = s2s()
        body.pop(field)
        assert client(ipsec_fields=behaviour).code("POST", VPNS, body, version=2) == code


@pytest.mark.parametrize(
    "wrong",
    [{"name": "x" * 64}, {"vpnType": 0}, {"mtu": 1500}, {"networkType": 2}, {"networkList": ["0" * 24]}, {"peers": {}}],
    ids=str,
)
def test_a_tunnel_outside_the_limits_is_1001(client, wrong):
    one = client()
    assert one.code("POST", VPNS, s2s(**wrong), version=2) == -1001
    assert one.rows(VPNS, version=2) == []


def test_the_codes_of_generation_1_hold_here_too(client):
    one = client()
    created(one)
    same = s2s_peer()
    assert one.code("POST", VPNS, s2s(name="wg1"), version=2) == -43204
    assert (
        one.code("POST", VPNS, s2s(same, {**same, "remoteSubnet": ["10.8.0.0/16"]}, name="b", servicePort=1), version=2)
        == -43205
    )
    assert one.code("POST", VPNS, s2s(s2s_peer(remoteIp="192.0.2.1"), name="b", servicePort=1), version=2) == -43207
    assert one.code("PATCH", f"{VPNS}/{'0' * 24}", s2s(), version=2) == -43201


def test_a_patch_without_peers_removes_all_of_them(client):
    one = client()
    key = created(one, s2s_peer())
    body = s2s()
    body.pop("peers")
    one.result("PATCH", f"{VPNS}/{key}", body, version=2)
    assert one.rows(PEERS) == []


def test_a_patch_replaces_what_it_leaves_out(client):
    one = client()
    custom = [{"ip": "192.168.7.0", "mask": 24}]
    key = created(one, networkType=1, customNetwork=custom, wans=["wan1"])
    assert one.result("GET", f"{VPNS}/{key}", version=2)["customNetwork"] == custom
    one.result("PATCH", f"{VPNS}/{key}", s2s(), version=2)
    detail = one.result("GET", f"{VPNS}/{key}", version=2)
    assert (detail["customNetwork"], detail["wans"]) == ([], [])


def test_a_detail_as_read_may_be_written_back(client):
    one = client()
    key = one.result("POST", INTERFACES, interface())["id"]
    one.result("POST", PEERS, peer(key))
    detail = one.result("GET", f"{VPNS}/{key}", version=2)
    assert one.code("PATCH", f"{VPNS}/{key}", detail, version=2) == 0
    assert one.result("GET", f"{VPNS}/{key}", version=2) == detail


def test_a_patch_gives_peers_new_ids_unless_the_controller_keeps_them(client):
    for behaviour, kept in (("new", False), ("kept", True)):
        one = client(peer_ids=behaviour)
        given = s2s_peer()
        key = created(one, given)
        before = one.rows(PEERS)[0]["id"]
        one.result("PATCH", f"{VPNS}/{key}", s2s(given), version=2)
        assert (one.rows(PEERS)[0]["id"] == before) is kept


def test_a_put_by_generation_1_keeps_what_only_generation_2_knows(client):
    one = client()
    custom = [{"ip": "192.168.7.0", "mask": 24}]
    key = created(one, networkType=1, customNetwork=custom)
    one.result("PUT", f"{INTERFACES}/{key}", interface(mtu=1400))
    assert one.result("GET", f"{VPNS}/{key}", version=2)["customNetwork"] == custom


def test_status_switches_a_tunnel_and_nothing_else(client):
    one = client()
    key = created(one, s2s_peer())
    before = one.result("GET", f"{VPNS}/{key}", version=2)
    one.result("PATCH", f"/vpn/{key}/status", {"status": False})
    assert one.result("GET", f"{VPNS}/{key}", version=2) == {**before, "status": False}


def test_deleting_a_tunnel_takes_its_peers(client):
    one = client()
    one.result("DELETE", f"/vpn/{created(one, s2s_peer())}", version=2)
    assert one.rows(VPNS, version=2) == one.rows(PEERS) == []


def test_select_all_with_ids_deletes_all_others(client):
    one = client()
    key = created(one)
    created(one, name="wg1", servicePort=51821)
    one.result("DELETE", "/vpn", {"usage": 2, "ids": [key], "selectAll": True, "searchKey": ""})
    assert [row["id"] for row in one.rows(VPNS, version=2)] == [key]


def test_default_and_check_value_know_what_is_taken(client):
    one = client()
    created(one)
    assert one.result("POST", "/vpn/defaultValue", {"type": 1, "usage": 2, "vpnType": 4}) == {"port": 51821}
    assert one.code("POST", "/vpn/checkValue", {"type": 1, "port": 51820}) == -43204
    assert one.code("POST", "/vpn/checkValue", {"type": 0, "name": "wg1"}) == 0


def test_a_ds_lite_wan_refuses_with_33474(client):
    one = client()
    one.simulator.sites["site"].ds_lite = True
    assert one.code("POST", VPNS, s2s(), version=2) == -33474


# ------------------------------------------------------------------------------------------------------------ generations
def test_release_5_has_generation_1_alone(client):
    one = client(version="5.14")
    assert one.code("GET", f"{VPNS}?page=1&pageSize=10", version=2) == -1600
    assert one.rows(INTERFACES) == []


def test_where_generation_1_was_removed_only_the_key_generator_is_left(controller, client):
    one = client(controller("6.2", generations=frozenset({0, 2})))
    assert one.code("GET", f"{INTERFACES}?page=1&pageSize=10") == -1600
    assert one.rows(VPNS, version=2) == []
    assert one.code("GET", "/vpn/wireguard-key") == 0


# ---------------------------------------------------------------------------------------------------- VPNs of other kinds
SERVERS = "/vpn/client-to-site-vpn-servers"


def roaming(*clients, **changes):
    body = {"name": "road", "status": True, "vpnType": 4, "servicePort": 13999, "mtu": 1420, "privateKey": new_private_key()}
    return {**body, "clients": list(clients), **changes}


def test_a_server_for_clients_takes_its_name_and_its_port(client):
    one = client()
    one.result("POST", SERVERS, roaming(), version=2)
    assert one.code("POST", VPNS, s2s(name="road"), version=2) == -33006
    assert one.code("POST", INTERFACES, interface(listenPort=13999)) == -43204
    assert one.code("POST", "/vpn/checkValue", {"type": 1, "port": 13999}) == -43204


def test_clients_of_a_server_get_new_ids_and_have_names_without_hyphen(client):
    one = client()
    raj = {"name": "raj_phone", "publicKey": public_key_of(new_private_key()), "interfaceIp": "10.7.0.2"}
    assert one.code("POST", SERVERS, roaming({**raj, "name": "raj-phone"}), version=2) == -1001
    one.result("POST", SERVERS, roaming(raj), version=2)
    key = one.rows(SERVERS, version=2)[0]["id"]
    before = one.result("GET", f"{SERVERS}/{key}", version=2)
    one.result("PATCH", f"{SERVERS}/{key}", before, version=2)
    after = one.result("GET", f"{SERVERS}/{key}", version=2)
    assert after["clients"][0].items() >= raj.items()
    assert after["clients"][0]["id"] != before["clients"][0]["id"]


def test_servers_for_clients_are_not_among_site_to_site_vpns(client):
    one = client()
    one.result("POST", SERVERS, roaming(), version=2)
    assert one.rows(VPNS, version=2) == one.rows(INTERFACES) == []


def test_two_sites_of_one_controller_can_be_joined_by_it(controller, client):
    ether = Ether()
    sites = [Site(f"s{n}", Gateway(f"s{n}", lans=(f"192.168.{n}.1/24",), public_hosts=(f"198.51.100.{n}",))) for n in (1, 2)]
    one = client(controller(sites=sites, ether=ether))
    body = {"name": "auto", "status": True, "vpnType": 4, "remoteSite": sites[1].id}
    one.result("POST", f"{VPNS}/auto", body, version=2, site="s1")
    assert [row["siteVpnType"] for row in one.rows(VPNS, version=2, site="s2")] == [0]
    assert ether.ping(sites[0].gateway, "192.168.1.9", "192.168.2.9")
