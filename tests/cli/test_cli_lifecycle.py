"""Routers come, pause, leave, and change their names; what belongs to them follows."""

from __future__ import annotations

import pytest
from simulated import SimulatedFleet

from fleet.testing.routeros.certificates import self_signed


def trace_of(net: SimulatedFleet, name: str) -> list[str]:
    """Where on any other router something is marked with this name."""
    return [
        f"{router}{menu}"
        for router, simulator in net.simulators.items()
        if router != name
        for menu in ("/interface/wireguard/peers", "/ip/route", "/ip/firewall/filter", "/ip/firewall/nat", "/ip/address")
        for row in simulator.rows(menu)
        if f"fleet:acme:{name}" in row.get("comment", "")
    ]


# ---------------------------------------------------------------------------------------------------------- suspend
def test_enabled_false_removes_a_router_from_all_others_and_leaves_its_own_device_alone(synced):
    own = synced["pune"].snapshot()
    synced.routers["pune"]["enabled"] = False
    done = synced.sync("--json")
    assert done.code == 0
    assert done.outcomes() == {"hq": "changed", "mumbai": "in sync", "pune": "suspended"}
    assert trace_of(synced, "pune") == []
    assert synced["pune"].snapshot() == own
    assert not synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_enabled_true_brings_back_the_same_key_and_address(synced):
    before = synced.peers("hq")["fleet:acme:pune"]
    synced.routers["pune"]["enabled"] = False
    assert synced.sync().code == 0
    synced.routers["pune"]["enabled"] = True
    assert synced.sync().code == 0
    after = synced.peers("hq")["fleet:acme:pune"]
    assert {name: after[name] for name in ("public-key", "preshared-key", "allowed-address")} == {
        name: before[name] for name in ("public-key", "preshared-key", "allowed-address")
    }
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_the_address_of_a_suspended_router_is_given_to_nobody(synced):
    address = synced.state().facts("acme")["mumbai"].addresses
    synced.routers["mumbai"]["enabled"] = False
    assert synced.sync().code == 0
    synced.add("surat", 60)
    assert synced.sync().code == 0
    facts = synced.state().facts("acme")
    assert facts["mumbai"].addresses == address
    assert facts["surat"].addresses != address


def test_a_suspended_router_is_not_contacted(synced):
    synced.routers["pune"]["enabled"] = False
    synced["pune"].counters.reset()
    assert synced.sync().code == 0
    assert synced.run("status", "--deep").code == 0
    assert synced.run("check", "--login").code == 0
    assert synced["pune"].counters.connections == 0


@pytest.mark.parametrize("command", ["show", "trust"])
def test_a_command_about_a_suspended_router_says_why_not(synced, command):
    synced.routers["pune"]["enabled"] = False
    done = synced.run(command, "pune")
    assert done.code == 3
    assert "pune is never contacted" in done.err


def test_what_a_suspended_routers_removal_would_do_is_planned_as_intent(synced):
    synced.routers["pune"]["enabled"] = False
    seen = synced.run("plan", "--json")
    assert seen.code == 2
    assert {change["reason"] for change in seen.router("hq")["changes"]} == {"intent"}


# ------------------------------------------------------------------------------------------------------------ leave
def test_a_router_taken_out_of_the_file_is_removed_from_the_others_and_said(synced):
    own = synced["pune"].snapshot()
    del synced.routers["pune"]
    seen = synced.run("plan")
    assert seen.code == 2
    assert "pune left the inventory" in seen.out
    assert synced.sync().code == 0
    assert trace_of(synced, "pune") == []
    assert synced["pune"].snapshot() == own


def test_the_address_of_a_router_that_left_is_held(synced):
    left = synced.state().facts("acme")["mumbai"].addresses
    del synced.routers["mumbai"]
    assert synced.sync().code == 0
    synced.add("surat", 60)
    offline = synced.run("plan", "--offline", "surat", "--json").json
    assert synced.sync().code == 0
    given = synced.state().facts("acme")["surat"].addresses
    assert given != left
    assert offline["routers"]["surat"]["wg0"]["addresses"] == [f"{given[0]}/20"], "offline shows what a sync gives"


def test_a_router_that_comes_back_into_the_file_has_its_old_address_and_key(synced):
    kept = synced.routers["pune"]
    before = synced.state().facts("acme")["pune"]
    del synced.routers["pune"]
    assert synced.sync().code == 0
    synced.routers["pune"] = kept
    assert synced.sync().code == 0
    assert synced.state().facts("acme")["pune"] == before
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


# ----------------------------------------------------------------------------------------------------------- rename
def rename(net: SimulatedFleet, old: str, new: str) -> None:
    net.routers = {
        (new if name == old else name): ({**router, "formerly": old} if name == old else router)
        for name, router in net.routers.items()
    }


def test_formerly_renames_marks_and_touches_no_session(synced):
    before = {
        name: synced["hq"].handshake("wg0", synced.peers("hq")[f"fleet:acme:{name}"]["public-key"]).at
        for name in ("pune", "mumbai")
    }
    key = synced.interface("pune")["public-key"]
    rename(synced, "pune", "poona")
    seen = synced.run("plan", "--json")
    assert {change["sign"] for router in seen.json["routers"] for change in router["changes"]} == {"~"}
    assert synced.sync().code == 0
    peer = synced.peers("hq")["fleet:acme:poona"]
    assert peer["public-key"] == key
    assert peer["allowed-address"].startswith("10.100.0.3/32")
    assert synced["hq"].handshake("wg0", key).at == before["pune"]
    assert synced.interface("pune")["comment"] == "fleet:acme:poona"
    assert synced.run("plan").code == 0


def test_after_a_rename_formerly_may_stay_or_go(synced):
    rename(synced, "pune", "poona")
    assert synced.sync().code == 0
    assert synced.sync().code == 0
    del synced.routers["poona"]["formerly"]
    assert synced.run("plan").code == 0
    assert "left the inventory" not in synced.run("plan").out


def test_a_rename_with_the_state_gone_is_a_rename_as_well(synced):
    key = synced.interface("pune")["public-key"]
    rename(synced, "pune", "poona")
    synced.lose_state()
    assert synced.sync().code == 0
    assert synced.peers("hq")["fleet:acme:poona"]["public-key"] == key
    assert synced.peers("hq")["fleet:acme:poona"]["allowed-address"].startswith("10.100.0.3/32")
    assert synced.run("plan").code == 0


def test_a_renamed_router_must_still_show_the_certificate_that_was_pinned(tmp_path):
    net = SimulatedFleet(tmp_path)
    net.add("hq", 1, hub=True)
    pune = net.add("pune", 30, tls=True)
    try:
        assert net.sync().code == 0
        rename(net, "pune", "poona")
        assert "first contact" not in net.run("plan").err
        pune.set_offline()
        pune.certificate = self_signed("pune")
        pune._context = pune.certificate.context()
        pune.set_offline(False)
        done = net.sync("--json")
        assert done.code == 1
        assert "fleet trust poona" in done.router("poona")["hint"]
    finally:
        net.close()


def test_a_renamed_router_with_a_certificate_keeps_its_pin(tmp_path):
    net = SimulatedFleet(tmp_path)
    net.add("hq", 1, hub=True)
    net.add("pune", 30, tls=True)
    try:
        assert net.sync().code == 0
        pinned = net.state().identity("acme", "pune")
        rename(net, "pune", "poona")
        assert net.run("plan").code == 2
        assert net.sync().code == 0
        assert net.state().identity("acme", "poona") == pinned
        assert net.sync().code == 0
    finally:
        net.close()


def test_a_renamed_hub_keeps_its_escrow(synced):
    key = synced.interface("hq")["private-key"]
    rename(synced, "hq", "centre")
    synced["hq"].delete("/interface/wireguard", "wg0")
    assert synced.run("plan").code == 2
    assert synced.sync().code == 0
    assert synced.interface("hq")["private-key"] == key
    assert synced.run("plan").code == 0


def test_the_labels_of_a_renamed_router_compare_with_its_last_sync(synced):
    rename(synced, "pune", "poona")
    synced.routers["poona"]["mtu"] = 1380
    seen = synced.run("plan", "--json")
    assert seen.router("poona")["confirmed"]
    assert {change["reason"] for change in seen.router("poona")["changes"]} == {"intent"}


# -------------------------------------------------------------------------------------------------- changes of intent
@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("mtu", 1380, "mtu 1420 -> 1380"),
        ("listen_port", 51999, "port 51820 -> 51999"),
        ("persistent_keepalive", 20, "keepalive 25 -> 20"),
    ],
)
def test_a_scalar_changed_in_the_inventory_is_changed_in_place(synced, key, value, what):
    synced.routers["pune"][key] = value
    seen = synced.run("plan")
    assert what in seen.out
    assert "remove" not in seen.out
    assert synced.sync().code == 0
    assert synced.run("plan").code == 0
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_an_overlay_grown_around_its_addresses_is_changed_in_place(synced):
    synced.overlay["ipv4"] = "10.100.0.0/16"
    assert synced.sync().code == 0
    assert synced.run("plan").code == 0
    assert synced.interface("pune")["public-key"] == synced.peers("hq")["fleet:acme:pune"]["public-key"]
    assert synced.ether.ping(synced["mumbai"], "192.168.20.1", "192.168.30.1")


def test_a_lan_that_moves_between_branches_is_released_before_it_is_claimed(synced):
    synced.routers["mumbai"]["lans"], synced.routers["pune"]["lans"] = ["192.168.30.0/24"], ["192.168.20.0/24"]
    assert synced.sync().code == 0
    assert synced.run("plan").code == 0
    assert synced.peers("hq")["fleet:acme:mumbai"]["allowed-address"] == "10.100.0.2/32,192.168.30.0/24"


def test_what_is_no_longer_managed_is_left_as_it_is(synced):
    rules = synced["pune"].rows("/ip/firewall/mangle")
    synced.routers["pune"]["manage"] = {"mss": False}
    assert synced.run("plan").code == 0
    assert synced["pune"].rows("/ip/firewall/mangle") == rules


def test_a_second_hub_changes_no_key_of_the_first_and_reaches_every_spoke(synced):
    key = synced.interface("hq")["public-key"]
    synced.add("dr", 2, hub=True, host="dr.example.com")
    assert synced.sync().code == 0
    assert synced.interface("hq")["public-key"] == key
    assert "fleet:acme:dr" in synced.peers("mumbai")
    assert synced.run("plan").code == 0
    assert synced.run("status").code == 0
