"""The command line as the shell sees it: exit codes, streams, terminals, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from simulated import FLEET, SimulatedFleet, fleet_command

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process whose three streams are one terminal."""

    def __init__(self, net: SimulatedFleet, *arguments: str, **environ: str) -> None:
        self.seen = ""
        self._ours, theirs = pty.openpty()
        environ = {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **environ}
        self.process = net.spawn(
            *arguments, environ=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def expect(self, text: str, seconds: float = 20.0) -> None:
        """Read until this text was seen."""
        end = time.monotonic() + seconds
        while text not in self.seen and self._more(end):
            pass
        assert text in self.seen, f"{text!r} never came; seen: {self.seen!r}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self, seconds: float = 30.0) -> int:
        """Everything that is still said, and the exit code."""
        stop = time.monotonic() + seconds
        while self._more(stop):
            pass
        os.close(self._ours)
        return self.process.wait(timeout=10)

    @property
    def plain(self) -> str:
        return ESCAPE.sub("", self.seen).replace("\r", "")

    def _more(self, end: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # Linux: the other end was closed
            return False
        self.seen += read.decode(errors="replace")
        return bool(read)


# ------------------------------------------------------------------------------------------------- codes and streams
def test_exit_codes_reach_the_shell(blank):
    assert blank.process("plan").code == 2
    blank["pune"].set_offline()
    assert blank.process("sync", "--yes").code == 6
    assert blank.process("plan", "nobody").code == 3


def test_json_is_all_there_is_on_standard_output_even_with_every_word_said(blank):
    done = blank.process("-vv", "sync", "--yes", "--json")
    assert json.loads(done.out)["exit_code"] == 0
    assert "hq: observe" in done.err


def test_a_sync_in_a_pipe_without_yes_asks_nobody_and_contacts_nobody(blank):
    done = blank.process("sync")
    assert done.code == 3
    assert done.out == ""
    assert "standard input is not a terminal" in done.err
    assert "fleet sync --yes" in done.err
    assert blank["hq"].counters.connections == 0


def test_json_never_asks_and_never_assumes_yes(blank):
    done = blank.run("sync", "--json")
    assert done.code == 3
    assert "fleet sync --yes" in done.err
    assert blank["hq"].counters.connections == 0


def test_pipes_get_plain_text_without_a_trailing_escape(blank):
    done = blank.process("sync", "--yes")
    assert "\x1b" not in done.said
    assert "\r" not in done.said


def test_force_color_does_not_colour_a_pipe(blank):
    assert "\x1b" not in blank.process("plan", FORCE_COLOR="1", TERM="xterm-256color").said


def test_lines_in_a_pipe_are_never_wrapped(synced):
    synced.routers["mumbai"]["lans"] = [f"192.168.{number}.0/24" for number in range(100, 104)]
    line = next(line for line in synced.run("plan").out.splitlines() if "peer mumbai" in line)
    assert len(line) > 120
    assert line.endswith("(intent)")


def test_who_stops_reading_a_result_ends_no_run_with_a_traceback(synced):
    process = synced.spawn("check", "--table")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 128 + signal.SIGPIPE
    assert err == ""


def test_who_stops_reading_what_is_said_does_not_stop_a_sync(blank):
    process = blank.spawn("-v", "sync", "--yes", "--json")
    process.stderr.close()
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert json.loads(out)["exit_code"] == 0
    assert blank.run("plan").code == 0


def test_a_poor_locale_is_no_reason_to_fail(synced):
    synced["hq"].insert("/interface/wireguard", name="büro-süd", listen_port=13231, comment="größe ☃")
    done = synced.process("show", "hq", LC_ALL="POSIX", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert "Traceback" not in done.err


def test_what_routers_call_their_things_cannot_write_on_the_terminal(synced):
    synced["hq"].insert(
        "/interface/wireguard/peers",
        interface="wg0",
        public_key="GZ1ApjXIfnWr5rVLNKpWV5lFKJyNGbMjL1WiFeDZqSI=",
        allowed_address="172.31.0.7/32",
        comment="\x1b]0;owned\x07\x1b[2J",
    )
    synced["hq"].insert("/interface/wireguard", name="wg\x1b[31m", listen_port=13231)
    for command in (("show", "hq"), ("plan",), ("status",)):
        assert "\x1b" not in synced.run(*command).said


# ----------------------------------------------------------------------------------------------------------- terminals
def test_on_a_terminal_a_sync_shows_the_plan_asks_and_does_it(blank):
    terminal = Terminal(blank, "sync")
    terminal.expect("Apply these changes? [y/N]:")
    assert "peer mumbai: add" in terminal.plain
    assert blank["hq"].counters.writes == 0
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "3 changed" in terminal.plain
    assert blank.run("plan").code == 0


def test_nothing_is_drawn_over_the_question(blank):
    terminal = Terminal(blank, "sync")
    terminal.expect("Apply these changes? [y/N]:")
    after = len(terminal.seen)
    terminal._more(time.monotonic() + 0.5)
    assert terminal.seen[after:].strip() == ""
    terminal.type("n\n")
    terminal.end()


def test_a_no_writes_nothing_and_exits_4(blank):
    terminal = Terminal(blank, "sync")
    terminal.expect("Apply these changes? [y/N]:")
    terminal.type("n\n")
    assert terminal.end() == 4
    assert "nothing was written" in terminal.plain
    assert set(blank.writes().values()) == {0}


def test_no_lock_is_held_while_somebody_reads_a_plan(blank):
    terminal = Terminal(blank, "sync")
    terminal.expect("Apply these changes? [y/N]:")
    assert blank.sync().code == 0
    terminal.type("y\n")
    assert terminal.end() == 4
    assert "while you were reading" in " ".join(terminal.plain.split())


def test_on_a_terminal_nothing_is_asked_when_nothing_would_change(synced):
    terminal = Terminal(synced, "sync")
    assert terminal.end() == 0
    assert "Apply" not in terminal.plain
    assert "3 in sync" in terminal.plain


def test_on_a_terminal_a_pending_router_is_exit_6_as_in_a_pipe(synced):
    synced["pune"].set_offline()
    terminal = Terminal(synced, "sync")
    assert terminal.end() == 6
    assert "Apply" not in terminal.plain


def test_a_terminal_gets_colour(synced):
    terminal = Terminal(synced, "status")
    terminal.end()
    assert "\x1b[" in terminal.seen


@pytest.mark.parametrize("name", ["NO_COLOR", "CI"])
def test_no_color_and_ci_take_every_escape_away(synced, name):
    terminal = Terminal(synced, "status", **{name: "1"})
    terminal.end()
    assert "\x1b" not in terminal.seen


def test_trust_asks_on_a_terminal_and_a_no_changes_nothing(synced):
    synced["pune"].change("/interface/wireguard", "wg0", private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
    terminal = Terminal(synced, "trust", "pune")
    terminal.expect("[y/N]:")
    assert "WireGuard public key" in terminal.plain
    terminal.type("n\n")
    assert terminal.end() == 4
    assert synced.sync().code == 1
    terminal = Terminal(synced, "trust", "pune")
    terminal.expect("[y/N]:")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert synced.sync().code == 0


# ------------------------------------------------------------------------------------------------------------- signals
def test_control_c_in_a_sync_exits_130_says_what_to_do_and_frees_the_lock(blank):
    blank["pune"].fault("/interface/wireguard/add", "stall")
    process = blank.spawn("sync", "--yes")
    end = time.monotonic() + 20
    while not any(command.sentence == "/interface/wireguard/add" for command in blank["pune"].log):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    blank["pune"].reboot()  # the stalled connection ends, so that the write that was under way is over
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The next `fleet sync` converges." in err
    assert "Traceback" not in err
    assert blank.sync().code == 0
    assert blank.run("plan").code == 0
    runs = blank.run("history", "--json").json["runs"]
    assert [run["outcome"] for run in runs] == ["done", "interrupted"]


def test_control_c_at_the_question_exits_130_and_writes_nothing(blank):
    terminal = Terminal(blank, "sync")
    terminal.expect("Apply these changes? [y/N]:")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.plain
    assert set(blank.writes().values()) == {0}


def test_a_killed_sync_leaves_no_lock_and_the_next_one_converges(blank):
    blank["pune"].fault("/interface/wireguard/peers/add", "stall")
    process = blank.spawn("sync", "--yes")
    end = time.monotonic() + 20
    while not any(command.sentence == "/interface/wireguard/peers/add" for command in blank["pune"].log):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert blank.sync().code == 0
    assert blank.run("plan").code == 0
    assert len(blank["pune"].rows("/interface/wireguard/peers")) == 1
    assert len(blank["hq"].rows("/interface/wireguard/peers")) == 2


# --------------------------------------------------------------------------------------------------------------- usage
def test_help_lists_exactly_the_ten_commands():
    done = fleet_command("--help")
    assert done.code == 0
    listed = done.out.partition("Commands:")[2]
    names = [line.split()[0] for line in listed.splitlines() if re.match(r"  [a-z]", line)]
    assert names == ["init", "check", "plan", "sync", "status", "show", "render", "trust", "history", "drivers"]


def test_fleet_alone_shows_its_help():
    assert "Commands:" in fleet_command().said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plam",), "plam"),
        (("plan", "--nativ"), "--native"),
        (("sync", "--parallel"), "--parallel"),
        (("-i",), "-i"),
        (("show",), "ROUTER"),
        (("history", "--last", "0"), "--last"),
        (("doctor",), "doctor"),
    ],
)
def test_a_mistyped_command_line_is_exit_3_and_one_sentence(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = fleet_command(*arguments)
    assert done.code == 3
    assert done.out == ""
    assert said in done.err
    assert "fleet --help" in done.err
    assert len(done.err.splitlines()) <= 3


def test_no_inventory_at_all_is_exit_3_and_names_init(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = fleet_command("check")
    assert done.code == 3
    assert "fleet init" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_inventory_with_problems_shows_all_of_them_with_lines_and_contacts_nobody(blank):
    blank.write()
    broken = blank.folder / "broken.yaml"
    broken.write_text("overlay: {name: acme, ipv4: 10.100.0.1/20}\nrouters:\n  hq: {driver: mikrotick}\n  b: {role: spok}\n")
    done = fleet_command("-i", str(broken), "plan")
    assert done.code == 3
    assert "broken.yaml:1" in done.err
    assert "broken.yaml:3" in done.err
    assert "broken.yaml:4" in done.err
    assert "nothing was contacted, nothing was written" in done.err
    assert "Traceback" not in done.err


BROKEN = """
import fleet.control
from fleet.cli import main
def broken(self, names): raise LookupError("impossible")
fleet.control.Controller.survey = broken
main()
"""


def broken_fleet(net: SimulatedFleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*FLEET[:-1], BROKEN, "-i", str(net.inventory), *arguments]
    inherited = {**os.environ, **net.environ}
    return subprocess.run(command, capture_output=True, text=True, env=inherited, timeout=60, check=False)


def test_an_internal_error_says_what_to_report_and_shows_its_traceback_only_on_request(blank):
    blank.write()
    short = broken_fleet(blank, "plan")
    assert short.returncode == 1
    assert short.stderr.splitlines() == [
        "fleet: internal error: LookupError: impossible",
        "  run the same command with -vv and report what it prints; `fleet sync` is safe to repeat",
    ]
    assert "Traceback" in broken_fleet(blank, "-v", "--verbose", "plan").stderr


def test_the_installed_command_is_the_same_program():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="fleet")
    assert script.value == "fleet.cli:main"
