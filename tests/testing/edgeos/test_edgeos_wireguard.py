"""The WireGuard templates: what they check, what they miss, what a change does to the interface. Sheet 1.2 to 1.6 and 6."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_routers import MAKE_KEY, OTHER, PEER, TUNNEL, configure, recorded_router, scripted

from fleet.testing.edgeos import EdgeOsSimulator
from fleet.testing.ether import Clock

WG0 = "set interfaces wireguard wg0"


@pytest.fixture
def router() -> Iterator[EdgeOsSimulator]:
    with recorded_router() as router:
        configure(router, TUNNEL)
        router.ran.clear()
        yield router


def refused(router: EdgeOsSimulator, line: str) -> str:
    """What `set` says of a line it refuses."""
    said = scripted(router, f"begin\n{line}\nend")
    assert "rc=1 : set" in said, said
    return said.partition("rc=0 : begin\n")[2].partition("rc=1")[0]


def committed(router: EdgeOsSimulator, lines: str) -> str:
    """What a commit of these lines says."""
    said = scripted(router, f"begin\n{lines}\ncommit\nend")
    return said.rpartition("rc=0 : set")[2].partition("\n")[2] if "rc=1 : set" not in said else said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("listen-port 0", "Port must be between 1 and 65535\n\n"),
        ("mtu 63", "Must be between 64-8024\n\n"),
        ("fwmark !1", "Modify mark can not be inverted with '!'\n\n"),
        ("peer AAAA disable", "Key is not valid 44-character (32-bytes) base64\n\n"),
        ("address 10.0.0.5", '"10.0.0.5" is not a valid value of type "ipv4net or ipv6net"\n'),
        (f"description {'x' * 257}", "interface description is too long (limit 256 characters)\n\n"),
        (f"peer {PEER} allowed-ips 10.0.0.0/24,nonsense", "Value must contain valid IP addresses\n\n"),
    ],
)
def test_a_value_that_the_template_does_not_allow_is_refused_in_its_words(
    router: EdgeOsSimulator, line: str, message: str
) -> None:
    assert refused(router, f"{WG0} {line}") == f"{message}Value validation failed\nSet failed\n"


def test_only_the_last_of_a_comma_list_is_checked(router: EdgeOsSimulator) -> None:
    said = scripted(router, f"begin\n{WG0} peer {PEER} allowed-ips nonsense,10.0.0.0/24\nend")
    assert "rc=0 : set" in said


def test_an_endpoint_is_not_validated(router: EdgeOsSimulator) -> None:
    assert "rc=0 : set" in scripted(router, f"begin\n{WG0} peer {PEER} endpoint whatever\nend")


def test_a_new_interface_without_a_private_key_does_not_commit(router: EdgeOsSimulator) -> None:
    said = committed(router, "set interfaces wireguard wg1 address 10.9.9.1/24")
    assert said == "Private key must be specified for wg1\n\nCommit failed\nrc=1 : commit\nrc=0 : end\n"
    assert "wg1" not in router.ok("ip link")


def test_deleting_the_private_key_of_an_interface_commits_and_leaves_it_without(router: EdgeOsSimulator) -> None:
    assert "rc=0 : commit" in scripted(router, "begin\ndelete interfaces wireguard wg0 private-key\ncommit\nend")
    assert router.ok("sudo wg show wg0 private-key") == "(none)\n"


def test_an_allowed_ip_of_another_peer_is_only_seen_when_the_interface_is_made(router: EdgeOsSimulator) -> None:
    assert "rc=0 : commit" in scripted(router, f"begin\n{WG0} peer {OTHER} allowed-ips 10.77.0.2/32\ncommit\nend")
    assert router.ok("sudo wg show wg0 allowed-ips").splitlines() == [f"{PEER}\t(none)", f"{OTHER}\t10.77.0.2/32"]
    wg1 = "set interfaces wireguard wg1"
    both = "".join(f"{wg1} peer {key} allowed-ips 10.8.0.2/32\n" for key in (PEER, OTHER))
    said = committed(router, f"{wg1} private-key /config/auth/wg0.key\n{both}{wg1} route-allowed-ips false")
    assert "Error: Allowed IP 10.8.0.2/32 assigned to multiple peers on interface wg1\n" in said


def test_a_peer_with_one_prefix_twice_is_refused(router: EdgeOsSimulator) -> None:
    said = committed(router, f"{WG0} peer {OTHER} allowed-ips 10.8.0.0/24,10.8.0.0/24")
    path = f"interfaces wireguard wg0 peer {OTHER}"
    words = f"Error: Allowed IP 10.8.0.0/24 appears multiple times on interface wg0 peer {OTHER}"
    assert said.startswith(f"[ {path} ]\n{words}\n\nCommit failed\n")


def test_a_host_route_that_conflicts_passes_the_check_and_fails_in_the_kernel(router: EdgeOsSimulator) -> None:
    router.ok("sudo ip route add 203.0.113.77/32 dev eth0")
    configure(router, "interfaces wireguard wg0 route-allowed-ips true")
    said = committed(router, f"{WG0} peer {OTHER} allowed-ips 203.0.113.77/32")
    path = f"interfaces wireguard wg0 peer {OTHER} allowed-ips 203.0.113.77/32"
    assert said.startswith(f"[ {path} ]\nRTNETLINK answers: File exists\n\nCommit failed\n")


def test_a_default_route_into_the_tunnel_is_refused_while_there_is_one(router: EdgeOsSimulator) -> None:
    configure(router, "protocols static route 0.0.0.0/0 next-hop 10.213.77.1")
    configure(router, "interfaces wireguard wg0 route-allowed-ips true")
    said = committed(router, f"{WG0} peer {OTHER} allowed-ips 0.0.0.0/0")
    assert "Error: Allowed IP default on interface wg0 peer" in said


@pytest.mark.parametrize(
    "line",
    [
        f"peer {PEER} persistent-keepalive 15", f"peer {PEER} allowed-ips 10.5.0.0/24", f"peer {PEER} endpoint 203.0.113.10:1",
        f"peer {PEER} description x", "listen-port 51821", "mtu 1400", "address 10.78.0.1/24", "description x", "fwmark 7",
    ],
)  # fmt: skip
def test_these_changes_do_not_bounce_the_interface(router: EdgeOsSimulator, line: str) -> None:
    configure(router, f"interfaces wireguard wg0 {line}")
    assert not [command for command in router.ran if "down" in command]


def test_a_firewall_change_bounces_the_interface_and_loses_its_ipv6_addresses(router: EdgeOsSimulator) -> None:
    configure(router, "interfaces wireguard wg0 address fd77::1/64")
    configure(router, "firewall name WG_IN default-action accept\ninterfaces wireguard wg0 firewall in name WG_IN")
    assert "ip link set down dev wg0" in router.ran
    assert "fd77::1/64" not in router.ok("ip addr show wg0")
    assert "fd77::1/64" in router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")


def test_deleting_then_fails_until_the_address_is_added_by_hand(router: EdgeOsSimulator) -> None:
    test_a_firewall_change_bounces_the_interface_and_loses_its_ipv6_addresses(router)
    deleting = "begin\ndelete interfaces wireguard wg0\ncommit\nend"
    assert "Error: ipv6: address not found." in scripted(router, deleting)
    router.ok("sudo ip -6 addr add fd77::1/64 dev wg0; sudo ip addr add 10.77.0.1/24 dev wg0")
    assert "rc=0 : commit" in scripted(router, deleting)
    assert "wg0" not in router.ok("ip link")


def test_an_older_iproute_says_the_same_in_other_words() -> None:
    with EdgeOsSimulator("edge", clock=Clock(frozen=True), otherwise={"old-iproute"}) as router:
        router.ok(MAKE_KEY)
        configure(router, TUNNEL)
        router.ok("sudo ip addr del 10.77.0.1/24 dev wg0")
        said = scripted(router, "begin\ndelete interfaces wireguard wg0\ncommit\nend")
        assert "RTNETLINK answers: Cannot assign requested address" in said


def test_a_wrong_private_key_file_is_refused_without_a_word(router: EdgeOsSimulator) -> None:
    assert refused(router, f"{WG0} private-key /config/auth/nope.key") == "Value validation failed\nSet failed\n"
    router.write("/config/auth/bad.key", "nonsense\n", 0o640)
    assert refused(router, f"{WG0} private-key /config/auth/bad.key") == "Value validation failed\nSet failed\n"


def test_a_key_file_of_root_alone_cannot_be_read_by_the_user_who_sets(router: EdgeOsSimulator) -> None:
    router.ok("wg genkey > /config/auth/r.key; chmod 600 /config/auth/r.key; sudo chown root:root /config/auth/r.key")
    said = refused(router, f"{WG0} private-key /config/auth/r.key")
    assert said == "cat: /config/auth/r.key: Permission denied\n\nValue validation failed\nSet failed\n"
    router.ok("sudo chgrp vyattacfg /config/auth/r.key; sudo chmod 640 /config/auth/r.key")
    configure(router, "interfaces wireguard wg0 private-key /config/auth/r.key")


def test_an_interface_whose_key_file_is_gone_is_not_active_after_a_boot_and_only_the_log_tells(router: EdgeOsSimulator) -> None:
    router.ok("rm -f /config/auth/wg0.key")
    router.reboot()
    assert "wg0" not in router.ok("ip link; cli-shell-api showCfg --show-active-only interfaces")
    assert "wireguard wg0 {" in router.read("/config/config.boot")
    assert "Private key must be specified for wg0" in router.read("/var/log/vyatta/vyatta-commit.log")


def test_editing_a_key_file_in_place_changes_nothing_until_the_value_changes(router: EdgeOsSimulator) -> None:
    before = router.ok("sudo wg show wg0 public-key")
    router.ok("sg vyattacfg -c 'umask 027; wg genkey > /config/auth/wg0.key; wg genkey > /config/auth/wg0-2.key'")
    scripted(router, f"begin\n{WG0} private-key /config/auth/wg0.key\ncommit\nend")
    assert router.ok("sudo wg show wg0 public-key") == before
    configure(router, "interfaces wireguard wg0 private-key /config/auth/wg0-2.key")
    assert router.ok("sudo wg show wg0 public-key") != before


def test_an_inline_key_shows_in_the_configuration_and_not_in_show_configuration(router: EdgeOsSimulator) -> None:
    key = router.ok("wg genkey").strip()
    configure(router, f"interfaces wireguard wg0 private-key {key}")
    assert key in router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")
    shown = router.ok("vyatta-op-cmd-wrapper show configuration")
    assert key not in shown
    assert "private-key ****************" in shown


def test_own_key_as_a_peer_is_not_in_the_kernel(router: EdgeOsSimulator) -> None:
    own = router.ok("sudo wg show wg0 public-key").strip()
    scripted(router, f"begin\n{WG0} peer {own} allowed-ips 10.9.0.0/24\ncommit\nend")
    assert own not in router.ok("sudo wg show wg0 peers")


def test_the_defaults_are_invisible_until_a_save_and_a_reload(router: EdgeOsSimulator) -> None:
    assert "mtu" not in router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")
    assert "mtu 1420" in router.read("/config/config.boot")
    router.reboot()
    assert "mtu 1420" in router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")


def test_redacting_the_dump_on_the_device_leaves_no_secret(router: EdgeOsSimulator) -> None:
    out = router.ok(
        "sudo wg show wg0 dump | awk -F'\\t' -v OFS='\\t' 'NR==1{$1=\"-\"} NR>1&&$2!=\"(none)\"{$2=\"-\"} 1'"
    ).splitlines()
    assert out[0].startswith("-\t")
    assert router.read("/config/auth/wg0.key").strip() not in "".join(out)


def test_wg_needs_root(router: EdgeOsSimulator) -> None:
    assert router.run("wg show wg0 dump") == (b"", b"Unable to access interface: Operation not permitted\n", 1)
