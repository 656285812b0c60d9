from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from fleet.model import PublicKey
from fleet.state import State, actor, inventory_commit
from fleet.state import machine as machine_module
from fleet.state.store import moment

from .shared import ELSEWHERE, A, me, until


def test_the_actor_is_what_the_environment_says() -> None:
    assert actor({"FLEET_ACTOR": "asha (change 4711)"}) == "asha (change 4711)"


def test_without_that_the_actor_is_user_at_host() -> None:
    assert actor({}).endswith(f"@{machine_module.socket.gethostname()}")


def test_an_actor_cannot_smuggle_control_characters_into_history() -> None:
    assert actor({"FLEET_ACTOR": "asha\x1b[31m\n"}) == "asha?[31m"


def test_a_running_process_is_told_apart_from_one_that_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        owner = replace(me(), pid=process.pid, start_time=machine_module.start_time(process.pid) or "")
        assert owner.gone(me()) is False
        process.kill()
        until(lambda: owner.gone(me()) is True)  # a zombie, not yet waited for, has ended


def test_of_another_machine_nothing_is_known() -> None:
    assert ELSEWHERE.gone(me()) is None


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_the_inventory_says_whether_it_differs(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "fleet.yaml").write_text("overlay: {}\n")
    git(tmp_path, "add", "fleet.yaml")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert inventory_commit(tmp_path) == commit
    (tmp_path / "fleet.yaml").write_text("overlay: {name: acme}\n")
    assert inventory_commit(tmp_path) == f"{commit}+dirty"


def test_an_inventory_without_git_has_no_commit(tmp_path: Path) -> None:
    assert inventory_commit(tmp_path) == ""
    assert inventory_commit(tmp_path / "missing") == ""


def test_times_carry_their_zone() -> None:
    assert moment(0).isoformat() == "1970-01-01T00:00:00+00:00"


def test_a_pinned_key_is_a_public_key_again(state: State) -> None:
    state.pin("acme", "mumbai", public_key=A)
    assert isinstance(state.facts("acme")["mumbai"].public_key, PublicKey)
