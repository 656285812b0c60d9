"""The host itself: processes, files, privileges, reboot, secrets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from linux_sites import KEY, OTHER, PEER, make_key

from fleet.testing.ether import Clock
from fleet.testing.linux import LinuxSimulator


@pytest.fixture
def host() -> Iterator[LinuxSimulator]:
    with LinuxSimulator("hq", clock=Clock(frozen=True), lans=("192.168.1.0/24",)) as host:
        yield host


def processes_of(root: Path) -> list[int]:
    """Living processes that were started for this host."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"FLEET_ROOT={root}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def eventually(condition: object, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_script_runs_under_a_real_shell_with_its_standard_input(host: LinuxSimulator) -> None:
    assert host.run('x=$(cat | tr a-z A-Z); echo "got $x"; echo bad >&2; exit 7', b"hello") == (b"got HELLO\n", b"bad\n", 7)


def test_a_script_may_arrive_on_standard_input_and_stand_ins_do_not_eat_it(host: LinuxSimulator) -> None:
    assert host.run("sh -s", b"wg show interfaces\nip -br link >/dev/null\necho end\n")[0] == b"end\n"


def test_stand_ins_in_one_pipe_do_not_wait_for_each_other(host: LinuxSimulator) -> None:
    host.ok("for i in 1 2 3 4 5 6; do wg genkey | wg pubkey & done; wait")
    assert len([one for one in host.invocations if one.name == "wg"]) == 12


def test_path_holds_nothing_but_the_hosts_own_commands(host: LinuxSimulator) -> None:
    assert host.ok("echo $PATH").strip() == f"{host.root_path}/bin"
    assert host.run("python3 -c 1")[2] == 127
    assert host.run("curl http://example.com")[2] == 127


def test_the_callers_environment_does_not_leak_in(host: LinuxSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_SECRET", "hunter2")
    assert "hunter2" not in host.ok("env")


def test_a_file_argument_of_a_stand_in_never_leaves_the_host(host: LinuxSimulator, tmp_path: Path) -> None:
    (tmp_path / "outside.key").write_text(KEY)
    host.ok("ip link add wg0 type wireguard")
    assert host.run(f"wg set wg0 private-key {tmp_path}/outside.key")[1] == b"fopen: No such file or directory\n"
    host.write("/etc/wireguard/inside.key", KEY + "\n")
    host.ok("wg set wg0 private-key /etc/wireguard/inside.key")
    assert host.ok("wg show wg0 private-key").strip() == KEY


def test_nothing_is_written_outside_the_hosts_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, directory = tmp_path / "tmp", tmp_path / "host"
    temporary.mkdir()
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with LinuxSimulator("hq", directory=directory) as host:
        host.ok('t=$(mktemp); echo x > "$t"; wg genkey > "$FLEET_ROOT/etc/wireguard/k"; ip link add wg0 type wireguard')
        assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host", "tmp"]


def test_a_long_directory_name_is_no_obstacle(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    with LinuxSimulator("hq", directory=long) as host:
        assert host.ok("wg --version").startswith("wireguard-tools")


def test_closing_a_host_ends_its_processes_even_those_that_left_their_session(host: LinuxSimulator) -> None:
    host.ok("setsid sleep 1000 >/dev/null 2>&1 & nohup sleep 1000 >/dev/null 2>&1 &")
    assert eventually(lambda: len(processes_of(host.root_path)) >= 2)
    host.close()
    assert eventually(lambda: processes_of(host.root_path) == [])
    assert not host.root_path.exists()


def test_a_detached_guard_fires_when_the_clock_has_moved_on(host: LinuxSimulator) -> None:
    host.ok('setsid sh -c "sleep 120; touch $FLEET_ROOT/var/lib/fired" >/dev/null 2>&1 &')
    assert eventually(lambda: host.sleepers == 1)
    fired = host.root_path / "var/lib/fired"
    host.clock.advance(119)
    time.sleep(0.1)
    assert not fired.exists()
    host.clock.advance(2)
    assert eventually(fired.exists)


def test_date_follows_the_hosts_clock_and_can_be_wrong(host: LinuxSimulator) -> None:
    before = int(host.ok("date +%s"))
    host.clock.advance(1000)
    assert int(host.ok("date +%s")) == before + 1000
    host.set_clock(0)
    assert host.ok("date -u +%Y").strip() == "1970"


def test_a_reboot_loses_what_runs_and_starts_what_is_enabled(host: LinuxSimulator) -> None:
    make_key(host)
    host.write("/etc/wireguard/wg0.conf", "[Interface]\nAddress = 10.0.0.1/24\n", 0o600)
    host.write("/etc/wireguard/wg1.conf", "[Interface]\nAddress = 10.1.0.1/24\n", 0o600)
    host.ok("systemctl enable --now wg-quick@wg0; systemctl start wg-quick@wg1")
    host.ok("nft add table inet mine; sysctl -w net.ipv4.ip_forward=1")
    first = host.read("/proc/sys/kernel/random/boot_id")
    host.reboot()
    assert host.ok("wg show interfaces").split() == ["wg0"]
    assert host.ok("ip -o -4 addr show dev wg0").split()[3] == "10.0.0.1/24"
    assert host.ok("nft list tables") == ""
    assert host.ok("sysctl -n net.ipv4.ip_forward").strip() == "0"
    assert host.read("/proc/sys/kernel/random/boot_id") != first


def test_without_systemd_rc_local_starts_things() -> None:
    with LinuxSimulator("alpine", init="rc.local", distro="alpine") as host:
        assert host.run("systemctl is-system-running")[2] == 127
        assert not (host.root_path / "run/systemd/system").exists()
        host.write("/etc/wireguard/wg0.conf", "[Interface]\nAddress = 10.0.0.1/24\n", 0o600)
        host.write("/etc/rc.local", "#!/bin/sh\nwg-quick up wg0\n", 0o755)
        host.reboot()
        assert host.ok("wg show interfaces").split() == ["wg0"]


def test_sysctl_files_are_loaded_at_boot(host: LinuxSimulator) -> None:
    host.write("/etc/sysctl.d/99-fleet.conf", "net.ipv4.ip_forward = 1\n")
    host.reboot()
    assert host.ok("sysctl -n net.ipv4.ip_forward").strip() == "1"
    assert host.read("/proc/sys/net/ipv4/ip_forward").strip() == "1"


def test_a_command_may_ask_for_the_reboot(host: LinuxSimulator) -> None:
    host.run("reboot")
    assert host.boots == 2


def test_an_ordinary_user_is_refused_and_sudo_helps() -> None:
    with LinuxSimulator("hq", root=False) as host:
        assert host.run("id -u")[0] == b"1000\n"
        assert host.run("ip link add wg0 type wireguard") == (b"", b"RTNETLINK answers: Operation not permitted\n", 2)
        assert host.run("nft list ruleset")[2] == 1
        assert host.run("sudo -n ip link add wg0 type wireguard")[2] == 0
        assert host.run("wg show wg0")[1] == b"Unable to access interface: Operation not permitted\n"
        assert host.run("sudo sh -c 'id -u; wg show interfaces'")[0] == b"0\nwg0\n"


def test_sudo_that_wants_a_password_refuses() -> None:
    with LinuxSimulator("hq", root=False, sudo=False) as host:
        assert host.run("sudo -n true") == (b"", b"sudo: a password is required\n", 1)


def test_a_missing_package_is_a_missing_command() -> None:
    with LinuxSimulator("bare", missing=("wg", "wg-quick")) as host:
        out, error, code = host.run("wg show")
        assert (out, code) == (b"", 127)
        assert b"not found" in error


def test_a_snapshot_tells_files_and_running_state_apart(host: LinuxSimulator) -> None:
    host.plant_wireguard(
        "wg9", f"[Interface]\nPrivateKey = {KEY}\nListenPort = 9\n[Peer]\nPublicKey = {PEER}\nAllowedIPs = 10.9.0.2/32\n"
    )
    host.plant_nftables('table inet theirs { chain c { iifname "eth1" accept; }; }')
    before = host.snapshot()
    assert host.snapshot() == before
    host.plant_peer("wg9", OTHER, "10.9.0.3/32")
    after = host.snapshot()
    assert after.files == before.files
    assert after.ruleset == before.ruleset
    assert after.devices != before.devices


def test_the_log_of_invocations_shows_what_a_process_list_would(host: LinuxSimulator) -> None:
    host.ok("ip link add wg0 type wireguard; umask 077; wg genpsk > $FLEET_ROOT/etc/psk")
    host.ok(f'wg set wg0 peer {PEER} preshared-key "$FLEET_ROOT/etc/psk"')
    psk = host.read("/etc/psk").strip()
    assert host.ok("wg show wg0 preshared-keys").split()[1] == psk
    assert host.invocations[-1].argv == ("show", "wg0", "preshared-keys")
    assert not any(psk in word for one in host.invocations for word in one.argv)


def test_a_command_that_fails_is_logged_with_its_exit_status(host: LinuxSimulator) -> None:
    host.run("ip link del nope")
    assert (host.invocations[-1].name, host.invocations[-1].code) == ("ip", 1)


def test_cron_tables_are_kept(host: LinuxSimulator) -> None:
    assert host.run("crontab -l") == (b"", b"no crontab for root\n", 1)
    host.ok("crontab -", b"* * * * * true\n")
    assert host.ok("crontab -l") == "* * * * * true\n"


def test_a_hardened_host_needs_a_firewall() -> None:
    with pytest.raises(ValueError, match="say which"):
        LinuxSimulator("hq", hardened=True)


def test_a_restart_waits_for_what_is_still_writing_into_memory(host: LinuxSimulator) -> None:
    for _ in range(4):
        host.ok(
            'setsid sh -c \'while :; do mkdir -p "$FLEET_ROOT/run/busy/$$"; : >"$FLEET_ROOT/run/busy/$$/file"; done\''
            " >/dev/null 2>&1 &"
        )
        host.reboot()
        assert not (host.root_path / "run/busy").exists()
