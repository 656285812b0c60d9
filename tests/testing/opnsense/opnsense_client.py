"""A bare client of OPNsense's API for the simulator's own tests: bytes in, bytes out, one kept connection."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from fleet.testing.opnsense import KEY, SECRET, OpnsenseSimulator


@dataclass(frozen=True)
class Answer:
    """Status, headers with lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a box; `login` None sends no Authorization."""

    def __init__(self, box: OpnsenseSimulator, login: tuple[str, str] | None = (KEY, SECRET)) -> None:
        context = ssl.create_default_context(cadata=box.certificate.certificate_pem)
        self._connection = http.client.HTTPSConnection(box.host, box.port, timeout=10, context=context)
        self.login = login

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def raw(self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        sent = dict(headers or {})
        if self.login is not None and "Authorization" not in sent:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        self._connection.request(method, target, body=body, headers=sent)
        reply = self._connection.getresponse()
        text = reply.read().decode()
        return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, text)

    def get(self, action: str) -> Any:
        return self.raw("GET", f"/api/{action}").json

    def post(self, action: str, body: object = None) -> Any:
        octets = json.dumps({} if body is None else body).encode()
        return self.raw("POST", f"/api/{action}", octets, {"Content-Type": "application/json"}).json
