"""Four reads, and what more is only asked for where it can matter."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ... import Http, Link, Reply, RouterError, Unparseable
from .api import CLIENTS, HISTORY, JOBS, MISSING, RULES, SERVERS, SHOW, get, tree
from .options import OpnsenseOptions
from .values import Record, endpoint, text

SERIES: Final = (
    ("26.7", "/interfaces/assignment/searchItem"),
    ("26.1", "/firewall/d_nat/searchRule"),
    ("25.1", "/auth/user/searchApiKey"),
    ("24.1", "/core/backup/providers"),
)
"""Endpoints that came with a release: whether they are there needs no right (sheet 1, 4 and 5)."""

RIGHTS: Final[Mapping[str, str]] = {
    RULES: "Firewall: Rules [new]",
    JOBS: "System: Settings: Cron",
    HISTORY: "Diagnostics: Configuration History",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `rules`, `jobs`: None if this release has none or the account may not see them.

    `series` is the newest release whose endpoints are there, empty if it was not asked for. `clock` is Unix time by the router,
    `here` by us.
    """

    servers: Mapping[str, Record]
    clients: Mapping[str, Record]
    shown: tuple[Mapping[str, Any], ...]
    rules: tuple[Mapping[str, Any], ...] | None
    jobs: tuple[Mapping[str, Any], ...] | None = None
    history: tuple[Mapping[str, Any], ...] | None = None
    clock: float | None = None
    here: float = 0.0
    series: str = ""
    denied: tuple[str, ...] = ()


def read(link: Link) -> Reading:
    """Instances, peers, what runs, and rules: four requests. Jobs too where an endpoint is a name or an undo is installed.

    Raises RouterError.
    """
    options = link.target.options if isinstance(link.target.options, OpnsenseOptions) else OpnsenseOptions()
    asks = "rights" in link.target.asks
    more = [JOBS, HISTORY] if options.watchdog else [JOBS] if asks else []
    wanted = [get(SERVERS), get(CLIENTS), get(SHOW), *(get(path, optional=True) for path in (RULES, *more))]
    servers, clients, show, rules, *others = link.send_all(wanted)
    extra = dict(zip(more, others, strict=True))
    _is_wireguard(servers)
    _is_whole({"server": servers, "client": clients, "rows": show})
    found = tree(clients.data, "client", "clients", "client")
    if JOBS not in extra and any(_is_named(client) for client in found.values()):
        extra[JOBS] = link.send(get(JOBS, optional=True))
    denied = tuple(path for path, reply in {RULES: rules, **extra}.items() if reply.code == 403)
    return Reading(
        servers=tree(servers.data, "server", "servers", "server"),
        clients=found,
        shown=_rows(show, "rows") or (),
        rules=_rows(rules, "rows"),
        jobs=_rows(extra[JOBS], "rows") if JOBS in extra else None,
        history=_rows(extra[HISTORY], "items") if HISTORY in extra else None,
        clock=servers.date,
        here=time.time(),
        series=_series(link) if asks else "",
        denied=tuple(RIGHTS[path] for path in denied),
    )


def _is_wireguard(reply: Reply) -> None:
    if reply.code in MISSING:
        raise RouterError(
            f"there is no WireGuard API (HTTP {reply.code})",
            "on 23.x install the plugin os-wireguard under System > Firmware; from 24.1 it is there: check `host` and `port`",
        )


def _is_whole(replies: Mapping[str, Reply]) -> None:
    """What is no answer must not pass for "nothing there". Raises Unparseable."""
    for name, reply in replies.items():
        if not isinstance(reply.data, Mapping) or name not in reply.data:
            raise Unparseable(f"a reply that should hold {name} of WireGuard does not", type(reply.data).__name__)


def _is_named(client: Record) -> bool:
    host = text(client, "serveraddress")
    there = endpoint(host, "") if host else None
    return there is not None and there.ip is None


def _rows(reply: Reply, name: str) -> tuple[Mapping[str, Any], ...] | None:
    """Rows of a grid; None for an endpoint that is not there or not allowed."""
    if reply.code >= 400 or not isinstance(reply.data, Mapping):
        return None
    rows = reply.data.get(name)
    return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, Sequence) else ()


def _series(link: Link) -> str:
    probes = [Http("GET", path, reads=True, accept=MISSING | {403, 500}) for _, path in SERIES]
    there = [reply.code not in MISSING for reply in link.send_all(probes)]
    return next((series for (series, _), yes in zip(SERIES, there, strict=True) if yes), "23.7")
