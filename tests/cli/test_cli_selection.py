"""Which routers a command is about, where they are reached, and how many at once."""

from __future__ import annotations

import threading

import pytest


def drift(net) -> None:
    """Every spoke's peer on the hub is gone, and the hub's on every spoke has another keepalive."""
    for name in ("mumbai", "pune"):
        net["hq"].delete("/interface/wireguard/peers", net.peers("hq")[f"fleet:acme:{name}"][".id"])
        net[name].change("/interface/wireguard/peers", net.peers(name)["fleet:acme:hq"][".id"], persistent_keepalive="7s")


def test_a_selection_includes_the_hub_says_so_and_touches_nothing_unrelated_there(synced):
    drift(synced)
    done = synced.sync("pune", "--json")
    assert done.code == 0
    assert done.outcomes() == {"hq": "changed", "pune": "changed"}
    assert done.router("hq")["included_for"] == "pune"
    assert done.router("pune")["included_for"] == ""
    assert set(synced.peers("hq")) == {"fleet:acme:pune"}
    assert synced["mumbai"].counters.connections == 0


def test_the_text_of_a_selection_says_why_the_hub_is_there(synced):
    drift(synced)
    assert "included for pune" in synced.run("plan", "pune").block("hq")[0]


def test_only_writes_to_the_named_router_and_to_no_other(synced):
    drift(synced)
    synced.reset_counters()
    done = synced.sync("pune", "--only", "--json")
    assert list(done.outcomes()) == ["pune"]
    assert synced.peers("pune")["fleet:acme:hq"]["persistent-keepalive"] == "25s"
    assert synced["hq"].counters.writes == 0
    assert synced.peers("hq") == {}


def test_a_selection_is_not_taken_for_the_whole_when_labels_are_made(synced):
    drift(synced)
    assert synced.sync("pune").code == 0
    seen = synced.run("plan", "--json")
    assert {change["reason"] for change in seen.router("hq")["changes"]} == {"drift"}


def test_a_selected_new_branch_comes_up_with_its_hub_alone(synced):
    synced.add("surat", 60)
    synced.add("nagpur", 70)
    assert synced.sync("surat").code == 0
    assert synced.ether.ping(synced["surat"], "192.168.60.1", "192.168.1.1")
    assert synced["nagpur"].counters.connections == 0
    assert synced.sync().code == 0


def test_only_a_new_branch_gets_its_interface_and_waits_for_the_hub(synced):
    synced.add("surat", 60)
    synced["hq"].counters.reset()
    done = synced.sync("surat", "--only", "--json")
    assert done.code == 6
    assert done.outcomes() == {"surat": "waiting"}
    assert synced["hq"].counters.writes == 0
    assert synced.sync().code == 0


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        ("mumbai", ["hq", "mumbai"]),
        ("mumbai,pune", ["hq", "mumbai", "pune"]),
        ("!pune", ["hq", "mumbai", "pune"]),
        ("p*", ["hq", "pune"]),
        ("group:west", ["hq", "mumbai"]),
        ("group:west,!mumbai,pune", ["hq", "pune"]),
    ],
)
def test_limit_selects_by_name_group_pattern_and_exception(synced, limit, names):
    synced.routers["mumbai"]["groups"] = ["west"]
    synced.groups = {"west": {}}
    assert list(synced.run("plan", "--limit", limit, "--json").outcomes()) == names


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("plan", "mumbay"), "did you mean mumbai?"),
        (("plan", "--limit", "group:west"), "`fleet check --table` lists them"),
        (("plan", "--limit", "!hq,!mumbai,!pune"), "lists names and groups"),
        (("plan", "pune", "--limit", "pune"), "use one of the two"),
        (("sync", "--yes", "nobody"), "lists them"),
        (("show", "nobody"), "check --table"),
        (("render", "nobody"), "check --table"),
        (("trust", "nobody"), "check --table"),
        (("plan", "--at", "pune"), "--at mumbai="),
        (("plan", "--at", "nobody=127.0.0.1"), "check --table"),
        (("plan", "--at", "pune=127.0.0.1:port"), "HOST:PORT"),
    ],
)
def test_a_selection_of_nothing_is_a_usage_error_with_a_way_on(synced, arguments, hint):
    synced.reset_counters()
    done = synced.run(*arguments)
    if arguments[-1].endswith(":port"):  # an address is read when the router is reached
        assert done.code == 1
        assert hint in done.out
        return
    assert done.code == 3
    assert hint in done.err
    assert done.out == ""
    assert {simulator.counters.connections for simulator in synced.simulators.values()} == {0}


def test_at_reaches_a_router_there_in_this_run_only(synced):
    port = synced.routers["pune"]["port"]
    synced.routers["pune"] |= {"host": "192.0.2.9", "port": 1}
    assert synced.run("plan", "--at", f"pune=127.0.0.1:{port}", "--json").router("pune")["outcome"] == "in sync"
    assert synced.run("plan", "--json").router("pune")["outcome"] != "in sync"


def test_at_ignores_via(synced):
    port = synced.routers["pune"]["port"]
    synced.routers["bastion"] = {"driver": "wg-quick", "host": "192.0.2.9", "lans": []}
    synced.routers["pune"]["via"] = "bastion"
    done = synced.run("plan", "pune", "--only", "--at", f"pune=127.0.0.1:{port}", "--json")
    assert done.router("pune")["outcome"] == "changes", "it was read; its management is to be opened to the jump"


def test_via_a_jump_that_cannot_be_reached_is_pending_and_names_the_jump(synced):
    synced.jumps = {"bastion": {"host": "127.0.0.1", "port": 1, "username": "noc"}}
    synced.routers["pune"]["via"] = "bastion"
    done = synced.run("plan", "--json")
    assert done.router("pune")["outcome"] == "pending"
    assert "jump bastion is unreachable" in done.router("pune")["summary"]
    assert done.outcomes()["hq"] == "in sync"


@pytest.mark.parametrize("parallel", [1, 3])
def test_parallel_bounds_how_many_routers_are_worked_on_at_once(blank, monkeypatch, parallel):
    from fleet.drivers.mikrotik import MikrotikDriver

    genuine, lock, barrier = MikrotikDriver.observe, threading.Lock(), threading.Barrier(parallel, timeout=10)
    now, most = 0, 0

    def observe(self, link):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait()
        try:
            return genuine(self, link)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(MikrotikDriver, "observe", observe)
    assert blank.run("plan", "--parallel", str(parallel)).code == 2
    assert most == parallel


@pytest.mark.parametrize("parallel", ["0", "-1", "many"])
def test_a_parallel_that_is_no_number_of_routers_is_a_usage_error(blank, parallel):
    assert blank.run("plan", "--parallel", parallel).code == 3


def test_status_asks_the_hubs_alone_and_deep_everybody(synced):
    assert synced.run("status").code == 0
    assert {name: s.counters.logins for name, s in synced.simulators.items()} == {"hq": 1, "mumbai": 0, "pune": 0}
    assert synced.run("status", "--deep").code == 0
    assert {name: s.counters.logins for name, s in synced.simulators.items()} == {"hq": 2, "mumbai": 1, "pune": 1}


def test_show_reads_one_router_once(synced):
    assert synced.run("show", "pune").code == 0
    assert {name: s.counters.round_trips for name, s in synced.simulators.items()} == {"hq": 0, "mumbai": 0, "pune": 1}


@pytest.mark.parametrize(
    "option", [("--batch", "lots"), ("--batch", "300%"), ("--max-failures", "x"), ("--confirm-within", "1"), ("--canary", "0")]
)
def test_a_mistyped_option_of_a_sync_is_found_before_anybody_is_contacted(blank, option):
    done = blank.sync(*option)
    assert done.code == 3
    assert option[0] in done.err
    assert {simulator.counters.connections for simulator in blank.simulators.values()} == {0}
