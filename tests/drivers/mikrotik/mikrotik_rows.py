"""A Link that answers prints from rows, and a small hub to change in tests. No wire, no simulator."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

from fleet import Interface, KeyOf, Mark, Observed, PublicKey, Rejected, Reply, Request, RouterPlan, Secret, Target, Words
from fleet.changes import Change
from fleet.diff import batches, diff
from fleet.driver import Script
from fleet.drivers.mikrotik import MikrotikDriver

FIXTURES = Path(__file__).parents[2] / "fixtures" / "mikrotik"
DRIVER = MikrotikDriver()
HQ = Mark("acme", "hq")
KEY = PublicKey("HhbyDzG6loyFAsB040GvnOcRH1Ks+M44utp6REaWPxo=")
MUMBAI = PublicKey("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
PUNE = PublicKey("TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=")
TARGET = Target("hq", "acme", ("wg0",))

Menus = dict[str, list[dict[str, str]]]


class RowLink:
    """Answers `MENU/print` with rows; a menu that is not there is refused like an unknown command."""

    def __init__(self, menus: Menus, target: Target = TARGET) -> None:
        self.menus = menus
        self.target = target
        self.bursts: list[list[Request]] = []

    def send(self, request: Request) -> Reply:
        return self.send_all([request])[0]

    def send_all(self, requests: Sequence[Request]) -> list[Reply]:
        self.bursts.append(list(requests))
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Reply:
        assert isinstance(request, Words)
        menu = request.command.removesuffix("/print")
        if menu not in self.menus:
            raise Rejected("refused", evidence="no such command prefix")
        return Reply(rows=tuple(self.menus[menu]))


def recorded(case: str) -> Menus:
    """The rows of a transcript in tests/fixtures/mikrotik: a line of provenance, then a line per print."""
    lines = (FIXTURES / case / "read.jsonl").read_text().splitlines()[1:]
    return {each["send"].removesuffix("/print"): each["rows"] for each in map(json.loads, lines)}


def hub() -> Menus:
    """A copy of the hub on RouterOS 7.20 to change freely."""
    return copy.deepcopy(recorded("hub-7.20"))


def observe(menus: Menus) -> Observed:
    return DRIVER.observe(RowLink(menus))


def wg0(menus: Menus) -> Interface:
    return observe(menus).stored["wg0"]


def render(
    observed: Observed, *batches: tuple[Change, ...], private_keys: dict[str, Secret] | None = None, **desired: Interface
) -> Script:
    plan = RouterPlan(TARGET, "plan-1", batches, desired or dict(observed.stored), private_keys=private_keys or {})
    return DRIVER.render(plan, observed)


def sent(observed: Observed, *changes: Change, **given: object) -> list[str]:
    """The commands for one batch of changes, secrets hidden, in console spelling."""
    script = render(observed, changes, **given)  # type: ignore[arg-type]
    return [request.native() for step in script.steps for request in step.requests]


def bare(name: str = "wg0") -> Interface:
    return Interface(name, KeyOf("hq"), 51820, 1420, mark=HQ)


def guarded(menus: Menus, *wanted: Interface, within: int = 120, arm: bool = True) -> Script:
    """The script that makes these interfaces the only ones of ours, as `plan-1`."""
    observed = observe(menus)
    desired = {interface.name: interface for interface in wanted}
    changes = diff(observed.stored, None, desired, TARGET.overlay, limits=observed.limits).changes
    plan = RouterPlan(
        TARGET,
        "plan-1",
        batches(changes, observed.limits),
        desired,
        snapshot=observed.stored,
        confirm_within=within,
        arm=arm and bool(within),
    )
    return DRIVER.render(plan, observed)


def lines(script: Script) -> list[str]:
    """All commands of a script, secrets hidden, in console spelling."""
    return [request.native() for step in script.steps for request in step.requests]
