"""RouterOS' spelling of values (vendor sheet, sections 1.1, 3.1, 3.2, 9)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import Mark, Unparseable
from fleet.drivers.mikrotik.values import (
    is_yes,
    marked,
    parse_clock,
    parse_duration,
    parse_endpoint,
    parse_networks,
    parse_number,
    parse_version,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("14s", 14),
        ("1m45s", 105),
        ("1h21m", 4860),
        ("1d2h3m4s", 93784),
        ("2w3d", 1468800),
        ("18h12m15s", 65535),
        ("0s", 0),
        ("25", 25),
        ("500ms", 0.5),
        ("12ms345us", 0.012345),
        ("1s200ms", 1.2),
        ("00:00:25", 25),
        ("01:22:53", 4973),
        ("1d00:00:01", 86401),
        ("1w2d03:04:05", 788645),
    ],
)
def test_durations_of_every_known_form_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "never", "5 minutes", "3m2h", "1:2", "-5s", "25sec", "00:61:00", "٣s"])
def test_an_unknown_duration_is_unparseable(text: str) -> None:
    with pytest.raises(Unparseable):
        parse_duration(text)


@given(st.integers(0, 10**8))
def test_every_whole_duration_survives_the_letter_form(seconds: int) -> None:
    left, text = seconds, ""
    for letter, unit in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        text += f"{left // unit}{letter}" if left >= unit else ""
        left %= unit
    assert parse_duration(text or "0s") == seconds


@given(st.integers(0, 10**8))
def test_every_whole_duration_survives_the_clock_form(seconds: int) -> None:
    days, rest = divmod(seconds, 86400)
    assert parse_duration(f"{days}d{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}") == seconds


def test_versions_are_ordered_as_numbers_and_not_as_fractions() -> None:
    assert parse_version("7.9.2 (stable)") < parse_version("7.16rc1 (testing)") < parse_version("7.24")


def test_a_version_that_is_none_is_unparseable() -> None:
    with pytest.raises(Unparseable):
        parse_version("")


@pytest.mark.parametrize(("text", "truth"), [("true", True), ("yes", True), ("false", False), ("no", False)])
def test_booleans_have_two_spellings(text: str, truth: bool) -> None:
    assert is_yes({"disabled": text}, "disabled") is truth


def test_an_absent_boolean_is_no() -> None:
    assert not is_yes({}, "disabled")


def test_an_unknown_boolean_is_unparseable() -> None:
    with pytest.raises(Unparseable):
        is_yes({"disabled": "maybe"}, "disabled")


@pytest.mark.parametrize(
    "row",
    [
        {"date": "2026-11-24", "time": "15:30:00", "gmt-offset": "+05:30"},
        {"date": "nov/24/2026", "time": "10:00:00", "gmt-offset": "+00:00"},
        {"date": "2026-11-24", "time": "10:00:00"},
    ],
)
def test_the_clock_is_unix_time_before_and_after_7_10(row: dict[str, str]) -> None:
    assert parse_clock(row) == 1795514400


def test_an_odd_clock_is_no_reason_to_read_nothing() -> None:
    assert parse_clock({"date": "today", "time": "noon"}) is None


def test_bytes_with_a_unit_are_not_what_the_api_writes() -> None:
    with pytest.raises(Unparseable):
        parse_number("467.9KiB")


def test_prefixes_lose_host_bits_and_order() -> None:
    assert parse_networks("10.5.1.7/24,fd00::1/64,10.0.0.1") == {
        ipaddress.ip_network("10.0.0.1/32"),
        ipaddress.ip_network("10.5.1.0/24"),
        ipaddress.ip_network("fd00::/64"),
    }


@pytest.mark.parametrize(("host", "port"), [("", "0"), ("", ""), ("hq.example.com", "0"), ("", "51820")])
def test_half_an_endpoint_is_none(host: str, port: str) -> None:
    assert parse_endpoint(host, port) is None


def test_peoples_words_in_a_comment_are_kept() -> None:
    assert marked("site 7, call Raj", Mark("acme", "pune")) == "site 7, call Raj fleet:acme:pune"


def test_an_older_mark_is_replaced_in_its_place() -> None:
    assert marked("a fleet:acme:pune b", Mark("acme", "pune", 2)) == "a fleet:acme:pune:2 b"


def test_without_a_mark_only_the_mark_goes() -> None:
    assert marked("site 7 fleet:acme:pune", None) == "site 7"
