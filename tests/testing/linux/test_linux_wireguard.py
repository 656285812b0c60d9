"""wg, wg-quick and ip on the simulated host; every fact was seen with the real tools (test_against_real_tools.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from linux_sites import KEY, OTHER, PEER, two_sites

from fleet.testing.ether import Clock
from fleet.testing.linux import LinuxSimulator


@pytest.fixture
def host() -> Iterator[LinuxSimulator]:
    with LinuxSimulator("hq", clock=Clock(frozen=True)) as host:
        host.ok("ip link add wg0 type wireguard; ip link set wg0 up")
        yield host


def refused(host: LinuxSimulator, command: str, words: str, code: int = 1, stdin: bytes = b"") -> None:
    out, error, status = host.run(command, stdin)
    assert words in (out + error).decode()
    assert status == code


def test_an_allowed_ip_moves_from_the_peer_that_had_it(host: LinuxSimulator) -> None:
    host.ok(f"wg set wg0 peer {PEER} allowed-ips 10.0.0.0/24,10.0.1.0/24 peer {OTHER} allowed-ips 10.0.1.0/24")
    assert host.ok("wg show wg0 allowed-ips").splitlines() == [f"{PEER}\t10.0.0.0/24", f"{OTHER}\t10.0.1.0/24"]


def test_syncconf_with_a_file_without_private_key_takes_the_key_away(host: LinuxSimulator) -> None:
    host.ok("wg set wg0 private-key /dev/stdin", KEY.encode())
    host.ok("wg syncconf wg0 /dev/stdin", b"[Interface]\nListenPort = 51820\n")
    assert host.ok("wg show wg0 private-key").strip() == "(none)"


def test_syncconf_removes_peers_that_the_file_does_not_name(host: LinuxSimulator) -> None:
    host.ok(f"wg set wg0 peer {PEER} peer {OTHER}")
    host.ok("wg syncconf wg0 /dev/stdin", f"[Peer]\nPublicKey = {OTHER}\n".encode())
    assert host.ok("wg show wg0 peers").split() == [OTHER]


def test_syncconf_leaves_a_preshared_key_that_the_file_does_not_name(host: LinuxSimulator) -> None:
    host.ok(f"wg set wg0 peer {PEER} preshared-key /dev/stdin", KEY.encode())
    host.ok("wg syncconf wg0 /dev/stdin", f"[Peer]\nPublicKey = {PEER}\n".encode())
    assert host.ok("wg show wg0 preshared-keys").split()[1] == KEY


def test_syncconf_keeps_the_session_of_an_unchanged_peer_and_setconf_does_not() -> None:
    with two_sites() as (ether, hub, branch):
        key = branch.ok("wg show wg0 public-key").strip()
        ether.clock.advance(100)
        assert ether.ping(branch, None, "10.100.0.1")
        conf = hub.ok("wg showconf wg0")
        assert ether.ping(branch, None, "10.100.0.1")
        before = hub.handshake("wg0", key)
        hub.ok("wg syncconf wg0 /dev/stdin", conf.encode())
        after = hub.handshake("wg0", key)
        assert before is not None
        assert after is not None
        assert (after.at, after.received) == (before.at, before.received)
        hub.ok("wg setconf wg0 /dev/stdin", conf.encode())
        fresh = hub.handshake("wg0", key)
        assert fresh is None or fresh.received < before.received


def test_an_empty_allowed_ips_line_in_a_file_is_refused(host: LinuxSimulator) -> None:
    refused(
        host,
        "wg setconf wg0 /dev/stdin",
        "Line unrecognized: `AllowedIPs='",
        stdin=f"[Peer]\nPublicKey={PEER}\nAllowedIPs =\n".encode(),
    )


def test_a_sign_before_an_allowed_ip_needs_newer_tools(host: LinuxSimulator) -> None:
    refused(host, f"wg set wg0 peer {PEER} allowed-ips +10.0.0.1/32", "Unable to parse IP address: `+10.0.0.1'")
    with LinuxSimulator("new", tools_version="1.0.20250521") as new:
        new.ok("ip link add wg0 type wireguard")
        new.ok(f"wg set wg0 peer {PEER} allowed-ips 10.0.0.1/32,10.0.0.2/32")
        new.ok(f"wg set wg0 peer {PEER} allowed-ips +10.0.0.3/32,-10.0.0.1/32")
        assert new.ok("wg show wg0 allowed-ips").split()[1:] == ["10.0.0.2/32", "10.0.0.3/32"]


def test_an_interface_is_never_its_own_peer(host: LinuxSimulator) -> None:
    host.ok("wg set wg0 private-key /dev/stdin", KEY.encode())
    own = host.ok("wg show wg0 public-key").strip()
    host.ok(f"wg set wg0 peer {own} allowed-ips 10.0.0.1/32")
    assert host.ok("wg show wg0 peers") == ""


def test_two_interfaces_cannot_listen_on_one_port(host: LinuxSimulator) -> None:
    host.ok("wg set wg0 listen-port 51820; ip link add wg1 type wireguard; ip link set wg1 up")
    refused(host, "wg set wg1 listen-port 51820", "Unable to modify interface: Address already in use")


def test_an_endpoint_name_is_resolved_once_when_it_is_set(host: LinuxSimulator) -> None:
    refused(
        host, f"wg set wg0 peer {PEER} endpoint vpn.example.com:51820", "Name or service not known: `vpn.example.com:51820'"
    )
    host.names["vpn.example.com"] = "198.51.100.10"
    host.ok(f"wg set wg0 peer {PEER} endpoint vpn.example.com:51820")
    host.names["vpn.example.com"] = "198.51.100.99"
    assert host.ok("wg show wg0 endpoints").split()[1] == "198.51.100.10:51820"


def test_without_the_kernel_module_only_the_userspace_implementation_makes_an_interface() -> None:
    with LinuxSimulator("old", wireguard_module=False) as host:
        refused(host, "ip link add wg0 type wireguard", "Error: Unknown device type.", 2)
        refused(host, "wg show wg0", "Unable to access interface: Protocol not supported")
        host.write("/etc/wireguard/wg0.conf", "[Interface]\nAddress = 10.0.0.1/24\n", 0o600)
        assert b"Falling back to slow userspace implementation" in host.run("wg-quick up wg0")[1]
        assert host.ok("wg show interfaces").split() == ["wg0"]


def test_a_hook_that_fails_takes_the_interface_away_again(host: LinuxSimulator) -> None:
    host.write("/etc/wireguard/wg1.conf", "[Interface]\nAddress = 10.0.0.1/24\nPostUp = exit 3\n", 0o600)
    assert host.run("wg-quick up wg1")[2] == 3
    assert host.ok("wg show interfaces").split() == ["wg0"]


def test_table_off_adds_no_routes(host: LinuxSimulator) -> None:
    text = f"[Interface]\nAddress = 10.7.0.1/24\nTable = off\n[Peer]\nPublicKey = {PEER}\nAllowedIPs = 192.168.7.0/24\n"
    host.write("/etc/wireguard/wg1.conf", text, 0o600)
    host.ok("wg-quick up wg1 2>/dev/null")
    assert "192.168.7.0" not in host.ok("ip route")


def test_a_world_readable_file_is_warned_about(host: LinuxSimulator) -> None:
    host.write("/etc/wireguard/wg1.conf", "[Interface]\n", 0o644)
    (host.root_path / "etc/wireguard").chmod(0o755)
    assert b"is world accessible" in host.run("wg-quick strip wg1")[1]


def test_wg_quick_refuses_what_is_not_there(host: LinuxSimulator) -> None:
    refused(host, "wg-quick up nope", "wg-quick: `/etc/wireguard/nope.conf' does not exist")
    refused(host, "wg-quick down eth0", "does not exist")
    refused(host, "wg-quick frobnicate wg0", "Usage: wg-quick")


@pytest.mark.parametrize(
    ("command", "words", "code"),
    [
        ("wg set wg0 peer AAAA", "Key is not the correct length or format: `AAAA'", 1),
        ("wg set nope listen-port 1", "Unable to modify interface: No such device", 1),
        ("wg show eth0", "Unable to access interface: Operation not supported", 1),
        ("wg set wg0 listen-port x", "Servname not supported for ai_socktype: `x'", 1),
        (f"wg set wg0 peer {PEER} persistent-keepalive 70000", "neither 0/off nor 1-65535", 1),
        (f"wg set wg0 peer {PEER} allowed-ips 10.0.0.0/33", "AllowedIP is not in the correct format", 1),
        ("wg set wg0 private-key /nonexistent", "fopen: No such file or directory", 1),
        ("wg syncconf wg0 /nonexistent", "fopen: No such file or directory", 1),
        ("wg frobnicate", "Invalid subcommand: `frobnicate'", 1),
        ("ip link add wg0 type wireguard", "RTNETLINK answers: File exists", 2),
        ("ip link del eth0", "RTNETLINK answers: Operation not supported", 2),
        ("ip link set nope up", 'Cannot find device "nope"', 1),
        ("ip addr add 10.0.0.1/33 dev wg0", "any valid prefix is expected", 1),
        ("ip route add 10.0.0.1/24 dev wg0", "Invalid prefix for given prefix length", 2),
        ("ip route add 10.9.0.0/16 via 203.0.113.9", "Nexthop has invalid gateway", 2),
        ("ip route del 10.9.0.0/16", "RTNETLINK answers: No such process", 2),
        ("ip frobnicate", "is unknown", 1),
        ("ping -c 1 -I 10.9.9.9 10.0.0.1", "bind: Cannot assign requested address", 2),
        ("ping", "Destination address required", 1),
        ("sysctl net.nope", "cannot stat /proc/sys/net/nope", 1),
    ],
)
def test_a_wrong_command_is_refused_in_the_tools_own_words(host: LinuxSimulator, command: str, words: str, code: int) -> None:
    refused(host, command, words, code)
