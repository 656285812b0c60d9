"""How RouterOS reads a value and how it prints it back (sheet 3.1, 10.3). A parser returns the reply form or raises Refused."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from .durations import letters, seconds

if TYPE_CHECKING:
    from .device import Device

Parser: TypeAlias = "Callable[[str, str, Device], str]"
"""(text, argument name, device) -> reply form."""

KINDS: Final[dict[Parser, str]] = {}
"""What type of the scripting language a parser's reply form is, where it is not plain from its text."""


def kind(parser: Parser) -> str:
    """str, num, bool, time, array or ip-prefix; `guess` where the text decides."""
    return KINDS.get(parser, "guess")


def _is(what: str, parser: Parser) -> Parser:
    KINDS[parser] = what
    return parser


class Refused(Exception):
    """A `!trap`: message and category, None where the router sends no category word."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message, self.category = message, category


def invalid(name: str) -> Refused:
    """The trap of a value that cannot be parsed."""
    return Refused(f"invalid value for argument {name}", 1)


def no_match(name: str) -> Refused:
    """The trap of an unknown reference or enumeration value."""
    return Refused(f"input does not match any value of {name}", 1)


# --- plain values ------------------------------------------------------------------------------------------------------


def duration(least: int, most: int) -> Parser:
    """Time between two bounds in seconds."""

    def parse(value: str, name: str, device: Device) -> str:
        total = seconds(value)
        if total is None:
            raise invalid(name)
        if not least <= total <= most:
            raise Refused(f"value of {name} out of range ({letters(least)}..{letters(most)})", 1)
        return letters(total)

    return _is("time", parse)


def text(value: str, name: str, device: Device) -> str:
    """Anything."""
    return value


def present(value: str, name: str, device: Device) -> str:
    """An argument whose presence alone counts: `=blackhole=no` still makes a blackhole (sheet 4)."""
    return ""


def label(value: str, name: str, device: Device) -> str:
    """A name: not empty."""
    if not value:
        raise invalid(name)
    return value


def flag(value: str, name: str, device: Device) -> str:
    """yes, no, true, false in; true, false out."""
    if value in ("yes", "true"):
        return "true"
    if value in ("no", "false"):
        return "false"
    raise invalid(name)


def number(least: int, most: int) -> Parser:
    """Decimal integer between two bounds."""

    def parse(value: str, name: str, device: Device) -> str:
        if not value.isdigit() or not value.isascii():
            if value[:1].isdigit():
                raise Refused(f"value of {name} contains invalid trailing characters", 1)
            raise invalid(name)
        if not least <= int(value) <= most:
            raise Refused(f"value of {name} out of range ({least}..{most})", 1)
        return str(int(value))

    return _is("num", parse)


def choice(*values: str) -> Parser:
    """One of a list."""

    def parse(value: str, name: str, device: Device) -> str:
        if value not in values:
            raise no_match(name)
        return value

    return _is("str", parse)


def either(*parsers: Parser) -> Parser:
    """The first parser that takes it."""

    def parse(value: str, name: str, device: Device) -> str:
        for parser in parsers[:-1]:
            try:
                return parser(value, name, device)
            except Refused:
                continue
        return parsers[-1](value, name, device)

    kinds = {kind(one) for one in parsers}
    return _is(kinds.pop(), parse) if len(kinds) == 1 else parse


def subset(*values: str) -> Parser:
    """Comma list out of a list, printed in the order given there."""

    def parse(value: str, name: str, device: Device) -> str:
        wanted = value.split(",")
        if not value or any(one not in values for one in wanted):
            raise no_match(name)
        return ",".join(one for one in values if one in wanted)

    return _is("array", parse)


def negated(parser: Parser) -> Parser:
    """A matcher's value, which may begin with `!`."""

    def parse(value: str, name: str, device: Device) -> str:
        return "!" + parser(value[1:], name, device) if value.startswith("!") else parser(value, name, device)

    return parse


# --- addresses, keys ---------------------------------------------------------------------------------------------------


def _interface(value: str, name: str) -> IPv4Interface | IPv6Interface:
    try:
        return ip_interface(value)
    except ValueError:
        raise invalid(name) from None


def address(version: int) -> Parser:
    """An interface address: host bits stay, a bare address gets the full mask."""

    def parse(value: str, name: str, device: Device) -> str:
        parsed = _interface(value, name)
        if parsed.version != version:
            raise invalid(name)
        return str(parsed)

    return _is("str", parse)


def prefix(version: int) -> Parser:
    """A network: host bits are masked away."""

    def parse(value: str, name: str, device: Device) -> str:
        parsed = _interface(value, name)
        if parsed.version != version:
            raise invalid(name)
        return str(parsed.network)

    return _is("ip-prefix", parse)


def match_address(version: int) -> Parser:
    """Firewall address matcher: address, network or range; a single host prints without mask."""

    def parse(value: str, name: str, device: Device) -> str:
        first, dash, last = value.partition("-")
        if dash:
            low, high = _interface(first, name), _interface(last, name)
            if "/" in value or low.version != version or high.version != version:
                raise invalid(name)
            return f"{low.ip}-{high.ip}"
        parsed = _interface(value, name)
        if parsed.version != version:
            raise invalid(name)
        return str(parsed.ip) if parsed.network.prefixlen == parsed.max_prefixlen else str(parsed.network)

    return parse


def allowed_addresses(value: str, name: str, device: Device) -> str:
    """Comma list of IPv4 and IPv6 prefixes, masks always shown (sheet 3.2)."""
    if not value:
        raise Refused(f"missing value(s) of argument(s) {name}", 1)
    return ",".join(dict.fromkeys(str(_interface(one, name).network) for one in value.split(",")))


_HOST: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$"
)


def host(value: str, name: str, device: Device) -> str:
    """IP address or host name; empty for none."""
    if not value:
        return ""
    try:
        return str(ip_address(value))
    except ValueError:
        if not _HOST.match(value) or value.replace(".", "").isdigit():
            raise invalid(name) from None
        return value


def key(value: str, name: str, device: Device) -> str:
    """32 bytes in base64: 44 characters. The text of the trap is unverified, so it is the general one (sheet 1.6)."""
    try:
        if len(value) == 44 and len(base64.b64decode(value, validate=True)) == 32:
            return value
    except (binascii.Error, ValueError):
        pass
    raise invalid(name)


def ports(value: str, name: str, device: Device) -> str:
    """Firewall ports: `51820`, `80,443`, `1000-2000`. Empty is a parse error, `unset` removes (sheet 3.2)."""
    for one in value.split(","):
        ends = one.split("-")
        if len(ends) > 2 or not all(end.isdigit() and int(end) <= 65535 for end in ends):
            raise invalid(name)
    return value


def interface(value: str, name: str, device: Device) -> str:
    """Name (or id) of an existing interface; `all` where the device lists it."""
    found = device.interface_name(value)
    if found is None:
        raise no_match("interface")
    return found


def interface_list(value: str, name: str, device: Device) -> str:
    """Name of an existing interface list."""
    if device.table("/interface/list").named(value) is None:
        raise no_match(name)
    return value


def gateway(value: str, name: str, device: Device) -> str:
    """A route's gateway: address, interface name, or address%interface; several with commas."""
    for one in value.split(","):
        where, _, scope = one.partition("%")
        if scope and device.interface_name(scope) is None:
            raise no_match(name)
        try:
            ip_address(where)
        except ValueError:
            if device.interface_name(where) is None:
                raise no_match(name) from None
    return value


def within(address_text: str, network_text: str) -> bool:
    """True if the address lies in a matcher's value: address, network or range."""
    low, dash, high = network_text.partition("-")
    one = ip_address(address_text)
    if dash:
        first, last = ip_address(low), ip_address(high)
        return first.version == one.version == last.version and int(first) <= int(one) <= int(last)
    return one in ip_network(network_text, strict=False)


def overlaps(one: str, two: str) -> bool:
    """True if two prefixes share an address."""
    first, second = ip_network(one, strict=False), ip_network(two, strict=False)
    return int(first[0]) <= int(second[-1]) and int(second[0]) <= int(first[-1]) and first.version == second.version


for _what, _parsers in {
    "str": (text, present, label, key, interface, interface_list),
    "bool": (flag,),
    "array": (allowed_addresses,),
}.items():
    for _parser in _parsers:
        _is(_what, _parser)
