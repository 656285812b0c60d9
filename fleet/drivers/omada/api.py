"""Paths, requests and pages of the Open API, and how to log in to it (sheet 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from ... import Http, Link, Reply, Unparseable
from ...dialects import Call, Rest
from ...link import Body
from . import refused

Row: TypeAlias = Mapping[str, Any]
"""An object of the controller, its secrets as Secret."""

DIALECT: Final = Rest(
    headers=(("Authorization", "AccessToken={token}"),),
    login=(
        Call("GET", "/api/info", learns={"omadacId": "result.omadacId"}),
        Call(
            "POST",
            "/openapi/authorize/token",
            query=(("grant_type", "client_credentials"),),
            body={"omadacId": "{omadacId}", "client_id": "{api_key}", "client_secret": "{api_secret}"},
            learns={"token": "result.accessToken"},
        ),
    ),
    # A token that is over is asked for again, not refreshed: not every controller gives a refresh token, and it would go with
    # the secret in the address, which proxies log (sheet 1.3, 1.4).
    renew=None,
    path_names=("omadacId",),
    code="errorCode",
    message="msg",
    # -1200 and a page of HTML: a session that ended (sheet 1.7, 3).
    expired=frozenset({401, -44112, -44113, -1200, "html"}),
    denied=frozenset({401, 403, -44106, -44111, -44116, -44118, -7131}),
    busy=frozenset({429, -7132}),
    rate=10.0,  # per controller, whatever the number of sites (sheet 1.7)
    one_writer=True,  # most operations have a limit on concurrency, too (sheet 1.7)
)

SITES: Final = "/openapi/v1/{omadacId}/sites"

PAGE: Final = 1000
"""The largest page there is (sheet 1.7)."""

NO_SUCH_PATH: Final = frozenset({-1600, 404, 405})
"""How a controller says that it does not have an operation (sheet 8)."""


def of_site(site: str, path: str, version: int = 1) -> str:
    """The path of an operation on a site; the version is of the operation, not of the controller (sheet 10.7)."""
    return f"/openapi/v{version}/{{omadacId}}/sites/{quote(site, safe='')}{path}"


def part(path: str, *ids: str) -> str:
    """A path with ids in it, as they may stand in one."""
    return path.format(*(quote(one, safe="") for one in ids))


def ask(path: str, *query: tuple[str, str], accept: frozenset[int] = frozenset(), shared: bool = False) -> Http:
    """A read. What the controller may refuse it with is put into words by `refused`."""
    return Http("GET", path, query, accept=accept | refused.READS, reads=True, shared=shared)


def page(path: str, *query: tuple[str, str], accept: frozenset[int] = frozenset(), shared: bool = False) -> Http:
    """The first page of a list."""
    return ask(path, *query, ("page", "1"), ("pageSize", str(PAGE)), accept=accept, shared=shared)


def write(method: str, path: str, body: Body = None) -> Http:
    """A write. A create that answers -1 may have worked all the same: the next read tells (sheet 10.3)."""
    return Http(method, path, body=body, accept=refused.WRITES | (refused.CREATES if method == "POST" else frozenset()))


def missing(reply: Reply) -> bool:
    """True if the controller does not have what was asked, or not in this version."""
    return reply.code in NO_SUCH_PATH or (isinstance(reply.data, Mapping) and reply.data.get("errorCode") in NO_SUCH_PATH)


def result(reply: Reply) -> Any:
    """What stands in the envelope. Raises Unparseable for a reply that is none."""
    if not isinstance(reply.data, Mapping):
        raise Unparseable("the controller answers with something that is not its envelope", reply.text[:80])
    return reply.data.get("result")


@dataclass(frozen=True, slots=True)
class Grid:
    """All rows of a list, and what stands beside them in its first page."""

    rows: tuple[Row, ...] = ()
    beside: Row = field(default_factory=dict)


def grids(link: Link, firsts: Sequence[Http]) -> list[Grid | None]:
    """The lists that these first pages begin, each to its end; None for one that the controller does not have."""
    return [
        None if missing(reply) else _whole(link, first, reply)
        for first, reply in zip(firsts, link.send_all(firsts), strict=True)
    ]


def _whole(link: Link, first: Http, reply: Reply) -> Grid:
    beside = result(reply)
    if not isinstance(beside, Mapping):
        return Grid()
    rows = list(_rows(beside))
    number, total = 1, _count(beside)
    while len(rows) < total:
        number += 1
        query = tuple((name, str(number) if name == "page" else value) for name, value in first.query)
        more = list(_rows(result(link.send(replace(first, query=query)))))
        if not more:
            break  # fewer than were counted: somebody deletes meanwhile
        rows += more
    return Grid(tuple(rows), {name: value for name, value in beside.items() if name != "data"})


def _rows(page: object) -> Iterator[Row]:
    data = page.get("data") if isinstance(page, Mapping) else None
    yield from (row for row in data or () if isinstance(row, Mapping))


def _count(page: Row) -> int:
    total = page.get("totalRows")
    return total if isinstance(total, int) else 0
