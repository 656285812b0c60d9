"""The RouterOS API transport against a tiny scripted router on loopback. Sections are of the vendor sheet."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import ConnectionLost, IdentityChanged, LoginFailed, Rejected, RouterError, Unreachable
from fleet.link import Access, Address, Exec, Reply, Session, Words
from fleet.model import Secret
from fleet.transports.routeros import RouterosTransport
from fleet.transports.routeros.stream import SentenceReader

PASSWORD = "correct-horse-battery"
READ = Words("/interface/wireguard/print", reads=True)
WRITE = Words("/ip/address/add", (("address", "10.0.0.1/24"), ("interface", "wg0")))


def word(raw: bytes) -> bytes:
    """One word with its length in front, from the table of section 1.1."""
    length = len(raw)
    for limit, mark, size in ((0x80, 0, 1), (0x4000, 0x8000, 2), (0x200000, 0xC00000, 3), (0x10000000, 0xE0000000, 4)):
        if length < limit:
            return (length | mark).to_bytes(size, "big") + raw
    raise ValueError(length)


def sentence(*words: str | bytes) -> bytes:
    return b"".join(word(each.encode() if isinstance(each, str) else each) for each in words) + b"\0"


class Conversation:
    """The router's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")
        self.heard: list[list[str]] = []

    def hear(self) -> list[str]:
        """The next sentence from fleet; empty at the end of the connection."""
        words = []
        while (length := self._length()) is not None:
            if length == 0:
                break
            words.append(self.file.read(length).decode())
        if words:
            self.heard.append(words)
        return words

    def hear_tag(self) -> str:
        return next(each for each in self.hear() if each.startswith(".tag="))

    def say(self, *words: str | bytes) -> None:
        self.sock.sendall(sentence(*words))

    def login(self) -> None:
        self.hear()
        self.say("!done")

    def _length(self) -> int | None:
        first = self.file.read(1)
        if not first:
            return None
        more = 0 if first[0] < 0x80 else 1 if first[0] < 0xC0 else 2 if first[0] < 0xE0 else 3
        whole = int.from_bytes(first + self.file.read(more), "big")
        return whole & ~(0, 0x8000, 0xC00000, 0xE0000000)[more]


Script = Callable[[Conversation], None]


class ScriptedRouter:
    """Listens on loopback and plays `script` on the first connection, then closes it."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self.listener.getsockname()[1])
        self.conversations: list[Conversation] = []
        self.done = threading.Event()
        self._script, self._tls = script, tls
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        try:
            with sock, self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as stream:
                conversation = Conversation(stream)
                self.conversations.append(conversation)
                with conversation.file:
                    self._script(conversation)
                self.done.set()
        except OSError:
            pass

    def close(self) -> None:
        self.listener.close()
        self._thread.join(5)


@pytest.fixture
def router() -> Iterator[Callable[..., ScriptedRouter]]:
    made: list[ScriptedRouter] = []

    def make(script: Script, tls: ssl.SSLContext | None = None) -> ScriptedRouter:
        made.append(ScriptedRouter(script, tls))
        return made[-1]

    yield make
    for each in made:
        each.close()


def dial(address: Address, timeout: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout)


def access(*addresses: Address, tls: bool = False, **given_: object) -> Access:
    return Access(
        "mumbai",
        addresses,
        username="fleet",
        password=Secret(PASSWORD),
        plain_ok="" if tls else "loopback",
        options={"tls": tls},
        **given_,  # type: ignore[arg-type]
    )


TRANSPORT = RouterosTransport(connect_timeout=5, login_timeout=5)


@pytest.fixture
def session(router: Callable[..., ScriptedRouter]) -> Iterator[Callable[[Script], Session]]:
    opened: list[Session] = []

    def open_(script: Script) -> Session:
        def whole(conversation: Conversation) -> None:
            conversation.login()
            script(conversation)

        opened.append(TRANSPORT.connect(access(router(whole).address), dial))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


# ---- sentences, section 1.1
@given(st.lists(st.lists(st.text(min_size=1, max_size=300), max_size=5), max_size=6), st.integers(1, 700))
def test_sentences_survive_any_chunking(sentences: list[list[str]], chunk: int) -> None:
    whole = [[f"!{each}" for each in words] for words in sentences]
    octets = b"".join(sentence(*words) for words in whole)
    reader, seen = SentenceReader(), []
    for at in range(0, len(octets), chunk):
        reader.feed(octets[at : at + chunk])
        while (words := reader.next()) is not None:
            seen.append(words)
    assert seen == [words for words in whole if words]


@pytest.mark.parametrize("length", [0x7F, 0x80, 0x100, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000])
def test_a_length_with_a_zero_byte_does_not_end_the_sentence(length: int) -> None:
    reader = SentenceReader()
    reader.feed(sentence("!re", b"=" + b"x" * (length - 1)))
    assert [len(each) for each in reader.next() or []] == [3, length]


def test_comments_in_latin_1_are_read(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tag = conversation.hear_tag()
        conversation.say("!re", "=comment=Zürich".encode("latin-1"), tag)
        conversation.say("!done", tag)

    (reply,) = session(script).send([READ])
    assert isinstance(reply, Reply)
    assert reply.rows[0]["comment"] == "Zürich"


# ---- replies, section 1.2
def test_values_stay_raw_words_and_keep_their_equals_signs(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tag = conversation.hear_tag()
        conversation.say("!re", "=name=100", "=comment=yes", "=public-key=abc=", "=endpoint-address=", tag)
        conversation.say("!done", tag)

    (reply,) = session(script).send([READ])
    assert isinstance(reply, Reply)
    assert reply.rows == ({"name": "100", "comment": "yes", "public-key": "abc=", "endpoint-address": ""},)


def test_an_empty_answer_of_7_18_is_no_rows(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tag = conversation.hear_tag()
        conversation.say("!empty", tag)
        conversation.say("!done", tag)

    assert session(script).send([READ]) == [Reply()]


def test_an_add_gives_the_new_id(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        conversation.say("!done", "=ret=*3", conversation.hear_tag())

    (reply,) = session(script).send([WRITE])
    assert isinstance(reply, Reply)
    assert reply.value == "*3"


def test_the_tag_may_stand_anywhere_and_answers_may_interleave(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        first, second = conversation.hear_tag(), conversation.hear_tag()
        conversation.say("!re", second, "=n=2")
        conversation.say("!re", "=n=1", first)
        conversation.sock.sendall(b"\0\0")
        conversation.say("!done", second)
        conversation.say("!re", first, "=n=1b")
        conversation.say("!done", first)

    one, two = session(script).send([READ, READ])
    assert isinstance(one, Reply)
    assert isinstance(two, Reply)
    assert [row["n"] for row in one.rows] == ["1", "1b"]
    assert [row["n"] for row in two.rows] == ["2"]


def test_a_refusal_does_not_harm_the_others(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        first, second = conversation.hear_tag(), conversation.hear_tag()
        conversation.say("!trap", "=category=1", "=message=input does not match any value of interface", first)
        conversation.say("!trap", "=message=and a second trap", first)
        conversation.say("!done", second)
        conversation.say("!done", first)

    refused, done = session(script).send([WRITE, WRITE])
    assert isinstance(refused, Rejected)
    assert refused.evidence == "input does not match any value of interface (category 1); and a second trap"
    assert done == Reply()


def test_a_trap_without_message_or_with_more_words_is_a_refusal(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        first, second = conversation.hear_tag(), conversation.hear_tag()
        for words in (("!trap", first), ("!done", first), ("!trap", "=message=no", "=more=1", second), ("!done", second)):
            conversation.say(*words)

    assert all(isinstance(each, Rejected) for each in session(script).send([WRITE, WRITE]))


def test_a_secret_that_a_trap_repeats_is_not_shown(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tag = conversation.hear_tag()
        conversation.say("!trap", "=message=invalid value opensesame for argument preshared-key", tag)
        conversation.say("!done", tag)

    (refused,) = session(script).send([Words("/interface/wireguard/peers/set", (("preshared-key", Secret("opensesame")),))])
    assert isinstance(refused, Rejected)
    assert "opensesame" not in f"{refused} {refused!r} {refused.evidence}"


def test_a_secret_is_sent_as_it_is(session: Callable[[Script], Session]) -> None:
    heard: list[list[str]] = []

    def script(conversation: Conversation) -> None:
        heard.append(conversation.hear())
        conversation.say("!done", heard[0][-1])

    session(script).send([Words("/x/set", ((".id", "*1"), ("preshared-key", Secret("opensesame"))))])
    assert heard == [["/x/set", "=.id=*1", "=preshared-key=opensesame", ".tag=1"]]


# ---- in flight, section 1.4
def test_never_more_than_16_commands_are_in_flight(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tags = [conversation.hear_tag() for _ in range(16)]
        conversation.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            conversation.file.raw.readinto(bytearray(1))  # type: ignore[attr-defined]
        conversation.sock.settimeout(5)
        conversation.file = conversation.sock.makefile("rb")
        for tag in tags:
            conversation.say("!done", f"=ret={tag}", tag)
        for _ in range(4):
            tag = conversation.hear_tag()
            conversation.say("!done", f"=ret={tag}", tag)

    replies = session(script).send([WRITE] * 20)
    assert [reply.value for reply in replies if isinstance(reply, Reply)] == [f".tag={n}" for n in range(1, 21)]


# ---- loss, section 1.7
def _fates(replies: list[Reply | RouterError]) -> list[str]:
    return [
        ("sent" if each.sent else "not sent") if isinstance(each, ConnectionLost) else type(each).__name__ for each in replies
    ]


def test_a_loss_says_of_each_command_whether_it_was_sent(session: Callable[[Script], Session]) -> None:
    def script(conversation: Conversation) -> None:
        tags = [conversation.hear_tag() for _ in range(16)]
        conversation.say("!done", tags[2])
        conversation.hear()
        conversation.sock.shutdown(socket.SHUT_RDWR)

    fates = _fates(session(script).send([WRITE] * 20))
    assert fates == ["sent"] * 2 + ["Reply"] + ["sent"] * 14 + ["not sent"] * 3


def test_a_connection_closed_while_idle_loses_nothing_that_was_sent(session: Callable[[Script], Session]) -> None:
    closed = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.sock.shutdown(socket.SHUT_WR)
        closed.set()
        conversation.hear()

    opened = session(script)
    assert closed.wait(5)
    assert _fates(opened.send([WRITE, WRITE])) == ["not sent", "not sent"]


def test_after_a_timeout_the_connection_is_not_used_again(session: Callable[[Script], Session]) -> None:
    opened = session(lambda conversation: conversation.hear() and conversation.hear())  # type: ignore[func-returns-value]
    (lost,) = opened.send([Words("/x/print", timeout=0.1)])
    assert isinstance(lost, ConnectionLost)
    assert lost.sent
    assert "no answer in time" in lost.summary
    assert _fates(opened.send([WRITE])) == ["not sent"]


@pytest.mark.parametrize(
    "nonsense",
    [
        sentence("!re", "no attribute", ".tag=1"),
        sentence("!re", "=no-second-equals", ".tag=1"),
        sentence("!done", ".tag=99"),
        sentence("!done"),
        sentence("!what", ".tag=1"),
        sentence("done", ".tag=1"),
        b"\xf8\x00\x00\x00\x00",
    ],
)
def test_what_cannot_be_understood_ends_the_connection(session: Callable[[Script], Session], nonsense: bytes) -> None:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.sock.sendall(nonsense)
        conversation.hear()

    opened = session(script)
    assert _fates(opened.send([WRITE])) == ["sent"]
    assert _fates(opened.send([WRITE])) == ["not sent"]


@pytest.mark.parametrize("words", [("!fatal", "not logged in"), ("!fatal", "not logged in", ".tag=1")])
def test_a_fatal_reason_is_told(session: Callable[[Script], Session], words: tuple[str, ...]) -> None:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.say(*words)

    (lost,) = session(script).send([WRITE])
    assert isinstance(lost, ConnectionLost)
    assert lost.summary.endswith("the router ended the session: not logged in")


def test_other_kinds_of_request_are_a_programming_error(session: Callable[[Script], Session]) -> None:
    with pytest.raises(TypeError, match="carries Words, not Exec"):
        session(lambda conversation: None).send([Exec("wg show")])


# ---- login, section 1.3
def _failure(script: Script, router: Callable[..., ScriptedRouter], **given_: object) -> RouterError:
    with pytest.raises(RouterError) as caught:
        TRANSPORT.connect(access(router(script).address, **given_), dial)
    assert PASSWORD not in f"{caught.value} {caught.value!r}"
    return caught.value


@pytest.mark.parametrize("text", ["invalid user name or password (6)", "cannot log in", "radius timeout"])
def test_a_wrong_password_is_a_failed_login_with_the_next_action(router: Callable[..., ScriptedRouter], text: str) -> None:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.say("!trap", f"=message={text}")
        conversation.say("!done")

    error = _failure(script, router)
    assert type(error) is LoginFailed
    assert text in error.summary
    assert "policy `api`" in error.hint


def test_the_password_is_not_in_the_log_of_the_library(
    router: Callable[..., ScriptedRouter], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        TRANSPORT.connect(access(router(lambda conversation: conversation.login()).address), dial).close()
    assert PASSWORD not in caplog.text


def test_a_fatal_at_login_is_a_failed_login(router: Callable[..., ScriptedRouter]) -> None:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.say("!fatal", "too many sessions")

    error = _failure(script, router)
    assert type(error) is LoginFailed
    assert "too many sessions" in error.summary


@pytest.mark.parametrize(
    "banner", [b"SSH-2.0-ROSSSH\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"]
)
def test_another_service_on_the_port_is_named_as_such(router: Callable[..., ScriptedRouter], banner: bytes) -> None:
    def script(conversation: Conversation) -> None:
        conversation.sock.sendall(banner)
        conversation.sock.shutdown(socket.SHUT_WR)
        conversation.hear()

    error = _failure(script, router)
    assert type(error) is RouterError
    assert "no RouterOS API at 127.0.0.1" in error.summary


def test_a_router_that_closes_before_it_says_anything_is_unreachable(router: Callable[..., ScriptedRouter]) -> None:
    error = _failure(lambda conversation: conversation.sock.shutdown(socket.SHUT_RDWR), router)
    assert type(error) is Unreachable
    assert "/ip/service print" in error.hint


def test_a_router_that_stays_silent_is_unreachable(router: Callable[..., ScriptedRouter]) -> None:
    silent = router(lambda conversation: conversation.hear() and conversation.hear())
    with pytest.raises(Unreachable, match="no answer in time"):
        RouterosTransport(connect_timeout=5, login_timeout=0.1).connect(access(silent.address), dial)


def test_the_next_address_is_tried_when_one_does_not_answer(router: Callable[..., ScriptedRouter]) -> None:
    good = router(lambda conversation: conversation.login())
    with socket.create_server(("127.0.0.1", 0)) as gone:
        refused = Address("127.0.0.1", gone.getsockname()[1])
    opened = TRANSPORT.connect(access(refused, good.address), dial)
    assert opened.address == good.address
    opened.close()


def test_no_answer_anywhere_names_every_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        addresses = [Address("127.0.0.1", each.getsockname()[1]) for each in (one, two)]
    with pytest.raises(Unreachable) as caught:
        TRANSPORT.connect(access(*addresses), dial)
    assert all(str(address) in caught.value.summary for address in addresses)


def test_a_missing_password_is_said_before_anything_is_dialled() -> None:
    with pytest.raises(LoginFailed, match="no password is given"):
        TRANSPORT.connect(Access("mumbai", (Address("192.0.2.1", 8729),), username="fleet"), dial)


# ---- plain or TLS, section 1.7
def test_port_8728_is_plain_and_refused_where_it_is_not_safe() -> None:
    with pytest.raises(RouterError, match="API without TLS") as caught:
        TRANSPORT.connect(Access("mumbai", (Address("192.0.2.1", 8728),), username="fleet", password=Secret(PASSWORD)), dial)
    assert "api-ssl" in caught.value.hint


Certificate = Callable[..., tuple[ssl.SSLContext, bytes, Path]]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Makes a self-signed server certificate: its context, DER, and PEM file."""

    def make(days: int = 30, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, bytes, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "router")])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem, secret = tmp_path / "router.pem", tmp_path / "router.key"
        pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, secret)
        return context, made.public_bytes(serialization.Encoding.DER), pem

    return make


def _echo(conversation: Conversation) -> None:
    conversation.login()
    while words := conversation.hear():
        conversation.say("!done", words[-1])


def test_an_unpinned_certificate_is_shown_so_that_it_can_be_pinned(
    router: Callable[..., ScriptedRouter], certificate: Certificate
) -> None:
    context, der, _ = certificate()
    opened = TRANSPORT.connect(access(router(_echo, context).address, tls=True), dial)
    assert opened.identity == hashlib.sha256(der).hexdigest()
    assert opened.send([READ, WRITE]) == [Reply(), Reply()]
    assert opened.send([READ]) == [Reply()]
    opened.close()


def test_a_pinned_certificate_is_accepted(router: Callable[..., ScriptedRouter], certificate: Certificate) -> None:
    context, der, _ = certificate()
    pin = hashlib.sha256(der).hexdigest().upper()
    TRANSPORT.connect(access(router(_echo, context).address, tls=True, tls_fingerprint=pin), dial).close()


def test_another_certificate_than_the_pinned_one_gets_no_password(
    router: Callable[..., ScriptedRouter], certificate: Certificate
) -> None:
    seen = router(_echo, certificate()[0])
    with pytest.raises(IdentityChanged, match="pinned is 0000") as caught:
        TRANSPORT.connect(access(seen.address, tls=True, tls_fingerprint="0" * 64), dial)
    assert "`fleet trust mumbai`" in caught.value.hint
    seen.close()
    assert not any(conversation.heard for conversation in seen.conversations)


def test_a_certificate_of_the_given_ca_is_accepted(router: Callable[..., ScriptedRouter], certificate: Certificate) -> None:
    context, _, pem = certificate()
    TRANSPORT.connect(access(router(_echo, context).address, tls=True, tls_ca=str(pem)), dial).close()


def test_a_certificate_of_another_ca_is_refused(router: Callable[..., ScriptedRouter], certificate: Certificate) -> None:
    context, _, _ = certificate()
    _, _, other = certificate()
    error = _failure(_echo, lambda script: router(script, context), tls=True, tls_ca=str(other))
    assert type(error) is IdentityChanged
    assert "self-signed" in error.summary


def test_a_certificate_for_another_address_is_refused(router: Callable[..., ScriptedRouter], certificate: Certificate) -> None:
    context, _, pem = certificate(name="192.0.2.7")
    error = _failure(_echo, lambda script: router(script, context), tls=True, tls_ca=str(pem))
    assert type(error) is IdentityChanged
    assert "subject-alt-name" in error.hint


@pytest.mark.parametrize("known_by", ["ca", "pin", "nothing"])
def test_an_expired_certificate_is_refused_with_the_cure(
    router: Callable[..., ScriptedRouter], certificate: Certificate, known_by: str
) -> None:
    context, der, pem = certificate(days=-1)
    seen = router(_echo, context)
    given: dict[str, object] = {
        "ca": {"tls_ca": str(pem)},
        "pin": {"tls_fingerprint": hashlib.sha256(der).hexdigest()},
        "nothing": {},
    }[known_by]  # type: ignore[assignment]  # keyword arguments of Access
    with pytest.raises(IdentityChanged) as caught:
        TRANSPORT.connect(access(seen.address, tls=True, **given), dial)
    error = caught.value
    now = dt.datetime.now(dt.UTC)
    until = f"was valid until {now - dt.timedelta(days=1):%Y-%m-%d}" if known_by != "ca" else "has expired"
    assert until in error.summary
    assert f"this machine's clock says {now:%Y-%m-%d}" in error.summary
    assert all(part in error.hint for part in ("/certificate add", "/certificate sign", "/ip/service set api-ssl certificate="))
    assert ("fleet trust mumbai" in error.hint) == (known_by != "ca")
    assert "\n" not in error.summary + error.hint
    seen.close()
    assert not any(conversation.heard for conversation in seen.conversations), "no password is sent"


def test_a_certificate_in_its_last_hours_is_accepted(router: Callable[..., ScriptedRouter], certificate: Certificate) -> None:
    context, der, _ = certificate(days=1)
    pin = hashlib.sha256(der).hexdigest()
    TRANSPORT.connect(access(router(_echo, context).address, tls=True, tls_fingerprint=pin), dial).close()


def test_anonymous_tls_is_never_spoken(router: Callable[..., ScriptedRouter]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH:@SECLEVEL=0")
    error = _failure(_echo, lambda script: router(script, context), tls=True)
    assert type(error) is RouterError
    assert "anonymous TLS" in error.summary
    assert "certificate=NAME" in error.hint


def test_plain_api_where_tls_was_expected_is_said(router: Callable[..., ScriptedRouter]) -> None:
    def script(conversation: Conversation) -> None:
        conversation.sock.sendall(sentence("!fatal", "not logged in"))
        conversation.sock.shutdown(socket.SHUT_WR)
        conversation.file.read()

    error = _failure(script, router, tls=True)
    assert type(error) is RouterError
    assert "not with TLS" in error.summary


def test_a_ca_file_that_is_not_there_is_said(router: Callable[..., ScriptedRouter]) -> None:
    error = _failure(_echo, router, tls=True, tls_ca="/nonexistent/ca.pem")
    assert "/nonexistent/ca.pem" in error.summary
