"""The older internal API that the web page uses: the same objects, its own paths, login and paging words (sheet 3).

Only what two tools call is here; exact replies are unverified, and field names equal those of generation 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .access import Application
from .codes import MEANINGS, Refused
from .gateway import Gateway
from .people import COOKIE
from .settings import Json, Peer, Tunnel
from .site import Site
from .web import Answered, Asked, as_json, body_of

if TYPE_CHECKING:
    from .controller import Controller

PATH: Final = re.compile(r"/(?P<omadacId>[0-9a-f]{32})/api/v2(?P<rest>/.*)")
SITE: Final = re.compile(r"/sites/(?P<site>[^/]+)(?P<rest>/.*)")
SAME: Final = (
    (re.compile(r"/setting/wireguard/peer(/[^/]+)?"), "/vpn/wireguard-peers"),
    (re.compile(r"/setting/wireguard(/[^/]+)?"), "/vpn/wireguards"),
    (re.compile(r"/setting/capacity()"), "/capacity"),
)
"""Paths under a site, and the operation of generation 1 that does the same."""


def answer(controller: Controller, asked: Asked, path: re.Match[str]) -> Answered:
    """One call of the web page. Raises Refused."""
    if path["omadacId"] != controller.omadac_id:
        raise Refused(-7131)
    if (asked.method, path["rest"]) == ("POST", "/login"):
        session, csrf = controller.people.log_in(body_of(asked))
        shown = {"errorCode": 0, "msg": MEANINGS[0], "result": {"token": csrf}}
        return as_json(shown, headers=(("Set-Cookie", f"{COOKIE}={session}; Path=/; Secure; HttpOnly"),))
    person = controller.people.person(asked.headers, csrf=-1200, session=-1200)
    place = SITE.fullmatch(path["rest"])
    if place is None:
        raise Refused(-1600)
    if (asked.method, place["rest"]) == ("GET", "/insight/wireguard"):
        site = controller.reachable(person, place["site"])
        return as_json({"errorCode": 0, "msg": MEANINGS[0], "result": _paged(asked, _insight(controller, site))})
    for pattern, operation in SAME:
        match = pattern.fullmatch(place["rest"])
        if match is not None:
            there = f"/openapi/v1/{controller.omadac_id}/sites/{place['site']}{operation}{match[1] or ''}"
            words = {"page": asked.query.get("currentPage", ""), "pageSize": asked.query.get("currentPageSize", "")}
            body = {} if asked.method == "GET" else body_of(asked)
            return as_json(_performed(controller, person, asked, there, words, body))
    raise Refused(-1600)


def _performed(controller: Controller, person: Application, asked: Asked, path: str, words: dict[str, str], body: Json) -> Json:
    try:
        return controller.perform(person, asked.method, path, words, body, by_hand=True)
    except Refused as refused:  # a verb that is wrong is -1600 here, not HTTP 405
        return controller.envelope(Refused(refused.code))


def _insight(controller: Controller, site: Site) -> list[Json]:
    """Peers of running tunnels. `lastHandshake` exists only here; its form is unverified: ms, or 0 for never."""
    if site.gateway is None:
        return []
    return [_insight_row(controller, site.gateway, tunnel, peer) for tunnel in site.gateway.running for peer in tunnel.peers]


def _insight_row(controller: Controller, gateway: Gateway, tunnel: Tunnel, peer: Peer) -> Json:
    seen = gateway.handshake(tunnel, peer)
    row: Json = {"name": peer.name, "interfaceName": tunnel.name}
    if seen is None:
        never = {"lastHandshake": 0, "downBytes": 0, "upBytes": 0}
        return {**row, "remoteIp": peer.end_point or "", "remotePort": peer.end_point_port or 0, **never}
    ago = controller.clock.now() - seen.at
    return {
        **row,
        "remoteIp": seen.endpoint[0],
        "remotePort": seen.endpoint[1],
        "lastHandshake": int((controller.wall() - ago) * 1000),
        "downBytes": seen.received,
        "upBytes": seen.sent,
    }


def _paged(asked: Asked, rows: list[Json]) -> Json:
    size = int(asked.query.get("currentPageSize", "10"))
    at = int(asked.query.get("currentPage", "1"))
    return {"totalRows": len(rows), "currentPage": at, "currentSize": size, "data": rows[(at - 1) * size : at * size]}
