"""A simulated OpenWrt router as a whole: shell, login, boot, and its part in the ether."""

from __future__ import annotations

import io
from collections.abc import Iterator

import paramiko
import pytest

from fleet.keys import new_private_key, public_key_of
from fleet.testing.ether import Clock, Ether
from fleet.testing.linux import LinuxSimulator
from fleet.testing.openwrt import OpenWrtSimulator
from fleet.testing.sshd import SshServer, new_host_key, public_line

PASSWORD = "only-on-loopback"


@pytest.fixture
def router() -> Iterator[OpenWrtSimulator]:
    with OpenWrtSimulator("pune") as router:
        yield router


def client_of(server: SshServer) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(server.host, server.port, "root", PASSWORD, look_for_keys=False, allow_agent=False)
    return client


def test_an_exec_of_9000_bytes_runs_and_one_more_ends_the_whole_connection(router: OpenWrtSimulator) -> None:
    """Sheet 6: dropbear MAX_CMD_LEN."""
    with router.serve_ssh(passwords={"root": PASSWORD}) as server, client_of(server) as client:
        _, out, _ = client.exec_command("echo " + "x" * 8995)
        assert len(out.read()) == 8996
        transport = client.get_transport()
        assert transport is not None
        with pytest.raises((paramiko.SSHException, EOFError)):
            client.exec_command("echo " + "x" * 8996)
        transport.join(5)
        assert not transport.is_active()


def test_a_megabyte_goes_over_standard_input(router: OpenWrtSimulator) -> None:
    """Sheet 6: 1 MB on stdin is fine."""
    with router.serve_ssh(passwords={"root": PASSWORD}) as server, client_of(server) as client:
        stdin, out, _ = client.exec_command("wc -c")
        stdin.write(b"x" * 1_000_000)
        stdin.channel.shutdown_write()
        assert out.read().strip() == b"1000000"


def test_it_says_that_it_is_dropbear(router: OpenWrtSimulator) -> None:
    """Sheet 6: versions by release."""
    with router.serve_ssh(passwords={"root": PASSWORD}) as server, client_of(server) as client:
        transport = client.get_transport()
        assert transport is not None
        assert transport.remote_version == "SSH-2.0-dropbear_2022.83"


def test_a_key_in_dropbears_own_file_opens_the_door(router: OpenWrtSimulator) -> None:
    """Sheet 6: not in .ssh of the home."""
    key = new_host_key()
    server = router.serve_ssh(passwords={"root": PASSWORD})
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with pytest.raises(paramiko.AuthenticationException):
            client.connect(server.host, server.port, "root", pkey=key, look_for_keys=False, allow_agent=False)
        router.write("/etc/dropbear/authorized_keys", public_line(key) + " fleet\n", 0o600)
        client.connect(server.host, server.port, "root", pkey=key, look_for_keys=False, allow_agent=False)


def test_the_password_of_a_fresh_router_is_blank_until_passwd_sets_one(router: OpenWrtSimulator) -> None:
    """Sheet 6: blank root password logins are allowed."""
    server = router.serve_ssh()
    for password in ("", PASSWORD):
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(server.host, server.port, "root", password, look_for_keys=False, allow_agent=False)
        router.ok("passwd root", f"{PASSWORD}\n{PASSWORD}\n".encode())


def test_there_is_no_sftp(router: OpenWrtSimulator) -> None:
    """Sheet 6."""
    with (
        router.serve_ssh(passwords={"root": PASSWORD}) as server,
        client_of(server) as client,
        pytest.raises((paramiko.SSHException, EOFError)),
    ):
        client.open_sftp().putfo(io.BytesIO(b""), "/tmp/x")


def test_a_command_that_the_default_busybox_lacks_is_not_found(router: OpenWrtSimulator) -> None:
    """Sheet 6, capture 6."""
    for name in ("timeout", "nohup", "base64", "stat", "od", "diff", "pkill", "tty", "realpath", "usleep"):
        _, error, code = router.run(f"{name} x")
        assert (error.decode(), code) == (f"ash: {name}: not found\n", 127)


def test_what_is_staged_is_lost_with_the_power_and_what_is_committed_is_not(router: OpenWrtSimulator) -> None:
    """Sheet 2.4: the staging area is in /tmp, a tmpfs."""
    router.ok("uci set network.lan.metric=5; uci commit network; uci set network.lan.mtu=1400")
    router.reboot()
    assert router.ok("uci get network.lan.metric; uci changes") == "5\n"


def test_a_service_that_is_not_enabled_does_not_start_after_a_reboot(router: OpenWrtSimulator) -> None:
    router.ok('"$FLEET_ROOT/etc/init.d/firewall" disable')
    router.reboot()
    assert router.ok("nft list ruleset") == ""


def test_rc_local_runs_at_boot(router: OpenWrtSimulator) -> None:
    router.write("/etc/rc.local", 'echo started > "$FLEET_ROOT/tmp/mark"\nexit 0\n')
    router.reboot()
    assert router.read("/tmp/mark") == "started\n"


def test_a_service_of_somebodys_own_is_enabled_and_runs_at_boot(router: OpenWrtSimulator) -> None:
    script = '#!/bin/sh /etc/rc.common\nSTART=99\nstart() {\n\techo "$1 up" >> "$FLEET_ROOT/tmp/mark"\n}\n'
    router.write("/etc/init.d/keeper", script, 0o755)
    router.ok("service keeper enable")
    router.reboot()
    assert router.read("/tmp/mark") == " up\n"


def test_without_the_package_wg_is_not_found_and_netifd_has_no_handler() -> None:
    """Sheet 6: not installed in default images; 3.2: proto none, NO_DEVICE."""
    with OpenWrtSimulator("bare", packages=()) as router:
        assert router.run("wg show")[1] == b"ash: wg: not found\n"
        router.ok(
            "uci set network.wg0=interface; uci set network.wg0.proto=wireguard; uci commit network; ubus call network reload"
        )
        status = router.ok("ubus -S call network.interface.wg0 status")
        assert '"proto":"none"' in status
        assert '"errors":[{"subsystem":"interface","code":"NO_DEVICE"}]' in status


def test_an_installed_handler_is_read_when_netifd_starts_again() -> None:
    """Sheet 6: handlers are read at netifd start only."""
    with OpenWrtSimulator("bare", packages=()) as router:
        router.ok("opkg update && opkg install wireguard-tools")
        assert "wireguard" not in router.ok("ubus call network get_proto_handlers")
        router.ok('"$FLEET_ROOT/etc/init.d/network" restart')
        assert "wireguard" in router.ok("ubus call network get_proto_handlers")


WIREGUARD = """\
set network.wg0=interface
set network.wg0.proto='wireguard'
set network.wg0.private_key='{private}'
set network.wg0.listen_port='51820'
add_list network.wg0.addresses='10.200.0.2/24'
set network.hub=wireguard_wg0
set network.hub.public_key='{hub}'
set network.hub.endpoint_host='198.51.100.10'
set network.hub.persistent_keepalive='25'
set network.hub.route_allowed_ips='1'
add_list network.hub.allowed_ips='10.200.0.0/24'
add_list network.hub.allowed_ips='192.168.1.0/24'
set firewall.wg_zone=zone
set firewall.wg_zone.name='wg'
set firewall.wg_zone.input='ACCEPT'
set firewall.wg_zone.output='ACCEPT'
set firewall.wg_zone.forward='ACCEPT'
add_list firewall.wg_zone.network='wg0'
set firewall.out=forwarding
set firewall.out.src='lan'
set firewall.out.dest='wg'
{back}commit network
commit firewall
"""
BACK = "set firewall.back=forwarding\nset firewall.back.src='wg'\nset firewall.back.dest='lan'\n"


def joined(ether: Ether, *, back: str) -> tuple[LinuxSimulator, OpenWrtSimulator]:
    """A Linux hub and a branch with a tunnel between them."""
    hub_key, branch_key = new_private_key(), new_private_key()
    hub = LinuxSimulator("hq", ether, public_hosts=("198.51.100.10",), lans=("192.168.1.0/24",))
    hub.ok("ip link add wg0 type wireguard; ip addr add 10.200.0.1/24 dev wg0; sysctl -w net.ipv4.ip_forward=1")
    hub.ok("wg set wg0 listen-port 51820 private-key /dev/stdin", hub_key.reveal().encode())
    hub.ok(f"wg set wg0 peer {public_key_of(branch_key)} allowed-ips 10.200.0.2/32,192.168.30.0/24")
    hub.ok("ip link set wg0 up; ip route add 192.168.30.0/24 dev wg0")
    branch = OpenWrtSimulator("pune", ether, lans=("192.168.30.0/24",))
    batch = WIREGUARD.format(private=branch_key.reveal(), hub=public_key_of(hub_key), back=back)
    branch.ok("uci batch", batch.encode())
    branch.ok("ifup wg0")
    branch.settle()
    return hub, branch


def test_lan_to_lan_pings_arrive_when_both_forwardings_are_there() -> None:
    """Sheet 5: a forwarding is one-way."""
    ether = Ether(Clock())
    hub, branch = joined(ether, back=BACK)
    with hub, branch:
        assert ether.ping(branch, "192.168.30.10", "192.168.1.10")
        assert ether.ping(hub, "192.168.1.10", "192.168.30.10")
        assert "latest handshake" in branch.ok("wg show wg0")


def test_a_lan_is_not_reached_from_the_tunnel_without_a_forwarding_into_it() -> None:
    """Sheet 5."""
    ether = Ether(Clock())
    hub, branch = joined(ether, back="")
    with hub, branch:
        assert ether.ping(branch, "192.168.30.10", "192.168.1.10")
        assert "refused" in ether.trace(hub, "192.168.1.10", "192.168.30.10").stopped


def test_a_hub_takes_no_handshake_before_its_wan_zone_lets_the_port_in() -> None:
    """Sheet 5: default wan zone, input REJECT."""
    ether = Ether(Clock())
    key = new_private_key()
    with (
        OpenWrtSimulator("hq", ether, public_hosts=("198.51.100.10",)) as hub,
        LinuxSimulator("branch", ether, lans=("192.168.30.0/24",)) as branch,
    ):
        hub.stage("set network.wg0=interface", "set network.wg0.proto=wireguard")
        hub.stage("set network.wg0.private_key=generate", "set network.wg0.listen_port=51820")
        hub.stage("set network.p=wireguard_wg0", f"set network.p.public_key={public_key_of(key)}")
        hub.ok("uci commit; ifup wg0")
        hub.settle()
        public = hub.ok("wg show wg0 public-key").strip()
        branch.ok("ip link add wg0 type wireguard; ip link set wg0 up")
        branch.ok(
            f"wg set wg0 private-key /dev/stdin peer {public} endpoint 198.51.100.10:51820 persistent-keepalive 25",
            key.reveal().encode(),
        )
        assert branch.ok("wg show wg0 latest-handshakes").split()[1] == "0"
        hub.stage("set firewall.in=rule", "set firewall.in.src=wan", "set firewall.in.proto=udp")
        hub.stage("set firewall.in.dest_port=51820", "set firewall.in.target=ACCEPT")
        hub.ok('uci commit firewall; "$FLEET_ROOT/etc/init.d/firewall" reload')
        assert branch.ok("wg show wg0 latest-handshakes").split()[1] != "0"
