"""How transports speak to one vendor, as data that a driver declares in its `dialect`.

Strings may hold `{name}`: a credential of the inventory (`{username}`, `{password}`, `{api_key}`, `{api_secret}`) or a value
that an earlier reply of the login gave (`Call.learns`). They are filled in by the transport, when it sends, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | None | tuple[Json, ...] | Mapping[str, Json]"


@dataclass(frozen=True, slots=True)
class Call:
    """One exchange of a login, a renewal or a logout.

    `body` is JSON, None for none. `learns` is a name and where its value is in the reply: a dotted path into the JSON
    (`result.accessToken`), `header:NAME` or `cookie:NAME`. A name in `optional` may be missing from the reply.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: Json = None
    learns: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rest:
    """How to speak to one vendor's REST API.

    base         put before every path (`/api`)
    basic        user and password of HTTP basic authentication; None: none
    headers      sent with every request once logged in (`("Authorization", "AccessToken={token}")`)
    login        calls that log in, in order; done once per endpoint, whatever the number of routers behind it
    path_names   learned names that paths of requests may hold (`/openapi/v1/{omadacId}/sites`)
    renew        the call that renews without credentials; the login is repeated when it fails, or when it is None
    logout       ends the login when the run ends
    code         dotted path of an application code in every JSON reply; empty: only the HTTP status counts
    message      dotted path of the words that go with it
    success      application codes that mean yes; others are Rejected
    expired      HTTP statuses and application codes that mean: log in again and repeat, nothing was done; with a `login` only
    denied       HTTP statuses and application codes that mean LoginFailed
    busy         HTTP statuses and application codes that mean: too fast, nothing was done; waited out and repeated
    unknown      HTTP statuses after which nobody knows what was done (a proxy gave up on the router)
    rate         requests per second that the endpoint takes from all that speak to it, None for any
    one_writer   writes to the endpoint go one after the other
    """

    base: str = ""
    basic: tuple[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    login: tuple[Call, ...] = ()
    path_names: tuple[str, ...] = ()
    renew: Call | None = None
    logout: Call | None = None
    code: str = ""
    message: str = ""
    success: frozenset[int | str] = frozenset({0})
    expired: frozenset[int | str] = frozenset({401})
    denied: frozenset[int | str] = frozenset({401, 403})
    busy: frozenset[int | str] = frozenset({429})
    unknown: frozenset[int] = frozenset({502, 503, 504})
    rate: float | None = None
    one_writer: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """A state of a command line that a dialogue can be held in: configuration mode.

    `enter` and `leave` are the commands into it and out of it; `abandon` replaces `leave` after a refusal (`exit discard`).
    """

    enter: tuple[str, ...]
    leave: tuple[str, ...]
    abandon: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cli:
    r"""How to speak to one vendor's interactive command line. Patterns are regular expressions.

    prompt    matches the end of what is on the screen when a command is awaited, in every mode (`\w+@\w+[#$] $`)
    prepare   commands sent first (paging off); their output is not judged
    errors    a command whose output matches one of these was refused; matched line by line
    modes     by name, what a `Dialogue` may ask for
    pager     what a pager shows while it waits; it is answered with a space and taken out of the output
    unsafe    characters that the line editor acts on (`?` completes), so that no command may hold them
    width, height   of the terminal, large so that nothing wraps or pages for want of room
    """

    prompt: str
    prepare: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    modes: Mapping[str, Mode] = field(default_factory=dict)
    pager: str = ""
    unsafe: frozenset[str] = frozenset("?\t")
    width: int = 511
    height: int = 1000
