"""The menus of the simulated router that are not firewall (sheet sections 2 to 5)."""

from __future__ import annotations

from typing import Final

from .firewall_menus import FIREWALL
from .schema import COMMENT, DISABLED, DYNAMIC, INVALID, ORDERED, READ, SINGLE, UNSETTABLE, Field, Menu, shown
from .system_menus import SYSTEM
from .values import (
    address,
    allowed_addresses,
    choice,
    duration,
    either,
    flag,
    gateway,
    host,
    interface,
    interface_list,
    key,
    label,
    number,
    prefix,
    present,
    text,
)

PORT: Final = number(0, 65535)
KEEPALIVE: Final = duration(0, 65535)
SECRET_KEY: Final = either(choice("", "auto", "none"), key)

WIREGUARD: Final = Menu(
    "/interface/wireguard",
    (
        Field("name", label),
        Field("mtu", either(choice("auto"), number(0, 65536)), default="1420"),
        Field("listen-port", PORT),
        Field("private-key", either(choice(""), key), secret=True),
        shown("public-key"),
        Field("vrf", choice("main"), since=(7, 21), default="main"),
        shown("running"),
        DISABLED,
        COMMENT,
    ),
    ids="interface",
)

PEERS: Final = Menu(
    "/interface/wireguard/peers",
    (
        Field("interface", interface, required=True),
        Field("name", label, since=(7, 15)),
        Field("public-key", key, required=True),
        Field("private-key", SECRET_KEY, since=(7, 12), default="", secret=True),
        Field("preshared-key", SECRET_KEY, default="", secret=True),
        Field("endpoint-address", host, default=""),
        Field("endpoint-port", PORT, default="0"),
        shown("current-endpoint-address"),
        shown("current-endpoint-port"),
        Field("allowed-address", allowed_addresses, required=True),
        Field("persistent-keepalive", KEEPALIVE, absent=frozenset({"0s"})),
        Field("client-address", text, since=(7, 12), absent=frozenset({""})),
        Field("client-dns", text, since=(7, 12), absent=frozenset({""})),
        Field("client-endpoint", text, since=(7, 12), default=""),
        Field("client-keepalive", KEEPALIVE, since=(7, 12), absent=frozenset({"0s"})),
        Field("client-listen-port", PORT, since=(7, 12), absent=frozenset({"0"})),
        Field("client-allowed-address", text, since=(7, 21), default="::/0"),
        Field("is-responder", flag, since=(7, 15), until=(7, 17), absent=frozenset({"false"})),
        Field("responder", flag, since=(7, 17), absent=frozenset({"false"})),
        shown("rx", "0"),
        shown("tx", "0"),
        shown("last-handshake"),
        DISABLED,
        DYNAMIC,
        COMMENT,
    ),
    verbs=ORDERED,
)

_HARDWARE = (
    Field("name", label),
    Field("mtu", number(68, 65535), default="1500"),
    shown("running", "true"),
    DISABLED,
    COMMENT,
)

INTERFACES: Final = (
    Menu(
        "/interface",
        (Field("name", label), shown("type"), Field("mtu", number(0, 65535)), shown("running"), DISABLED, COMMENT),
        verbs=READ | {"set", "enable", "disable", "comment"},
    ),
    Menu("/interface/ethernet", _HARDWARE, verbs=READ | {"set", "enable", "disable", "comment"}, ids="interface"),
    Menu("/interface/bridge", _HARDWARE, ids="interface"),
    WIREGUARD,
    PEERS,
    Menu(
        "/interface/list",
        (
            Field("name", label, required=True),
            Field("include", default=""),
            Field("exclude", default=""),
            shown("builtin", "false"),
            DYNAMIC,
            COMMENT,
        ),
        verbs=READ | {"add", "set", "remove", "comment"},
    ),
    Menu(
        "/interface/list/member",
        (
            Field("list", interface_list, required=True),
            Field("interface", interface, required=True),
            DISABLED,
            DYNAMIC,
            COMMENT,
        ),
    ),
)

_ADVERTISED = (
    Field("advertise", flag, default="true"),
    Field("eui-64", flag, default="false"),
    Field("no-dad", flag, default="false"),
    Field("from-pool", default=""),
    Field("auto-link-local", flag, since=(7, 18), default="true"),
    Field("from-pool-policy", text, since=(7, 23), absent=frozenset({""})),
)

_ROUTE = (
    Field("gateway", gateway),
    Field("distance", number(1, 255), default="1"),
    Field("routing-table", choice("main"), default="main"),
    Field("scope", number(0, 255), default="30"),
    Field("target-scope", number(0, 255), default="10"),
    Field("check-gateway", choice("none", "arp", "ping", "bfd"), absent=frozenset({"none"})),
    Field("blackhole", present),
    Field("suppress-hw-offload", flag, until=(7, 21), default="false"),
    Field("vrf-interface", interface),
    shown("immediate-gw"),
    shown("active"),
    shown("inactive"),
    shown("static"),
    shown("connect"),
    DISABLED,
    DYNAMIC,
    COMMENT,
)

ADDRESSES: Final = (
    Menu(
        "/ip/address",
        (
            Field("address", address(4), required=True),
            Field("network", host),
            Field("broadcast", host, hidden=True),
            Field("netmask", host, hidden=True),
            Field("interface", interface, required=True),
            shown("actual-interface"),
            INVALID,
            shown("slave", "false", since=(7, 20)),
            shown("vrf", "main", since=(7, 20)),
            DISABLED,
            DYNAMIC,
            COMMENT,
        ),
    ),
    Menu(
        "/ipv6/address",
        (
            Field("address", address(6), required=True),
            Field("interface", interface, required=True),
            *_ADVERTISED,
            shown("actual-interface"),
            INVALID,
            shown("link-local", "false"),
            DISABLED,
            DYNAMIC,
            COMMENT,
        ),
    ),
    Menu(
        "/ip/route", (Field("dst-address", prefix(4), default="0.0.0.0/0"), Field("pref-src", host), *_ROUTE), verbs=UNSETTABLE
    ),
    Menu(
        "/ipv6/route",
        (Field("dst-address", prefix(6), default="::/0"), Field("pref-src", host, since=(7, 20)), *_ROUTE),
        verbs=UNSETTABLE,
    ),
    Menu(
        "/ip/settings", (Field("ip-forward", flag, default="true"), Field("rp-filter", default="no")), verbs=SINGLE, single=True
    ),
    Menu(
        "/ipv6/settings",
        (Field("disable-ipv6", flag, default="false"), Field("forward", flag, default="true")),
        verbs=SINGLE,
        single=True,
    ),
    Menu(
        "/routing/table",
        (Field("name", label, required=True), Field("fib", text), shown("invalid", "false"), DYNAMIC, COMMENT),
        verbs=READ,
    ),
)

MENUS: Final = {menu.path: menu for menu in (*INTERFACES, *ADDRESSES, *FIREWALL, *SYSTEM)}
