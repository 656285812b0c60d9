"""Transport rest: certificates are verified always, whatever the environment says, in jumps too; nothing secret is logged."""

from __future__ import annotations

import http.client
import logging
import re
import socket
from pathlib import Path

import pytest
from rest_server import BASIC, KEY, SECRET, TOKEN, Controller, access, connect, one, refused_port, says

from fleet.dial import Dialer, Hop, JumpPool, direct
from fleet.dialects import Rest
from fleet.errors import ConnectionLost, IdentityChanged, LoginFailed, RouterError, Unreachable
from fleet.link import Access, Address, Http, Reply
from fleet.model import Secret
from fleet.testing.https import HttpFaults, HttpsServer, self_signed
from fleet.testing.sshd import SshServer
from fleet.transports.rest import RestTransport

READ = Http("GET", "/x", (("token", "in the query"),), reads=True)


@pytest.fixture
def server():
    with HttpsServer(says({"fine": True})) as server:
        yield server


def test_the_certificate_seen_first_is_reported_so_that_it_can_be_pinned(server):
    session = connect(server, tls_fingerprint=None)
    assert session.identity == server.fingerprint
    session.close()


def test_a_pinned_certificate_is_accepted(server):
    session = connect(server)
    assert isinstance(one(session, READ), Reply)
    session.close()


def test_another_certificate_than_the_pinned_one_is_refused(server):
    with pytest.raises(IdentityChanged, match="pinned is") as refused:
        connect(server, tls_fingerprint="ab" * 32)
    assert "fleet trust pune" in refused.value.hint
    assert server.requests == 0


def test_a_certificate_of_the_given_ca_is_accepted(server, tmp_path: Path):
    ca = tmp_path / "ca.pem"
    ca.write_text(server.certificate.certificate_pem)
    session = connect(server, tls_fingerprint=None, tls_ca=str(ca))
    assert isinstance(one(session, READ), Reply)
    session.close()


def test_a_certificate_of_another_ca_is_refused(server, tmp_path: Path):
    ca = tmp_path / "ca.pem"
    ca.write_text(self_signed("other").certificate_pem)
    with pytest.raises(IdentityChanged, match="is refused"):
        connect(server, tls_fingerprint=None, tls_ca=str(ca))


def test_a_certificate_of_the_ca_for_another_host_is_refused(tmp_path: Path):
    certificate = self_signed("router", host="192.0.2.1")
    ca = tmp_path / "ca.pem"
    ca.write_text(certificate.certificate_pem)
    with HttpsServer(says({}), certificate=certificate) as server, pytest.raises(IdentityChanged, match="is refused"):
        connect(server, tls_fingerprint=None, tls_ca=str(ca))


def test_a_missing_ca_file_is_named(server):
    with pytest.raises(RouterError, match=r"no/such\.pem"):
        connect(server, tls_fingerprint=None, tls_ca="no/such.pem")


@pytest.mark.parametrize("mode", ["first", "pinned", "ca"])
def test_an_expired_certificate_is_refused_in_every_mode(mode: str, tmp_path: Path):
    certificate = self_signed("router", expired=True)
    ca = tmp_path / "ca.pem"
    ca.write_text(certificate.certificate_pem)
    known = {"first": {}, "pinned": {"tls_fingerprint": certificate.fingerprint}, "ca": {"tls_ca": str(ca)}}[mode]
    with HttpsServer(says({}), certificate=certificate) as server, pytest.raises(IdentityChanged) as refused:
        connect(server, **{"tls_fingerprint": None, **known})
    assert re.search("has expired|was valid until", refused.value.summary)


def test_a_certificate_that_changes_within_a_session_is_refused(server):
    session = connect(server, tls_fingerprint=None)
    server.certificate = self_signed("somebody else")
    server.drop_connections()
    assert isinstance(one(session, READ), IdentityChanged)
    session.close()


ENVIRONMENT = {
    "REQUESTS_CA_BUNDLE": "{file}",
    "CURL_CA_BUNDLE": "{file}",
    "SSL_CERT_FILE": "{file}",
    "HTTPS_PROXY": "http://127.0.0.1:{port}",
    "https_proxy": "http://127.0.0.1:{port}",
    "HTTP_PROXY": "http://127.0.0.1:{port}",
    "ALL_PROXY": "http://127.0.0.1:{port}",
    "NETRC": "{netrc}",
}


@pytest.fixture(params=[*ENVIRONMENT, "all"])
def meddling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: HttpsServer) -> None:
    """Variables that requests' own sessions honour, each naming something that would change what happens."""
    bundle, netrc = tmp_path / "bundle.pem", tmp_path / "netrc"
    bundle.write_text(server.certificate.certificate_pem)
    netrc.write_text("machine 127.0.0.1 login stranger password stranger\n")
    netrc.chmod(0o600)
    for name, value in ENVIRONMENT.items():
        if request.param in (name, "all"):
            monkeypatch.setenv(name, value.format(file=bundle, port=refused_port(), netrc=netrc))


def test_no_variable_of_the_environment_keeps_a_session_from_its_router(meddling, server):
    session = connect(server)
    assert isinstance(one(session, READ), Reply)
    session.close()


def test_no_variable_of_the_environment_makes_another_certificate_acceptable(meddling, server, tmp_path: Path):
    with pytest.raises(IdentityChanged):
        connect(server, tls_fingerprint="ab" * 32)
    ca = tmp_path / "ca.pem"
    ca.write_text(self_signed("other").certificate_pem)
    with pytest.raises(IdentityChanged):
        connect(server, tls_fingerprint=None, tls_ca=str(ca))


def test_no_variable_of_the_environment_gives_other_credentials(meddling, server):
    session = connect(server, Rest())
    one(session, READ)
    assert server.seen[0].header("Authorization") == ""
    session.close()


# --- who answers


def test_the_first_address_that_answers_is_used(server):
    dead = Address("127.0.0.1", refused_port())
    alive = Address(server.host, server.port)
    session = RestTransport().connect(Access(**{**_fields(access(server)), "addresses": (dead, alive)}), direct)
    assert session.address == alive
    session.close()


def test_nobody_listening_is_unreachable_and_names_every_address():
    first, second = refused_port(), refused_port()
    addresses = (Address("127.0.0.1", first), Address("127.0.0.1", second))
    with pytest.raises(Unreachable) as silent:
        RestTransport().connect(Access("pune", addresses, dialect=BASIC), direct)
    assert str(first) in silent.value.summary
    assert str(second) in silent.value.summary


def test_a_port_that_opens_and_says_nothing_is_unreachable():
    with HttpsServer(says({}), faults=HttpFaults(no_tls=True)) as server, pytest.raises(Unreachable, match="no TLS"):
        RestTransport(connect_timeout=0.3).connect(access(server), direct)


def test_a_port_that_speaks_no_tls_is_named_as_that():
    with HttpsServer(says({}), plain=True) as server, pytest.raises(RouterError, match="not with TLS"):
        connect(server)


def test_plain_http_is_refused_where_nobody_allowed_it():
    with HttpsServer(says({}), plain=True) as server, pytest.raises(RouterError, match="without TLS"):
        connect(server, options={"tls": False})
    assert server.connections == 0


def test_plain_http_is_spoken_where_it_was_allowed_and_asked_for():
    with HttpsServer(says({}), plain=True) as server:
        session = connect(server, options={"tls": False}, plain_ok="loopback")
        assert isinstance(one(session, READ), Reply)
        assert session.identity == ""
        session.close()


def test_a_service_that_is_not_http_is_a_loss():
    listener = socket.create_server(("127.0.0.1", 0))
    address = Address(*listener.getsockname())
    known = Access("pune", (address,), dialect=Rest(), options={"tls": False}, plain_ok="loopback")
    session = RestTransport().connect(known, direct)
    client, _ = listener.accept()
    client.sendall(b"")
    reply = _answered(session, client, b"SSH-2.0-dropbear\r\n\r\n")
    assert isinstance(reply, ConnectionLost)
    assert "not HTTP" in reply.summary
    for end in (client, listener):
        end.close()


# --- inside a jump


@pytest.fixture
def jump():
    with SshServer(passwords={"fleet": "pw"}) as jump:
        yield jump


def pool_of(jump: SshServer, tmp_path: Path) -> JumpPool:
    hop = Access(
        "hq", (Address(jump.host, jump.port),), username="fleet", password=Secret("pw"), host_keys=(jump.host_key_line,)
    )
    return JumpPool(lambda name: Hop(hop), known_hosts=tmp_path / "none")


def test_a_session_runs_inside_an_ssh_channel_of_a_jump(server, jump, tmp_path: Path):
    with pool_of(jump, tmp_path) as pool:
        session = connect(server, dial=Dialer(pool, ("hq",)))
        replies = session.send([READ] * 5)
        session.close()
    assert all(isinstance(reply, Reply) for reply in replies)
    assert (jump.connections, jump.forwarded, server.connections) == (1, 1, 1)


def test_the_certificate_is_verified_inside_a_jump_too(server, jump, tmp_path: Path):
    with pool_of(jump, tmp_path) as pool, pytest.raises(IdentityChanged):
        connect(server, dial=Dialer(pool, ("hq",)), tls_fingerprint="ab" * 32)


def test_a_large_reply_comes_whole_through_a_jump(jump, tmp_path: Path):
    rows = {"rows": ["x" * 1000] * 2000}
    with HttpsServer(says(rows)) as server, pool_of(jump, tmp_path) as pool:
        session = connect(server, dial=Dialer(pool, ("hq",)))
        reply = one(session, READ)
        session.close()
    assert isinstance(reply, Reply)
    assert reply.data == rows


def test_a_jump_that_dies_loses_the_session_and_says_whether_a_write_was_sent(server, jump, tmp_path: Path):
    with pool_of(jump, tmp_path) as pool:
        session = connect(server, dial=Dialer(pool, ("hq",)))
        one(session, READ)
        jump.close()
        reply = one(session, Http("POST", "/x", body={}))
        session.close()
    assert isinstance(reply, ConnectionLost)
    assert reply.sent or server.requests == 1


# --- secrecy


def test_nothing_secret_is_logged_even_at_debug_level(caplog: pytest.LogCaptureFixture, capfd, monkeypatch):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    caplog.set_level(logging.DEBUG)
    controller = Controller()
    transport = RestTransport()
    with HttpsServer(controller) as server:
        session = transport.connect(access(server, TOKEN), direct)
        controller.expire()
        one(session, Http("POST", "/peer", (("key", "psk-in-query"),), {"psk": Secret("psk-in-body")}))
        session.close()
        transport.close()
        with pytest.raises(LoginFailed):
            RestTransport().connect(access(server, TOKEN, api_secret=Secret("wrong-secret")), direct)
    out, err = capfd.readouterr()
    said = caplog.text + out + err
    assert "/peer" in said
    for secret in (SECRET, KEY, "AT-0", "RT-0", "psk-in", "wrong-secret"):
        assert secret not in said


def _answered(session, client: socket.socket, octets: bytes):
    import threading

    def answer() -> None:
        client.recv(65536)
        client.sendall(octets)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    reply = one(session, READ)
    thread.join(5)
    return reply


def _fields(known: Access) -> dict[str, object]:
    return {name: getattr(known, name) for name in Access.__dataclass_fields__}
