"""`make demo` keeps its promises: all it shows comes true, no rights are needed, nothing is left behind or given away."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from fleet.testing.demo import Demo, Disappointed, Network
from fleet.testing.demo import __main__ as program
from fleet.testing.demo.fold import Blocks, First
from fleet.testing.demo.screen import Screen
from fleet.testing.demo.shell import Shell

pytestmark = pytest.mark.xdist_group("demo")

WATCHER = """
import os, sys
_log = os.open(os.environ["TMPDIR"] + "/../written", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def _hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and (args[2] or 0) & _WRITES:
        path = args[0]
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.symlink", "sqlite3.connect"):
        path = args[1] if event == "os.symlink" else args[0]
        if event != "sqlite3.connect" and isinstance(args[-1], int) and args[-1] >= 0:
            path = os.path.join(os.readlink(f"/proc/self/fd/{args[-1]}"), os.fsdecode(path))
    else:
        return
    if isinstance(path, (str, bytes)):
        os.write(_log, os.fsencode(os.path.abspath(path)) + b"\\n")
sys.addaudithook(_hook)
"""
"""A sitecustomize that writes down what a Python process opens for writing, makes, moves and removes."""


@dataclass(frozen=True)
class Shown:
    """One run of the demo as a program, in a pipe."""

    code: int
    out: str
    err: str
    folder: Path
    appeared: frozenset[str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo")
    for name in ("tmp", "home", "here", "site"):
        (folder / name).mkdir()
    (folder / "site/sitecustomize.py").write_text(WATCHER)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "COV_"))},
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": f"{folder / 'site'}:{Path(__file__).parents[2]}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "FLEET_SECRET": "file:/nonexistent",  # somebody's real fleet must not be looked at
        "FLEET_INVENTORY": "/nonexistent",
    }
    command = [*without_rights(), sys.executable, "-W", "error", "-m", "fleet.testing.demo"]
    before = names()
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder / "here",
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    print(f"the demo took {time.monotonic() - began:.1f} s")
    return Shown(done.returncode, done.stdout, done.stderr, folder, names() - before)


def names() -> frozenset[str]:
    """What is in the folders where a script that took this machine for its router would write."""
    folders = ["/", "/etc/wireguard", "/etc/systemd/system", "/etc/cron.d", "/run/fleet", "/var/lib/fleet"]
    return frozenset(f"{folder}/{name}" for folder in folders if os.path.isdir(folder) for name in os.listdir(folder))


def without_rights() -> list[str]:
    """What takes every capability from a command when we are root, which leaves of root the name."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    return ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]


# ---------------------------------------------------------------------------------------------- as a program
def test_everything_comes_true_without_any_right(shown: Shown) -> None:
    assert shown.code == 0, shown.out[-3000:] + shown.err
    assert "everything as promised" in shown.out


def test_nothing_is_said_on_standard_error_when_all_is_well(shown: Shown) -> None:
    assert shown.err == ""


@pytest.mark.parametrize("command", ["check --table", "plan", "sync --yes", "status"])
def test_it_shows_the_command(shown: Shown, command: str) -> None:
    assert f"$ fleet {command}\n" in shown.out


@pytest.mark.parametrize("code", [0, 2, 6])
def test_it_shows_the_exit_code(shown: Shown, code: int) -> None:
    assert f"\nexit {code}  " in shown.out


def test_the_pings_fail_before_the_first_sync_and_arrive_after_it(shown: Shown) -> None:
    before, after = shown.out.split("$ fleet sync --yes", 1)
    assert before.count("no answer") == 2
    assert "by mumbai → hq → pune" in after


def test_it_says_what_is_simulated(shown: Shown) -> None:
    assert "simulated on this machine" in " ".join(shown.out.split())
    assert "no packet left this machine" in " ".join(shown.out.split())


def test_a_pipe_gets_plain_text(shown: Shown) -> None:
    assert "\x1b" not in shown.out


def test_no_python_process_of_it_writes_outside_its_folder(shown: Shown) -> None:
    inside = (str(shown.folder / "tmp") + "/", "/dev/")
    written = (shown.folder / "written").read_text().splitlines()
    assert any(path.endswith("/state.db") for path in written), "the watcher saw no fleet command"
    # A named temporary file is opened by its folder's name: the folder itself is inside, too.
    assert [path for path in written if not f"{path}/".startswith(inside)] == []


def test_no_script_of_it_takes_this_machine_for_a_router(shown: Shown) -> None:
    assert shown.appeared == frozenset()


@pytest.mark.parametrize("name", ["tmp", "home", "here"])
def test_it_leaves_no_file(shown: Shown, name: str) -> None:
    assert list((shown.folder / name).iterdir()) == []


# ------------------------------------------------------------------------------------------------ in process
@pytest.fixture(scope="module")
def played() -> Iterator[tuple[str, Demo, set[str]]]:
    text = io.StringIO()
    with Demo(Screen(Console(file=text, width=100)), full=True) as demo:
        demo.play()
        secrets = demo.network.secrets() | set((demo.folder / "inventory/.fleet/secret").read_text().split())
        yield text.getvalue(), demo, secrets


def test_there_are_secrets_to_give_away(played: tuple[str, Demo, set[str]]) -> None:
    assert len(played[2]) > 10


def test_no_secret_is_shown_even_in_full(played: tuple[str, Demo, set[str]]) -> None:
    text, _, secrets = played
    assert [secret[:4] for secret in secrets if secret in text] == []


def test_no_secret_reaches_a_command_line_of_the_hub(played: tuple[str, Demo, set[str]]) -> None:
    _, demo, secrets = played
    typed = "\n".join(" ".join(run.argv) for run in demo.network.hub.invocations) + "\n".join(demo.network.ssh.commands)
    assert [secret[:4] for secret in secrets if secret in typed] == []


def test_a_broken_promise_ends_it_with_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Network, "inventory", "overlay: {}\n")
    assert program.main([]) == 1
    assert "the demo stops: `fleet check --table` should exit 0 here, and exited 3" in capsys.readouterr().err


def test_a_broken_promise_leaves_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "inventory", "overlay: {}\n")
    with pytest.raises(Disappointed), Demo(Screen(Console(file=io.StringIO()))) as demo:
        demo.play()
    assert not demo.folder.exists()


# ----------------------------------------------------------------------------------------------------- parts
def run(folder: Path, *arguments: str, width: int | None) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = Shell(folder, "password", width=width).run(list(arguments), lambda text, aside: lines.append(text))
    return code, lines


def test_commands_get_a_terminal_as_wide_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    code, lines = run(tmp_path, "drivers", width=80)
    assert code == 0
    assert "\x1b[1m" in lines[0]


def test_no_color_reaches_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    _, lines = run(tmp_path, "drivers", width=80)
    assert not any("\x1b" in line for line in lines)


def test_a_command_that_says_nothing_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.testing.demo.shell.CLI", (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr("fleet.testing.demo.shell.LIMIT", 0.1)
    with pytest.raises(TimeoutError):
        run(tmp_path, width=None)


def folded(text: str, *, whole: int, lines: int) -> list[str]:
    shown: list[str] = []
    fold = Blocks(shown.append, shown.append, whole=whole, lines=lines)
    for line in text.splitlines():
        fold.line(line)
    fold.end()
    return shown


def test_a_change_that_wraps_is_one_change() -> None:
    text = "hq changes\n    + a\n      rest of a\n    + b\n      rest of b\n    + c\n    + d\n    note: n"
    assert folded(text, whole=1, lines=1) == ["hq changes", "    + a", "      rest of a", "    note: n", "    ... 3 more"]


REPORT = """\
hq changes
    + a
    + b
    ~ c
    - d
mumbai changed
    + a
    + b
    ~ c
    - d
goa failed
    why
    cure
    + a
    + b
    + c
    + d
sum"""


def test_of_long_blocks_the_first_are_shown_in_part_and_the_others_counted() -> None:
    shown = folded(REPORT, whole=1, lines=2)
    assert shown[:4] == ["hq changes", "    + a", "    + b", "    ... 2 more"]
    assert shown[4:6] == ["mumbai changed", "    ... 4 changes"]


def test_an_error_and_its_cure_are_never_folded_away() -> None:
    assert folded(REPORT, whole=0, lines=0)[-5:] == ["goa failed", "    why", "    cure", "    ... 4 changes", "sum"]


def test_up_to_three_changes_are_always_shown() -> None:
    assert folded("hq changed\n    + a\n    + b\n    + c", whole=0, lines=0) == ["hq changed", "    + a", "    + b", "    + c"]


def test_of_what_a_command_says_while_it_works_the_first_lines_are_shown() -> None:
    shown: list[str] = []
    first = First(shown.append, shown.append, 1)
    for line in "abc":
        first.line(line)
    first.end()
    first.end()
    assert shown == ["a", "... 2 more"]
