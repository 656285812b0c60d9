"""The firewall menus of the simulated router, IPv4 and IPv6 (sheet section 4)."""

from __future__ import annotations

from typing import Final

from .schema import COMMENT, DISABLED, DYNAMIC, INVALID, ORDERED_UNSETTABLE, UNSETTABLE, Field, Menu, shown
from .values import (
    choice,
    duration,
    either,
    flag,
    interface,
    interface_list,
    label,
    match_address,
    negated,
    number,
    ports,
    subset,
    text,
)

_PROTOCOLS = (
    "tcp", "udp", "icmp", "icmpv6", "gre", "ipsec-esp", "ipsec-ah", "igmp", "ospf", "vrrp", "l2tp", "ipencap", "udp-lite",
    "sctp", "dccp",
)  # fmt: skip
_STATES = ("established", "related", "untracked", "invalid", "new")

_ACTIONS = {
    "filter": (
        "accept", "drop", "reject", "jump", "return", "log", "passthrough", "fasttrack-connection",
        "add-src-to-address-list", "add-dst-to-address-list", "tarpit",
    ),
    "nat": (
        "accept", "masquerade", "src-nat", "dst-nat", "redirect", "netmap", "same", "jump", "return", "log", "passthrough",
        "add-src-to-address-list", "add-dst-to-address-list", "endpoint-independent-nat",
    ),
    "mangle": (
        "accept", "change-mss", "mark-connection", "mark-packet", "mark-routing", "jump", "return", "log", "passthrough",
        "change-ttl", "change-dscp", "fasttrack-connection", "add-src-to-address-list", "add-dst-to-address-list",
    ),
}  # fmt: skip


def _matchers(version: int) -> tuple[Field, ...]:
    return (
        Field("chain", label, required=True),
        Field("src-address", negated(match_address(version))),
        Field("dst-address", negated(match_address(version))),
        Field("protocol", negated(choice(*_PROTOCOLS))),
        Field("src-port", negated(ports)),
        Field("dst-port", negated(ports)),
        Field("in-interface", negated(interface)),
        Field("out-interface", negated(interface)),
        Field("in-interface-list", negated(interface_list)),
        Field("out-interface-list", negated(interface_list)),
        Field("src-address-list", negated(label)),
        Field("dst-address-list", negated(label)),
        Field("connection-state", negated(subset(*_STATES))),
        Field("connection-nat-state", negated(subset("srcnat", "dstnat"))),
        Field("connection-mark", negated(label)),
        Field("ipsec-policy", text),
        Field("icmp-options", text),
        Field("tcp-flags", text),
        Field("tcp-mss", text),
        Field("limit", text),
        Field("hop-limit", text),
        Field("jump-target", label),
        Field("log", flag, default="false"),
        Field("log-prefix", text, default=""),
        shown("bytes", "0"),
        shown("packets", "0"),
        INVALID,
        DISABLED,
        DYNAMIC,
        COMMENT,
    )


_OWN = {
    "filter": (Field("reject-with", label), Field("hw-offload", flag, since=(7, 2)), Field("address-list", label)),
    "nat": (
        Field("to-addresses", text),
        Field("to-ports", ports),
        Field("randomise-ports", flag),
        Field("address-list", label),
    ),
    "mangle": (
        Field("new-mss", either(choice("clamp-to-pmtu"), number(0, 65535))),
        Field("passthrough", flag),
        Field("new-connection-mark", label),
        Field("new-packet-mark", label),
        Field("new-routing-mark", label),
    ),
}


def _menu(family: str, kind: str) -> Menu:
    action = Field("action", choice(*_ACTIONS[kind]), default="accept")
    return Menu(
        f"/{family}/firewall/{kind}",
        (*_matchers(4 if family == "ip" else 6), action, *_OWN[kind]),
        verbs=ORDERED_UNSETTABLE,
    )


def _address_list(family: str) -> Menu:
    return Menu(
        f"/{family}/firewall/address-list",
        (
            Field("list", label, required=True),
            Field("address", match_address(4 if family == "ip" else 6), required=True),
            Field("timeout", duration(0, 86400 * 365)),
            shown("creation-time"),
            DISABLED,
            DYNAMIC,
            COMMENT,
        ),
        verbs=UNSETTABLE,
    )


FIREWALL: Final = (
    *(_menu(family, kind) for family in ("ip", "ipv6") for kind in ("filter", "nat", "mangle")),
    _address_list("ip"),
    _address_list("ipv6"),
)
