"""The armed undo as the router is asked for it: scheduler entries, confirm, trip, what is only disabled."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from mikrotik_rows import DRIVER, HQ, MUMBAI, PUNE, TARGET, Menus, guarded, hub, lines, observe, wg0

from fleet import (
    HIDDEN,
    ActivateKey,
    GuardSeen,
    Interface,
    ListenPort,
    Management,
    Mark,
    Peer,
    Route,
    RouterPlan,
    Script,
    Secret,
    Words,
)
from fleet.changes import SetPeer
from fleet.errors import Unsupported
from fleet.keys import new_private_key, public_key_of
from fleet.model import PublicKey

NEW = public_key_of(new_private_key())
PSK = Secret("aGlkZGVuIGhpZGRlbiBoaWRkZW4gaGlkZGVuIGhpZGQ=")
MANAGEMENT = Management(8729, frozenset({ipaddress.ip_network("10.0.0.0/8")}))
NAGPUR = Peer(NEW, frozenset({ipaddress.ip_network("192.168.40.0/24")}), preshared_key=PSK, mark=Mark("acme", "nagpur"))
FILTER = "/ip/firewall/filter"
PEERS = "/interface/wireguard/peers"
SCHEDULER = "/system/scheduler"
COMMENT = "fleet:acme:hq guard run:plan-1"


def with_nagpur(menus: Menus) -> Interface:
    old = wg0(menus)
    return replace(old, peers={**old.peers, NEW: NAGPUR})


def without(menus: Menus, key: PublicKey) -> Interface:
    old = wg0(menus)
    return replace(old, peers={each: peer for each, peer in old.peers.items() if each != key})


def armed(menus: Menus, plan_id: str = "plan-1", **words: str) -> Menus:
    """The router with a guard of this plan."""
    row = {"comment": f"fleet:acme:hq guard run:{plan_id}", "disabled": "false", "on-event": ":log info undo", **words}
    menus[SCHEDULER] += [
        {**row, ".id": "*61", "name": f"fleet-guard-acme-{plan_id}", "interval": "2m"},
        {**row, ".id": "*62", "name": f"fleet-guard-acme-{plan_id}-boot", "interval": "0s", "start-time": "startup"},
    ]
    return menus


def undo(script: Script) -> list[str]:
    (request, _) = script.guarded[0][0].requests
    assert isinstance(request, Words)
    return str(dict(request.attributes)["on-event"]).split("\n")


def settled(menus: Menus, *, within: int, plan_id: str = "plan-1") -> Script:
    """The script of a plan without changes."""
    seen = observe(menus)
    return DRIVER.render(RouterPlan(TARGET, plan_id, (), dict(seen.stored), confirm_within=within), seen)


# ---- arming
def test_arming_comes_first_alone_and_covers_nothing() -> None:
    script = guarded(hub(), with_nagpur(hub()))
    assert len(script.guarded[0]) == 1
    assert script.guarded[0][0].covers == ()
    assert [change for step in script.guarded[1] for change in step.covers]


def test_one_entry_fires_at_the_deadline_and_one_when_the_router_boots() -> None:
    first, second = guarded(hub(), with_nagpur(hub()), within=90).guarded[0][0].requests
    assert isinstance(first, Words)
    assert isinstance(second, Words)
    at_deadline, at_boot = dict(first.attributes), dict(second.attributes)
    assert (at_deadline["name"], at_deadline["interval"]) == ("fleet-guard-acme-plan-1", "90s")
    assert (at_boot["name"], at_boot["start-time"], at_boot["interval"]) == ("fleet-guard-acme-plan-1-boot", "startup", "0s")
    assert at_deadline["on-event"] == at_boot["on-event"]
    assert {at_deadline["policy"], at_boot["policy"]} == {"read,write"}
    assert {at_deadline["comment"], at_boot["comment"]} == {COMMENT}


def test_later_passes_do_not_arm_again() -> None:
    script = guarded(armed(hub()), with_nagpur(hub()), arm=False)
    assert SCHEDULER not in "".join(lines(script))


def test_without_a_window_nothing_is_armed_confirmed_or_tripped() -> None:
    script = guarded(hub(), with_nagpur(hub()), within=0)
    assert (script.confirm, script.trip, script.cleanup) == ((), (), ())
    assert [line.split(" ")[0] for line in lines(script)] == [f"{PEERS}/add"]


def test_the_undo_removes_itself_first_and_only_if_it_is_still_there() -> None:
    text = undo(guarded(hub(), with_nagpur(hub())))
    assert text[0] == f':if ([:len [{SCHEDULER}/find where comment="{COMMENT}"]] > 0) do={{'
    assert text[1] == f':do {{{SCHEDULER}/remove [find where comment="{COMMENT}"]}} on-error={{}}'
    assert text[2].startswith(":log info ")
    assert text[-1] == "}"


def test_every_step_of_the_undo_tolerates_that_another_failed() -> None:
    wanted = replace(without(hub(), MUMBAI), openings={"management/8729": MANAGEMENT}, routes={}, mtu=1400)
    body = [line for line in undo(guarded(hub(), wanted))[1:-1] if not line.startswith(":log")]
    assert len(body) > 5
    assert all(line.startswith(":do {") and line.endswith("} on-error={}") for line in body)


def test_the_undo_holds_no_secret() -> None:
    script = guarded(hub(), with_nagpur(hub()))
    assert PSK.reveal() not in repr(script)
    assert not any("preshared-key" in line for line in undo(script))


def test_the_undo_names_no_id_because_a_reboot_may_change_them() -> None:
    wanted = replace(
        without(hub(), MUMBAI), openings={"management/8729": MANAGEMENT}, routes={}, mtu=1400, addresses=frozenset()
    )
    assert not any("*" in line for line in undo(guarded(hub(), wanted)))


def test_what_is_created_is_removed_by_what_it_is() -> None:
    wanted = replace(
        with_nagpur(hub()),
        addresses=wg0(hub()).addresses | {ipaddress.ip_interface("10.101.0.1/20")},
        routes={
            **wg0(hub()).routes,
            (it := ipaddress.ip_network("192.168.40.0/24")): Route(it, Mark("acme", "nagpur")),
        },
    )
    text = undo(guarded(hub(), wanted))
    assert (
        f':do {{{PEERS}/remove [find where interface="wg0" && public-key="{NEW}" && comment~"fleet:acme:"]}} on-error={{}}'
        in text
    )
    assert (
        ':do {/ip/address/remove [find where address="10.101.0.1/20" && interface="wg0" && comment~"fleet:acme:"]} on-error={}'
        in text
    )
    assert (
        ':do {/ip/route/remove [find where dst-address="192.168.40.0/24" && gateway="wg0" && comment="fleet:acme:nagpur"]} '
        "on-error={}" in text
    )


def test_a_change_is_set_back_word_by_word_with_peoples_own_comment() -> None:
    menus = hub()
    menus["/interface/wireguard"][0]["comment"] = 'Raj\'s "main" $hub \\ fleet:acme:old'
    wanted = replace(wg0(menus), mtu=1400, mark=HQ)
    text = undo(guarded(menus, wanted))
    assert (
        r':do {/interface/wireguard/set [find where name="wg0"] mtu=1420 comment="Raj'
        r"'s \"main\" \$hub \\ fleet:acme:old"
        '"} on-error={}' in text
    )


def test_peers_that_exchange_prefixes_release_before_they_claim_in_the_undo_too() -> None:
    old = wg0(hub())
    swapped = {
        MUMBAI: replace(old.peers[MUMBAI], allowed_ips=old.peers[PUNE].allowed_ips),
        PUNE: replace(old.peers[PUNE], allowed_ips=old.peers[MUMBAI].allowed_ips),
    }
    sets = [line for line in undo(guarded(hub(), replace(old, peers=swapped))) if f"{PEERS}/set" in line]
    assert len(sets) == 4
    assert all('allowed-address="198.1' in line for line in sets[:2])
    assert 'allowed-address="10.100.0.2/32,192.168.20.0/24"' in "".join(sets[2:])


def test_a_preshared_key_that_was_absent_is_cleared_again() -> None:
    old = wg0(hub())
    wanted = replace(old, peers={**old.peers, PUNE: replace(old.peers[PUNE], preshared_key=PSK)})
    assert any('preshared-key=""' in line for line in undo(guarded(hub(), wanted)))


def test_a_preshared_key_that_was_set_stays_as_written_with_its_mark_and_arming_says_so() -> None:
    old = wg0(hub())
    peer = replace(old.peers[MUMBAI], preshared_key=PSK, mark=Mark("acme", "mumbai", 1), persistent_keepalive=25)
    script = guarded(hub(), replace(old, peers={**old.peers, MUMBAI: peer}))
    assert "would leave the preshared key of mumbai" in script.guarded[0][0].summary
    (line,) = [line for line in undo(script) if PEERS in line]
    assert 'public-key="xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="] persistent-keepalive=0}' in line


def test_a_new_private_key_is_refused_because_the_router_could_not_undo_it() -> None:
    seen = observe(hub())
    change = ActivateKey(interface="wg0", key=NEW)
    plan = RouterPlan(TARGET, "plan-1", ((change,),), dict(seen.stored), {"wg0": PSK}, seen.stored, 120, arm=True)
    with pytest.raises(Unsupported, match="cannot be undone"):
        DRIVER.render(plan, seen)


# ---- size
def many(count: int) -> Interface:
    old = wg0(hub())
    peers = dict(old.peers)
    routes = dict(old.routes)
    for number in range(count):
        key = public_key_of(Secret(f"{number:04}" + "A" * 38 + "E="))
        lan = ipaddress.ip_network(f"172.{16 + number // 256}.{number % 256}.0/24")
        mark = Mark("acme", f"branch-{number:04}")
        peers[key] = Peer(key, frozenset({lan}), mark=mark)
        routes[lan] = Route(lan, mark)
    return replace(old, peers=peers, routes=routes)


def test_a_hub_that_gains_500_branches_is_undone_by_one_entry() -> None:
    text = undo(guarded(hub(), many(500)))
    assert sum(map(len, text)) < 25_000
    assert max(map(len, text)) < 1_100


def test_an_undo_too_long_for_an_entry_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(Unsupported, match=r"hq: the undo of 2000 changes would be a script of \d+ characters") as caught:
        guarded(hub(), many(1000))
    assert "nothing was written" in caught.value.hint


# ---- what goes is disabled
def test_a_peer_that_goes_is_disabled_and_releases_its_allowed_ips() -> None:
    script = guarded(hub(), without(hub(), MUMBAI))
    (line,) = lines(script)[2:]
    assert line.startswith(f"{PEERS}/set .id=*1 disabled=yes allowed-address=198.1")


def test_peers_that_go_are_parked_in_different_places() -> None:
    script = guarded(hub(), replace(wg0(hub()), peers={}))
    assert len({line.split("allowed-address=")[1] for line in lines(script)[2:]}) == 2


def test_everything_else_that_goes_is_disabled_too() -> None:
    wanted = replace(wg0(hub()), addresses=frozenset(), routes={}, openings={})
    assert lines(guarded(hub(), wanted))[2:] == [
        "/ip/address/set .id=*18 disabled=yes",
        "/ip/route/set .id=*4 disabled=yes",
        f"{FILTER}/set .id=*A disabled=yes",
    ]


def test_an_address_without_a_mark_gets_one_when_it_is_disabled_so_that_cleanup_finds_it() -> None:
    menus = hub()
    del menus["/ip/address"][2]["comment"]
    script = guarded(menus, replace(wg0(menus), addresses=frozenset()))
    assert lines(script)[2:] == ["/ip/address/set .id=*18 disabled=yes comment=fleet:acme:hq"]
    assert any('/ip/address/set [find where address="10.100.0.1/20"' in line and 'comment=""' in line for line in undo(script))


def test_an_interface_that_goes_is_disabled_with_what_is_inside_it() -> None:
    seen = observe(hub())
    script = guarded(hub())
    assert lines(script)[2:] == [
        "/ip/address/set .id=*18 disabled=yes",
        "/ip/route/set .id=*4 disabled=yes",
        f"{FILTER}/set .id=*A disabled=yes",
        "/interface/wireguard/set .id=*55 disabled=yes",
    ]
    assert ':do {/interface/wireguard/enable [find where name="wg0"]} on-error={}' in undo(script)
    assert seen.stored["wg0"].openings


# ---- rules
def test_a_rule_made_under_a_guard_says_by_which_run() -> None:
    wanted = replace(wg0(hub()), openings={**wg0(hub()).openings, "management/8729": MANAGEMENT})
    added = [line for line in lines(guarded(hub(), wanted)) if line.startswith(f"{FILTER}/add")]
    assert len(added) == 2
    assert all('comment="fleet:acme:hq wg0 management/8729 run:plan-1"' in line for line in added)


def test_rules_are_neither_moved_nor_enabled_under_a_guard_but_made_anew() -> None:
    menus = hub()
    menus[FILTER].insert(0, {".id": "*F0", "chain": "input", "action": "drop", "comment": "by hand"})
    seen = wg0(menus)
    assert "listen-port/51820" not in seen.openings
    script = guarded(menus, replace(seen, openings={"listen-port/51820": ListenPort(51820)}))
    assert [line.split(" ")[0] for line in lines(script)[2:]] == [f"{FILTER}/add", f"{FILTER}/set"]


def test_a_run_that_is_armed_twice_uses_another_tag() -> None:
    menus = hub()
    menus[FILTER].append(
        {".id": "*F1", "chain": "input", "comment": "fleet:acme:hq wg0 listen-port/9 run:plan-1", "action": "accept"}
    )
    assert "run:plan-1.2" in guarded(menus, with_nagpur(menus)).guarded[0][0].requests[0].native()


def test_later_passes_use_the_tag_that_was_armed() -> None:
    menus = armed(hub(), comment="fleet:acme:hq guard run:plan-1.2")
    wanted = replace(wg0(menus), openings={**wg0(menus).openings, "management/8729": MANAGEMENT})
    assert "management/8729 run:plan-1.2" in "".join(lines(guarded(menus, wanted, arm=False)))


# ---- what the read says
def test_an_armed_guard_is_seen_with_its_plan() -> None:
    assert observe(armed(hub())).guard == GuardSeen("plan-1", None)


def test_when_it_fires_is_told_by_the_routers_own_clock() -> None:
    menus = armed(hub())
    menus["/system/clock"][0] |= {"date": "2026-11-24", "time": "10:00:00", "gmt-offset": "+05:30"}
    menus[SCHEDULER][-2]["next-run"] = "2026-11-24 10:01:23"
    assert observe(menus).guard == GuardSeen("plan-1", 83)


@pytest.mark.parametrize("words", [{"name": "nightly"}, {"comment": "by hand"}, {"comment": "fleet:other:hq guard run:plan-1"}])
def test_other_entries_are_no_guard_of_ours(words: dict[str, str]) -> None:
    menus = armed(hub())
    for row in menus[SCHEDULER][-2:]:
        row |= words
    assert observe(menus).guard is None


def test_a_guard_is_not_taken_for_the_entry_that_resolves_names() -> None:
    assert not wg0(armed(hub())).reresolve


def test_without_scheduler_there_is_no_guard_and_the_operator_reads_why() -> None:
    menus = hub()
    menus["/system/device-mode"] = [{"mode": "home", "scheduler": "false"}]
    seen = observe(menus)
    assert seen.limits.guard == "none"
    assert "cannot undo a change by itself" in seen.notes[0]


def test_a_hidden_preshared_key_survives_the_guard() -> None:
    old = wg0(hub()).peers[MUMBAI]
    assert old.preshared_key is HIDDEN
    assert "preshared_key" not in SetPeer(interface="wg0", old=old, wanted=replace(old, disabled=True)).differing


# ---- confirm and trip
def test_confirm_removes_both_entries_by_the_ids_of_the_read() -> None:
    assert [each.native() for each in settled(armed(hub()), within=120).confirm] == [f"{SCHEDULER}/remove .id=*61,*62"]


def test_confirm_of_a_guard_that_is_gone_names_it_so_that_the_router_refuses() -> None:
    assert [each.native() for each in settled(hub(), within=120).confirm] == [
        f"{SCHEDULER}/remove .id=fleet-guard-acme-plan-1,fleet-guard-acme-plan-1-boot"
    ]


def test_trip_runs_the_script_that_is_armed() -> None:
    assert [each.native() for each in settled(armed(hub()), within=1).trip] == ['/execute script=":log info undo"']


def test_trip_lets_the_entry_fire_at_once_where_its_script_is_not_shown() -> None:
    menus = armed(hub())
    for row in menus[SCHEDULER][-2:]:
        del row["on-event"]
    assert [each.native() for each in settled(menus, within=1).trip] == [f"{SCHEDULER}/set .id=*61 interval=1s"]


def test_a_guard_of_another_run_is_not_tripped_for_this_one() -> None:
    assert "*61" not in settled(armed(hub(), "plan-0"), within=1).trip[0].native()


# ---- cleanup
def left(menus: Menus) -> Menus:
    """A route, a rule and an address that a guarded change disabled."""
    menus["/ip/route"][1]["disabled"] = "true"
    menus["/ip/address"][2]["disabled"] = "true"
    next(row for row in menus[FILTER] if "fleet:" in row.get("comment", ""))["disabled"] = "true"
    return menus


def test_disabled_objects_of_ours_are_leftovers() -> None:
    assert observe(left(hub())).leftovers == (
        "address 10.100.0.1/20 on wg0 is disabled and still there",
        "route 192.168.20.0/24 on wg0 is disabled and still there",
        "rule listen-port/51820 on wg0 is disabled and still there",
    )


def test_a_disabled_object_of_somebody_else_is_no_leftover() -> None:
    menus = left(hub())
    menus["/ip/route"][1]["comment"] = "by hand"
    assert not any("route" in each for each in observe(menus).leftovers)


def test_cleanup_deletes_leftovers() -> None:
    script = settled(left(hub()), within=0)
    assert [request.native() for step in script.cleanup[0] for request in step.requests] == [
        "/ip/address/remove .id=*18",
        "/ip/route/remove .id=*4",
        f"{FILTER}/remove .id=*A",
    ]


def test_cleanup_spares_what_the_plan_itself_enables() -> None:
    menus = left(hub())
    wanted = replace(wg0(menus), routes=wg0(hub()).routes)
    cleanup = guarded(menus, wanted, within=0).cleanup
    assert not any("/ip/route" in request.native() for step in cleanup[0] for request in step.requests)


def test_cleanup_leaves_what_somebody_else_manages() -> None:
    menus = left(hub())
    seen = observe(menus)
    desired = {"wg0": replace(seen.stored["wg0"], unmanaged=frozenset({"routes", "listen_port"}))}
    script = DRIVER.render(RouterPlan(TARGET, "plan-1", (), desired), seen)
    assert [request.native() for step in script.cleanup[0] for request in step.requests] == ["/ip/address/remove .id=*18"]


def test_a_peer_disabled_for_cleanup_is_deleted_by_it() -> None:
    menus = hub()
    menus[PEERS][0]["disabled"] = "true"
    assert lines(guarded(menus, without(menus, MUMBAI), within=0)) == [f"{PEERS}/remove .id=*1"]
