"""The undo as the simulated router runs it: after any part of a change everything is as it was, foreign rows included."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from mikrotik_guarded import INTERFACE, OVERLAY, ROUTER, WINDOW, GuardedRouter, guarded_router, transitions, writes

from fleet import GuardSeen, Interface, KeyOf, Rejected, Request, Route, engine
from fleet.model import Configuration
from fleet.testing.cases import CASES, Case, State, peer

BY_NAME = {case.name: case for case in CASES}
KEY_IN_PLACE = {"preshared key set and cleared", "preshared key arrives with a new epoch"}
"""A preshared key that changes on a peer that stays: the one thing the undo leaves, and the core never plans."""

EXACT = [case for case in CASES if case.name not in KEY_IN_PLACE]
EVERYTHING = BY_NAME["everything goes at once"]


def ready(router: GuardedRouter, state: State = State()) -> None:
    """In this state, with foreign objects of every kind."""
    router.converge(state)
    router.simulated.plant(INTERFACE)


def some(count: int) -> list[int]:
    """Every number of requests up to this, of many the first and last ones."""
    return [number for number in range(1, count + 1) if number <= 10 or number > count - 3]


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_after_every_prefix_of_the_writes_everything_is_as_before(case: Case) -> None:
    with guarded_router(firewall="hardened") as router:
        ready(router)
        for state in transitions(case):
            before, wanted = router.held(), router.wanted(state)
            for count in some(len(writes(router.script(wanted)))):
                router.send(writes(router.script(wanted))[:count])
                router.pass_time()
                assert router.held() == before, f"after {count} requests"
            router.converge(state)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_confirmed_the_router_is_as_wanted_and_nothing_is_left(case: Case) -> None:
    with guarded_router() as router:
        ready(router)
        foreign = router.simulated.foreign()
        for state in transitions(case):
            wanted = router.wanted(state)
            router.write(router.script(wanted), wanted)
            router.confirm(wanted)
            router.pass_time(10 * WINDOW)
            assert router.differences(state) == ()
            assert (router.observe().leftovers, router.guards()) == ((), [])
            assert router.simulated.foreign() == foreign


@pytest.mark.parametrize("version", ["7.1.5", "7.15.3", "7.21.4", "7.24"])
@pytest.mark.parametrize("there", [True, False])
def test_every_release_undoes_a_whole_change(version: str, there: bool) -> None:
    with guarded_router(version, firewall="hardened") as router:
        first, second = EVERYTHING.states if there else reversed(EVERYTHING.states)
        ready(router, first)
        before, wanted = router.held(), router.wanted(second)
        router.write(router.script(wanted), wanted)
        assert router.held() != before
        router.pass_time()
        assert router.held() == before


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("there", [True, False])
def test_any_part_of_a_batch_may_have_landed(seed: int, there: bool) -> None:
    chance = random.Random(seed)
    with guarded_router() as router:
        first, second = EVERYTHING.states if there else reversed(EVERYTHING.states)
        ready(router, first)
        before, script = router.held(), router.script(router.wanted(second))
        cut = chance.randrange(1, len(script.guarded))
        batch = [request for step in script.guarded[cut] for request in step.requests]
        landed = [request for step in sum(script.guarded[:cut], ()) for request in step.requests]
        router.send(landed + chance.sample(batch, chance.randrange(len(batch) + 1)))
        router.pass_time()
        assert router.held() == before


def test_rules_keep_their_order_when_one_that_stood_too_low_is_replaced() -> None:
    with guarded_router() as router:
        ready(router, EVERYTHING.states[0])
        first = next(row[".id"] for row in router.simulator.rows("/ip/firewall/filter") if row.get("dynamic") != "true")
        router.simulator.insert("/ip/firewall/filter", before=first, chain="input", action="drop", comment="by hand")
        before, wanted = router.held(), router.wanted(EVERYTHING.states[0])
        router.write(router.script(wanted), wanted)
        assert router.differences(EVERYTHING.states[0]) == ()
        router.pass_time()
        assert router.held() == before


def test_what_somebody_else_does_in_the_window_stays() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        wanted = router.wanted(EVERYTHING.states[1])
        router.write(router.script(wanted), wanted)
        router.simulated.plant(INTERFACE)
        foreign = router.simulated.foreign()
        router.pass_time()
        assert router.simulated.foreign() == foreign
        assert router.differences(EVERYTHING.states[0]) == ()


def test_peers_that_were_disabled_or_commented_by_a_person_are_so_again() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        for row in router.simulator.rows("/interface/wireguard/peers"):
            router.simulator.change(
                "/interface/wireguard/peers", row[".id"], disabled="yes", comment=f'Raj\'s "$x" \\ {row["comment"]}'
            )
        before, wanted = router.held(), router.wanted(EVERYTHING.states[0])
        router.write(router.script(wanted), wanted)
        assert router.held() != before
        router.pass_time()
        assert router.held() == before


@pytest.mark.parametrize("menu", ["/ip/address", "/ip/route", "/ip/firewall/filter", "/system/scheduler"])
def test_objects_of_ours_that_were_disabled_are_so_again(menu: str) -> None:
    state = replace(EVERYTHING.states[0], reresolve=True)
    with guarded_router() as router:
        router.converge(state)
        for row in router.simulator.rows(menu):
            if "fleet:" in row.get("comment", ""):
                router.simulator.change(menu, row[".id"], disabled="yes")
        before, wanted = router.held(), router.wanted(state)
        router.write(router.script(wanted), wanted)
        assert router.differences(state) == ()
        router.pass_time()
        assert router.held() == before


def test_an_entry_of_ours_that_a_person_rewrote_is_rewritten_again() -> None:
    state = replace(EVERYTHING.states[0], reresolve=True)
    with guarded_router() as router:
        router.converge(state)
        (entry,) = [row for row in router.simulator.rows("/system/scheduler") if "reresolve" in row["name"]]
        router.simulator.change("/system/scheduler", entry[".id"], on_event=':log info "a\\$b"\n:put 1', interval="1d")
        before, wanted = router.held(), router.wanted(state)
        router.write(router.script(wanted), wanted)
        router.pass_time()
        assert router.held() == before


def test_a_preshared_key_in_place_is_the_one_thing_left_and_is_written_again_by_the_next_sync() -> None:
    case = BY_NAME["preshared key arrives with a new epoch"]
    with guarded_router() as router:
        router.converge(case.states[0])
        wanted = router.wanted(case.states[1])
        router.write(router.script(wanted), wanted)
        router.pass_time()
        assert router.differences(case.states[0])  # the mark says that the key is the new one
        router.converge(case.states[0])
        assert router.differences(case.states[0]) == ()


# ---- interfaces
def other_interface(router: GuardedRouter, port: int) -> Configuration:
    """Ours is replaced by `wg8`."""
    return {
        "wg8": replace(router.wanted(EVERYTHING.states[0])[INTERFACE], name="wg8", public_key=KeyOf(ROUTER), listen_port=port)
    }


def test_an_interface_that_takes_over_port_and_address_goes_and_the_old_one_is_back() -> None:
    with guarded_router() as router:
        ready(router, EVERYTHING.states[0])
        for row in router.simulator.rows("/interface/wireguard/peers"):
            if "fleet:" not in row.get("comment", ""):
                router.simulator.delete("/interface/wireguard/peers", row[".id"])
        before = router.held()
        wanted = other_interface(router, EVERYTHING.states[0].listen_port)
        for count in some(len(writes(router.script(wanted)))):
            router.tried(writes(router.script(wanted))[:count])
            router.pass_time()
            assert router.held() == before, f"after {count} requests"


def test_an_interface_that_went_is_deleted_with_everything_inside_it_after_confirm() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        router.write(router.script({}), {})
        assert router.observe().stored[INTERFACE].disabled
        router.confirm({})
        assert f"fleet:{OVERLAY}" not in str(router.held())


# ---- confirm, trip, time
def armed(router: GuardedRouter) -> Configuration:
    """A change in the window; what was wanted."""
    router.converge(EVERYTHING.states[0])
    wanted = router.wanted(EVERYTHING.states[1])
    router.write(router.script(wanted), wanted)
    return wanted


def test_the_guard_is_seen_with_the_seconds_that_are_left() -> None:
    with guarded_router() as router:
        armed(router)
        router.pass_time(30)
        seen = router.observe().guard
        assert isinstance(seen, GuardSeen)
        assert seen.plan_id == "run-1"
        assert seen.fires_in == pytest.approx(WINDOW - 30, abs=3)


def test_it_fires_by_itself_at_the_deadline_and_once() -> None:
    with guarded_router() as router:
        armed(router)
        router.pass_time(WINDOW - 5)
        assert len(router.guards()) == 2
        router.pass_time(10)
        assert router.guards() == []
        before = router.held()
        router.pass_time(10 * WINDOW)
        assert router.held() == before


def test_a_confirm_that_comes_too_late_is_refused() -> None:
    with guarded_router() as router:
        wanted = armed(router)
        confirm = router.script(wanted, arm=False).confirm
        router.pass_time()
        with pytest.raises(Rejected):
            router.send(list(confirm))


def test_a_confirm_rendered_after_the_undo_ran_is_refused_too() -> None:
    with guarded_router() as router:
        wanted = armed(router)
        router.pass_time()
        with pytest.raises(Rejected):
            router.send(list(router.script(wanted, arm=False).confirm))


def test_tripped_it_undoes_at_once() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        before = router.held()
        wanted = router.wanted(EVERYTHING.states[1])
        router.write(router.script(wanted), wanted)
        router.send(list(router.script(wanted, arm=False).trip))
        assert router.held() == before
        assert router.guards() == []


def test_another_run_finds_a_left_over_guard_and_can_trip_it() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        before = router.held()
        wanted = router.wanted(EVERYTHING.states[1])
        router.send(writes(router.script(wanted, "dead-run"))[:5])
        seen = router.observe().guard
        assert isinstance(seen, GuardSeen)
        router.send(list(router.script({}, seen.plan_id, arm=False, within=1).trip))
        assert router.held() == before


def test_a_reboot_in_the_window_undoes_too() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        before = router.held()
        wanted = router.wanted(EVERYTHING.states[1])
        router.write(router.script(wanted), wanted)
        router.simulator.reboot()
        router.pass_time()
        assert router.held() == before


def test_the_entry_for_a_boot_undoes_without_the_other_one() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        before = router.held()
        wanted = router.wanted(EVERYTHING.states[1])
        router.write(router.script(wanted), wanted)
        router.simulator.delete("/system/scheduler", router.guards()[0])
        router.simulator.reboot()
        router.pass_time(10)
        assert router.held() == before


# ---- faults
def test_where_arming_is_refused_nothing_was_written() -> None:
    with guarded_router() as router:
        router.converge(EVERYTHING.states[0])
        before = router.held()
        script = router.script(router.wanted(EVERYTHING.states[1]))
        router.simulator.fault("/system/scheduler/add", "trap", message="not enough permissions (9)", times=2)
        with pytest.raises(Rejected, match="not enough permissions") as caught:
            engine.apply(router.router, script, router.journal)
        assert len(caught.value.summary) < 400
        assert router.held() == before


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "reset_mid_reply", "trap"])
def test_a_connection_lost_at_any_request_leaves_a_router_that_undoes_itself(kind: str) -> None:
    with guarded_router() as router:
        ready(router, EVERYTHING.states[0])
        before, wanted = router.held(), router.wanted(EVERYTHING.states[1])
        for number in range(3, len(writes(router.script(wanted))) + 1):
            requests: list[Request] = writes(router.script(wanted))
            router.simulator.fault(number, kind)  # type: ignore[arg-type]
            router.tried(requests)
            router.pass_time()
            assert router.held() == before, f"{kind} at request {number}"


def test_a_lost_cleanup_is_repeated_by_the_next_one() -> None:
    with guarded_router() as router:
        wanted = armed(router)
        router.send(list(router.script(wanted, arm=False).confirm))
        assert router.observe().leftovers
        script = router.script(wanted, "run-2", within=0)
        router.send([request for batch in (*script.guarded, *script.cleanup) for step in batch for request in step.requests])
        assert router.observe().leftovers == ()
        assert router.differences(EVERYTHING.states[1]) == ()


# ---- scale
def test_two_hundred_new_branches_on_a_hub_are_undone() -> None:
    with guarded_router() as router:
        ready(router, EVERYTHING.states[0])
        before = router.held()
        wanted = router.wanted(EVERYTHING.states[0])
        hub = wanted[INTERFACE]
        sites = [peer(f"site-{number:03}", f"172.20.{number}.0/24") for number in range(200)]
        routes = {it: Route(it, site.mark) for site in sites for it in site.allowed_ips}
        more: Interface = replace(
            hub, peers={**hub.peers, **{site.public_key: site for site in sites}}, routes={**hub.routes, **routes}
        )
        router.router.link.send_all(writes(router.script({INTERFACE: more}))[:2])
        router.router.link.send_all(writes(router.script({INTERFACE: more}, arm=False)))
        assert len(router.observe().stored[INTERFACE].peers) > 200
        router.pass_time()
        assert router.held() == before
