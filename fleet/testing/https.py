"""An HTTPS server in process, with a certificate of its own and the faults that real ones show.

It speaks HTTP/1.1 with keep-alive on 127.0.0.1, a thread per connection, and gives every request to a handler.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

from ._httpsfaults import HttpFaults
from .certificates import Certificate, self_signed

__all__ = ["Certificate", "HttpFaults", "HttpHandler", "HttpReply", "HttpRequest", "HttpsServer", "json_reply", "self_signed"]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it arrived. `target` is path and query as sent, `connection` counts from 1, header names are as sent.

    `path` is not unquoted, `query` is.
    """

    method: str
    target: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def header(self, name: str) -> str:
        """A header's value whatever the case of its name, empty if there is none."""
        return next((value for known, value in self.headers.items() if known.lower() == name.lower()), "")

    def argument(self, name: str) -> str:
        """A query argument, empty if there is none."""
        return dict(self.query).get(name, "")

    def json(self) -> Any:
        """The body as JSON, None if it is empty. Raises ValueError."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What the server answers; Content-Length is added."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def packed(self) -> HttpReply:
        """The same with the body compressed by gzip."""
        return HttpReply(self.status, gzip.compress(self.body), (*self.headers, ("Content-Encoding", "gzip")))


def json_reply(value: object, status: int = 200, *headers: tuple[str, str]) -> HttpReply:
    """A reply with a JSON body."""
    return HttpReply(status, json.dumps(value).encode(), (("Content-Type", "application/json"), *headers))


HttpHandler: TypeAlias = Callable[[HttpRequest], HttpReply]
"""Called from the connection's thread; one that raises is answered with 500."""


@dataclass(slots=True)
class _Counters:
    connections: int = 0
    handshakes: int = 0
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class HttpsServer:
    """Listens from construction until `close`. Use it as a context manager.

    `port` 0 takes a free one, which `pause` and `resume` keep. Change `certificate` to play a changed one, `faults` to play
    trouble. `plain` speaks HTTP without TLS. Counters: `connections` (accepted), `handshakes`, `requests`. `seen` are all
    requests in the order of their arrival, those that a fault kept from the handler included.
    """

    def __init__(
        self,
        handler: HttpHandler,
        *,
        certificate: Certificate | None = None,
        faults: HttpFaults | None = None,
        port: int = 0,
        plain: bool = False,
    ) -> None:
        self.handler = handler
        self.certificate = certificate or self_signed("router")
        self.faults = faults or HttpFaults()
        self.host = "127.0.0.1"
        self.port = port
        self.plain = plain
        self.seen: list[HttpRequest] = []
        self._counters = _Counters()
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.resume()

    def __enter__(self) -> HttpsServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, 64 hex digits."""
        return self.certificate.fingerprint

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        return self._counters.connections

    @property
    def handshakes(self) -> int:
        """TLS handshakes that came to their end."""
        return self._counters.handshakes

    @property
    def requests(self) -> int:
        """Requests read so far."""
        return self._counters.requests

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        with self._counters.lock:
            return len(self._open)

    def resume(self) -> None:
        """Listen (again) on the same port."""
        if self._listener is not None:
            return
        self._stopping = threading.Event()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), name="https", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop listening, as a host that is off: connections are refused, those that are open are lost."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
        self.drop_connections()

    close = pause

    def drop_connections(self) -> None:
        """Every open connection breaks now."""
        with self._counters.lock:
            dropped, self._open = list(self._open), set()
            silent, self._silent = self._silent, set()
        for client in silent:
            _close(client)
        for client in dropped:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    # ------------------------------------------------------------------------------------------- used by connections
    def count(self, request: HttpRequest) -> int:
        """The number of a request that was read."""
        with self._counters.lock:
            self._counters.requests += 1
            self.seen.append(request)
            return self._counters.requests

    def wait(self, seconds: float) -> bool:
        """Wait, at most until the server stops; True if it does."""
        return self._stopping.wait(seconds)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._counters.lock:
                self._counters.connections += 1
                number = self._counters.connections
                self._open.add(client)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.faults.drop_at_connect:
                self._forget(client)
            elif self.faults.no_tls:
                self._silent.add(client)
            else:
                threading.Thread(target=self._serve, args=(client, number), name="https-connection", daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        end = client
        try:
            if not self.plain:
                # Wrapping takes the descriptor over; a copy stays for `drop_connections`, which must not wait for TLS.
                end = self.certificate.context().wrap_socket(client.dup(), server_side=True)
                with self._counters.lock:
                    self._counters.handshakes += 1
            _Conversation(end, self, number)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            if end is not client:
                _close(end)
            self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        with self._counters.lock:
            self._open.discard(client)
        _close(client)


class _Conversation(http.server.BaseHTTPRequestHandler):
    """All requests of one connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, end: socket.socket, server: HttpsServer, number: int) -> None:
        self._https = server
        self._end = end
        self._number = number
        self._answered = 0
        super().__init__(end, (server.host, server.port), cast("Any", server))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name of the base class
        """Silent."""

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        parts = urlsplit(self.path)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        headers = dict(self.headers.items())
        body = self.rfile.read(length)
        request = HttpRequest(self.command, self.path, parts.path, query, headers, body, self._number)
        self._play(request, self._https.count(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815 - http.server's names

    def _play(self, request: HttpRequest, number: int) -> None:
        faults = self._https.faults
        if faults.reset_before == number:
            self._reset()
            return
        if number in faults.statuses:
            reply = HttpReply(faults.statuses[number], b"<html>trouble</html>", (("Content-Type", "text/html"),))
        else:
            reply = self._handled(request)
        if faults.latency:
            time.sleep(faults.latency / 1000)
        if faults.reset_after == number:
            self._reset()
        elif faults.stall == number:
            self._https.wait(60)
            self.close_connection = True
        else:
            self._send(reply, number)

    def _handled(self, request: HttpRequest) -> HttpReply:
        try:
            return self._https.handler(request)
        except Exception as error:  # noqa: BLE001 - a simulator's bug must look like one, and not end the thread
            return json_reply({"error": repr(error)}, 500)

    def _send(self, reply: HttpReply, number: int) -> None:
        faults = self._https.faults
        self._answered += 1
        last = faults.requests_each is not None and self._answered >= faults.requests_each
        lines = [f"HTTP/1.1 {reply.status} {self.responses.get(cast('Any', reply.status), ('Unknown',))[0]}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines += [f"Content-Length: {len(reply.body)}"]
        lines += ["Connection: close"] if last and faults.announced else []
        octets = "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.command == "HEAD" else reply.body)
        if faults.truncate == number:
            octets = octets[: len(octets) - max(1, len(reply.body) // 2)]
        if faults.trickle == number:
            self._trickle(octets, faults.spacing)
        else:
            self._end.sendall(octets)
        self.close_connection = self.close_connection or last or faults.truncate == number

    def _trickle(self, octets: bytes, spacing: float) -> None:
        for place in range(len(octets)):
            self._end.sendall(octets[place : place + 1])
            if self._https.wait(spacing):
                return

    def _reset(self) -> None:
        """End the connection with a TCP reset."""
        self._end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.close()
