"""Operators without a common database see each other by the writer's marker on the hubs."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from mixed import Mixed
from simulated import SimulatedFleet

from fleet.state import Owner
from fleet.sync.marker import owner_text, provably_gone
from fleet.sync.writing import Writing

DYING = """
import os, signal
from fleet.guard import Guarded
def killed(self, changes):
    os.kill(os.getpid(), signal.SIGKILL)
Guarded._prove = killed
from fleet.cli import main
main()
"""
ELSEWHERE = Owner("nms2", "another boot", 4711, "1", "raj@nms2", "sync")


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mixed]:
    """A Linux hub and a RouterOS branch, in sync."""
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    with ExitStack() as open_:
        mixed = Mixed(tmp_path / "one", open_)
        assert mixed.sync().code == 0
        yield mixed
        mixed.close()


class Colleague(SimulatedFleet):
    """Another operator of the same fleet: the same inventory and secret, a state of their own."""

    def __init__(self, net: SimulatedFleet, folder: Path) -> None:
        super().__init__(folder)
        self.overlay, self.defaults, self.routers = net.overlay, net.defaults, net.routers
        self.environ = {**net.environ, "FLEET_ACTOR": "mei@laptop"}
        (folder / ".fleet").mkdir(parents=True)
        shutil.copy(net.folder / ".fleet" / "secret", folder / ".fleet" / "secret")


def marker(net: Mixed) -> str:
    """The marker's file on the hub, empty if there is none."""
    file = net.linux.root_path / "run" / "fleet" / "marker-acme"
    return file.read_text() if file.exists() else ""


def mark(net: Mixed, owner: str, seconds: int) -> None:
    """Put a marker on the hub as another run does: a file with when it is over, by the hub's clock, and whose it is."""
    folder = net.linux.root_path / "run" / "fleet"
    now = int(net.linux.ok("date +%s"))
    (folder / "marker-acme").write_text(f"{now + seconds} {owner}\n")


def a_new_lan(net: SimulatedFleet) -> None:
    net.routers["pune"]["lans"] = ["192.168.30.0/24", "192.168.31.0/24"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def while_it_writes(monkeypatch: pytest.MonkeyPatch, then: Callable[[Writing], None]) -> None:
    """Call once, when the first stage of a sync has been written."""
    stage, called = Writing._stage, []

    def watched(self: Writing, names: object, part: object) -> None:
        stage(self, names, part)  # type: ignore[arg-type]  # passed on as they came
        if not called:
            called.append(True)
            then(self)

    monkeypatch.setattr(Writing, "_stage", watched)


def test_a_second_operator_with_a_database_of_their_own_is_refused_while_the_first_one_writes(net, tmp_path, monkeypatch):
    a_new_lan(net)
    colleague, done = Colleague(net, tmp_path / "two"), []
    while_it_writes(monkeypatch, lambda _: done.append(colleague.process("sync", "--yes")))
    before = net.snapshots()["pune"]
    assert net.sync().code == 0
    (refused,) = done
    assert refused.code == 4
    assert re.search(
        r"is being written by noc@desk on \S+ in run \S+, since \d\d:\d\d:\d\d UTC; its marker on gateway", refused.err
    )
    assert "wait until that one has ended" in refused.err
    assert before != net.snapshots()["pune"]


def test_the_marker_is_gone_when_the_run_is_over_and_the_second_operator_may_write(net, tmp_path):
    a_new_lan(net)
    assert net.sync().code == 0
    assert marker(net) == ""
    net.routers["pune"]["mtu"] = 1380
    assert Colleague(net, tmp_path / "two").process("sync", "--yes").code == 0


def test_the_marker_goes_even_if_the_run_fails(net):
    a_new_lan(net)
    net["pune"].fault(lambda command: command.sentence.endswith(("/add", "/set")), "trap")
    assert net.sync().code == 1
    assert marker(net) == ""


def test_a_sync_that_writes_nothing_marks_nothing_and_is_not_refused(net):
    mark(net, owner_text(ELSEWHERE, "20261124-101112-abcd"), 90)
    before = marker(net)
    assert net.sync().code == 0
    assert marker(net) == before


def test_a_live_marker_from_elsewhere_is_refused_before_any_write_with_who_and_how_long(net):
    a_new_lan(net)
    mark(net, owner_text(ELSEWHERE, "20261124-101112-abcd"), 90)
    before = (net.snapshots(), net.linux.snapshot())
    refused = net.sync()
    assert refused.code == 4
    assert "raj@nms2 on nms2 in run 20261124-101112-abcd, since 10:11:12 UTC" in refused.err
    assert re.search(r"stands for (8|9)\d s more", refused.err)
    assert (net.snapshots(), net.linux.snapshot()) == before


def test_a_marker_that_is_over_by_the_hubs_clock_hinders_nobody(net):
    a_new_lan(net)
    mark(net, owner_text(ELSEWHERE, "20261124-101112-abcd"), -1)
    assert net.sync().code == 0
    assert marker(net) == ""


def test_after_a_crash_the_next_run_on_the_same_machine_takes_the_marker_over(net, tmp_path, monkeypatch):
    a_new_lan(net)
    with monkeypatch.context() as patched:
        patched.setattr("simulated.FLEET", (sys.executable, "-W", "error", "-c", DYING))
        assert net.process("sync", "--yes").code == -signal.SIGKILL
    assert "noc@desk" in marker(net)
    done = Colleague(net, tmp_path / "two").run("sync", "--yes")
    assert done.code == 0
    assert "gateway: took over from noc@desk" in done.said
    assert marker(net) == ""


def test_a_run_whose_marker_was_replaced_writes_no_further_router(net, monkeypatch):
    monkeypatch.setattr("fleet.sync.marker.RENEW_SECONDS", 0.05)
    net.routers["gateway"]["lans"] = ["192.168.1.0/24", "192.168.2.0/24"]
    a_new_lan(net)

    def replaced(writing: Writing) -> None:
        def lost() -> bool:
            mark(net, owner_text(ELSEWHERE, "20261124-101112-abcd"), 90)  # again: a renewal under way may have written over it
            return writing._markers._lost is not None

        wait_for(lost)

    while_it_writes(monkeypatch, replaced)
    done = net.sync("--json")
    assert done.code == 4
    assert done.outcomes() == {"gateway": "changed", "pune": "refused"}
    assert "raj@nms2" in done.router("pune")["summary"]
    assert "raj@nms2" in marker(net)


def test_a_long_run_renews_its_marker(net, monkeypatch):
    monkeypatch.setattr("fleet.sync.marker.RENEW_SECONDS", 0.05)
    a_new_lan(net)
    seen: list[str] = []

    def watched(writing: Writing) -> None:
        mark(net, writing._markers._text, 1)
        seen.append(marker(net))
        wait_for(lambda: marker(net) not in ("", seen[0]))
        seen.append(marker(net))

    while_it_writes(monkeypatch, watched)
    assert net.sync().code == 0
    assert int(seen[1].split()[0]) - int(seen[0].split()[0]) > 100


def owner(**changes: object) -> Owner:
    return replace(Owner.current("sync"), **changes)  # type: ignore[arg-type]  # fields by name


def test_a_process_that_lives_is_not_gone():
    assert not provably_gone(owner_text(owner(), "20261124-101112-abcd"), owner())


def test_another_process_with_the_same_number_is_another_one():
    assert provably_gone(owner_text(owner(start_time="1"), "20261124-101112-abcd"), owner())


@pytest.mark.parametrize("changes", [{"host": "nms2"}, {"boot_id": "another"}])
def test_nobody_is_provably_gone_on_another_machine_or_before_a_restart(changes):
    assert not provably_gone(owner_text(owner(start_time="1", **changes), "20261124-101112-abcd"), owner())


def test_a_marker_that_is_not_understood_is_nobodys_left_over():
    assert not provably_gone("mei@laptop with another tool", owner())


def test_an_owner_is_one_line_of_plain_characters():
    text = owner_text(owner(actor="zoë'; rm -rf / $(x)\n", host="nms 1"), "20261124-101112-abcd")
    assert re.fullmatch(r"[A-Za-z0-9@._+?# -]+", text)
