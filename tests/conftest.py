"""What runs where: the lab needs root on Linux, long drills run only when they are asked for.

Its place puts `tests/` on the import path, for the small shared modules of the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab.net import missing

from fleet.testing.cases import CASES

REQUIRED = os.environ.get("FLEET_LAB") == "required"
"""`FLEET_LAB=required` (CI): the lab's long cases run too, and a lab that cannot run fails instead of being skipped."""

DRILLS = os.environ.get("FLEET_DRILLS") == "all"
"""`FLEET_DRILLS=all`: every case under every law on every device, every moment disturbed. Hours on two cores."""

SAMPLE = 6 if REQUIRED else len(CASES)
"""Elsewhere slow devices (classes with `sampled = True`) meet every sixth case of the contract under each law, with a short run
one case a law, shifted from law to law: every law is tried, and the laws together try many cases. `sampled = 3` is for the
further releases of a device that another class tries: a third of that, and in a short run the laws of `ESSENCE` alone."""

ESSENCE = frozenset(
    {"test_every_state_is_reached_and_read_back", "test_a_guarded_change_ends_confirmed_and_as_an_unguarded_one_would"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason in the summary, what cannot or need not run here."""
    for item in items:
        in_lab = "lab" in item.path.parts
        if item.get_closest_marker("exhaustive") and not (DRILLS or (REQUIRED and in_lab)):
            wanted = "FLEET_LAB=required" if in_lab else "FLEET_DRILLS=all"
            item.add_marker(pytest.mark.skip(reason=f"a long drill: {wanted} runs it"))
    if not DRILLS:
        items[:] = _sampled(items)
    items[:] = _spread(items)
    labs = [item for item in items if item.get_closest_marker("lab")]
    reason = missing() if labs and not REQUIRED else None
    for item in labs if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason or ""))


def _spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """File by file, the long ones early: the lab mostly waits, so one file of it is followed by two that compute.

    With `--dist loadfile --no-loadscope-reorder` the processes take the files in this order.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [path for path in files if "lab" in path.parts]
    computing = [path for path in files if path not in waiting]
    rest = sorted(computing, key=lambda path: ("contract" not in path.name, -len(files[path])))
    order = []
    while waiting or rest:
        order += [*waiting[:1], *rest[:2]]
        del waiting[:1], rest[:2]
    return [item for path in order for item in files[path]]


def _sampled(items: list[pytest.Item]) -> list[pytest.Item]:
    """Every item but those cases of slow devices that another law tries."""
    seen: dict[tuple[object, str], int] = {}
    laws: dict[object, list[str]] = {}
    kept = []
    for item in items:
        owner = getattr(item, "cls", None)
        law = getattr(item, "originalname", None) or item.name
        factor = int(getattr(owner, "sampled", 0))
        if factor > 1 and not REQUIRED and law not in ESSENCE:
            continue
        if not factor or "case" not in getattr(getattr(item, "callspec", None), "params", {}):
            kept.append(item)
            continue
        order = laws.setdefault(owner, [])
        if law not in order:
            order.append(law)
        number = seen[owner, law] = seen.get((owner, law), -1) + 1
        step = min(SAMPLE * factor, len(CASES))
        if number % step == order.index(law) % step:
            kept.append(item)
    return kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    """With FLEET_LAB=required a missing lab is a failure."""
    if REQUIRED and item.get_closest_marker("lab") and (reason := missing()):
        pytest.fail(reason, pytrace=False)
