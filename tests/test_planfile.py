"""What was reviewed is what runs: a plan file that was edited, is old, or is of another fleet is refused."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from fleet import planfile
from fleet.errors import PlanRefused, UsageError
from fleet.model import Secret
from fleet.planfile import PlanFile

SECRET = Secret("a fleet secret")
NOW = dt.datetime(2026, 11, 24, 3, 0, tzinfo=dt.UTC)
PLAN = PlanFile("acme", "f" * 16, ("mumbai",), False, "", NOW, "noc@laptop", {"routers": []})


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "night.plan"
    planfile.write(file, PLAN, SECRET)
    return file


def test_a_plan_comes_back_as_it_was_written(path):
    assert planfile.read(path, "acme", SECRET, NOW) == PLAN


def test_a_plan_that_was_edited_is_refused(path):
    content = json.loads(path.read_text())
    content["names"] = ["hq"]
    path.write_text(json.dumps(content))
    with pytest.raises(PlanRefused, match="edited"):
        planfile.read(path, "acme", SECRET, NOW)


def test_reformatting_a_plan_is_not_editing_it(path):
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8))
    assert planfile.read(path, "acme", SECRET, NOW) == PLAN


def test_a_plan_without_its_signature_is_refused(path):
    content = json.loads(path.read_text())
    del content["signature"]
    path.write_text(json.dumps(content))
    with pytest.raises(PlanRefused):
        planfile.read(path, "acme", SECRET, NOW)


def test_a_plan_is_good_for_24_hours(path):
    assert planfile.read(path, "acme", SECRET, NOW + dt.timedelta(hours=23, minutes=59))
    with pytest.raises(PlanRefused, match="24 hours"):
        planfile.read(path, "acme", SECRET, NOW + dt.timedelta(hours=24, minutes=1))


def test_a_plan_from_the_future_is_refused(path):
    with pytest.raises(PlanRefused):
        planfile.read(path, "acme", SECRET, NOW - dt.timedelta(hours=1))


def test_a_plan_of_another_fleet_is_refused_by_name_or_by_secret(path):
    with pytest.raises(PlanRefused, match="this is other"):
        planfile.read(path, "other", SECRET, NOW)
    with pytest.raises(PlanRefused):
        planfile.read(path, "acme", Secret("another"), NOW)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", "[" * 100_000])
def test_a_file_that_is_no_plan_is_a_usage_error(tmp_path, text):
    file = tmp_path / "x"
    file.write_text(text)
    with pytest.raises(UsageError):
        planfile.read(file, "acme", SECRET, NOW)


def test_the_secret_is_not_in_the_file(path):
    assert SECRET.reveal() not in path.read_text()
