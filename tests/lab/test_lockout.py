"""Mistakes that lock the NOC out: the router undoes each by itself within the window, and fleet says so.

Each drill has a network of its own and all run side by side; what the tests ask has been measured when the fixture is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from .lockout import HUB_ADDRESS, WINDOW_SECONDS, Drill, Mistake, Scene, drill
from .net import everywhere

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-lockout"), pytest.mark.timeout(240)]

TAKEN = "10.100.5.5"
GRACE_SECONDS = 5
"""What a router may take beyond the window on a busy machine."""

WRAPPED = """#!/bin/sh
/usr/bin/wg.real "$@"
code=$?
case "$1" in set|syncconf|setconf|addconf)
  nft 'table inet corporate { chain early { type filter hook prerouting priority raw; iifname wg0 tcp dport 22 drop; }; }' ;;
esac
exit $code
"""
"""Somebody else's rule that closes SSH in the very moment in which the change lands.

Before the input hook, because fleet puts its own accept before a drop that it finds there, and would not be cut off.
"""


def take_address(scene: Scene) -> None:
    """The hub answers at that address itself: the next new connection to the branch ends at the wrong machine."""
    scene.hub.router.run("ip", "address", "add", f"{TAKEN}/32", "dev", "lo")


def close_ssh(scene: Scene) -> None:
    """Plant the rule."""
    scene.branch.router.run("mv", "/usr/bin/wg", "/usr/bin/wg.real")
    scene.branch.router.write("/usr/bin/wg", WRAPPED, mode=0o755)


def open_ssh(scene: Scene) -> None:
    """Take the rule away, as whoever made it would."""
    assert "corporate" in scene.branch.router.sh("nft list tables"), "what is not ours was touched"
    scene.branch.router.sh("mv /usr/bin/wg.real /usr/bin/wg; nft delete table inet corporate")


FROM_THE_HUB = {"branch-1": {"via": "bastion", "management_from": [f"{HUB_ADDRESS}/32"]}}
FROM_NOWHERE = {"branch-1": {"via": "bastion", "management_from": ["10.100.0.99/32"]}}
ONLY_BRANCH = ("branch-1", "--only")

MISTAKES: Mapping[str, Mistake] = {
    "endpoint with a wrong port": Mistake("branch-1", {"hq": {"endpoint": "vpn.example.com:51999"}}),
    "listen port that nobody dials": Mistake("hq", {"hq": {"listen_port": 51999}}),
    "overlay address that is taken": Mistake("branch-1", {"branch-1": {"address": TAKEN}}, plant=take_address),
    "management closed by our own rule": Mistake("branch-1", FROM_NOWHERE, FROM_THE_HUB),
    "SSH closed by somebody else": Mistake(
        "branch-1", {"branch-1": {"persistent_keepalive": 21}}, plant=close_ssh, clear=open_ssh, arguments=ONLY_BRANCH
    ),
    "allowed IPs around the hub's own endpoint": Mistake("branch-1", {"hq": {"lans": ["192.168.1.0/24", "198.51.100.0/24"]}}),
    "allowed IPs around the NOC": Mistake("hq", {"branch-1": {"lans": ["192.168.11.0/24", "192.0.2.0/24"]}}),
}


LONG = {"listen port that nobody dials", "SSH closed by somebody else", "allowed IPs around the NOC"}
"""Those in which the whole window and more is waited for."""


@pytest.fixture(scope="module")
def drills(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drill]:
    """Every mistake that is asked about, made, watched and put right."""
    asked = [item for item in request.session.items if item.path == request.path and not item.get_closest_marker("skip")]
    due = sorted({item.callspec.params["mistake"] for item in asked if isinstance(item, pytest.Function)})
    folders = [tmp_path_factory.mktemp("lockout") for _ in due]
    done = everywhere(lambda pair: drill(*pair), [(folder, MISTAKES[name]) for folder, name in zip(folders, due, strict=True)])
    return dict(zip(due, done, strict=True))


def _marks(mistake: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.exhaustive] if mistake in LONG else []


every = pytest.mark.parametrize("mistake", [pytest.param(mistake, marks=_marks(mistake)) for mistake in MISTAKES])


@every
def test_the_router_undoes_it_by_itself_within_the_window(
    drills: dict[str, Drill],
    mistake: str,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = drills[mistake]
    with capsys.disabled():
        print(f"\n{mistake}: undone after {done.recovery.undone or -1:.1f} s, locked out {done.recovery.cut:.1f} s")
        print(f"  drill {done.seconds:.0f} s; {done.run.router(MISTAKES[mistake].victim)}")
    record_property("undone_seconds", done.recovery.undone)
    assert done.recovery.undone is not None, done.run.said
    assert done.recovery.undone <= WINDOW_SECONDS + GRACE_SECONDS
    assert done.healed, "the LANs do not reach each other"


@every
def test_fleet_says_that_it_was_rolled_back_what_it_tried_and_how_to_see_the_difference(
    drills: dict[str, Drill], mistake: str
) -> None:
    done, victim = drills[mistake], MISTAKES[mistake].victim
    assert done.run.code == 5, done.run.said
    said = done.run.router(victim)
    assert said["outcome"] == "rolled back", done.run.said
    assert "tried: " in said["hint"]
    assert f"fleet plan {victim}" in said["hint"]


@every
def test_with_the_inventory_right_again_that_router_has_nothing_to_change(drills: dict[str, Drill], mistake: str) -> None:
    assert drills[mistake].plan.outcomes()[MISTAKES[mistake].victim] == "in sync", drills[mistake].plan.said
