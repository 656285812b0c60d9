"""When the lab cannot run: skipped with the reason for people, failed where it is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A plugin that takes away a tool the lab needs, as on a machine without it.
WITHOUT = "import lab.net\nlab.net.TOOLS = ('no-such-tool',)\n"


def outcome(tmp_path: Path, required: str) -> str:
    """The summary of a run of one lab test on a machine without the lab's tools."""
    tests = Path(__file__).parents[1]
    (tmp_path / "without.py").write_text(WITHOUT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "without",
        "-p",
        "no:cacheprovider",
        "-q",
        f"{tests}/lab/test_systemctl.py",
    ]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{tests}", "FLEET_LAB": required}
    return subprocess.run(
        [*command, "-k", "clean_environment"], env=environment, cwd=tests.parent, capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="elsewhere the reason is another")
def test_a_missing_tool_skips_the_lab_and_is_named(tmp_path: Path) -> None:
    said = outcome(tmp_path, "")
    assert "1 skipped" in said
    assert "the lab needs no-such-tool" in said


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="elsewhere the reason is another")
def test_a_required_lab_that_cannot_run_fails(tmp_path: Path) -> None:
    said = outcome(tmp_path, "required")
    assert "1 error" in said
    assert "the lab needs no-such-tool" in said
