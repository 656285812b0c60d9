"""fw4 on a simulated router: what it takes, what it skips aloud, and what the rules do to packets (sheet 5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.testing.ether import Packet
from fleet.testing.openwrt import OpenWrtSimulator


@pytest.fixture
def router() -> Iterator[OpenWrtSimulator]:
    with OpenWrtSimulator("pune", hurry=0.2) as router:
        router.stage(
            "set network.wg0=interface",
            "set network.wg0.proto=wireguard",
            "set network.wg0.private_key=2J8iET/Yjy0X+7p6C7u/SKPckrgy4Kqr6i0/6C4ex3o=",
            "add_list network.wg0.addresses=10.200.0.1/24",
            "commit network",
        )
        router.ok("ubus -S call network reload")
        router.settle()
        yield router


def zone(*options: str) -> tuple[str, ...]:
    """A zone for the tunnel."""
    policies = ("input=ACCEPT", "output=ACCEPT", "forward=REJECT")
    lines = [f"set firewall.z.{option}" for option in ("name=wg", *policies, *options)]
    return ("set firewall.z=zone", *lines, "add_list firewall.z.network=wg0")


def apply(router: OpenWrtSimulator, *lines: str) -> None:
    router.stage(*lines, "commit firewall")
    router.ok('"$FLEET_ROOT/etc/init.d/firewall" reload')


def forwarded(source: str, target: str, came_by: str, leaves_by: str) -> Packet:
    return Packet(source, target, in_interface=came_by, out_interface=leaves_by)


def test_a_hub_forwards_tunnel_to_tunnel_when_the_zone_says_so(router: OpenWrtSimulator) -> None:
    packet = forwarded("192.168.20.1", "192.168.30.1", "wg0", "wg0")
    apply(router, *zone())
    assert not router.forwards(packet)
    apply(router, "set firewall.z.forward=ACCEPT")
    assert router.forwards(packet)


def test_a_zone_whose_interface_is_down_has_no_rules_until_it_is_up(router: OpenWrtSimulator) -> None:
    """Capture 5."""
    apply(router, *zone())
    router.ok("ifdown wg0; fw4 reload")
    assert "wg0" not in router.ok("nft list ruleset")
    router.ok("ifup wg0")
    router.settle()
    assert 'iifname "wg0" jump input_wg' in router.ok("nft list ruleset")


def test_a_masquerading_zone_rewrites_and_another_does_not(router: OpenWrtSimulator) -> None:
    packet = forwarded("192.168.1.10", "192.168.30.1", "br-lan", "wg0")
    apply(router, *zone())
    assert not router.masquerades(packet)
    apply(router, "set firewall.z.masq=1")
    assert router.masquerades(packet)


def test_what_is_masqueraded_can_leave_out_prefixes(router: OpenWrtSimulator) -> None:
    apply(router, "set firewall.@zone[1].masq_dest='!192.168.0.0/16'")
    assert not router.masquerades(forwarded("192.168.1.10", "192.168.30.1", "br-lan", "wan"))
    assert router.masquerades(forwarded("192.168.1.10", "198.51.100.1", "br-lan", "wan"))


def test_a_nat_section_that_accepts_keeps_traffic_from_being_masqueraded(router: OpenWrtSimulator) -> None:
    nat = (
        "set firewall.n=nat",
        "set firewall.n.src=wan",
        "set firewall.n.dest_ip=192.168.0.0/16",
        "set firewall.n.target=ACCEPT",
    )
    apply(router, *nat)
    assert not router.masquerades(forwarded("192.168.1.10", "192.168.30.1", "br-lan", "wan"))
    assert router.masquerades(forwarded("192.168.1.10", "198.51.100.1", "br-lan", "wan"))


def test_a_rule_with_a_source_opens_a_port_for_it_only(router: OpenWrtSimulator) -> None:
    rule = ("set firewall.r=rule", "set firewall.r.src=wan", "set firewall.r.proto=udp", "set firewall.r.dest_port=51820")
    apply(router, *rule, "set firewall.r.src_ip=203.0.113.0/24", "set firewall.r.target=ACCEPT")
    for source, admitted in (("203.0.113.9", True), ("198.51.100.9", False)):
        packet = Packet(source, "100.64.0.2", "udp", 51820, in_interface="wan")
        assert router.admits(packet) == admitted


def test_a_rule_between_zones_opens_one_way(router: OpenWrtSimulator) -> None:
    rule = ("set firewall.r=rule", "set firewall.r.src=wg", "set firewall.r.dest=lan", "set firewall.r.proto=all")
    apply(router, *zone(), *rule, "set firewall.r.dest_ip=192.168.1.0/24", "set firewall.r.target=ACCEPT")
    assert router.forwards(forwarded("10.200.0.9", "192.168.1.10", "wg0", "br-lan"))
    assert not router.forwards(forwarded("192.168.1.10", "10.200.0.9", "br-lan", "wg0"))


def test_a_disabled_rule_opens_nothing(router: OpenWrtSimulator) -> None:
    rule = ("set firewall.r=rule", "set firewall.r.src=wan", "set firewall.r.proto=udp", "set firewall.r.dest_port=51820")
    apply(router, *rule, "set firewall.r.target=ACCEPT", "set firewall.r.enabled=0")
    assert not router.admits(Packet("203.0.113.9", "100.64.0.2", "udp", 51820, in_interface="wan"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "set firewall.@rule[1].dest_port=99999x",
            "Section @rule[1] (Allow-Ping) option 'dest_port' specifies invalid value '99999x'",
        ),
        ("set firewall.@forwarding[0].dest=nozone", "Section @forwarding[0] option 'dest' specifies invalid value 'nozone'"),
        ("set firewall.@rule[1].src_ip=banana", "option 'src_ip' specifies invalid value 'banana'"),
        ("delete firewall.@forwarding[0].src", "option 'src' is mandatory but not set"),
    ],
)
def test_a_section_that_is_skipped_is_said_and_the_check_still_exits_0(router: OpenWrtSimulator, line: str, words: str) -> None:
    """Sheet 5, capture 5."""
    router.stage(line)
    out, error, code = router.run("fw4 check")
    assert words in error.decode()
    assert "skipped due to invalid options" in error.decode()
    assert (out, code) == (b"Ruleset passes nftables check.\n", 0)


def test_an_option_that_fw4_does_not_know_is_said_and_the_section_stays(router: OpenWrtSimulator) -> None:
    """firewall4, parse_options; not in the sheet."""
    rule = ("set firewall.r=rule", "set firewall.r.src=wan", "set firewall.r.proto=udp", "set firewall.r.dest_port=51820")
    router.stage(*rule, "set firewall.r.target=ACCEPT", "set firewall.r.mark_of_mine=1")
    assert b"[!] Section r specifies unknown option 'mark_of_mine'" in router.run("fw4 check")[1]
    router.ok("uci commit firewall; fw4 -q reload")
    assert "udp dport 51820" in router.ok("nft list ruleset")


def test_fw4_reload_refuses_when_nothing_is_loaded(router: OpenWrtSimulator) -> None:
    """Sheet 5."""
    router.ok("fw4 stop")
    _, error, code = router.run("fw4 reload")
    assert (error, code) == (b"The fw4 firewall does not appear to be loaded.\n", 1)


def test_a_reload_leaves_other_tables_alone(router: OpenWrtSimulator) -> None:
    """Sheet 5."""
    router.plant_nftables("table inet mine {\n chain f {\n type filter hook forward priority 5;\n }\n}\n")
    router.ok("fw4 reload")
    assert "table inet mine" in router.ok("nft list ruleset")


def test_a_file_of_nftables_d_is_part_of_the_table(router: OpenWrtSimulator) -> None:
    router.write("/etc/nftables.d/10-mine.nft", "chain mine {\n\ttcp dport 99 accept\n}\n")
    router.ok("fw4 reload")
    assert "chain mine" in router.ok("nft list table inet fw4")


def test_21_02_has_fw3_and_neither_fw4_nor_nft() -> None:
    """Sheet 5."""
    with OpenWrtSimulator("old", version="21.02") as router:
        assert router.run("fw4 check")[2] == router.run("nft list ruleset")[2] == 127
        assert "lan0" in router.ok("fw3 zone lan").replace("br-lan", "lan0")
        assert not router.admits(Packet("203.0.113.9", "100.64.0.2", "udp", 51820, in_interface="wan"))
