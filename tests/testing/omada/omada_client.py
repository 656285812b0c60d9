"""A client of the simulated controller for its own tests: plain HTTPS, nothing of fleet."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

from fleet.testing.omada import Application, OmadaSimulator
from fleet.testing.omada.curve import new_private_key, public_key_of


class Client:
    """One connection. `call` gives HTTP status and decoded body; the verbs give the `result` of a call that must succeed."""

    def __init__(self, simulator: OmadaSimulator, application: Application | None = None) -> None:
        self.simulator = simulator
        self.application = application or simulator.application
        context = ssl.create_default_context(cadata=simulator.certificate.certificate_pem)
        self._wire = http.client.HTTPSConnection(simulator.host, simulator.port, context=context, timeout=10)
        self.token = ""

    def close(self) -> None:
        self._wire.close()

    def raw(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        self._wire.request(method, path, None if body is None else json.dumps(body), sent)
        reply = self._wire.getresponse()
        return reply.status, reply.read()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        status, text = self.raw(method, path, body, Authorization=f"AccessToken={self.token}")
        return status, json.loads(text)

    def login(self) -> dict[str, Any]:
        path = "/openapi/authorize/token?grant_type=client_credentials"
        who = {
            "omadacId": self.simulator.omadac_id,
            "client_id": self.application.client_id,
            "client_secret": self.application.client_secret,
        }
        reply: dict[str, Any] = json.loads(self.raw("POST", path, who)[1])
        assert reply["errorCode"] == 0, reply
        self.token = reply["result"]["accessToken"]
        return dict(reply["result"])

    def path(self, rest: str, site: str = "site", version: int = 1) -> str:
        return f"/openapi/v{version}/{self.simulator.omadac_id}/sites/{self.simulator.sites[site].id}{rest}"

    def code(self, method: str, rest: str, body: object = None, *, version: int = 1, site: str = "site") -> int:
        """The errorCode; HTTP status must be 200."""
        status, reply = self.call(method, self.path(rest, site, version), body)
        assert status == 200, (status, reply)
        return int(reply["errorCode"])

    def result(self, method: str, rest: str, body: object = None, *, version: int = 1, site: str = "site") -> Any:
        """The result of a call that succeeds; None where there is none."""
        status, reply = self.call(method, self.path(rest, site, version), body)
        assert (status, reply["errorCode"]) == (200, 0), (status, reply)
        return reply.get("result")

    def rows(self, rest: str, *, version: int = 1, site: str = "site") -> list[dict[str, Any]]:
        return list(
            self.result("GET", f"{rest}{'&' if '?' in rest else '?'}page=1&pageSize=1000", version=version, site=site)["data"]
        )


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, five seconds at most."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "waited 5 s in vain"
        time.sleep(0.002)


def interface(**changes: object) -> dict[str, Any]:
    """InterfaceIn."""
    return {
        "name": "wg0",
        "status": True,
        "mtu": 1420,
        "listenPort": 51820,
        "localIp": "10.99.0.1",
        "privateKey": new_private_key(),
        **changes,
    }


def peer(interface_id: str, **changes: object) -> dict[str, Any]:
    """PeerIn, only what is required."""
    return {
        "name": "branch",
        "status": True,
        "interfaceId": interface_id,
        "publicKey": public_key_of(new_private_key()),
        "allowAddress": ["10.99.0.2/32"],
        "keepAlive": 0,
        **changes,
    }


def s2s(*peers: dict[str, Any], **changes: object) -> dict[str, Any]:
    """S2SIn with the fields of IPsec that the schema demands."""
    return {
        "name": "wg0",
        "status": True,
        "vpnType": 4,
        "mtu": 1420,
        "tunnelIp": "10.99.0.1",
        "servicePort": 51820,
        "privateKey": new_private_key(),
        "networkType": 0,
        "networkList": [],
        "peers": list(peers),
        "preSharedKey": "",
        "remoteIp": "",
        "remoteSubnet": [],
        "wans": [],
        "advancedSetting": {},
        **changes,
    }


def s2s_peer(**changes: object) -> dict[str, Any]:
    """A peer inside S2SIn."""
    return {
        "name": "branch",
        "status": True,
        "keepAlive": 0,
        "serverPublicKey": public_key_of(new_private_key()),
        "remoteSubnet": ["10.99.0.2/32"],
        **changes,
    }
