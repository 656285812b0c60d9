"""Desired state: addresses, who peers with whom, what is carried, what is opened."""

from __future__ import annotations

import ipaddress
from itertools import permutations

import pytest
from forwarding import Network
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    OVERLAY,
    configurations,
    desired_of,
    facts,
    facts_of,
    fleet_of,
    fleets,
    hub,
    key,
    net,
    nets,
    partial_meshes,
    router,
)

from fleet import keys
from fleet.driver import Limits
from fleet.errors import PlanRefused
from fleet.model import (
    MANAGED,
    PARKING,
    ClampMss,
    DerivedKey,
    Endpoint,
    Fact,
    Fleet,
    Forward,
    Interface,
    KeyOf,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Peer,
    Secret,
)
from fleet.overlay import Desired, allocate, desired_state, fitted, resolve_preshared

BRANCHES = (router("mumbai", "192.168.20.0/24"), router("pune", "192.168.30.0/24"))
SMALL = fleet_of(hub("hq", "192.168.1.0/24"), *BRANCHES)
COVERED = fleet_of(hub("hq", "192.168.1.0/24"), *BRANCHES, lan_supernets=(net("192.168.0.0/16"),))


def interface(desired: Desired, name: str) -> Interface:
    return desired.configuration(name)["wg0"]


def peer(desired: Desired, name: str, other: str) -> Peer:
    return interface(desired, name).peers[key(other)]


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


# ----------------------------------------------------------------------------------------------------- addresses
def test_addresses_are_the_lowest_free_ones_in_file_order() -> None:
    assert allocate(SMALL, {}) == {
        "hq": (address("10.100.0.1"),),
        "mumbai": (address("10.100.0.2"),),
        "pune": (address("10.100.0.3"),),
    }


def test_an_address_in_the_inventory_wins_over_a_pinned_one() -> None:
    fleet = fleet_of(hub(), router("mumbai", addresses=(address("10.100.0.9"),)))
    assert allocate(fleet, {"mumbai": Fact(addresses=(address("10.100.0.5"),))})["mumbai"] == (address("10.100.0.9"),)


def test_a_pinned_address_is_kept_and_nobody_else_gets_it() -> None:
    addresses = allocate(SMALL, {"pune": Fact(addresses=(address("10.100.0.1"),))})
    assert addresses["pune"] == (address("10.100.0.1"),)
    assert addresses["hq"] == (address("10.100.0.2"),)


def test_an_address_given_to_another_router_is_lost_to_its_former_owner() -> None:
    fleet = fleet_of(hub(addresses=(address("10.100.0.5"),)), router("mumbai"))
    assert allocate(fleet, {"mumbai": Fact(addresses=(address("10.100.0.5"),))})["mumbai"] == (address("10.100.0.1"),)


def test_a_held_address_is_not_given_out() -> None:
    assert allocate(SMALL, {}, frozenset({address("10.100.0.1")}))["hq"] == (address("10.100.0.2"),)


def test_network_and_broadcast_addresses_are_not_given_out() -> None:
    fleet = fleet_of(hub(), router("mumbai"), ipv4=net("10.100.0.0/30"))
    assert [found[0] for found in allocate(fleet, {}).values()] == [address("10.100.0.1"), address("10.100.0.2")]


def test_a_pin_from_before_the_overlay_was_renumbered_is_replaced() -> None:
    assert allocate(SMALL, {"hq": Fact(addresses=(address("10.9.0.7"),))})["hq"] == (address("10.100.0.1"),)


def test_a_full_overlay_is_refused_with_the_numbers_and_the_cure() -> None:
    fleet = fleet_of(hub(), *BRANCHES, ipv4=net("10.100.0.0/30"))
    with pytest.raises(PlanRefused, match=r"10.100.0.0/30 has 2 host addresses, 3 routers need one") as refused:
        allocate(fleet, {})
    assert "widen `ipv4:`" in refused.value.hint


def test_a_disabled_router_keeps_its_address() -> None:
    fleet = fleet_of(hub(), router("mumbai", enabled=False), router("pune"))
    assert allocate(fleet, {})["pune"] == (address("10.100.0.3"),)


def test_a_dual_stack_overlay_gives_one_address_of_each_family_ipv4_first() -> None:
    fleet = fleet_of(hub(), ipv6=net("fd10:100::/64"))
    assert allocate(fleet, {})["hq"] == (address("10.100.0.1"), address("fd10:100::1"))


def test_ten_thousand_routers_on_a_huge_ipv6_prefix_get_addresses_without_enumerating_it() -> None:
    fleet = Fleet(fleet_of(ipv4=None, ipv6=net("fd00::/8")).overlay, {f"r{i}": router(f"r{i}") for i in range(10_000)})
    assert len(set(allocate(fleet, {}).values())) == 10_000


def test_a_renamed_router_keeps_its_address_and_key() -> None:
    fleet = fleet_of(hub(), router("bombay", formerly="mumbai"))
    known = {"mumbai": Fact(key("mumbai"), (address("10.100.0.77"),))}
    assert allocate(fleet, known)["bombay"] == (address("10.100.0.77"),)
    assert desired_of(fleet, known).not_enrolled == ("hq",)


@given(fleets(), st.data())
def test_adding_a_router_moves_nobody(fleet: Fleet, data: st.DataObject) -> None:
    before = allocate(fleet, {})
    pinned = {name: Fact(addresses=found) for name, found in before.items()}
    place = data.draw(st.integers(0, len(fleet.routers)))
    names = [*list(fleet.routers)[:place], "new", *list(fleet.routers)[place:]]
    grown = Fleet(fleet.overlay, {name: fleet.routers.get(name, router("new")) for name in names})
    after = allocate(grown, pinned)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after)


# ----------------------------------------------------------------------------------------------- hub and spoke
def test_a_spoke_sends_the_overlay_and_every_other_lan_to_its_hub() -> None:
    assert peer(desired_of(SMALL), "mumbai", "hq").allowed_ips == nets("10.100.0.0/24", "192.168.1.0/24", "192.168.30.0/24")


def test_a_hub_sends_each_spoke_its_own_address_and_lans() -> None:
    assert peer(desired_of(SMALL), "hq", "mumbai").allowed_ips == nets("10.100.0.2/32", "192.168.20.0/24")


def test_spokes_do_not_peer_with_each_other() -> None:
    assert set(interface(desired_of(SMALL), "mumbai").peers) == {key("hq")}


def test_with_supernets_a_spoke_gets_the_supernet_instead_of_each_lan() -> None:
    assert peer(desired_of(COVERED), "mumbai", "hq").allowed_ips == nets("10.100.0.0/24", "192.168.0.0/16")


def test_with_supernets_a_new_branch_changes_the_hub_and_no_other_spoke() -> None:
    grown = Fleet(COVERED.overlay, {**COVERED.routers, "goa": router("goa", "192.168.40.0/24")})
    before, after = desired_of(COVERED), desired_of(grown)
    changed = {name for name in before.names if before.configuration(name) != after.configuration(name)}
    assert changed == {"hq"}


def test_a_lan_outside_the_supernets_is_still_told_to_every_spoke() -> None:
    fleet = fleet_of(hub(), router("mumbai"), router("pune", "172.20.0.0/24"), lan_supernets=(net("192.168.0.0/16"),))
    assert net("172.20.0.0/24") in peer(desired_of(fleet), "mumbai", "hq").allowed_ips


def test_a_supernet_that_is_a_spokes_own_lan_is_not_sent_away_by_it() -> None:
    fleet = fleet_of(hub(), router("mumbai", "192.168.0.0/16"), lan_supernets=(net("192.168.0.0/16"),))
    assert peer(desired_of(fleet), "mumbai", "hq").allowed_ips == nets("10.100.0.0/24")


def test_a_second_hub_carries_only_its_own_address_on_a_spoke() -> None:
    fleet = fleet_of(hub("hq"), hub("dr", "192.168.2.0/24"), *BRANCHES)
    assert peer(desired_of(fleet), "mumbai", "dr").allowed_ips == nets("10.100.0.2/32")


def test_the_first_of_hubs_is_a_spokes_home() -> None:
    fleet = fleet_of(hub("hq"), hub("dr"), router("mumbai", "192.168.20.0/24", hubs=("dr", "hq")))
    desired = desired_of(fleet)
    assert net("10.100.0.0/24") in peer(desired, "mumbai", "dr").allowed_ips
    assert peer(desired, "mumbai", "hq").allowed_ips == nets("10.100.0.1/32")


def test_a_hub_that_is_not_home_reaches_the_spokes_lan_through_the_home_hub() -> None:
    desired = desired_of(fleet_of(hub("hq"), hub("dr"), router("mumbai", "192.168.20.0/24")))
    assert peer(desired, "dr", "mumbai").allowed_ips == nets("10.100.0.3/32")
    assert peer(desired, "dr", "hq").allowed_ips == nets("10.100.0.1/32", "192.168.20.0/24")


def test_a_spoke_whose_first_hub_is_suspended_is_at_home_on_the_next() -> None:
    fleet = fleet_of(hub("hq", enabled=False), hub("dr"), router("mumbai", hubs=("hq", "dr")))
    assert net("10.100.0.0/24") in peer(desired_of(fleet), "mumbai", "dr").allowed_ips


def test_a_spoke_without_an_enabled_hub_is_refused_by_name() -> None:
    fleet = fleet_of(hub("hq", enabled=False), hub("dr"), router("mumbai", hubs=("hq",)))
    with pytest.raises(PlanRefused, match=r"mumbai: none of its hubs \(hq\) is enabled"):
        desired_of(fleet)


def test_a_hub_and_a_spoke_that_cannot_dial_each_other_are_refused_naming_both() -> None:
    with pytest.raises(PlanRefused, match="mumbai and hq cannot be tunnelled"):
        desired_of(fleet_of(hub("hq", endpoint=None), router("mumbai")))


# -------------------------------------------------------------------------------------------------------- mesh
def mesh(*routers: object, **overlay: object) -> Fleet:
    return fleet_of(*routers, topology="full-mesh", **overlay)  # type: ignore[arg-type]


DIAL = Endpoint("198.51.100.7", 51820)


def test_in_a_full_mesh_every_pair_peers_with_address_and_lans() -> None:
    desired = desired_of(mesh(hub("a", "192.168.1.0/24"), router("b", endpoint=DIAL), router("c", endpoint=DIAL)))
    assert set(interface(desired, "b").peers) == {key("a"), key("c")}
    assert peer(desired, "b", "a").allowed_ips == nets("10.100.0.1/32", "192.168.1.0/24")


def test_two_routers_behind_nat_meet_at_their_hub() -> None:
    desired = desired_of(mesh(hub("a"), router("b", "192.168.2.0/24"), router("c", "192.168.3.0/24")))
    assert set(interface(desired, "b").peers) == {key("a")}
    assert peer(desired, "b", "a").allowed_ips == nets("10.100.0.1/32", "10.100.0.3/32", "192.168.3.0/24")
    assert [tuple(pair) for pair in desired.relayed] == [("b", "c", "a")]


def test_routers_behind_nat_with_different_home_hubs_agree_on_one_relay() -> None:
    desired = desired_of(mesh(hub("a"), hub("b"), router("c", "192.168.3.0/24", hubs=("b",)), router("d", hubs=("a", "b"))))
    assert [tuple(pair) for pair in desired.relayed] == [("c", "d", "b")]
    assert net("192.168.3.0/24") in peer(desired, "d", "b").allowed_ips


def test_a_pair_behind_nat_without_a_hub_is_refused_naming_it() -> None:
    with pytest.raises(PlanRefused, match="b and c cannot be tunnelled") as refused:
        desired_of(mesh(router("a", endpoint=DIAL), router("b"), router("c")))
    assert "role: hub" in refused.value.hint


def test_links_peer_exactly_the_pairs_they_name() -> None:
    desired = desired_of(mesh(hub("a"), router("b", endpoint=DIAL), router("c", endpoint=DIAL), links=(("a", "b"), ("b", "c"))))
    assert set(interface(desired, "a").peers) == {key("b")}
    assert set(interface(desired, "b").peers) == {key("a"), key("c")}


def test_links_make_a_partial_mesh_of_any_topology() -> None:
    fleet = fleet_of(router("a", endpoint=DIAL), router("b"), links=(("a", "b"),))
    assert set(interface(desired_of(fleet), "b").peers) == {key("a")}


def test_a_linked_pair_behind_nat_meets_at_a_hub_that_no_link_names_and_gets_nothing_else_of_it() -> None:
    desired = desired_of(mesh(hub("a", "192.168.1.0/24"), router("b"), router("c", "192.168.3.0/24"), links=(("b", "c"),)))
    assert peer(desired, "b", "a").allowed_ips == nets("10.100.0.1/32", "10.100.0.3/32", "192.168.3.0/24")
    assert desired.notes == ("a: also relays for b, c, with which `links:` does not tie it",)


# ------------------------------------------------------------------------------------------ endpoint, keepalive
def test_a_spoke_behind_nat_sends_keepalive_to_the_hub_that_it_dials() -> None:
    assert peer(desired_of(SMALL), "mumbai", "hq").persistent_keepalive == 25
    assert peer(desired_of(SMALL), "mumbai", "hq").endpoint == Endpoint("hq.example.com", 51820)


def test_a_hub_has_no_endpoint_for_a_spoke_behind_nat_and_sends_it_no_keepalive() -> None:
    assert peer(desired_of(SMALL), "hq", "mumbai").endpoint is None
    assert peer(desired_of(SMALL), "hq", "mumbai").persistent_keepalive == 0


def test_two_routers_with_endpoints_need_no_keepalive() -> None:
    desired = desired_of(fleet_of(hub("hq"), hub("dr")))
    assert peer(desired, "hq", "dr").persistent_keepalive == peer(desired, "dr", "hq").persistent_keepalive == 0


def test_the_keepalive_is_the_dialling_routers_own() -> None:
    desired = desired_of(fleet_of(hub(), router("mumbai", persistent_keepalive=15)))
    assert peer(desired, "mumbai", "hq").persistent_keepalive == 15


def test_a_named_endpoint_is_resolved_again_by_the_router_that_dials_it() -> None:
    desired = desired_of(SMALL)
    assert interface(desired, "mumbai").reresolve
    assert not interface(desired, "hq").reresolve


def test_an_endpoint_that_is_an_address_needs_no_resolving() -> None:
    assert not interface(desired_of(fleet_of(hub(endpoint=DIAL), router("mumbai"))), "mumbai").reresolve


def test_pinned_endpoints_are_named() -> None:
    assert desired_of(fleet_of(hub(pin_endpoint=True), router("mumbai"))).pinned_endpoints == {"hq"}


# ------------------------------------------------------------------------------------------------ keys and marks
def test_a_router_without_a_key_is_nobodys_peer_and_has_none() -> None:
    desired = desired_of(SMALL, facts_of(SMALL, without={"mumbai"}))
    assert desired.not_enrolled == ("mumbai",)
    assert set(interface(desired, "hq").peers) == {key("pune")}
    assert interface(desired, "mumbai").peers == {}
    assert interface(desired, "mumbai").public_key == KeyOf("mumbai")


def test_a_router_whose_hub_has_no_key_has_no_routes_into_the_tunnel() -> None:
    assert interface(desired_of(SMALL, facts_of(SMALL, without={"hq"})), "mumbai").routes == {}


def test_a_render_can_say_whose_key_is_missing() -> None:
    desired = desired_of(SMALL, facts_of(SMALL, without={"mumbai"}))
    assert desired.missing_peers("hq") == ("mumbai",)
    assert desired.missing_peers("mumbai") == ("mumbai",)
    assert desired.missing_peers("pune") == ()


def test_a_public_key_in_the_inventory_enrols_gear_that_is_never_logged_in_to() -> None:
    fleet = fleet_of(hub(), router("phone", driver="manual", public_key=key("phone")))
    desired = desired_of(fleet, {"hq": Fact(key("hq"))})
    assert desired.not_enrolled == ()
    assert key("phone") in interface(desired, "hq").peers


def test_two_routers_with_one_key_are_refused_naming_both() -> None:
    with pytest.raises(PlanRefused, match="mumbai and pune have the same public key"):
        desired_of(SMALL, {**facts_of(SMALL), "pune": Fact(key("mumbai"))})


def test_the_mark_of_a_peer_names_the_router_and_the_epoch_of_its_key() -> None:
    desired = desired_of(SMALL, facts_of(SMALL, mumbai=2))
    assert peer(desired, "hq", "mumbai").mark == Mark(OVERLAY, "mumbai", 2)
    assert interface(desired, "hq").routes[net("192.168.20.0/24")].mark == Mark(OVERLAY, "mumbai", 2)
    assert interface(desired, "mumbai").mark == Mark(OVERLAY, "mumbai")


def test_a_pair_uses_the_higher_epoch_on_both_sides() -> None:
    desired = desired_of(SMALL, facts_of(SMALL, mumbai=2, hq=1))
    assert peer(desired, "hq", "mumbai").preshared_key == peer(desired, "mumbai", "hq").preshared_key == DerivedKey(2)
    assert peer(desired, "hq", "pune").preshared_key == DerivedKey(1)


def test_an_overlay_without_preshared_keys_has_none() -> None:
    assert peer(desired_of(fleet_of(hub(), *BRANCHES, preshared_keys=False)), "hq", "mumbai").preshared_key is None


def test_both_ends_derive_the_same_preshared_key() -> None:
    desired, secret = desired_of(SMALL), Secret("fleet secret")
    ours = resolve_preshared(desired.configuration("hq"), secret)["wg0"].peers[key("mumbai")].preshared_key
    theirs = resolve_preshared(desired.configuration("mumbai"), secret)["wg0"].peers[key("hq")].preshared_key
    assert ours == theirs == keys.derive_preshared_key(secret, key("hq"), key("mumbai"), 0)


# ------------------------------------------------------------------------------------------ interface and openings
def test_the_interface_carries_the_overlays_prefix_length_on_hub_and_spoke_alike() -> None:
    desired = desired_of(SMALL)
    assert interface(desired, "hq").addresses == {ipaddress.ip_interface("10.100.0.1/24")}
    assert interface(desired, "mumbai").addresses == {ipaddress.ip_interface("10.100.0.2/24")}


def test_a_spoke_routes_every_remote_lan_through_its_hub_and_not_the_overlay() -> None:
    routes = interface(desired_of(SMALL), "mumbai").routes
    assert set(routes) == nets("192.168.1.0/24", "192.168.30.0/24")
    assert {route.mark for route in routes.values()} == {Mark(OVERLAY, "hq")}


def test_a_spoke_routes_the_supernet() -> None:
    assert set(interface(desired_of(COVERED), "mumbai").routes) == nets("192.168.0.0/16")


def test_a_hub_opens_its_port_and_passes_packets_between_tunnels() -> None:
    openings = interface(desired_of(SMALL), "hq").openings.values()
    assert ListenPort(51820) in openings
    assert Forward("tunnel", "tunnel") in openings


def test_a_spoke_behind_nat_opens_no_port_and_passes_nothing_between_tunnels() -> None:
    openings = interface(desired_of(SMALL), "mumbai").openings.values()
    assert not [one for one in openings if isinstance(one, ListenPort) or one == Forward("tunnel", "tunnel")]


def test_lan_and_tunnel_reach_each_other_unmasqueraded_and_clamped() -> None:
    lans = nets("192.168.20.0/24")
    openings = set(interface(desired_of(SMALL), "mumbai").openings.values())
    assert {Forward("lan", "tunnel", lans), Forward("tunnel", "lan", lans), NoMasquerade(lans), ClampMss(1420)} <= openings


def test_a_hub_exempts_the_branches_it_passes_on_from_masquerading() -> None:
    assert NoMasquerade() in interface(desired_of(SMALL), "hq").openings.values()


def test_a_router_without_lan_that_is_no_hub_forwards_nothing() -> None:
    assert interface(desired_of(fleet_of(hub(), router("server"))), "server").openings == {}


def test_management_is_open_to_the_jump_and_to_management_from_only() -> None:
    fleet = fleet_of(hub(), router("mumbai", via=("bastion", "hq"), management_from=(net("10.9.0.0/24"),)))
    opening = Management(8728, nets("10.100.0.1/32", "10.9.0.0/24"))
    assert opening in interface(desired_of(fleet, ports={"mumbai": 8728}), "mumbai").openings.values()


def test_without_sources_management_is_not_opened() -> None:
    assert not [it for it in interface(desired_of(SMALL), "mumbai").openings.values() if isinstance(it, Management)]


@pytest.mark.parametrize("aspect", sorted(MANAGED))
def test_what_somebody_else_manages_is_left_out_and_named(aspect: str) -> None:
    fleet = fleet_of(hub("hq", "192.168.1.0/24"), hub("dr", "192.168.2.0/24", via=("hq",), manage=MANAGED - {aspect}))
    whole, rest = interface(desired_of(fleet), "dr"), interface(desired_of(fleet), "hq")
    left_out = {
        "routes": not whole.routes,
        "resolve": not whole.reresolve,
        "listen_port": "listen-port/51820" not in whole.openings,
        "forwarding": not any(name.startswith("forward/") for name in whole.openings),
        "masquerade": "no-masquerade" not in whole.openings,
        "mss": "clamp-mss" not in whole.openings,
        "management": "management/22" not in whole.openings,
    }
    assert [name for name, gone in left_out.items() if gone] == [aspect]
    assert (whole.unmanaged, rest.unmanaged) == ({aspect}, frozenset())


# ------------------------------------------------------------------------------------------------------ suspended
def test_a_suspended_router_is_nowhere_a_peer_and_its_own_device_is_left_alone() -> None:
    fleet = fleet_of(hub(), router("mumbai", "192.168.20.0/24", enabled=False), router("pune"))
    desired = desired_of(fleet)
    assert set(interface(desired, "hq").peers) == {key("pune")}
    assert net("192.168.20.0/24") not in peer(desired, "pune", "hq").allowed_ips
    with pytest.raises(PlanRefused, match="mumbai"):
        desired.configuration("mumbai")


# --------------------------------------------------------------------------------------------------- any fleet
ANY = fleets() | partial_meshes()


@given(ANY, st.data())
def test_no_prefix_is_carried_by_two_peers_of_one_interface(fleet: Fleet, data: st.DataObject) -> None:
    desired = desired_of(fleet, data.draw(facts(fleet)))
    for name in desired.names:
        carried = [prefix for one in interface(desired, name).peers.values() for prefix in one.allowed_ips]
        assert len(carried) == len(set(carried))


@given(ANY, st.data())
def test_peers_are_mutual_and_agree_on_the_preshared_key(fleet: Fleet, data: st.DataObject) -> None:
    desired = desired_of(fleet, data.draw(facts(fleet)))
    owners = {interface(desired, name).public_key: name for name in desired.names}
    for name in desired.names:
        own = interface(desired, name)
        for one in own.peers.values():
            back = interface(desired, owners[one.public_key]).peers[own.public_key]  # type: ignore[index]
            assert back.preshared_key == one.preshared_key
            assert one.endpoint or back.endpoint


@given(ANY)
def test_no_router_sends_its_own_lan_or_address_into_the_tunnel(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    for name in desired.names:
        own = interface(desired, name)
        mine = {*fleet.routers[name].lans, *(net(str(it.ip)) for it in own.addresses)}
        assert not mine & ({prefix for one in own.peers.values() for prefix in one.allowed_ips} | own.routes.keys())


@given(fleets())
def test_every_lan_reaches_every_other_lan_and_back(fleet: Fleet) -> None:
    network = Network(fleet, desired_of(fleet))
    for one, other in permutations(fleet.enabled, 2):
        for near in one.lans:
            for far in other.lans:
                if near.version == far.version:
                    assert network.walk(one.name, near[10], far[10])[-1] == other.name


@given(partial_meshes())
def test_lans_of_linked_routers_reach_each_other(fleet: Fleet) -> None:
    network = Network(fleet, desired_of(fleet))
    for one, other in (pair for link in fleet.overlay.links or () for pair in (link, link[::-1])):
        if fleet.routers[one].enabled and fleet.routers[other].enabled:
            for near, far in zip(fleet.routers[one].lans, fleet.routers[other].lans, strict=False):
                if near.version == far.version:
                    assert network.walk(one, near[10], far[10])[-1] == other


@given(fleets(shapes=("hub-and-spoke",)))
def test_every_hub_reaches_the_address_of_each_spoke_that_knows_it_directly(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    network = Network(fleet, desired)
    for pair in desired.pairs:
        for near, far in zip(desired.addresses[pair.a], desired.addresses[pair.b], strict=True):
            assert network.walk(pair.a, near, far) == [pair.a, pair.b]
            assert network.walk(pair.b, far, near) == [pair.b, pair.a]


@given(fleets())
def test_lans_of_a_pair_talk_through_that_very_tunnel(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    network = Network(fleet, desired)
    for pair in desired.pairs:
        for near in pair.lans_of_a:
            for far in pair.lans_of_b:
                if near.version == far.version:
                    assert network.walk(pair.a, near[1], far[1]) == [pair.a, pair.b]


@given(ANY, st.data())
def test_the_same_inventory_and_facts_give_the_same_state(fleet: Fleet, data: st.DataObject) -> None:
    known = data.draw(facts(fleet))
    one, other = desired_of(fleet, known), desired_of(fleet, known)
    for name in reversed(one.names):
        other.configuration(name)
    assert all(one.configuration(name) == other.configuration(name) for name in one.names)


# ------------------------------------------------------------------------------------------------------- vendors
def test_a_vendor_that_derives_routes_is_given_none() -> None:
    configuration = desired_of(SMALL).configuration("mumbai")
    assert fitted(configuration, Limits(routes="derived"))["wg0"].routes == {}
    assert fitted(configuration, Limits())["wg0"] is configuration["wg0"]


@given(configurations())
def test_parked_peers_get_places_of_their_own_where_a_vendor_demands_an_allowed_ip(configuration: dict[str, Interface]) -> None:
    for one in fitted(configuration, Limits(empty_allowed_ips=False)).values():
        allowed = [prefix for one_peer in one.peers.values() for prefix in one_peer.allowed_ips]
        assert all(one_peer.allowed_ips for one_peer in one.peers.values())
        assert len(allowed) == len(set(allowed))
        parked = [
            one_peer for one_peer in one.peers.values() if not configuration[one.name].peers[one_peer.public_key].allowed_ips
        ]
        assert all(prefix.subnet_of(PARKING) for one_peer in parked for prefix in one_peer.allowed_ips)  # type: ignore[arg-type]


def test_a_parking_place_depends_on_the_key_alone() -> None:
    lone = Interface("wg0", peers={key("a"): Peer(key("a"))})
    both = Interface("wg0", peers={key("a"): Peer(key("a")), key("b"): Peer(key("b"))})
    demanding = Limits(empty_allowed_ips=False)
    places = [fitted({"wg0": one}, demanding)["wg0"].peers[key("a")].allowed_ips for one in (lone, both)]
    assert places[0] == places[1]


def test_an_unknown_router_has_no_desired_state() -> None:
    desired = desired_state(SMALL, {}, allocate(SMALL, {}), {})
    with pytest.raises(PlanRefused, match="delhi"):
        desired.configuration("delhi")
