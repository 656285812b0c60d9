from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from openssh import OpenSsh, free_port, openssh
from sshserver import SshServer, serving

from fleet.dial import Dialer, Hop, JumpPool
from fleet.errors import IdentityChanged, LoginFailed, Unreachable, UsageError
from fleet.link import Access, Address, Exec, Reply
from fleet.model import Secret
from fleet.transports.ssh import SshTransport

TIMEOUT = 5.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class _Echo(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are part of the tests."""


@contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[Address]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    with _Echo(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def echo(sock: socket.socket) -> None:
    while received := sock.recv(65536):
        sock.sendall(received)


def exactly(sock: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count and (received := sock.recv(count - len(parts))):
        parts += received
    return bytes(parts)


class Jumps:
    """A pool over a mapping that tests may change, with everything it has seen."""

    def __init__(self, tmp_path: Path, **hops: Hop) -> None:
        self.hops = hops
        self.seen: list[tuple[str, str]] = []
        self.pool = JumpPool(
            self._find, seen=lambda *what: self.seen.append(what), known_hosts=tmp_path / "known_hosts", timeout=TIMEOUT
        )

    def _find(self, name: str) -> Hop:
        if name not in self.hops:
            raise UsageError(f"no jump {name}")
        return self.hops[name]

    def __enter__(self) -> JumpPool:
        return self.pool

    def __exit__(self, *_: object) -> None:
        self.pool.close()


@pytest.fixture
def bastion(tmp_path: Path) -> Iterator[OpenSsh]:
    with openssh(tmp_path / "bastion") as server:
        yield server


def hop(server: OpenSsh, name: str = "bastion", *via: str, **changes: object) -> Hop:
    return Hop(server.access(name, **changes), via)


def unanswering() -> Address:
    """Nobody listens there."""
    return Address("127.0.0.1", free_port())


# --------------------------------------------------------------------------------------------------------- direct
def test_a_direct_connection_carries_bytes_both_ways() -> None:
    with listening(echo) as address, Dialer()(address, TIMEOUT) as sock:
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


def test_a_direct_connection_notices_a_dead_line_by_itself() -> None:
    with listening(echo) as address, Dialer()(address, TIMEOUT) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_closed_port_is_unreachable_with_address_and_reason() -> None:
    address = unanswering()
    with pytest.raises(Unreachable, match=f"{address}: connection refused"):
        Dialer()(address, TIMEOUT)


def test_a_name_that_cannot_exist_is_unreachable_and_no_crash() -> None:
    with pytest.raises(Unreachable):
        Dialer()(Address("a" * 70 + ".example", 22), TIMEOUT)


# ------------------------------------------------------------------------------------------------------ one jump
def test_a_connection_inside_a_jump_is_a_real_socket_that_carries_bytes_both_ways(tmp_path: Path, bastion: OpenSsh) -> None:
    with (
        listening(echo) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, TIMEOUT) as sock,
    ):
        assert isinstance(sock, socket.socket)
        assert sock.gettimeout() == TIMEOUT
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


def test_megabytes_pass_both_ways_at_once_inside_a_jump(tmp_path: Path, bastion: OpenSsh) -> None:
    payload = bytes(range(256)) * 20_000
    with (
        listening(echo) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, 30) as sock,
        ThreadPoolExecutor(1) as other,
    ):
        sending = other.submit(sock.sendall, payload)
        assert exactly(sock, len(payload)) == payload
        sending.result()


def test_tls_runs_inside_a_jump(tmp_path: Path, bastion: OpenSsh) -> None:
    certificate, key = certificate_files(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=str(certificate))

    def serve(sock: socket.socket) -> None:
        with server_side.wrap_socket(sock, server_side=True) as wrapped:
            echo(wrapped)

    with (
        listening(serve) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, TIMEOUT) as sock,
        client_side.wrap_socket(sock, server_hostname="router.example") as wrapped,
    ):
        wrapped.sendall(b"hello")
        assert exactly(wrapped, 5) == b"hello"


def test_ssh_runs_inside_a_jump(tmp_path: Path, bastion: OpenSsh) -> None:
    with Jumps(tmp_path, bastion=hop(bastion)) as pool, serving(SshServer()) as router:
        session = SshTransport(tmp_path / "known_hosts").connect(router.access(), Dialer(pool, ["bastion"]))
        assert isinstance(session.send([Exec("id")])[0], Reply)
        session.close()


def test_what_the_target_closes_is_closed_for_the_user(tmp_path: Path, bastion: OpenSsh) -> None:
    with (
        listening(lambda sock: sock.sendall(b"bye")) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, TIMEOUT) as sock,
    ):
        assert exactly(sock, 100) == b"bye"


def test_what_the_user_closes_is_closed_for_the_target(tmp_path: Path, bastion: OpenSsh) -> None:
    ended = threading.Event()

    def serve(sock: socket.socket) -> None:
        echo(sock)
        ended.set()

    with listening(serve) as address, Jumps(tmp_path, bastion=hop(bastion)) as pool:
        Dialer(pool, ["bastion"])(address, TIMEOUT).close()
        assert ended.wait(10)


def test_a_user_who_has_no_more_to_say_still_gets_the_answer(tmp_path: Path, bastion: OpenSsh) -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(str(sum(len(part) for part in iter(lambda: sock.recv(1000), b""))).encode())

    with (
        listening(serve) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, TIMEOUT) as sock,
    ):
        sock.sendall(b"x" * 5000)
        sock.shutdown(socket.SHUT_WR)
        assert exactly(sock, 100) == b"5000"


def test_closed_connections_leave_no_threads_behind(tmp_path: Path, bastion: OpenSsh) -> None:
    def bridges() -> int:
        return sum(thread.name == "fleet-jump" for thread in threading.enumerate())

    with listening(echo) as address, Jumps(tmp_path, bastion=hop(bastion)) as pool:
        socks = [Dialer(pool, ["bastion"])(address, TIMEOUT) for _ in range(5)]
        for sock in socks:
            sock.close()
        until(lambda: bridges() == 0)


def test_one_connection_to_a_jump_serves_all_routers_though_all_ask_at_once(tmp_path: Path) -> None:
    with serving(SshServer()) as server, Jumps(tmp_path, hq=Hop(server.access("hq"))) as pool, ThreadPoolExecutor(20) as many:
        for refusal in many.map(lambda _: refused(pool, ["hq"]), range(20)):
            assert isinstance(refusal, Unreachable)
        assert len(server.connections) == 1


def refused(pool: JumpPool, via: list[str], address: Address | None = None) -> Exception:
    with pytest.raises((Unreachable, LoginFailed, IdentityChanged, UsageError)) as caught:
        Dialer(pool, via)(address or unanswering(), TIMEOUT)
    return caught.value


def test_many_connections_share_one_jump_without_mixing_their_bytes(tmp_path: Path, bastion: OpenSsh) -> None:
    def one(number: int) -> bool:
        text = f"router {number} ".encode() * 1000
        with Dialer(pool, ["bastion"])(address, 30) as sock:
            sock.sendall(text)
            return exactly(sock, len(text)) == text

    with listening(echo) as address, Jumps(tmp_path, bastion=hop(bastion)) as pool, ThreadPoolExecutor(30) as many:
        assert all(many.map(one, range(30)))


# ------------------------------------------------------------------------------------------------------- refusals
def test_a_target_that_refuses_inside_a_jump_is_unreachable_and_both_are_named(tmp_path: Path, bastion: OpenSsh) -> None:
    address = unanswering()
    with Jumps(tmp_path, bastion=hop(bastion)) as pool:
        error = refused(pool, ["bastion"], address)
    assert isinstance(error, Unreachable)
    assert str(address) in error.summary
    assert "inside jump bastion" in error.summary


def test_a_jump_that_does_not_answer_is_named_as_the_reason(tmp_path: Path) -> None:
    address = unanswering()
    with Jumps(tmp_path, hq=Hop(Access("hq", (address,)))) as pool:
        error = refused(pool, ["hq"])
    assert isinstance(error, Unreachable)
    assert "jump hq is unreachable" in error.summary
    assert str(address) in error.summary


def test_a_jump_that_forbids_forwarding_is_told_what_to_allow(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd", extra="AllowTcpForwarding no") as server, Jumps(tmp_path, bastion=hop(server)) as pool:
        error = refused(pool, ["bastion"])
    assert isinstance(error, Unreachable)
    assert "forbids forwarding" in error.summary
    assert "AllowTcpForwarding" in error.hint


def test_a_jump_with_the_wrong_password_is_a_failure_and_not_pending(tmp_path: Path) -> None:
    with serving(SshServer()) as server, Jumps(tmp_path, hq=Hop(server.access("hq", password=Secret("wrong")))) as pool:
        error = refused(pool, ["hq"])
    assert isinstance(error, LoginFailed)
    assert "jump hq" in error.summary
    assert not error.router


def test_a_jump_whose_host_key_changed_is_refused(tmp_path: Path) -> None:
    with (
        serving(SshServer()) as server,
        Jumps(tmp_path, hq=Hop(server.access("hq", host_keys=(SshServer().identity,)))) as pool,
    ):
        error = refused(pool, ["hq"])
    assert isinstance(error, IdentityChanged)
    assert "fleet trust hq" in error.hint


def test_the_key_of_a_jump_is_handed_over_for_pinning(tmp_path: Path, bastion: OpenSsh) -> None:
    jumps = Jumps(tmp_path, bastion=hop(bastion, host_keys=()))
    with listening(echo) as address, jumps as pool:
        Dialer(pool, ["bastion"])(address, TIMEOUT).close()
    assert jumps.seen == [("bastion", bastion.host_keys["ed25519"])]


def test_a_jump_that_is_down_is_not_awaited_again_by_every_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def slow(*arguments: object, **_: object) -> None:
        attempts.append(arguments)
        raise Unreachable("no TCP connection")

    monkeypatch.setattr("fleet.dial.connect_ssh", slow)
    with Jumps(tmp_path, hq=Hop(Access("hq", ()))) as pool:
        for _ in range(20):
            refused(pool, ["hq"])
    assert len(attempts) == 1


def test_a_jump_that_was_down_is_tried_again_when_asked_for_a_fresh_connection(tmp_path: Path, bastion: OpenSsh) -> None:
    jumps = Jumps(tmp_path, bastion=Hop(Access("bastion", (unanswering(),))))
    with listening(echo) as address, jumps as pool:
        refused(pool, ["bastion"], address)
        jumps.hops["bastion"] = hop(bastion)
        dialer = Dialer(pool, ["bastion"])
        dialer.fresh()
        dialer(address, TIMEOUT).close()


# ------------------------------------------------------------------------------------------ chains and alternatives
def test_a_jump_may_be_behind_another_jump(tmp_path: Path, bastion: OpenSsh) -> None:
    with (
        openssh(tmp_path / "hq") as hq,
        listening(echo) as address,
        Jumps(tmp_path, bastion=hop(bastion), hq=hop(hq, "hq", "bastion")) as pool,
        Dialer(pool, ["hq"])(address, TIMEOUT) as sock,
    ):
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


def test_an_outer_jump_that_is_down_is_named_behind_the_inner_one(tmp_path: Path, bastion: OpenSsh) -> None:
    with Jumps(tmp_path, bastion=Hop(Access("bastion", (unanswering(),))), hq=hop(bastion, "hq", "bastion")) as pool:
        error = refused(pool, ["hq"])
    assert "jump hq is unreachable: jump bastion is unreachable" in str(error)


def test_the_second_of_several_jumps_is_used_when_the_first_is_down(tmp_path: Path, bastion: OpenSsh) -> None:
    with (
        listening(echo) as address,
        Jumps(tmp_path, hq=Hop(Access("hq", (unanswering(),))), dr=hop(bastion, "dr")) as pool,
        Dialer(pool, ["hq", "dr"])(address, TIMEOUT) as sock,
    ):
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


def test_when_no_jump_reaches_a_router_all_are_named(tmp_path: Path, bastion: OpenSsh) -> None:
    with Jumps(tmp_path, hq=Hop(Access("hq", (unanswering(),))), dr=hop(bastion, "dr")) as pool:
        error = refused(pool, ["hq", "dr"])
    assert "jump hq is unreachable" in str(error)
    assert "inside jump dr" in str(error)


def test_jumps_that_go_in_a_circle_are_refused_naming_it(tmp_path: Path, bastion: OpenSsh) -> None:
    hops = {"a": hop(bastion, "a", "b"), "b": hop(bastion, "b", "c"), "c": hop(bastion, "c", "a")}
    with Jumps(tmp_path, **hops) as pool:
        error = refused(pool, ["a"])
    assert isinstance(error, UsageError)
    assert "a via b via c via a" in error.summary


# ---------------------------------------------------------------------------------------------- death and renewal
def test_a_jump_connection_that_died_is_opened_again(tmp_path: Path, bastion: OpenSsh) -> None:
    jumps = Jumps(tmp_path, bastion=hop(bastion))
    with listening(echo) as address, jumps as pool:
        with Dialer(pool, ["bastion"])(address, TIMEOUT):
            pool._jumps["bastion"].connected()._transport.sock.close()
        with Dialer(pool, ["bastion"])(address, TIMEOUT) as sock:
            sock.sendall(b"hello")
            assert exactly(sock, 5) == b"hello"
    assert len(jumps.seen) == 2


def test_connections_inside_a_jump_that_died_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        bastion = stack.enter_context(openssh(tmp_path / "bastion"))
        address = stack.enter_context(listening(echo))
        pool = stack.enter_context(Jumps(tmp_path, bastion=hop(bastion)))
        sock = stack.enter_context(Dialer(pool, ["bastion"])(address, TIMEOUT))
        pool._jumps["bastion"].connected()._transport.sock.close()
        assert exactly(sock, 1) == b""


def test_a_fresh_connection_passes_through_a_new_connection_to_the_jump(tmp_path: Path, bastion: OpenSsh) -> None:
    jumps = Jumps(tmp_path, bastion=hop(bastion))
    with listening(echo) as address, jumps as pool:
        dialer = Dialer(pool, ["bastion"])
        dialer(address, TIMEOUT).close()
        dialer.fresh()
        dialer(address, TIMEOUT).close()
    assert len(jumps.seen) == 2


def test_a_fresh_connection_of_one_router_does_not_cut_those_of_others(tmp_path: Path, bastion: OpenSsh) -> None:
    with (
        listening(echo) as address,
        Jumps(tmp_path, bastion=hop(bastion)) as pool,
        Dialer(pool, ["bastion"])(address, TIMEOUT) as other,
    ):
        pool.fresh("bastion")
        other.sendall(b"hello")
        assert exactly(other, 5) == b"hello"


def test_the_old_connection_to_a_jump_is_closed_when_its_last_user_is_gone(tmp_path: Path, bastion: OpenSsh) -> None:
    with listening(echo) as address, Jumps(tmp_path, bastion=hop(bastion)) as pool:
        with Dialer(pool, ["bastion"])(address, TIMEOUT):
            old = pool._jumps["bastion"].connected()
            pool.fresh("bastion")
            assert old.alive
        until(lambda: not old.alive)


def test_a_fresh_outer_jump_means_fresh_jumps_behind_it(tmp_path: Path, bastion: OpenSsh) -> None:
    jumps = Jumps(tmp_path, bastion=hop(bastion), hq=hop(bastion, "hq", "bastion"))
    with listening(echo) as address, jumps as pool:
        Dialer(pool, ["hq"])(address, TIMEOUT).close()
        pool.fresh("bastion")
        Dialer(pool, ["hq"])(address, TIMEOUT).close()
    assert [name for name, _ in jumps.seen] == ["bastion", "hq", "bastion", "hq"]


def test_after_the_run_everything_is_closed_and_nothing_can_be_dialled(tmp_path: Path, bastion: OpenSsh) -> None:
    with listening(echo) as address:
        with Jumps(tmp_path, bastion=hop(bastion)) as pool:
            sock = Dialer(pool, ["bastion"])(address, TIMEOUT)
        assert exactly(sock, 1) == b""
        sock.close()
        with pytest.raises(Unreachable, match="closed"):
            Dialer(pool, ["bastion"])(address, TIMEOUT)


def test_a_key_that_cannot_be_pinned_ends_the_connection_to_the_jump(tmp_path: Path) -> None:
    def refuse(name: str, identity: str) -> None:
        raise UsageError("the state cannot be written")

    with serving(SshServer()) as server:
        with JumpPool(lambda name: Hop(server.access(name)), seen=refuse, known_hosts=tmp_path / "known_hosts") as pool:
            assert "cannot be written" in str(refused(pool, ["hq"]))
        until(lambda: not any(connection.is_active() for connection in server.connections))


def test_a_silent_target_does_not_make_the_jump_look_dead(tmp_path: Path, bastion: OpenSsh) -> None:
    with silent() as address, listening(echo) as other:
        jumps = Jumps(tmp_path, bastion=hop(bastion))
        with jumps as pool:
            with pytest.raises(Unreachable, match=r"no answer within 0\.5 s"):
                Dialer(pool, ["bastion"])(address, 0.5)
            Dialer(pool, ["bastion"])(other, TIMEOUT).close()
        assert len(jumps.seen) == 1


@contextmanager
def silent() -> Iterator[Address]:
    """A port whose queue of connections is full: the next one gets no answer at all."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield Address("127.0.0.1", full.getsockname()[1])


def certificate_files(folder: Path) -> tuple[Path, Path]:
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "router.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("router.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate", folder / "key"
