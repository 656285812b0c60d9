from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from openssh import free_port, openssh
from sshserver import SshServer, say, serving

from fleet.dial import Dialer
from fleet.errors import ConnectionLost, IdentityChanged, LoginFailed, Rejected, Unreachable
from fleet.link import Access, Address, Exec, Reply, RouterLink, Session, Target, Words
from fleet.model import Secret
from fleet.transports.hostkeys import fingerprint
from fleet.transports.ssh import SshTransport
from fleet.transports.sshauth import private_key

DIAL = Dialer()


@pytest.fixture
def transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshTransport:
    """Knows no hosts and finds no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return SshTransport(tmp_path / "known_hosts", connect_timeout=5)


@contextmanager
def session(transport: SshTransport, access: Access) -> Iterator[Session]:
    opened = transport.connect(access, DIAL)
    try:
        yield opened
    finally:
        opened.close()


def one(opened: Session, request: Exec) -> Reply | Exception:
    return opened.send([request])[0]


# ------------------------------------------------------------------------------------------------ running commands
def test_a_command_answers_with_output_error_and_exit_code(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        reply = one(opened, Exec("echo out; echo err >&2; exit 3", accept=frozenset({3})))
    assert isinstance(reply, Reply)
    assert (reply.text, reply.error, reply.code) == ("out\n", "err\n", 3)


def test_standard_input_reaches_the_command_with_its_secrets_revealed(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        reply = one(opened, Exec("cat", stdin=("key = ", Secret("s3cret"), "\n")))
    assert isinstance(reply, Reply)
    assert reply.text == "key = s3cret\n"


def test_a_command_that_reads_standard_input_ends_though_none_is_given(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        assert isinstance(one(opened, Exec("cat", timeout=10)), Reply)


def test_megabytes_in_all_three_directions_do_not_block_each_other(tmp_path: Path, transport: SshTransport) -> None:
    script = "head -c 4000000 /dev/zero | tr '\\0' e >&2; head -c 4000000 /dev/zero | tr '\\0' o; wc -c"
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        reply = one(opened, Exec(script, stdin=("i" * 5_000_000,), timeout=60))
    assert isinstance(reply, Reply)
    assert (len(reply.text.rstrip("0123456789\n")), len(reply.error)) == (4_000_000, 4_000_000)
    assert reply.text.split("o")[-1].strip() == "5000000"


def test_a_command_that_ends_without_reading_its_input_is_judged_by_its_exit_code(
    tmp_path: Path, transport: SshTransport
) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        reply = one(opened, Exec("exit 0", stdin=("x" * 5_000_000,)))
    assert isinstance(reply, Reply)


def test_requests_of_one_session_run_in_order_on_one_connection(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        replies = opened.send([Exec(f"echo {number} $SSH_CONNECTION") for number in range(4)])
    texts = [reply.text.split() for reply in replies if isinstance(reply, Reply)]
    assert [words[0] for words in texts] == ["0", "1", "2", "3"]
    assert len({tuple(words[1:]) for words in texts}) == 1


def test_a_refused_command_shows_the_last_lines_of_its_error_output(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        error = one(opened, Exec("for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 1"))
    assert isinstance(error, Rejected)
    assert error.evidence.splitlines() == ["line 3", "line 4", "line 5", "line 6", "line 7"]
    assert "exit code 1" in error.summary
    assert "line 7" in error.summary


def test_a_secret_that_the_router_echoes_in_its_refusal_is_not_shown(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        error = one(opened, Exec("cat >&2; exit 1", stdin=("bad key ", Secret("s3cret\n"))))
    assert isinstance(error, Rejected)
    assert "s3cret" not in f"{error} {error.evidence} {error!r}"
    assert "bad key ***" in error.evidence


def test_bytes_that_are_not_utf8_are_replaced(transport: SshTransport) -> None:
    with serving(SshServer(command=say(b"caf\xe9"))) as server, session(transport, server.access()) as opened:
        reply = one(opened, Exec("show"))
    assert isinstance(reply, Reply)
    assert reply.text == "caf\N{REPLACEMENT CHARACTER}"


def test_a_command_killed_by_a_signal_is_refused(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server, session(transport, server.access()) as opened:
        error = one(opened, Exec("kill -9 $$"))
    assert isinstance(error, Rejected)
    assert "killed" in error.summary


def test_an_account_without_a_shell_is_told_apart_from_a_lost_connection(transport: SshTransport) -> None:
    with serving(SshServer(execs=False)) as server, session(transport, server.access()) as opened:
        error = one(opened, Exec("wg show"))
    assert isinstance(error, Rejected)
    assert "shell" in error.hint


def test_another_kind_of_request_is_a_driver_bug(transport: SshTransport) -> None:
    with serving(SshServer()) as server, session(transport, server.access()) as opened, pytest.raises(TypeError, match="Words"):
        opened.send([Words("/ip/address/print")])


# --------------------------------------------------------------------------------------------------- broken lines
def test_a_connection_that_breaks_during_a_command_may_have_delivered_it(transport: SshTransport) -> None:
    server = SshServer()
    server.command = lambda channel, _: server.hang_up()
    with serving(server), session(transport, server.access()) as opened:
        first, second = opened.send([Exec("reboot"), Exec("uptime")])
    assert isinstance(first, ConnectionLost)
    assert first.sent
    assert isinstance(second, ConnectionLost)
    assert not second.sent


def test_output_cut_short_by_a_broken_connection_is_never_taken_for_the_whole(transport: SshTransport) -> None:
    server = SshServer()

    def half(channel: paramiko.Channel, _: str) -> None:
        channel.sendall(b"[Interface]\n")
        channel.send_exit_status(0)
        server.hang_up()

    server.command = half
    with serving(server), session(transport, server.access()) as opened:
        error = one(opened, Exec("cat wg0.conf"))
    assert isinstance(error, ConnectionLost)


def test_a_connection_that_broke_before_the_command_certainly_did_not_deliver_it(transport: SshTransport) -> None:
    with serving(SshServer()) as server, session(transport, server.access()) as opened:
        server.hang_up()
        error = one(opened, Exec("wg show"))
    assert isinstance(error, ConnectionLost)
    assert not error.sent


def test_a_command_that_does_not_end_is_given_up_at_its_timeout(transport: SshTransport) -> None:
    never = threading.Event()
    server = SshServer(command=lambda channel, _: never.wait(20) and None)
    with serving(server), session(transport, server.access()) as opened:
        error = one(opened, Exec("sleep 1000", timeout=0.3))
        never.set()
    assert isinstance(error, ConnectionLost)
    assert error.sent
    assert "0.3 s" in error.summary


def test_a_server_that_never_answers_the_command_request_is_given_up_too(transport: SshTransport) -> None:
    never = threading.Event()
    server = SshServer()
    with serving(server), session(transport, server.access()) as opened:
        for connection in server.connections:
            connection.server_object.check_channel_exec_request = lambda *_: bool(never.wait(20))  # type: ignore[union-attr,method-assign]
        error = one(opened, Exec("wg show", timeout=0.3))
        never.set()
    assert isinstance(error, ConnectionLost)


def test_a_read_is_sent_again_on_a_new_connection_after_a_loss(transport: SshTransport) -> None:
    server = SshServer()

    def first_time_dead(channel: paramiko.Channel, _: str) -> None:
        if len(server.commands) == 1:
            server.hang_up()
        say(b"state")(channel, "")

    server.command = first_time_dead
    with serving(server):
        link = RouterLink(Target("mumbai", "acme", ("wg0",)), lambda: transport.connect(server.access(), DIAL))
        assert link.send(Exec("wg show", reads=True)).text == "state"
        link.close()
    assert server.commands == ["wg show", "wg show"]


# ------------------------------------------------------------------------------------------------------- reaching
def test_the_first_address_that_answers_is_used(transport: SshTransport) -> None:
    dead = Address("127.0.0.1", free_port())
    with serving(SshServer()) as server:
        access = Access("mumbai", (dead, server.address), "fleet", Secret("correct"), host_keys=(server.identity,))
        with session(transport, access) as opened:
            assert opened.address == server.address


def test_a_router_that_answers_nowhere_is_unreachable_and_every_address_is_named(transport: SshTransport) -> None:
    one, other = (Address("127.0.0.1", free_port()) for _ in range(2))
    with pytest.raises(Unreachable) as caught:
        transport.connect(Access("mumbai", (one, other)), DIAL)
    assert str(one) in caught.value.summary
    assert str(other) in caught.value.summary
    assert "refused" in caught.value.summary
    assert caught.value.outcome == "pending"


def test_a_port_that_takes_connections_and_says_nothing_is_unreachable(
    transport: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.transports.ssh.BANNER_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address("127.0.0.1", silent.getsockname()[1])
        with pytest.raises(Unreachable, match="no banner"):
            transport.connect(Access("mumbai", (address,)), DIAL)


def test_a_name_that_does_not_resolve_is_unreachable(transport: SshTransport) -> None:
    with pytest.raises(Unreachable, match="does not resolve"):
        transport.connect(Access("mumbai", (Address("no-such-router.invalid", 22),)), DIAL)


def test_a_router_without_addresses_is_told_to_get_one(transport: SshTransport) -> None:
    with pytest.raises(Unreachable, match="no address") as caught:
        transport.connect(Access("mumbai", ()), DIAL)
    assert "host" in caught.value.hint


def test_failed_connections_leave_no_threads_behind(tmp_path: Path, transport: SshTransport) -> None:
    with openssh(tmp_path / "sshd") as server:
        before = threading.active_count()
        for access in (
            server.access(host_keys=(SshServer().identity,)),
            server.access(host_keys=(fingerprint(SshServer().identity),)),
            server.access(ssh_key=openssh_text(ed25519.Ed25519PrivateKey.generate())),
        ):
            with pytest.raises((IdentityChanged, LoginFailed)):
                transport.connect(access, DIAL)
        for thread in threading.enumerate():
            if isinstance(thread, paramiko.Transport | threading.Timer):
                thread.join(5)
        assert threading.active_count() <= before


def test_a_broken_connection_prints_nothing_by_itself(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fleet.dial import Dialer; from fleet.errors import Unreachable\n"
        "from fleet.link import Access, Address; from fleet.transports.ssh import SshTransport\n"
        "try: SshTransport(Path(sys.argv[2])).connect(Access('mumbai', (Address('127.0.0.1', int(sys.argv[1])),)), Dialer())\n"
        "except Unreachable: print('unreachable')"
    )

    def break_off() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(b"SSH-2.0-router\r\n")
            sock.recv(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=break_off)
        thread.start()
        command = [sys.executable, "-W", "error", "-c", script, str(listener.getsockname()[1]), str(tmp_path / "known_hosts")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        thread.join()
    assert (done.stdout, done.stderr) == ("unreachable\n", "")


# ------------------------------------------------------------------------------------------------------ logging in
def openssh_text(key: object) -> Secret:
    encoded = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return Secret(encoded.decode())


@pytest.mark.parametrize(
    "form",
    [serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL],
    ids=["openssh", "pkcs8", "pem"],
)
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_every_type_and_format_log_in(transport: SshTransport, kind: str, form: serialization.PrivateFormat) -> None:
    if kind == "ed25519" and form is serialization.PrivateFormat.TraditionalOpenSSL:
        form = serialization.PrivateFormat.OpenSSH  # the traditional format has no Ed25519
    generated = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    text = Secret(generated.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())
    key = private_key(text)
    server = SshServer(keys=[f"{key.get_name()} {key.get_base64()}"], methods="publickey")
    with serving(server), session(transport, server.access(ssh_key=text, password=None)) as opened:
        assert isinstance(one(opened, Exec("id")), Reply)


def test_a_refused_key_is_named_with_its_fingerprint_and_what_the_router_would_take(transport: SshTransport) -> None:
    text = openssh_text(ed25519.Ed25519PrivateKey.generate())
    with serving(SshServer()) as server, pytest.raises(LoginFailed) as caught:
        transport.connect(server.access(ssh_key=text, password=None), DIAL)
    assert f"SSH key (ssh-ed25519 {private_key(text).fingerprint}) of user fleet" in caught.value.summary
    assert "ssh_key" in caught.value.hint


def test_a_refused_password_is_told_apart_from_a_refused_key(transport: SshTransport) -> None:
    with serving(SshServer()) as server, pytest.raises(LoginFailed) as caught:
        transport.connect(server.access(password=Secret("wrong")), DIAL)
    assert "refused the password of user fleet" in caught.value.summary
    assert "wrong" not in str(caught.value)


def test_the_password_is_tried_after_a_key_that_was_refused(transport: SshTransport) -> None:
    text = openssh_text(ed25519.Ed25519PrivateKey.generate())
    with serving(SshServer()) as server, session(transport, server.access(ssh_key=text)) as opened:
        assert isinstance(one(opened, Exec("id")), Reply)


def test_a_router_that_wants_key_and_password_gets_both(transport: SshTransport) -> None:
    text = openssh_text(ed25519.Ed25519PrivateKey.generate())
    key = private_key(text)
    server = SshServer(keys=[f"{key.get_name()} {key.get_base64()}"], second_factor=True)
    with serving(server), session(transport, server.access(ssh_key=text)) as opened:
        assert isinstance(one(opened, Exec("id")), Reply)


def test_a_missing_second_factor_is_asked_for(transport: SshTransport) -> None:
    text = openssh_text(ed25519.Ed25519PrivateKey.generate())
    key = private_key(text)
    server = SshServer(keys=[f"{key.get_name()} {key.get_base64()}"], second_factor=True)
    with serving(server), pytest.raises(LoginFailed) as caught:
        transport.connect(server.access(ssh_key=text, password=None), DIAL)
    assert "wants more" in caught.value.summary
    assert "password" in caught.value.hint


def test_without_any_credential_the_operator_learns_what_the_router_accepts(transport: SshTransport) -> None:
    with serving(SshServer()) as server, pytest.raises(LoginFailed) as caught:
        transport.connect(server.access(password=None), DIAL)
    assert "publickey, password" in caught.value.hint


def test_a_factory_fresh_router_lets_in_without_credentials(transport: SshTransport) -> None:
    with serving(SshServer(methods="none")) as server, session(transport, server.access(password=None)) as opened:
        assert isinstance(one(opened, Exec("id")), Reply)


def test_a_key_with_a_passphrase_is_refused_without_asking(transport: SshTransport) -> None:
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.BestAvailableEncryption(b"open sesame")
    )
    with serving(SshServer()) as server, pytest.raises(LoginFailed, match="passphrase") as caught:
        transport.connect(server.access(ssh_key=Secret(locked.decode())), DIAL)
    assert "agent" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [("ssh-ed25519 AAAAC3Nza mine", "public half"), ("hunter2", "not a private key"), ("", "not a private key")],
)
def test_what_is_no_private_key_is_refused_without_being_shown(transport: SshTransport, text: str, said: str) -> None:
    with serving(SshServer()) as server, pytest.raises(LoginFailed, match=said) as caught:
        transport.connect(server.access(ssh_key=Secret(text)), DIAL)
    assert not text or text not in str(caught.value)


# ------------------------------------------------------------------------------------------------------- host keys
def refused(transport: SshTransport, access: Access) -> IdentityChanged:
    with pytest.raises(IdentityChanged) as caught:
        transport.connect(access, DIAL)
    return caught.value


def test_a_key_seen_for_the_first_time_is_accepted_and_handed_over_for_pinning(transport: SshTransport) -> None:
    with serving(SshServer()) as server, session(transport, server.access(host_keys=())) as opened:
        assert opened.identity == server.identity


def test_a_pinned_fingerprint_is_as_good_as_the_key(transport: SshTransport) -> None:
    server = SshServer()
    with serving(server), session(transport, server.access(host_keys=(fingerprint(server.identity),))) as opened:
        assert opened.identity == server.identity


def test_a_changed_key_is_refused_with_both_fingerprints_and_the_command_that_accepts_it(transport: SshTransport) -> None:
    pinned = SshServer().identity
    with serving(SshServer()) as server:
        error = refused(transport, server.access(host_keys=(pinned,)))
        assert server.commands == []
    assert fingerprint(pinned) in error.summary
    assert fingerprint(server.identity) in error.summary
    assert "`fleet trust mumbai`" in error.hint


def test_the_password_is_not_shown_to_a_server_with_a_changed_key(transport: SshTransport) -> None:
    server = SshServer()
    with serving(server):
        refused(transport, server.access(host_keys=(SshServer().identity,)))
        assert not any(connection.is_authenticated() for connection in server.connections)


def known_hosts(tmp_path: Path, *lines: str) -> None:
    (tmp_path / "known_hosts").write_text("".join(f"{line}\n" for line in lines))


def hashed(name: str) -> str:
    return paramiko.HostKeys.hash_host(name)


@pytest.mark.parametrize("spell", ["[127.0.0.1]:{port}", "mumbai", "[127.0.0.*]:{port}", "other,mumbai"])
def test_known_hosts_is_honoured_under_address_and_router_name(tmp_path: Path, transport: SshTransport, spell: str) -> None:
    with serving(SshServer()) as server:
        known_hosts(tmp_path, f"{spell.format(port=server.address.port)} {SshServer().identity} a comment")
        error = refused(transport, server.access(host_keys=()))
    assert "known_hosts" in error.summary


def test_known_hosts_with_hashed_names_is_honoured(tmp_path: Path, transport: SshTransport) -> None:
    with serving(SshServer()) as server:
        known_hosts(tmp_path, f"{hashed(f'[127.0.0.1]:{server.address.port}')} {SshServer().identity}")
        refused(transport, server.access(host_keys=()))


def test_a_matching_line_of_known_hosts_lets_in(tmp_path: Path, transport: SshTransport) -> None:
    with serving(SshServer()) as server:
        known_hosts(tmp_path, "# comment", "", "garbage", f"mumbai {server.identity}")
        with session(transport, server.access(host_keys=())) as opened:
            assert opened.identity == server.identity


def test_a_line_for_the_same_host_on_port_22_says_nothing_about_a_forwarded_port(
    tmp_path: Path, transport: SshTransport
) -> None:
    known_hosts(tmp_path, f"127.0.0.1 {SshServer().identity}")
    with serving(SshServer()) as server, session(transport, server.access(host_keys=())) as opened:
        assert opened.identity == server.identity


def test_a_pin_wins_over_known_hosts(tmp_path: Path, transport: SshTransport) -> None:
    known_hosts(tmp_path, f"mumbai {SshServer().identity}")
    with serving(SshServer()) as server, session(transport, server.access()) as opened:
        assert opened.identity == server.identity


def test_a_revoked_key_is_refused_even_if_it_is_pinned(tmp_path: Path, transport: SshTransport) -> None:
    with serving(SshServer()) as server:
        known_hosts(tmp_path, f"@revoked * {server.identity}")
        assert "revoked" in refused(transport, server.access()).summary


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("as_fingerprint", [False, True], ids=["line", "fingerprint"])
def test_a_server_with_several_keys_is_asked_for_the_pinned_one(
    tmp_path: Path, transport: SshTransport, kind: str, as_fingerprint: bool
) -> None:
    with openssh(tmp_path / "sshd", ("ed25519", "ecdsa", "rsa")) as server:
        pin = fingerprint(server.host_keys[kind]) if as_fingerprint else server.host_keys[kind]
        with session(transport, server.access(host_keys=(pin,))) as opened:
            assert opened.identity == server.host_keys[kind]


def test_a_server_that_lost_the_pinned_type_of_key_counts_as_changed(tmp_path: Path, transport: SshTransport) -> None:
    pin = fingerprint(SshServer().identity)
    with openssh(tmp_path / "sshd", ("ed25519", "rsa")) as server:
        assert fingerprint(server.host_keys["ed25519"]) in refused(transport, server.access(host_keys=(pin,))).summary


def test_a_pin_that_is_no_key_is_refused_before_anything_is_sent(transport: SshTransport) -> None:
    with serving(SshServer()) as server, pytest.raises(LoginFailed, match="unusable") as caught:
        transport.connect(server.access(host_keys=("ssh-ed25519 not-base64!",)), DIAL)
    assert "host_key" in caught.value.hint
    assert server.connections == []


def test_the_agent_is_used_when_no_key_is_given(
    tmp_path: Path, transport: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with openssh(tmp_path / "sshd") as server, agent(tmp_path, monkeypatch) as socket_path:
        subprocess.run(["ssh-add", "-q", tmp_path / "sshd" / "client"], check=True, env={"SSH_AUTH_SOCK": socket_path})
        with session(transport, server.access(ssh_key=None)) as opened:
            assert isinstance(one(opened, Exec("id")), Reply)


def test_the_agent_is_left_alone_when_a_key_is_given(
    tmp_path: Path, transport: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = openssh_text(ed25519.Ed25519PrivateKey.generate())
    with openssh(tmp_path / "sshd") as server, agent(tmp_path, monkeypatch) as socket_path:
        subprocess.run(["ssh-add", "-q", tmp_path / "sshd" / "client"], check=True, env={"SSH_AUTH_SOCK": socket_path})
        with pytest.raises(LoginFailed):
            transport.connect(server.access(ssh_key=other), DIAL)


@contextmanager
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # printed once it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        try:
            yield path
        finally:
            process.terminate()
