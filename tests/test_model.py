"""The nouns refuse what cannot be meant, and compare by value."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import key, net, nets

from fleet.changes import SetPeer, same
from fleet.model import (
    HIDDEN,
    MANAGE_KEY,
    MANAGED,
    DerivedKey,
    Endpoint,
    Interface,
    ListenPort,
    Management,
    Mark,
    Peer,
    PublicKey,
    Secret,
    sorted_networks,
)

VALUE = "kP3oT0b5cTqG1mYwz0Kx5y6YQ0m0w3uJ8m7hJm1xS2o="


# --------------------------------------------------------------------------------------------------------- secrets
@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>20}".format, "%s".__mod__, lambda secret: repr([secret])])
def test_a_secret_never_shows(show) -> None:  # type: ignore[no-untyped-def]
    assert VALUE not in show(Secret(VALUE))
    assert "***" in show(Secret(VALUE))


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret(VALUE))


def test_a_secret_inside_a_peer_does_not_show_in_its_repr() -> None:
    assert VALUE not in repr(Peer(key("a"), preshared_key=Secret(VALUE)))


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE


# ------------------------------------------------------------------------------------------------------------ keys
@pytest.mark.parametrize(
    "text", ["", "short", VALUE[:-1], VALUE + "=", "!" + VALUE[1:], VALUE[:-2] + "p=", "a" * 44, VALUE + "\n"]
)
def test_what_is_no_public_key_cannot_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a WireGuard public key"):
        PublicKey(text)


def test_a_public_key_has_one_spelling() -> None:
    # The last character before "=" carries two unused bits: "o" and "p" decode to the same 32 bytes.
    assert PublicKey(VALUE) == VALUE
    with pytest.raises(ValueError, match="not a WireGuard public key"):
        PublicKey(VALUE.replace("o=", "p="))


# ----------------------------------------------------------------------------------------------------------- marks
def test_a_mark_reads_as_people_see_it() -> None:
    assert str(Mark("acme", "mumbai")) == "fleet:acme:mumbai"
    assert str(Mark("acme", "mumbai", 3)) == "fleet:acme:mumbai:3"


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True),
    st.integers(0, 10**9 - 1),
    st.sampled_from(("", "call Ravi first; ", "(", "x ")),
    st.sampled_from(("", " since 2019", ")", ", do not touch")),
)
def test_a_mark_is_found_in_whatever_people_wrote_around_it(
    overlay: str, name: str, epoch: int, before: str, after: str
) -> None:
    mark = Mark(overlay, name, epoch)
    assert Mark.find(f"{before}{mark}{after}") == mark


@pytest.mark.parametrize(
    "text", ["", "fleet", "fleet:acme", "fleet:Acme:x", "myfleet:acme:x", "fleet:acme:x-", "fleet:acme:x:y:1:2"]
)
def test_what_only_looks_like_a_mark_is_none(text: str) -> None:
    assert Mark.find(text) is None


# ------------------------------------------------------------------------------------------------------- endpoints
@pytest.mark.parametrize("text", ["vpn.example.com:51820", "192.0.2.1:1", "[2001:db8::1]:65535"])
def test_an_endpoint_prints_as_it_was_written(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["vpn", "vpn:", ":51820", "vpn:0", "vpn:65536", "2001:db8::1:51820", "a b:1", "$(id):1", "-x:1", "vpn:٣", "[::1]x:1"],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each for its own reason
        Endpoint.parse(text)


def test_an_endpoint_knows_whether_it_must_be_resolved() -> None:
    assert Endpoint.parse("vpn.example.com:1").ip is None
    assert str(Endpoint.parse("[2001:db8::1]:1").ip) == "2001:db8::1"


# ----------------------------------------------------------------------------------------- peers and interfaces
def test_a_peer_without_allowed_ips_or_only_parked_ones_is_parked() -> None:
    assert Peer(key("a")).parked
    assert Peer(key("a"), nets("198.18.0.1/32")).parked
    assert not Peer(key("a"), nets("198.18.0.1/32", "10.0.0.0/8")).parked


def test_keepalive_is_off_or_up_to_sixteen_bits_of_seconds() -> None:
    with pytest.raises(ValueError, match="keepalive"):
        Peer(key("a"), persistent_keepalive=65536)


def test_a_peer_is_filed_under_its_own_key() -> None:
    with pytest.raises(ValueError, match="is filed under"):
        Interface("wg0", peers={key("a"): Peer(key("b"))})


@pytest.mark.parametrize("name", ["", "a" * 16, "wg 0", "wg/0", "wg0\n"])
def test_a_name_that_linux_refuses_is_no_interface_name(name: str) -> None:
    with pytest.raises(ValueError, match="not an interface name"):
        Interface(name)


def test_an_interface_cannot_be_changed_through_the_mapping_it_was_made_from() -> None:
    peers = {key("a"): Peer(key("a"))}
    interface = Interface("wg0", peers=peers)
    peers.clear()
    assert interface.peers.keys() == {key("a")}
    with pytest.raises(TypeError):
        interface.peers[key("b")] = Peer(key("b"))  # type: ignore[index]


# -------------------------------------------------------------------------------------------------------- openings
def test_a_new_port_opens_beside_the_old_one_and_a_new_source_replaces() -> None:
    assert ListenPort(1).identity != ListenPort(2).identity
    assert Management(22, nets("10.0.0.0/8")).identity == Management(22, nets("10.1.0.0/16")).identity


def test_every_kind_of_opening_can_be_opted_out_of() -> None:
    assert set(MANAGE_KEY.values()) == MANAGED - {"routes", "resolve"}


def test_networks_are_shown_ipv4_first_and_by_address() -> None:
    assert list(map(str, sorted_networks(nets("fd00::/8", "10.0.0.0/8", "9.0.0.0/8", "10.0.0.0/16")))) == [
        "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "fd00::/8",
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------- preshared keys
@pytest.mark.parametrize(
    ("seen", "wanted", "equal"),
    [
        (None, None, True),
        (None, Secret(VALUE), False),
        (Secret(VALUE), None, False),
        (Secret(VALUE), Secret(VALUE), True),
        (Secret(VALUE), Secret("other"), False),
        (Secret(VALUE), DerivedKey(4), True),
        (HIDDEN, Secret(VALUE), True),
        (HIDDEN, DerivedKey(0), True),
        (HIDDEN, None, False),
        (HIDDEN, HIDDEN, True),
    ],
)
def test_a_preshared_key_is_compared_as_far_as_it_is_known(seen: object, wanted: object, equal: bool) -> None:
    mark = Mark("acme", "a")
    one, other = (Peer(key("a"), preshared_key=psk, mark=mark) for psk in (seen, wanted))  # type: ignore[arg-type]
    assert same("preshared_key", one, other) is equal


def test_a_hidden_preshared_key_proves_nothing_without_our_mark() -> None:
    seen, wanted = Peer(key("a"), preshared_key=HIDDEN), Peer(key("a"), preshared_key=Secret(VALUE), mark=Mark("acme", "a"))
    assert SetPeer(interface="wg0", old=seen, wanted=wanted).differing == {"preshared_key", "mark"}


def test_a_change_line_never_shows_a_preshared_key() -> None:
    change = SetPeer(
        interface="wg0", old=Peer(key("a")), wanted=Peer(key("a"), nets("10.0.0.0/8"), preshared_key=Secret(VALUE))
    )
    assert str(change).endswith("allowed IPs none (parked) -> 10.0.0.0/8, preshared key set")
    assert VALUE not in repr(change)


def test_a_long_list_of_allowed_ips_is_shortened_in_a_line() -> None:
    wanted = Peer(key("a"), frozenset(net(f"10.{i}.0.0/16") for i in range(9)))
    assert "10.3.0.0/16 and 5 more" in str(SetPeer(interface="wg0", old=Peer(key("a")), wanted=wanted))
