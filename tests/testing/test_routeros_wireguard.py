"""Simulated RouterOS: WireGuard interfaces and peers. Sheet sections 2, 3 and 10."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from routeros_client import Client

from fleet.testing.ether import Clock, Ether, Handshake
from fleet.testing.routeros import RouterosSimulator

WG, PEERS = "/interface/wireguard", "/interface/wireguard/peers"
KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def router():
    with RouterosSimulator("r1", clock=Clock(frozen=True)) as started:
        yield started


@pytest.fixture
def client(router):
    with Client(router) as connected:
        connected.add(WG, name="wg0", listen_port=51820)
        yield connected


def peer(client: Client, **fields: object) -> str:
    return client.add(PEERS, **{"interface": "wg0", "public_key": KEY, "allowed_address": "10.0.0.2/32", **fields})


def on(version: str, users: dict[str, tuple[str, str]] | None = None) -> RouterosSimulator:
    return RouterosSimulator("r", version, users=users)


def test_name_port_and_key_are_made_when_left_out(client: Client) -> None:
    """2."""
    client.add(WG)
    row = client.rows(f"{WG}/print", "?name=wireguard1")[0]
    assert (row["mtu"], row["listen-port"], len(row["private-key"])) == ("1420", "13231", 44)


def test_the_public_key_belongs_to_the_private_key(client: Client) -> None:
    """10.5."""
    row = client.rows(f"{WG}/print")[0]
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(row["private-key"]))
    assert base64.b64decode(row["public-key"]) == private.public_key().public_bytes_raw()


def test_a_new_private_key_changes_the_public_key_at_once(client: Client) -> None:
    """2."""
    before = client.rows(f"{WG}/print")[0]["public-key"]
    client.talk(f"{WG}/set", "=.id=wg0", f"=private-key={OTHER}")
    assert client.rows(f"{WG}/print")[0]["public-key"] != before


def test_a_taken_interface_name_is_refused(client: Client) -> None:
    """1.6."""
    assert client.trap(f"{WG}/add", "=name=wg0") == "failure: already have interface with such name"
    assert client.trap(f"{WG}/add", "=name=ether1") == "failure: already have interface with such name"


def test_two_interfaces_cannot_share_a_port(client: Client) -> None:
    """1.6: text unverified, a general trap of category 1."""
    replies = client.talk(f"{WG}/add", "=name=wg1", "=listen-port=51820")
    assert replies[0][:2] == ["!trap", "=category=1"]


def test_there_is_no_unset_under_wireguard(client: Client) -> None:
    """2: no unset in any version."""
    assert client.trap(f"{WG}/unset", "=.id=wg0", "=value-name=comment") == "no such command"
    assert client.trap(f"{PEERS}/unset", "=.id=*1", "=value-name=comment") == "no such command"


def test_a_comment_is_absent_until_set_and_after_clearing(client: Client) -> None:
    """2."""
    client.talk(f"{WG}/set", "=.id=wg0", "=comment=fleet:x")
    assert client.rows(f"{WG}/print")[0]["comment"] == "fleet:x"
    client.talk(f"{WG}/set", "=.id=wg0", "=comment=")
    assert "comment" not in client.rows(f"{WG}/print")[0]


@pytest.mark.parametrize(("version", "known"), [("7.20", False), ("7.21", True)])
def test_vrf_exists_from_7_21(version: str, known: bool) -> None:
    """2, 10.1."""
    with on(version) as router, Client(router) as client:
        client.add(WG, name="wg0", listen_port=1)
        assert ("vrf" in client.rows(f"{WG}/print")[0]) is known


def test_booleans_come_out_as_true_and_false(client: Client) -> None:
    """2, 10.3."""
    client.talk(f"{WG}/set", "=.id=wg0", "=disabled=yes")
    row = client.rows(f"{WG}/print")[0]
    assert (row["disabled"], row["running"]) == ("true", "false")


@pytest.mark.parametrize("missing", ["interface", "public-key", "allowed-address"])
def test_mandatory_arguments_of_a_peer(client: Client, missing: str) -> None:
    """3.1, 10.7."""
    words = {"interface": "wg0", "public-key": KEY, "allowed-address": "10.0.0.2/32"}
    del words[missing]
    assert missing in client.trap(f"{PEERS}/add", *(f"={name}={value}" for name, value in words.items()))


def test_allowed_address_cannot_be_emptied(client: Client) -> None:
    """3.1: mandatory."""
    peer(client)
    client.trap(f"{PEERS}/set", "=.id=*1", "=allowed-address=")


def test_an_unknown_interface_is_refused(client: Client) -> None:
    """3.1."""
    words = (f"=public-key={KEY}", "=allowed-address=10.0.0.2/32")
    assert client.trap(f"{PEERS}/add", "=interface=wg9", *words) == "input does not match any value of interface"


@pytest.mark.parametrize("key", ["x", KEY[:-1], "!" * 44, base64.b64encode(b"k" * 31).decode()])
def test_a_malformed_key_is_refused(client: Client, key: str) -> None:
    """1.6."""
    client.trap(f"{PEERS}/add", "=interface=wg0", f"=public-key={key}", "=allowed-address=10.0.0.2/32")


def test_unset_words_of_a_peer_are_empty_zero_or_absent(client: Client) -> None:
    """3.1, 8.7, 10.3."""
    peer(client)
    row = client.rows(f"{PEERS}/print")[0]
    assert {row[name] for name in ("endpoint-address", "preshared-key", "private-key", "client-endpoint")} == {""}
    assert row["endpoint-port"] == "0"
    assert row.keys().isdisjoint({"persistent-keepalive", "responder", "last-handshake", "comment", "client-address"})


@pytest.mark.parametrize("written", ["25", "25s", "00:00:25", "0h0m25s"])
def test_keepalive_takes_every_time_form_and_reads_in_letters(client: Client, written: str) -> None:
    """3.1."""
    peer(client, persistent_keepalive=written)
    assert client.rows(f"{PEERS}/print")[0]["persistent-keepalive"] == "25s"


def test_keepalive_zero_makes_the_word_absent(client: Client) -> None:
    """3.2."""
    peer(client, persistent_keepalive="25s")
    client.talk(f"{PEERS}/set", "=.id=*1", "=persistent-keepalive=0")
    assert "persistent-keepalive" not in client.rows(f"{PEERS}/print")[0]


def test_keepalive_ends_at_65535_seconds(client: Client) -> None:
    """3.1: 18h12m15s."""
    peer(client, persistent_keepalive="18h12m15s")
    assert "out of range" in client.trap(f"{PEERS}/set", "=.id=*1", "=persistent-keepalive=18h12m16s")


def test_allowed_addresses_always_show_a_mask(client: Client) -> None:
    """3.2."""
    peer(client, allowed_address="172.16.0.101,10.5.1.0/24,fd00::1")
    assert client.rows(f"{PEERS}/print")[0]["allowed-address"] == "172.16.0.101/32,10.5.1.0/24,fd00::1/128"


def test_set_is_partial_and_replaces_the_list_as_a_whole(client: Client) -> None:
    """3.2."""
    peer(client, endpoint_address="198.51.100.1", endpoint_port=51820)
    client.talk(f"{PEERS}/set", "=.id=*1", "=allowed-address=10.0.0.3/32")
    row = client.rows(f"{PEERS}/print")[0]
    assert (row["allowed-address"], row["endpoint-address"]) == ("10.0.0.3/32", "198.51.100.1")


def test_endpoint_and_preshared_key_are_cleared_with_empty_values(client: Client) -> None:
    """3.2."""
    peer(client, endpoint_address="vpn.example.com", endpoint_port=51820, preshared_key=OTHER)
    client.talk(f"{PEERS}/set", "=.id=*1", "=endpoint-address=", "=endpoint-port=0", "=preshared-key=")
    row = client.rows(f"{PEERS}/print")[0]
    assert (row["endpoint-address"], row["endpoint-port"], row["preshared-key"]) == ("", "0", "")


def test_preshared_key_auto_generates_and_none_clears(client: Client) -> None:
    """3.1."""
    peer(client, preshared_key="auto")
    assert len(client.rows(f"{PEERS}/print")[0]["preshared-key"]) == 44
    client.talk(f"{PEERS}/set", "=.id=*1", "=preshared-key=none")
    assert client.rows(f"{PEERS}/print")[0]["preshared-key"] == ""


@pytest.mark.parametrize(("scope", "refused"), [("device", True), ("interface", False)])
def test_duplicate_public_keys_by_scope(router: RouterosSimulator, client: Client, scope: str, refused: bool) -> None:
    """3.2, 10.7."""
    router.device.unique_keys = scope
    client.add(WG, name="wg1", listen_port=51821)
    peer(client)
    replies = client.talk(f"{PEERS}/add", "=interface=wg1", f"=public-key={KEY}", "=allowed-address=10.0.0.9/32")
    assert (replies[0][-1] == "=message=failure: entry already exists") is refused


def test_the_same_key_twice_on_an_interface_is_refused(client: Client) -> None:
    """3.2."""
    peer(client)
    words = ("=interface=wg0", f"=public-key={KEY}", "=allowed-address=10.0.0.9/32")
    assert client.trap(f"{PEERS}/add", *words) == "failure: entry already exists"


@pytest.mark.parametrize(("mode", "refused"), [("refuse", True), ("strict", True), ("steal", False)])
def test_equal_allowed_addresses_are_refused_or_stolen(
    router: RouterosSimulator, client: Client, mode: str, refused: bool
) -> None:
    """3.2: what the box does is unverified."""
    router.device.overlap = mode
    peer(client)
    words = ("=interface=wg0", f"=public-key={OTHER}", "=allowed-address=10.0.0.2/32")
    assert (client.talk(f"{PEERS}/add", *words)[0][0] == "!trap") is refused
    if not refused:
        assert [row["allowed-address"] for row in router.rows(PEERS)] == ["", "10.0.0.2/32"]


@pytest.mark.parametrize(("mode", "refused"), [("refuse", False), ("strict", True)])
def test_nested_allowed_addresses(router: RouterosSimulator, client: Client, mode: str, refused: bool) -> None:
    """3.2."""
    router.device.overlap = mode
    peer(client)
    words = ("=interface=wg0", f"=public-key={OTHER}", "=allowed-address=10.0.0.0/24")
    assert (client.talk(f"{PEERS}/add", *words)[0][0] == "!trap") is refused


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("7.11", set()),
        ("7.12", {"private-key", "client-address"}),
        ("7.15", {"private-key", "client-address", "name", "is-responder"}),
        ("7.16.2", {"private-key", "client-address", "name", "is-responder"}),
        ("7.17", {"private-key", "client-address", "name", "responder"}),
        ("7.21.4", {"private-key", "client-address", "name", "responder", "client-allowed-address"}),
    ],
)
def test_fields_appear_by_version(version: str, known: set[str]) -> None:
    """3.3, 10.1."""
    values = {"private-key": OTHER, "client-address": "10.0.0.2/32", "name": "p", "is-responder": "yes", "responder": "yes"}
    with on(version) as router, Client(router) as client:
        client.add(WG, name="wg0", listen_port=1)
        peer(client)
        for name, value in {**values, "client-allowed-address": "::/0"}.items():
            replies = client.talk(f"{PEERS}/set", "=.id=*1", f"={name}={value}")
            assert (replies == [["!done"]]) is (name in known), name


def test_peers_are_named_one_after_the_other_from_7_15(client: Client) -> None:
    """3.1."""
    peer(client)
    peer(client, public_key=OTHER, allowed_address="10.0.0.3/32")
    assert [row["name"] for row in client.rows(f"{PEERS}/print")] == ["peer1", "peer2"]


def test_a_responder_shows_only_when_it_is_one() -> None:
    """8.7."""
    with on("7.20") as router, Client(router) as client:
        client.add(WG, name="wg0", listen_port=1)
        peer(client, responder="yes")
        assert client.rows(f"{PEERS}/print")[0]["responder"] == "true"
        client.talk(f"{PEERS}/set", "=.id=*1", "=responder=no")
        assert "responder" not in client.rows(f"{PEERS}/print")[0]


def test_without_sensitive_secrets_are_five_stars() -> None:
    """2, 10.6."""
    with on("7.16.2", {"ops": ("pw", "read,write,api")}) as router, Client(router, user="ops", password="pw") as client:
        client.add(WG, name="wg0", listen_port=1)
        peer(client, preshared_key=OTHER)
        interface, one = client.rows(f"{WG}/print")[0], client.rows(f"{PEERS}/print")[0]
        assert (interface["private-key"], one["preshared-key"]) == ("*****", "*****")
        assert len(interface["public-key"]) == 44


def test_from_7_21_secrets_are_hidden_unless_asked_for() -> None:
    """2, 10.1."""
    with on("7.21.4") as router, Client(router) as client:
        client.add(WG, name="wg0", listen_port=1)
        assert client.rows(f"{WG}/print")[0]["private-key"] == "*****"
        assert len(client.rows(f"{WG}/print", "=show-sensitive=")[0]["private-key"]) == 44


def test_dynamic_peers_cannot_be_changed(router: RouterosSimulator, client: Client) -> None:
    """3.1, 10.7: Back-To-Home."""
    number = router.insert(PEERS, interface="wg0", public_key=KEY, allowed_address="10.0.0.2/32", dynamic=True)
    client.trap(f"{PEERS}/set", f"=.id={number}", "=comment=mine")
    client.trap(f"{PEERS}/remove", f"=.id={number}")
    assert len(router.rows(PEERS)) == 1


def test_peers_take_place_before_and_move(client: Client) -> None:
    """3.1: an ordered list."""
    first = peer(client)
    second = peer(client, public_key=OTHER, allowed_address="10.0.0.3/32", place_before=first)
    assert [row[".id"] for row in client.rows(f"{PEERS}/print")] == [second, first]
    client.talk(f"{PEERS}/move", f"=numbers={second}")
    assert [row[".id"] for row in client.rows(f"{PEERS}/print")] == [first, second]


def test_handshake_age_is_absent_first_then_grows_in_letters(router: RouterosSimulator, client: Client) -> None:
    """3.1, 10.4."""
    peer(client)
    assert "last-handshake" not in client.rows(f"{PEERS}/print")[0]
    router.handshakes["wg0", KEY] = Handshake(router.clock.now(), ("203.0.113.5", 51820), 8395000, 58834536)
    router.clock.advance(105)
    row = client.rows(f"{PEERS}/print")[0]
    assert (row["last-handshake"], row["rx"], row["tx"], row["current-endpoint-port"]) == (
        "1m45s",
        "8395000",
        "58834536",
        "51820",
    )


def test_counters_start_again_when_a_peer_is_made_again(router: RouterosSimulator, client: Client) -> None:
    """10.4."""
    number = peer(client)
    router.handshakes["wg0", KEY] = Handshake(router.clock.now(), ("203.0.113.5", 51820), 10, 10)
    client.talk(f"{PEERS}/remove", f"=.id={number}")
    peer(client)
    assert client.rows(f"{PEERS}/print")[0]["rx"] == "0"


def test_ids_are_not_reused_in_their_menu(client: Client) -> None:
    """4."""
    first = peer(client)
    client.talk(f"{PEERS}/remove", f"=.id={first}")
    assert peer(client) != first


def test_references_follow_a_renamed_interface(client: Client) -> None:
    """2."""
    peer(client)
    client.talk(f"{WG}/set", "=.id=wg0", "=name=wg-hq")
    assert client.rows(f"{PEERS}/print")[0]["interface"] == "wg-hq"


def mesh(*, answer_route: bool = True, opening: bool = True) -> tuple[Ether, RouterosSimulator, RouterosSimulator]:
    """A hub with the factory firewall and a branch behind NAT, configured by hand."""
    ether = Ether(Clock(frozen=True))
    hub = RouterosSimulator("hub", ether=ether, public_hosts=["198.51.100.1"], lan="192.168.1.1/24", wan="198.51.100.1/24")
    branch = RouterosSimulator("branch", ether=ether, lan="192.168.2.1/24")
    for router, number, far in ((hub, 1, "192.168.2.0/24"), (branch, 2, "192.168.1.0/24")):
        router.insert(WG, name="wg0", listen_port=51820)
        router.insert("/ip/address", address=f"10.0.0.{number}/24", interface="wg0")
        if answer_route or router is branch:
            router.insert("/ip/route", dst_address=far, gateway="wg0")
    keys = [router.rows(WG)[0]["public-key"] for router in (hub, branch)]
    hub.insert(PEERS, interface="wg0", public_key=keys[1], allowed_address="10.0.0.2/32,192.168.2.0/24")
    far = {"endpoint_address": "198.51.100.1", "endpoint_port": 51820, "persistent_keepalive": "25s"}
    branch.insert(PEERS, interface="wg0", public_key=keys[0], allowed_address="10.0.0.0/24,192.168.1.0/24", **far)
    if opening:
        accept = {"chain": "input", "action": "accept", "protocol": "udp", "dst_port": 51820}
        drop = next(
            row[".id"] for row in hub.rows("/ip/firewall/filter") if row["comment"] == "defconf: drop all not coming from LAN"
        )
        hub.insert("/ip/firewall/filter", before=drop, **accept)
    return ether, hub, branch


def test_two_simulated_routers_shake_hands_and_carry_lan_to_lan() -> None:
    """3.2, 4: routes by hand on both ends, LAN to LAN passes on the factory firewall."""
    ether, hub, branch = mesh()
    with hub, branch:
        assert "last-handshake" in hub.rows(PEERS)[0]
        assert ether.trace(branch, "192.168.2.10", "192.168.1.10").stopped == ""


def test_without_an_input_accept_the_default_firewall_stops_the_handshake() -> None:
    """4 (a)."""
    _, hub, branch = mesh(opening=False)
    with hub, branch:
        assert "last-handshake" not in branch.rows(PEERS)[0]


def test_allowed_addresses_make_no_routes() -> None:
    """3.2."""
    ether, hub, branch = mesh(answer_route=False)
    with hub, branch:
        assert not ether.ping(branch, "192.168.2.10", "192.168.1.10")


def test_traffic_from_the_tunnel_to_the_router_is_dropped_by_default() -> None:
    """4 (b)."""
    ether, hub, branch = mesh()
    with hub, branch:
        hub.delete(
            "/ip/firewall/filter", next(r[".id"] for r in hub.rows("/ip/firewall/filter") if r.get("protocol") == "icmp")
        )
        assert not ether.ping(branch, None, "10.0.0.1")
        hub.insert("/interface/list/member", list="LAN", interface="wg0")
        assert ether.ping(branch, None, "10.0.0.1")


def test_a_bare_masquerade_breaks_lan_to_lan_while_tunnel_pings_work() -> None:
    """4 (c), field report."""
    ether, hub, branch = mesh()
    with hub, branch:
        branch.insert("/ip/firewall/nat", chain="srcnat", action="masquerade")
        assert ether.ping(branch, "10.0.0.2", "10.0.0.1")
        assert not ether.ping(branch, "192.168.2.10", "192.168.1.10")


def test_ping_over_the_api_goes_through_the_ether() -> None:
    """6: policy test; probes."""
    _, hub, branch = mesh()
    with hub, branch, Client(branch) as client:
        replies = client.rows("/ping", "=address=10.0.0.1", "=count=3")
        assert replies[-1]["received"] == "3"
        assert client.rows("/ping", "=address=10.9.9.9", "=count=1")[0]["status"] == "timeout"


def test_a_disabled_and_enabled_peer_shakes_hands_anew() -> None:
    """3.2."""
    ether, hub, branch = mesh()
    with hub, branch, Client(branch) as client:
        ether.clock.advance(30)
        client.talk(f"{PEERS}/disable", "=numbers=*1")
        assert "last-handshake" not in client.rows(f"{PEERS}/print")[0]
        client.talk(f"{PEERS}/enable", "=numbers=*1")
        assert client.rows(f"{PEERS}/print")[0]["last-handshake"] == "0s"


def test_a_disabled_and_enabled_interface_starts_all_its_sessions_anew() -> None:
    """2."""
    ether, hub, branch = mesh()
    with hub, branch, Client(branch) as client:
        ether.clock.advance(30)
        client.talk(f"{WG}/disable", "=numbers=wg0")
        client.talk(f"{WG}/enable", "=numbers=wg0")
        assert client.rows(f"{PEERS}/print")[0]["last-handshake"] == "0s"
