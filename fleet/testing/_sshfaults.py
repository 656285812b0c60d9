"""What goes wrong on an SSH server on purpose, and the slow wire in front of it."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from dataclasses import dataclass


@dataclass
class Faults:
    """Read at every connection and exec; change them between requests. Exec numbers count from 1 over the server's life.

    `drop_at_connect`: the connection closes at once. `no_banner`: it opens and says nothing. `refuse_auth`: right
    credentials are refused. `drop_before_exec`, `drop_after_exec`: the connection is lost before that command runs, or
    when it has run and its exit status is due. `stall_exec`: that command never answers. `latency` in milliseconds is
    added to every round trip. `command_limit`: longer commands are refused, in bytes (dropbear: 9000). `max_sessions` per
    connection (OpenSSH: 10). `refuse_forwarding`: no direct-tcpip. `long_command_drops`: a command over the limit ends the
    whole connection, as dropbear does.
    """

    drop_at_connect: bool = False
    no_banner: bool = False
    refuse_auth: bool = False
    drop_before_exec: int | None = None
    drop_after_exec: int | None = None
    stall_exec: int | None = None
    latency: float = 0.0
    command_limit: int | None = None
    max_sessions: int = 10
    refuse_forwarding: bool = False
    long_command_drops: bool = False


class SlowWire:
    """Relays between a client and a server's socket; what the server says arrives `latency` milliseconds later.

    The whole round trip is spent on the way back, so that requests sent together cost one latency together.
    """

    def __init__(self, client: socket.socket, faults: Faults) -> None:
        self.server_end, self._inner = socket.socketpair()
        self._client = client
        self._faults = faults
        self._queue: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for name, run in (("in", self._inward), ("read", self._read), ("out", self._outward)):
            threading.Thread(target=run, name=f"slow-wire-{name}", daemon=True).start()

    def close(self) -> None:
        """Hang up on both sides."""
        for end in (self._client, self._inner):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _inward(self) -> None:
        with contextlib.suppress(OSError):
            while part := self._client.recv(65536):
                self._inner.sendall(part)
        with contextlib.suppress(OSError):
            self._inner.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := self._inner.recv(65536):
                self._queue.put((time.monotonic() + self._faults.latency / 1000, part))
        self._queue.put((0.0, b""))

    def _outward(self) -> None:
        while True:
            due, part = self._queue.get()
            if not part:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._client.sendall(part)
            except OSError:
                break
        self.close()
        self._client.close()
        self._inner.close()
