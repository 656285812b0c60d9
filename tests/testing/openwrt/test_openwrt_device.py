"""A simulated OpenWrt router as the contract suite uses it: strangers, time, power cuts, faults, what others can see."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import paramiko
import pytest

from fleet.testing.openwrt import OpenWrtSimulator
from fleet.testing.sshd import SshServer

PASSWORD = "only-on-loopback"
OURS = (
    "set network.wg7=interface",
    "set network.wg7.proto=wireguard",
    "set network.wg7.private_key=2J8iET/Yjy0X+7p6C7u/SKPckrgy4Kqr6i0/6C4ex3o=",
    "set network.wg7.listen_port=51820",
    "add_list network.wg7.addresses=10.200.0.1/24",
    "commit network",
)


@pytest.fixture
def router() -> Iterator[OpenWrtSimulator]:
    with OpenWrtSimulator("pune") as router:
        router.stage(*OURS)
        router.ok("ubus call network reload")
        router.settle()
        yield router


def test_what_somebody_planted_survives_a_power_cut(router: OpenWrtSimulator) -> None:
    router.plant("wg7")
    before = router.foreign()
    router.reboot()
    assert router.foreign() == before


def test_an_edit_of_ours_leaves_what_is_foreign_as_it_was(router: OpenWrtSimulator) -> None:
    router.plant("wg7")
    before = router.foreign()
    router.ok("uci add_list network.wg7.addresses=10.200.1.1/24; uci commit network")
    assert router.foreign() == before


def test_a_foreign_option_that_changes_shows(router: OpenWrtSimulator) -> None:
    router.plant("wg7")
    before = router.foreign()
    router.ok("uci set network.@wireguard_wg7[0].description=mine; uci commit network")
    assert router.foreign() != before


def test_an_edit_of_ours_shows_as_ours(router: OpenWrtSimulator) -> None:
    before = router.ours()
    router.ok("uci set network.wg7.mtu=1400; uci commit network")
    assert router.ours() != before


def test_two_routers_in_one_state_hold_the_same_of_ours(router: OpenWrtSimulator) -> None:
    with OpenWrtSimulator("delhi") as other:
        other.stage(*OURS)
        other.ok("uci set network.wg7.private_key=$(wg genkey); uci commit network; ubus call network reload")
        other.settle()
        assert other.ours() == router.ours()


def test_reading_writes_nothing(router: OpenWrtSimulator) -> None:
    before = router.writes()
    router.ok("uci show network; uci changes; wg show all dump; ubus -S call network.interface dump; logread; fw4 check")
    assert router.writes() == before


def test_a_commit_with_nothing_staged_writes_nothing(router: OpenWrtSimulator) -> None:
    """Sheet 2.4."""
    before = router.writes()
    router.ok("uci set network.wg7.listen_port=51820; uci commit network")
    assert router.writes() == before


def test_a_commit_writes_and_so_does_a_peer_in_the_kernel(router: OpenWrtSimulator) -> None:
    first = router.writes()
    router.ok("uci set network.wg7.mtu=1400; uci commit network")
    second = router.writes()
    router.ok("wg set wg7 peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= persistent-keepalive 25")
    assert first < second < router.writes()


def test_a_full_flash_refuses_a_commit_and_keeps_the_file(router: OpenWrtSimulator) -> None:
    before = router.read("/etc/config/network")
    router.flash_full = True
    _, error, code = router.run("uci set network.wg7.mtu=1400; uci commit network")
    assert (error, code, router.read("/etc/config/network")) == (b"uci: I/O error\n", 1, before)


@pytest.mark.parametrize(
    ("fault", "words"), [("flash_full", "No space left on device"), ("flash_read_only", "Read-only file system")]
)
def test_a_file_that_the_flash_does_not_take_is_said(router: OpenWrtSimulator, fault: str, words: str) -> None:
    setattr(router, fault, True)
    _, error, code = router.run('echo x | cat > "$FLEET_ROOT/etc/fleet.undo"')
    assert words in error.decode()
    assert code == 1
    assert router.run('echo x | cat > "$FLEET_ROOT/tmp/undo" && cat "$FLEET_ROOT/tmp/undo"')[0] == b"x\n"


def test_what_sleeps_runs_when_its_time_has_come(router: OpenWrtSimulator) -> None:
    """Sheet 7: a detached process survives the command that started it."""
    router.write("/tmp/rollback.sh", 'sleep 120\ntouch "$FLEET_ROOT/tmp/rolled-back"\n')
    router.ok('start-stop-daemon -S -b -m -p "$FLEET_ROOT/tmp/pid" -x /bin/sh -- "$FLEET_ROOT/tmp/rollback.sh"')
    router.advance(119)
    assert not (router.root_path / "tmp/rolled-back").exists()
    router.advance(1)
    assert (router.root_path / "tmp/rolled-back").exists()


def test_a_daemon_without_a_pid_file_is_taken_for_any_other_of_that_path(router: OpenWrtSimulator) -> None:
    """Busybox, start_stop_daemon.c: `-x /bin/sh` finds every process that was started as /bin/sh."""
    router.write("/tmp/rollback.sh", "sleep 120\n")
    start = 'start-stop-daemon -S -b -x /bin/sh -- "$FLEET_ROOT/tmp/rollback.sh"'
    router.ok(start)
    assert router.run(start) == (b"/bin/sh is already running\n", b"", 1)


def test_a_power_cut_ends_what_sleeps(router: OpenWrtSimulator) -> None:
    """Sheet 3.5 and 7: what is in RAM does not survive."""
    router.write("/tmp/rollback.sh", 'sleep 120\ntouch "$FLEET_ROOT/etc/rolled-back"\n')
    router.ok('start-stop-daemon -S -b -x /bin/sh -- "$FLEET_ROOT/tmp/rollback.sh"')
    router.reboot()
    router.advance(200)
    assert not (router.root_path / "etc/rolled-back").exists()


def test_cron_runs_its_table_when_the_minute_comes(router: OpenWrtSimulator) -> None:
    router.write("/etc/crontabs/root", "* * * * * logger tick\n")
    router.ok('"$FLEET_ROOT/etc/init.d/cron" restart')
    router.advance(61)
    assert "tick" in router.ok("logread -e root:")


def test_cron_learns_of_a_table_that_was_edited_by_hand_when_it_starts_again(router: OpenWrtSimulator) -> None:
    router.write("/etc/crontabs/root", "* * * * * logger tick\n")
    router.advance(61)
    assert router.ok("logread -e root:") == ""


def test_arguments_and_log_are_seen_by_others_and_standard_input_is_not(router: OpenWrtSimulator) -> None:
    router.ok("uci batch", b"set network.wg7.private_key=SECRET-ON-STDIN\n")
    router.ok("uci set network.wg7.mtu=1399")
    assert "network.wg7.mtu=1399" in router.exposed()
    assert "SECRET-ON-STDIN" not in router.exposed()


def test_a_spied_router_shows_the_arguments_of_applets_too() -> None:
    with OpenWrtSimulator("pune", spy=True) as router:
        assert router.ok("echo SECRET | grep -c SECRET") == "1\n"
        assert "grep -c SECRET" in router.exposed()


def client_of(server: SshServer) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(server.host, server.port, "root", PASSWORD, look_for_keys=False, allow_agent=False)
    return client


@pytest.fixture
def hangups() -> Iterator[None]:
    """Tests that run under nohup inherit that hangups are ignored, and a router's processes would inherit it from them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize(("trap", "survives"), [("", False), ("trap '' HUP; ", True)])
def test_a_command_dies_with_its_connection_unless_it_ignores_the_hangup(
    router: OpenWrtSimulator, trap: str, survives: bool
) -> None:
    """Sheet 7."""
    server = router.serve_ssh(passwords={"root": PASSWORD})
    client = client_of(server)
    client.exec_command(f'{trap}touch "$FLEET_ROOT/tmp/began"; sleep 60; touch "$FLEET_ROOT/tmp/ended"')
    until(lambda: router.sleepers == 1)
    client.close()
    until(lambda: survives or not router.processes())
    router.advance(60)
    assert (router.root_path / "tmp/ended").exists() == survives


def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]  # a callable, as all callers give
        time.sleep(0.02)


def test_someone_elses_staged_edit_is_seen_by_everyone_and_lost_at_a_power_cut(router: OpenWrtSimulator) -> None:
    """Sheet 2.4."""
    router.stage("set network.lan.metric=3")
    assert router.ok("uci changes") == "network.lan.metric='3'\n"
    router.reboot()
    assert router.ok("uci changes") == ""


def test_ten_routers_live_in_one_process_and_leave_nothing_behind() -> None:
    routers = [OpenWrtSimulator(f"branch-{number}", hurry=0.1) for number in range(10)]
    assert len({router.ok("uci get system.@system[0].hostname") for router in routers}) == 10
    for router in routers:
        router.close()
    assert not any(router.root_path.exists() or router.processes() for router in routers)
