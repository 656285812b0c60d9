"""The fleet-wide plan: who is written when, for whose sake, and why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from strategies import OVERLAY, configurations, desired_of, fleet_of, fleets, hub, key, net, nets, router

from fleet.changes import (
    ActivateKey,
    AddInterface,
    AddOpening,
    AddPeer,
    Change,
    DropStagedKey,
    Reapply,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetPeer,
)
from fleet.diff import apply_changes, diff
from fleet.driver import Limits
from fleet.errors import UsageError
from fleet.fingerprint import objects
from fleet.model import Configuration, Endpoint, Fleet, Interface, ListenPort, Mark, Peer, Route
from fleet.plan import interruption, labelled, lan_impact, split_removals
from fleet.selection import relevant, select

FLEET = fleet_of(
    hub("hq", "192.168.1.0/24"),
    hub("dr"),
    router("mumbai", "192.168.20.0/24", groups=("india", "branches")),
    router("pune", "192.168.30.0/24", groups=("india",)),
    router("lab", groups=("branches",)),
)


def peer(name: str, *allowed: str) -> Peer:
    return Peer(key(name), nets(*allowed), mark=Mark(OVERLAY, name))


def add(name: str, *allowed: str) -> AddPeer:
    return AddPeer(interface="wg0", wanted=peer(name, *allowed))


def drop(name: str, *allowed: str) -> RemovePeer:
    return RemovePeer(interface="wg0", old=peer(name, *allowed))


def between(before: Configuration, after: Configuration) -> tuple[Change, ...]:
    return diff(before, None, after, OVERLAY, limits=Limits()).changes


# ---------------------------------------------------------------------------------------------------------- stages
def test_removals_of_peers_and_routes_wait() -> None:
    route = RemoveRoute(interface="wg0", old=Route(net("192.168.9.0/24")))
    opening = RemoveOpening(interface="wg0", old=ListenPort(51821))
    assert split_removals([drop("gone"), opening, add("new"), route]) == ((opening, add("new")), (drop("gone"), route))


def test_a_removal_that_frees_what_a_new_peer_needs_does_not_wait() -> None:
    first, last = split_removals([drop("old", "192.168.20.0/24"), add("new", "192.168.20.0/24")])
    assert (len(first), last) == (2, ())


@given(configurations(), configurations())
def test_both_halves_one_after_the_other_are_the_whole(before: Configuration, after: Configuration) -> None:
    first, last = split_removals(between(before, after))
    assert apply_changes(apply_changes(before, first), last) == after


# ---------------------------------------------------------------------------------------------------------- labels
def changed_hub() -> tuple[Configuration, Configuration]:
    before = desired_of(fleet_of(hub(), router("mumbai", "192.168.20.0/24"))).configuration("hq")
    after = desired_of(fleet_of(hub(), router("mumbai", "192.168.20.0/24"), router("pune"))).configuration("hq")
    return before, after


def test_what_the_inventory_moved_is_intent() -> None:
    confirmed, wanted = changed_hub()
    assert {change.reason for change in labelled(between(confirmed, wanted), confirmed)} == {"intent"}


def test_what_the_router_moved_is_drift() -> None:
    _, wanted = changed_hub()
    broken = {"wg0": Interface("wg0", key("hq"), listen_port=1, mtu=1, mark=Mark(OVERLAY, "hq"))}
    assert {change.reason for change in labelled(between(broken, wanted), wanted)} == {"drift"}


def test_both_at_once_are_told_apart() -> None:
    confirmed, wanted = changed_hub()
    drifted = apply_changes(confirmed, [drop("mumbai")])
    reasons = {str(change): change.reason for change in labelled(between(drifted, wanted), confirmed)}
    assert {text.split(":")[0]: reason for text, reason in reasons.items()} == {"peer mumbai": "drift", "peer pune": "intent"}


def test_a_peer_that_the_inventory_dropped_is_intent_and_one_that_somebody_added_with_our_mark_is_drift() -> None:
    wanted, confirmed = changed_hub()
    (dropped,) = labelled(between(confirmed, wanted), confirmed)
    (added,) = labelled(between(confirmed, wanted), wanted)
    assert (dropped.reason, added.reason) == ("intent", "drift")


def test_an_interface_that_was_there_and_is_gone_is_drift() -> None:
    _, wanted = changed_hub()
    assert {change.reason for change in labelled(between({}, wanted), wanted)} == {"drift"}


def test_before_the_first_confirmed_sync_no_reason_is_given() -> None:
    _, wanted = changed_hub()
    assert {change.reason for change in labelled(between({}, wanted), None)} == {""}


def test_fingerprints_of_objects_are_as_good_as_the_configuration_itself() -> None:
    confirmed, wanted = changed_hub()
    kept = json.loads(json.dumps(objects(confirmed, OVERLAY)))
    changes = between(apply_changes(confirmed, [drop("mumbai")]), wanted)
    assert [change.reason for change in labelled(changes, kept)] == [change.reason for change in labelled(changes, confirmed)]


def test_keys_are_switched_by_intent_and_left_over_ones_are_drift() -> None:
    changes = [ActivateKey(interface="wg0", key=key("next")), DropStagedKey(interface="wg0"), Reapply(interface="wg0")]
    assert [change.reason for change in labelled(changes, {})] == ["intent", "drift", "drift"]


# ------------------------------------------------------------------------------------------------------- selection
def test_no_names_are_all_routers() -> None:
    selection = select(FLEET)
    assert selection.names == tuple(FLEET.routers)
    assert selection.filter("hq") is None


def test_a_spoke_brings_its_hubs_along_and_says_for_whom() -> None:
    selection = select(FLEET, ["mumbai"])
    assert selection.names == ("hq", "dr", "mumbai")
    assert selection.included == {"hq": "mumbai", "dr": "mumbai"}
    assert selection.writable == {"hq", "dr", "mumbai"}


def test_only_restricts_to_the_named_routers() -> None:
    selection = select(FLEET, ["mumbai"], only=True)
    assert (selection.names, selection.writable) == (("mumbai",), {"mumbai"})


def test_a_hub_brings_every_other_end_along() -> None:
    assert select(FLEET, ["hq"]).names == tuple(FLEET.routers)


def test_in_a_mesh_every_other_end_is_included_and_with_links_those_that_are_linked() -> None:
    routers = (router("a", endpoint=Endpoint("192.0.2.1", 1)), router("b", endpoint=Endpoint("192.0.2.2", 1)), router("c"))
    assert select(fleet_of(*routers, topology="full-mesh"), ["c"]).names == ("a", "b", "c")
    assert select(fleet_of(*routers, links=(("a", "c"), ("a", "b"))), ["c"]).names == ("a", "c")


@pytest.mark.parametrize(
    ("limit", "selected"),
    [
        ("mumbai", {"mumbai"}),
        ("group:india", {"mumbai", "pune"}),
        ("mumbai,group:branches,!lab", {"mumbai"}),
        ("p*, lab", {"pune", "lab"}),
        ("!group:india", {"hq", "dr", "lab"}),
    ],
)
def test_a_limit_adds_names_groups_and_patterns_and_takes_others_away(limit: str, selected: set[str]) -> None:
    assert select(FLEET, limit=limit).selected == selected


@pytest.mark.parametrize(
    ("names", "limit", "said"),
    [
        (["mumbay"], None, "did you mean mumbai"),
        ([], "group:indai", "did you mean group:india"),
        ([], "mumbai,!mumbai", "leaves no router"),
        (["mumbai"], "pune", "named twice"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused_with_the_nearest(names: list[str], limit: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        select(FLEET, names, limit=limit)


@given(fleets())
def test_the_other_ends_of_a_selection_are_exactly_its_peers(fleet: Fleet) -> None:
    desired = desired_of(fleet)
    owners = {next(iter(desired.configuration(name).values())).public_key: name for name in desired.names}
    for name in desired.names:
        peers = {owners[peer] for peer in desired.configuration(name)["wg0"].peers}
        assert peers <= set(select(fleet, [name]).names)


# ------------------------------------------------------------------------------------------------------- relevance
MUMBAI = select(FLEET, ["mumbai"])


def test_on_a_selected_router_everything_is_relevant() -> None:
    assert relevant(drop("gone"), "mumbai", MUMBAI)


def test_on_a_hub_only_the_selected_routers_peer_is_touched() -> None:
    assert relevant(add("mumbai"), "hq", MUMBAI)
    assert not relevant(add("pune"), "hq", MUMBAI)
    assert not relevant(drop("gone"), "hq", MUMBAI)


def test_another_hubs_peer_is_touched_if_it_carries_a_selected_lan() -> None:
    old, new = peer("hq", "10.100.0.1/32"), peer("hq", "10.100.0.1/32", "192.168.20.0/24")
    other = peer("hq", "10.100.0.1/32", "192.168.30.0/24")
    assert relevant(SetPeer(interface="wg0", old=old, wanted=new), "dr", MUMBAI)
    assert not relevant(SetPeer(interface="wg0", old=old, wanted=other), "dr", MUMBAI)


def test_a_peer_that_must_give_up_a_selected_lan_is_touched() -> None:
    assert relevant(drop("gone", "192.168.20.0/24"), "hq", MUMBAI)


def test_what_is_missing_on_a_hub_is_needed_and_what_merely_differs_is_not() -> None:
    bare = Interface("wg0", key("hq"))
    assert relevant(AddInterface(interface="wg0", wanted=bare), "hq", MUMBAI)
    assert relevant(AddOpening(interface="wg0", wanted=ListenPort(51820)), "hq", MUMBAI)
    assert not relevant(SetInterface(interface="wg0", old=bare, wanted=bare), "hq", MUMBAI)


def test_a_reload_is_relevant_if_it_brings_a_selected_peer_back() -> None:
    assert relevant(Reapply(interface="wg0", what=("peer mumbai missing",)), "hq", MUMBAI)
    assert relevant(Reapply(interface="wg0", what=("peer mumbai: allowed ips",)), "hq", MUMBAI)
    assert not relevant(Reapply(interface="wg0", what=("peer mumbai-2 missing", "mtu 1, stored 2")), "hq", MUMBAI)


def test_bringing_one_spoke_up_changes_nothing_else_on_the_hub() -> None:
    before = desired_of(fleet_of(hub())).configuration("hq")
    after = desired_of(FLEET).configuration("hq")
    chosen = MUMBAI.filter("hq")
    assert chosen is not None
    reached = apply_changes(before, [change for change in between(before, after) if chosen(change)])["wg0"]
    assert reached.peers.keys() == {key("mumbai")}
    assert reached.routes.keys() == nets("192.168.20.0/24")


# ------------------------------------------------------------------------------------------------------------ plan
def test_a_plan_says_how_many_spokes_a_new_lan_reaches() -> None:
    grown = Fleet(FLEET.overlay, {**FLEET.routers, "goa": router("goa", "192.168.40.0/24")})
    before, after = desired_of(FLEET), desired_of(grown)
    changes = {name: between(before.configuration(name), after.configuration(name)) for name in before.names}
    assert lan_impact(grown, changes).startswith("LANs of other routers are written on 3 spokes; with `lan_supernets:`")


def test_a_plan_that_tells_no_spoke_a_lan_says_nothing() -> None:
    assert lan_impact(FLEET, {"mumbai": [drop("hq")], "hq": [add("mumbai", "192.168.20.0/24")]}) == ""


@pytest.mark.parametrize(
    ("change", "interrupts"),
    [
        (add("a"), "nothing"),
        (drop("a"), "peer"),
        (SetPeer(interface="wg0", old=peer("a"), wanted=peer("a", "10.1.0.0/16")), "nothing"),
        (ActivateKey(interface="wg0", key=key("next")), "interface"),
    ],
)
def test_a_plan_says_what_is_interrupted_meanwhile(change: Change, interrupts: str) -> None:
    assert interruption([add("b"), change]) == interrupts
