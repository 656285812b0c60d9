"""The other reading of what the sheet leaves open, where no other test has it beside the stricter one."""

from __future__ import annotations

from dataclasses import fields, replace

from omada_client import interface, peer

from fleet.testing.ether import Clock, Ether
from fleet.testing.omada import LENIENT, VIEWER, Application, Firmware, Gateway, OmadaGateway, Site, Strictness

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"


def test_wrong_paging_may_be_http_400(client):
    one = client(bad_paging="400")
    status, reply = one.call("GET", one.path(INTERFACES))
    assert (status, reply["errorCode"]) == (400, -1001)


def test_a_missing_header_may_be_http_401(client):
    one = client(no_token="401")
    assert one.raw("GET", one.path("/capacity"))[0] == 401


def test_a_wrong_verb_may_be_1600(client):
    assert client(wrong_verb="-1600").code("PUT", INTERFACES, {}) == -1600


def test_deleting_what_is_not_there_may_be_refused(client):
    one = client(delete_unknown="refused")
    assert one.code("DELETE", f"{INTERFACES}/0") == -43201
    assert one.code("DELETE", f"{PEERS}/0") == -43203


def test_ipv6_inside_the_tunnel_may_be_possible(client):
    one = client(ipv6=True)
    key = one.result("POST", INTERFACES, interface(localIp="fd00::1"))["id"]
    assert one.code("POST", PEERS, peer(key, allowAddress=["fd00::2/128"])) == 0


def test_a_change_of_one_peer_may_end_the_sessions_of_all(controller, client):
    for flap, forgotten in (("peer", 1), ("interface", 2)):
        told = []
        ether = Ether(Clock(frozen=True))
        ether.forget = lambda _node, _interface, key, told=told: told.append(key)
        one = client(controller(ether=ether, strictness=Strictness(budget=None, flap=flap)))
        key = one.result("POST", INTERFACES, interface())["id"]
        bodies = [peer(key, allowAddress=[f"10.99.0.{number}/32"]) for number in (2, 3)]
        ids = [one.result("POST", PEERS, body)["id"] for body in bodies]
        told.clear()
        one.result("PUT", f"{PEERS}/{ids[0]}", {**bodies[0], "endPoint": "192.0.2.1", "endPointPort": 1})
        assert len(told) == forgotten


def test_a_gateway_may_look_names_up_again_by_itself(controller, client):
    site = Site("site", Gateway("site", firmware=Firmware(domains=True)))
    one = client(controller(sites=[site], ether=Ether(), strictness=replace(LENIENT)))
    key = one.result("POST", INTERFACES, interface())["id"]
    one.result("POST", PEERS, peer(key, endPoint="vpn.example.com", endPointPort=51820))
    assert site.gateway.wireguard()[0].peers[0].endpoint == ("vpn.example.com", 51820)


def test_an_address_with_prefix_makes_a_connected_route(client):
    one = client(local_ip_prefix=True)
    one.result("POST", INTERFACES, interface(localIp="10.99.0.1/24"))
    assert one.simulator.gateway("site").wireguard()[0].addresses == ("10.99.0.1/24",)


def test_lenient_differs_from_strict_in_what_it_names():
    differing = {one.name for one in fields(Strictness) if getattr(LENIENT, one.name) != getattr(Strictness(), one.name)}
    assert {"budget", "tokens_coexist", "overlap", "ipsec_fields", "local_ip_prefix"} <= differing


# -------------------------------------------------------------------------------------------------- people and upgrades
def test_somebody_edits_between_a_read_and_a_write(client):
    one = client()
    key = one.result("POST", INTERFACES, interface())["id"]
    device = OmadaGateway(one.simulator)
    device_edit = replace(device.site.tunnels[0], mtu=1300)
    one.simulator.meanwhile("POST /vpn/wireguard-peers", lambda: device.edit(device_edit))
    assert one.rows(INTERFACES)[0]["mtu"] == 1420
    one.result("POST", PEERS, peer(key))
    assert one.rows(INTERFACES)[0]["mtu"] == 1300


def test_a_changed_application_loses_its_token_and_others_do_not(controller, client):
    app = Application()
    simulator = controller(applications=[app])
    one, other = client(simulator, application=app), client(simulator)
    simulator.modify(app, rights=VIEWER)
    assert one.code("GET", "/capacity") == -44113
    assert other.code("GET", "/capacity") == 0
    one.login()
    assert one.code("POST", INTERFACES, interface()) == -1005


def test_an_upgraded_gateway_can_what_its_new_firmware_can(controller, client):
    gateway = Gateway("site", firmware=Firmware(wireguard=False))
    one = client(controller(sites=[Site("site", gateway)]))
    assert one.code("POST", INTERFACES, interface()) == -43208
    gateway.upgrade(Firmware(version="1.3.0"), seconds=300)
    assert gateway.status == (1, 12)
    one.simulator.clock.advance(300)
    assert gateway.status == (1, 14)
    assert one.code("POST", INTERFACES, interface()) == 0
