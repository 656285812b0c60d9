"""The simulated router answers what the real backend answered: recorded exchanges, input to exact output."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_routers import MAKE_KEY, PEER, RECORDED, THIRD, plain, recorded_router, scripted
from edgeos_transcript import Exchange, exchanges, replay

from fleet.testing.edgeos import EdgeOsSimulator, Terminal, User
from fleet.testing.ether import Clock

# In this order they are one history of one router.
RECORDINGS = ("first-configuration", "what-each-change-runs", "errors", "delete-after-lost-address")

# What depends on the userspace WireGuard of the recordings (order of peers, link-local address, traffic), or on its key.
OF_THE_RECORDING = {
    "sudo wg show wg0 dump | cut -f2-",
    "sudo wg show wg0 peers",
    "sudo wg show wg0 allowed-ips",
    "sudo wg show wg0 | cat",
    "ip -br addr show wg0",
}


@pytest.fixture(scope="module")
def replayed() -> Iterator[dict[str, list[Exchange]]]:
    with recorded_router() as router:
        yield {name: replay(router, exchanges(name)) for name in RECORDINGS}


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_is_typed_is_answered_as_it_was_recorded(name: str, replayed: dict[str, list[Exchange]]) -> None:
    compared = [one for one in replayed[name] if one.command not in OF_THE_RECORDING]
    assert len(compared) > 5
    assert [(one.command, one.got.rstrip()) for one in compared] == [(one.command, one.expected.rstrip()) for one in compared]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_commit_runs_the_kernel_commands_that_were_recorded(name: str, replayed: dict[str, list[Exchange]]) -> None:
    commits = [one for one in replayed[name] if one.ran]
    assert [sorted(one.got_ran) for one in commits] == [sorted(one.ran) for one in commits]


def test_a_first_commit_runs_them_in_the_recorded_order(replayed: dict[str, list[Exchange]]) -> None:
    first = next(one for one in replayed["first-configuration"] if one.ran)
    assert first.got_ran == first.ran


def test_a_disabled_peer_comes_back_when_its_allowed_ips_change(replayed: dict[str, list[Exchange]]) -> None:
    shown = next(one for one in replayed["what-each-change-runs"] if one.command == "sudo wg show wg0 peers")
    assert sorted(shown.got.split()) == sorted(shown.expected.split())


def test_a_prefix_given_twice_moves_silently_to_the_new_peer(replayed: dict[str, list[Exchange]]) -> None:
    shown = next(one for one in replayed["what-each-change-runs"] if one.command == "sudo wg show wg0 allowed-ips")
    assert sorted(shown.got.splitlines()) == sorted(shown.expected.splitlines())


# ------------------------------------------------------------------------------------------------ exec, captures 7 and 8
SCRIPT = f"""\
set interfaces wireguard wg0 mtu 1420
begin
set interfaces wireguard wg0 address 10.77.0.1/24
set interfaces wireguard wg0 address 10.88.0.1/24
set interfaces wireguard wg0 description "two words"
set interfaces wireguard wg0 listen-port 70000
delete interfaces wireguard wg9
show interfaces wireguard
commit
commit
set interfaces wireguard wg0 listen-port 51820
set interfaces wireguard wg0 peer {THIRD} allowed-ips 10.213.77.0/30
commit
discard
save
end
end
"""
SAID = f"""\
calling validateSetPath() without config session
rc=1 : set interfaces wireguard wg0 mtu 1420
rc=0 : begin
The specified configuration node already exists
rc=0 : set interfaces wireguard wg0 address 10.77.0.1/24
rc=0 : set interfaces wireguard wg0 address 10.88.0.1/24
rc=0 : set interfaces wireguard wg0 description two words
Port must be between 1 and 65535

Value validation failed
Set failed
rc=1 : set interfaces wireguard wg0 listen-port 70000
Nothing to delete (the specified node does not exist)
rc=0 : delete interfaces wireguard wg9
 wireguard wg0 {{
     address 10.77.0.1/24
+    address 10.88.0.1/24
+    description "two words"
     peer {PEER} {{
         allowed-ips 192.168.20.0/24
     }}
     private-key /config/auth/wg0.key
 }}
rc=0 : show interfaces wireguard
rc=0 : commit
rc=0 : commit
rc=0 : set interfaces wireguard wg0 listen-port 51820
rc=0 : set interfaces wireguard wg0 peer {THIRD} allowed-ips 10.213.77.0/30
[ interfaces wireguard wg0 peer {THIRD} ]
Error: Allowed IP 10.213.77.0/30 on interface wg0 peer {THIRD} conflicts with an existing route. \
route-allowed-ips cannot be enabled.

Commit failed
rc=1 : commit
Changes have been discarded
rc=0 : discard
Saving configuration to '/config/config.boot'...
Done
rc=0 : save
rc=0 : end
rc=1 : end
"""
AFTERWARDS = f"""\
wireguard wg0 {{
    address 10.77.0.1/24
    address 10.88.0.1/24
    description "two words"
    listen-port 51820
    peer {PEER} {{
        allowed-ips 192.168.20.0/24
    }}
    private-key /config/auth/wg0.key
}}
"""
BEFORE = f"""\
set interfaces wireguard wg0 address 10.77.0.1/24
set interfaces wireguard wg0 peer {PEER} allowed-ips 192.168.20.0/24
set interfaces wireguard wg0 private-key /config/auth/wg0.key
"""


@pytest.fixture
def router() -> Iterator[EdgeOsSimulator]:
    with recorded_router() as router:
        assert "rc=1" not in scripted(router, f"begin\n{BEFORE}commit\nend")
        yield router


def test_the_wrapper_answers_an_exec_script_as_it_was_recorded(router: EdgeOsSimulator) -> None:
    assert scripted(router, SCRIPT) == SAID


def test_what_succeeded_in_a_failed_commit_is_live(router: EdgeOsSimulator) -> None:
    scripted(router, SCRIPT)
    assert router.ok("cli-shell-api showCfg --show-active-only interfaces wireguard") == AFTERWARDS


def test_without_the_group_a_wireguard_commit_fails_value_by_value(router: EdgeOsSimulator) -> None:
    lines = (
        'begin\nset interfaces wireguard wg0 address 10.88.0.1/24\nset interfaces wireguard wg0 description "two words"\ncommit'
    )
    said = scripted(router, lines, group=False)
    refusal = "This script must be executed from vyatta configuration system."
    assert f"[ interfaces wireguard wg0 description two words ]\n{refusal}\n\n" in said
    assert f"[ interfaces wireguard wg0 address 10.88.0.1/24 ]\n{refusal}\n\n" in said
    assert said.endswith("Commit failed\nrc=1 : commit\n")


def test_reading_over_exec_answers_as_it_was_recorded(router: EdgeOsSimulator) -> None:
    scripted(router, SCRIPT)
    assert router.run("show version; echo rc=$?") == (b"rc=127\n", b"\n  Invalid command: [show]\n\n", 0)
    assert router.ok("/opt/vyatta/bin/vyatta-op-cmd-wrapper show interfaces wireguard") == (
        "Codes: S - State, L - Link, u - Up, D - Down, A - Admin Down\n"
        "Interface    IP Address                        S/L  Description\n"
        "---------    ----------                        ---  -----------\n"
        "wg0          10.77.0.1/24                      u/u  two words \n"
        "             10.88.0.1/24\n"
    )
    assert router.ok("cli-shell-api returnActiveValue interfaces wireguard wg0 listen-port") == "51820"
    assert router.ok("cli-shell-api listActiveNodes interfaces wireguard") == "'wg0'"
    assert router.run("cli-shell-api existsActive interfaces wireguard wg5")[2] == 1
    assert router.run("sudo wg show wg9 dump") == (b"", b"Unable to access interface: No such device\n", 1)


def test_set_lines_with_defaults_are_those_recorded(router: EdgeOsSimulator) -> None:
    scripted(router, SCRIPT)
    said = router.ok("cli-shell-api showConfig --show-active-only --show-show-defaults --show-commands | grep wireguard")
    assert said == (
        "set interfaces wireguard wg0 address 10.77.0.1/24\n"
        "set interfaces wireguard wg0 address 10.88.0.1/24\n"
        "set interfaces wireguard wg0 description 'two words'\n"
        "set interfaces wireguard wg0 listen-port 51820\n"
        "set interfaces wireguard wg0 mtu 1420\n"
        f"set interfaces wireguard wg0 peer {PEER} allowed-ips 192.168.20.0/24\n"
        "set interfaces wireguard wg0 private-key /config/auth/wg0.key\n"
        "set interfaces wireguard wg0 route-allowed-ips true\n"
    )


# ------------------------------------------------------------------------------------------------------ captures 1, 2, 12, 13
def test_the_bytes_on_a_terminal_are_those_recorded(router: EdgeOsSimulator) -> None:
    terminal = Terminal(router, rows=1000)
    assert terminal.greeting() == (
        "Linux edge 4.9.79-UBNT #1 SMP Thu Jun 15 11:34:36 UTC 2023 mips64\r\nWelcome to EdgeOS\r\n"
        "Last login: Mon Nov 23 05:57:17 2026 from 10.213.77.1\r\r\nubnt@edge:~$ "
    )
    assert terminal.send("terminal length 0") == "terminal length 0\r\nubnt@edge:~$ "
    assert terminal.send("configure") == "configure\r\n[edit]\r\r\nubnt@edge# "
    refused = "Port must be between 1 and 65535\r\n\r\nValue validation failed\r\nSet failed\r\n[edit]\r\r\nubnt@edge# "
    line = "set interfaces wireguard wg0 listen-port 70000"
    assert terminal.send(line) == f"{line}\r\n{refused}"
    assert terminal.send("commit") == "commit\r\nNo configuration changes to commit\r\n[edit]\r\r\nubnt@edge# "
    assert terminal.send("exit") == "exit\r\nexit\r\nubnt@edge:~$ "


def test_a_key_made_under_the_group_is_readable_by_it() -> None:
    with EdgeOsSimulator("edge", clock=Clock(frozen=True), config=RECORDED) as router:
        out = router.ok(MAKE_KEY + "; ls -l /config/auth")
        assert out.startswith("total 4\n-rw-r----- 1 ubnt vyattacfg 45 ")


def test_an_operator_has_no_commands() -> None:
    users = (User("oper", 1001, level="operator", member=False, sudo=False),)
    with EdgeOsSimulator("edge", clock=Clock(frozen=True), config=RECORDED, users=users) as router:
        terminal = Terminal(router, "oper")
        for exchange in exchanges("operator"):
            said = plain(terminal.send(exchange.command)).removeprefix(exchange.command + "\n").removesuffix(terminal.prompt)
            assert said.rstrip() == exchange.expected.rstrip(), exchange.command
        assert terminal.prompt == "oper@edge> "


def test_commit_confirm_is_answered_as_it_was_recorded() -> None:
    with recorded_router() as router:
        assert "rc=1" not in scripted(router, f"begin\n{BEFORE}commit\nend")
        recording = replay(router, exchanges("commit-confirm"))
        for exchange in recording:
            if not exchange.command.startswith(("sudo atq", "run show system commit")):
                assert (exchange.command, exchange.got) == (exchange.command, exchange.expected.rstrip())
                assert exchange.got_ran == exchange.ran
        shown = next(one for one in recording if one.command.startswith("run show"))
        assert all(line.endswith("by ubnt via cli") for line in shown.got.splitlines()[:3])


def test_a_key_generated_by_the_command_cannot_be_set_by_a_user() -> None:
    with recorded_router() as router:
        for exchange in replay(router, exchanges("generate-key")):
            if not exchange.command.startswith("ls"):
                assert exchange.got == exchange.expected.rstrip(), exchange.command
        assert "-rw------- 1 root vyattacfg 45" in router.ok("ls -l /config/auth")
