"""A gateway as the contract suite wants a device."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
from omada_client import interface, peer, s2s

from fleet.testing.omada import OmadaGateway
from fleet.testing.subject import Device

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"


@pytest.fixture
def one(client):
    return client()


@pytest.fixture
def device(one):
    """A gateway with an interface of ours and one marked peer."""
    key = one.result("POST", INTERFACES, interface(name="wg7"))["id"]
    one.result("POST", PEERS, peer(key, comment="fleet:contract:hub"))
    return OmadaGateway(one.simulator)


def test_everything_that_the_suite_asks_of_a_device_but_the_link_is_there():
    for name, asked in inspect.getmembers(Device, inspect.isfunction):
        if name != "link" and not name.startswith("_"):
            offered = getattr(OmadaGateway, name)
            assert list(inspect.signature(offered).parameters) == list(inspect.signature(asked).parameters)


def test_writes_count_what_changed_settings_and_no_person_s_work(one, device):
    assert device.writes() == 2
    one.rows(PEERS)
    one.code("POST", PEERS, {})
    device.plant("wg7")
    assert device.writes() == 2


def test_plant_puts_a_peer_beside_ours_and_more_elsewhere(one, device):
    assert device.foreign() == {"vpns": [], "tunnels": [], "networks": [], "peers": []}
    device.plant("wg7")
    planted = device.foreign()
    assert [len(planted[kind]) for kind in ("vpns", "tunnels", "networks", "peers")] == [1, 1, 1, 1]
    assert len(one.rows(INTERFACES)) == 2


def test_what_is_foreign_shows_every_edit_of_it(one, device):
    device.plant("wg7")
    before = device.foreign()
    row = next(row for row in one.rows(PEERS) if row["name"] == "Raj's phone")
    one.result("PUT", f"{PEERS}/{row['id']}", {**row, "keepAlive": 1})
    assert device.foreign() != before


def test_what_is_foreign_is_the_same_after_a_whole_v2_write(one, device):
    device.plant("wg7")
    before = device.foreign()
    key = next(row["id"] for row in one.rows(INTERFACES) if row["name"] == "wg7")
    detail = one.result("GET", f"/vpn/site-to-site-vpns/{key}", version=2)
    one.result("PATCH", f"/vpn/site-to-site-vpns/{key}", detail, version=2)
    assert device.foreign() == before


def test_a_v2_write_that_forgets_the_local_networks_is_seen(one, device):
    device.plant("wg7")
    before = device.foreign()
    key = next(row["id"] for row in one.rows(INTERFACES) if row["name"] == "wg7")
    detail = one.result("GET", f"/vpn/site-to-site-vpns/{key}", version=2)
    one.result("PATCH", f"/vpn/site-to-site-vpns/{key}", {**detail, "networkType": 0, "networkList": []}, version=2)
    assert device.foreign() != before


def test_ours_is_the_same_with_and_without_strangers(device):
    before = device.ours()
    device.plant("wg7")
    assert device.ours() == before


def test_ours_is_the_same_on_two_gateways_in_the_same_state(client, device):
    other = client()
    row = device.site.tunnels[0]
    key = other.result("POST", INTERFACES, interface(name="wg7"))["id"]
    ours = peer(key, comment="fleet:contract:hub", publicKey=row.peers[0].public_key)
    other.result("POST", PEERS, ours)
    assert OmadaGateway(other.simulator).ours() == device.ours()
    other.result("POST", INTERFACES, interface(name="left-over", listenPort=1))
    assert OmadaGateway(other.simulator).ours() != device.ours()


def test_somebody_else_edits_at_once(one, device):
    device.edit(replace(device.site.tunnels[0], mtu=1300))
    assert one.rows(INTERFACES)[0]["mtu"] == 1300
    assert device.writes() == 2


def test_after_a_reboot_the_gateway_is_connected_and_has_its_settings(device):
    device.reboot()
    gateway = device.simulator.gateway("site")
    assert gateway.status == (1, 14)
    assert gateway.delivered


def test_what_others_can_see_has_no_secret(one, device):
    one.result("POST", "/vpn/site-to-site-vpns", s2s(name="b", servicePort=7), version=2)
    seen = device.exposed()
    secrets = [row["privateKey"] for row in one.rows(INTERFACES)] + [one.simulator.client_secret]
    assert "POST" in seen
    assert not [secret for secret in secrets if secret in seen]
