"""Outcomes become exit codes as the README's table says."""

from __future__ import annotations

import json

import pytest

from fleet.report import ChangeLine, FleetReport, RouterReport, sentence, worst


def report(command: str, *outcomes: str) -> FleetReport:
    routers = [RouterReport(f"r{number}", "wg-quick", "spoke", outcome) for number, outcome in enumerate(outcomes)]
    return FleetReport(command, "acme", routers)


@pytest.mark.parametrize(
    ("codes", "wins"),
    [((0, 2), 2), ((2, 6), 6), ((6, 1), 1), ((1, 5), 5), ((5, 4), 4), ((4, 3), 3), ((), 0), ((0, 0), 0)],
)
def test_of_several_exit_codes_the_worst_wins(codes, wins):
    assert worst(codes) == wins


def test_a_sync_with_a_pending_router_exits_6_and_0_if_that_is_accepted():
    found = report("sync", "changed", "pending")
    assert found.exit_code() == 6
    assert found.exit_code(pending_ok=True) == 0


def test_accepting_pending_routers_does_not_accept_failed_ones():
    assert report("sync", "pending", "failed").exit_code(pending_ok=True) == 1


def test_for_a_plan_pending_routers_change_nothing():
    assert report("plan", "in sync", "pending").exit_code() == 0
    assert report("plan", "changes", "pending").exit_code() == 2


def test_counts_come_in_the_order_of_what_must_be_looked_at():
    assert sentence(report("sync", "in sync", "failed", "changed", "in sync").routers) == "1 failed, 1 changed, 2 in sync"


def test_a_report_is_json():
    found = report("plan", "changes")
    found.routers[0].changes = (ChangeLine("+", "peer hq: add", "intent"),)
    assert json.loads(json.dumps(found.to_dict()))["routers"][0]["changes"][0]["reason"] == "intent"
