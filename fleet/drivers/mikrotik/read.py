"""One tagged burst of prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from ... import Link, Rejected, Reply, RouterError, Words
from . import marker, resolve, rights, rules
from .values import Row, parse_version

INTERFACES: Final = "/interface/wireguard"
PEERS: Final = "/interface/wireguard/peers"
ADDRESSES: Final = {4: "/ip/address", 6: "/ipv6/address"}
ROUTES: Final = {4: "/ip/route", 6: "/ipv6/route"}
RESOURCE: Final = "/system/resource"
CLOCK: Final = "/system/clock"
DEVICE_MODE: Final = "/system/device-mode"

OLDEST: Final = (7, 1)
"""The first RouterOS with WireGuard (sheet 3.3)."""

# The private key is never read: not needed, and where it is not masked it would cross the network.
_FIELDS: Final[Mapping[str, Sequence[str]]] = {
    RESOURCE: ("version", "board-name"),
    INTERFACES: (".id", "name", "mtu", "listen-port", "public-key", "disabled", "dynamic", "comment"),
    PEERS: (
        *(".id", "interface", "public-key", "allowed-address", "endpoint-address", "endpoint-port", "persistent-keepalive"),
        *("preshared-key", "disabled", "dynamic", "comment"),
        *("current-endpoint-address", "current-endpoint-port", "last-handshake", "rx", "tx"),
    ),
    **dict.fromkeys(ADDRESSES.values(), (".id", "address", "interface", "disabled", "dynamic", "invalid", "comment")),
    **dict.fromkeys(ROUTES.values(), (".id", "dst-address", "gateway", "routing-table", "disabled", "dynamic", "comment")),
    **dict.fromkeys(rules.MENUS, rules.RULE_FIELDS),
    resolve.MENU: resolve.FIELDS,
    CLOCK: ("date", "time", "gmt-offset"),
    DEVICE_MODE: ("mode", "scheduler"),
}

# Connected and learned routes may be many. "Not dynamic=true" and not "dynamic=false": an absent word must not hide a route.
_QUERIES: Final = dict.fromkeys(ROUTES.values(), ("?dynamic=true", "?#!"))

_OPTIONAL: Final = (
    *(CLOCK, DEVICE_MODE, resolve.MENU),
    *(rules.FILTER[6], rules.NAT[6], rules.MANGLE[6], ADDRESSES[6], ROUTES[6]),
)
"""Menus that a device mode or a missing IPv6 may hide. Without one, what needs it is a limit of this router."""

Rows: TypeAlias = Mapping[str, tuple[Row, ...]]


def print_request(menu: str) -> Words:
    """The print of one menu, limited to the fields that are used."""
    return Words(
        f"{menu}/print",
        ((".proplist", ",".join(_FIELDS[menu])),),
        _QUERIES.get(menu, ()),
        reads=True,
    )


def read_asked(link: Link) -> Rows:
    """Answers to what the target `asks` besides the configuration, in a burst of their own: the first one is full.

    Menus that this router refuses to show are left out. Raises RouterError.
    """
    target = link.target
    wanted = dict(rights.questions(target.username)) if "rights" in target.asks and target.username else {}
    if "marker" in target.asks:
        wanted[marker.MENU] = marker.question(target.overlay)
    if not wanted:
        return {}
    try:
        return {menu: _rows(reply) for menu, reply in zip(wanted, link.send_all(list(wanted.values())), strict=True)}
    except Rejected:
        return dict(_each(link, wanted))


def _each(link: Link, wanted: Mapping[str, Words]) -> Iterator[tuple[str, tuple[Row, ...]]]:
    for menu, request in wanted.items():
        with suppress(Rejected):
            yield menu, _rows(link.send(request))


def read_rows(link: Link) -> tuple[Rows, frozenset[str]]:
    """Rows by menu, and the menus this router does not have or does not show. One burst; more only after a refusal.

    Raises RouterError; for RouterOS before 7.1, or an account that may not read, with that as the reason.
    """
    try:
        replies = link.send_all([print_request(menu) for menu in _FIELDS])
        return {menu: _rows(reply) for menu, reply in zip(_FIELDS, replies, strict=True)}, frozenset()
    except Rejected:
        return _read_what_there_is(link)


def _read_what_there_is(link: Link) -> tuple[Rows, frozenset[str]]:
    try:
        rows = {RESOURCE: _rows(link.send(print_request(RESOURCE)))}
    except Rejected as refused:
        raise rights.unreadable(link.target.username, refused) from None
    refuse_old(rows[RESOURCE])
    needed = [menu for menu in _FIELDS if menu not in _OPTIONAL]
    replies = link.send_all([print_request(menu) for menu in needed])
    rows |= {menu: _rows(reply) for menu, reply in zip(needed, replies, strict=True)}
    missing = set()
    for menu in _OPTIONAL:
        try:
            rows[menu] = _rows(link.send(print_request(menu)))
        except Rejected:
            rows[menu] = ()
            missing.add(menu)
    return rows, frozenset(missing)


def refuse_old(resource: tuple[Row, ...]) -> tuple[int, ...]:
    """The version. Raises RouterError for one without WireGuard."""
    text = resource[0].get("version", "") if resource else ""
    version = parse_version(text)
    if version < OLDEST:
        raise RouterError(f"RouterOS {text} has no WireGuard", "upgrade the router to RouterOS 7.1 or later")
    return version


def _rows(reply: Reply) -> tuple[Row, ...]:
    return tuple(reply.rows)
