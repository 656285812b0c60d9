"""Transport cli on a simulated EdgeRouter: its prompts, its pager, its refusals (sheet 2.1 to 2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cli_shell import DIALECT, connect

from fleet.errors import Rejected
from fleet.link import Dialogue, Reply, Session
from fleet.testing.edgeos import EdgeOsSimulator, User
from fleet.testing.sshd import SshServer

PAGED = replace(DIALECT, prompt=rf"(?:{DIALECT.prompt}|^\w+@\w+> $)", prepare=(), pager=r"^:$|\(END\)$|--More--$")
"""The same command line with its pager left as it is, and for operators too (sheet 2.1)."""

QUIET = replace(PAGED, prepare=("terminal length 0", "export VYATTA_PAGER=cat"))

EDIT = Dialogue(
    (
        "set interfaces ethernet eth0 description 'to the office'",
        "set interfaces wireguard wg0 listen-port 70000",
        "set interfaces ethernet eth0 description 'never typed'",
    ),
    mode="configure",
)


@pytest.fixture(scope="module")
def ssh() -> Iterator[SshServer]:
    with EdgeOsSimulator("edge", users=[User("oper", 1001, level="operator", member=False, sudo=False)]) as router:
        yield router.serve_ssh(passwords={"ubnt": "ubnt", "oper": "ubnt"})


@pytest.fixture
def session(ssh: SshServer) -> Iterator[Session]:
    session = connect(ssh, QUIET)
    yield session
    session.close()


def ask(session: Session, *lines: str, **options) -> Reply:
    reply = session.send([Dialogue(lines, **options)])[0]
    assert isinstance(reply, Reply), reply
    return reply


def test_the_version_is_read_without_echo_and_prompt(session):
    lines = ask(session, "show version").text.splitlines()
    assert lines[0].startswith("Version:")
    assert lines[-1].startswith("Uptime:")


def test_a_long_configuration_comes_whole_with_and_without_pager(ssh, session):
    paged = connect(ssh, PAGED)
    assert ask(paged, "show configuration").text == ask(session, "show configuration").text
    paged.close()


def test_what_is_committed_stays(session):
    ask(session, "set interfaces ethernet eth0 description 'uplink one'", mode="configure")
    assert "uplink one" in ask(session, "show configuration").text


def test_a_value_that_is_refused_leaves_nothing_behind(session):
    before = ask(session, "show configuration").text
    reply = session.send([EDIT])[0]
    assert isinstance(reply, Rejected)
    assert "listen-port 70000" in reply.summary
    assert "Set failed" in reply.evidence
    assert ask(session, "show configuration").text == before


def test_an_operator_has_no_configuration_mode(ssh):
    session = connect(ssh, QUIET, username="oper")
    reply = session.send([EDIT])[0]
    session.close()
    assert isinstance(reply, Rejected)
    assert "configure" in reply.summary
