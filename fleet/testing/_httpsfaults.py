"""Troubles that the HTTPS server can play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class HttpFaults:
    """What goes wrong; read anew at every connection and request. Numbers of requests count from 1 over the server's life.

    `drop_at_connect`: the connection closes at once. `no_tls`: it opens and says nothing. `reset_before`, `reset_after`: the
    connection is reset before the handler saw that request, or when it has and its reply is due. `stall`: that request is
    handled and never answered. `truncate`: half of the reply, then the end. `trickle`: that reply comes byte by byte,
    `spacing` seconds apart. `statuses`: that request gets this status from something in front, the handler never sees it.
    `latency` in milliseconds before every reply. `requests_each`: the connection ends after so many replies, and
    `announced` says so in the last of them (`Connection: close`) or the client finds out by itself.
    """

    drop_at_connect: bool = False
    no_tls: bool = False
    reset_before: int | None = None
    reset_after: int | None = None
    stall: int | None = None
    truncate: int | None = None
    trickle: int | None = None
    spacing: float = 0.05
    statuses: Mapping[int, int] = field(default_factory=dict)
    latency: float = 0.0
    requests_each: int | None = None
    announced: bool = True
