"""Simulated RouterOS: addresses, routes, lists, firewall. Sheet section 4."""

from __future__ import annotations

import pytest
from routeros_client import Client

from fleet.testing.ether import Packet
from fleet.testing.routeros import RouterosSimulator

FILTER = "/ip/firewall/filter"


@pytest.fixture
def router():
    with RouterosSimulator("r1") as started:
        yield started


@pytest.fixture
def client(router):
    with Client(router) as connected:
        connected.add("/interface/wireguard", name="wg0", listen_port=51820)
        yield connected


def comments(client: Client, menu: str = FILTER) -> list[str]:
    return [row.get("comment", "") for row in client.rows(f"{menu}/print")]


def test_the_network_of_an_address_is_computed(client: Client) -> None:
    """4, 8.4."""
    client.add("/ip/address", address="10.0.0.5/24", interface="wg0")
    row = client.rows("/ip/address/print", "?interface=wg0")[0]
    assert (row["address"], row["network"], row["actual-interface"], row["invalid"]) == (
        "10.0.0.5/24",
        "10.0.0.0",
        "wg0",
        "false",
    )


def test_the_same_address_twice_on_an_interface_is_refused(client: Client) -> None:
    """1.6."""
    client.add("/ip/address", address="10.0.0.5/24", interface="wg0")
    words = ("=address=10.0.0.5/24", "=interface=wg0")
    assert client.trap("/ip/address/add", *words) == "failure: already have such address"


@pytest.mark.parametrize("address", ["10.0.0.300/24", "10.0.0.1/33", "fd00::1/64", ""])
def test_a_malformed_address_is_refused(client: Client, address: str) -> None:
    """1.6."""
    client.trap("/ip/address/add", f"=address={address}", "=interface=wg0")


def test_ipv6_addresses_are_advertised_unless_told_otherwise(client: Client) -> None:
    """4."""
    client.add("/ipv6/address", address="fd00::1/64", interface="wg0")
    client.add("/ipv6/address", address="fd01::1/64", interface="wg0", advertise="no")
    assert [row["advertise"] for row in client.rows("/ipv6/address/print")] == ["true", "false"]


def test_the_uplinks_address_and_route_are_dynamic_and_cannot_be_changed(client: Client) -> None:
    """4."""
    address = client.rows("/ip/address/print", "?dynamic=true")[0]
    route = client.rows("/ip/route/print", "?dst-address=0.0.0.0/0")[0]
    client.trap("/ip/address/remove", f"=.id={address['.id']}")
    client.trap("/ip/route/set", f"=.id={route['.id']}", "=comment=x")


def test_a_route_may_name_an_interface_and_is_active(client: Client) -> None:
    """4, 8.11."""
    client.add("/ip/route", dst_address="192.168.9.0/24", gateway="wg0")
    row = client.rows("/ip/route/print", "?dst-address=192.168.9.0/24")[0]
    wanted = {"gateway": "wg0", "distance": "1", "scope": "30", "target-scope": "10", "active": "true", "static": "true"}
    assert wanted.items() <= row.items()


def test_a_route_by_a_disabled_interface_is_inactive(client: Client) -> None:
    """4."""
    client.add("/ip/route", dst_address="192.168.9.0/24", gateway="wg0")
    client.talk("/interface/wireguard/disable", "=numbers=wg0")
    assert client.rows("/ip/route/print", "?dst-address=192.168.9.0/24")[0]["inactive"] == "true"


def test_an_unknown_gateway_interface_is_refused(client: Client) -> None:
    """1.6."""
    client.trap("/ip/route/add", "=dst-address=192.168.9.0/24", "=gateway=wg9")


def test_blackhole_counts_by_presence(client: Client) -> None:
    """4: =blackhole=no still makes a blackhole."""
    client.add("/ip/route", dst_address="192.168.9.0/24", blackhole="no")
    assert "blackhole" in client.rows("/ip/route/print", "?dst-address=192.168.9.0/24")[0]


def test_connected_routes_are_printed_and_dynamic(client: Client) -> None:
    """4, 8.11."""
    client.add("/ip/address", address="10.0.0.5/24", interface="wg0")
    row = client.rows("/ip/route/print", "?dst-address=10.0.0.0/24")[0]
    assert (row["dynamic"], row["connect"], row["gateway"]) == ("true", "true", "wg0")


@pytest.mark.parametrize(("version", "known"), [("7.20.8", True), ("7.21", False)])
def test_suppress_hw_offload_is_gone_in_7_21(version: str, known: bool) -> None:
    """4."""
    with RouterosSimulator("r", version) as router, Client(router) as client:
        replies = client.talk("/ip/route/add", "=dst-address=10.0.0.0/8", "=gateway=bridge", "=suppress-hw-offload=no")
        assert (replies[0][0] == "!done") is known


def test_routes_and_rules_have_unset(client: Client) -> None:
    """3.2."""
    route = client.add("/ip/route", dst_address="192.168.9.0/24", gateway="wg0", pref_src="192.168.88.1")
    client.talk("/ip/route/unset", f"=.id={route}", "=value-name=pref-src")
    assert "pref-src" not in client.rows("/ip/route/print", "?dst-address=192.168.9.0/24")[0]


def test_an_empty_port_is_a_parse_error_and_unset_removes_it(client: Client) -> None:
    """3.2."""
    rule = client.add(FILTER, chain="input", action="accept", protocol="udp", dst_port="51820")
    client.trap(f"{FILTER}/set", f"=.id={rule}", "=dst-port=")
    client.talk(f"{FILTER}/unset", f"=.id={rule}", "=value-name=dst-port")
    assert "dst-port" not in client.rows(f"{FILTER}/print", f"?.id={rule}")[0]


def test_a_rule_without_place_before_lands_after_the_drop(client: Client) -> None:
    """4: the top mistake."""
    client.add(FILTER, chain="input", action="accept", protocol="udp", dst_port="51820", comment="mine")
    order = comments(client)
    assert order.index("mine") > order.index("defconf: drop all not coming from LAN")


def test_place_before_takes_an_id_and_is_not_stored(client: Client) -> None:
    """4, 10.8."""
    drop = client.rows(f"{FILTER}/print", "?comment=defconf: drop all not coming from LAN")[0][".id"]
    client.add(FILTER, chain="input", action="accept", comment="mine", place_before=drop)
    order = comments(client)
    assert order.index("mine") == order.index("defconf: drop all not coming from LAN") - 1
    assert "place-before" not in client.rows(f"{FILTER}/print", "?comment=mine")[0]


def test_nothing_is_placed_before_an_unknown_or_dynamic_rule(client: Client) -> None:
    """4."""
    dummy = client.rows(f"{FILTER}/print", "?dynamic=true")[0][".id"]
    assert client.trap(f"{FILTER}/add", "=chain=input", "=place-before=*FF") == "no such item"
    client.trap(f"{FILTER}/add", "=chain=input", f"=place-before={dummy}")


def test_place_before_is_unknown_where_order_does_not_matter(client: Client) -> None:
    """1.6."""
    words = ("=address=10.0.0.1/24", "=interface=wg0", "=place-before=*1")
    assert client.trap("/ip/address/add", *words) == "unknown parameter place-before"


def test_move_takes_numbers_and_destination(client: Client) -> None:
    """4: the form used over the API."""
    mine = client.add(FILTER, chain="input", action="accept", comment="mine")
    first = client.rows(f"{FILTER}/print", "?chain=input")[0][".id"]
    client.talk(f"{FILTER}/move", f"=numbers={mine}", f"=destination={first}")
    assert client.rows(f"{FILTER}/print", "?chain=input")[0]["comment"] == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ("=chain=input", "=dst-port=51820"),
        ("=chain=input", "=protocol=icmp", "=dst-port=51820"),
        ("=chain=input", "=out-interface=wg0"),
        ("=chain=output", "=in-interface=wg0"),
        ("=chain=forward", "=action=masquerade"),
        ("=chain=forward", "=action=jump"),
        ("=action=accept",),
        ("=chain=forward", "=in-interface=wg9"),
        ("=chain=forward", "=in-interface-list=NONE"),
        ("=chain=forward", "=connection-state=open"),
        ("=chain=forward", "=src-address=10.0.0.0/99"),
        ("=chain=input", "=protocol=udp", "=dst-port=70000"),
    ],
)
def test_rules_that_cannot_match_are_refused(client: Client, words: tuple[str, ...]) -> None:
    """4, 1.6."""
    client.trap(f"{FILTER}/add", *words)


def test_mss_is_changed_for_tcp_only(client: Client) -> None:
    """4."""
    words = ("=chain=forward", "=action=change-mss", "=new-mss=1380", "=tcp-flags=syn", "=out-interface=wg0")
    client.trap("/ip/firewall/mangle/add", *words)
    assert client.talk("/ip/firewall/mangle/add", *words, "=protocol=tcp")[0][0] == "!done"


def test_the_default_firewall_is_the_factory_one(client: Client) -> None:
    """4."""
    rules = client.rows(f"{FILTER}/print", "?dynamic=false")
    assert [(row["chain"], row["action"]) for row in rules] == [
        *(("input", action) for action in ("accept", "drop", "accept", "accept", "drop")),
        *(("forward", action) for action in ("accept", "accept", "fasttrack-connection", "accept", "drop", "drop")),
    ]
    assert client.rows("/ip/firewall/nat/print")[0]["out-interface-list"] == "WAN"


@pytest.mark.parametrize(
    ("firewall", "packet", "passes"),
    [
        ("defconf", Packet("100.64.0.9", "100.64.0.2", "udp", 51820, in_interface="ether1"), False),
        ("empty", Packet("100.64.0.9", "100.64.0.2", "udp", 51820, in_interface="ether1"), True),
        ("defconf", Packet("100.64.0.9", "100.64.0.2", "icmp", in_interface="ether1"), True),
        ("defconf", Packet("192.168.88.9", "192.168.88.1", "tcp", 22, in_interface="bridge"), True),
        ("defconf", Packet("10.0.0.2", "192.168.88.1", "tcp", 22, in_interface="wg0"), False),
        ("defconf", Packet("10.0.0.2", "192.168.88.9", in_interface="wg0", out_interface="bridge"), True),
        ("hardened", Packet("10.0.0.2", "192.168.88.9", in_interface="wg0", out_interface="bridge"), False),
        ("hardened", Packet("10.0.0.2", "192.168.88.9", in_interface="wg0", out_interface="bridge", established=True), True),
        ("hardened", Packet("192.168.88.9", "8.8.8.8", in_interface="bridge", out_interface="ether1"), True),
    ],
)
def test_rules_decide_in_order(firewall: str, packet: Packet, passes: bool) -> None:
    """4: what the default firewall means for a tunnel."""
    router = RouterosSimulator("r", firewall=firewall)  # type: ignore[arg-type]
    router.insert("/interface/wireguard", name="wg0", listen_port=51820)
    assert router.admits(packet) is passes


def test_a_jump_returns_to_the_chain_it_came_from() -> None:
    """4."""
    router = RouterosSimulator("r", firewall="empty")
    router.insert("/ip/firewall/filter", chain="input", action="jump", jump_target="own")
    router.insert("/ip/firewall/filter", chain="own", action="accept", protocol="udp", dst_port="1-10,51820")
    router.insert("/ip/firewall/filter", chain="own", action="return")
    router.insert("/ip/firewall/filter", chain="own", action="drop")
    router.insert("/ip/firewall/filter", chain="input", action="drop")
    assert router.admits(Packet("1.1.1.1", "2.2.2.2", "udp", 51820, in_interface="ether1"))
    assert not router.admits(Packet("1.1.1.1", "2.2.2.2", "udp", 11, in_interface="ether1"))


def test_a_bare_masquerade_rewrites_tunnel_traffic_and_an_exclusion_before_it_does_not(router: RouterosSimulator) -> None:
    """4: exclusion before masquerade."""
    router.insert("/interface/wireguard", name="wg0", listen_port=51820)
    packet = Packet("192.168.88.9", "192.168.2.9", in_interface="bridge", out_interface="wg0")
    bare = router.insert("/ip/firewall/nat", chain="srcnat", action="masquerade")
    assert router.masquerades(packet)
    router.insert("/ip/firewall/nat", chain="srcnat", action="accept", dst_address="192.168.2.0/24", before=bare)
    assert not router.masquerades(packet)


def test_address_list_entries_are_unique(client: Client) -> None:
    """1.6."""
    client.add("/ip/firewall/address-list", list="mgmt", address="10.0.0.0/24")
    words = ("=list=mgmt", "=address=10.0.0.0/24")
    assert client.trap("/ip/firewall/address-list/add", *words) == "failure: already have such entry"


def test_references_to_a_removed_interface_show_its_id(client: Client) -> None:
    """4: unverified, what v7 is known to print."""
    client.add("/ip/address", address="10.0.0.5/24", interface="wg0")
    number = client.rows("/interface/wireguard/print")[0][".id"]
    client.talk("/interface/wireguard/remove", "=.id=wg0")
    row = client.rows("/ip/address/print", "?address=10.0.0.5/24")[0]
    assert (row["interface"], row["invalid"]) == (number, "true")


def test_get_answers_one_value(client: Client) -> None:
    """3.1."""
    assert client.talk("/interface/wireguard/get", "=.id=wg0", "=value-name=listen-port") == [["!done", "=ret=51820"]]


def test_services_are_set_but_never_added(client: Client) -> None:
    """1.7."""
    assert client.trap("/ip/service/add", "=name=x") == "no such command"
    assert client.talk("/ip/service/set", "=.id=api-ssl", "=disabled=yes") == [["!done"]]


@pytest.mark.parametrize(
    ("version", "field", "known"),
    [("7.15", "max-sessions", False), ("7.16", "max-sessions", True), ("7.24", "available-from", True)],
)
def test_service_fields_by_version(version: str, field: str, known: bool) -> None:
    """1.7."""
    with RouterosSimulator("r", version) as router, Client(router) as client:
        assert (client.talk("/ip/service/set", "=.id=ssh", f"={field}=10")[0][0] == "!done") is known


@pytest.mark.parametrize(
    ("version", "verb", "other"), [("7.19", "request-logout", "remove"), ("7.20", "remove", "request-logout")]
)
def test_logging_out_a_session_changed_its_verb_in_7_20(version: str, verb: str, other: str) -> None:
    """1.7."""
    with RouterosSimulator("r", version) as router, Client(router) as client, Client(router) as victim:
        number = client.rows("/user/active/print")[-1][".id"]
        assert client.trap(f"/user/active/{other}", f"=.id={number}") == "no such command"
        assert client.talk(f"/user/active/{verb}", f"=.id={number}") == [["!done"]]
        with pytest.raises(ConnectionError):
            victim.receive()


def test_a_disabled_api_service_serves_nobody(router: RouterosSimulator) -> None:
    """1.7."""
    router.change("/ip/service", "api", disabled=True)
    with pytest.raises(ConnectionError):
        Client(router)
