"""Simulated boxes on the simulated Internet: handshakes, routes and rules decide which pings arrive (sheet 3.1 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from opnsense_client import Client

from fleet.testing.ether import Clock, Ether
from fleet.testing.opnsense import OpnsenseSimulator
from fleet.testing.opnsense.keys import new_key, public_key

HUB_LAN, SPOKE_LAN = "192.168.1.10", "192.168.20.10"


@dataclass
class Site:
    """One box with an instance and one peer."""

    box: OpnsenseSimulator
    private: str
    address: str
    instance: str = ""
    peer: str = ""

    @property
    def key(self) -> str:
        return public_key(self.private)

    def configure(self, other: Site, allowed: str, **peer: str) -> None:
        ask = self.box.insert
        port = {"port": "51820"} if self.box.public_hosts else {}
        server = {"name": "site", "privkey": self.private, "pubkey": self.key, "tunneladdress": self.address, **port}
        self.instance = ask("wireguard/server/add_server", {"server": server})
        fields = {"name": "other", "pubkey": other.key, "tunneladdress": allowed, "servers": self.instance, **peer}
        self.peer = ask("wireguard/client/add_client", {"client": fields})
        ask("wireguard/general/set", {"general": {"enabled": "1"}})
        self.reconfigure()

    def reconfigure(self) -> None:
        self.box.insert("wireguard/service/reconfigure", {})

    def rule(self, **fields: str) -> str:
        uuid = self.box.insert("firewall/filter/add_rule", {"rule": {"action": "pass", **fields}})
        self.box.insert("firewall/filter/apply", {})
        return uuid

    def show(self) -> dict[str, Any]:
        with Client(self.box) as client:
            return dict(client.get("wireguard/service/show")["rows"][1])


@dataclass
class Net:
    """A hub with a public address and a branch behind carrier NAT."""

    ether: Ether
    hub: Site
    spoke: Site

    def ping(self) -> bool:
        return self.ether.ping(self.spoke.box, SPOKE_LAN, HUB_LAN)

    def why(self) -> str:
        return self.ether.trace(self.spoke.box, SPOKE_LAN, HUB_LAN).stopped


@pytest.fixture
def net() -> Iterator[Net]:
    ether = Ether(Clock(frozen=True, start=1000.0), recovery=0.0)
    with ExitStack() as stack:

        def box(name: str, **given: Any) -> OpnsenseSimulator:
            return stack.enter_context(OpnsenseSimulator(name, ether=ether, **given))

        hub = Site(box("hub", public_hosts=("198.51.100.10", "vpn.example.com")), new_key(), "10.2.2.1/24")
        spoke = Site(box("spoke", lan="192.168.20.1/24"), new_key(), "10.2.2.2/24")
        hub.configure(spoke, "10.2.2.2/32,192.168.20.0/24")
        spoke.configure(hub, "10.2.2.1/32,192.168.1.0/24", serveraddress="vpn.example.com", serverport="51820", keepalive="25")
        yield Net(ether, hub, spoke)


@pytest.fixture
def joined(net: Net) -> Net:
    """With the rules that the sheet asks for: UDP on the hub's WAN, traffic out of the tunnel on both group interfaces."""
    net.hub.rule(interface="wan", protocol="UDP", destination_net="wanip", destination_port="51820")
    for site in (net.hub, net.spoke):
        site.rule(interface="wireguard")
    return net


def test_lans_reach_each_other_with_rules_on_wan_and_on_the_group(joined: Net) -> None:
    assert joined.why() == ""


def test_show_tells_handshake_endpoint_and_bytes(joined: Net) -> None:
    """Sheet 3.2."""
    assert joined.ping()
    row = joined.hub.show()
    assert (row["peer-status"], row["latest-handshake-age"], row["endpoint"].split(".")[0]) == ("online", 0, "100")
    assert row["transfer-rx"] > 0


def test_without_a_rule_on_wan_nobody_gets_in(net: Net) -> None:
    """Sheet 4: inbound UDP on WAN needs a rule."""
    for site in (net.hub, net.spoke):
        site.rule(interface="wireguard")
    assert "no handshake" in net.why()


def test_without_a_rule_on_the_group_the_tunnel_is_up_and_nothing_passes(joined: Net) -> None:
    """Sheet 4: traffic out of the tunnel needs a rule on `wireguard`."""
    uuid = next(key for key, rule in joined.hub.box.records("filter.rules").items() if rule["interface"] == "wireguard")
    joined.hub.box.insert("firewall/filter/del_rule", {}, uuid)
    joined.hub.box.insert("firewall/filter/apply", {})
    assert (joined.why().startswith("hub: forward refused"), joined.hub.show()["peer-status"]) == (True, "online")


def test_a_stored_rule_counts_only_after_apply(joined: Net) -> None:
    """Sheet 4."""
    uuid = next(iter(joined.hub.box.records("filter.rules")))
    joined.hub.box.insert("firewall/filter/toggle_rule", {}, uuid, "0")
    joined.ether.forget(joined.spoke.box, "wg0", joined.hub.key)
    assert joined.ping()
    joined.hub.box.insert("firewall/filter/apply", {})
    joined.ether.forget(joined.spoke.box, "wg0", joined.hub.key)
    joined.ether.forget(joined.hub.box, "wg0", joined.spoke.key)
    assert not joined.ping()


def test_a_block_rule_before_the_pass_rule_wins(joined: Net) -> None:
    joined.hub.rule(interface="wireguard", action="block", sequence="1")
    for uuid, rule in joined.hub.box.records("filter.rules").items():
        if rule["action"] == "pass":
            joined.hub.box.insert("firewall/filter/set_rule", {"rule": {"sequence": "9"}}, uuid)
    joined.hub.box.insert("firewall/filter/apply", {})
    assert "refused" in joined.why()


def test_a_rule_with_an_alias_covers_its_entries_and_no_others(net: Net) -> None:
    box = net.hub.box
    box.insert("firewall/alias/add_item", {"alias": {"name": "branches", "type": "network", "content": "192.168.99.0/24"}})
    net.hub.rule(interface="wan", protocol="UDP", destination_port="51820")
    net.hub.rule(interface="wireguard", source_net="branches")
    net.spoke.rule(interface="wireguard")
    assert "hub: forward refused" in net.why()
    box.edit("alias", next(iter(box.records("alias"))), content="192.168.99.0/24\n192.168.20.0/24")
    box.insert("firewall/alias/reconfigure", {})
    assert net.ping()


def test_with_disableroutes_lans_have_no_route_into_the_tunnel(joined: Net) -> None:
    """Sheet 3.1: routing is yours."""
    joined.spoke.box.insert("wireguard/server/set_server", {"server": {"disableroutes": "1"}}, joined.spoke.instance)
    joined.spoke.reconfigure()
    assert "leaves by wan" in joined.why()


def test_a_static_route_over_an_assigned_tunnel_replaces_the_instances_routes(joined: Net) -> None:
    """Sheet 4: an assigned interface and a gateway are the prerequisites."""
    box = joined.spoke.box
    box.insert("wireguard/server/set_server", {"server": {"disableroutes": "1"}}, joined.spoke.instance)
    joined.spoke.reconfigure()
    box.edit("interfaces", "opt1", descr="site", enable="1", **{"if": "wg0"})
    box.insert("routing/settings/add_gateway", {"gateway_item": {"name": "WG_GW", "interface": "opt1", "gateway": "10.2.2.1"}})
    box.insert("routes/routes/addroute", {"route": {"network": "192.168.1.0/24", "gateway": "WG_GW"}})
    exclude = {"interface": "opt1", "nonat": "1"}
    box.insert("firewall/source_nat/add_rule", {"rule": exclude})
    box.insert("firewall/filter/apply", {})
    assert not joined.ping()
    box.insert("routes/routes/reconfigure", {})
    assert joined.why() == ""


def test_an_assigned_tunnel_with_a_gateway_rewrites_sources_unless_excluded(joined: Net) -> None:
    """Sheet 4: automatic outbound NAT."""
    box = joined.spoke.box
    box.edit("interfaces", "opt1", descr="site", enable="1", **{"if": "wg0"})
    box.insert("routing/settings/add_gateway", {"gateway_item": {"name": "WG_GW", "interface": "opt1", "gateway": "10.2.2.1"}})
    assert "rewritten" in joined.why()


def test_unlinking_a_peer_ends_its_traffic_at_the_next_reconfigure(joined: Net) -> None:
    """Sheet 10.1: the other side keeps sending, nothing returns."""
    joined.hub.box.insert("wireguard/client/set_client", {"client": {"keepalive": ""}}, joined.hub.peer)
    assert joined.ping()
    joined.hub.reconfigure()
    assert not joined.ping()


def test_sessions_of_other_peers_survive_a_change(joined: Net) -> None:
    """Sheet 3.1: syncconf keeps sessions of unchanged peers."""
    assert joined.ping()
    before = joined.hub.show()["latest-handshake"]
    joined.ether.clock.advance(30)
    fields = {"name": "new", "pubkey": public_key(new_key()), "tunneladdress": "10.2.2.3/32", "servers": joined.hub.instance}
    joined.hub.box.insert("wireguard/client/add_client", {"client": fields})
    joined.hub.reconfigure()
    rows = {row["name"]: row for row in _rows(joined.hub.box)}
    assert rows["other"]["latest-handshake"] == before


def test_a_flushed_tunnel_carries_nothing_for_a_while(joined: Net) -> None:
    """Sheet 3.1: with disableroutes=0 every change costs all peers seconds of loss."""
    joined.hub.box.kernel.hiccup = 2.0
    assert joined.ping()
    fields = {"name": "new", "pubkey": public_key(new_key()), "tunneladdress": "10.2.2.3/32", "servers": joined.hub.instance}
    joined.hub.box.insert("wireguard/client/add_client", {"client": fields})
    joined.hub.reconfigure()
    assert not joined.ping()
    joined.ether.clock.advance(2.0)
    assert joined.ping()


def test_a_preshared_key_on_one_side_only_ends_the_tunnel(joined: Net) -> None:
    joined.hub.box.insert(
        "wireguard/client/set_client", {"client": {"psk": new_key(), "servers": joined.hub.instance}}, joined.hub.peer
    )
    joined.hub.reconfigure()
    assert not joined.ping()


def test_an_offline_box_answers_nobody_and_comes_back(joined: Net) -> None:
    joined.hub.box.set_offline()
    assert not joined.ping()
    with pytest.raises(OSError), Client(joined.hub.box) as client:  # noqa: PT011  # refused or reset
        client.get("wireguard/general/get")
    joined.hub.box.set_offline(False)
    assert joined.ping()


def test_after_a_reboot_the_tunnel_comes_back_by_itself(joined: Net) -> None:
    joined.hub.box.reboot()
    assert joined.ping()


def test_a_box_managed_through_the_tunnel_is_lost_with_it(joined: Net) -> None:
    """Sheet 5: the reply to the change that cuts it is lost too."""
    box = joined.spoke.box
    box.reachable = lambda: joined.ether.ping(joined.hub.box, HUB_LAN, "10.2.2.2")
    with Client(box) as client:
        assert client.get("wireguard/general/get") == {"general": {"enabled": "1"}}
        client.post(f"wireguard/client/set_client/{joined.spoke.peer}", {"client": {"keepalive": "30"}})
        with pytest.raises(OSError):  # noqa: PT011  # reset, or closed without an answer
            client.post("wireguard/service/reconfigure")
    with pytest.raises(OSError), Client(box) as client:  # noqa: PT011 - which error depends on where the connection breaks
        client.get("wireguard/general/get")


def _rows(box: OpnsenseSimulator) -> list[dict[str, Any]]:
    with Client(box) as client:
        return [row for row in client.get("wireguard/service/show")["rows"] if row["type"] == "peer"]
