"""Canaries first, then batches; a budget ends a run before it ends the fleet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UsageError
from fleet.waves import Budget, Kind, waves

HAP, CHR = Kind("mikrotik", "spoke", "7.16"), Kind("mikrotik", "spoke", "7.18")


def fleet_of(*kinds: Kind) -> dict[str, Kind]:
    return {f"r{number}": kind for number, kind in enumerate(kinds)}


def test_one_canary_for_each_driver_role_and_firmware_version():
    assert waves(fleet_of(HAP, HAP, CHR, HAP), batch="100%")[0] == ("r0", "r2")


def test_batches_are_a_share_of_all_routers_written():
    found = waves(fleet_of(*[HAP] * 41), batch="10%")
    assert [len(wave) for wave in found] == [1, 5, 5, 5, 5, 5, 5, 5, 5]


def test_a_batch_is_never_empty():
    assert [len(wave) for wave in waves(fleet_of(HAP, HAP, HAP), batch="1%")] == [1, 1, 1]


def test_a_batch_may_be_a_number():
    assert [len(wave) for wave in waves(fleet_of(*[HAP] * 6), batch="3")] == [1, 3, 2]


def test_no_routers_make_no_waves():
    assert waves({}) == ()


@pytest.mark.parametrize("text", ["", "ten", "-1", "101%", "10 %%", "1.5"])
def test_a_batch_that_is_neither_number_nor_share_is_refused(text):
    with pytest.raises(UsageError, match="--batch"):
        waves(fleet_of(HAP), batch=text)


@given(st.lists(st.sampled_from([HAP, CHR]), max_size=60), st.integers(1, 5), st.integers(1, 100))
def test_every_router_is_in_exactly_one_wave(kinds, canaries, share):
    fleet = fleet_of(*kinds)
    found = waves(fleet, canaries=canaries, batch=f"{share}%")
    assert sorted(name for wave in found for name in wave) == sorted(fleet)
    assert all(found)


def test_a_budget_in_percent_is_of_the_routers_of_this_run():
    assert Budget.parse("5%", 200) == Budget(10)
    assert Budget.parse("0", 200) == Budget(0)
