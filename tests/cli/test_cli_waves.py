"""A bad change stops at its canary, the others never saw it, and `--resume` goes on without the router that failed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from simulated import Result, SimulatedFleet

from fleet.proof import Proof

SPOKES = tuple(f"s{number}" for number in range(1, 9))
REST = SPOKES[1:]
WRITES = ("/add", "/set", "/remove", "/enable", "/disable", "/move", "/unset")


@pytest.fixture
def wide(tmp_path, monkeypatch) -> Iterator[SimulatedFleet]:
    """A hub and eight spokes of one kind in sync, and a change that every router has before it."""
    monkeypatch.setattr("fleet.sync.Proof", partial(Proof, seconds=0.1))
    net = SimulatedFleet(tmp_path / "noc", lan_supernets=["192.168.0.0/16"])
    net.add("hq", 1, hub=True)
    for number, name in enumerate(SPOKES, 20):
        net.add(name, number)
    assert net.sync("--batch", "100%").code == 0
    net.ether.clock.advance(60)  # a handshake of the last second could be taken for a new one
    net.reset_counters()
    net.overlay["mtu"] = 1400
    yield net
    net.close()


def refuses(net: SimulatedFleet, *names: str) -> None:
    """These routers refuse the change."""
    for name in names:
        net[name].fault("/interface/wireguard/set", "trap", times=100)


def wrong_endpoint(net: SimulatedFleet) -> None:
    """Instead: every spoke is to dial its hub where nobody answers."""
    net.overlay["mtu"] = 1420
    net.routers["hq"]["endpoint"] = "vpn.example.org:51820"


def endpoints(net: SimulatedFleet) -> set[str]:
    """Where the spokes dial their hub."""
    return {net.peers(name)["fleet:acme:hq"]["endpoint-address"] for name in SPOKES}


def mtu(net: SimulatedFleet) -> dict[str, str]:
    return {name: net.interface(name)["mtu"] for name in SPOKES}


def untouched(net: SimulatedFleet, *names: str) -> bool:
    """True if nothing was written but the writer's marker, which every hub gets."""
    written = [command for name in names for command in net[name].log if command.sentence.endswith(WRITES)]
    return all(command.sentence.startswith("/ip/firewall/address-list/") for command in written)


def begun(net: SimulatedFleet, done: Result) -> list[str]:
    """Routers in the order in which a run began to write them."""
    entries = net.run("history", done.json["run"], "--json").json["entries"]
    return list(dict.fromkeys(entry["router"] for entry in entries if entry["phase"] == "apply"))


# ---------------------------------------------------------------------------------------------------------- stopping
def test_a_change_that_the_canary_refuses_is_seen_by_no_other_spoke(wide):
    refuses(wide, "s1")
    done = wide.sync("--json")
    assert done.code == 1
    assert done.outcomes() == {"hq": "changed", "s1": "failed"} | dict.fromkeys(REST, "pending")
    assert untouched(wide, *REST)


def test_a_change_that_cuts_the_canary_off_is_rolled_back_there_and_seen_by_no_other_spoke(wide):
    wrong_endpoint(wide)
    done = wide.sync("--json")
    assert done.code == 5
    assert done.outcomes() == {"hq": "in sync", "s1": "rolled back"} | dict.fromkeys(REST, "pending")
    assert endpoints(wide) == {"vpn.example.com"}, "the canary is back as it was by itself"
    assert wide.ether.ping(wide["s1"], "192.168.20.1", "192.168.1.1")
    assert untouched(wide, *REST)


def test_who_was_not_begun_says_because_of_whom_and_how_to_go_on(wide):
    refuses(wide, "s1")
    done = wide.sync("--json")
    held = done.router("s5")
    assert held["summary"] == "not begun, because s1 did not come through the same change"
    assert f"`fleet history {done.json['run']}`" in held["hint"]
    assert held["hint"].endswith("without s1: fleet sync --resume")


def test_the_journal_says_who_stopped_a_run_and_how_many_were_not_begun(wide):
    refuses(wide, "s1")
    done = wide.sync("--json")
    entries = wide.run("history", done.json["run"], "--json").json["entries"]
    (stopped,) = [entry for entry in entries if entry["phase"] == "stopped"]
    assert stopped["text"] == "s1 did not come through; 7 not begun"


def test_what_a_hub_does_last_waits_as_well_and_is_said(wide):
    wide.routers["s8"]["enabled"] = False
    refuses(wide, "s1")
    done = wide.sync("--json")
    hub = done.router("hq")
    assert hub["outcome"] == "pending"
    assert "not finished, because s1 did not come through the same change: peer s8: remove (and 1 more)" in hub["summary"]
    assert hub["changes"][0]["text"] == "interface wg0: mtu 1420 -> 1400"
    left = wide.run("plan", "--json").router("hq")["changes"]
    assert {(change["sign"], change["reason"]) for change in left} == {("-", "intent")}


def test_spokes_are_not_begun_when_hubs_fail(wide):
    for number, name in enumerate(SPOKES[:4], 2):
        wide.routers[name] |= {"role": "hub", "endpoint": f"hub{number}.example.com:51820"}
        wide[name].public_hosts |= {f"hub{number}.example.com"}
    refuses(wide, "hq")
    done = wide.sync("--json")
    assert done.router("hq")["outcome"] == "failed"
    assert {done.router(name)["outcome"] for name in SPOKES} == {"pending"}
    assert untouched(wide, *SPOKES)


def test_the_next_ordinary_sync_begins_with_the_canary_again_and_does_all(wide):
    wide["s1"].fault("/interface/wireguard/set", "trap")
    assert wide.sync().code == 1
    assert wide.sync().code == 0
    assert mtu(wide) == dict.fromkeys(SPOKES, "1400")


def test_a_canary_that_is_off_stops_nobody(wide):
    wide["s1"].set_offline()
    done = wide.sync("--json")
    assert done.code == 6
    assert done.outcomes() == {"hq": "changed", "s1": "pending"} | dict.fromkeys(REST, "changed")


def test_two_canaries_are_written_before_the_rest_and_one_that_fails_stops_it(wide):
    refuses(wide, "s2")
    done = wide.sync("--json", "--canary", "2")
    assert done.outcomes() == {"hq": "changed", "s1": "changed", "s2": "failed"} | dict.fromkeys(SPOKES[2:], "pending")


def test_every_firmware_version_has_its_own_canary(wide):
    wide["s8"].stop()
    del wide.simulators["s8"]
    wide.add("s8", 27, version="7.20.1")
    wide.routers["s8"]["lans"] = ["192.168.27.0/24"]
    wide.run("trust", "s8", "--yes")
    assert wide.sync("--only", "s8").code in (0, 6)
    wide.overlay["mtu"] = 1380
    refuses(wide, "s8")
    done = wide.sync("--json")
    assert done.router("s1")["outcome"] == "changed"
    assert done.router("s8")["outcome"] == "failed"
    assert {done.router(name)["outcome"] for name in SPOKES[1:7]} == {"pending"}


def test_after_the_canary_the_others_follow_in_batches(wide):
    done = wide.sync("--json", "--batch", "3", "--parallel", "1")
    assert done.code == 0
    assert begun(wide, done) == ["hq", *SPOKES]


def test_more_failures_than_allowed_stop_the_next_batch(wide):
    refuses(wide, "s2", "s3")
    done = wide.sync("--json", "--batch", "2", "--max-failures", "1")
    assert done.code == 1
    assert {name for name, outcome in done.outcomes().items() if outcome == "failed"} == {"s2", "s3"}
    assert {name for name, outcome in done.outcomes().items() if outcome == "pending"} == set(SPOKES[3:])


def test_failures_within_the_budget_stop_nobody(wide):
    refuses(wide, "s2", "s3")
    done = wide.sync("--json", "--batch", "2", "--max-failures", "2")
    assert done.code == 1
    assert done.outcomes() == dict.fromkeys(("hq", "s1", *SPOKES[3:]), "changed") | dict.fromkeys(("s2", "s3"), "failed")


def test_fewer_than_five_routers_are_one_wave(synced):
    synced.overlay["mtu"] = 1400
    synced["mumbai"].fault("/interface/wireguard/set", "trap")
    done = synced.sync("--json")
    assert done.outcomes() == {"hq": "changed", "mumbai": "failed", "pune": "changed"}


# ----------------------------------------------------------------------------------------------------------- resume
def test_resume_leaves_out_the_router_that_failed_and_says_so(wide):
    refuses(wide, "s1")
    stopped = wide.sync("--json").json["run"]
    wide.reset_counters()
    done = wide.sync("--json", "--resume")
    assert done.code == 6
    assert done.outcomes() == {"hq": "in sync", "s1": "pending"} | dict.fromkeys(REST, "changed")
    assert wide["s1"].counters.writes == 0
    assert done.router("s1")["summary"] == f"left out, because it failed in run {stopped}"
    assert done.router("s1")["hint"].endswith("when the cause is gone: fleet sync s1")
    assert f"run {stopped} stopped and is gone on with, without s1" in done.json["notes"]


def test_a_router_that_failed_is_left_out_although_it_is_silent_now(wide, monkeypatch):
    monkeypatch.setattr("fleet.sync.FIRST_PATIENCE", 0.0)
    refuses(wide, "s1")
    assert wide.sync().code == 1
    wide["s1"].set_offline()
    assert wide.sync("--json", "--resume").router("s1")["summary"].startswith("left out, because it failed")


def test_resume_tells_a_router_that_was_rolled_back_from_one_that_failed(wide):
    wrong_endpoint(wide)
    stopped = wide.sync("--json").json["run"]
    done = wide.sync("--json", "--resume")
    assert done.code == 5
    assert done.router("s1")["summary"] == f"left out, because it was rolled back in run {stopped}"
    assert done.router("s2")["outcome"] == "rolled back"


def test_a_kind_that_no_router_has_proven_has_another_canary_in_the_resumed_run(wide):
    refuses(wide, "s1", "s2")
    assert wide.sync().code == 1
    done = wide.sync("--json", "--resume")
    assert done.code == 1
    assert done.router("s2")["outcome"] == "failed"
    assert {done.router(name)["outcome"] for name in ("s1", *SPOKES[2:])} == {"pending"}


def test_a_run_resumed_twice_leaves_out_all_that_failed_in_it(wide):
    refuses(wide, "s1", "s2")
    assert wide.sync().code == 1
    assert wide.sync("--resume").code == 1
    done = wide.sync("--json", "--resume")
    assert done.code == 6
    assert done.outcomes() == {"hq": "in sync", "s1": "pending", "s2": "pending"} | dict.fromkeys(SPOKES[2:], "changed")


def test_a_kind_that_is_proven_has_no_canary_in_the_resumed_run(wide):
    refuses(wide, "s2", "s3")
    assert wide.sync("--batch", "2", "--max-failures", "1").code == 1
    refuses(wide, "s4")
    done = wide.sync("--json", "--resume", "--batch", "2", "--max-failures", "1")
    assert done.router("s4")["outcome"] == "failed"
    assert {done.router(name)["outcome"] for name in SPOKES[4:]} == {"changed"}


def test_a_router_that_came_through_since_is_not_left_out(wide):
    wide["s1"].fault("/interface/wireguard/set", "trap")
    assert wide.sync().code == 1
    assert wide.sync("s1").code == 0
    done = wide.sync("--json", "--resume")
    assert done.code == 0
    assert done.outcomes() == {"hq": "in sync", "s1": "in sync"} | dict.fromkeys(REST, "changed")


def test_resume_with_nothing_stopped_is_an_ordinary_sync_and_says_so(wide):
    refuses(wide, "s1")
    done = wide.sync("--json", "--resume")
    assert done.outcomes() == {"hq": "changed", "s1": "failed"} | dict.fromkeys(REST, "pending")
    assert any("no sync stopped" in note for note in done.json["notes"])


def test_a_run_of_which_nothing_is_left_is_not_resumed_again(wide):
    wide["s1"].fault("/interface/wireguard/set", "trap")
    assert wide.sync().code == 1
    assert wide.sync("--resume").code == 6
    done = wide.sync("--json", "--resume")
    assert done.code == 0
    assert done.router("s1")["outcome"] == "changed"


# ----------------------------------------------------------------------------------------------------- blast radius
def test_removing_more_than_thirty_percent_of_a_hubs_peers_is_refused_with_the_numbers_and_the_flag(wide):
    for name in SPOKES[:3]:
        wide.routers[name]["enabled"] = False
    done = wide.sync()
    assert done.code == 4
    assert "hq: 3 of 8 peers of wg0 would be removed (37 %, limit 30 %)" in done.err
    assert "--force" in done.err
    assert untouched(wide, "hq", *SPOKES)


def test_routers_that_leave_are_counted_against_the_fleet_as_well(wide):
    for name in SPOKES[:3]:
        wide.routers[name]["enabled"] = False
    assert "3 of 9 routers would leave the fleet (33 %, limit 10 %): s1, s2, s3" in wide.sync().err


def test_two_routers_that_leave_are_no_blast(wide):
    for name in SPOKES[:2]:
        wide.routers[name]["enabled"] = False
    assert wide.sync().code == 0
    assert set(wide.peers("hq")) == {f"fleet:acme:{name}" for name in SPOKES[2:]}


def test_force_removes_as_widely_as_it_says(wide):
    for name in SPOKES[:3]:
        wide.routers[name]["enabled"] = False
    assert wide.sync("--force").code == 0
    assert set(wide.peers("hq")) == {f"fleet:acme:{name}" for name in SPOKES[3:]}


def test_what_a_refusal_of_the_blast_radius_stopped_is_not_resumed(wide):
    for name in SPOKES[:3]:
        wide.routers[name]["enabled"] = False
    assert wide.sync().code == 4
    for name in SPOKES[:3]:
        wide.routers[name]["enabled"] = True
    done = wide.sync("--json", "--resume")
    assert done.code == 0
    assert any("no sync stopped" in note for note in done.json["notes"])
