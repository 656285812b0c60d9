"""An HTTPS server on loopback: one thread per connection, kept alive, every answer decided by one callback."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

from .certificates import Certificate

Manner: TypeAlias = Literal["whole", "drop", "reset", "half", "stall"]
LARGEST: Final = 1_000_000
"""Bytes of a request body; more is HTTP 413 (sheet 1.7)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request. Header names in lower case; a query parameter given twice counts once, the last."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """One HTTP reply, and in which manner it leaves: whole, or not at all (drop, reset, stall), or torn (half)."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "whole"


Answer: TypeAlias = Callable[[Asked], Answered]


def as_json(value: object, status: int = 200) -> Answered:
    """A JSON reply."""
    return Answered(status, json.dumps(value, separators=(",", ":")).encode())


class WebServer:
    """Serves `answer` on 127.0.0.1. `certificate` may be changed while it runs: connections made later see the new one."""

    def __init__(self, answer: Answer, certificate: Certificate, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), answer, certificate.context())
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="omada-web", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many were accepted so far."""
        return self._server.accepted

    def present(self, certificate: Certificate) -> None:
        """Show this certificate from now on, and hang up on everybody."""
        self._server.context = certificate.context()
        self._server.hang_up()

    def hang_up(self) -> None:
        """End every connection at once."""
        self._server.hang_up()

    def close(self) -> None:
        """Stop listening, end every connection, leave no thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.over.set()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() joins what is left
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Answer, context: ssl.SSLContext) -> None:
        self.answer = answer
        self.context = context
        self.accepted = 0
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the connection: a client that never shakes hands holds nobody up.
        request.settimeout(30)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return  # it did not like the certificate, or went away
        with self._lock:
            self._open.add(wrapped)
            self.accepted += 1
        try:
            if not self.over.is_set():
                super().finish_request(wrapped, client_address)
        except (OSError, ValueError):
            pass  # the other end went away, or hang_up() closed it
        finally:
            with self._lock:
                self._open.discard(wrapped)
            wrapped.close()

    def hang_up(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)  # under TLS, whose own shutdown confuses the reader


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Omada"
    sys_version = ""
    wbufsize = -1  # one write for head and body: no waiting for a delayed acknowledgement
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by http.server
        """Nothing to say."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST:
            while length > 0:  # read it all the same: a client that is still sending would see a reset, not the answer
                length -= len(self.rfile.read(min(length, 65536))) or length
            self._send(Answered(413))
            return
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._send(self.server.answer(Asked(self.command, parts.path, query, headers, self.rfile.read(length))))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815  # http.server's

    def _send(self, answered: Answered) -> None:
        if answered.manner == "stall":
            self.server.over.wait()
        if answered.manner in ("drop", "stall"):
            self.close_connection = True
            return
        if answered.manner == "reset":
            self._reset()
            return
        self.send_response(answered.status)
        self.send_header("Content-Type", answered.content_type)
        self.send_header("Content-Length", str(len(answered.body)))
        for name, value in answered.headers.items():
            self.send_header(name, value)
        self.end_headers()
        half = answered.manner == "half"
        self.wfile.write(answered.body[: len(answered.body) // 2] if half else answered.body)
        self.wfile.flush()
        if half:
            self._reset()

    def _reset(self) -> None:
        """RST instead of FIN."""
        self.close_connection = True
        wire = cast("socket.socket", self.connection)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()
