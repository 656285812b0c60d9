"""Facts about the machine that fleet runs on."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from .model import IPAddress, IPNetwork

_ROUTES4 = Path("/proc/net/route")
_ROUTES6 = Path("/proc/net/ipv6_route")


def connected_prefix(address: IPAddress) -> IPNetwork | None:
    """The directly connected prefix that holds `address`, None if it is behind a gateway or this is not Linux."""
    prefixes = [prefix for prefix in _connected(address.version) if address in prefix]
    return max(prefixes, key=lambda prefix: prefix.prefixlen, default=None)


def _connected(version: int) -> list[IPNetwork]:
    try:
        text = (_ROUTES4 if version == 4 else _ROUTES6).read_text(encoding="ascii")
    except OSError:
        return []
    return _ipv4(text) if version == 4 else _ipv6(text)


def _ipv4(text: str) -> list[IPNetwork]:
    """Lines of /proc/net/route: device, destination, gateway (hexadecimal, little-endian), ..., mask in column 8."""
    found: list[IPNetwork] = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[2] == "00000000" and fields[7] != "00000000":
            network, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
            found.append(ipaddress.IPv4Network((network, (mask).bit_count())))
    return found


def _ipv6(text: str) -> list[IPNetwork]:
    """Lines of /proc/net/ipv6_route: destination, its length (hexadecimal), source, its length, next hop, ..., device."""
    found: list[IPNetwork] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 4 and set(fields[4]) == {"0"} and fields[1] not in ("00", "80"):
            found.append(ipaddress.IPv6Network((int(fields[0], 16), int(fields[1], 16))))
    return found
