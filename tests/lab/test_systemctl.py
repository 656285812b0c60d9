"""The stand-in for systemctl: what a router's scripts and administrators may rely on, and what it refuses as systemd does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from .measure import eventually
from .net import Lab
from .router import Disk, LabRouter

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("lab-handmade")]

ONESHOT = (
    "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo %i >>/root/ran'\nExecStop=/bin/rm -f /root/ran\n"
)
INSTALL = "[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[LabRouter]:
    """One router without cables."""
    with Lab() as lab:
        router = LabRouter("machine", lab, Disk("systemd"))
        lab.add(router)
        router.boot()
        yield router


@pytest.fixture
def router(machine: LabRouter) -> LabRouter:
    """The same, blank again and started."""
    machine.sh("rm -rf /etc/systemd/system/* /root/ran*")
    machine.restart()
    return machine


def unit(router: LabRouter, name: str, text: str) -> None:
    """Write a unit file as an administrator would."""
    router.write(f"/etc/systemd/system/{name}", text)


def systemctl(router: LabRouter, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as the router's PATH finds it."""
    return router.run("sh", "-c", 'exec systemctl "$@"', "sh", *arguments, check=False)


def test_an_enabled_instance_runs_at_the_next_start_and_a_disabled_one_does_not(router: LabRouter) -> None:
    unit(router, "say@.service", ONESHOT + INSTALL)
    assert systemctl(router, "enable", "say@one", "say@two").returncode == 0
    assert systemctl(router, "disable", "say@two").returncode == 0
    assert not router.path("/root/ran").exists(), "enabling starts nothing"
    router.restart()
    assert router.read("/root/ran") == "one\n"
    assert systemctl(router, "is-active", "say@one").stdout == "active\n"


def test_enable_now_starts_and_disable_now_stops(router: LabRouter) -> None:
    unit(router, "say@.service", ONESHOT + INSTALL)
    assert systemctl(router, "enable", "--now", "say@one").returncode == 0
    assert router.path("/root/ran").exists()
    assert systemctl(router, "disable", "--now", "say@one").returncode == 0
    assert not router.path("/root/ran").exists()


def test_starting_what_already_runs_does_nothing(router: LabRouter) -> None:
    unit(router, "say@.service", ONESHOT)
    systemctl(router, "start", "say@one")
    systemctl(router, "start", "say@one")
    assert router.read("/root/ran") == "one\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("start", "nothing"), 5, "Failed to start nothing.service: Unit nothing.service not found."),
        (("stop", "nothing"), 5, "Unit nothing.service not loaded."),
        (("enable", "nothing"), 1, "Failed to enable unit: Unit file nothing.service does not exist."),
        (("is-enabled", "nothing"), 1, "No such file or directory"),
        (("is-active", "nothing"), 3, ""),
        (("start",), 1, "Too few arguments."),
        (("dance", "nothing"), 1, "Unknown command verb dance."),
    ],
)
def test_it_refuses_in_systemds_words_and_codes(router: LabRouter, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = systemctl(router, *arguments)
    assert (done.returncode, message in done.stderr) == (code, True)


def test_a_command_that_fails_fails_the_job_and_marks_the_unit(router: LabRouter) -> None:
    unit(router, "bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    done = systemctl(router, "start", "bad")
    assert done.returncode == 1
    assert "Job for bad.service failed" in done.stderr
    assert systemctl(router, "is-failed", "bad").returncode == 0


def test_a_changed_unit_counts_only_after_daemon_reload(router: LabRouter) -> None:
    unit(router, "say@.service", ONESHOT)
    systemctl(router, "start", "say@one")
    unit(router, "say@.service", ONESHOT.replace("%i", "changed"))
    assert "daemon-reload" in systemctl(router, "restart", "say@one").stderr
    assert router.read("/root/ran") == "one\n"
    systemctl(router, "daemon-reload")
    assert systemctl(router, "restart", "say@one").stderr == ""
    assert router.read("/root/ran") == "changed\n"


def test_a_unit_sees_a_clean_environment(router: LabRouter) -> None:
    unit(router, "env.service", "[Service]\nType=oneshot\nEnvironment=OWN=1\nExecStart=/bin/sh -c 'env >/root/ran'\n")
    router.run("sh", "-c", "SECRET=1 systemctl start env")
    assert "OWN=1" in router.read("/root/ran")
    assert "SECRET" not in router.read("/root/ran")


def test_a_drop_in_adds_and_an_empty_assignment_clears(router: LabRouter) -> None:
    unit(router, "say@.service", ONESHOT)
    unit(router, "say@.service.d/more.conf", "[Service]\nExecStart=\nExecStart=/bin/sh -c 'echo more >/root/ran'\n")
    systemctl(router, "start", "say@one")
    assert router.read("/root/ran") == "more\n"


def test_a_timer_fires_again_and_again_and_comes_back_at_start_if_enabled(router: LabRouter) -> None:
    unit(router, "tick.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >>/root/ran'\n")
    unit(router, "tick.timer", "[Timer]\nOnActiveSec=100ms\nOnUnitActiveSec=100ms\n[Install]\nWantedBy=timers.target\n")
    assert systemctl(router, "enable", "--now", "tick.timer").returncode == 0
    assert eventually(lambda: router.path("/root/ran").exists() and len(router.read("/root/ran")) >= 6, within=5) is not None
    router.restart()
    router.sh("rm -f /root/ran")
    assert eventually(lambda: router.path("/root/ran").exists(), within=5) is not None
    systemctl(router, "stop", "tick.timer")
    assert systemctl(router, "is-active", "tick.timer").stdout == "inactive\n"


def test_a_long_running_service_outlives_the_caller_and_ends_when_stopped(router: LabRouter) -> None:
    unit(router, "long.service", "[Service]\nExecStart=/bin/sleep 611\n")
    systemctl(router, "start", "long")
    assert eventually(lambda: any("sleep 611" in line for line in router.processes()), within=3) is not None
    systemctl(router, "stop", "long")
    assert eventually(lambda: not any("sleep 611" in line for line in router.processes()), within=3) is not None


def test_a_router_without_systemd_has_neither_its_mark_nor_the_stand_in() -> None:
    with Lab() as lab:
        router = LabRouter("plain", lab, Disk("rc.local"))
        lab.add(router)
        router.boot()
        assert not router.path("/run/systemd/system").exists()
        assert not router.path("/usr/local/sbin/systemctl").exists()


# --------------------------------------------------------------------------------------------------- systemd-run
def transient(router: LabRouter, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-run as the router's PATH finds it."""
    return router.run("sh", "-c", 'exec systemd-run "$@"', "sh", *arguments, check=False)


def test_a_transient_timer_runs_its_command_once_and_is_gone(router: LabRouter) -> None:
    done = transient(router, "--quiet", "--unit=undo", "--on-active=1", "sh", "-c", "echo x >>/root/ran")
    assert done.returncode == 0
    assert systemctl(router, "is-active", "undo.timer").stdout == "active\n"
    assert not router.path("/root/ran").exists()
    assert eventually(lambda: router.path("/root/ran").exists(), within=5) is not None
    assert eventually(lambda: systemctl(router, "stop", "undo.timer").returncode == 5, within=3) is not None


def test_a_transient_timer_that_is_stopped_never_fires(router: LabRouter) -> None:
    transient(router, "--unit=undo", "--on-active=1", "touch", "/root/ran")
    assert systemctl(router, "stop", "undo.timer").returncode == 0
    assert eventually(lambda: router.path("/root/ran").exists(), within=1.5) is None
    assert transient(router, "--unit=undo", "--on-active=60", "true").returncode == 0, "its name is free again"


def test_a_transient_timer_does_not_outlive_a_restart(router: LabRouter) -> None:
    transient(router, "--unit=undo", "--on-active=1", "touch", "/root/ran")
    router.restart()
    assert eventually(lambda: router.path("/root/ran").exists(), within=1.5) is None


def test_a_unit_name_in_use_and_an_unknown_option_are_refused(router: LabRouter) -> None:
    assert transient(router, "--unit=undo", "--on-active=60", "true").returncode == 0
    again = transient(router, "--unit=undo", "--on-active=60", "true")
    assert (again.returncode, "was already loaded or has a fragment file" in again.stderr) == (1, True)
    assert transient(router, "--no-such-option", "true").returncode == 1


@pytest.mark.parametrize(("mode", "lives"), [("control-group", False), ("process", True)])
def test_what_a_service_leaves_behind_lives_only_if_its_kill_mode_says_so(router: LabRouter, mode: str, lives: bool) -> None:
    leave = "setsid sleep 622 </dev/null >/dev/null 2>&1 & touch /root/ran"
    transient(router, "--unit=leave", f"--property=KillMode={mode}", "sh", "-c", leave)
    assert eventually(lambda: router.path("/root/ran").exists(), within=3) is not None
    assert eventually(lambda: systemctl(router, "is-active", "leave").returncode == 3, within=3) is not None
    assert any("sleep 622" in line for line in router.processes()) is lives
