"""One tagged burst of prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from ... import Link, Rejected, Reply, RouterError, Target, Words
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
    *(CLOCK, DEVICE_MODE, resolve.MENU, marker.MENU),
    *(rules.FILTER[6], rules.NAT[6], rules.MANGLE[6], ADDRESSES[6], ROUTES[6]),
)
"""Menus that a device mode or a missing IPv6 may hide. Without one, what needs it is a limit of this router."""

Rows: TypeAlias = Mapping[str, tuple[Row, ...]]

_NONE: Final[Rows] = {CLOCK: (), marker.MENU: ()}
"""Menus that not every read asks for."""


def print_request(menu: str) -> Words:
    """The print of one menu, limited to the fields that are used."""
    return Words(
        f"{menu}/print",
        ((".proplist", ",".join(_FIELDS[menu])),),
        _QUERIES.get(menu, ()),
        reads=True,
    )


def read_rights(link: Link) -> Rows:
    """What the account may do, if the target asks for it: a burst of its own, because the first one is full.

    Menus that this router refuses to show are left out. Raises RouterError.
    """
    target = link.target
    if "rights" not in target.asks or not target.username:
        return {}
    wanted = rights.questions(target.username)
    try:
        return _together(link, wanted)
    except Rejected:
        return dict(_each(link, wanted))


def _each(link: Link, wanted: Mapping[str, Words]) -> Iterator[tuple[str, tuple[Row, ...]]]:
    for menu, request in wanted.items():
        with suppress(Rejected):
            yield menu, _rows(link.send(request))


def requests_for(target: Target) -> dict[str, Words]:
    """The burst by menu: 16 prints, as many as may be in flight (sheet 1.4).

    Where the marker is asked for, it takes the place of the clock: the run that asks has read that before.
    """
    wanted = {menu: print_request(menu) for menu in _FIELDS}
    if "marker" in target.asks:
        del wanted[CLOCK]
        wanted[marker.MENU] = marker.question(target.overlay)
    return wanted


def read_rows(link: Link) -> tuple[Rows, frozenset[str]]:
    """Rows by menu, and the menus this router does not have or does not show. One burst; more only after a refusal.

    Raises RouterError; for RouterOS before 7.1, or an account that may not read, with that as the reason.
    """
    wanted = requests_for(link.target)
    try:
        return {**_NONE, **_together(link, wanted)}, frozenset()
    except Rejected:
        return _read_what_there_is(link, wanted)


def _together(link: Link, wanted: Mapping[str, Words]) -> Rows:
    return {menu: _rows(reply) for menu, reply in zip(wanted, link.send_all(list(wanted.values())), strict=True)}


def _read_what_there_is(link: Link, wanted: Mapping[str, Words]) -> tuple[Rows, frozenset[str]]:
    try:
        rows = {**_NONE, RESOURCE: _rows(link.send(wanted[RESOURCE]))}
    except Rejected as refused:
        raise rights.unreadable(link.target.username, refused) from None
    refuse_old(rows[RESOURCE])
    rows |= _together(link, {menu: request for menu, request in wanted.items() if menu not in _OPTIONAL})
    optional = {menu: request for menu, request in wanted.items() if menu in _OPTIONAL}
    shown = dict(_each(link, optional))
    missing = frozenset(optional) - frozenset(shown)
    return {**rows, **dict.fromkeys(missing, ()), **shown}, missing


def refuse_old(resource: tuple[Row, ...]) -> tuple[int, ...]:
    """The version. Raises RouterError for one without WireGuard."""
    text = resource[0].get("version", "") if resource else ""
    version = parse_version(text)
    if version < OLDEST:
        raise RouterError(f"RouterOS {text} has no WireGuard", "upgrade the router to RouterOS 7.1 or later")
    return version


def _rows(reply: Reply) -> tuple[Row, ...]:
    return tuple(reply.rows)
