"""RouterOS' spelling of values: durations, versions, booleans, lists. Pure. Each raises Unparseable for an unknown spelling."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from ... import Endpoint, Mark, Unparseable, sorted_networks
from ...model import IPInterface, IPNetwork

Row: TypeAlias = Mapping[str, str]
"""One `!re` as raw words, without the leading `=`."""

# Letters in this order, each at most once; fractions of a second are unverified (sheet 3.1), so they are allowed.
_LETTERS: Final = re.compile(
    r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?(?:(\d+)us)?(?:\d+ns)?",
    re.ASCII,
)
_CLOCK: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)", re.ASCII)
_SECONDS: Final = (604800, 86400, 3600, 60, 1, 0.001, 0.000001)


def parse_duration(text: str) -> float:
    """Seconds in `1w2d3h4m5s6ms`, in the older `1w2d03:04:05`, or in a bare number of seconds (sheet 3.1)."""
    if text.isascii() and text.isdigit():
        return float(text)
    found = _CLOCK.fullmatch(text) or (_LETTERS.fullmatch(text) if text else None)
    if found is None:
        raise Unparseable("a duration that RouterOS is not known to write", text[:40])
    return float(sum(float(part) * unit for part, unit in zip(found.groups(), _SECONDS, strict=False) if part))


def parse_version(text: str) -> tuple[int, ...]:
    """`7.16rc1 (testing)` as (7, 16), `7.20.8` as (7, 20, 8): never compared as a fraction (sheet 9, pitfall 17)."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise Unparseable("a RouterOS version that cannot be read", text[:40])
    return tuple(int(part) for part in found.groups() if part is not None)


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_clock(row: Row) -> float | None:
    """Unix time from `date`, `time` and `gmt-offset` of `/system/clock`; None if they cannot be read.

    The date is `2026-11-24`, on RouterOS before 7.10 `nov/24/2026`. The sheet has no capture: an odd clock hides nothing else.
    """
    date = row.get("date", "")
    old = re.fullmatch(r"([a-z]{3})/(\d\d)/(\d{4})", date, re.ASCII)
    if old is not None and old[1] in _MONTHS:
        date = f"{old[3]}-{_MONTHS.index(old[1]) + 1:02}-{old[2]}"
    try:
        return datetime.fromisoformat(f"{date}T{row.get('time', '')}{row.get('gmt-offset') or '+00:00'}").timestamp()
    except ValueError:
        return None


def parse_number(text: str) -> int:
    """A whole number: the API writes bytes and ports without units (sheet 3.1)."""
    if not (text.isascii() and text.isdigit()):
        raise Unparseable("a number that RouterOS is not known to write", text[:40])
    return int(text)


def is_yes(row: Row, name: str) -> bool:
    """A boolean word; an absent one is no."""
    value = row.get(name, "false")
    if value not in ("true", "yes", "false", "no"):
        raise Unparseable(f"`{name}` is neither true nor false", value[:40])
    return value in ("true", "yes")


def parse_networks(text: str) -> frozenset[IPNetwork]:
    """A comma list of prefixes; host bits and the order are not to be trusted (sheet 3.2)."""
    try:
        return frozenset(ipaddress.ip_network(each.strip(), strict=False) for each in text.split(",") if each.strip())
    except ValueError:
        raise Unparseable("a list of prefixes that cannot be read", text[:80]) from None


def parse_address(text: str) -> IPInterface:
    """An address with its prefix length."""
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        raise Unparseable("an address that cannot be read", text[:60]) from None


def parse_endpoint(host: str, port: str) -> Endpoint | None:
    """An endpoint from its two words, None if either is unset (empty, `0` or absent) or is no host fleet would dial."""
    if not host or port in ("", "0"):
        return None
    try:
        return Endpoint(host, parse_number(port))
    except ValueError:
        return None


def join_networks(networks: Iterable[IPNetwork]) -> str:
    """The comma list RouterOS takes, in one stable order."""
    return ",".join(str(network) for network in sorted_networks(frozenset(networks)))


def yes(value: bool) -> str:
    """A boolean as it is sent."""
    return "yes" if value else "no"


def mark_of(row: Row) -> Mark | None:
    """The ownership mark in a row's comment."""
    return Mark.find(row.get("comment", ""))


def marked(comment: str, mark: Mark | None) -> str:
    """A comment that carries `mark`, or none: people's own words are kept, an older mark of the same overlay is replaced."""
    old = Mark.find(comment)
    if mark is None:
        return comment.replace(str(old), "", 1).strip() if old else comment
    if old is not None and old.overlay == mark.overlay:
        return comment.replace(str(old), str(mark), 1)
    return f"{comment} {mark}".strip()
