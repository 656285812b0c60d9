"""The writer's marker on a hub: who writes is decided by the router, and ends by its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from mikrotik_device import MINIMAL, SimulatedRouter
from mikrotik_rows import DRIVER, RowLink, hub

from fleet import Observed, Rejected, Target
from fleet.link import RouterLink

LISTS = "/ip/firewall/address-list"
TARGET = Target("subject", "acme", ("wg0",), asks=frozenset({"marker"}))
RAJ, MEI = "raj@noc desk 2", "mei@noc"
Make = Callable[..., SimulatedRouter]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SimulatedRouter] = []

    def one(policies: str = MINIMAL, **given: object) -> SimulatedRouter:
        made.append(SimulatedRouter(policies=policies, **given))  # type: ignore[arg-type]  # checked by the simulator
        return made[-1]

    yield one
    for each in made:
        each.close()


def mark(link: RouterLink, owner: str, expires: int = 120, *, read: Observed | None = None) -> None:
    """One request after the other, from a read made now or before."""
    for request in DRIVER.mark(owner, expires, read or DRIVER.observe(link)) or ():
        link.send(request)


def owner_of(link: RouterLink) -> str | None:
    marker = DRIVER.observe(link).marker
    return marker.owner if marker else None


@pytest.mark.parametrize("release", ["7.1.5", "7.16.2", "7.20.8", "7.24"])
def test_the_marker_is_read_back_with_the_time_it_has_left(make: Make, release: str) -> None:
    router = make(version=release)
    link = router.link(TARGET)
    mark(link, RAJ)
    router.advance(30)
    marker = DRIVER.observe(link).marker
    assert marker is not None
    assert marker.owner == RAJ
    assert 88 <= marker.expires_in <= 90


def test_of_two_writers_who_read_at_the_same_moment_the_router_refuses_one(make: Make) -> None:
    router = make()
    raj, mei = router.link(TARGET), router.link(TARGET)
    before = DRIVER.observe(mei)
    mark(raj, RAJ)
    with pytest.raises(Rejected, match="already have such entry"):
        mark(mei, MEI, read=before)
    assert owner_of(mei) == RAJ


def test_another_writers_marker_is_refused_by_the_router_until_it_is_over(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    mark(link, RAJ)
    with pytest.raises(Rejected):
        mark(link, MEI)
    router.advance(121)
    mark(link, MEI)
    assert owner_of(link) == MEI


def test_a_renewed_marker_runs_for_its_whole_time_again(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    mark(link, RAJ)
    for _ in range(5):
        router.advance(100)
        mark(link, RAJ)
    marker = DRIVER.observe(link).marker
    assert marker is not None
    assert marker.expires_in > 118


def test_a_marker_that_ran_out_cannot_be_renewed_over_the_next_writers(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    mark(link, RAJ)
    held = DRIVER.observe(link)
    router.advance(121)
    mark(link, MEI)
    with pytest.raises(Rejected, match="no such item"):
        mark(link, RAJ, read=held)
    with pytest.raises(Rejected, match="no such item"):
        mark(link, "", read=held)
    assert owner_of(link) == MEI


def test_a_released_marker_is_gone_and_changes_no_configuration(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    before, seen = router.simulator.snapshot(), DRIVER.observe(link)
    mark(link, RAJ)
    assert (router.simulator.snapshot(), DRIVER.observe(link).stored) == (before, seen.stored)
    mark(link, "")
    assert (owner_of(link), router.simulator.rows(LISTS)) == (None, [])
    assert DRIVER.mark("", 0, DRIVER.observe(link)) == ()


def test_a_restart_takes_it_off(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    mark(link, RAJ)
    router.reboot()
    link.fresh()
    assert owner_of(link) is None


def test_every_overlay_has_a_marker_of_its_own(make: Make) -> None:
    router = make()
    acme, other = router.link(TARGET), router.link(Target("subject", "other", ("wg1",), asks=TARGET.asks))
    mark(acme, RAJ)
    mark(other, MEI)
    assert (owner_of(acme), owner_of(other)) == (RAJ, MEI)


def test_lists_of_others_are_neither_read_nor_touched(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    router.simulator.insert(LISTS, list="blocked", address="192.0.2.1", timeout="1h", comment=MEI)
    mark(link, RAJ)
    mark(link, "")
    assert [row["list"] for row in router.simulator.rows(LISTS)] == ["blocked"]


def test_an_entry_without_timeout_that_somebody_restored_is_over_and_replaced(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    router.simulator.insert(LISTS, list="fleet-writer-acme", address="192.0.2.1", comment=MEI)
    marker = DRIVER.observe(link).marker
    assert marker is not None
    assert marker.expires_in == 0
    mark(link, RAJ)
    assert owner_of(link) == RAJ


def test_where_entries_with_a_timeout_are_the_routers_own_the_marker_still_ends_by_itself(make: Make) -> None:
    router = make()
    router.simulator.lists["ip"].fixed = True
    link = router.link(TARGET)
    mark(link, RAJ)
    with pytest.raises(Rejected, match="dynamic"):
        mark(link, "")
    router.advance(121)
    mark(link, MEI)
    assert owner_of(link) == MEI


def test_it_works_in_device_mode_home_where_there_is_no_scheduler(make: Make) -> None:
    link = make(device_mode="home").link(TARGET)
    mark(link, RAJ)
    assert owner_of(link) == RAJ


def test_putting_it_on_is_one_write_and_reading_it_none(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    DRIVER.observe(link)
    assert router.writes() == 0
    mark(link, RAJ)
    assert router.writes() == 1


def test_it_is_read_only_when_asked_for() -> None:
    link = RowLink({**hub(), LISTS: [{".id": "*1", "timeout": "30s", "comment": RAJ}]})
    assert (DRIVER.observe(link).marker, len(link.bursts)) == (None, 1)


def test_an_owner_of_two_lines_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="owner"):
        mark(make().link(TARGET), "raj\nmei")


def test_reading_it_costs_no_round_trip_more_and_stays_within_16_commands(make: Make) -> None:
    router = make()
    link = router.link(TARGET)
    link.session  # noqa: B018 - logs in
    router.simulator.counters.reset()
    DRIVER.observe(link)
    assert router.simulator.counters.round_trips == 1
    assert router.simulator.counters.commands <= 16
