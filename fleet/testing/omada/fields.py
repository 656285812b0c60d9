"""Checks of request bodies, field by field, as the sheet's tables state them. Unknown fields are ignored (sheet 10.4)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from . import curve
from .codes import BadPaging, Refused, invalid
from .settings import Json


def text(body: Json, name: str, low: int = 1, high: int = 64) -> str:
    """A required string of `low` to `high` characters."""
    value = body.get(name)
    if not isinstance(value, str) or not low <= len(value) <= high:
        raise invalid(name)
    return value


def number(body: Json, name: str, low: int, high: int) -> int:
    """A required integer; true is not one."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(name)
    return value


def flag(body: Json, name: str) -> bool:
    """A required boolean."""
    value = body.get(name)
    if not isinstance(value, bool):
        raise invalid(name)
    return value


def key(body: Json, name: str) -> str:
    """A required key: 44 characters of base64 (sheet 2.1)."""
    value = body.get(name)
    if not isinstance(value, str) or not curve.is_key(value):
        raise invalid(name)
    return value


def optional_key(body: Json, name: str) -> str | None:
    """A key, or left out. Empty counts as none: reads give "" back and tools return what they read (sheet 10)."""
    return body.get(name) if body.get(name) in (None, "") else key(body, name)


def optional_text(body: Json, name: str, high: int) -> str | None:
    """A string of up to `high` characters, or left out."""
    return None if body.get(name) is None else text(body, name, 0, high)


def tunnel_address(body: Json, name: str, *, prefix: bool, ipv6: bool) -> str:
    """A bare IPv4 address, such as 10.99.0.1; `prefix` allows /LENGTH behind it."""
    value = text(body, name, 1, 64)
    host, slash, length = value.partition("/")
    try:
        address = ip_address(host)
        if slash:
            ip_network(value, strict=False)
    except ValueError:
        raise invalid(name) from None
    if (slash and not (prefix and length.isdigit())) or (address.version == 6 and not ipv6):
        raise invalid(name)
    return value


def prefixes(body: Json, name: str, *, limit: int, ipv6: bool) -> tuple[str, ...]:
    """A list of IP/MASK in prefix form, at least one, at most `limit`. A bare address or host bits are refused."""
    value = body.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= limit:
        raise invalid(name)
    for one in value:
        if not isinstance(one, str) or not one.partition("/")[2].isdigit():
            raise invalid(f"{name}: {one}")
        try:
            network = ip_network(one)
        except ValueError:
            raise invalid(f"{name}: {one}") from None
        if network.version == 6 and not ipv6:
            raise invalid(f"{name}: {one}")
    if len(set(value)) < len(value):
        raise invalid(name)
    return tuple(value)


def endpoint(body: Json, host_name: str, port_name: str, *, domains: bool) -> tuple[str | None, int | None]:
    """Both or neither (-43207); a domain only where the gateway takes one (-43206). "" and null are neither."""
    host, port = body.get(host_name), body.get(port_name)
    given = host not in (None, ""), port is not None
    if given == (False, False):
        return host, None
    if given != (True, True):
        raise Refused(-43207)
    number(body, port_name, 1, 65535)
    text(body, host_name, 1, 253)
    if not is_address(str(host)):
        if not _is_domain(str(host)):
            raise invalid(host_name)
        if not domains:
            raise Refused(-43206)
    return host, port


def is_address(host: str) -> bool:
    """True for an IP address, False for a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_domain(host: str) -> bool:
    labels = host.split(".")
    return len(labels) > 1 and all(
        0 < len(label) < 64 and label.replace("-", "a").isalnum() and label[0] != "-" != label[-1] for label in labels
    )


def custom_networks(body: Json) -> tuple[tuple[str, int], ...]:
    """`customNetwork`: a list of {ip, mask}, mask 0 to 32 (sheet 2.2, 4)."""
    rows = body.get("customNetwork")
    if not isinstance(rows, list):
        raise invalid("customNetwork")
    return tuple(_custom_network(row) for row in rows)


def _custom_network(row: Any) -> tuple[str, int]:
    if not isinstance(row, Mapping):
        raise invalid("customNetwork")
    mask = number(dict(row), "mask", 0, 32)
    try:
        return str(IPv4Address(row.get("ip"))), mask
    except ValueError:
        raise invalid("customNetwork") from None


def page(query: Mapping[str, str]) -> tuple[int, int]:
    """`page` from 1 and `pageSize` 1 to 1000 (sheet 1.7)."""
    try:
        number_, size = int(query["page"]), int(query["pageSize"])
    except (KeyError, ValueError):
        raise BadPaging from None
    if number_ < 1 or not 1 <= size <= 1000:
        raise BadPaging
    return number_, size


def grid(rows: list[Json], query: Mapping[str, str], searched: str = "name", **beside: Any) -> Json:
    """One page of rows: `totalRows`, `currentPage`, `currentSize`, `data`; `searchKey` looks at the name."""
    at, size = page(query)
    wanted = query.get("searchKey", "").lower()
    found = [row for row in rows if wanted in str(row.get(searched, "")).lower()]
    shown = found[(at - 1) * size : at * size]
    return {"totalRows": len(found), "currentPage": at, "currentSize": len(shown), "data": shown, **beside}
