"""Sessions, the commit lock, and commits that hang. Sheet 2.4 and 2.5, captures 9."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from edgeos_routers import PEER, TUNNEL, configure, recorded_router, said, scripted

from fleet.testing.edgeos import EdgeOsSimulator, Terminal

LOCKED = "Configuration system temporarily locked due to another commit in progress\n"


@pytest.fixture
def router() -> Iterator[EdgeOsSimulator]:
    with recorded_router() as router:
        configure(router, TUNNEL)
        yield router


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def two_terminals(router: EdgeOsSimulator) -> tuple[Terminal, Terminal]:
    pair = Terminal(router, rows=1000), Terminal(router, rows=1000)
    for terminal in pair:
        terminal.send("configure")
    return pair


def test_another_users_commit_shows_under_uncommitted_changes(router: EdgeOsSimulator) -> None:
    one, other = two_terminals(router)
    assert said(one, "set interfaces wireguard wg0 description fromA") == ""
    said(other, "set interfaces wireguard wg0 fwmark 7")
    assert said(other, "commit") == ""
    assert said(one, "compare") == "[edit interfaces wireguard wg0]\n+description fromA\n"
    assert said(one, "show interfaces wireguard wg0 fwmark") == "<ESC>[?1h<ESC>= fwmark 7<ESC>[m\n<ESC>[K<ESC>[?1l<ESC>>"


def test_the_last_writer_of_a_node_wins(router: EdgeOsSimulator) -> None:
    one, other = two_terminals(router)
    said(one, "set interfaces wireguard wg0 listen-port 1111")
    said(other, "set interfaces wireguard wg0 listen-port 2222")
    said(other, "commit")
    said(one, "commit")
    assert router.ok("cli-shell-api returnActiveValue interfaces wireguard wg0 listen-port") == "1111"


def test_while_somebody_commits_a_commit_is_refused_and_keeps_its_changes(router: EdgeOsSimulator) -> None:
    router.lock_config()
    lines = "begin\nset interfaces wireguard wg0 description mine\ncommit"
    assert scripted(router, lines).endswith(LOCKED + "rc=1 : commit\n")
    router.unlock_config()
    assert "mine" not in router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard")


def test_a_name_that_does_not_resolve_holds_the_commit_lock_and_can_be_interrupted(router: EdgeOsSimulator) -> None:
    one, other = two_terminals(router)
    said(one, "set interfaces wireguard wg0 description fromA")
    said(other, f"set interfaces wireguard wg0 peer {PEER} endpoint nosuch.invalid:51820")
    answers: list[str] = []
    committing = threading.Thread(target=lambda: answers.append(said(other, "commit")))
    committing.start()
    wait_for(lambda: router.backend.busy, "the commit hangs")
    router.clock.advance(1.1)
    assert said(one, "commit") == LOCKED
    other.interrupt()
    committing.join(10)
    path = f"interfaces wireguard wg0 peer {PEER}"
    assert answers[0].startswith(
        f"[ {path} endpoint nosuch.invalid:51820 ]\n"
        "Temporary failure in name resolution: `nosuch.invalid:51820'. Trying again in 1.00 seconds...\n"
    )
    assert answers[0].endswith("^C\n")
    assert said(other, "compare") == f"[edit {path}]\n>endpoint nosuch.invalid:51820\n"
    assert said(other, "discard") == "Changes have been discarded\n"
    assert said(one, "commit") == ""


def test_a_name_that_never_resolves_gives_the_lock_back_after_72_seconds(router: EdgeOsSimulator) -> None:
    _, other = two_terminals(router)
    said(other, f"set interfaces wireguard wg0 peer {PEER} endpoint nosuch.invalid:51820")
    answers: list[str] = []
    committing = threading.Thread(target=lambda: answers.append(said(other, "commit")))
    committing.start()
    wait_for(lambda: router.backend.busy, "the commit hangs")
    began = router.clock.now()
    while committing.is_alive():
        router.clock.advance(0.5)
        time.sleep(0.01)
    assert router.clock.now() - began > 60
    assert answers[0].count("Trying again") == 15
    assert answers[0].endswith("Commit failed\n")
    assert not router.backend.busy


def test_a_commit_whose_process_is_killed_frees_the_lock(router: EdgeOsSimulator) -> None:
    body = (
        "export CMD_WRAPPER_SESSION_ID=7; W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; "
        f"$W set interfaces wireguard wg0 peer {PEER} endpoint nosuch.invalid:1; timeout 0.5 $W commit; echo rc=$?; $W end"
    )
    out, _, _ = router.run(f"sg vyattacfg -c '{body}'")
    assert b"rc=124" in out
    wait_for(lambda: not router.backend.busy, "the lock is free")


def test_a_session_belongs_to_the_shell_that_calls(router: EdgeOsSimulator) -> None:
    lines = (
        "W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; bash -c '\"$0\" set system time-zone UTC; echo rc=$?' $W; $W end"
    )
    assert router.run(lines)[0].decode() == "calling validateSetPath() without config session\nrc=1\n"


def test_a_wrapper_below_timeout_is_in_no_session(router: EdgeOsSimulator) -> None:
    lines = "W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; timeout 5 $W commit; echo rc=$?; $W end"
    assert router.run(lines)[0].decode() == "calling validateSetPath() without config session\nrc=1\n"


def test_a_named_session_spans_shells(router: EdgeOsSimulator) -> None:
    lines = (
        "export CMD_WRAPPER_SESSION_ID=77; W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; "
        "bash -c '\"$0\" set system domain-name example.net; echo rc=$?' $W; $W commit; $W end"
    )
    assert router.run(lines)[0].decode() == "rc=0\n"
    assert router.ok("cli-shell-api returnActiveValue system domain-name") == "example.net"


def test_each_sudo_is_a_session_of_its_own(router: EdgeOsSimulator) -> None:
    lines = "W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; sudo $W begin; sudo $W set system time-zone UTC; echo rc=$?"
    assert router.run(lines)[0].decode() == "calling validateSetPath() without config session\nrc=1\n"


def test_a_script_without_end_leaves_its_session_behind_until_the_reboot(router: EdgeOsSimulator) -> None:
    folder = router.root_path / "opt/vyatta/config/tmp"
    scripted(router, "begin\nset system time-zone UTC")
    assert len(list(folder.iterdir())) == 1
    router.reboot()
    assert list(folder.iterdir()) == []


def test_after_a_failed_commit_the_session_still_holds_what_failed(router: EdgeOsSimulator) -> None:
    lines = "set interfaces wireguard wg0 firewall in name NOPE\ncommit\nset system domain-name a.example\ncommit"
    text = scripted(router, f"begin\n{lines}\ndiscard\ncommit")
    assert text.count("Rule set NOPE is not configured") == 2
    assert text.endswith("Changes have been discarded\nrc=0 : discard\nrc=0 : commit\n")
    assert router.ok("cli-shell-api returnActiveValue system domain-name") == "a.example"
