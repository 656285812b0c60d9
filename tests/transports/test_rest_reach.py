"""Routers behind one controller, reached as a command reaches them: one login, shared questions, pins, a logout at the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from rest_server import KEY, SECRET, TOKEN, Controller

from fleet.driver import Driver, Observed, RouterPlan, Script
from fleet.errors import IdentityChanged
from fleet.inventory import load_text
from fleet.link import Http, Link
from fleet.plugins import Registry
from fleet.reach import Reach
from fleet.secrets import Resolver
from fleet.state import State, open_state
from fleet.testing.https import HttpsServer, self_signed
from fleet.transports.rest import RestTransport

SITES = Http("GET", "/openapi/v1/{controller}/sites", reads=True, shared=True)
OWN = Http("GET", "/openapi/v1/{controller}/own", reads=True)
WRITE = Http("POST", "/openapi/v1/{controller}/own", body={})

INVENTORY = """\
overlay: {{name: acme, ipv4: 10.100.0.0/24, preshared_keys: false}}
defaults: {{driver: toy, host: "{server.host}", port: {server.port}, api_key: "env:KEY", api_secret: "env:SECRET"}}
routers:
  hq: {{role: hub, endpoint: "192.0.2.1:51820", address: 10.100.0.1}}
  pune: {{address: 10.100.0.2}}
  mumbai: {{address: 10.100.0.3}}
"""
ROUTERS = ("hq", "pune", "mumbai")


class Toy(Driver):
    """One site of a controller."""

    name: ClassVar[str] = "toy"
    transport: ClassVar[str] = "rest"
    port: ClassVar[int] = 443
    dialect: ClassVar[object] = TOKEN

    def observe(self, link: Link) -> Observed:
        link.send_all([SITES, OWN])
        return Observed({})

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        return Script(())


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def server(controller: Controller) -> Iterator[HttpsServer]:
    with HttpsServer(controller) as server:
        yield server


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with open_state(f"sqlite:///{tmp_path}/state.db") as state:
        yield state


@contextmanager
def reaching(server: HttpsServer, state: State, tmp_path: Path) -> Iterator[Reach]:
    """The routers as one command reaches them."""
    registry = Registry({"toy": Toy}, {"rest": RestTransport})
    fleet = load_text(INVENTORY.format(server=server), registry.drivers)
    resolver = Resolver(tmp_path, environ={"KEY": KEY, "SECRET": SECRET})
    reach = Reach(fleet, registry=registry, state=state, resolver=resolver, known_hosts=tmp_path / "none")
    try:
        yield reach
    finally:
        reach.close()


def asked(server: HttpsServer, path: str) -> int:
    return sum(request.path.endswith(path) for request in server.seen)


def observe(reach: Reach) -> None:
    """All routers at once."""

    def one(name: str) -> None:
        router = reach.router(name)
        router.driver.observe(router.link)

    with ThreadPoolExecutor(len(ROUTERS)) as pool:
        list(pool.map(one, ROUTERS))


def test_all_routers_of_a_controller_log_in_once_and_ask_once_what_they_share(server, controller, state, tmp_path):
    with reaching(server, state, tmp_path) as reach:
        observe(reach)
    assert (controller.logins, asked(server, "/sites"), asked(server, "/own")) == (1, 1, 3)


def test_the_end_of_the_command_is_a_logout(server, controller, state, tmp_path):
    with reaching(server, state, tmp_path) as reach:
        observe(reach)
        assert controller.logouts == 0
    assert (controller.logouts, controller.valid) == (1, set())


def test_after_a_write_and_on_a_fresh_connection_the_shared_question_is_asked_again(server, state, tmp_path):
    with reaching(server, state, tmp_path) as reach:
        router = reach.router("pune")
        router.link.send(SITES)
        router.link.send(WRITE)
        router.link.fresh()
        router.link.send(SITES)
    assert asked(server, "/sites") == 2
    assert server.connections == 3  # before and after `fresh`, and for the logout


def test_the_certificate_of_the_first_contact_is_pinned_for_every_router(server, state, tmp_path):
    with reaching(server, state, tmp_path) as reach:
        observe(reach)
    pinned = {name: pins["tls"] for name, pins in state.identities("acme").items()}
    assert pinned == dict.fromkeys(ROUTERS, (server.fingerprint,))


def test_the_next_command_refuses_another_certificate(server, state, tmp_path):
    with reaching(server, state, tmp_path) as reach:
        observe(reach)
    server.certificate = self_signed("somebody else")
    with reaching(server, state, tmp_path) as reach, pytest.raises(IdentityChanged, match="pinned is"):
        reach.router("pune").link.send(SITES)
