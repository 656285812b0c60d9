"""Stored, delivered, alive: three different things (sheet 4, 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from omada_client import interface, peer, until

from fleet.testing.ether import Clock, Ether
from fleet.testing.omada import Firmware, Gateway, Site, Strictness
from fleet.testing.omada.curve import new_private_key, public_key_of

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"
STATS = "/setting/vpn/stats/s2s"


class Pair:
    """Two sites behind one controller on a clock that stands still: hq is reachable, the branch is behind carrier NAT."""

    def __init__(self, controller, client, *, delay=0.0, strictness=None, **gateway):
        self.clock = Clock(frozen=True)
        self.ether = Ether(self.clock)
        self.hq = Gateway(
            "hq", public_hosts=("198.51.100.10", "vpn.example.com"), lans=("192.168.1.1/24",), delay=delay, **gateway
        )
        self.branch = Gateway("branch", lans=("192.168.20.1/24",), delay=delay, firmware=Firmware(domains=True))
        self.simulator = controller(
            sites=[Site("hq", self.hq), Site("branch", self.branch)],
            ether=self.ether,
            strictness=strictness or Strictness(budget=None),
        )
        self.client = client(self.simulator)
        self.keys = {"hq": new_private_key(), "branch": new_private_key()}
        self.psk = new_private_key()
        self.ids = {}

    def configure(self, host="198.51.100.10"):
        """Interfaces and peers on both sides, the branch dialling."""
        for number, site in enumerate(("hq", "branch"), 1):
            body = interface(localIp=f"10.99.0.{number}", privateKey=self.keys[site])
            self.ids[site] = self.client.result("POST", INTERFACES, body, site=site)["id"]
        self.ids["to branch"] = self.put_peer("hq", "branch", ["10.99.0.2/32", "192.168.20.0/24"])
        dialled = {"endPoint": host, "endPointPort": 51820, "keepAlive": 25}
        self.ids["to hq"] = self.put_peer("branch", "hq", ["10.99.0.1/32", "192.168.1.0/24"], **dialled)
        return self

    def put_peer(self, site, other, allowed, **changes):
        body = self.peer_body(site, other, allowed, **changes)
        return self.client.result("POST", PEERS, body, site=site)["id"]

    def peer_body(self, site, other, allowed, **changes):
        key = public_key_of(self.keys[other])
        return peer(self.ids[site], name=other, publicKey=key, allowAddress=allowed, presharedKey=self.psk, **changes)

    def detail(self, site="branch"):
        """(status, detailStatus) of the gateway in the device list."""
        (row,) = [row for row in self.client.rows("/devices", site=site) if row["type"] == "gateway"]
        return row["status"], row["detailStatus"]

    def tunnels(self, site="branch"):
        return self.client.rows(f"{STATS}?filters.vpnType=4", site=site)

    def peers(self, site="branch", query=""):
        (row,) = self.tunnels(site)
        return self.client.rows(f"{STATS}/{row['id']}/peer?x=1{query}", site=site)

    def pings(self, source="192.168.20.10", target="192.168.1.10"):
        return self.ether.ping(self.branch, source, target)


@pytest.fixture
def pair(controller, client):
    return lambda **given: Pair(controller, client, **given)


# -------------------------------------------------------------------------------------------------------------- delivery
def test_a_write_is_stored_at_once_and_runs_after_the_delay(pair):
    net = pair(delay=5.0).configure()
    assert len(net.client.rows(PEERS, site="branch")) == 1
    assert net.branch.running == ()
    net.clock.advance(5)
    assert [one.name for one in net.branch.running] == ["wg0"]


def test_a_gateway_shows_11_while_it_is_configured_and_14_afterwards(pair):
    net = pair(delay=5.0)
    assert net.detail() == (1, 14)
    net.configure()
    assert net.detail() == (1, 11)
    net.clock.advance(5)
    assert net.detail() == (1, 14)


def test_a_gateway_may_show_14_for_a_while_before_it_begins(pair):
    net = pair(delay=5.0)
    net.branch.lag = 2.0
    net.configure()
    assert net.detail() == (1, 14)
    net.clock.advance(2)
    assert net.detail() == (1, 11)


def test_an_offline_gateway_takes_writes_and_gets_them_when_it_is_back(pair):
    net = pair(delay=5.0)
    net.branch.enter("offline")
    assert net.detail() == (0, 0)
    net.configure()
    net.clock.advance(3600)
    assert net.branch.running == ()
    net.branch.enter("connected")
    assert net.detail() == (1, 11)
    net.clock.advance(5)
    assert net.branch.delivered


@pytest.mark.parametrize(
    ("phase", "shown"),
    [
        ("pending", (2, 20)),
        ("adopting", (2, 22)),
        ("adoption failed", (2, 25)),
        ("managed by others", (2, 26)),
        ("heartbeat missed", (3, 30)),
        ("upgrading", (1, 12)),
        ("rebooting", (0, 13)),
    ],
)
def test_nothing_is_delivered_in_any_other_state(pair, phase, shown):
    net = pair()
    net.branch.enter(phase)
    net.configure()
    assert net.detail() == shown
    assert net.branch.running == ()


def test_an_upgrade_ends_by_itself_and_delivers(pair):
    net = pair(delay=1.0)
    net.branch.enter("upgrading", 300)
    net.configure()
    net.clock.advance(300)
    net.clock.advance(1)
    assert net.detail() == (1, 14)
    assert net.branch.delivered


def test_a_failed_delivery_shows_14_and_only_statistics_tell(pair):
    net = pair()
    net.branch.failing_deliveries = 10
    net.configure()
    assert net.detail() == (1, 14)
    assert net.tunnels() == []
    assert not net.branch.delivered


def test_a_gateway_may_run_less_than_it_was_sent_and_statistics_show_it(pair):
    net = pair()
    net.branch.arrives = lambda tunnels: tuple(replace(one, peers=()) for one in tunnels)
    net.configure()
    assert net.tunnels()[0]["totalRemoteNum"] == 0
    assert not net.branch.delivered


def test_force_provision_heals_a_failed_delivery(pair):
    net = pair(delay=2.0)
    net.branch.failing_deliveries = 1
    net.configure()
    net.clock.advance(2)
    assert not net.branch.delivered
    net.client.result("POST", f"/devices/{net.branch.mac}/force-provision", site="branch")
    assert net.detail() == (1, 10)
    net.clock.advance(2)
    assert net.branch.delivered
    assert net.detail() == (1, 14)


def test_force_provision_knows_its_device_and_needs_it_connected(pair):
    net = pair()
    assert net.client.code("POST", "/devices/00-00-00-00-00-00/force-provision", site="branch") == -39050
    net.branch.enter("offline")
    assert net.client.code("POST", f"/devices/{net.branch.mac}/force-provision", site="branch") == -39051


def test_the_device_list_has_other_devices_too_and_an_all_at_once_form(pair):
    net = pair()
    assert {row["type"] for row in net.client.result("GET", "/devices/all", site="hq")} == {"gateway", "ap"}


def test_deliveries_happen_by_themselves_in_real_time(controller, client):
    gateway = Gateway("site", delay=0.05)
    one = client(controller(sites=[Site("site", gateway)]))
    one.result("POST", INTERFACES, interface())
    until(lambda: len(gateway.running) == 1)  # nobody asks the controller anything


# ----------------------------------------------------------------------------------------------------------------- alive
def test_tunnels_come_alive_and_lan_to_lan_pings_arrive(pair):
    net = pair().configure()
    assert net.pings()
    assert net.ether.ping(net.hq, "192.168.1.10", "192.168.20.10")


def test_before_delivery_nothing_is_alive(pair):
    net = pair(delay=5.0).configure()
    assert not net.pings()
    net.clock.advance(5)
    assert net.pings()


def test_a_gateway_does_not_answer_for_its_lan_address_through_the_tunnel(pair):
    net = pair().configure()
    assert not net.pings(target="192.168.1.1")
    assert net.pings(source="10.99.0.2", target="10.99.0.1")


def test_a_firewall_that_is_closed_lets_nothing_from_the_tunnel_into_the_lan(pair):
    net = pair(opens_lan=False).configure()
    assert not net.pings()


def test_a_name_is_looked_up_when_settings_arrive_and_not_again(pair):
    net = pair().configure("vpn.example.com")
    assert net.pings()
    net.hq.enter("offline")
    net.hq.public_hosts = frozenset({"203.0.113.9", "vpn.example.com"})
    net.clock.advance(200)
    net.hq.enter("connected")
    assert not net.pings()
    net.client.result("POST", f"/devices/{net.branch.mac}/force-provision", site="branch")
    assert net.pings()


def test_a_disabled_peer_carries_nothing_and_is_not_counted(pair):
    net = pair().configure()
    body = net.peer_body("branch", "hq", ["10.99.0.1/32", "192.168.1.0/24"], status=False)
    net.client.result("PUT", f"{PEERS}/{net.ids['to hq']}", body, site="branch")
    assert not net.pings()
    assert net.tunnels()[0]["totalRemoteNum"] == 0


def test_a_change_of_allowed_addresses_keeps_the_session_and_one_of_the_key_ends_it(pair):
    net = pair().configure()
    before = net.peers("hq")[0]["loginTime"]
    assert net.peers("hq")[0]["status"] == 1
    net.clock.advance(10)
    body = net.peer_body("hq", "branch", ["10.99.0.2/32", "192.168.20.0/24", "192.168.21.0/24"])
    net.client.result("PUT", f"{PEERS}/{net.ids['to branch']}", body, site="hq")
    assert net.peers("hq")[0]["loginTime"] >= before
    assert net.peers("hq")[0]["status"] == 1
    other = {**body, "presharedKey": new_private_key()}
    net.client.result("PUT", f"{PEERS}/{net.ids['to branch']}", other, site="hq")
    assert net.peers("hq")[0]["status"] == 0


def test_a_reboot_takes_the_gateway_away_and_it_comes_back_with_what_it_had(pair):
    net = pair().configure()
    net.branch.reboot()
    assert net.detail() == (0, 13)
    assert not net.pings()
    net.clock.advance(net.branch.boot_seconds)
    assert net.detail() == (1, 14)
    assert net.pings()


# ------------------------------------------------------------------------------------------------------------ statistics
def test_statistics_show_the_tunnel_by_its_port_and_count_its_peers(pair):
    net = pair().configure()
    (row,) = net.tunnels()
    assert (row["name"], row["port"], row["vpnId"]) == ("wg0", 51820, net.ids["branch"])
    assert (row["connectedNum"], row["disconnectedNum"], row["totalRemoteNum"]) == (1, 0, 1)
    assert row["id"].isdigit()


def test_peer_rows_hang_on_the_row_id_and_not_on_the_vpn_id(pair):
    net = pair().configure()
    (row,) = net.peers()
    assert (row["name"], row["status"], row["remoteIp"], row["port"]) == ("hq", 1, "198.51.100.10", 51820)
    assert row["vpnId"] != net.ids["branch"]
    assert net.client.rows(f"{STATS}/{net.ids['branch']}/peer", site="branch") == []


def test_counters_move_with_traffic(pair):
    net = pair().configure()
    before = net.peers()[0]["upBytes"]
    assert net.pings()
    assert net.peers()[0]["upBytes"] > before


def test_a_hub_shows_what_it_learned_of_a_branch_behind_nat(pair):
    net = pair().configure()
    (row,) = net.peers("hq")
    assert row["remoteIp"].startswith("100.64.")


def test_a_peer_without_handshake_for_180_seconds_is_disconnected(pair):
    net = pair().configure()
    assert net.peers("hq", "&filters.status=1")
    net.ether.detach(net.branch)
    net.clock.advance(181)
    assert net.peers("hq", "&filters.status=1") == []
    assert net.peers("hq", "&filters.status=0")[0]["status"] == 0


def test_statistics_without_the_type_are_1001_and_need_paging(pair):
    net = pair()
    assert net.client.code("GET", f"{STATS}?page=1&pageSize=10", site="hq") == -1001
    assert net.client.code("GET", f"{STATS}?filters.vpnType=4", site="hq") == -1001


def test_statistics_have_no_page_fields_but_say_whether_they_mean_anything(pair):
    net = pair(firmware=Firmware(statistics=False)).configure()
    shown = net.client.result("GET", f"{STATS}?filters.vpnType=4&page=1&pageSize=10", site="hq")
    assert set(shown) == {"totalRows", "data", "supportWireguardStatus"}
    assert shown["supportWireguardStatus"] is False
    assert shown["data"][0]["connectedNum"] == 0


def test_a_gateway_that_is_not_connected_shows_no_statistics(pair):
    net = pair().configure()
    net.branch.enter("heartbeat missed")
    assert net.tunnels() == []


def test_row_ids_are_new_after_a_reboot_and_may_be_numbers(pair):
    net = pair(strictness=Strictness(budget=None, row_ids="number")).configure()
    before = net.tunnels()[0]["id"]
    assert isinstance(before, int)
    net.branch.reboot()
    net.clock.advance(net.branch.boot_seconds)
    assert net.tunnels()[0]["id"] != before


# ------------------------------------------------------------------------------------------- lock-out, firmware, hardware
def test_a_gateway_managed_through_its_own_tunnel_is_lost_when_that_is_cut_and_heals_when_it_is_back(pair):
    net = pair().configure()
    net.branch.controller_at = "192.168.1.5"
    assert net.detail() == (1, 14)
    psk, net.psk = net.psk, new_private_key()
    body = net.peer_body("hq", "branch", ["10.99.0.2/32", "192.168.20.0/24"])
    net.client.result("PUT", f"{PEERS}/{net.ids['to branch']}", body, site="hq")
    net.clock.advance(1)
    assert net.detail() == (3, 30)
    net.clock.advance(60)
    assert net.detail() == (0, 0)
    assert not net.branch.connected
    net.client.result("PUT", f"{PEERS}/{net.ids['to branch']}", {**body, "presharedKey": psk}, site="hq")
    net.clock.advance(20)  # until the branch notices that hq lost their session
    assert net.detail() == (1, 14)


def test_a_gateway_that_cut_itself_off_gets_no_correction(pair):
    net = pair().configure()
    net.branch.controller_at = "192.168.1.5"
    dialled = {"endPoint": "198.51.100.10", "endPointPort": 51820, "keepAlive": 25}
    body = net.peer_body("branch", "hq", ["10.99.0.1/32", "192.168.1.0/24"], **dialled)
    net.client.result("PUT", f"{PEERS}/{net.ids['to hq']}", {**body, "presharedKey": new_private_key()}, site="branch")
    net.clock.advance(1)
    net.clock.advance(60)
    assert net.detail() == (0, 0)
    net.client.result("PUT", f"{PEERS}/{net.ids['to hq']}", body, site="branch")
    net.clock.advance(60)
    assert net.detail() == (0, 0)
    assert not net.branch.delivered


def test_settings_that_a_firmware_cannot_run_wait_for_one_that_can(pair):
    net = pair().configure()
    net.branch.upgrade(Firmware(wireguard=False), 10)
    net.clock.advance(10)
    assert net.branch.running == ()
    (row,) = net.client.rows("/vpn/site-to-site-vpns", version=2, site="branch")
    assert row["featureDescription"] == [{"featureState": 1}]
    net.branch.upgrade(Firmware(), 10)
    net.clock.advance(10)
    assert net.pings()


def test_new_hardware_gets_what_its_site_has_stored(pair):
    net = pair().configure()
    new = Gateway("branch", lans=("192.168.20.1/24",))
    net.simulator.replace("branch", new, 120)
    assert net.detail() == (2, 22)
    net.clock.advance(120)
    net.branch = new
    assert net.pings()


def test_a_site_can_be_added_and_deleted_while_the_controller_runs(pair):
    net = pair().configure()
    net.simulator.add(Site("new", Gateway("new", lans=("192.168.30.1/24",))))
    assert net.client.code("POST", INTERFACES, interface(), site="new") == 0
    path = net.client.path("/capacity", "branch")
    net.simulator.remove("branch")
    assert net.client.call("GET", path)[1]["errorCode"] == -33000
    assert not net.ether.ping(net.hq, "192.168.1.10", "192.168.20.10")
