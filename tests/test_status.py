"""What one read of the hubs tells about every router."""

from __future__ import annotations

import ipaddress

import pytest

from fleet.driver import Live, Observed
from fleet.errors import LoginFailed, Unreachable
from fleet.model import Endpoint, Fact, Fleet, Interface, Overlay, PublicKey, Router
from fleet.status import RouterStatus, exit_code, status, tunnel_class

HQ, MUMBAI, PUNE = (PublicKey(letter * 42 + "A=") for letter in "ABC")
FLEET = Fleet(
    Overlay("acme", ipv4=ipaddress.IPv4Network("10.100.0.0/20")),
    {"mumbai": Router("mumbai", "mikrotik"), "hq": Router("hq", "mikrotik", "hub"), "pune": Router("pune", "mikrotik")},
)
FACTS = {
    name: Fact(key, (ipaddress.ip_address(f"10.100.0.{number}"),))
    for number, (name, key) in enumerate({"hq": HQ, "mumbai": MUMBAI, "pune": PUNE}.items(), 1)
}


def read(**lives: Live) -> Observed:
    """A router whose peers are these."""
    keys = {"hq": HQ, "mumbai": MUMBAI, "pune": PUNE}
    return Observed(stored={"wg0": Interface("wg0", HQ)}, live={"wg0": {keys[name]: live for name, live in lives.items()}})


def rows(observed, facts=FACTS, errors=None) -> dict[str, RouterStatus]:
    return {row.router: row for row in status(FLEET, facts, observed, errors or {})}


def test_hubs_come_first_and_the_others_in_the_order_of_the_file():
    assert list(rows({})) == ["hq", "mumbai", "pune"]


def test_one_read_of_the_hub_tells_about_every_spoke():
    found = rows({"hq": read(mumbai=Live(10.0, 300, 200, Endpoint("203.0.113.7", 40000)), pune=Live(None))})
    assert (found["mumbai"].tunnel, found["mumbai"].seen_from, found["mumbai"].endpoint) == ("alive", "hq", "203.0.113.7:40000")
    assert found["pune"].tunnel == "never"
    assert found["hq"].tunnel == "alive"


def test_bytes_are_from_the_routers_own_point_of_view():
    found = rows({"hq": read(mumbai=Live(10.0, received=300, sent=200))})
    assert (found["mumbai"].received, found["mumbai"].sent) == (200, 300)


def test_of_several_ends_the_one_with_the_newest_handshake_tells():
    found = rows({"hq": read(mumbai=Live(170.0)), "pune": read(mumbai=Live(3.0))})
    assert (found["mumbai"].handshake_age, found["mumbai"].seen_from) == (3.0, "pune")


def test_a_spoke_whose_hub_was_not_read_tells_about_itself():
    found = rows({"mumbai": read(hq=Live(5.0))})
    assert (found["mumbai"].tunnel, found["mumbai"].seen_from) == ("alive", "mumbai")


def test_what_nobody_read_is_unread_and_its_error_is_kept():
    found = rows({}, errors={"hq": "no TCP connection"})
    assert (found["hq"].tunnel, found["hq"].error) == ("unread", "no TCP connection")


def test_a_router_without_a_key_is_not_enrolled():
    assert rows({"hq": read()}, {**FACTS, "pune": Fact()})["pune"].tunnel == "not enrolled"


@pytest.mark.parametrize(
    ("age", "tunnel"),
    [(None, "never"), (0.0, "alive"), (179.9, "alive"), (180.0, "stale"), (299.9, "stale"), (300.0, "down"), (9e9, "down")],
)
def test_a_tunnel_is_alive_to_180_seconds_and_stale_to_300(age, tunnel):
    assert tunnel_class(age) == tunnel


def test_a_foreign_peer_is_nobodys_status():
    stranger = PublicKey("D" * 42 + "A=")
    observed = Observed(stored={}, live={"wg0": {stranger: Live(1.0)}})
    assert rows({"hq": observed})["hq"].tunnel == "never"


def test_exit_codes_tell_up_from_not_up_from_failed():
    up = [RouterStatus("hq", "mikrotik", "hub", "", "alive"), RouterStatus("goa", "mikrotik", "spoke", "", "suspended")]
    down = [*up, RouterStatus("pune", "mikrotik", "spoke", "", "never")]
    assert exit_code(up) == 0
    assert exit_code(down) == 6
    assert exit_code(down, [Unreachable("no TCP connection")]) == 6
    assert exit_code(down, [LoginFailed("wrong password")]) == 1
