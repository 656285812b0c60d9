"""The SSH server of the simulators, spoken to with paramiko's client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping

import paramiko
import pytest

from fleet.testing.linux import LinuxSimulator
from fleet.testing.sshd import Faults, SshServer, Stdin, new_host_key, public_line

USER, PASSWORD = "fleet", "correct horse"


def echo(command: str, stdin: Stdin, env: Mapping[str, str]) -> tuple[bytes, bytes, int]:
    """Says what it was given; exits with the number the command ends in."""
    body = stdin.read() if "stdin" in command else b""
    return (
        f"{command}|{env.get('LC_ALL', '')}|".encode() + body,
        b"complaint\n",
        int(command[-1]) if command[-1:].isdigit() else 0,
    )


@pytest.fixture
def server() -> Iterator[SshServer]:
    with SshServer(echo, passwords={USER: PASSWORD}) as server:
        yield server


@contextlib.contextmanager
def login(
    server: SshServer, *, password: str | None = PASSWORD, key: paramiko.PKey | None = None, over: socket.socket | None = None
):  # type: ignore[no-untyped-def]
    """A logged-in transport."""
    end = over
    if end is None:
        end = socket.create_connection((server.host, server.port), timeout=5)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(end)
    try:
        transport.start_client(timeout=5)
        if key is not None:
            transport.auth_publickey(USER, key)
        elif password is not None:
            transport.auth_password(USER, password)
        yield transport
    finally:
        transport.close()
        end.close()


def run(transport: paramiko.Transport, command: str, stdin: bytes = b"", **env: str) -> tuple[bytes, bytes, int]:
    channel = transport.open_session(timeout=5)
    channel.settimeout(5)
    for name, value in env.items():
        channel.set_environment_variable(name, value)
    channel.exec_command(command)
    channel.sendall(stdin)
    channel.shutdown_write()
    out = channel.makefile("rb").read()
    error = channel.makefile_stderr("rb").read()
    return out, error, channel.recv_exit_status()


def test_a_command_gets_its_input_and_answers_with_output_errors_and_exit_status(server: SshServer) -> None:
    with login(server) as transport:
        assert run(transport, "stdin 7", b"hello", LC_ALL="C") == (b"stdin 7|C|hello", b"complaint\n", 7)


def test_a_fast_command_never_overtakes_the_answer_that_it_was_accepted(server: SshServer) -> None:
    with login(server) as transport:
        assert {run(transport, "quick 0")[2] for _ in range(50)} == {0}


def test_commands_and_their_input_are_logged_apart(server: SshServer) -> None:
    with login(server) as transport:
        run(transport, "stdin 0", b"secret")
    assert server.commands == ["stdin 0"]
    assert server.stdins == [b"secret"]


def test_a_wrong_password_is_refused(server: SshServer) -> None:
    with pytest.raises(paramiko.AuthenticationException), login(server, password="wrong"):
        pass
    assert server.logins == 0


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_known_key_logs_in_and_another_does_not(kind: str) -> None:
    mine, other = new_host_key(kind), new_host_key(kind)  # type: ignore[arg-type]
    with SshServer(echo, authorized=[public_line(mine) + " admin@noc"]) as server:
        with login(server, key=mine) as transport:
            assert run(transport, "x 0")[2] == 0
        with pytest.raises(paramiko.AuthenticationException), login(server, key=other):
            pass
        assert (server.connections, server.logins, server.execs) == (2, 1, 1)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_the_host_key_is_shown_and_can_change(kind: str) -> None:
    with SshServer(echo, passwords={USER: PASSWORD}, host_key=new_host_key(kind)) as server:  # type: ignore[arg-type]
        with login(server) as transport:
            first = public_line(transport.get_remote_server_key())
        assert first == server.host_key_line
        server.host_key = new_host_key()
        with login(server) as transport:
            assert public_line(transport.get_remote_server_key()) != first


def test_a_shell_is_refused(server: SshServer) -> None:
    with login(server) as transport, pytest.raises(paramiko.SSHException):
        transport.open_session(timeout=5).invoke_shell()


def test_a_command_beyond_the_limit_is_refused(server: SshServer) -> None:
    server.faults.command_limit = 20
    with login(server) as transport:
        assert run(transport, "short 0")[2] == 0
        with pytest.raises(paramiko.SSHException):
            run(transport, "long" * 10 + " 0")
    assert server.execs == 1


def test_only_so_many_sessions_at_once(server: SshServer) -> None:
    server.faults.max_sessions = 2
    with login(server) as transport:
        kept = [transport.open_session(timeout=5) for _ in range(2)]
        with pytest.raises(paramiko.ChannelException):
            transport.open_session(timeout=5)
        assert len(kept) == 2


def test_it_is_a_jump_host_for_another(server: SshServer) -> None:
    overlay = {("10.100.0.2", 22): (server.host, server.port)}
    jump = SshServer(passwords={USER: PASSWORD}, forward=lambda host, port: overlay.get((host, port)))
    with jump, login(jump) as first:
        channel = first.open_channel("direct-tcpip", ("10.100.0.2", 22), ("127.0.0.1", 0), timeout=5)
        with login(server, over=channel) as second:
            assert run(second, "inside 3")[2] == 3
        assert jump.forwarded == 1
        assert jump.execs == 0


def test_a_jump_refuses_what_it_cannot_reach_or_may_not_forward(server: SshServer) -> None:
    with login(server) as transport:
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("10.100.0.2", 22), ("127.0.0.1", 0), timeout=5)
        server.faults.refuse_forwarding = True
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", server.port), ("127.0.0.1", 0), timeout=5)


def test_right_credentials_can_be_refused(server: SshServer) -> None:
    server.faults = Faults(refuse_auth=True)
    with pytest.raises(paramiko.AuthenticationException), login(server):
        pass


def test_a_connection_can_close_at_once(server: SshServer) -> None:
    server.faults.drop_at_connect = True
    with socket.create_connection((server.host, server.port), timeout=5) as end:
        assert end.recv(1) == b""


def test_a_connection_can_say_nothing(server: SshServer) -> None:
    server.faults.no_banner = True
    with socket.create_connection((server.host, server.port), timeout=5) as end:
        end.settimeout(0.2)
        with pytest.raises(TimeoutError):
            end.recv(1)


def test_the_connection_is_lost_before_the_second_command_runs(server: SshServer) -> None:
    server.faults.drop_before_exec = 2
    with login(server) as transport:
        assert run(transport, "one 1")[2] == 1
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            assert run(transport, "two 2") == (b"", b"", -1)
    assert server.commands == ["one 1", "two 2"]
    assert server.stdins == [b""]


def test_the_connection_is_lost_after_a_command_has_run() -> None:
    ran = threading.Event()

    def remember(command: str, stdin: Stdin, env: Mapping[str, str]) -> tuple[bytes, bytes, int]:
        ran.set()
        return b"done", b"", 0

    with (
        SshServer(remember, passwords={USER: PASSWORD}, faults=Faults(drop_after_exec=1)) as server,
        login(server) as transport,
        contextlib.suppress(paramiko.SSHException, OSError, EOFError),
    ):
        assert run(transport, "one") == (b"", b"", -1)
    assert ran.is_set()


def test_a_stalled_command_never_answers(server: SshServer) -> None:
    server.faults.stall_exec = 1
    with login(server) as transport:
        channel = transport.open_session(timeout=5)
        channel.exec_command("x 0")
        channel.settimeout(0.2)
        with pytest.raises(TimeoutError):
            channel.recv(1)


def test_latency_is_paid_once_for_requests_sent_together() -> None:
    with SshServer(echo, passwords={USER: PASSWORD}, faults=Faults(latency=0.001)) as server, login(server) as transport:
        server.faults.latency = 100
        channels = [transport.open_session(timeout=5)]
        began = time.monotonic()
        channels[0].exec_command("x 0")
        assert channels[0].recv(100).startswith(b"x 0")
        assert 0.1 <= time.monotonic() - began < 1.0


def test_a_server_that_pauses_refuses_connections_and_comes_back_on_its_port(server: SshServer) -> None:
    port = server.port
    server.pause()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port), timeout=5)
    server.resume()
    with login(server) as transport:
        assert run(transport, "x 0")[2] == 0
    assert server.port == port


def test_input_is_handed_on_as_it_arrives_and_not_waited_for() -> None:
    with LinuxSimulator("hq") as host:
        server = host.serve_ssh(passwords={USER: PASSWORD})
        with login(server) as transport:
            channel = transport.open_session(timeout=5)
            channel.settimeout(5)
            channel.exec_command("wg --version")  # nobody closes standard input, as with a terminal
            assert channel.recv(100).startswith(b"wireguard-tools")
            assert channel.recv_exit_status() == 0


def test_a_simulated_host_runs_real_scripts_over_ssh() -> None:
    with LinuxSimulator("hq") as host:
        server = host.serve_ssh(passwords={USER: PASSWORD})
        with login(server) as transport:
            assert run(transport, "ip link add wg0 type wireguard && wg set wg0 private-key /dev/stdin && wg show interfaces",
                       b"AGf465JfZE+bHKFl87flLuJdndrnfKsV2GgLyK1r83o=\n") == (b"wg0\n", b"", 0)  # fmt: skip
        assert b"AGf465" in server.stdins[0]
        assert not any("AGf465" in word for one in host.invocations for word in one.argv)


def test_a_reboot_breaks_the_connections_of_a_host() -> None:
    with LinuxSimulator("hq") as host:
        server = host.serve_ssh(passwords={USER: PASSWORD})
        with login(server) as transport:
            assert run(transport, "true")[2] == 0
            host.reboot()
            deadline = time.monotonic() + 5
            while transport.is_active() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not transport.is_active()
        with login(server) as transport:
            assert run(transport, "true")[2] == 0


def test_closing_leaves_no_connection_and_no_thread_behind() -> None:
    before = set(threading.enumerate())
    server = SshServer(echo, passwords={USER: PASSWORD})
    with login(server) as transport:
        run(transport, "x 0")
        server.close()
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
    assert server.open_connections == 0
