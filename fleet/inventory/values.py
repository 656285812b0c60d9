"""How one value of an inventory is read: text -> the model's type, or a refusal with its cure.

Values that may hold `{name}` or `{labels.x}` are judged when these are filled in (`placeholders`), the others at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from ..model import NAME_PATTERN, PARKING, Endpoint, IPAddress, IPNetwork
from .placeholders import has_placeholder
from .problems import Refused, meant, shown


# ------------------------------------------------------------------------------------------------- plain values
def text_of(value: object) -> str:
    """One line of text. Raises Refused for numbers, lists and line breaks: quotes make a number a text."""
    if isinstance(value, bool | int | float):
        raise Refused(f"{value} is read as a number or switch, text is wanted", f'put it in quotes: "{value}"')
    if not isinstance(value, str):
        raise Refused(f"{_kind(value)} where text is wanted", "write one value")
    if "\n" in value:
        raise Refused(f"a line break in {shown(value)}", "write it on one line")
    if not value.strip():
        raise Refused("empty text", "give a value, or remove the key")
    return value


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return names.get(type(value), f"the value {shown(value)}")


def whole(low: int, high: int, what: str) -> Callable[[object], int]:
    """A reader of whole numbers within bounds; `what` names the thing and its unit."""

    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(f"{_kind(value) if not isinstance(value, bool) else value} is not a {what}", f"give {low} to {high}")
        if not low <= value <= high:
            raise Refused(f"{what} {value} is outside {low}..{high}", f"give {low} to {high}")
        return value

    return read


def switch(value: object) -> bool:
    """True or false, also in the words of older YAML (`yes`, `no`, `on`, `off`)."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise Refused(f"{_kind(value)} is neither true nor false", "write true or false")


def choice(*words: str) -> Callable[[object], object]:
    """A reader of one word out of a few."""

    def read(value: object) -> object:
        if value in words:
            return value
        cure = meant(str(value), words) if isinstance(value, str) else ""
        raise Refused(f"{_kind(value)} is not one of {', '.join(words)}", cure or f"write {' or '.join(words)}")

    return read


def as_list(value: object) -> object:
    """One value or a list of them, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def name(value: object) -> str:
    """A name of a router, jump, group or overlay."""
    text = text_of(value)
    if not re.fullmatch(NAME_PATTERN, text):
        raise Refused(
            f"{shown(text)} is not a name that every vendor can carry",
            "use 1 to 32 of a-z, 0-9 and -, a letter first, a letter or digit last" + _as_name(text),
        )
    return text


def slug(text: str) -> str:
    """A text made into a name, empty if nothing of it is left: `Mumbai Branch 2` -> `mumbai-branch-2`."""
    lowered = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    lowered = re.sub(r"^[^a-z]+", "", lowered)
    return lowered[:32].strip("-")


def _as_name(text: str) -> str:
    suggestion = slug(text)
    return f", for example {suggestion}" if suggestion and text.isprintable() and len(text) <= 40 else ""


def interface_name(value: object) -> str:
    """A network interface's name as Linux allows it, and careful about the first character."""
    text = text_of(value)
    if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_=+.-]{0,14}", text):
        raise Refused(f"{shown(text)} is not an interface name", "use 1 to 15 letters, digits, _ = + . -, for example wg0")
    return text


def username(value: object) -> str:
    """A login name."""
    text = text_of(value)
    if has_placeholder(text):
        return text
    if not re.fullmatch(r"[^\s'\"`$\\;|&<>(){}]{1,64}", text):
        raise Refused(f"{shown(text)} is not a login name", "use 1 to 64 characters without spaces, quotes and $ ; | & < > ( )")
    return text


def label_text(value: object) -> str:
    """The text of a label; any scalar as it is spelled."""
    if not isinstance(value, str):
        raise Refused(f"{_kind(value)} is not a label", "labels are `word: text`")
    if "\n" in value or len(value) > 256:
        raise Refused(f"a label of several lines or over 256 characters: {shown(value)}", "shorten it")
    return value


def label_key(value: object) -> str:
    """The word of a label, as `{labels.word}` can name it."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", value):
        raise Refused(f"{shown(value)} is not a word for a label", "use letters, digits, _ . -")
    return value


def days(value: object) -> int:
    """A number of days, `90d` or `12w`."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", value) if isinstance(value, str) else None
    if found:
        return int(found[1]) * (7 if found[2] == "w" else 1)
    raise Refused(f"{_kind(value)} is not an age", "write days or weeks: 90d, 12w")


def secret_id(value: object) -> str:
    """The fingerprint of a fleet secret: 16 hex digits."""
    if isinstance(value, int):
        raise Refused(f"{value} is read as a number", f'put it in quotes: "{value}"')
    text = text_of(value)
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        raise Refused("not the fingerprint of a fleet secret (16 hex digits)", "take the line that `fleet init` wrote")
    return text


# --------------------------------------------------------------------------------------------------- addresses
def address(value: object) -> IPAddress:
    """One host address without a prefix length."""
    text = text_of(value)
    if "/" in text:
        raise Refused(f"{shown(text)} has a prefix length", f"write the address alone, {shown(text.split('/')[0])}")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f"{shown(text)} is not an IP address", "write one host address, for example 10.100.0.7") from None


def prefix(value: object) -> IPNetwork:
    """A network with its length and without host bits."""
    text = text_of(value)
    if "/" not in text:
        raise Refused(f"{shown(text)} has no prefix length", "write address/length, for example 192.168.20.0/24")
    if "%" in text:
        raise Refused(f"{shown(text)} has a zone", "write the prefix without %")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Refused(f"{shown(text)} is not a prefix", "write address/length, for example 192.168.20.0/24") from None
    if network.network_address != ipaddress.ip_address(text.split("/")[0]):
        raise Refused(f"{shown(text)} has host bits set", f"write {network}")
    if isinstance(network, ipaddress.IPv4Network) and network.prefixlen and network.overlaps(PARKING):
        raise Refused(
            f"{network} lies in {PARKING}, where fleet parks peers", "use a private range: 10/8, 172.16/12, 192.168/16"
        )
    return network


def tunnel_prefix(value: object) -> IPNetwork:
    """A prefix that can be routed into the tunnel."""
    network = prefix(value)
    if network.prefixlen == 0:
        raise Refused(f"{network} would carry the tunnel's own packets", "list the prefixes that are really behind the tunnel")
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified:
        raise Refused(f"{network} is loopback, multicast or link-local and is never routed", "give a routable prefix")
    return network


def overlay_prefix(version: int) -> Callable[[object], IPNetwork]:
    """A reader of the overlay's own prefix of one family, large enough for two routers."""

    def read(value: object) -> IPNetwork:
        network = tunnel_prefix(value)
        if network.version != version:
            raise Refused(f"{network} is IPv{network.version}", f"write it under ipv{network.version}:")
        if network.prefixlen > network.max_prefixlen - 2:
            raise Refused(f"{network} has no room for two routers", f"use /{network.max_prefixlen - 2} or larger")
        return network

    return read


def host(value: object) -> str:
    """A DNS name or address to log in to, without port and brackets."""
    text = text_of(value)
    if has_placeholder(text):
        return text
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        return Endpoint(text, 1).host
    except ValueError:
        cure = "write a DNS name or an IP address"
        if re.fullmatch(r"[^:]+:[0-9]+|\[.*\]:[0-9]+", text):
            cure = "write the host alone, and its port as `port:`"
        raise Refused(f"{shown(text)} is not a host name or address", cure) from None


def endpoint(value: object) -> str:
    """`host:port` or `[IPv6]:port`, checked and returned as text."""
    text = text_of(value)
    if has_placeholder(text):
        return text
    try:
        parsed = Endpoint.parse(text)
    except ValueError as error:
        raise Refused(_sentence(error), "write host:port, 192.0.2.1:51820 or [2001:db8::1]:51820") from None
    if parsed.ip is not None and (parsed.ip.is_unspecified or parsed.ip.is_multicast):
        raise Refused(f"{shown(text)} cannot be dialled", "give the address that other routers reach from outside")
    return text


def _sentence(error: ValueError) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(error))
