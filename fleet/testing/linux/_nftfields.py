"""What a rule can look at: fields of a packet, how their values are written, printed, ordered and compared."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._nodes import Packet

Value = str | int
Json = object

STATES: Final = ("invalid", "new", "established", "related", "untracked")
FLAGS: Final = ("fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr")
_SERVICES: Final = {"ssh": 22, "http": 80, "https": 443, "domain": 53, "snmp": 161, "ntp": 123, "bootps": 67, "bootpc": 68}
_ICMP: Final = {"echo-reply": 0, "destination-unreachable": 3, "redirect": 5, "echo-request": 8, "time-exceeded": 11,
                "parameter-problem": 12}  # fmt: skip
_ICMPV6: Final = {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
                  "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "nd-router-solicit": 133,
                  "nd-router-advert": 134, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136}  # fmt: skip
_PROTOCOLS: Final = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132}


@dataclass(frozen=True)
class Field:
    """One thing to match on.

    `text` is its canonical spelling, `json` its JSON, `kind` how values are read (address4, address6, port, name, state,
    flags, icmp, icmpv6, protocol, mark, nfproto, word), `of` takes it from a packet: None when the packet has no such field.
    """

    text: str
    json: Json
    kind: str
    of: Callable[[Packet], object]


def _version(packet: Packet) -> int:
    return 6 if ":" in packet.target else 4


def _address(version: int, source: bool) -> Callable[[Packet], object]:
    def read(packet: Packet) -> object:
        if _version(packet) != version:
            return None
        return ipaddress.ip_address(packet.source if source else packet.target)

    return read


def _port(protocol: str | None, destination: bool) -> Callable[[Packet], object]:
    def read(packet: Packet) -> object:
        if protocol not in {None, packet.protocol} or not destination:
            return None
        return packet.port

    return read


def _icmp(version: int) -> Callable[[Packet], object]:
    def read(packet: Packet) -> object:
        if packet.protocol != "icmp" or _version(packet) != version:
            return None
        return "echo-reply" if packet.established else "echo-request"

    return read


def _protocol(packet: Packet) -> object:
    return "ipv6-icmp" if packet.protocol == "icmp" and _version(packet) == 6 else packet.protocol


def _none(packet: Packet) -> object:
    return None


def _meta(key: str, kind: str, of: Callable[[Packet], object], bare: bool = True) -> Field:
    return Field(key if bare else f"meta {key}", {"meta": {"key": key}}, kind, of)


def _payload(protocol: str, name: str, kind: str, of: Callable[[Packet], object]) -> Field:
    return Field(f"{protocol} {name}", {"payload": {"protocol": protocol, "field": name}}, kind, of)


_META: Final = {
    "iifname": _meta("iifname", "name", lambda packet: packet.in_interface or "lo"),
    "oifname": _meta("oifname", "name", lambda packet: packet.out_interface or "lo"),
    "iif": _meta("iif", "name", lambda packet: packet.in_interface or "lo"),
    "oif": _meta("oif", "name", lambda packet: packet.out_interface or "lo"),
    "mark": _meta("mark", "mark", lambda packet: 0, bare=False),
    "l4proto": _meta("l4proto", "protocol", _protocol, bare=False),
    "nfproto": _meta("nfproto", "nfproto", lambda packet: f"ipv{_version(packet)}", bare=False),
    "pkttype": _meta("pkttype", "word", lambda packet: "unicast", bare=False),
    "protocol": _meta("protocol", "word", lambda packet: "ip6" if _version(packet) == 6 else "ip", bare=False),
}

FIELDS: Final[dict[tuple[str, ...], Field]] = {
    **{(key,): field for key, field in _META.items() if key in {"iifname", "oifname", "iif", "oif"}},
    ("mark",): _META["mark"],
    **{("meta", key): field for key, field in _META.items()},
    ("ip", "saddr"): _payload("ip", "saddr", "address4", _address(4, True)),
    ("ip", "daddr"): _payload("ip", "daddr", "address4", _address(4, False)),
    ("ip6", "saddr"): _payload("ip6", "saddr", "address6", _address(6, True)),
    ("ip6", "daddr"): _payload("ip6", "daddr", "address6", _address(6, False)),
    ("ip", "protocol"): _payload(
        "ip", "protocol", "protocol", lambda packet: _protocol(packet) if _version(packet) == 4 else None
    ),
    ("ip6", "nexthdr"): _payload(
        "ip6", "nexthdr", "protocol", lambda packet: _protocol(packet) if _version(packet) == 6 else None
    ),
    **{
        (protocol, name): _payload(protocol, name, "port", _port(None if protocol == "th" else protocol, name == "dport"))
        for protocol in ("tcp", "udp", "th", "sctp")
        for name in ("sport", "dport")
    },
    ("tcp", "flags"): _payload("tcp", "flags", "flags", _none),
    ("icmp", "type"): _payload("icmp", "type", "icmp", _icmp(4)),
    ("icmpv6", "type"): _payload("icmpv6", "type", "icmpv6", _icmp(6)),
    ("ct", "state"): Field(
        "ct state", {"ct": {"key": "state"}}, "state", lambda packet: "established" if packet.established else "new"
    ),
    ("ct", "mark"): Field("ct mark", {"ct": {"key": "mark"}}, "mark", lambda packet: 0),
    ("ct", "status"): Field("ct status", {"ct": {"key": "status"}}, "word", _none),
    ("ct", "direction"): Field(
        "ct direction", {"ct": {"key": "direction"}}, "word", lambda packet: "reply" if packet.established else "original"
    ),
    ("tcp", "option", "maxseg", "size"): Field(
        "tcp option maxseg size", {"tcp option": {"name": "maxseg", "field": "size"}}, "number", _none
    ),
    ("fib", "saddr", "type"): Field("fib saddr type", {"fib": {"result": "type", "flags": "saddr"}}, "word", _none),
    ("fib", "daddr", "type"): Field("fib daddr type", {"fib": {"result": "type", "flags": "daddr"}}, "word", _none),
}


class BadValue(ValueError):
    """Not a value of this field; the words nft uses."""


def read_value(kind: str, text: str) -> str:
    """The canonical spelling of one value. Raises BadValue."""
    if kind in {"address4", "address6"}:
        return _read_address(kind, text)
    if kind in {"port", "number"}:
        return _read_port(kind, text)
    if kind == "mark":
        try:
            return f"0x{int(text, 0):08x}"
        except ValueError:
            raise BadValue("Could not parse packet mark") from None
    known = {"state": STATES, "flags": FLAGS, "icmp": tuple(_ICMP), "icmpv6": tuple(_ICMPV6), "nfproto": ("ipv4", "ipv6")}.get(
        kind
    )
    if kind == "protocol":
        return _read_protocol(text)
    if known is not None and text not in known:
        raise BadValue(f'Could not parse {kind} "{text}"' if kind != "state" else "Could not parse conntrack state")
    return f'"{text}"' if kind == "name" else text


def _read_protocol(text: str) -> str:
    if text == "icmpv6":
        return "ipv6-icmp"
    if text.isdigit():
        return next((name for name, number in _PROTOCOLS.items() if number == int(text)), text)
    if text not in _PROTOCOLS:
        raise BadValue("Could not parse Internet protocol")
    return text


def _read_address(kind: str, text: str) -> str:
    version = 4 if kind == "address4" else 6
    first, dash, last = text.partition("-")
    try:
        if dash:
            return f"{ipaddress.ip_address(first)}-{ipaddress.ip_address(last)}"
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue("Could not resolve hostname: Name or service not known") from None
    if network.version != version:
        raise BadValue(f"Could not resolve hostname: Address family for hostname not supported")  # noqa: F541
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _read_port(kind: str, text: str) -> str:
    parts = text.split("-") if not text.startswith("-") else [text]
    numbers = []
    for part in parts:
        number = _SERVICES.get(part, int(part) if part.isdigit() else None)
        if number is None:
            raise BadValue("Could not resolve service: Servname not supported for ai_socktype")
        if number > 65535:
            raise BadValue(f"Value {number} exceeds valid range 0-65535")
        numbers.append(str(number))
    return "-".join(numbers)


def order(kind: str, text: str) -> tuple[int, int | str]:
    """Sort key of a canonical value: as the kernel keeps the elements of a set."""
    if kind in {"address4", "address6"}:
        return (0, int(ipaddress.ip_address(text.partition("/")[0].partition("-")[0])))
    if kind in {"port", "number"}:
        return (0, int(text.partition("-")[0]))
    if kind == "name":  # a string is a number in the machine's byte order
        return (0, int.from_bytes(text.strip('"').encode(), "little"))
    tables: dict[str, dict[str, int]] = {
        "icmp": _ICMP,
        "icmpv6": _ICMPV6,
        "protocol": _PROTOCOLS,
        "state": {name: index for index, name in enumerate(STATES)},
        "flags": {name: index for index, name in enumerate(FLAGS)},
    }
    if kind in tables:
        return (0, tables[kind].get(text, 999))
    return (1, text)


def as_json(kind: str, text: str) -> Json:
    """One canonical value in JSON."""
    first, dash, last = text.partition("-")
    if kind in {"port", "number"}:
        return {"range": [int(first), int(last)]} if dash else int(text)
    if kind == "mark":
        return int(text, 0)
    if kind in {"address4", "address6"}:
        if dash:
            return {"range": [first, last]}
        address, slash, length = text.partition("/")
        return {"prefix": {"addr": address, "len": int(length)}} if slash else address
    return text.strip('"')


def equals(kind: str, seen: object, text: str) -> bool:
    """True if a packet's value is, or lies in, a canonical value."""
    first, dash, last = text.partition("-")
    if kind in {"address4", "address6"}:
        if dash:
            return ipaddress.ip_address(first) <= seen <= ipaddress.ip_address(last)  # type: ignore[operator]
        return seen in ipaddress.ip_network(text)
    if kind in {"port", "number"}:
        return isinstance(seen, int) and int(first) <= seen <= int(last or first)
    if kind == "mark":
        return seen == int(text, 0)
    if kind == "name":
        name = text.strip('"')
        return str(seen).startswith(name[:-1]) if name.endswith("*") else seen == name
    return seen == text
