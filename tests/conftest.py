"""What runs where: the lab needs root on Linux, long drills run only when they are asked for.

Its place puts `tests/` on the import path, for the small shared modules of the tests.
"""

from __future__ import annotations

import os

import pytest
from lab.net import missing

REQUIRED = os.environ.get("FLEET_LAB") == "required"
"""`FLEET_LAB=required` (CI): the exhaustive drills run too, and a lab that cannot run fails instead of being skipped."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason in the summary, what cannot or need not run here."""
    for item in items:
        if item.get_closest_marker("exhaustive") and not REQUIRED:
            item.add_marker(pytest.mark.skip(reason="a long drill: FLEET_LAB=required runs it"))
    labs = [item for item in items if item.get_closest_marker("lab")]
    reason = missing() if labs and not REQUIRED else None
    for item in labs if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason or ""))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """With FLEET_LAB=required a missing lab is a failure."""
    if REQUIRED and item.get_closest_marker("lab") and (reason := missing()):
        pytest.fail(reason, pytrace=False)
