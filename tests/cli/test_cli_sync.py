"""From blank routers to a network that lives, and back to it after whatever happened meanwhile."""

from __future__ import annotations

import pytest
from simulated import SimulatedFleet

from fleet.testing.routeros import RouterosSimulator


def alive(net: SimulatedFleet) -> bool:
    """LAN to LAN, branch to branch included."""
    ends = {name: f"192.168.{number}.1" for name, number in (("hq", 1), ("mumbai", 20), ("pune", 30))}
    return all(net.ether.ping(net[one], ends[one], ends[other]) for one in ends for other in ends if one != other)


# ------------------------------------------------------------------------------------------------- first and second
def test_one_sync_brings_blank_routers_to_lan_to_lan_pings(blank):
    done = blank.sync()
    assert done.code == 0
    assert "3 changed" in done.out
    assert alive(blank)


def test_a_second_sync_writes_nothing_and_reads_each_router_once(synced):
    before = synced.snapshots()
    assert synced.sync().code == 0
    assert synced.snapshots() == before
    assert [s.counters.writes for s in synced.simulators.values()] == [0, 0, 0]
    assert [s.counters.round_trips for s in synced.simulators.values()] == [1, 1, 1]
    assert [s.counters.logins for s in synced.simulators.values()] == [1, 1, 1]


def test_a_sync_that_writes_nothing_leaves_no_step_in_the_journal(synced):
    done = synced.sync("--json")
    entries = synced.run("history", done.json["run"], "--json").json["entries"]
    assert {entry["phase"] for entry in entries} == {"outcome"}


def test_a_plan_exits_2_before_and_0_after_a_sync(blank):
    assert blank.run("plan").code == 2
    assert blank.sync().code == 0
    assert blank.run("plan").code == 0


def test_a_plan_writes_on_no_router(blank):
    before = blank.snapshots()
    blank.run("plan", "--native")
    assert blank.snapshots() == before


def test_the_first_plan_shows_every_peer_before_any_key_exists(blank):
    shown = blank.run("plan")
    for peer in ("peer hq: add", "peer mumbai: add", "peer pune: add"):
        assert peer in shown.out


def test_a_sync_leaves_no_router_armed(blank):
    assert blank.sync().code == 0
    for name, simulator in blank.simulators.items():
        left = [row["comment"] for row in simulator.rows("/system/scheduler") if "fleet:" in row.get("comment", "")]
        assert left == ([] if name == "hq" else [f"fleet:acme:{name} wg0 reresolve"])
    assert blank.run("plan").code == 0


def test_the_line_to_add_for_a_secret_made_in_a_sync_is_said(blank):
    done = blank.sync()
    assert "secret_id: " in done.out
    blank.overlay["secret_id"] = done.out.partition("secret_id: ")[2].split()[0]
    assert blank.sync().code == 0


# ---------------------------------------------------------------------------------------------------- drift, intent
def test_a_removed_peer_is_drift_and_heals(synced):
    peer = synced.peers("hq")["fleet:acme:pune"]
    synced["hq"].delete("/interface/wireguard/peers", peer[".id"])
    seen = synced.run("plan", "--json")
    assert seen.code == 2
    (change,) = seen.router("hq")["changes"]
    assert change["text"].startswith("peer pune: add")
    assert change["reason"] == "drift"
    assert "(drift: the router was changed)" in synced.run("plan").out
    assert synced.sync().code == 0
    healed = synced.peers("hq")["fleet:acme:pune"]
    assert {name: healed[name] for name in ("public-key", "preshared-key", "allowed-address")} == {
        name: peer[name] for name in ("public-key", "preshared-key", "allowed-address")
    }
    assert alive(synced)


def test_a_lan_added_in_the_inventory_is_intent(synced):
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    seen = synced.run("plan", "--json")
    reasons = {change["reason"] for router in seen.json["routers"] for change in router["changes"]}
    assert reasons == {"intent"}
    assert "(intent)" in synced.run("plan").out


def test_drift_and_intent_on_one_router_are_told_apart(synced):
    synced.routers["mumbai"]["lans"] = ["192.168.20.0/24", "192.168.21.0/24"]
    synced["hq"].delete("/interface/wireguard/peers", synced.peers("hq")["fleet:acme:pune"][".id"])
    changes = {c["text"]: c["reason"] for c in synced.run("plan", "--json").router("hq")["changes"]}
    assert [reason for text, reason in changes.items() if "peer pune" in text] == ["drift"]
    assert [reason for text, reason in changes.items() if "peer mumbai" in text] == ["intent"]


def test_the_time_of_the_sync_that_labels_compare_with_is_shown(synced):
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    confirmed = synced.run("plan", "--json").router("hq")["confirmed"]
    assert confirmed.endswith(" UTC")
    assert f"(last confirmed {confirmed})" in synced.run("plan").out


@pytest.mark.parametrize(
    ("menu", "mark"),
    [
        ("/ip/route", "fleet:acme:mumbai"),
        ("/ip/address", "fleet:acme:hq"),
        ("/ip/firewall/filter", "fleet:acme:hq"),
        ("/ip/firewall/nat", "fleet:acme:hq"),
        ("/ip/firewall/mangle", "fleet:acme:hq"),
    ],
)
def test_whatever_of_ours_is_deleted_on_a_router_comes_back(synced, menu, mark):
    row = next(row for row in synced["hq"].rows(menu) if mark in row.get("comment", ""))
    synced["hq"].delete(menu, row[".id"])
    seen = synced.run("plan", "--json")
    assert seen.code == 2
    assert {change["reason"] for change in seen.router("hq")["changes"]} == {"drift"}
    assert synced.sync().code == 0
    assert synced.run("plan").code == 0
    assert alive(synced)


def test_foreign_peers_rules_and_interfaces_survive_byte_for_byte(blank):
    hq = blank["hq"]
    hq.insert("/interface/wireguard", name="vendor", listen_port=13231)
    blank.sync()
    hq.insert(
        "/interface/wireguard/peers",
        interface="wg0",
        public_key="GZ1ApjXIfnWr5rVLNKpWV5lFKJyNGbMjL1WiFeDZqSI=",
        allowed_address="172.31.0.7/32",
        comment="the auditor's laptop",
    )
    hq.insert("/ip/firewall/filter", chain="input", action="accept", protocol="tcp", dst_port=2222, comment="mine")

    def foreign():
        rows = [
            row
            for menu in ("/interface/wireguard", "/interface/wireguard/peers", "/ip/firewall/filter")
            for row in hq.rows(menu)
        ]
        return [row for row in rows if "fleet:" not in row.get("comment", "")]

    before = foreign()
    blank.routers["pune"]["enabled"] = False
    assert blank.sync().code == 0
    blank.routers["pune"]["enabled"] = True
    assert blank.sync().code == 0
    assert foreign() == before


def test_a_foreign_peer_is_reported_and_is_no_change(synced):
    synced["hq"].insert(
        "/interface/wireguard/peers",
        interface="wg0",
        public_key="GZ1ApjXIfnWr5rVLNKpWV5lFKJyNGbMjL1WiFeDZqSI=",
        allowed_address="172.31.0.7/32",
    )
    seen = synced.run("plan")
    assert seen.code == 0
    assert any("note: not ours, kept: peer GZ1ApjXI..." in line for line in seen.block("hq"))


# ------------------------------------------------------------------------------------------------------- topologies
def test_a_tunnel_whose_udp_is_not_carried_is_waiting_with_exit_6(blank):
    blank["hq"].public_hosts = frozenset({"somewhere.else.example.com"})
    done = blank.sync("--json")
    assert done.code == 6
    assert done.outcomes() == {"hq": "changed", "mumbai": "waiting", "pune": "waiting"}
    assert done.router("pune")["summary"] == "configured, no handshake yet with hq"
    assert blank.sync("--pending-ok").code == 0


def test_a_waiting_tunnel_is_alive_in_the_next_sync_once_udp_is_carried(blank):
    blank["hq"].public_hosts = frozenset({"somewhere.else.example.com"})
    assert blank.sync().code == 6
    blank["hq"].public_hosts = frozenset({"vpn.example.com"})
    blank.ether.settle()
    assert blank.sync().code == 0
    assert alive(blank)


def test_a_waiting_router_does_not_hold_up_a_sync_that_wrote_nothing(blank, monkeypatch):
    blank["hq"].public_hosts = frozenset({"somewhere.else.example.com"})
    assert blank.sync().code == 6
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 3600.0)
    assert blank.sync().code == 6


@pytest.fixture
def mesh(tmp_path):
    net = SimulatedFleet(tmp_path / "mesh", topology="full-mesh", lan_supernets=[])
    net.add("delhi", 40, host="delhi.example.com")
    net.add("goa", 50, host="goa.example.com")
    yield net
    net.close()


def test_two_routers_with_endpoints_and_no_keepalive_are_proven_alive_by_a_packet(mesh):
    done = mesh.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"delhi": "changed", "goa": "changed"}
    assert mesh.ether.ping(mesh["delhi"], "192.168.40.1", "192.168.50.1")
    assert mesh.run("status").code == 0


def test_two_hubs_carry_each_others_branches(tmp_path):
    net = SimulatedFleet(tmp_path / "two")
    net.add("hq", 1, hub=True)
    net.add("dr", 2, hub=True, host="dr.example.com")
    net.add("mumbai", 20)
    net.add("pune", 30)
    net.routers["pune"]["hubs"] = ["dr", "hq"]
    try:
        assert net.sync().code == 0
        assert net.run("plan").code == 0
        assert net.ether.ping(net["mumbai"], "192.168.20.1", "192.168.30.1")
        assert net.ether.ping(net["hq"], "192.168.1.1", "192.168.2.1")
    finally:
        net.close()


def test_a_dual_stack_overlay_comes_up_in_both_families(tmp_path):
    net = SimulatedFleet(tmp_path / "dual", ipv6="fd10:100::/64")
    net.add("hq", 1, hub=True)
    net.add("mumbai", 20)
    net.add("pune", 30)
    try:
        assert net.sync().code == 0
        assert net.run("plan").code == 0
        status = {row["router"]: row["address"] for row in net.run("status", "--json").json["routers"]}
        assert status["mumbai"] == "10.100.0.2, fd10:100::2"
        assert net.ether.ping(net["mumbai"], "fd10:100::2", "fd10:100::3")
        assert net.ether.ping(net["mumbai"], "10.100.0.2", "10.100.0.3")
    finally:
        net.close()


def test_without_supernets_a_new_lan_reaches_every_spoke_and_the_plan_shows_it(blank):
    blank.overlay["lan_supernets"] = []
    assert blank.sync().code == 0
    blank.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    seen = blank.run("plan", "--json")
    assert any("192.168.31.0/24" in change["text"] for change in seen.router("mumbai")["changes"])


def test_with_supernets_a_new_branch_changes_the_hub_and_itself_and_nobody_else(synced):
    synced.add("surat", 60)
    done = synced.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"hq": "changed", "mumbai": "in sync", "pune": "in sync", "surat": "changed"}
    assert synced["mumbai"].counters.writes == 0


def test_manual_gear_is_configured_at_the_other_end_and_never_contacted(synced):
    synced.routers["kiosk"] = {
        "driver": "manual",
        "public_key": "GZ1ApjXIfnWr5rVLNKpWV5lFKJyNGbMjL1WiFeDZqSI=",
        "lans": ["192.168.70.0/24"],
    }
    assert synced.sync().code == 0
    assert "fleet:acme:kiosk" in synced.peers("hq")


def test_manual_gear_without_a_key_is_not_enrolled(synced):
    synced.routers["kiosk"] = {"driver": "manual", "lans": ["192.168.70.0/24"]}
    done = synced.sync("--json")
    assert done.code == 6
    assert done.router("kiosk")["outcome"] == "not enrolled"
    assert done.json["not_enrolled"] == ["kiosk"]
    assert synced.run("plan").code == 0


def test_a_release_without_a_feature_is_driven_as_well(tmp_path):
    net = SimulatedFleet(tmp_path / "old")
    net.add("hq", 1, hub=True, version="7.22")
    net.add("mumbai", 20, version="7.6")
    net.add("pune", 30, version="7.24", seed=7)
    try:
        assert net.sync().code == 0
        assert net.run("plan").code == 0
        assert isinstance(net["pune"], RouterosSimulator)
        assert alive(net)
    finally:
        net.close()


def test_a_plan_says_on_how_many_spokes_a_new_lan_is_written_and_with_supernets_it_is_none(synced):
    synced.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    assert not any("LANs of other routers" in note for note in synced.run("plan", "--json").json["notes"])
    synced.overlay["lan_supernets"] = []
    assert "LANs of other routers are written on 2 spokes" in synced.run("plan").out
