"""Whether a tunnel lives is judged from handshakes on either end."""

from __future__ import annotations

import ipaddress

from fleet.driver import Live, Observed
from fleet.liveness import judge
from fleet.model import Endpoint, Fact, Interface, Peer, PublicKey

HQ, MUMBAI = PublicKey("A" * 43 + "="), PublicKey("B" * 42 + "A=")
FACTS = {"hq": Fact(HQ), "mumbai": Fact(MUMBAI)}
HOST = frozenset({ipaddress.ip_network("10.0.0.1/32")})
DIALS = {"wg0": Interface("wg0", peers={HQ: Peer(HQ, HOST, Endpoint("192.0.2.1", 51820), 25)})}
LISTENS = {"wg0": Interface("wg0", peers={MUMBAI: Peer(MUMBAI, HOST)})}
WANTED = {"hq": LISTENS, "mumbai": DIALS}


def seen(key: PublicKey, age: float | None) -> Observed:
    return Observed(stored={}, live={"wg0": {key: Live(age)}})


def verdict(observed: dict[str, Observed], wanted=WANTED) -> tuple[str, str]:
    [session] = judge([("hq", "mumbai")], FACTS, wanted, observed)
    return session.verdict, session.dialler


def test_a_handshake_seen_by_the_hub_alone_is_proof():
    assert verdict({"hq": seen(MUMBAI, 12)}) == ("alive", "mumbai")


def test_the_younger_of_the_two_ends_counts():
    assert verdict({"hq": seen(MUMBAI, 400), "mumbai": seen(HQ, 5)})[0] == "alive"


def test_no_handshake_where_somebody_keeps_alive_is_waiting_and_names_the_dialler():
    assert verdict({"hq": seen(MUMBAI, None), "mumbai": seen(HQ, None)}) == ("waiting", "mumbai")


def test_a_handshake_of_180_seconds_is_dead():
    assert verdict({"hq": seen(MUMBAI, 180)})[0] == "waiting"


def test_nobody_keeps_it_alive_so_silence_says_nothing():
    quiet = {"wg0": Interface("wg0", peers={HQ: Peer(HQ, HOST, Endpoint("192.0.2.1", 51820), 0)})}
    assert verdict({"hq": seen(MUMBAI, None)}, {"hq": LISTENS, "mumbai": quiet}) == ("idle", "")


def test_a_pair_of_which_neither_end_was_read_is_not_judged():
    assert judge([("hq", "mumbai")], FACTS, WANTED, {}) == []


def told(key: PublicKey, connected: bool | None) -> Observed:
    """A vendor that tells whether a session lives, and not since when."""
    return Observed(stored={}, live={"wg0": {key: Live(connected=connected)}})


def test_a_vendors_word_counts_where_no_age_is_told():
    assert verdict({"hq": told(MUMBAI, True)})[0] == "alive"
    assert verdict({"hq": told(MUMBAI, False)})[0] == "waiting"
    assert verdict({"hq": told(MUMBAI, None)})[0] == "waiting"


def test_an_age_at_the_other_end_says_more_than_a_vendors_word():
    assert verdict({"hq": told(MUMBAI, True), "mumbai": seen(HQ, 400)})[0] == "waiting"


def test_a_vendors_word_is_no_new_handshake():
    [session] = judge([("hq", "mumbai")], FACTS, WANTED, {"hq": told(MUMBAI, True)}, lambda one, other: 3.0)
    assert session.verdict == "waiting"
