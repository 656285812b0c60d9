"""Who decides whether packets pass: the simulated host's firewalls, in the path of pings, and their refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from linux_sites import HUB_WAN, two_sites

from fleet.testing.ether import Ether, Packet
from fleet.testing.linux import LinuxSimulator

LAN_TO_LAN = Packet("192.168.20.5", "192.168.1.5", "tcp", 443, in_interface="wg0", out_interface="eth1")

OPEN_PORT = {
    "nftables": "nft insert rule inet filter input udp dport 51820 accept",
    "iptables": "iptables -I INPUT -p udp --dport 51820 -j ACCEPT",
    "firewalld": "firewall-cmd -q --add-port=51820/udp || firewall-cmd --add-port=51820/udp",
    "ufw": "ufw allow 51820/udp",
}
OPEN_FORWARD = {
    "nftables": "nft insert rule inet filter forward iifname wg0 accept",
    "iptables": "iptables -I FORWARD -i wg0 -j ACCEPT",
    "firewalld": """
firewall-cmd --permanent --new-zone=fleet
firewall-cmd --permanent --zone=fleet --add-interface=wg0
firewall-cmd --permanent --new-policy=fleet-lan
firewall-cmd --permanent --policy=fleet-lan --add-ingress-zone=fleet
firewall-cmd --permanent --policy=fleet-lan --add-egress-zone=public
firewall-cmd --permanent --policy=fleet-lan --set-target=ACCEPT
firewall-cmd --permanent --add-port=51820/udp
firewall-cmd --reload""",
    "ufw": "ufw route allow in on wg0 out on eth1",
}
FIREWALLS = list(OPEN_PORT)


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_hardened_hub_hears_no_handshake_until_its_port_is_opened(firewall: str) -> None:
    with two_sites(firewall=firewall, hardened=True) as (ether, hub, branch):
        assert "no handshake" in ether.trace(branch, None, "10.100.0.1").stopped
        hub.ok(OPEN_PORT[firewall])
        assert ether.trace(branch, None, "10.100.0.1").stopped == ""


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_a_hardened_hub_forwards_nothing_until_it_is_told(firewall: str) -> None:
    with two_sites(firewall=firewall, hardened=True) as (ether, hub, branch):
        hub.ok(OPEN_PORT[firewall])
        assert ether.trace(branch, "192.168.20.5", "192.168.1.5").stopped == "hq: forward refused 192.168.20.5 -> 192.168.1.5"
        assert not hub.forwards(LAN_TO_LAN)
        hub.ok(OPEN_FORWARD[firewall])
        assert hub.forwards(LAN_TO_LAN)
        assert ether.trace(branch, "192.168.20.5", "192.168.1.5").stopped == ""


@pytest.mark.parametrize("firewall", ["nftables", "iptables", "ufw", "firewalld"])
def test_the_hardening_is_back_after_a_reboot(firewall: str) -> None:
    with LinuxSimulator("hq", public_hosts=(HUB_WAN,), lans=("192.168.1.0/24",), firewall=firewall, hardened=True) as host:  # type: ignore[arg-type]
        host.write("/etc/sysctl.d/99.conf", "net.ipv4.ip_forward=1\n")
        before = host.snapshot()
        host.reboot()
        assert not host.forwards(LAN_TO_LAN)
        assert host.snapshot().ruleset == before.ruleset


def test_an_accept_in_a_table_of_ones_own_does_not_undo_a_drop_elsewhere() -> None:
    with two_sites(firewall="nftables", hardened=True) as (ether, hub, branch):
        hub.ok("nft add table inet own")
        hub.ok("nft add chain inet own input '{ type filter hook input priority -10; policy accept; }'")
        hub.ok("nft add rule inet own input udp dport 51820 accept")
        assert not ether.ping(branch, None, "10.100.0.1")


def test_forwarding_switched_off_stops_what_passes_and_not_what_arrives() -> None:
    with two_sites() as (ether, hub, branch):
        hub.ok("sysctl -q -w net.ipv4.ip_forward=0")
        assert ether.ping(branch, None, "10.100.0.1")
        assert not ether.ping(branch, "192.168.20.5", "192.168.1.5")


def test_a_missing_route_stops_a_ping() -> None:
    with two_sites() as (ether, hub, branch):
        hub.ok("ip route del 192.168.20.0/24 dev wg0")
        assert not ether.ping(branch, "192.168.20.5", "192.168.1.5")
        hub.ok("ip route add 192.168.20.0/24 dev wg0")
        assert ether.ping(branch, "192.168.20.5", "192.168.1.5")


def test_masquerading_into_the_tunnel_rewrites_sources_and_an_exception_before_it_does_not() -> None:
    with two_sites(firewall="nftables") as (ether, hub, _branch):
        hub.plant_nftables("table ip nat { chain post { type nat hook postrouting priority srcnat; masquerade; }; }")
        assert "rewritten" in ether.trace(hub, "192.168.1.5", "192.168.20.5").stopped
        hub.ok("nft insert rule ip nat post oifname wg0 accept")
        assert ether.ping(hub, "192.168.1.5", "192.168.20.5")


def test_ping_on_the_host_goes_through_the_ether() -> None:
    with two_sites() as (_, hub, branch):
        assert branch.run("ping -c 2 -I 192.168.20.1 192.168.1.1")[2] == 0
        hub.ok("ip link del wg0")
        out, _, code = branch.run("ping -c 2 10.100.0.1")
        assert b"2 packets transmitted, 0 received, 100% packet loss" in out
        assert code == 1


def test_a_ping_larger_than_the_mtu_is_told_so() -> None:
    with two_sites() as (_, hub, _branch):
        assert hub.run("ping -c 1 -M do -s 1400 10.100.0.2")[1] == b"ping: local error: message too long, mtu=1420\n"


def test_iptables_rules_show_in_nft_as_they_do_with_the_nft_backend() -> None:
    with LinuxSimulator("hq") as host:
        host.ok("iptables -P FORWARD DROP; iptables -A FORWARD -i wg0 -j ACCEPT")
        listing = host.ok("nft list ruleset")
        assert "# Warning: table ip filter is managed by iptables-nft, do not touch!" in listing
        assert 'iifname "wg0" counter packets 0 bytes 0 accept' in listing


def test_each_host_has_the_tools_of_its_own_firewall_only() -> None:
    with LinuxSimulator("a", firewall="iptables") as a, LinuxSimulator("b", firewall="nftables") as b:
        assert a.run("nft list ruleset")[2] == 127
        assert b.run("iptables -S")[2] == 127


def test_a_transaction_lands_whole_or_not_at_all() -> None:
    with LinuxSimulator("hq", firewall="nftables", hardened=True) as host:
        before = host.snapshot().ruleset
        _, error, code = host.run("nft -f -", b"add rule inet filter input accept\nadd rule inet filter nope accept\n")
        assert code == 1
        assert b"/dev/stdin:2:" in error
        assert host.snapshot().ruleset == before


@pytest.fixture(scope="module")
def every() -> Iterator[dict[str, LinuxSimulator]]:
    with (
        LinuxSimulator("n", Ether(), firewall="nftables", hardened=True) as nft,
        LinuxSimulator("i", Ether(), firewall="iptables", hardened=True) as ipt,
        LinuxSimulator("f", Ether(), firewall="firewalld") as fwd,
        LinuxSimulator("u", Ether(), firewall="ufw") as ufw,
    ):
        yield {"nftables": nft, "iptables": ipt, "firewalld": fwd, "ufw": ufw}


@pytest.mark.parametrize(
    ("firewall", "command", "words", "code"),
    [
        ("nftables", "nft add rule inet filter nope accept", "Could not process rule: No such file or directory", 1),
        ("nftables", "nft add rule inet filter input iifname wg0 acept", "syntax error, unexpected newline", 1),
        ("nftables", "nft add rule inet filter input tcp dport 70000 accept", "70000", 1),
        ("nftables", "nft delete rule inet filter input handle 999", "No such file or directory", 1),
        ("nftables", "nft insert rule inet filter input position 999 accept", "No such file or directory", 1),
        ("nftables", "nft create table inet filter", "File exists", 1),
        ("nftables", "nft list ruleset -a", "options must be specified before commands", 1),
        ("iptables", "iptables -A NOPE -j ACCEPT", "No chain/target/match by that name", 1),
        ("iptables", "iptables -C FORWARD -i nope -j ACCEPT", "does a matching rule exist in that chain?", 1),
        ("iptables", "iptables -A FORWARD --foo", 'unknown option "--foo"', 2),
        ("iptables", "iptables -t nope -S", "table 'nope' does not exist", 3),
        ("firewalld", "firewall-cmd --zone=nope --add-port=1/udp", "Error: INVALID_ZONE: nope", 112),
        ("firewalld", "firewall-cmd --add-port=1", "Error: INVALID_PORT", 102),
        ("firewalld", "firewall-cmd --add-port=70000/udp", "Error: INVALID_PORT: 70000", 102),
        ("firewalld", "firewall-cmd --add-service=nope", "Error: INVALID_SERVICE: nope", 101),
        ("firewalld", "firewall-cmd --zone=home --add-interface=eth0", "Error: ZONE_CONFLICT", 18),
        ("firewalld", "firewall-cmd --query-port=7/udp", "no", 1),
        ("firewalld", "firewall-cmd --new-zone=x", "only with --permanent", 2),
        ("firewalld", "firewall-cmd --policy=nope --set-target=ACCEPT --permanent", "Error: INVALID_POLICY: nope", 140),
        ("firewalld", "firewall-cmd --frobnicate", "unrecognized arguments: --frobnicate", 2),
        ("ufw", "ufw allow 99999/udp", "ERROR: Bad port", 1),
        ("ufw", "ufw allow", "ERROR: Invalid syntax", 1),
        ("ufw", "ufw frobnicate", "ERROR: Invalid syntax", 1),
        ("ufw", "ufw --force delete 99", "ERROR: Could not find rule '99'", 1),
        ("ufw", "ufw insert 99 allow 1/udp", "ERROR: Invalid position '99'", 1),
        ("ufw", "ufw delete allow 7/udp", "Could not delete non-existent rule", 0),
    ],
)
def test_a_firewall_refuses_in_its_own_words(
    every: dict[str, LinuxSimulator], firewall: str, command: str, words: str, code: int
) -> None:
    out, error, status = every[firewall].run(command)
    assert words in (out + error).decode()
    assert status == code


def test_firewalld_that_is_not_running_says_so() -> None:
    with LinuxSimulator("f", firewall="firewalld") as host:
        assert host.firewalld is not None
        host.firewalld.stop()
        assert host.run("firewall-cmd --state") == (b"", b"not running\n", 252)
        assert host.run("firewall-cmd --add-port=51820/udp") == (b"", b"FirewallD is not running\n", 252)


def test_firewalld_forgets_at_a_reload_what_is_not_permanent() -> None:
    with LinuxSimulator("f", firewall="firewalld") as host:
        host.ok("firewall-cmd --add-port=51820/udp")
        assert host.ok("firewall-cmd --list-ports").split() == ["51820/udp"]
        host.ok("firewall-cmd --reload")
        assert host.ok("firewall-cmd --list-ports").split() == []


def test_firewalld_warns_and_succeeds_when_there_is_nothing_to_do() -> None:
    with LinuxSimulator("f", firewall="firewalld") as host:
        host.ok("firewall-cmd --add-port=51820/udp")
        assert host.run("firewall-cmd --add-port=51820/udp") == (
            b"success\n",
            b"Warning: ALREADY_ENABLED: '51820:udp' already in 'public'\n",
            0,
        )


def test_ufw_keeps_its_rules_in_its_own_file_and_shows_comments() -> None:
    with LinuxSimulator("u", firewall="ufw") as host:
        host.ok("ufw allow 51820/udp comment fleet:acme:hq; ufw route allow in on wg0 out on eth1")
        assert "### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in comment=666c6565743a61636d653a6871" in host.read(
            "/etc/ufw/user.rules"
        )
        assert "51820/udp                  ALLOW       Anywhere                   # fleet:acme:hq" in host.ok("ufw status")
        assert "Anywhere on eth1           ALLOW FWD   Anywhere on wg0" in host.ok("ufw status")
        host.reboot()
        assert "-A ufw-user-forward -i wg0 -o eth1 -j ACCEPT" in host.ok("iptables -S")


def test_ufw_takes_the_same_rule_once_and_a_new_comment_as_an_update() -> None:
    with LinuxSimulator("u", firewall="ufw") as host:
        assert host.ok("ufw allow 51820/udp") == "Rule added\nRule added (v6)\n"
        assert host.ok("ufw allow 51820/udp") == "Skipping adding existing rule\nSkipping adding existing rule (v6)\n"
        assert host.ok("ufw allow 51820/udp comment x") == "Rule updated\nRule updated (v6)\n"
        assert host.ok("ufw delete allow 51820/udp") == "Rule deleted\nRule deleted (v6)\n"
