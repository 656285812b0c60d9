"""How careful a run is: bad options are refused before anybody is contacted."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.safety import CONFIRM_WITHIN, Safety


def test_a_run_is_guarded_for_two_minutes_unless_somebody_says_otherwise():
    safety = Safety()
    assert (safety.confirm_within, safety.unguarded, safety.force, safety.resume) == (120, False, False, False)
    assert CONFIRM_WITHIN == 120


def test_a_canary_goes_first_and_few_failures_are_allowed_unless_somebody_says_otherwise():
    safety = Safety()
    assert (safety.canaries, safety.batch, safety.max_failures) == (1, "10%", "5%")


@pytest.mark.parametrize("seconds", [10, 3600])
def test_the_window_is_from_ten_seconds_to_an_hour(seconds):
    assert Safety(confirm_within=seconds).confirm_within == seconds


@pytest.mark.parametrize("seconds", [-1, 0, 9, 3601])
def test_a_window_too_short_for_a_login_or_too_long_to_wait_for_is_refused(seconds):
    with pytest.raises(UsageError, match=f"--confirm-within {seconds} is outside 10 to 3600 seconds"):
        Safety(confirm_within=seconds)


@pytest.mark.parametrize("text", ["ten", "-1", "101%", "1.5", ""])
def test_a_batch_that_is_neither_number_nor_share_is_refused_at_once(text):
    with pytest.raises(UsageError, match="--batch"):
        Safety(batch=text)


@pytest.mark.parametrize("text", ["some", "-1", "101%", "1.5", ""])
def test_a_budget_that_is_neither_number_nor_share_is_refused_at_once(text):
    with pytest.raises(UsageError, match="--max-failures"):
        Safety(max_failures=text)


def test_no_failure_at_all_may_be_allowed():
    assert Safety(max_failures="0").max_failures == "0"
