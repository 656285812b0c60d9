"""The requests of one read: four of a site, two that all sites share, one more per tunnel of ours that has many peers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ... import Http, Link, Mark, RouterError
from . import api
from .api import Grid, Row
from .options import OmadaOptions
from .spelling import V1, V2, Spelling, sealed
from .unchanged import digest

INTERFACES: Final = "/vpn/wireguards"
PEERS: Final = "/vpn/wireguard-peers"
TUNNELS: Final = "/vpn/site-to-site-vpns"
STATUS: Final = "/setting/vpn/stats/s2s"
WIREGUARD: Final = ("filters.vpnType", "4")
AUTOMATIC: Final = 0
"""siteVpnType of a tunnel that the controller itself made between two of its sites."""

UNTOLD: Final = api.NO_SUCH_PATH | {-1, -1001, 400}
"""How a controller says that it has no statistics: they are no reason to fail a read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A tunnel as it was read, with its peers.

    `whole` False: one that is nobody's to write, and was not read whole. `digests` are those of its rows, by id.
    """

    row: Row
    peers: tuple[Row, ...] = ()
    whole: bool = True
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """As the controller calls it."""
        return str(self.row.get("id") or "")

    def ours(self, overlay: str) -> bool:
        """True if it, or a peer in it, carries our mark."""
        texts = [self.row.get("name"), *(peer.get("comment") for peer in self.peers)]
        return any(mark.overlay == overlay for text in texts if (mark := Mark.find(str(text or ""))) is not None)


@dataclass(frozen=True, slots=True)
class Status:
    """Runtime statistics: a row per tunnel, and of those that were asked for a row per peer. `told` False: there are none."""

    told: bool = False
    rows: tuple[Row, ...] = ()
    peers: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def of(self, found: Found) -> Row | None:
        """The row of a tunnel: by its id, or by its name (sheet 5)."""
        for name, value in (("vpnId", found.id), ("name", found.row.get("name"))):
            for row in self.rows:
                if value and row.get(name) == value:
                    return row
        return None


@dataclass(frozen=True, slots=True)
class Read:
    """One site as its controller shows it, secrets as Secret."""

    site: str
    gateway: Row
    spelling: Spelling
    tunnels: tuple[Found, ...]
    beside: Row
    status: Status
    incapable: bool = False
    guessed: bool = False


def read(link: Link) -> Read:
    """All of it. Raises RouterError, also for a site or gateway that is not there; Unparseable."""
    options = link.target.options
    assert isinstance(options, OmadaOptions)
    first = api.page(api.SITES, shared=True)
    (sites,) = api.grids(link, [first])
    rows = sites.rows if sites is not None else ()
    site = _site(rows, options.site or link.target.router, named=bool(options.site))
    probe = _probe(_id(rows[0]))
    spelling = V2 if api.missing(link.send(probe)) else V1
    seen = _read(link, _id(site), str(site.get("name") or ""), spelling, options)
    called = str(site.get("name") or "").casefold() in (options.site.casefold(), link.target.router.casefold())
    return replace(seen, guessed=not options.site and not called)


def _probe(site: str) -> Http:
    """Which generation the controller speaks, asked at its first site: one question for all (sheet 8)."""
    return api.page(api.of_site(site, INTERFACES), accept=api.NO_SUCH_PATH, shared=True)


def _read(link: Link, site: str, name: str, spelling: Spelling, options: OmadaOptions) -> Read:
    devices = api.page(api.of_site(site, "/devices"))
    status = api.page(api.of_site(site, STATUS), WIREGUARD, accept=UNTOLD)
    lists = _lists(site, spelling)
    answers = api.grids(link, [devices, *lists])
    if spelling is V1 and None in answers[1:]:
        return _read(link, site, name, V2, options)
    there, *grids = (answer or Grid() for answer in answers)
    gateway = _gateway(there.rows, options.gateway, name)
    found = _one_by_one(grids) if spelling is V1 else _whole(link, site, grids[0])
    ours = [one for one in found if one.ours(link.target.overlay)]
    # Whether the gateway can do it at all is of interest before the first write.
    incapable = not ours and _incapable(link, site)
    return Read(site, gateway, spelling, found, grids[-1].beside, _status(link, site, status, ours), incapable)


def _incapable(link: Link, site: str) -> bool:
    reply = link.send(api.ask(api.of_site(site, "/capacity"), accept=UNTOLD))
    able = None if api.missing(reply) else api.result(reply)
    return isinstance(able, Mapping) and able.get("wireguard") is False


def _lists(site: str, spelling: Spelling) -> list[Http]:
    if spelling is V1:
        return [api.page(api.of_site(site, path), accept=api.NO_SUCH_PATH) for path in (INTERFACES, PEERS)]
    return [api.page(api.of_site(site, TUNNELS, 2), WIREGUARD)]


def _one_by_one(grids: Sequence[Grid]) -> tuple[Found, ...]:
    """Generation 1: interfaces, and peers that name theirs."""
    interfaces, peers = grids
    inside: dict[object, list[Row]] = {}
    for peer in peers.rows:
        inside.setdefault(peer.get("interfaceId"), []).append(peer)
    return tuple(_found(row, inside.get(row.get("id"), ())) for row in interfaces.rows)


def _found(row: Row, peers: Sequence[Row]) -> Found:
    digests = {str(one.get("id")): digest(one) for one in (row, *peers)}
    return Found(sealed(row), tuple(map(sealed, peers)), digests=digests)


def _whole(link: Link, site: str, grid: Grid) -> tuple[Found, ...]:
    """Generation 2: a tunnel with its peers is one object."""
    summaries = [row for row in grid.rows if row.get("vpnType") in (4, None)]
    manual = [row for row in summaries if row.get("siteVpnType") != AUTOMATIC]
    replies = link.send_all([api.ask(tunnel_path(site, _id(row))) for row in manual])
    details = {_id(row): api.result(reply) for row, reply in zip(manual, replies, strict=True)}
    return tuple(_detailed(row, details.get(_id(row))) for row in summaries)


def tunnel_path(site: str, tunnel: str) -> str:
    """A tunnel of generation 2."""
    return api.of_site(site, api.part(TUNNELS + "/{}", tunnel), 2)


def _detailed(summary: Row, detail: object) -> Found:
    if not isinstance(detail, Mapping):
        return Found(summary, whole=False)
    whole = sealed({"id": summary.get("id"), **detail})
    peers = tuple(peer for peer in whole.get("peers") or () if isinstance(peer, Mapping))
    return Found(
        {name: value for name, value in whole.items() if name != "peers"},
        peers,
        digests={str(summary.get("id")): digest(detail)},
    )


# ------------------------------------------------------------------------------------------------------- statistics
def _status(link: Link, site: str, asked: Http, found: Sequence[Found]) -> Status:
    reply = link.send(asked)
    if api.missing(reply) or not isinstance(reply.data, Mapping) or reply.data.get("errorCode") != 0:
        return Status()
    beside = api.result(reply)
    if not isinstance(beside, Mapping) or beside.get("supportWireguardStatus") is False:
        return Status()  # the counts would mean nothing (sheet 5)
    status = Status(True, tuple(row for row in beside.get("data") or () if isinstance(row, Mapping)))
    rows = {one.id: row for one in found if (row := status.of(one)) is not None and len(one.peers) > 1}
    firsts = [
        api.page(api.of_site(site, api.part(STATUS + "/{}/peer", str(row.get("id")))), accept=UNTOLD) for row in rows.values()
    ]
    told = api.grids(link, firsts) if firsts else []
    return Status(True, status.rows, {one: grid.rows for one, grid in zip(rows, told, strict=True) if grid is not None})


# ----------------------------------------------------------------------------------------------------- what is meant
def _id(row: Row) -> str:
    return str(row.get("siteId") or row.get("id") or "")


def _site(rows: Sequence[Row], wanted: str, *, named: bool) -> Row:
    for row in rows:
        if wanted == _id(row):
            return row
    for same in (str, str.casefold):
        called = [row for row in rows if same(str(row.get("name") or "")) == same(wanted)]
        if len(called) == 1:
            return called[0]
    if len(rows) == 1 and not named:
        return rows[0]
    raise RouterError(
        f"the controller shows this application no site {wanted!r}" + _among(str(row.get("name")) for row in rows),
        "set `options: {site: NAME}`, or give the application the site, under Settings > Platform Integration",
    )


def _gateway(rows: Sequence[Row], wanted: str, site: str) -> Row:
    gateways = [row for row in rows if str(row.get("type") or "").lower() == "gateway"]
    if wanted:
        chosen = [row for row in gateways if wanted == row.get("name") or _mac(wanted) == _mac(str(row.get("mac") or ""))]
    else:
        chosen = gateways
    if len(chosen) == 1:
        return chosen[0]
    seen = _among(f"{row.get('name')} ({row.get('mac')})" for row in gateways)
    what = f"no gateway {wanted}" if wanted else "several gateways" if gateways else "no gateway"
    raise RouterError(
        f"site {site!r} has {what}{seen}",
        "set `options: {gateway: MAC}`" if gateways else "adopt the gateway in the controller, then run `fleet sync` again",
    )


def _mac(text: str) -> str:
    return text.replace(":", "-").upper()


def _among(names: Iterable[str]) -> str:
    some = sorted(names)
    more = f" and {len(some) - 5} more" if len(some) > 5 else ""
    return f": there is {', '.join(some[:5])}{more}" if some else ""
