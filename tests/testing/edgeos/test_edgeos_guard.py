"""Undoing: the background revert, power cuts, boot scripts, commit-confirm, scheduled tasks. Sheet 5, captures 10."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_routers import TUNNEL, configure, recorded_router, said, scripted

from fleet.testing.edgeos import EdgeOsDevice, EdgeOsSimulator, Terminal

# Sheet 5.2, with the paths of a real router.
ARM = r"""set -e
M=/config/user-data/mgr; mkdir -p $M; rm -f $M/confirmed
{ cli-shell-api showConfig --show-active-only --show-show-defaults; /opt/vyatta/sbin/vyatta_current_conf_ver.pl; } > $M/pre.boot
cat > $M/revert.sh <<'EOF'
#!/bin/vbash
sleep 120
[ -e /config/user-data/mgr/confirmed ] && exit 0
W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper
$W begin; $W load /config/user-data/mgr/pre.boot; $W commit; $W end
EOF
setsid nohup sg vyattacfg -c "bash $M/revert.sh" < /dev/null > $M/log 2>&1 &
"""
LOOK = "#!/bin/sh\nip -o -4 addr show dev wg0 >> /config/user-data/seen\n"


@pytest.fixture
def router() -> Iterator[EdgeOsSimulator]:
    with recorded_router() as router:
        configure(router, TUNNEL)
        yield router


@pytest.fixture
def device(router: EdgeOsSimulator) -> EdgeOsDevice:
    return router.as_device()


def arm_and_break(router: EdgeOsSimulator) -> None:
    router.ok(ARM)
    scripted(
        router, "begin\ndelete interfaces wireguard wg0 address\nset interfaces wireguard wg0 description risky\ncommit\nend"
    )
    assert addresses(router) == ""


def addresses(router: EdgeOsSimulator) -> str:
    return router.ok("ip -o -4 addr show dev wg0 | awk '{print $4}'").strip()


def wireguard(router: EdgeOsSimulator) -> str:
    return router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")


def test_the_background_revert_restores_the_configuration_without_a_reboot(
    router: EdgeOsSimulator, device: EdgeOsDevice
) -> None:
    arm_and_break(router)
    device.advance(119)
    assert addresses(router) == ""
    device.advance(2)
    assert addresses(router) == "10.77.0.1/24"
    assert "risky" not in wireguard(router)
    assert router.boots == 1


def test_a_confirmed_change_is_not_reverted(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    arm_and_break(router)
    router.ok("touch /config/user-data/mgr/confirmed")
    device.advance(200)
    assert addresses(router) == ""


def test_what_was_not_saved_is_gone_after_a_power_cut(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    arm_and_break(router)
    device.reboot()
    assert addresses(router) == "10.77.0.1/24"
    assert router.boots == 2


def test_background_processes_die_with_the_power(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    arm_and_break(router)
    device.reboot()
    scripted(router, "begin\nset interfaces wireguard wg0 description later\ncommit\nend")
    device.advance(300)
    assert "later" in wireguard(router)


def test_files_of_config_survive_a_power_cut_and_those_of_run_and_tmp_do_not(router: EdgeOsSimulator) -> None:
    router.ok("echo a > /config/user-data/kept; echo a > /run/lost; echo a > /tmp/lost")
    router.reboot()
    assert router.ok("ls /run /tmp | grep -c lost || true; cat /config/user-data/kept").split() == ["0", "a"]


def test_executable_scripts_of_post_config_d_run_after_the_configuration_at_every_boot(router: EdgeOsSimulator) -> None:
    folder = "/config/scripts/post-config.d"
    router.write(f"{folder}/10-look.sh", LOOK.replace("/config", f"{router.root_path}/config"), 0o755)
    router.write(f"{folder}/not run", LOOK, 0o755)
    router.write(f"{folder}/20-plain.sh", LOOK, 0o644)
    router.reboot()
    router.reboot()
    assert router.ok("grep -c 10.77.0.1/24 /config/user-data/seen").strip() == "2"


# ------------------------------------------------------------------------------------------------------- commit-confirm
def configuring(router: EdgeOsSimulator) -> Terminal:
    terminal = Terminal(router, rows=1000)
    terminal.send("configure")
    return terminal


def test_commit_confirm_asks_then_commits_and_confirm_disarms_it(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    terminal = configuring(router)
    said(terminal, "set interfaces wireguard wg0 description risky")
    asked = terminal.send("commit-confirm 1")
    text = "commit confirm will be automatically reboot in 1 minutes unless confirmed\r\nProceed? [confirm]"
    assert asked == f"commit-confirm 1\r\n{text}"
    assert terminal.wants_key
    assert terminal.answer("y") == "[edit]\r\r\nubnt@edge# "
    assert router.ok("sudo atq").split()[-2:] == ["a", "root"]
    assert said(terminal, "confirm") == ""
    assert said(terminal, "confirm") == "No confirm pending\n"
    device.advance(120)
    assert router.boots == 1


def test_an_unconfirmed_commit_reboots_into_the_saved_configuration_within_the_minute(
    router: EdgeOsSimulator, device: EdgeOsDevice
) -> None:
    terminal = configuring(router)
    said(terminal, "set interfaces wireguard wg0 description risky")
    terminal.send("commit-confirm 1")
    terminal.answer("y")
    device.advance(60)
    assert router.boots == 2
    assert "risky" not in wireguard(router)
    assert {"config.boot-rollback", "config.boot-prerollback", "config.boot.0.gz"} <= set(
        router.ok("ls /config/archive").split()
    )


def test_the_reboot_is_armed_even_when_the_commit_fails(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    terminal = configuring(router)
    said(terminal, "set interfaces wireguard wg0 firewall in name NOPE")
    terminal.send("commit-confirm 1")
    assert "Commit failed" in terminal.answer("y")
    device.advance(60)
    assert router.boots == 2


def test_a_second_commit_confirm_says_that_one_is_pending(router: EdgeOsSimulator) -> None:
    terminal = configuring(router)
    said(terminal, "set interfaces wireguard wg0 description one")
    terminal.send("commit-confirm 5")
    terminal.answer("y")
    said(terminal, "set interfaces wireguard wg0 description two")
    assert said(terminal, "commit-confirm 5") == "Another confirm is pending\n"


def test_commit_confirm_needs_an_archive() -> None:
    with recorded_router("interfaces {\n    ethernet eth0 {\n        address 10.213.77.2/30\n    }\n}\n") as router:
        terminal = configuring(router)
        said(terminal, "set system domain-name a.example")
        assert said(terminal, "commit-confirm") == "commit-revisions is not configured.\n"


def test_show_system_commit_lists_revisions_newest_first(router: EdgeOsSimulator) -> None:
    terminal = configuring(router)
    lines = said(terminal, "run show system commit | cat").splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]
    assert lines[0].endswith("by ubnt via cli")
    assert lines[1].endswith("by root via init")


def test_a_scheduled_task_runs_every_interval_as_root(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    task = "id -u; sg vyattacfg -c 'wg show interfaces; vyatta-cfg-cmd-wrapper begin && vyatta-cfg-cmd-wrapper end; id -gn'"
    router.write("/config/scripts/t.sh", f'#!/bin/sh\n{{ {task}; }} >> "$FLEET_ROOT/config/user-data/ran"\n', 0o755)
    task = "system task-scheduler task t"
    configure(router, f"{task} interval 5m\n{task} executable path /config/scripts/t.sh")
    for _ in range(3):
        device.advance(300)
    assert router.ok("cat /config/user-data/ran").split() == ["0", "wg0", "vyattacfg"] * 3


def test_a_job_of_at_runs_on_the_minute_and_can_be_removed(router: EdgeOsSimulator, device: EdgeOsDevice) -> None:
    router.run("echo 'touch /config/user-data/first' | at now + 1 minute")
    router.run("echo 'touch /config/user-data/second' | at now + 2 minutes; atrm 2")
    assert router.run("atq")[0].split()[-2:] == [b"a", b"ubnt"]
    device.advance(60)
    device.advance(60)
    assert router.ok("ls /config/user-data").split() == ["first"]
