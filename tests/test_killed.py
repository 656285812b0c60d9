"""`fleet sync` killed as by SIGKILL, at the lines of its journal and at any instant: the next one converges."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mixed import Mixed
from simulated import SimulatedFleet

# Dies before (AT > 0) or after (AT < 0) the nth time that something is written to the journal.
DYING = """
import os, signal
from fleet.state.journal import Run
at, kept, seen = {at}, Run.record_all, 0
def record_all(self, lines):
    global seen
    seen += 1
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    kept(self, lines)
    if seen == -at:
        os.kill(os.getpid(), signal.SIGKILL)
Run.record_all = record_all
from fleet.cli import main
main()
"""
MENUS = (
    *("/interface/wireguard", "/interface/wireguard/peers", "/ip/address", "/ip/route"),
    *("/ip/firewall/filter", "/ip/firewall/nat", "/ip/firewall/mangle", "/system/scheduler"),
)


def ours(net: SimulatedFleet) -> dict[str, Counter[tuple[str, str]]]:
    """What is marked as ours on each router, with how often, whichever run made it."""
    return {
        name: Counter(
            (menu, row["comment"].partition(" run:")[0], row.get("disabled", "false"))
            for menu in MENUS
            for row in simulator.rows(menu)
            if "fleet:" in row.get("comment", "")
        )
        for name, simulator in net.simulators.items()
    }


def pair(folder: Path) -> SimulatedFleet:
    net = SimulatedFleet(folder)
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    return net


def changed(folder: Path) -> SimulatedFleet:
    """In sync, and then changed so that both routers have something to add, set and remove under guard."""
    net = pair(folder)
    net.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.32.0/24"]
    assert net.sync().code == 0
    net.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    net.routers["hq"]["lans"] = ["192.168.1.0/24", "192.168.2.0/24"]
    net.routers["pune"]["mtu"] = 1380
    return net


BEGINNINGS: dict[str, Callable[[Path], SimulatedFleet]] = {"blank": pair, "changed": changed}


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    monkeypatch.setattr("fleet.rollback.LOOK_SECONDS", 0.1)


@pytest.fixture(scope="module", params=BEGINNINGS)
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, int, int]:
    """A beginning, what an undisturbed sync makes of it, and how many commands and lines of journal that takes."""
    net = BEGINNINGS[request.param](tmp_path_factory.mktemp(request.param) / "undisturbed")
    try:
        net.write()
        net.reset_counters()
        assert net.sync().code == 0
        commands = sum(len(simulator.log) for simulator in net.simulators.values())
        state = net.state()
        (run,) = state.history("acme", limit=1)
        lines = len(state.journal(run.id))
        return request.param, ours(net), commands, lines
    finally:
        net.close()


def converges(net: SimulatedFleet, expected: Any, story: str) -> None:
    again = net.sync()
    assert again.code == 0, f"{story}: {again.said}"
    assert ours(net) == expected, story
    assert net.run("plan").code == 0, story
    assert net.ether.ping(net["pune"], "192.168.30.1", "192.168.1.1"), story
    for name, simulator in net.simulators.items():
        assert not [row for row in simulator.rows("/system/scheduler") if "fleet-guard" in row["name"]], (
            f"{story}: {name} is armed"
        )


def killed_at_the_journal(net: SimulatedFleet, at: int, monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patched:
        patched.setattr("simulated.FLEET", (sys.executable, "-W", "error", "-c", DYING.format(at=at)))
        return net.process("sync", "--yes").code


def killed_at_a_command(net: SimulatedFleet, at: int) -> bool:
    """Kill the process when the routers hear the nth command; False if it had ended before."""
    seen = count(1)
    spawned: list[Any] = []

    def listen(simulator: Any) -> None:
        heard = simulator.heard

        def hear(command: Any) -> None:
            heard(command)
            if next(seen) == at:
                spawned[0].kill()

        simulator.heard = hear

    for simulator in net.simulators.values():
        listen(simulator)
    with net.spawn("sync", "--yes") as process:
        spawned.append(process)
        process.communicate(timeout=60)
    for simulator in net.simulators.values():
        del simulator.heard
    return process.returncode == -9


@pytest.mark.parametrize("seed", [1, pytest.param(None, marks=pytest.mark.exhaustive, id="all")])
def test_killed_at_a_line_of_the_journal_the_next_sync_converges(tmp_path, story, seed, monkeypatch):
    beginning, expected, _, lines = story
    every = [at for number in range(1, lines + 1) for at in (number, -number)]
    for at in every if seed is None else random.Random(f"{seed} {beginning}").sample(every[: lines // 2], 2):
        net = BEGINNINGS[beginning](tmp_path / f"{at}")
        try:
            code = killed_at_the_journal(net, at, monkeypatch)
            assert code in (-9, 0)
            converges(net, expected, f"{beginning}, killed at line {at} of the journal")
        finally:
            net.close()


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(3, 40))])
def test_killed_at_any_instant_the_next_sync_takes_the_lock_over_and_converges(tmp_path, story, seed):
    beginning, expected, commands, _ = story
    net = BEGINNINGS[beginning](tmp_path / "net")
    try:
        at = random.Random(seed).randrange(commands // 3, commands)
        if killed_at_a_command(net, at):
            held = net.state().writer("acme")
            assert held is not None, "the dead process still has the lock"
        converges(net, expected, f"{beginning}, killed at command {at}")
    finally:
        net.close()


def test_the_journal_of_a_killed_run_says_what_was_done_and_not_that_it_ended(tmp_path):
    net = changed(tmp_path)
    try:
        net.reset_counters()
        assert killed_at_a_command(net, 60)
        state = net.state()
        (run,) = state.history("acme", limit=1)
        assert (run.exit_code, run.finished) == (None, None)
        entries = state.journal(run.id)
        announced = [(entry.router, entry.text) for entry in entries if entry.phase == "apply"]
        assert announced
        assert {(entry.router, entry.text) for entry in entries if entry.phase == "applied"} <= set(announced)
    finally:
        net.close()


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with ExitStack() as open_:
        net = Mixed(tmp_path / "noc", open_)
        open_.callback(net.close)
        yield net


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(2, 20))])
def test_killed_while_a_linux_hub_is_written_the_next_sync_converges(mixed, seed):
    assert mixed.sync().code == 0
    mixed.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    mixed.routers["gateway"]["mtu"] = 1380
    at = random.Random(seed).randrange(2, 7)
    seen, run, spawned = count(1), mixed.ssh.handler, list[Any]()

    def hear(*given: Any) -> Any:
        if next(seen) == at:
            spawned[0].kill()
        return run(*given)

    mixed.ssh.handler = hear
    with mixed.spawn("sync", "--yes") as process:
        spawned.append(process)
        process.communicate(timeout=120)
    assert process.returncode == -9
    again = mixed.sync()
    assert again.code == 0, f"killed at exec {at}: {again.said}"
    assert mixed.run("plan").code == 0
    assert mixed.ether.ping(mixed["pune"], "192.168.30.1", "192.168.1.1")
    assert not list((mixed.linux.root_path / "run/fleet").glob("guard-*"))


@pytest.mark.parametrize("lost", ["drop_before_exec", pytest.param("drop_after_exec", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("nth", [3, *(pytest.param(nth, marks=pytest.mark.exhaustive) for nth in (1, 2, 4, 5, 6, 7))])
def test_a_connection_to_a_linux_hub_lost_at_any_exec_is_nothing_that_the_next_sync_does_not_heal(mixed, lost, nth):
    assert mixed.sync().code == 0
    mixed.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]
    mixed.routers["gateway"]["mtu"] = 1380
    setattr(mixed.ssh.faults, lost, mixed.ssh.execs + nth)
    done = mixed.sync()
    assert done.code in (0, 1, 5), done.said
    again = mixed.sync()
    assert again.code == 0, again.said
    assert mixed.run("plan").code == 0
    assert not list((mixed.linux.root_path / "run/fleet").glob("guard-*"))
