"""What the words of `wg`, `ip` and `ping` mean, for every driver that works on a shell."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from fleet import Endpoint, Probe, Reply
from fleet.drivers import shell
from fleet.errors import Unparseable
from fleet.testing.cases import public_key

KEY, OWN = public_key("far"), public_key("own")


def dump(endpoint: str = "(none)", preshared: str = "(none)", handshake: int = 0) -> list[str]:
    return [
        f"wg0\t(hidden)\t{OWN}\t51820\toff",
        f"wg0\t{KEY}\t{preshared}\t{endpoint}\t10.100.0.2/32,192.168.20.0/24\t{handshake}\t92\t180\t25",
    ]


def test_a_link_local_endpoint_is_read_without_its_zone() -> None:
    peer = shell.read_dump(dump("[fe80::1%eth0]:51820"))["wg0"].peers[KEY]
    assert peer.endpoint == Endpoint("fe80::1", 51820)


def test_a_peer_that_never_shook_hands_has_no_age() -> None:
    assert shell.read_dump(dump())["wg0"].live(1000)[KEY].handshake_age is None
    assert shell.read_dump(dump(handshake=900))["wg0"].live(1000)[KEY].handshake_age == 100.0


def test_a_preshared_key_that_stayed_on_the_router_is_hidden_and_no_secret() -> None:
    peer = shell.read_dump(dump(preshared="(hidden)"))["wg0"].peers[KEY]
    assert (peer.hidden, peer.preshared) == (True, None)


def test_a_line_with_other_columns_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="fields"):
        shell.read_dump([*dump(), "wg0\tsomething"])


def test_the_length_of_a_point_to_point_address_stands_behind_its_peer() -> None:
    lines = [
        "3: ppp0    inet 10.64.0.2 peer 10.64.0.1/32 scope global ppp0",
        "2: eth0    inet 192.168.1.1/24 brd 192.168.1.255",
    ]
    assert shell.read_addresses(lines) == {"ppp0": [ip_interface("10.64.0.2/32")], "eth0": [ip_interface("192.168.1.1/24")]}


def test_link_local_addresses_are_the_kernels_own() -> None:
    assert shell.read_addresses(["2: eth0    inet6 fe80::1/64 scope link"]) == {}


def test_connected_prefixes_leave_out_tunnels_loopback_and_single_hosts() -> None:
    addresses = {
        "lo": [ip_interface("127.0.0.1/8")],
        "wg0": [ip_interface("10.100.0.1/20")],
        "ppp0": [ip_interface("10.64.0.2/32")],
        "eth0": [ip_interface("192.168.1.1/24")],
    }
    assert shell.connected(addresses, {"wg0"}) == (ip_network("192.168.1.0/24"),)


@pytest.mark.parametrize("received", ["3 packets received", "3 received"], ids=["busybox", "iputils"])
def test_both_pings_are_understood(received: str) -> None:
    ask = shell.ping(Probe(ip_interface("10.100.0.1").ip))
    said = f"3 packets transmitted, {received}, 0% packet loss\nround-trip min/avg/max = 0.8/0.9/1.0 ms\n"
    result = ask.parse((Reply(text=said),))
    assert (result.sent, result.received, result.milliseconds) == (3, 3, 0.9)


def test_a_ping_that_says_something_else_is_not_taken_for_an_answer() -> None:
    with pytest.raises(Unparseable):
        shell.ping(Probe(ip_interface("10.100.0.1").ip)).parse((Reply(text="ping: bad address"),))


def test_what_is_shown_of_an_error_holds_no_key_and_no_prefix_of_ours() -> None:
    assert (
        shell.last_said(f"noise\nfleet: wg0: Key is not the correct length: {KEY}\n")
        == "wg0: Key is not the correct length: ***"
    )


def test_a_plan_s_name_is_one_word_of_the_shell() -> None:
    with pytest.raises(ValueError, match="not a plan's name"):
        shell.plan_word("x; rm -rf /")
