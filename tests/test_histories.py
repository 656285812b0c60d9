"""Random histories of a small fleet: edits, drift, faults, deaths and syncs in any order. One undisturbed sync heals it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated import Result, SimulatedFleet

from fleet import rollback
from fleet.proof import Proof
from fleet.state.journal import Run
from fleet.testing.disturbed import Killed
from fleet.testing.routeros.faults import Kind

MENUS = (
    *("/interface/wireguard", "/interface/wireguard/peers", "/ip/address", "/ip/route"),
    *("/ip/firewall/filter", "/ip/firewall/nat", "/ip/firewall/mangle", "/system/scheduler"),
)
DRIFTING = MENUS[1:]
WRITES = ("add", "set", "remove", "enable", "disable", "move", "unset")
NUMBERS = {"hq": 1, "agra": 20, "pune": 30, "goa": 40}
SPOKES = ("agra", "pune", "goa")
STRANGER = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
KINDS: tuple[Kind, ...] = ("drop_before", "drop_after", "reset_mid_reply", "trap")

spokes = st.sampled_from(SPOKES)
names = st.sampled_from(tuple(NUMBERS))


class Network(SimulatedFleet):
    """A hub that is known by two names, and as many of three spokes as the inventory has."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.add("hq", NUMBERS["hq"], hub=True, lan2=True)

    def add(self, name: str, number: int, **given: Any) -> Any:
        lan2 = given.pop("lan2", True)
        simulator = super().add(name, number, **given)
        if lan2:
            simulator.insert("/ip/address", address=f"192.168.{number + 100}.1/24", interface="bridge")
        if name == "hq":
            simulator.public_hosts = frozenset({"vpn.example.com", "vpn2.example.com"})
        return simulator

    @property
    def enabled(self) -> list[str]:
        return [name for name in self.routers if self.routers[name].get("enabled", True)]

    def ours(self) -> dict[str, Counter[tuple[str, str]]]:
        """What is marked as ours on each router of the inventory, with how often, whichever run made it."""
        return {
            name: Counter(
                (menu, row["comment"].partition(" run:")[0].replace(f" {STRANGER}", ""))
                for menu in MENUS
                for row in self[name].rows(menu)
                if "fleet:" in row.get("comment", "") and row.get("disabled", "false") in ("false", "no")
            )
            for name in self.enabled
        }

    def disabled(self) -> list[tuple[str, str]]:
        return [
            (name, f"{menu} {row['comment']}")
            for name in self.enabled
            for menu in MENUS
            for row in self[name].rows(menu)
            if "fleet:" in row.get("comment", "") and row.get("disabled", "false") in ("true", "yes")
        ]

    def armed(self) -> list[str]:
        return [
            name
            for name in self.enabled
            if any("fleet-guard" in row.get("name", "") for row in self[name].rows("/system/scheduler"))
        ]


@pytest.fixture(autouse=True, scope="module")
def _short_patience() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
        patched.setattr("fleet.sync.Proof", partial(Proof, seconds=0.1))
        patched.setattr(rollback, "LOOK_SECONDS", 0.02)
        patched.setattr(rollback, "SETTLE_SECONDS", 0.1)
        yield


_expected: dict[str, dict[str, Counter[tuple[str, str]]]] = {}


def expected(net: Network) -> dict[str, Counter[tuple[str, str]]]:
    """What blank routers have after one sync of this inventory."""
    inventory = {name: {k: v for k, v in router.items() if k not in ("host", "port")} for name, router in net.routers.items()}
    known = json.dumps([inventory, net.overlay], sort_keys=True)
    if known not in _expected:
        folder = Path(tempfile.mkdtemp(prefix="fleet-expected-"))
        fresh = Network(folder)
        try:
            for name in net.routers:
                if name != "hq":
                    fresh.add(name, NUMBERS[name])
                reached = {k: fresh.routers[name][k] for k in ("host", "port")}
                fresh.routers[name] = {**net.routers[name], **reached}
            fresh.overlay = dict(net.overlay)
            done = fresh.sync("--batch", "100%")
            assert done.code == 0, done.said
            _expected[known] = fresh.ours()
        finally:
            fresh.close()
            shutil.rmtree(folder)
    return _expected[known]


class Histories(RuleBasedStateMachine):
    """`story` is what happened, for whoever reads a failure."""

    patience: ClassVar[tuple[str, ...]] = ("--batch", "100%", "--max-failures", "100%")

    @initialize(born=st.sets(spokes, min_size=1))
    def begin(self, born: set[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-history-"))
        self.net = Network(self.folder)
        self.keys: dict[str, str] = {}
        self.foreign: dict[str, list[str]] = {}
        self.story: list[str] = []
        for name in sorted(born):
            self.net.add(name, NUMBERS[name])

    def teardown(self) -> None:
        if hasattr(self, "net"):
            try:
                self.settle()
            finally:
                self.net.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    # ---------------------------------------------------------------------------------------------------------- edits
    @rule(name=spokes)
    def a_router_joins_or_leaves(self, name: str) -> None:
        if name in self.net.routers:
            if len(self.net.routers) > 2:
                self._was = {**getattr(self, "_was", {}), name: self.net.routers.pop(name)}
        elif name in self.net.simulators:
            self.net.routers[name] = self._was[name]
        else:
            self.net.add(name, NUMBERS[name])

    @rule(name=spokes)
    def a_router_is_suspended_or_not(self, name: str) -> None:
        if name in self.net.routers:
            self.net.routers[name]["enabled"] = not self.net.routers[name].get("enabled", True)

    @rule(name=names, more=st.booleans())
    def its_lans_change(self, name: str, more: bool) -> None:
        if name in self.net.routers:
            number = NUMBERS[name]
            self.net.routers[name]["lans"] = [f"192.168.{n}.0/24" for n in (number, *((number + 100,) if more else ()))]

    @rule(name=names, mtu=st.sampled_from([1420, 1380]))
    def its_mtu_changes(self, name: str, mtu: int) -> None:
        if name in self.net.routers:
            self.net.routers[name]["mtu"] = mtu

    @rule(host=st.sampled_from(["vpn.example.com", "vpn2.example.com"]))
    def the_hub_gets_another_name(self, host: str) -> None:
        self.net.routers["hq"]["endpoint"] = f"{host}:51820"

    # ------------------------------------------------------------------------------------------------------- by hand
    @rule(name=names, menu=st.sampled_from(DRIFTING), nth=st.integers(0, 5), gone=st.booleans())
    def somebody_deletes_or_disables_a_thing_of_ours(self, name: str, menu: str, nth: int, gone: bool) -> None:
        rows = self._marked(name, menu)
        if not rows:
            return
        row = rows[nth % len(rows)]
        if gone:
            self.net[name].delete(menu, row[".id"])
        else:
            self.net[name].change(menu, row[".id"], disabled="yes")

    @rule(name=names, mtu=st.sampled_from([1300, 1400]))
    def somebody_changes_the_mtu(self, name: str, mtu: int) -> None:
        if self._marked(name, MENUS[0]):
            self.net[name].change(MENUS[0], self._marked(name, MENUS[0])[0][".id"], mtu=mtu)

    @rule(name=names)
    def somebody_adds_a_peer_of_his_own(self, name: str) -> None:
        if name in self.foreign or not self._marked(name, MENUS[0]):
            return
        self.net[name].insert(
            MENUS[1], interface="wg0", public_key=STRANGER, allowed_address="172.31.0.9/32", comment="Raj's phone"
        )
        self.foreign[name] = self._strangers(name)

    def _marked(self, name: str, menu: str) -> list[dict[str, str]]:
        if name not in self.net.simulators:
            return []
        return [row for row in self.net[name].rows(menu) if "fleet:" in row.get("comment", "")]

    def _strangers(self, name: str) -> list[str]:
        return [
            str(sorted((k, v) for k, v in row.items() if k in ("public-key", "allowed-address", "comment", "disabled")))
            for row in self.net[name].rows(MENUS[1])
            if row.get("public-key") == STRANGER
        ]

    # ------------------------------------------------------------------------------------------------------- trouble
    @rule(name=names, kind=st.sampled_from(KINDS), nth=st.integers(1, 25))
    def a_write_will_go_wrong(self, name: str, kind: Kind, nth: int) -> None:
        if name in self.net.simulators:
            seen = count(1)
            self.net[name].fault(lambda command: command.sentence.rpartition("/")[2] in WRITES and next(seen) == nth, kind)

    @rule(name=names)
    def a_router_reboots(self, name: str) -> None:
        if name in self.net.simulators:
            self.net[name].reboot()
            self.net[name].clock.advance(5)

    @rule(name=names, offline=st.booleans())
    def a_router_goes_away_or_comes_back(self, name: str, offline: bool) -> None:
        if name in self.net.simulators:
            self.net[name].set_offline(offline)

    @rule(seconds=st.sampled_from([30.0, 130.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.net.ether.clock.advance(seconds)

    # --------------------------------------------------------------------------------------------------------- syncs
    @rule(unguarded=st.booleans())
    def a_sync(self, unguarded: bool) -> None:
        done = self.net.sync("--json", *self.patience, *(("--unguarded",) if unguarded else ()))
        self.story.append(f"sync: {done.code}")
        assert done.code in (0, 1, 4, 5, 6), done.said
        assert "Traceback" not in done.said

    @rule(at=st.integers(1, 40), unguarded=st.booleans())
    def a_sync_that_dies(self, at: int, unguarded: bool) -> None:
        """At the nth line of its journal; whatever would follow is not written down and not sent."""
        seen, kept = count(1), Run.record_all

        def record_all(run: Run, lines: Any) -> None:
            if next(seen) >= at:
                raise Killed
            kept(run, lines)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Run, "record_all", record_all)
            done = self.net.sync(*self.patience, *(("--unguarded",) if unguarded else ()))
        died = "internal error: Killed" in done.said
        self.story.append(f"sync died at line {at}" if died else f"sync: {done.code}")

    @rule()
    @precondition(lambda self: hasattr(self, "net"))
    def settle(self) -> None:
        """Trouble is over: the next sync puts everything right, and there is nothing left for the one after it."""
        for simulator in self.net.simulators.values():
            simulator._faults.clear()
            simulator.set_offline(False)
        done = self.net.sync("--force", *self.patience)
        assert done.code == 0, f"{self.story}\n{done.said}"
        self.story.append("settled")
        assert self.net.ours() == expected(self.net), "duplicates or orphans"
        assert self.net.disabled() == []
        assert self.net.armed() == []
        planned = self.net.run("plan")
        assert planned.code == 0, planned.said
        self._all_reach_all()
        self._nothing_is_lost()

    def _all_reach_all(self) -> None:
        for name in self.net.enabled:
            for other in self.net.enabled:
                if name != other:
                    here, there = f"192.168.{NUMBERS[name]}.1", f"192.168.{NUMBERS[other]}.1"
                    assert self.net.ether.ping(self.net[name], here, there), f"{name} does not reach {other}"

    def _nothing_is_lost(self) -> None:
        for name in self.net.enabled:
            key = self.net.interface(name)["public-key"]
            assert self.keys.setdefault(name, key) == key, f"{name} has lost its key"
        for name, before in self.foreign.items():
            assert self._strangers(name) == before, f"somebody else's peer on {name} changed"

    @invariant()
    def the_journal_announced_what_it_says_was_done(self) -> None:
        if not (getattr(self, "folder", Path("/nonexistent")) / ".fleet" / "state.db").exists():
            return
        state = self.net.state()
        for run in state.history("acme", limit=1):
            entries = state.journal(run.id)
            announced = {(entry.router, entry.text) for entry in entries if entry.phase == "apply"}
            assert {(entry.router, entry.text) for entry in entries if entry.phase == "applied"} <= announced


ALL = os.environ.get("FLEET_DRILLS") == "all"
Histories.TestCase.settings = settings(
    max_examples=150 if ALL else 6,
    stateful_step_count=25 if ALL else 10,
    deadline=None,
    derandomize=not ALL,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(3600 if ALL else 300)
class TestHistories(Histories.TestCase):  # type: ignore[name-defined,misc]  # made by hypothesis
    """Few and always the same in a quick run; many and others every time with FLEET_DRILLS=all."""


__all__ = ["Result", "TestHistories"]
