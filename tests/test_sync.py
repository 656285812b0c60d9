"""A sync that is disturbed at any request: the next one converges, and nothing is there twice or left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from simulated import Result, SimulatedFleet

from fleet.testing.routeros.commands import Command
from fleet.testing.routeros.faults import Kind

MENUS = (
    "/interface/wireguard",
    "/interface/wireguard/peers",
    "/ip/address",
    "/ip/route",
    "/ip/firewall/filter",
    "/ip/firewall/nat",
    "/ip/firewall/mangle",
    "/system/scheduler",
)
WRITES = ("add", "set", "remove", "enable", "disable", "move", "unset")
KINDS: tuple[Kind, ...] = ("drop_before", "drop_after", "reset_mid_reply", "trap")


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)


def pair(folder: Path) -> SimulatedFleet:
    """The smallest fleet: a hub and a spoke."""
    net = SimulatedFleet(folder)
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    return net


def ours(net: SimulatedFleet) -> dict[str, Counter[tuple[str, str]]]:
    """What is marked as ours on each router, with how often: by menu and comment, whichever run made it."""
    return {
        name: Counter(
            (menu, row["comment"].partition(" run:")[0])
            for menu in MENUS
            for row in simulator.rows(menu)
            if "fleet:" in row.get("comment", "")
        )
        for name, simulator in net.simulators.items()
    }


def nth_write(number: int) -> object:
    """Hits the nth command that changes something."""
    seen = count(1)
    return lambda command: command.sentence.rpartition("/")[2] in WRITES and next(seen) == number


def is_write(command: Command) -> bool:
    return command.sentence.rpartition("/")[2] in WRITES


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[tuple[str, str]]]:
    """What a sync that nothing disturbed leaves."""
    net = pair(tmp_path_factory.mktemp("undisturbed"))
    try:
        assert net.sync().code == 0
        return ours(net)
    finally:
        net.close()


def disturbed(
    folder: Path, router: str, kinds: tuple[Kind, ...], *options: str, step: int = 1
) -> Iterator[tuple[int, SimulatedFleet, Result]]:
    """A first sync for every kth write of a router, disturbed there by the kinds in turn, until there is no kth."""
    for number in count(1, step):
        net = pair(folder / f"{router}-{number}")
        try:
            net[router].fault(nth_write(number), kinds[number // step % len(kinds)])  # type: ignore[arg-type]  # a test of a command
            done = net.sync("--json", *options)
            if not net[router]._faults:
                yield number, net, done
                continue
            assert number > 8, "the first sync of a router has more writes than that"
            return
        finally:
            net.close()


def converges(net: SimulatedFleet, expected: dict[str, Counter[tuple[str, str]]], number: int) -> None:
    again = net.sync()
    assert again.code == 0, f"write {number}: {again.said}"
    assert ours(net) == expected, f"write {number}"
    assert net.run("plan").code == 0, f"write {number}"
    assert net.ether.ping(net["pune"], "192.168.30.1", "192.168.1.1"), f"write {number}"


@pytest.mark.parametrize("router", ["hq", "pune"])
def test_after_a_connection_lost_or_a_refusal_at_every_second_write_the_next_sync_converges(tmp_path, undisturbed, router):
    for number, net, _ in disturbed(tmp_path, router, KINDS, "--unguarded", step=2):
        converges(net, undisturbed, number)


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [(), ("--unguarded",)], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("router", ["hq", "pune"])
def test_after_this_fault_at_any_write_the_next_sync_converges(tmp_path, undisturbed, router, kind, options):
    for number, net, _ in disturbed(tmp_path, router, (kind,), *options):
        converges(net, undisturbed, number)


@pytest.mark.parametrize(
    "sentence", ["/interface/wireguard/peers/add", "/ip/address/add", "/ip/firewall/filter/add", "/system/scheduler/add"]
)
def test_a_guarded_router_whose_connection_breaks_once_is_read_again_and_gone_on_with(tmp_path, undisturbed, sentence):
    net = pair(tmp_path)
    try:
        net["pune"].fault(sentence, "drop_after")
        assert net.sync().code == 0
        assert not net["pune"]._faults
        assert ours(net) == undisturbed
        assert net.run("plan").code == 0
    finally:
        net.close()


def test_whatever_is_refused_the_router_fails_and_the_others_are_done(tmp_path):
    for number, _, done in disturbed(tmp_path, "pune", ("trap",), "--unguarded", step=3):
        assert done.code == 1, f"write {number}"
        assert done.router("pune")["outcome"] == "failed", f"write {number}"
        assert "failure: simulated" in done.router("pune")["summary"], f"write {number}"
        assert done.router("hq")["outcome"] == "changed", f"write {number}"


def test_an_answer_that_is_lost_is_no_failure_if_nothing_else_was_due(tmp_path):
    net = pair(tmp_path)
    try:
        assert net.sync().code == 0
        net["hq"].delete("/interface/wireguard/peers", net.peers("hq")["fleet:acme:pune"][".id"])
        net["hq"].fault("/interface/wireguard/peers/add", "drop_after")
        done = net.sync("--json", "--unguarded")
        assert done.code == 0
        assert done.router("hq")["outcome"] == "changed"
        assert net["hq"].counters.writes == len(net["hq"].log) - len([c for c in net["hq"].log if not is_write(c)])
    finally:
        net.close()


def test_a_write_that_may_have_arrived_is_never_sent_twice(tmp_path):
    net = pair(tmp_path)
    try:
        assert net.sync().code == 0
        net.reset_counters()
        net["hq"].delete("/interface/wireguard/peers", net.peers("hq")["fleet:acme:pune"][".id"])
        net["hq"].fault("/interface/wireguard/peers/add", "drop_before")
        assert net.sync("--unguarded").code == 1
        written = [c.sentence for c in net["hq"].log if is_write(c)]
        assert [one for one in written if "address-list" not in one] == ["/interface/wireguard/peers/add"], "and the marker"
        assert net.sync().code == 0
    finally:
        net.close()


def test_a_read_that_breaks_off_is_read_again_in_the_same_run(tmp_path):
    net = pair(tmp_path)
    try:
        assert net.sync().code == 0
        net["hq"].fault(5, "reset_mid_reply")
        assert net.run("plan").code == 0
        net["pune"].fault(1, "drop_before")
        assert net.sync().code == 0
    finally:
        net.close()


def test_a_router_that_fails_after_its_first_contact_keeps_the_key_that_was_made(tmp_path):
    net = pair(tmp_path)
    try:
        net["pune"].fault("/interface/wireguard/peers/add", "trap")
        assert net.sync().code == 1
        key = net.interface("pune")["public-key"]
        assert net.sync().code == 0
        assert net.interface("pune")["public-key"] == key
        assert net.peers("hq")["fleet:acme:pune"]["public-key"] == key
    finally:
        net.close()


def test_a_hub_key_is_in_escrow_before_it_is_sent(tmp_path):
    net = pair(tmp_path)
    try:
        net["hq"].fault("/interface/wireguard/add", "drop_after")
        net.sync()
        key = net.interface("hq")["private-key"]
        net["hq"].delete("/interface/wireguard", "wg0")
        assert net.sync().code == 0
        assert net.interface("hq")["private-key"] == key
    finally:
        net.close()


def test_a_key_sent_and_never_arrived_is_made_anew_and_the_pair_works(tmp_path):
    net = pair(tmp_path)
    try:
        net["hq"].fault("/interface/wireguard/add", "drop_before")
        assert net.sync().code == 1
        assert net.sync().code == 0
        assert net.ether.ping(net["pune"], "192.168.30.1", "192.168.1.1")
    finally:
        net.close()


def test_hubs_learn_before_spokes_switch_and_forget_when_they_have(tmp_path):
    net = SimulatedFleet(tmp_path)
    net.add("hq", 1, hub=True)
    net.add("mumbai", 20)
    net.add("pune", 30)
    order: list[tuple[str, str]] = []
    try:
        assert net.sync().code == 0
        for name, simulator in net.simulators.items():
            heard = simulator.heard

            def note(command: Command, name: str = name, heard=heard) -> None:
                if is_write(command):
                    order.append((name, command.sentence))
                heard(command)

            simulator.heard = note  # type: ignore[method-assign]
        net.routers["pune"]["enabled"] = False
        net.routers["mumbai"]["lans"] = ["192.168.20.0/24", "192.168.21.0/24"]
        assert net.sync().code == 0
        names = [name for name, _ in order]
        assert names.index("hq") < names.index("mumbai"), "the hub learns the new LAN before its spoke sends from it"
        forgotten = order.index(("hq", "/interface/wireguard/peers/remove"))
        assert forgotten > max(number for number, name in enumerate(names) if name == "mumbai"), "the hub forgets last"
    finally:
        net.close()


def test_tunnels_that_cannot_be_dialled_are_knocked_at_by_all_their_ends_at_once(tmp_path):
    net = SimulatedFleet(tmp_path, topology="full-mesh", lan_supernets=[])
    names = [f"r{number}" for number in range(5)]
    for number, name in enumerate(names):
        net.add(name, 40 + number, host=f"{name}.example.com")
    try:
        done = net.sync("--json")
        assert done.code == 0
        reads = {name: sum(c.sentence == "/interface/wireguard/peers/print" for c in net[name].log) for name in names}
        assert max(reads.values()) <= 6, "one more read for all its tunnels, not one for each"
    finally:
        net.close()


def test_nobody_knocks_at_a_router_that_is_off(tmp_path):
    net = SimulatedFleet(tmp_path, topology="full-mesh", lan_supernets=[])
    net.add("delhi", 40, host="delhi.example.com")
    net.add("goa", 50, host="goa.example.com")
    try:
        assert net.sync().code == 0
        net["goa"].set_offline()
        net.reset_counters()
        net.routers["delhi"]["mtu"] = 1400
        assert net.sync().code == 6
        assert "/ping" not in {command.sentence for command in net["delhi"].log}
    finally:
        net.close()


@pytest.mark.parametrize("routers", [60, pytest.param(300, marks=pytest.mark.exhaustive)])
def test_many_routers_come_up_in_one_sync_and_cost_one_read_each_in_the_next(tmp_path, routers):
    net = SimulatedFleet(tmp_path, lan_supernets=["172.16.0.0/12"])
    net.add("hq", 1, hub=True)
    for number in range(routers - 1):
        net.add(f"branch-{number}", 2)
        net.routers[f"branch-{number}"]["lans"] = [f"172.16.{number % 256}.{number // 256 * 128}/25"]
    net.routers["hq"]["lans"] = ["172.31.1.0/24"]
    try:
        done = net.sync("--json", "--parallel", "50", "--batch", "100%")
        assert done.code == 0
        assert Counter(done.outcomes().values()) == {"changed": routers}
        net.reset_counters()
        assert net.sync("--parallel", "50").code == 0
        assert {simulator.counters.writes for simulator in net.simulators.values()} == {0}
        assert {simulator.counters.round_trips for simulator in net.simulators.values()} == {1}
    finally:
        net.close()
