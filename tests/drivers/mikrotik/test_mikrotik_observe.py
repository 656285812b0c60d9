"""What the rows of a router mean. Sections are of the vendor sheet."""

from __future__ import annotations

import ipaddress
from typing import cast

import pytest
from mikrotik_rows import DRIVER, KEY, MUMBAI, PUNE, RowLink, hub, observe, wg0

from fleet import HIDDEN, Endpoint, ListenPort, Mark, Rejected, RouterError, Secret, Unparseable, Words


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def test_everything_is_read_in_one_burst_of_at_most_16() -> None:
    link = RowLink(hub())
    DRIVER.observe(link)
    assert len(link.bursts) == 1
    assert len(link.bursts[0]) <= 16


def test_every_print_names_the_fields_it_wants() -> None:
    link = RowLink(hub())
    DRIVER.observe(link)
    assert all(dict(cast("Words", request).attributes).get(".proplist") for request in link.bursts[0])


def test_a_private_key_is_never_asked_for() -> None:
    link = RowLink(hub())
    DRIVER.observe(link)
    assert not any("private-key" in request.native() for request in link.bursts[0])


def test_reading_is_marked_as_safe_to_repeat() -> None:
    link = RowLink(hub())
    DRIVER.observe(link)
    assert all(request.reads for request in link.bursts[0])


def test_an_interface_with_its_address_routes_and_mark() -> None:
    interface = wg0(hub())
    assert (interface.public_key, interface.listen_port, interface.mtu, interface.mark) == (
        KEY,
        51820,
        1420,
        Mark("acme", "hq"),
    )
    assert interface.addresses == {ipaddress.ip_interface("10.100.0.1/20")}
    assert {prefix: route.mark for prefix, route in interface.routes.items()} == {
        network("192.168.20.0/24"): Mark("acme", "mumbai")
    }


def test_one_view_only() -> None:
    assert observe(hub()).running is None


def test_version_and_model() -> None:
    seen = observe(hub())
    assert (seen.version, seen.model) == ("7.20.8 (stable)", "hEX")


def test_the_clock_of_the_router() -> None:
    assert observe(hub()).clock == 1795514400


def test_a_hidden_preshared_key_is_hidden_and_an_empty_one_is_none() -> None:
    peers = wg0(hub()).peers
    assert peers[MUMBAI].preshared_key is HIDDEN
    assert peers[PUNE].preshared_key is None


def test_a_shown_preshared_key_is_a_secret() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][0]["preshared-key"] = "c2VjcmV0"
    assert wg0(menus).peers[MUMBAI].preshared_key == Secret("c2VjcmV0")


def test_a_shown_preshared_key_is_not_kept_among_the_drivers_own_notes() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][0]["preshared-key"] = "c2VjcmV0"
    assert "c2VjcmV0" not in repr(observe(menus).native)


def test_a_peer_without_endpoint_and_one_with_a_name() -> None:
    peers = wg0(hub()).peers
    assert peers[MUMBAI].endpoint is None
    assert peers[PUNE].endpoint == Endpoint("pune.example.com", 51820)


def test_an_absent_keepalive_is_off() -> None:
    peers = wg0(hub()).peers
    assert (peers[MUMBAI].persistent_keepalive, peers[PUNE].persistent_keepalive) == (0, 25)


def test_marks_are_found_inside_longer_comments() -> None:
    peers = wg0(hub()).peers
    assert peers[MUMBAI].mark == Mark("acme", "mumbai")
    assert peers[PUNE].mark == Mark("acme", "pune", 2)


def test_live_facts_stand_apart() -> None:
    live = observe(hub()).live["wg0"]
    assert (live[MUMBAI].handshake_age, live[MUMBAI].received, live[MUMBAI].sent) == (105, 8395000, 58834536)
    assert live[MUMBAI].endpoint == Endpoint("203.0.113.9", 51209)
    assert (live[PUNE].handshake_age, live[PUNE].endpoint) == (None, None)


def test_one_key_on_two_interfaces_is_two_peers() -> None:
    seen = observe(hub())
    assert seen.stored["free-turn-wg"].peers[MUMBAI].mark is None
    assert seen.live["free-turn-wg"][MUMBAI].handshake_age == 14


def test_dynamic_peers_belong_to_the_router() -> None:
    assert set(wg0(hub()).peers) == {MUMBAI, PUNE}


def test_a_disabled_peer_is_said_to_be() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][0]["disabled"] = "true"
    assert wg0(menus).peers[MUMBAI].disabled


@pytest.mark.parametrize("word", ["disabled", "invalid"])
def test_an_address_that_does_not_work_is_absent(word: str) -> None:
    menus = hub()
    menus["/ip/address"][2][word] = "true"
    assert wg0(menus).addresses == frozenset()


def test_a_disabled_route_is_absent() -> None:
    menus = hub()
    menus["/ip/route"][1]["disabled"] = "true"
    assert not wg0(menus).routes


def test_a_route_in_another_table_is_not_ours() -> None:
    menus = hub()
    menus["/ip/route"][1]["routing-table"] = "guests"
    assert not wg0(menus).routes


def test_of_two_routes_to_one_prefix_the_marked_one_counts() -> None:
    menus = hub()
    row = {**menus["/ip/route"][1], ".id": "*9"}
    del row["comment"]
    menus["/ip/route"].append(row)
    assert [route.mark for route in wg0(menus).routes.values()] == [Mark("acme", "mumbai")]


def test_connected_prefixes_are_those_outside_wireguard() -> None:
    assert observe(hub()).connected == (network("192.168.1.0/24"), network("198.51.100.0/28"))


def test_an_mtu_of_auto_is_no_number() -> None:
    menus = hub()
    menus["/interface/wireguard"][0]["mtu"] = "auto"
    assert wg0(menus).mtu is None


def test_a_foreign_interface_with_an_odd_name_does_not_hide_the_others() -> None:
    menus = hub()
    menus["/interface/wireguard"][1]["name"] = "Büro Köln (alt)"
    seen = observe(menus)
    assert set(seen.stored) == {"wg0"}
    assert "Büro Köln (alt)" in seen.notes[0]


def test_the_interface_of_back_to_home_is_the_routers_own() -> None:
    menus = hub()
    menus["/interface/wireguard"].append({".id": "*60", "name": "back-to-home-vpn", "dynamic": "true", "listen-port": "36000"})
    seen = observe(menus)
    assert (set(seen.stored), seen.notes) == ({"wg0", "free-turn-wg"}, ())


def test_a_foreign_peer_without_a_key_does_not_hide_the_others() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][2]["public-key"] = ""
    assert not observe(menus).stored["free-turn-wg"].peers


def test_nothing_at_all_is_read_too() -> None:
    menus = {menu: rows if menu == "/system/resource" else [] for menu, rows in hub().items()}
    assert dict(observe(menus).stored) == {}


def test_words_of_newer_firmware_are_ignored() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][0] |= {"client-mtu": "1380", "vrf": "main", "responder": "true"}
    assert MUMBAI in wg0(menus).peers


def test_an_unknown_value_of_a_known_word_is_said() -> None:
    menus = hub()
    menus["/interface/wireguard/peers"][0]["last-handshake"] = "a while ago"
    with pytest.raises(Unparseable, match="a while ago"):
        observe(menus)


def test_routeros_6_is_refused_with_the_cure() -> None:
    old = {"/system/resource": [{"version": "6.49.10 (long-term)"}]}
    with pytest.raises(RouterError, match=r"6\.49\.10 .* has no WireGuard") as caught:
        observe(old)
    assert "7.1 or later" in caught.value.hint


def test_a_router_without_scheduler_cannot_resolve_again() -> None:
    menus = hub()
    del menus["/system/scheduler"]
    seen = observe(menus)
    assert not seen.limits.reresolve
    assert "wg0" in seen.stored


def test_device_mode_home_cannot_resolve_again() -> None:
    menus = hub()
    menus["/system/device-mode"] = [{"mode": "home", "scheduler": "false"}]
    assert not observe(menus).limits.reresolve


def test_a_refusal_of_what_is_needed_is_not_hidden() -> None:
    menus = hub()
    del menus["/ip/route"]
    with pytest.raises(Rejected):
        observe(menus)


def test_the_opening_that_stands_before_the_drop_is_seen() -> None:
    assert wg0(hub()).openings == {"listen-port/51820": ListenPort(51820)}
