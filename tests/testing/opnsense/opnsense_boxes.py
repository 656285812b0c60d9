"""Boxes for the simulator's tests: a started one with a client, and what is put on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opnsense_client import Client

from fleet.testing.ether import Clock
from fleet.testing.opnsense import OpnsenseSimulator
from fleet.testing.opnsense.keys import new_key, public_key

VERSIONS = ("24.7", "25.1", "25.7", "26.1", "26.7")
"""Those with captures."""
NOBODY = "00000000-0000-4000-8000-000000000000"


@contextmanager
def running(version: str = "26.7", **given: Any) -> Iterator[tuple[OpnsenseSimulator, Client]]:
    """A started box with a frozen clock and a client of root."""
    given.setdefault("clock", Clock(frozen=True) if "ether" not in given else None)
    with OpnsenseSimulator("box", version, **given) as box, Client(box) as client:
        yield box, client


def server(client: Client, **fields: str) -> str:
    """A new instance; its uuid."""
    private = fields.pop("privkey", None) or new_key()
    good = {
        "name": "hub",
        "privkey": private,
        "pubkey": public_key(private),
        "tunneladdress": "10.2.2.1/24",
        "disableroutes": "1",
    }
    found = client.post("wireguard/server/add_server", {"server": {**good, **fields}})
    return str(found["uuid"])


def peer(client: Client, **fields: str) -> str:
    """A new peer; its uuid."""
    good = {"name": "site", "pubkey": public_key(new_key()), "tunneladdress": "10.2.2.2/32"}
    found = client.post("wireguard/client/add_client", {"client": {**good, **fields}})
    return str(found["uuid"])


def reconfigure(client: Client) -> None:
    """Service on, everything applied."""
    client.post("wireguard/general/set", {"general": {"enabled": "1"}})
    assert client.post("wireguard/service/reconfigure") == {"result": "ok"}


def shown(client: Client) -> list[dict[str, Any]]:
    """Peers that run."""
    rows = client.get("wireguard/service/show")["rows"]
    return [row for row in rows if row["type"] == "peer"]
