"""Transport cli: dialogues on an interactive command line, every command judged before the next is typed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from cli_shell import DIALECT, PSK, Shell, connect, talking

from fleet.dial import Dialer, Hop, JumpPool
from fleet.errors import ConnectionLost, IdentityChanged, LoginFailed, Rejected, RouterError, Unreachable
from fleet.link import Access, Address, Dialogue, Exec, Reply
from fleet.model import Secret
from fleet.testing.sshd import SshServer, Terminal, new_host_key
from fleet.transports.cli import screen


def ask(session, *lines: str | tuple[str | Secret, ...], **options) -> Reply | RouterError:
    return session.send([Dialogue(lines, **options)])[0]


def outputs(reply: Reply | RouterError) -> tuple[str, ...]:
    assert isinstance(reply, Reply), reply
    assert isinstance(reply.data, tuple)
    return reply.data


def test_an_output_has_neither_echo_nor_prompt():
    with talking() as (_, session, _):
        assert outputs(ask(session, "show version")) == ("Version:      v2.0.9\nHW model:     EdgeRouter X",)


def test_every_line_has_its_own_output():
    with talking() as (_, session, _):
        reply = ask(session, "echo one", "echo two", "echo three")
    assert outputs(reply) == ("one", "two", "three")
    assert isinstance(reply, Reply)
    assert reply.text == "one\ntwo\nthree"


def test_a_command_without_output_has_an_empty_one():
    with talking() as (_, session, _):
        assert outputs(ask(session, "terminal length 0", "echo x")) == ("", "x")


def test_paging_is_switched_off_before_anything_is_asked():
    with talking() as (shell, session, _):
        ask(session, "show version")
    assert shell.typed[0] == "terminal length 0"
    assert not shell.paging


def test_a_pager_that_stays_is_answered_and_leaves_no_trace():
    with talking() as (_, session, _):
        assert outputs(ask(session, "show pages")) == ("page 0\npage 1\npage 2",)


def test_output_that_looks_like_a_prompt_does_not_end_a_command():
    with talking() as (_, session, _):
        printed = outputs(ask(session, "show prompts", "echo after"))
    assert printed == ("the next looks like one\nubnt@edge:~$ and is none", "after")


def test_a_line_longer_than_the_terminal_is_wide_is_understood():
    long = "echo " + "x" * 1700 + " end"
    with talking() as (shell, session, _):
        assert outputs(ask(session, long)) == (long[5:],)
    assert long in shell.typed


def test_a_large_output_comes_whole():
    with talking() as (_, session, _):
        (printed,) = outputs(ask(session, "large"))
    assert printed.splitlines() == [f"line {number}" for number in range(20_000)]


def test_escape_sequences_are_no_output():
    with talking() as (_, session, _):
        assert outputs(ask(session, "colours")) == ("bold",)


def test_a_question_that_is_expected_is_answered():
    with talking() as (_, session, _):
        (printed,) = outputs(ask(session, "reboot", answers=((r"\[confirm\]$", "y"),)))
    assert printed.endswith("rebooting")


def test_the_answer_to_a_question_without_echo_ends_with_its_output():
    with talking() as (_, session, _):
        (printed,) = outputs(ask(session, "password", answers=((r"password: $", Secret("abc\n")),)))
    assert printed.endswith("3 characters")


# --- modes and refusals


def test_lines_in_a_mode_are_typed_between_entering_and_leaving_it():
    with talking() as (shell, session, _):
        assert outputs(ask(session, "set a 1", "set b 2", mode="configure")) == ("", "")
    assert shell.typed[1:] == ["configure", "set a 1", "set b 2", "commit", "exit"]
    assert shell.tree == ["set a 1", "set b 2"]


def test_after_a_refusal_nothing_more_is_typed_and_the_mode_is_abandoned():
    with talking() as (shell, session, _):
        reply = ask(session, "set a 1", "set bad abc", "set c 3", mode="configure")
        after = ask(session, "echo still here")
    assert isinstance(reply, Rejected)
    assert "set bad abc" in reply.summary
    assert "Set failed" in reply.evidence
    assert shell.typed[-3:] == ["set bad abc", "exit discard", "echo still here"]
    assert shell.tree == []
    assert outputs(after) == ("still here",)


def test_a_commit_that_fails_is_a_refusal():
    with talking() as (shell, session, _):
        reply = session.send([Dialogue(("set busy 1",), mode="configure")])[0]
        after = ask(session, "echo outside")
    assert isinstance(reply, Rejected)
    assert outputs(after) == ("outside",)
    assert "Commit failed" in reply.evidence
    assert shell.tree == []


def test_a_mode_that_is_refused_is_the_refusal():
    mode = replace(DIALECT.modes["configure"], enter=("sudo configure",))
    with talking(dialect=replace(DIALECT, modes={"configure": mode})) as (shell, session, _):
        reply = ask(session, "set a 1", mode="configure")
    assert isinstance(reply, Rejected)
    assert "sudo configure" in reply.summary
    assert "set a 1" not in shell.typed


def test_output_that_the_request_accepts_is_no_refusal():
    with talking(dialect=replace(DIALECT, errors=(*DIALECT.errors, "^Nothing to delete"))) as (_, session, _):
        refused = ask(session, "delete x", mode="configure")
        accepted = ask(session, "delete x", mode="configure", accept=("^Nothing to delete",))
    assert isinstance(refused, Rejected)
    assert isinstance(accepted, Reply)


@pytest.mark.parametrize("line", ["echo a\nreboot", "echo a\x03", "show ?", "show\tversion", "echo \x1b[A"])
def test_characters_that_the_command_line_acts_on_are_never_sent(line: str):
    with talking() as (shell, session, _):
        reply = ask(session, line)
        ask(session, "echo after")
    assert isinstance(reply, Rejected)
    assert "not sent" in reply.summary
    assert shell.typed[1:] == ["echo after"]


def test_a_request_of_another_kind_is_a_mistake_of_the_driver():
    with talking() as (_, session, _), pytest.raises(TypeError, match="carries Dialogue"):
        session.send([Exec("wg show")])


# --- secrets


def test_a_secret_is_typed_and_not_shown_in_a_refusal():
    with talking() as (shell, session, _):
        reply = ask(session, ("set bad ", Secret(PSK)), mode="configure")
    assert f"set bad {PSK}" in shell.typed
    assert isinstance(reply, Rejected)
    assert PSK not in f"{reply!r} {reply} {reply.evidence}"
    assert "set bad ***" in reply.summary


def test_what_is_shown_of_a_dialogue_has_no_secret():
    request = Dialogue((("set psk ", Secret(PSK)), "commit"), mode="configure")
    assert request.native() == "configure\n    set psk ***\n    commit"
    assert PSK not in repr(request)


def test_nothing_that_is_typed_or_printed_is_logged(caplog: pytest.LogCaptureFixture, capfd):
    caplog.set_level(logging.DEBUG)
    with talking() as (_, session, _):
        ask(session, ("echo ", Secret(PSK)))
        ask(session, ("set bad ", Secret(PSK)), mode="configure")
    out, err = capfd.readouterr()
    assert PSK not in caplog.text + out + err


# --- losses


def test_a_command_that_does_not_end_in_time_may_have_been_carried_out():
    with talking() as (_, session, _):
        reply = ask(session, "hang", timeout=0.3)
        after = ask(session, "echo x")
    assert isinstance(reply, ConnectionLost)
    assert reply.sent
    assert isinstance(after, ConnectionLost)
    assert not after.sent


def test_a_connection_that_broke_meanwhile_is_a_loss():
    with talking() as (_, session, server):
        server.drop_connections()
        reply = ask(session, "echo x", timeout=5)
    assert isinstance(reply, ConnectionLost)


def test_a_connection_that_breaks_during_a_command_may_have_delivered_it():
    with talking() as (_, session, _):
        reply = ask(session, "die")
    assert isinstance(reply, ConnectionLost)
    assert reply.sent


def test_after_a_loss_the_rest_was_certainly_not_sent():
    with talking() as (shell, session, _):
        replies = session.send([Dialogue(("die",)), Dialogue(("echo x",))])
    assert [reply.sent for reply in replies if isinstance(reply, ConnectionLost)] == [True, False]
    assert "echo x" not in shell.typed


# --- login


def test_the_host_key_is_verified():
    with SshServer(shell=Shell(), passwords={"ubnt": "ubnt"}) as server:
        from fleet.testing.sshd import public_line

        with pytest.raises(IdentityChanged):
            connect(server, host_keys=(public_line(new_host_key()),))
        assert server.shells == 0


def test_the_host_key_seen_first_is_reported_so_that_it_can_be_pinned():
    with SshServer(shell=Shell(), passwords={"ubnt": "ubnt"}) as server:
        session = connect(server, host_keys=())
        assert session.identity == server.host_key_line
        session.close()


def test_a_wrong_password_is_a_failed_login():
    with SshServer(shell=Shell(), passwords={"ubnt": "other"}) as server, pytest.raises(LoginFailed):
        connect(server)


def test_an_account_without_a_command_line_is_a_failed_login():
    with SshServer(passwords={"ubnt": "ubnt"}) as server, pytest.raises(LoginFailed, match="no command line"):
        connect(server)


def test_a_shell_that_shows_no_prompt_is_a_failed_login():
    def mute(terminal: Terminal) -> None:
        terminal.write("ubnt@edge% ")
        terminal.read_key()

    with SshServer(shell=mute, passwords={"ubnt": "ubnt"}) as server, pytest.raises(LoginFailed, match="no prompt within"):
        connect(server, wait=0.3)


def test_nobody_listening_is_unreachable():
    with SshServer(shell=Shell(), passwords={"ubnt": "ubnt"}) as server:
        pass
    with pytest.raises(Unreachable):
        connect(server)


def test_a_session_runs_inside_an_ssh_channel_of_a_jump(tmp_path: Path):
    with SshServer(passwords={"fleet": "pw"}) as jump, SshServer(shell=Shell(), passwords={"ubnt": "ubnt"}) as server:
        hop = Hop(
            Access(
                "hq",
                (Address(jump.host, jump.port),),
                username="fleet",
                password=Secret("pw"),
                host_keys=(jump.host_key_line,),
            )
        )
        with JumpPool(lambda name: hop, known_hosts=tmp_path / "none") as pool:
            session = connect(server, dial=Dialer(pool, ("hq",)))
            assert outputs(ask(session, "echo inside")) == ("inside",)
            session.close()
        assert jump.forwarded == 1


def test_no_command_that_is_echoed_waits_for_one_that_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fleet.transports.cli.session.UNECHOED", 3600.0)
    with talking() as (shell, session, _):
        assert isinstance(ask(session, *(f"set a {n}" for n in range(10)), mode="configure"), Reply)
    assert len(shell.tree) == 10


def test_a_command_line_without_echo_is_understood(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fleet.transports.cli.session.UNECHOED", 0.1)

    def quiet(terminal: Terminal) -> None:
        while (line := terminal.read_line("ubnt@edge:~$ ", echo=False)) != "exit":
            terminal.write(f"<{line}>\n")

    with SshServer(shell=quiet, passwords={"ubnt": "ubnt"}) as server:
        session = connect(server)
        assert [printed.strip() for printed in outputs(ask(session, "show version", "show users"))] == [
            "<show version>",
            "<show users>",
        ]
        session.close()


# --- the screen


@pytest.mark.parametrize("wrap", [" \r", "\r", "\r\n", " \r\n"])
def test_an_echo_is_recognised_however_its_line_was_wrapped(wrap: str):
    assert screen.without_echo(f"set interfaces{wrap} wireguard\r\ndone\r\n", "set interfaces wireguard") == "done\r\n"


def test_half_an_echo_is_none():
    assert screen.without_echo("set inter", "set interfaces") is None
    assert screen.without_echo("set interfaces", "set interfaces") is None
