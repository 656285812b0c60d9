"""What the observe script prints, read strictly."""

from __future__ import annotations

import ipaddress

import pytest
from wg_quick_host import key, mark, private_key

from fleet import HIDDEN, Endpoint, Unparseable
from fleet.driver import Observed
from fleet.drivers.wg_quick.driver import WgQuickDriver
from fleet.drivers.wg_quick.frames import read_frames
from fleet.drivers.wg_quick.listing import Listing, opening_named, read_listing
from fleet.drivers.wg_quick.read import observed
from fleet.model import ClampMss, Forward, ListenPort, Management, NoMasquerade, Route

CONF = f"""@file wg0.conf abc
=[Interface]
=# fleet:acme:hq
=Address = 10.100.0.1/20
=ListenPort = 51820
=PostUp = sh "$FLEET_ROOT/etc/wireguard/fleet-%i.sh" up
=[Peer]
=# fleet:acme:mumbai:2
=PublicKey = {key(1)}
=PresharedKey = {private_key(9).reveal()}
=AllowedIPs = 10.100.0.2/32
=[Peer]
=PublicKey = {key(7)}
!13 PresharedKey
@boot wg0 enabled
@key wg0 conf
@key wg0 key {key(3)}
@helper wg0 feed
@file fleet-wg0.list def
=mark fleet:acme:hq
=route 192.168.20.0/24 fleet:acme:mumbai
=listen-port 51820 -
@openings wg0
live listen-port/51820
"""
DUMP = f"""@dump 1000
wg0\t(hidden)\t{key(3)}\t51820\toff
wg0\t{key(1)}\t{private_key(9).reveal()}\t198.51.100.7:4500\t10.100.0.2/32\t960\t10\t20\toff
wg0\t{key(7)}\t(hidden)\t(none)\t(none)\t0\t0\t0\t25
@link
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue
5: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue
7: eth0@if8: <BROADCAST,UP> mtu 1500 qdisc noqueue
@address
5: wg0    inet 10.100.0.1/20 scope global wg0
5: wg0    inet6 fe80::1/64 scope link
7: eth0    inet 203.0.113.5/24 brd 203.0.113.255 scope global eth0
9: ppp0    inet 203.0.113.9 peer 198.51.100.1/32 scope global ppp0
@route wg0
10.100.0.0/20 kernel
192.168.20.0/24 87
172.16.0.0/12 boot
192.168.99.0/24 87
"""


def answer(*sections: str) -> str:
    tools = "wg=wireguard-tools v1.0 - https://x\ntools=bash wg-quick nft\n"
    system = f"@system\nkernel=Linux 6.1 x86_64\nos=Debian\n{tools}writable=yes\n"
    return "@fleet 1\n" + system + "".join(sections) + "@end\n"


def seen(*sections: str) -> Observed:
    return observed(read_frames(answer(*sections)), WgQuickDriver.limits, "acme", ("wg0",), sudo=False)


def test_stored_and_running_are_normalised_alike() -> None:
    both = seen(CONF, DUMP)
    assert both.running is not None
    stored, running = both.stored["wg0"], both.running["wg0"]
    assert stored.public_key == running.public_key == key(3)
    assert stored.peers[key(1)].preshared_key == running.peers[key(1)].preshared_key == private_key(9)
    assert stored.addresses == running.addresses
    assert stored.openings == running.openings == {"listen-port/51820": ListenPort(51820)}


def test_the_epoch_of_a_mark_is_read_and_carried_to_the_running_view() -> None:
    both = seen(CONF, DUMP)
    assert both.running is not None
    assert both.stored["wg0"].peers[key(1)].mark == both.running["wg0"].peers[key(1)].mark == mark_of(2)


def mark_of(epoch: int) -> object:
    return type(mark())("acme", "mumbai", epoch)


def test_a_learned_endpoint_is_live_and_not_configuration() -> None:
    both = seen(CONF, DUMP)
    assert both.running is not None
    assert both.running["wg0"].peers[key(1)].endpoint is None
    assert both.live["wg0"][key(1)].endpoint == Endpoint("198.51.100.7", 4500)


def test_the_age_of_a_handshake_is_told_by_the_routers_clock() -> None:
    live = seen(CONF, DUMP).live["wg0"]
    assert (live[key(1)].handshake_age, live[key(7)].handshake_age) == (40.0, None)


def test_a_preshared_key_of_a_foreign_peer_is_hidden_in_both_views() -> None:
    both = seen(CONF, DUMP)
    assert both.running is not None
    assert both.stored["wg0"].peers[key(7)].preshared_key is both.running["wg0"].peers[key(7)].preshared_key is HIDDEN


def test_routes_of_others_through_the_tunnel_are_not_reported_and_left_over_ones_of_ours_are() -> None:
    both = seen(CONF, DUMP)
    assert both.running is not None
    assert {str(prefix): route.mark for prefix, route in both.running["wg0"].routes.items()} == {
        "192.168.20.0/24": mark("mumbai"),
        "192.168.99.0/24": mark("hq"),
    }


def test_connected_prefixes_leave_out_tunnels_and_single_addresses() -> None:
    assert seen(CONF, DUMP).connected == (ipaddress.ip_network("203.0.113.0/24"),)


@pytest.mark.parametrize("gone", ["@helper wg0 feed\n", '=PostUp = sh "$FLEET_ROOT/etc/wireguard/fleet-%i.sh" up\n'])
def test_routes_and_openings_that_nobody_would_make_at_boot_are_not_stored(gone: str) -> None:
    text = CONF.replace(gone, "").replace("!13", "!12" if gone.startswith("=") else "!13")
    stored = seen(text, DUMP).stored["wg0"]
    assert (dict(stored.routes), dict(stored.openings)) == ({}, {})


def test_an_interface_that_does_not_come_up_at_boot_is_stored_as_disabled() -> None:
    assert seen(CONF.replace("enabled", "disabled"), DUMP).stored["wg0"].disabled


def test_an_opening_that_misses_a_rule_does_not_run() -> None:
    both = seen(CONF.replace("live listen", "dead listen"), DUMP)
    assert both.running is not None
    assert both.running["wg0"].openings == {}


def test_an_endpoint_on_a_link_local_address_is_read_without_its_zone() -> None:
    live = seen(CONF, DUMP.replace("198.51.100.7:4500", "[fe80::7%eth0]:4500")).live["wg0"]
    assert live[key(1)].endpoint == Endpoint("fe80::7", 4500)


def test_a_broken_list_is_written_again_and_no_error() -> None:
    assert seen(CONF.replace("=listen-port 51820 -", "=listen-port many"), DUMP).stored["wg0"].openings == {}


def test_a_broken_file_of_ours_is_an_error_that_names_it() -> None:
    with pytest.raises(Unparseable, match=r"wg0\.conf is ours and not understood"):
        seen(CONF.replace("10.100.0.1/20", "10.100.0.1/99"), DUMP)


def test_a_missing_bash_forbids_new_interfaces_with_a_sentence() -> None:
    frames = read_frames(answer(CONF, DUMP).replace("tools=bash ", "tools="))
    limits = observed(frames, WgQuickDriver.limits, "acme", ("wg0",), sudo=False).limits
    assert [limit.sentence for limit in limits.cannot if "AddInterface" in limit.forbids] == [
        "bash is missing, which brings interfaces up: install bash"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "something else"),
        ("Welcome to Ubuntu\n@fleet 1\n@end\n", "something else"),
        ("@fleet 1\n@dump 1\n", "breaks off"),
        ("@fleet 1\n@surprise\n@end\n", "'surprise'"),
        ("@fleet 1\n@dump 1\nwg0\tx\n@end\n", "'dump 1'"),
        ("@fleet 1\n@file wg0.conf abc\n=a\n!7 PrivateKey\n@end\n", "wg0.conf"),
        ("@fleet 1\n@route wg0\nnonsense 87\n@end\n", "route wg0"),
        ("@fleet 1\n@link\n1: lo: <UP>\n@end\n", "link"),
    ],
)
def test_an_answer_that_is_not_understood_says_which_part(text: str, says: str) -> None:
    with pytest.raises(Unparseable) as error:
        read_frames(text)
    assert says in error.value.summary


def test_a_broken_dump_never_quotes_a_secret() -> None:
    secret = private_key(9).reveal()
    with pytest.raises(Unparseable) as error:
        read_frames(f"@fleet 1\n@dump 1\nwg0\t(hidden)\t{secret}x\t1\toff\n@end\n")
    assert secret not in str(error.value)


def test_observed_shows_no_secret_in_its_repr() -> None:
    assert private_key(9).reveal() not in repr(seen(CONF, DUMP))


# ---------------------------------------------------------------------------------------------------------- lists
def test_a_list_that_is_written_reads_back_the_same() -> None:
    lan = ipaddress.ip_network("192.168.1.0/24")
    openings = (
        ListenPort(51820, ipaddress.ip_network("198.51.100.0/24")),
        Forward("lan", "tunnel", frozenset({lan, ipaddress.ip_network("fd01::/64")})),
        Forward("tunnel", "tunnel"),
        NoMasquerade(frozenset({lan})),
        ClampMss(1412),
        Management(22, frozenset({lan})),
    )
    listing = Listing(
        mark(), {lan: Route(lan, mark("pune"))}, {opening.identity: opening for opening in openings}, reresolve=True
    )
    assert read_listing(listing.text(["wg0", "wg1"])) == listing


def test_openings_are_recognised_by_their_identity_alone() -> None:
    names = ("listen-port/51820", "forward/tunnel-lan", "no-masquerade", "clamp-mss", "management/22")
    assert [opening_named(name, {}).identity for name in names] == list(names)


def test_an_opening_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not understood"):
        opening_named("teleport/9", {})
