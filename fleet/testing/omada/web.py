"""Between the HTTPS server of the kit and the controller: one callback decides every answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ..certificates import Certificate
from ..https import HttpReply, HttpRequest, HttpsServer
from .codes import invalid
from .settings import Json

Manner: TypeAlias = Literal["whole", "reset", "half", "stall"]
LARGEST: Final = 1_000_000
"""Bytes of a request body; more is HTTP 413 (sheet 1.7)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request. Header names in lower case; a query parameter given twice counts once, the last."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """One HTTP reply, and how it leaves: whole, torn (half), or not at all (reset, stall)."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json;charset=UTF-8"
    manner: Manner = "whole"
    headers: tuple[tuple[str, str], ...] = ()


Answer: TypeAlias = Callable[[Asked], Answered]


def as_json(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answered:
    """A JSON reply."""
    return Answered(status, json.dumps(value, separators=(",", ":")).encode(), headers=headers)


def body_of(asked: Asked) -> Json:
    """The JSON object that was sent; none counts as an empty one. Raises Refused for anything else."""
    if not asked.body:
        return {}
    if not asked.headers.get("content-type", "").startswith("application/json"):
        raise invalid("content type")
    try:
        body = json.loads(asked.body)
    except ValueError:
        raise invalid("body") from None
    if not isinstance(body, dict):
        raise invalid("body")
    return body


class WebServer:
    """Serves `answer` on 127.0.0.1."""

    def __init__(self, answer: Answer, certificate: Certificate, port: int = 0) -> None:
        self._answer = answer
        self._server = HttpsServer(self._handle, certificate=certificate, port=port)
        self.port = self._server.port

    @property
    def connections(self) -> int:
        """How many were accepted so far."""
        return self._server.connections

    def present(self, certificate: Certificate) -> None:
        """Show this certificate from now on, and hang up on everybody."""
        self._server.certificate = certificate
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection at once."""
        self._server.drop_connections()

    def pause(self) -> None:
        """The controller is off: nothing listens."""
        self._server.pause()

    def resume(self) -> None:
        """It is back, on the same port."""
        self._server.resume()

    def close(self) -> None:
        """Stop for good."""
        self._server.close()

    def _handle(self, request: HttpRequest) -> HttpReply:
        if len(request.body) > LARGEST:
            return HttpReply(413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        answered = self._answer(Asked(request.method, request.path, dict(request.query), headers, request.body))
        if answered.manner != "whole":
            self._spoil(request, answered.manner)
        return HttpReply(answered.status, answered.body, (("Content-Type", answered.content_type), *answered.headers))

    def _spoil(self, request: HttpRequest, manner: Manner) -> None:
        """Tell the server, which counts requests, what is to become of this one's reply."""
        seen = self._server.seen
        number = 1 + next(place for place in range(len(seen) - 1, -1, -1) if seen[place] is request)
        faults = self._server.faults
        match manner:
            case "reset":
                faults.reset_after = number
            case "half":
                faults.truncate = number
            case _:
                faults.stall = number
