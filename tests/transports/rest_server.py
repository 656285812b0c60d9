"""A small HTTPS router for tests of the rest transport, and sessions with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fleet.dial import direct
from fleet.dialects import Call, Rest
from fleet.errors import RouterError
from fleet.link import Access, Address, Http, Reply, Session
from fleet.model import Secret
from fleet.testing.https import HttpHandler, HttpReply, HttpRequest, HttpsServer, json_reply
from fleet.transports import Dial
from fleet.transports.rest import RestTransport

BASIC = Rest(base="/api", basic=("{api_key}", "{api_secret}"))

KEY, SECRET = "key/one+two", "s3cr/et+value=="

TOKEN = Rest(
    headers=(("Authorization", "AccessToken={token}"),),
    login=(
        Call("GET", "/api/info", learns={"controller": "result.omadacId"}),
        Call(
            "POST",
            "/openapi/authorize/token",
            query=(("grant_type", "client_credentials"),),
            body={"omadacId": "{controller}", "client_id": "{api_key}", "client_secret": "{api_secret}"},
            learns={"token": "result.accessToken", "refresh": "result.refreshToken"},
            optional=frozenset({"refresh"}),
        ),
    ),
    path_names=("controller",),
    renew=Call(
        "POST",
        "/openapi/authorize/token",
        query=(("grant_type", "refresh_token"), ("client_secret", "{api_secret}"), ("refresh_token", "{refresh}")),
        learns={"token": "result.accessToken", "refresh": "result.refreshToken"},
    ),
    logout=Call("POST", "/logout", headers=(("Authorization", "AccessToken={token}"),)),
    code="errorCode",
    message="msg",
    expired=frozenset({401, -44112, -44113}),
    busy=frozenset({429, -7132}),
)


def access(server: HttpsServer, dialect: Rest = BASIC, **changes: object) -> Access:
    """How to log in to a server, its certificate pinned."""
    known: dict[str, Any] = {
        "api_key": Secret(KEY),
        "api_secret": Secret(SECRET),
        "tls_fingerprint": server.fingerprint,
        "dialect": dialect,
    }
    return Access("pune", (Address(server.host, server.port),), **{**known, **changes})


def connect(server: HttpsServer, dialect: Rest = BASIC, *, dial: Dial = direct, **changes: object) -> Session:
    """A session of its own."""
    return RestTransport(connect_timeout=5).connect(access(server, dialect, **changes), dial)


@contextmanager
def talking(handler: HttpHandler, dialect: Rest = BASIC, **options: Any) -> Iterator[tuple[HttpsServer, Session]]:
    """A server and a session with it."""
    with HttpsServer(handler, **options) as server:
        session = connect(server, dialect)
        try:
            yield server, session
        finally:
            session.close()


def one(session: Session, request: Http) -> Reply | RouterError:
    """The answer to one request."""
    return session.send([request])[0]


def says(value: object, status: int = 200) -> HttpHandler:
    """A handler with one answer."""
    return lambda request: json_reply(value, status)


class Controller:
    """A controller with tokens: one login at `/openapi/authorize/token`, everything else needs its token."""

    def __init__(self) -> None:
        self.issued = 0
        self.valid: set[str] = set()
        self.refresh: str | None = None
        self.logins = self.renewals = self.logouts = 0
        self.lifetime: int | None = None

    def __call__(self, request: HttpRequest) -> HttpReply:
        if request.path == "/api/info":
            return json_reply({"errorCode": 0, "result": {"omadacId": "c0ffee"}})
        if request.path == "/openapi/authorize/token":
            return self._token(request)
        token = request.header("Authorization").removeprefix("AccessToken=")
        if token not in self.valid:
            return json_reply({"errorCode": -44112, "msg": f"The access token {token} has expired."})
        if request.path == "/logout":
            self.logouts += 1
            self.valid.discard(token)
            return json_reply({"errorCode": 0, "msg": "Success."})
        return json_reply({"errorCode": 0, "msg": "Success.", "result": {"path": request.path}})

    def expire(self) -> None:
        """Every token given so far is over."""
        self.valid.clear()

    def _token(self, request: HttpRequest) -> HttpReply:
        if request.argument("grant_type") == "refresh_token":
            right = request.argument("refresh_token") == self.refresh and self.refresh is not None
            self.renewals += 1
        else:
            right = request.json() == {"omadacId": "c0ffee", "client_id": KEY, "client_secret": SECRET}
            self.logins += 1
        if not right:
            return json_reply({"errorCode": -44106, "msg": "The client id or client secret is invalid."})
        self.issued += 1
        token, self.refresh = f"AT-{self.issued:06}", f"RT-{self.issued:06}"
        self.valid.add(token)
        return json_reply({"errorCode": 0, "result": {"accessToken": token, "refreshToken": self.refresh}})


def refused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
