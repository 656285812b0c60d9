"""systemctl and systemd-run on the simulated host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.testing.ether import Clock
from fleet.testing.linux import LinuxSimulator

TIMER = "[Timer]\nOnBootSec=30\nOnUnitActiveSec=30\n[Install]\nWantedBy=timers.target\n"
SERVICE = "[Service]\nType=oneshot\nExecStart=/bin/sh /usr/local/lib/fleet/count.sh\n"


@pytest.fixture
def host() -> Iterator[LinuxSimulator]:
    with LinuxSimulator("hq", clock=Clock(frozen=True)) as host:
        host.write("/etc/wireguard/wg0.conf", "[Interface]\nAddress = 10.0.0.1/24\n", 0o600)
        host.write("/usr/local/lib/fleet/count.sh", 'echo x >> "$FLEET_ROOT/var/lib/count"\n')
        yield host


def counts(host: LinuxSimulator, wanted: int) -> bool:
    path: Path = host.root_path / "var/lib/count"
    deadline = time.monotonic() + 5
    while (path.read_text().count("x") if path.exists() else 0) != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_enabling_makes_a_link_and_says_so(host: LinuxSimulator) -> None:
    assert host.run("systemctl is-enabled wg-quick@wg0") == (b"disabled\n", b"", 1)
    assert (
        "Created symlink /etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service"
        in host.run("systemctl enable wg-quick@wg0")[1].decode()
    )
    assert host.run("systemctl is-enabled wg-quick@wg0") == (b"enabled\n", b"", 0)
    assert host.run("systemctl is-active wg-quick@wg0") == (b"inactive\n", b"", 3)


def test_a_unit_that_fails_is_failed_and_the_system_degraded(host: LinuxSimulator) -> None:
    host.write("/etc/wireguard/wg0.conf", "[Interface]\nBogus = 1\n", 0o600)
    _, error, code = host.run("systemctl start wg-quick@wg0")
    assert b"Job for wg-quick@wg0.service failed because the control process exited with error code." in error
    assert code == 1
    assert host.run("systemctl is-active wg-quick@wg0") == (b"failed\n", b"", 3)
    assert host.run("systemctl is-system-running") == (b"degraded\n", b"", 1)


def test_stopping_takes_the_interface_down(host: LinuxSimulator) -> None:
    host.ok("systemctl start wg-quick@wg0")
    assert host.ok("wg show interfaces").split() == ["wg0"]
    host.ok("systemctl stop wg-quick@wg0")
    assert host.ok("wg show interfaces") == ""


@pytest.mark.parametrize(
    ("command", "words", "code"),
    [
        ("systemctl start nope", "Failed to start nope.service: Unit nope.service not found.", 5),
        ("systemctl stop nope", "Unit nope.service not loaded.", 5),
        ("systemctl enable nope", "Failed to enable unit: Unit file nope.service does not exist.", 1),
        ("systemctl is-enabled nope", "Failed to get unit file state for nope.service", 1),
        ("systemctl frobnicate x", "Unknown command verb frobnicate.", 1),
        ("systemctl start", "Too few arguments.", 1),
        ("systemd-run --on-active=10", "Command line to execute required.", 1),
    ],
)
def test_systemd_refuses_in_its_own_words(host: LinuxSimulator, command: str, words: str, code: int) -> None:
    _, error, status = host.run(command)
    assert words in error.decode()
    assert status == code


def test_a_changed_unit_file_counts_after_daemon_reload_only(host: LinuxSimulator) -> None:
    host.write("/etc/systemd/system/count.service", SERVICE)
    host.ok("systemctl start count.service")
    assert counts(host, 1)
    host.write("/etc/systemd/system/count.service", SERVICE.replace("ExecStart=", "ExecStart=/bin/sh -c 'echo y'\nExecStop="))
    assert b"Run 'systemctl daemon-reload' to reload units." in host.run("systemctl start count.service")[1]
    assert counts(host, 2)
    host.ok("systemctl daemon-reload; systemctl start count.service")
    assert counts(host, 2)


def test_a_timer_fires_on_the_clock_again_and_again_and_after_a_reboot(host: LinuxSimulator) -> None:
    host.write("/etc/systemd/system/count.service", SERVICE)
    host.write("/etc/systemd/system/count.timer", TIMER)
    host.ok("systemctl enable --now count.timer")
    host.clock.advance(31)
    assert counts(host, 1)
    host.clock.advance(31)
    assert counts(host, 2)
    host.reboot()
    host.clock.advance(31)
    assert counts(host, 3)


def test_a_transient_timer_fires_once(host: LinuxSimulator) -> None:
    _, error, code = host.run("systemd-run --on-active=120 --unit=fleet-undo sh /usr/local/lib/fleet/count.sh")
    assert error == b"Running timer as unit: fleet-undo.timer\nWill run service as unit: fleet-undo.service\n"
    assert code == 0
    assert host.run("systemctl is-active fleet-undo.timer")[0] == b"active\n"
    host.clock.advance(121)
    assert counts(host, 1)
    assert host.run("systemctl is-active fleet-undo.timer")[2] == 3


def test_a_transient_timer_can_be_stopped_and_does_not_survive_a_reboot(host: LinuxSimulator) -> None:
    arm = "systemd-run --quiet --on-active=120 --unit=fleet-undo sh /usr/local/lib/fleet/count.sh"
    host.ok(arm)
    assert "was already loaded or has a fragment file" in host.run(arm)[1].decode()
    host.ok("systemctl stop fleet-undo.timer")
    host.ok(arm)
    host.reboot()
    host.clock.advance(1000)
    assert host.timers.names() == []
    assert counts(host, 0)
