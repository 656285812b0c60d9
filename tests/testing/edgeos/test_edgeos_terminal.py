"""The interactive shell: prompts, levels, pager, what a line must not contain. Sheet 2.1 to 2.3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_routers import PEER, TUNNEL, configure, recorded_router, said
from netmiko import BaseConnection, ConnectHandler
from netmiko.exceptions import ConfigInvalidException

from fleet.testing.edgeos import EdgeOsSimulator, Terminal
from fleet.testing.edgeos.shell import interactive


@pytest.fixture(scope="module")
def router() -> Iterator[EdgeOsSimulator]:
    with recorded_router() as router:
        configure(router, TUNNEL)
        yield router


@pytest.fixture
def terminal(router: EdgeOsSimulator) -> Terminal:
    return Terminal(router, rows=1000)


def test_the_prompt_of_a_root_shell_is_not_that_of_configuration_mode(terminal: Terminal) -> None:
    assert terminal.prompt == "ubnt@edge:~$ "
    terminal.send("configure")
    assert terminal.prompt == "[edit]\r\r\nubnt@edge# "


def test_edit_goes_down_a_level_and_lines_are_relative_to_it(terminal: Terminal) -> None:
    terminal.send("configure")
    terminal.send(f"edit interfaces wireguard wg0 peer {PEER}")
    assert terminal.prompt == f"[edit interfaces wireguard wg0 peer {PEER}]\r\r\nubnt@edge# "
    said(terminal, "set persistent-keepalive 15")
    said(terminal, "top")
    assert said(terminal, "compare") == f"[edit interfaces wireguard wg0 peer {PEER}]\n+persistent-keepalive 15\n"
    said(terminal, "discard")


def test_a_long_show_stops_at_every_screen_until_a_key(router: EdgeOsSimulator) -> None:
    terminal = Terminal(router, rows=5)
    first = terminal.send("show configuration")
    assert first.endswith(":\x1b[K")
    assert terminal.wants_key
    assert "ubnt@edge" not in first
    assert terminal.answer("q").endswith("\x1b[?1l\x1b>ubnt@edge:~$ ")


def test_terminal_length_0_ends_paging_in_that_shell_and_configure_begins_it_again(router: EdgeOsSimulator) -> None:
    terminal = Terminal(router, rows=5)
    terminal.send("terminal length 0")
    assert "\x1b" not in terminal.send("show configuration")
    terminal.send("configure")
    assert "\x1b" in terminal.send("show interfaces")
    terminal.answer("q")
    terminal.send("export VYATTA_PAGER=cat")
    assert "\x1b" not in terminal.send("show interfaces")


def test_a_question_mark_is_completion_and_not_part_of_the_line(terminal: Terminal) -> None:
    assert "Possible completions:" in said(terminal, "show date?")


def test_an_exclamation_mark_is_history(terminal: Terminal) -> None:
    terminal.send("configure")
    assert said(terminal, "set system host-name a!b") == "vbash: !b: event not found\n"


def test_save_is_a_word_of_configuration_mode_only(terminal: Terminal) -> None:
    assert said(terminal, "save") == "\n  Invalid command: [save]\n\n"


def test_saving_elsewhere_and_loading_back(terminal: Terminal) -> None:
    terminal.send("configure")
    said(terminal, "save /config/user-data/copy")
    said(terminal, "set interfaces wireguard wg0 description changed")
    said(terminal, "commit")
    loading = "Loading configuration from '/config/user-data/copy'...\n\nLoad complete.  Use 'commit' to make changes active.\n"
    assert said(terminal, "load /config/user-data/copy") == loading
    assert said(terminal, "compare") == "[edit interfaces wireguard wg0]\n-description changed\n"
    assert said(terminal, "commit") == ""
    assert said(terminal, "exit") == "Warning: configuration changes have not been saved.\nexit\n"


def test_a_connection_that_drops_leaves_the_session_of_configuration_mode_behind(router: EdgeOsSimulator) -> None:
    terminal = Terminal(router)
    terminal.send("configure")
    said(terminal, "set system domain-name lost.example")
    before = len(router.backend.sessions)
    terminal.hang_up()
    assert len(router.backend.sessions) == before
    assert "lost.example" not in router.ok("cli-shell-api showCfg --show-active-only system")


class Typed:
    """A screen on which somebody typed these lines and left."""

    username, height = "ubnt", 1000

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)
        self.shown = b""

    def write_raw(self, octets: bytes) -> None:
        self.shown += octets

    def read_key(self) -> str:
        return self.read_line()[:1]

    def read_line(self, prompt: str = "", *, echo: bool = True) -> str:
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)


def test_the_shell_talks_until_exit(router: EdgeOsSimulator) -> None:
    screen = Typed("configure", "exit", "exit", "never")
    interactive(router)(screen)
    assert screen.shown.decode().endswith("ubnt@edge:~$ [edit]\r\r\nubnt@edge# exit\r\nubnt@edge:~$ logout\r\n")


def test_the_shell_ends_when_the_client_is_gone(router: EdgeOsSimulator) -> None:
    with pytest.raises(EOFError):
        interactive(router)(Typed("configure"))


# --------------------------------------------------------------------------------------------------- netmiko, captures 11
@pytest.fixture(scope="module")
def netmiko(router: EdgeOsSimulator) -> Iterator[BaseConnection]:
    server = router.serve_ssh(passwords={"ubnt": "secret"})
    connection = ConnectHandler(
        device_type="ubiquiti_edgerouter", host=server.host, port=server.port, username="ubnt", password="secret",
        global_delay_factor=0.1,
    )  # fmt: skip
    yield connection
    connection.paramiko_cleanup()


def test_netmiko_finds_the_prompt(netmiko: BaseConnection) -> None:
    assert netmiko.find_prompt() == "ubnt@edge:~$"


def test_netmiko_reads_a_command_without_paging(netmiko: BaseConnection) -> None:
    said = netmiko.send_command("show configuration commands | grep wireguard")
    assert isinstance(said, str)
    assert "set interfaces wireguard wg0 listen-port 51820" in said.splitlines()


def test_netmiko_sees_a_refused_set_commits_and_saves_inside_configuration_mode(
    netmiko: BaseConnection, router: EdgeOsSimulator
) -> None:
    netmiko.config_mode()
    with pytest.raises(ConfigInvalidException):
        netmiko.send_config_set(["set interfaces wireguard wg0 listen-port 70000"], error_pattern=r"Set failed")
    netmiko.send_config_set(["set interfaces wireguard wg0 description viaNM"])
    netmiko.commit()
    assert "Saving configuration to '/config/config.boot'...\nDone" in netmiko.save_config()
    assert "description viaNM" in router.read("/config/config.boot")
