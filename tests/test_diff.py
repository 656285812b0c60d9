"""Observed against desired: changes, claims, what is foreign, what is refused, and in which order changes are sent."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusing import RefusingDevice
from strategies import OVERLAY, configurations, desired_of, fleet_of, hub, interfaces, key, net, nets, router

from fleet.changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    DropStagedKey,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetOpening,
    SetPeer,
    SetRoute,
    StageKey,
)
from fleet.diff import Diff, apply_changes, batches, diff, fingerprint, objects
from fleet.driver import Limits
from fleet.model import (
    HIDDEN,
    ClampMss,
    Configuration,
    DerivedKey,
    Endpoint,
    Interface,
    IPInterface,
    KeyOf,
    ListenPort,
    Mark,
    Peer,
    Route,
    Secret,
)
from fleet.overlay import fitted

PSK = Secret("A" * 43 + "=")


def ours(name: str, epoch: int = 0) -> Mark:
    return Mark(OVERLAY, name, epoch)


def peer(name: str, *allowed: str, **more: Any) -> Peer:
    more.setdefault("mark", ours(name))
    return Peer(key(name), nets(*allowed), **more)


def stranger(name: str, *allowed: str, **more: Any) -> Peer:
    return Peer(key(name), nets(*allowed), **more)


def wg(
    *peers: Peer, name: str = "wg0", routes: dict[str, Mark | None] | None = None, openings: tuple[Any, ...] = (), **more: Any
) -> Interface:
    more = {"public_key": key("self"), "listen_port": 51820, "mtu": 1420, "mark": ours("self"), **more}
    return Interface(
        name,
        peers={one.public_key: one for one in peers},
        routes={net(prefix): Route(net(prefix), mark) for prefix, mark in (routes or {}).items()},
        openings={one.identity: one for one in openings},
        **more,
    )


def at(*texts: str) -> frozenset[IPInterface]:
    return frozenset(map(ipaddress.ip_interface, texts))


def compared(observed: Interface | None, wanted: Interface | None, running: Interface | None = None, **more: Any) -> Diff:
    def one(interface: Interface | None) -> Configuration:
        return {} if interface is None else {interface.name: interface}

    more.setdefault("limits", Limits())
    return diff(one(observed), None if running is None else one(running), one(wanted), OVERLAY, **more)


def changes(observed: Interface | None, wanted: Interface | None, **more: Any) -> tuple[Change, ...]:
    return compared(observed, wanted, **more).changes


# ------------------------------------------------------------------------------------------------------- changes
def test_what_is_as_intended_needs_no_change() -> None:
    assert compared(wg(peer("a", "10.1.0.0/16")), wg(peer("a", "10.1.0.0/16"))) == Diff()


def test_a_missing_interface_is_made_bare_and_then_filled() -> None:
    wanted = wg(
        peer("a"), addresses=at("10.0.0.1/24"), routes={"10.1.0.0/16": ours("a")}, openings=(ListenPort(51820),), reresolve=True
    )
    made, *filled = changes(None, wanted)
    assert isinstance(made, AddInterface)
    assert made.wanted == wg()
    assert [type(change) for change in filled] == [SetInterface, AddAddress, AddPeer, AddRoute, AddOpening]


def test_scalars_that_differ_are_one_change() -> None:
    (change,) = changes(wg(mtu=1400, listen_port=51821), wg())
    assert isinstance(change, SetInterface)
    assert str(change) == "interface wg0: port 51821 -> 51820, mtu 1400 -> 1420"


def test_a_disabled_interface_is_enabled() -> None:
    (change,) = changes(wg(disabled=True), wg())
    assert "disabled True -> False" in str(change)


def test_a_peer_of_ours_that_is_not_wanted_goes() -> None:
    assert changes(wg(peer("a")), wg()) == (RemovePeer(interface="wg0", old=peer("a")),)


def test_an_interface_of_ours_that_is_not_wanted_goes() -> None:
    assert changes(wg(peer("a")), None) == (RemoveInterface(interface="wg0", old=wg(peer("a"))),)


def test_only_what_differs_of_a_peer_is_written() -> None:
    (change,) = changes(wg(peer("a", persistent_keepalive=25)), wg(peer("a")))
    assert isinstance(change, SetPeer)
    assert change.differing == {"persistent_keepalive"}


def test_an_endpoint_that_is_wanted_no_longer_is_cleared() -> None:
    (change,) = changes(wg(peer("a", endpoint=Endpoint("192.0.2.1", 51820))), wg(peer("a")))
    assert isinstance(change, SetPeer)
    assert change.differing == {"endpoint"}


def test_removing_a_preshared_key_from_the_intent_clears_it_even_where_it_is_hidden() -> None:
    for seen in (PSK, HIDDEN):
        (change,) = changes(wg(peer("a", preshared_key=seen)), wg(peer("a")))
        assert isinstance(change, SetPeer)
        assert change.differing == {"preshared_key"}


def test_a_hidden_preshared_key_is_no_difference_while_the_mark_matches() -> None:
    assert changes(wg(peer("a", preshared_key=HIDDEN)), wg(peer("a", preshared_key=PSK))) == ()


def test_a_hidden_preshared_key_under_another_epoch_is_written_again() -> None:
    (change,) = changes(wg(peer("a", preshared_key=HIDDEN)), wg(peer("a", preshared_key=PSK, mark=ours("a", 1))))
    assert isinstance(change, SetPeer)
    assert change.differing == {"preshared_key", "mark"}


def test_a_preshared_key_that_is_not_derived_yet_equals_any_that_is_set() -> None:
    assert changes(wg(peer("a", preshared_key=PSK)), wg(peer("a", preshared_key=DerivedKey(0)))) == ()
    assert changes(wg(peer("a")), wg(peer("a", preshared_key=DerivedKey(0)))) != ()


def test_a_wrong_preshared_key_that_the_router_shows_is_corrected() -> None:
    assert changes(wg(peer("a", preshared_key=Secret("B" * 43 + "="))), wg(peer("a", preshared_key=PSK))) != ()


def test_a_parked_peer_equals_one_without_allowed_ips() -> None:
    assert changes(wg(peer("a", "198.18.7.7/32")), wg(peer("a"))) == ()


def test_a_parked_peer_that_also_differs_keeps_its_place() -> None:
    (change,) = changes(wg(peer("a", "198.18.7.7/32", persistent_keepalive=5)), wg(peer("a")))
    assert isinstance(change, SetPeer)
    assert change.differing == {"persistent_keepalive"}


def test_an_address_of_our_interface_that_is_not_wanted_goes() -> None:
    found = changes(wg(addresses=at("10.0.0.1/24")), wg(addresses=at("10.0.0.2/24", "fd00::1/64")))
    assert [str(change) for change in found] == [
        "address 10.0.0.2/24: add to wg0",
        "address fd00::1/64: add to wg0",
        "address 10.0.0.1/24: remove from wg0",
    ]


def test_a_link_local_address_that_a_router_gave_itself_is_no_difference() -> None:
    assert changes(wg(addresses=at("fe80::1/64")), wg()) == ()


def test_openings_are_compared_by_identity() -> None:
    observed = wg(openings=(ListenPort(51821), ClampMss(1400)))
    found = changes(observed, wg(openings=(ListenPort(51820), ClampMss(1420))))
    assert {type(change) for change in found} == {AddOpening, SetOpening, RemoveOpening}


@pytest.mark.parametrize(
    ("aspect", "observed"),
    [
        ("routes", wg(routes={"10.1.0.0/16": ours("a")})),
        ("listen_port", wg(openings=(ListenPort(51820),))),
        ("mss", wg(openings=(ClampMss(1400),))),
        ("resolve", wg(reresolve=True)),
    ],
)
def test_what_somebody_else_manages_is_not_compared(aspect: str, observed: Interface) -> None:
    assert changes(observed, wg()) != ()
    assert changes(observed, wg(unmanaged=frozenset({aspect}))) == ()


def test_routes_are_not_compared_where_the_vendor_derives_them() -> None:
    assert changes(wg(routes={"10.1.0.0/16": ours("a")}), wg(), limits=Limits(routes="derived")) == ()


# ---------------------------------------------------------------------------------------------- ours and foreign
def test_a_peer_without_a_mark_or_with_another_fleets_is_kept_and_reported() -> None:
    found = compared(wg(stranger("x", "172.16.0.0/24"), stranger("y", mark=Mark("other", "y"))), wg())
    assert found.changes == ()
    assert found.foreign == (f"peer {key('x')[:8]}... on wg0", "peer y on wg0")


def test_an_interface_without_a_mark_is_kept_and_reported() -> None:
    found = compared(wg(stranger("x"), name="wg7", mark=None), None)
    assert (found.changes, found.foreign) == ((), ("interface wg7 (1 peer)",))


def test_a_route_without_a_mark_that_nobody_wants_is_kept() -> None:
    assert changes(wg(routes={"172.16.0.0/24": None}), wg()) == ()


def test_an_unmarked_route_that_is_wanted_is_claimed_and_said() -> None:
    found = compared(wg(routes={"10.1.0.0/16": None}), wg(routes={"10.1.0.0/16": ours("a")}))
    assert [type(change) for change in found.changes] == [SetRoute]
    assert found.claims == ("route 10.1.0.0/16 via wg0: unmarked, taken over because it is wanted",)


def test_an_unmarked_peer_with_the_key_of_one_of_our_routers_is_claimed_and_said() -> None:
    found = compared(wg(peer("a", "10.1.0.0/16", mark=None)), wg(peer("a", "10.1.0.0/16")))
    (change,) = found.changes
    assert isinstance(change, SetPeer)
    assert change.differing == {"mark"}
    assert found.claims == ("peer a on wg0: unmarked, taken over by its public key",)


def test_an_unmarked_interface_with_our_address_is_claimed_and_said() -> None:
    found = compared(
        wg(mark=None, public_key=key("other"), addresses=at("10.0.0.1/24")),
        wg(public_key=KeyOf("self"), addresses=at("10.0.0.1/24")),
    )
    assert found.conflicts == ()
    assert [type(change) for change in found.changes] == [SetInterface]
    assert "address 10.0.0.1/24 equals the intent" in found.claims[0]


def test_an_unmarked_interface_with_nothing_of_ours_is_refused_with_the_cure() -> None:
    found = compared(wg(stranger("x"), mark=None, public_key=key("other")), wg(public_key=KeyOf("self")))
    assert found.changes == ()
    assert "set another `interface:` in the inventory" in found.conflicts[0]


def test_an_interface_that_somebody_made_by_hand_and_never_stored_is_refused_alike() -> None:
    found = compared(None, wg(), running=wg(mark=None, public_key=key("other")))
    assert (len(found.conflicts), found.changes) == (1, ())


def test_an_interface_of_another_overlay_is_refused() -> None:
    assert "belongs to fleet overlay other" in compared(wg(mark=Mark("other", "self")), wg()).conflicts[0]


def test_a_foreign_peer_that_owns_an_allowed_ip_we_need_is_a_conflict_naming_both() -> None:
    found = compared(wg(stranger("x", "10.1.0.0/16")), wg(peer("a", "10.1.0.0/16")))
    (said,) = found.conflicts
    assert said.startswith(f"10.1.0.0/16 on wg0 belongs to peer {key('x')[:8]}..., which is not ours, and a needs it: ")


def test_a_foreign_peer_inside_a_prefix_of_ours_is_no_conflict() -> None:
    assert compared(wg(stranger("phone", "10.1.0.9/32")), wg(peer("a", "10.1.0.0/16"))).conflicts == ()


def test_an_interface_of_ours_with_peers_of_others_is_not_removed() -> None:
    found = compared(wg(stranger("x")), None)
    assert found.changes == ()
    assert "holds peers of others" in found.conflicts[0]


def test_another_key_than_the_pinned_one_is_told_apart() -> None:
    found = compared(wg(public_key=key("clone")), wg())
    assert found.key_mismatch == f"interface wg0 has key {key('clone')[:8]}..., pinned is {key('self')[:8]}..."


def test_any_key_will_do_before_one_is_pinned() -> None:
    assert compared(wg(), wg(public_key=KeyOf("self"))) == Diff()


# --------------------------------------------------------------------------------------------------- staged keys
def test_a_next_key_is_staged_beside_the_one_in_use() -> None:
    assert changes(wg(), wg(staged_key=key("next"))) == (StageKey(interface="wg0", key=key("next")),)


def test_a_staged_key_that_is_wanted_becomes_the_key_in_use() -> None:
    found = compared(wg(staged_key=key("next")), wg(public_key=key("next")))
    assert found.changes == (ActivateKey(interface="wg0", key=key("next")),)
    assert found.key_mismatch == ""


def test_a_staged_key_that_nobody_wants_is_dropped() -> None:
    assert changes(wg(staged_key=key("old")), wg()) == (DropStagedKey(interface="wg0", key=key("old")),)


def test_any_staged_key_will_do_while_the_router_makes_it() -> None:
    assert changes(wg(staged_key=key("made")), wg(staged_key=KeyOf("self"))) == ()


# ------------------------------------------------------------------------------------------------------- running
def test_a_difference_in_running_alone_is_one_reapply_that_says_what() -> None:
    stored = wg(peer("a", "10.1.0.0/16"), peer("b"))
    (change,) = changes(stored, stored, running=wg(peer("a", "10.2.0.0/16"), mtu=1400))
    assert change == Reapply(interface="wg0", what=("mtu 1400, stored 1420", "peer a: allowed ips", "peer b missing"))


def test_what_is_about_to_be_written_is_not_reapplied_as_well() -> None:
    found = changes(wg(peer("a")), wg(peer("a", "10.1.0.0/16")), running=wg(peer("a")))
    assert [type(change) for change in found] == [SetPeer]


def test_a_port_that_is_about_to_be_written_is_not_reapplied_as_well() -> None:
    assert [type(change) for change in changes(wg(listen_port=1), wg(), running=wg(listen_port=1))] == [SetInterface]


def test_an_interface_that_is_not_up_is_reapplied() -> None:
    found = diff({"wg0": wg()}, {}, {"wg0": wg()}, OVERLAY, limits=Limits()).changes
    assert found == (Reapply(interface="wg0", what=("the interface is not up",)),)


def test_a_kernel_without_marks_and_with_hidden_keys_is_no_difference() -> None:
    stored = wg(peer("a", preshared_key=PSK))
    assert changes(stored, stored, running=wg(peer("a", preshared_key=HIDDEN, mark=None), mark=None)) == ()


def test_a_learned_endpoint_is_no_difference() -> None:
    stored = wg(peer("a", endpoint=Endpoint("vpn.example.com", 51820)), peer("b"))
    roamed = wg(peer("a", endpoint=Endpoint("203.0.113.9", 4711)), peer("b", endpoint=Endpoint("203.0.113.10", 4712)))
    assert changes(stored, stored, running=roamed) == ()


def test_a_learned_endpoint_is_a_difference_where_it_is_pinned() -> None:
    stored = wg(peer("a", endpoint=Endpoint("192.0.2.1", 51820)))
    roamed = wg(peer("a", endpoint=Endpoint("203.0.113.9", 4711)))
    assert changes(stored, stored, running=roamed, pinned_endpoints=frozenset({"a"})) != ()


def test_an_endpoint_that_could_not_be_resolved_at_boot_is_a_difference() -> None:
    stored = wg(peer("a", endpoint=Endpoint("vpn.example.com", 51820)))
    assert changes(stored, stored, running=wg(peer("a"))) == (Reapply(interface="wg0", what=("peer a: endpoint",)),)


def test_a_peer_that_only_runs_and_is_not_ours_is_kept() -> None:
    found = compared(wg(), wg(), running=wg(stranger("x")))
    assert (found.changes, found.foreign) == ((), (f"peer {key('x')[:8]}... on wg0",))


def test_a_missing_route_and_an_opening_that_is_not_active_are_reapplied() -> None:
    stored = wg(routes={"10.1.0.0/16": ours("a")}, openings=(ListenPort(51820),))
    (change,) = changes(stored, stored, running=wg())
    assert isinstance(change, Reapply)
    assert change.what == ("route 10.1.0.0/16 missing", "not active: open udp/51820")


# --------------------------------------------------------------------------------------------------------- order
def ordered(observed: Interface | None, wanted: Interface | None, limits: Limits | None = None) -> list[list[str]]:
    limits = limits or Limits()
    return [[type(change).__name__ for change in batch] for batch in batches(changes(observed, wanted), limits)]


def test_independent_changes_are_one_batch() -> None:
    wanted = wg(peer("a", "10.1.0.0/16"), peer("b"), routes={"10.1.0.0/16": ours("a")}, openings=(ListenPort(51820),))
    assert len(ordered(wg(peer("c")), wanted)) == 1


def test_a_new_interface_adds_one_batch() -> None:
    assert ordered(None, wg(peer("a", "10.1.0.0/16"), addresses=at("10.0.0.1/24"))) == [
        ["AddInterface"],
        ["AddAddress", "AddPeer"],
    ]


def test_an_allowed_ip_is_released_before_it_is_claimed() -> None:
    moved = batches(changes(wg(peer("a", "10.1.0.0/16"), peer("b")), wg(peer("a"), peer("b", "10.1.0.0/16"))), Limits())
    assert [[str(change) for change in batch] for batch in moved] == [
        ["peer a: allowed IPs 10.1.0.0/16 -> none (parked)"],
        ["peer b: allowed IPs none (parked) -> 10.1.0.0/16"],
    ]


def test_a_router_that_comes_back_with_another_key_gives_up_its_lan_first() -> None:
    old = Peer(key("old"), nets("10.1.0.0/16"), mark=ours("a"))
    assert ordered(wg(old), wg(peer("a", "10.1.0.0/16"))) == [["RemovePeer"], ["AddPeer"]]


def test_a_swap_is_a_release_and_a_claim_and_adds_one_batch() -> None:
    before = wg(peer("a", "10.1.0.0/16"), peer("b", "10.2.0.0/16"))
    after = wg(peer("a", "10.2.0.0/16"), peer("b", "10.1.0.0/16"))
    assert ordered(before, after) == [["SetPeer", "SetPeer"], ["SetPeer", "SetPeer"]]


def test_a_ring_of_ten_peers_still_takes_two_batches() -> None:
    before = wg(*(peer(f"p{i}", f"10.{i}.0.0/16") for i in range(10)))
    after = wg(*(peer(f"p{i}", f"10.{(i + 1) % 10}.0.0/16") for i in range(10)))
    assert len(ordered(before, after)) == 2


def test_a_swap_parks_where_a_vendor_demands_an_allowed_ip() -> None:
    before = wg(peer("a", "10.1.0.0/16"), peer("b", "10.2.0.0/16"))
    after = wg(peer("a", "10.2.0.0/16"), peer("b", "10.1.0.0/16"))
    first, _ = batches(changes(before, after), Limits(empty_allowed_ips=False))
    assert all(isinstance(change, SetPeer) and change.wanted.parked and change.wanted.allowed_ips for change in first)


def test_between_release_and_claim_a_peer_keeps_what_nobody_else_wants() -> None:
    before = wg(peer("a", "10.1.0.0/16", "10.9.0.0/16"), peer("b", "10.2.0.0/16"))
    after = wg(peer("a", "10.2.0.0/16", "10.9.0.0/16"), peer("b", "10.1.0.0/16"))
    first = batches(changes(before, after), Limits())[0]
    assert [change.wanted.allowed_ips for change in first if isinstance(change, SetPeer)] == [nets("10.9.0.0/16"), nets()]


def test_the_halves_of_a_swap_write_nothing_but_allowed_ips_until_the_claim() -> None:
    before = wg(peer("a", "10.1.0.0/16", preshared_key=HIDDEN, mark=None), peer("b", "10.2.0.0/16"))
    after = wg(peer("a", "10.2.0.0/16", preshared_key=PSK), peer("b", "10.1.0.0/16"))
    first, second = batches(changes(before, after), Limits())
    assert {change.differing for change in first if isinstance(change, SetPeer)} == {frozenset({"allowed_ips"})}
    assert any(isinstance(change, SetPeer) and {"preshared_key", "mark"} <= change.differing for change in second)


def test_a_new_address_and_a_new_port_stand_before_the_old_ones_go() -> None:
    before = wg(addresses=at("10.0.0.1/24"), openings=(ListenPort(51820),))
    after = wg(addresses=at("10.0.0.1/20"), openings=(ListenPort(51821),))
    assert ordered(before, after) == [["AddAddress", "AddOpening"], ["RemoveAddress", "RemoveOpening"]]


def test_the_private_key_is_switched_last() -> None:
    found = batches(changes(wg(peer("a"), staged_key=key("next")), wg(public_key=key("next"))), Limits())
    assert [[type(change) for change in batch] for batch in found] == [[RemovePeer], [ActivateKey]]


def test_a_stale_staged_key_is_dropped_before_the_next_is_staged() -> None:
    assert ordered(wg(staged_key=key("old")), wg(staged_key=key("next"))) == [["DropStagedKey"], ["StageKey"]]


def test_a_renamed_interface_gives_its_port_to_the_new_one_first() -> None:
    old, new = wg(name="wg0"), wg(name="wg1")
    found = batches(diff({"wg0": old}, None, {"wg1": new}, OVERLAY, limits=Limits()).changes, Limits())
    assert [[type(change) for change in batch] for batch in found] == [[RemoveInterface], [AddInterface]]


def test_an_interface_that_stands_in_nobodys_way_goes_when_its_successor_is_complete() -> None:
    old, new = wg(name="wg0"), wg(peer("a"), name="wg1", listen_port=51821)
    found = batches(diff({"wg0": old}, None, {"wg1": new}, OVERLAY, limits=Limits()).changes, Limits())
    assert [[type(change) for change in batch] for batch in found] == [[AddInterface], [AddPeer], [RemoveInterface]]


def test_a_route_leaves_one_interface_before_it_is_on_the_other() -> None:
    change = diff(
        {"wg0": wg(routes={"10.1.0.0/16": ours("a")}), "wg1": wg(name="wg1", listen_port=1)},
        None,
        {"wg0": wg(), "wg1": wg(name="wg1", listen_port=1, routes={"10.1.0.0/16": ours("a")})},
        OVERLAY,
        limits=Limits(),
    ).changes
    assert [[type(one) for one in batch] for batch in batches(change, Limits())] == [[RemoveRoute], [AddRoute]]


def test_two_interfaces_that_swap_ports_do_not_hang_the_planner() -> None:
    found = diff(
        {"wg0": wg(listen_port=1), "wg1": wg(name="wg1", listen_port=2)},
        None,
        {"wg0": wg(listen_port=2), "wg1": wg(name="wg1", listen_port=1)},
        OVERLAY,
        limits=Limits(),
    ).changes
    assert sum(len(batch) for batch in batches(found, Limits())) == 2


@pytest.mark.parametrize("unit", ["file", "batch"])
def test_where_everything_takes_effect_at_once_there_is_one_batch_and_no_split(unit: Any) -> None:
    before = wg(peer("a", "10.1.0.0/16"), peer("b", "10.2.0.0/16"), addresses=at("10.0.0.1/24"))
    after = wg(peer("a", "10.2.0.0/16"), peer("b", "10.1.0.0/16"), addresses=at("10.0.0.2/24"))
    found = changes(before, after)
    (batch,) = batches(found, Limits(unit=unit))
    assert sorted(map(str, batch)) == sorted(map(str, found))


def test_no_changes_are_no_batch() -> None:
    assert batches((), Limits()) == batches((), Limits(unit="file")) == ()


# --------------------------------------------------------------------------------------------- any configuration
@given(configurations(), configurations())
def test_applying_the_diff_yields_the_desired_state_and_a_second_diff_is_empty(
    before: Configuration, after: Configuration
) -> None:
    found = diff(before, None, after, OVERLAY, limits=Limits())
    reached = apply_changes(before, found.changes)
    assert reached == after
    assert diff(reached, None, after, OVERLAY, limits=Limits()) == Diff()


@given(configurations(), configurations(), st.sampled_from((Limits(), Limits(empty_allowed_ips=False))))
def test_a_router_that_refuses_duplicates_accepts_every_batch_in_any_order(
    before: Configuration, after: Configuration, limits: Limits
) -> None:
    before, after = fitted(before, limits), fitted(after, limits)
    device = RefusingDevice(before, empty_allowed_ips=limits.empty_allowed_ips)
    device.apply(batches(diff(before, None, after, OVERLAY, limits=limits).changes, limits))
    assert diff(device.configuration, None, after, OVERLAY, limits=limits) == Diff()


@given(interfaces(strangers=True), interfaces())
def test_what_is_foreign_survives_unchanged_and_is_reported(before: Interface, after: Interface) -> None:
    found = diff({"wg0": before}, None, {"wg0": after}, OVERLAY, limits=Limits())
    reached = apply_changes({"wg0": before}, found.changes)["wg0"]
    foreign = {known: one for known, one in before.peers.items() if one.mark is None or one.mark.overlay != OVERLAY}
    assert {known: reached.peers[known] for known in foreign} == foreign
    assert len([line for line in found.foreign if line.startswith("peer")]) == len(foreign)
    routes = {prefix: route for prefix, route in before.routes.items() if route.mark is None or route.mark.overlay != OVERLAY}
    assert {prefix: reached.routes[prefix] for prefix in routes} == routes


@given(configurations(), configurations())
def test_no_change_is_lost_or_repeated_by_ordering(before: Configuration, after: Configuration) -> None:
    found = diff(before, None, after, OVERLAY, limits=Limits()).changes
    whole = [change for batch in batches(found, Limits()) for change in batch]
    assert apply_changes(before, whole) == after
    assert {change for change in map(str, whole) if "peer" not in change} == {
        change for change in map(str, found) if "peer" not in change
    }


@given(configurations(), configurations())
def test_a_router_that_stores_right_and_runs_something_else_gets_one_reapply_per_interface(
    running: Configuration, stored: Configuration
) -> None:
    found = diff(
        stored, {name: one for name, one in running.items() if name in stored}, stored, OVERLAY, limits=Limits()
    ).changes
    assert all(isinstance(change, Reapply) for change in found)
    assert len({change.interface for change in found}) == len(found)


# ---------------------------------------------------------------------------------------------------- simulation
def test_a_change_of_something_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        apply_changes({}, [AddAddress(interface="wg0", address=ipaddress.ip_interface("10.0.0.1/24"))])
    with pytest.raises(KeyError):
        apply_changes({"wg0": wg()}, [RemoveAddress(interface="wg0", address=ipaddress.ip_interface("10.0.0.1/24"))])


# -------------------------------------------------------------------------------------------------- fingerprints
def test_foreign_things_do_not_move_a_fingerprint() -> None:
    foreign = wg(peer("a"), stranger("x"), routes={"172.16.0.0/24": None})
    assert fingerprint({"wg0": foreign, "wg9": wg(name="wg9", mark=None)}, OVERLAY) == fingerprint(
        {"wg0": wg(peer("a"))}, OVERLAY
    )


@pytest.mark.parametrize(
    "moved",
    [
        wg(peer("a", "10.1.0.0/16")),
        wg(peer("a", persistent_keepalive=25)),
        wg(peer("a", preshared_key=PSK)),
        wg(peer("a"), mtu=1412),
        wg(peer("a"), addresses=at("10.0.0.1/24")),
        wg(peer("a"), openings=(ListenPort(51820),)),
        wg(peer("a"), routes={"10.1.0.0/16": ours("a")}),
    ],
    ids=str,
)
def test_whatever_is_ours_moves_a_fingerprint(moved: Interface) -> None:
    assert fingerprint({"wg0": moved}, OVERLAY) != fingerprint({"wg0": wg(peer("a"))}, OVERLAY)


def test_a_preshared_key_counts_as_present_whatever_it_is_and_never_shows() -> None:
    prints = {fingerprint({"wg0": wg(peer("a", preshared_key=one))}, OVERLAY) for one in (PSK, HIDDEN, DerivedKey(3))}
    assert len(prints) == 1


def test_order_does_not_move_a_fingerprint() -> None:
    assert fingerprint({"wg0": wg(peer("a"), peer("b"))}, OVERLAY) == fingerprint({"wg0": wg(peer("b"), peer("a"))}, OVERLAY)


def test_every_object_of_ours_has_a_fingerprint_of_its_own() -> None:
    before = objects({"wg0": wg(peer("a"), peer("b"))}, OVERLAY)
    after = objects({"wg0": wg(peer("a", "10.1.0.0/16"), peer("b"))}, OVERLAY)
    assert {identity for identity in before if before[identity] != after[identity]} == {f"wg0 peer {key('a')}"}


# ------------------------------------------------------------------------------------------------------ as a whole
def test_from_nothing_to_a_hub_and_back_to_nothing() -> None:
    wanted = desired_of(fleet_of(hub("hq", "192.168.1.0/24"), router("mumbai", "192.168.20.0/24"))).configuration("hq")
    device = RefusingDevice({})
    device.apply(batches(diff({}, None, wanted, OVERLAY, limits=Limits()).changes, Limits()))
    assert device.configuration == wanted
    device.apply(batches(diff(wanted, None, {}, OVERLAY, limits=Limits()).changes, Limits()))
    assert device.configuration == {}


def test_a_lan_that_moves_to_another_branch_survives_on_a_strict_hub() -> None:
    before = desired_of(fleet_of(hub(), router("mumbai", "192.168.20.0/24"), router("pune"))).configuration("hq")
    after = desired_of(fleet_of(hub(), router("mumbai"), router("pune", "192.168.20.0/24"))).configuration("hq")
    device = RefusingDevice(before)
    device.apply(batches(diff(before, None, after, OVERLAY, limits=Limits()).changes, Limits()))
    assert device.configuration == after


def test_a_reason_survives_the_split_of_a_swap() -> None:
    before = wg(peer("a", "10.1.0.0/16"), peer("b", "10.2.0.0/16"))
    after = wg(peer("a", "10.2.0.0/16"), peer("b", "10.1.0.0/16"))
    said = [replace(change, reason="drift") for change in changes(before, after)]
    assert {change.reason for batch in batches(said, Limits()) for change in batch} == {"drift"}
