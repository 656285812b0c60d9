"""Address lists of the simulated router. Sections are of the vendor sheet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.testing.routeros import Refused, RouterosSimulator

LISTS = "/ip/firewall/address-list"
ENTRY = {"list": "x", "address": "192.0.2.1"}


@pytest.fixture
def router() -> Iterator[RouterosSimulator]:
    with RouterosSimulator("box", "7.20.8") as one:
        yield one


def test_an_address_stands_in_a_list_once_with_a_timeout_too(router: RouterosSimulator) -> None:  # 1.6
    router.insert(LISTS, **ENTRY, timeout="2m")
    for given in ({}, {"timeout": "5m"}):
        with pytest.raises(Refused, match="already have such entry"):
            router.insert(LISTS, **ENTRY, **given)
    router.insert(LISTS, list="y", address="192.0.2.1")


def test_a_timeout_counts_down_by_the_routers_clock_and_takes_the_entry_with_it(router: RouterosSimulator) -> None:
    router.insert(LISTS, **ENTRY, timeout="2m", comment="raj")
    router.clock.advance(75)
    (row,) = router.rows(LISTS)
    assert (row["timeout"], row["dynamic"], row["comment"]) == ("45s", "true", "raj")
    router.clock.advance(45)
    assert router.rows(LISTS) == []


def test_a_timeout_that_is_set_begins_anew_and_a_comment_leaves_it_alone(router: RouterosSimulator) -> None:
    entry = router.insert(LISTS, **ENTRY, timeout="2m")
    router.clock.advance(100)
    router.change(LISTS, entry, comment="raj")
    assert router.rows(LISTS)[0]["timeout"] == "20s"
    router.change(LISTS, entry, timeout="2m")
    assert router.rows(LISTS)[0]["timeout"] == "2m"
    router.clock.advance(119)
    assert router.rows(LISTS)[0]["timeout"] == "1s"


def test_an_entry_with_a_timeout_can_be_removed_early_and_added_again(router: RouterosSimulator) -> None:
    router.delete(LISTS, router.insert(LISTS, **ENTRY, timeout="2m"))
    router.clock.advance(60)
    router.insert(LISTS, **ENTRY, timeout="2m")
    router.clock.advance(90)
    assert router.rows(LISTS)[0]["timeout"] == "30s"


def test_entries_with_a_timeout_are_gone_after_a_restart_and_others_stay(router: RouterosSimulator) -> None:
    router.insert(LISTS, **ENTRY, timeout="2m")
    router.insert(LISTS, list="kept", address="192.0.2.2")
    router.reboot()
    assert [row["list"] for row in router.rows(LISTS)] == ["kept"]


def test_entries_with_a_timeout_are_no_configuration(router: RouterosSimulator) -> None:
    before = router.snapshot()
    router.insert(LISTS, **ENTRY, timeout="2m")
    assert router.snapshot() == before


def test_a_router_that_holds_such_entries_to_be_its_own_refuses_to_change_them(router: RouterosSimulator) -> None:  # 4
    entry = router.insert(LISTS, **ENTRY, timeout="2m")
    router.lists["ip"].fixed = True
    with pytest.raises(Refused, match="dynamic"):
        router.change(LISTS, entry, timeout="2m")
    with pytest.raises(Refused, match="dynamic"):
        router.delete(LISTS, entry)
