"""The pytest plugin that comes with fleet, for driver authors: the contract suite's long drills run only when asked for."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The marker of the contract suite, for projects with strict markers."""
    config.addinivalue_line("markers", "exhaustive: a long drill of fleet's contract suite; FLEET_DRILLS=all runs it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the long drills of driver contracts unless FLEET_DRILLS=all."""
    if os.environ.get("FLEET_DRILLS") == "all":
        return
    for item in items:
        if hasattr(getattr(item, "cls", None), "drill_stride") and item.get_closest_marker("exhaustive"):
            item.add_marker(pytest.mark.skip(reason="a long drill: FLEET_DRILLS=all runs it"))
