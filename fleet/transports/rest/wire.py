"""HTTP/1.1 on a socket of ours: requests and urllib3 on top of a dialled connection, with one deadline for an exchange.

Nothing of the environment counts: no proxies, no .netrc, no CA bundles of others, no redirects, no cookies. Requests' Session,
which reads all of those, is not used; its adapter is.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from ..tls import why

MOST: Final = 64 << 20
"""Bytes of one reply, unpacked: more is no answer of a router."""

CHUNK: Final = 1 << 16


class Wire:
    """A connected socket, as http.client uses one, whose every operation ends at one deadline.

    A timeout of the socket alone would start again with every byte of a slow reply.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readers = 0
        self._over = False
        self.deadline = time.monotonic()
        self.wrote = False

    def sendall(self, octets: bytes) -> None:
        """Send all before the deadline."""
        self._sock.settimeout(self._left())
        self.wrote = True
        self._sock.sendall(octets)

    def receive(self, buffer: memoryview) -> int:
        """What has come, at most a buffer full."""
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str, buffering: int | None = None) -> io.BufferedReader:
        """The reading side, as http.client asks for it."""
        self._readers += 1
        return io.BufferedReader(_Reader(self), CHUNK)

    def idle(self) -> bool:
        """True if the router neither closed nor said anything since the last reply: a request may be written."""
        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            return False
        return False

    def settimeout(self, seconds: float | None) -> None:
        """Ignored: the deadline counts."""

    def shutdown(self, how: int) -> None:
        """Shut down one or both directions."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the socket as soon as nobody reads: http.client closes before it reads a reply without a length."""
        self._over = True
        if not self._readers:
            self.end()

    def released(self) -> None:
        """A reader is done."""
        self._readers -= 1
        if self._over and not self._readers:
            self.end()

    def end(self) -> None:
        """Close the socket now; never raises."""
        with suppress(OSError):
            self._sock.close()

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._wire.released()


Open = Callable[[float], Wire]
"""Opens a wire within so many seconds. Raises RouterError."""


class _Connection(urllib3.connection.HTTPConnection):
    """A connection whose socket, TLS included, is opened by us."""

    default_port = 443  # type: ignore[misc]  # urllib3 declares it so itself
    debuglevel = 0  # http.client prints headers and bodies, secrets included, when somebody sets its own
    wire: Wire | None = None
    target = ""

    def use(self, wire: Wire) -> None:
        """Speak on this wire."""
        self.wire = wire
        self.sock = wire

    def connect(self) -> None:
        """Never by itself: a connection is opened where its failure can be told apart."""
        raise ConnectionError

    @property
    def is_connected(self) -> bool:
        # The pool looks whether bytes wait on the socket; after a TLS 1.3 handshake session tickets do.
        return self.sock is not None

    def putrequest(self, method: str, url: str, *arguments: Any, **options: Any) -> None:
        """Ask for the target: the library has only its path, because it logs that, and queries may hold secrets."""
        super().putrequest(method, self.target, *arguments, **options)


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    """A pool of one connection, with the name of what it speaks to."""

    scheme = "https"
    ConnectionCls = _Connection


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, pool: _Pool) -> None:
        super().__init__(max_retries=0)
        self._pool = pool

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        return self._pool

    def cert_verify(self, *arguments: Any, **options: Any) -> None:
        """Verified before a wire exists."""


class Lost(Exception):
    """The exchange did not come to its end. `sent` is False only if no byte of the request left."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class TooMuch(Exception):
    """The reply is larger than any reply."""


class Answer:
    """Status, headers and unpacked body of a reply."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


_FAILURES: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


class Line:
    """One keep-alive connection. A router may close it between two requests; then the next one opens another."""

    def __init__(self, host: str, port: int, connect: Open, wire: Wire) -> None:
        self._connect = connect
        self._pool = _Pool(host, port, maxsize=1)
        self._adapter = _Adapter(self._pool)
        self._connection = _Connection(host, port)
        self._connection.use(wire)

    def exchange(self, prepared: requests.PreparedRequest, timeout: float) -> Answer:
        """Send a request and read its reply to the end, within `timeout` seconds. Raises Lost, TooMuch, RouterError."""
        deadline = time.monotonic() + timeout
        wire = self._ready(timeout)
        wire.deadline, wire.wrote = deadline, False
        self._connection.target = prepared.path_url
        prepared = prepared.copy()
        prepared.url = (prepared.url or "").partition("?")[0]
        try:
            self._put()
            reply = self._adapter.send(prepared, stream=True)
            body = _whole(reply.raw)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            self.close()
            raise Lost(_reason(error), sent=wire.wrote) from None
        except BaseException:
            self.close()
            raise
        if reply.headers.get("Connection", "").lower() == "close":
            self.close()
        return Answer(reply.status_code, reply.raw.headers, body)

    def close(self) -> None:
        """Close without waiting; never raises."""
        wire, self._connection.wire = self._connection.wire, None
        if wire is not None:
            wire.end()
        with suppress(Exception):
            self._connection.close()

    def _ready(self, timeout: float) -> Wire:
        wire = self._connection.wire
        if wire is None or not wire.idle():
            self.close()
            wire = self._connect(timeout)
            self._connection.use(wire)
        return wire

    def _put(self) -> None:
        """Have the one connection in the pool, and no other: the last exchange may have left it outside."""
        queue = self._pool.pool
        assert queue is not None
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(self._connection)


def _whole(raw: Any) -> bytes:
    parts, size = [], 0
    while part := raw.read(CHUNK, decode_content=True):
        size += len(part)
        if size > MOST:
            raise TooMuch
        parts.append(part)
    raw.release_conn()
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    """Why an exchange broke off, in a few words and without anything of the request."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, TimeoutError | urllib3.exceptions.TimeoutError):
            return "no answer in time"
        if isinstance(seen, urllib3.exceptions.IncompleteRead | http.client.IncompleteRead):
            return "the reply breaks off"
        if isinstance(seen, OSError) and seen.strerror and not isinstance(seen, ssl.SSLError | requests.RequestException):
            return why(seen)
        if isinstance(seen, http.client.BadStatusLine) and not isinstance(seen, http.client.RemoteDisconnected):
            return "it answers with something that is not HTTP"
        if isinstance(seen, urllib3.exceptions.DecodeError):
            return "the reply cannot be unpacked"
        inner = [part for part in seen.args if isinstance(part, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__
    return "the router closed the connection"
