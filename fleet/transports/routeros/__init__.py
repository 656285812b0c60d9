"""The RouterOS binary API (8728 plain, 8729 TLS): tagged sentences, many commands in flight on one connection.

librouteros does the login and the word encoding. It cannot parse tags and guesses types (sheet 1.8), so reading sentences
and telling replies apart is done here, on raw words. A stream that was misunderstood or timed out is never used again: its
next sentence could belong to anybody.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import ClassVar, Final

from librouteros.api import Api
from librouteros.exceptions import FatalError, LibRouterosError, MultiTrapError, TrapError
from librouteros.login import plain as librouteros_login
from librouteros.protocol import ApiProtocol, encode_sentence

from ...errors import LoginFailed, RouterError, Unreachable
from ...link import Access, Address, Session
from .. import Dial, Transport
from .session import RouterosSession
from .stream import Broken, Silent, Stream, fatal_text, why
from .tls import secured

PLAIN_PORT: Final = 8728


class RouterosTransport(Transport):
    """RouterOS API with TLS; plain only on port 8728 or with `options: {tls: false}`, and only where that is safe.

    `connect_timeout` (TCP and TLS) and `login_timeout` (RADIUS may be slow) in seconds.
    """

    name: ClassVar[str] = "routeros"

    def __init__(self, *, connect_timeout: float = 10.0, login_timeout: float = 20.0) -> None:
        self._connect_timeout = connect_timeout
        self._login_timeout = login_timeout

    def connect(self, access: Access, dial: Dial) -> Session:
        """Log in on the first address that answers.

        Raises Unreachable when none does, LoginFailed, IdentityChanged (certificate not the pinned one, or not valid),
        RouterError for a service that is not this API and for a plain connection where none is allowed.
        """
        if access.username is None or access.password is None:
            raise LoginFailed(
                f"no {'username' if access.username is None else 'password'} is given for the RouterOS API",
                "set `username:` and `password:` (a secret reference) for this router or its group",
            )
        silent: list[Unreachable] = []
        for address in access.addresses:
            try:
                return self._open(access, address, dial)
            except Unreachable as error:
                silent.append(error)
        raise _unreachable(silent)

    def _open(self, access: Access, address: Address, dial: Dial) -> RouterosSession:
        encrypted = _encrypted(access, address)
        try:
            sock = dial(address, self._connect_timeout)
        except OSError as error:
            raise Unreachable(f"{address}: {why(error)}") from None
        try:
            with suppress(OSError, AttributeError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(self._connect_timeout)
            identity = ""
            if encrypted:
                sock, identity = secured(sock, access, address)
            stream = Stream(sock)
            self._login(stream, access, address)
        except BaseException:
            sock.close()
            raise
        return RouterosSession(stream, address, identity)

    def _login(self, stream: Stream, access: Access, address: Address) -> None:
        assert access.username is not None
        assert access.password is not None
        try:
            protocol = _QuietProtocol(stream, time.monotonic() + self._login_timeout)
            librouteros_login(Api(protocol=protocol), access.username, access.password.reveal())
        except (TrapError, MultiTrapError, FatalError) as error:
            said = str(error).replace(access.password.reveal() or "\0", "***")
            raise LoginFailed(
                f"login as {access.username} at {address} refused: {said}",
                "check username and password; the user's group needs policy `api`, and `/user address=` must allow this host",
            ) from None
        except Silent as silent:
            raise Unreachable(
                f"{address}: connected, but no answer to the login ({silent})",
                "see `/ip/service print`: is the API enabled, does `address=` allow this host, is a session free?",
            ) from None
        except (Broken, LibRouterosError, TypeError, ValueError, IndexError) as error:
            # librouteros raises the last three for replies it does not expect (sheet 1.8).
            said = str(error) if isinstance(error, Broken) else "it answers with something that is not the RouterOS API"
            raise RouterError(
                f"no RouterOS API at {address}: {said}",
                "check `port:` (8729 with TLS, 8728 without) and `/ip/service` on the router",
            ) from None


class _QuietProtocol(ApiProtocol):  # type: ignore[misc,unused-ignore]  # librouteros is typed from 4.1 on only
    """librouteros' protocol on our stream. Its own writes every word to a DEBUG log, the password among them."""

    def __init__(self, stream: Stream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def writeSentence(self, cmd: str, *words: str) -> None:  # noqa: N802 - librouteros' name
        self._stream.write(encode_sentence(cmd, *words, encoding="UTF-8"), self._deadline)

    def readSentence(self) -> tuple[str, tuple[str, ...]]:  # noqa: N802 - librouteros' name
        sentence = self._stream.sentence(self._deadline)
        if sentence[0] == "!fatal":
            raise FatalError(fatal_text(sentence))
        return sentence[0], tuple(sentence[1:])


def _unreachable(silent: list[Unreachable]) -> Unreachable:
    if not silent:
        return Unreachable("no address to connect to", "give the router a `host:`")
    if len(silent) == 1 and silent[0].hint:
        return silent[0]
    hint = next((error.hint for error in silent if error.hint), "")
    return Unreachable(
        "no answer: " + "; ".join(error.summary for error in silent),
        hint or "check that the router is up and that `/ip/service` enables the API for this host",
    )


def _encrypted(access: Access, address: Address) -> bool:
    """True for TLS. Raises RouterError for a plain connection that DESIGN section 7 does not allow."""
    option = access.options.get("tls")
    encrypted = address.port != PLAIN_PORT if option is None else bool(option)
    if not encrypted and not access.plain_ok:
        raise RouterError(
            f"{address} would be the API without TLS, and the password would cross the network readable",
            "plain API is allowed inside the overlay, through a jump (`via:`), to loopback, or with --at to a directly "
            "connected address; else give api-ssl a certificate and use port 8729",
        )
    return encrypted
