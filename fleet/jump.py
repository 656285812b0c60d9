"""One jump: its present SSH connection, and the bridges that carry other connections inside it."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import paramiko
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

from .errors import RouterError, Unreachable
from .link import Address
from .transports.sshexec import close_quietly

RETRY_AFTER: Final = 15.0
"""Seconds for which a jump that did not answer counts as down: hundreds of routers behind it must not each wait for it."""

PROBE_TIMEOUT: Final = 5.0
CHUNK: Final = 1 << 16


class Dead(Exception):
    """The jump's connection is gone; nothing was said about the target."""


class Jump:
    """The present connection to one jump, if any; made by one thread while the others wait for it."""

    def __init__(self, name: str, connect: Callable[[], Connection]) -> None:
        self._name = name
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._retired: list[Connection] = []
        self._failed: tuple[float, RouterError] | None = None
        self._closed = False

    def connected(self) -> Connection:
        """A live connection. Raises RouterError; for a while after a failure the same one, at once."""
        with self._lock:
            if self._closed:
                raise Unreachable(f"jump {self._name} is closed: the run is over", "run it again")
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._failed is not None and time.monotonic() < self._failed[0]:
                raise type(self._failed[1])(self._failed[1].summary, self._failed[1].hint)
            self._drop()
            try:
                self._connection = self._connect()
            except RouterError as error:
                self._failed = (time.monotonic() + RETRY_AFTER, error)
                raise
            self._failed = None
            return self._connection

    def retire(self, connection: Connection | None = None) -> None:
        """Use the present connection no more (only if it still is `connection`, when one is given)."""
        with self._lock:
            if connection is None or connection is self._connection:
                self._drop()
                self._failed = None

    def close(self) -> None:
        """Close every connection ever made, and make none any more."""
        with self._lock:
            self._closed = True
            self._drop()
            for connection in self._retired:
                connection.close()
            self._retired.clear()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.retire()
            self._retired = [old for old in (*self._retired, connection) if old.alive]


class Connection:
    """One SSH connection to a jump and the bridges inside it."""

    def __init__(self, name: str, transport: paramiko.Transport) -> None:
        self._name = name
        self._transport = transport
        self._lock = threading.Lock()
        self._bridges: set[Bridge] = set()
        self._retired = False

    @property
    def alive(self) -> bool:
        """False once the connection has ended."""
        return self._transport.is_active()

    def dial(self, address: Address, timeout: float) -> socket.socket:
        """A socket to `address` through this jump. Raises Unreachable if the target is the reason, Dead if the jump is."""
        began = time.monotonic()
        try:
            channel = self._transport.open_channel(
                "direct-tcpip", (address.host, address.port), ("127.0.0.1", 0), timeout=timeout
            )
        except paramiko.ChannelException as error:
            raise self._refused(address, error) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self._answers():
                raise Dead from error
            # Of several refusals at one time paramiko tells the reason to one caller only.
            silent = time.monotonic() - began >= timeout
            reason = f"no answer within {timeout:g} s" if silent else "the jump cannot connect to it"
            raise Unreachable(
                f"no TCP connection to {address} inside jump {self._name}: {reason}", "check power, line and `host`"
            ) from error
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        bridge = Bridge(channel, theirs, self._gone)
        with self._lock:
            self._bridges.add(bridge)
        bridge.start()
        return ours

    def retire(self) -> None:
        """Close as soon as no bridge is left."""
        with self._lock:
            self._retired = True
            idle = not self._bridges
        if idle:
            self.close()

    def close(self) -> None:
        """Close with all bridges."""
        self._transport.close()
        with self._lock:
            bridges = list(self._bridges)
        for bridge in bridges:
            bridge.close()

    def _gone(self, bridge: Bridge) -> None:
        with self._lock:
            self._bridges.discard(bridge)
            last = self._retired and not self._bridges
        if last:
            self._transport.close()

    def _refused(self, address: Address, error: paramiko.ChannelException) -> Unreachable:
        summary = f"no TCP connection to {address} inside jump {self._name}: "
        if error.code == OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
            return Unreachable(
                summary + "the jump forbids forwarding", f"allow TCP forwarding on {self._name} (sshd: AllowTcpForwarding)"
            )
        return Unreachable(summary + "the jump cannot connect to it", "check power, line and `host`")

    def _answers(self) -> bool:
        """True if the jump still says anything: while a target is silent the jump is silent about it as well."""
        try:
            self._transport.open_session(timeout=PROBE_TIMEOUT).close()
        except paramiko.ChannelException:
            return True
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return True


class Bridge:
    """Carries bytes between a channel of a jump and one end of a socket pair until both directions have ended."""

    def __init__(self, channel: paramiko.Channel, sock: socket.socket, gone: Callable[[Bridge], None]) -> None:
        self._channel = channel
        self._sock = sock
        self._gone = gone
        self._lock = threading.Lock()
        self._running = 2

    def start(self) -> None:
        """Start carrying."""
        for pump in (self._inwards, self._outwards):
            threading.Thread(target=self._until_end, args=(pump,), name="fleet-jump", daemon=True).start()

    def close(self) -> None:
        """End both directions now; the threads clean up."""
        close_quietly(self._channel)
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _until_end(self, pump: Callable[[], None]) -> None:
        try:
            pump()
        except (OSError, EOFError, paramiko.SSHException):
            self.close()
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            close_quietly(self._channel)
            self._sock.close()
            self._gone(self)

    def _inwards(self) -> None:
        while received := self._channel.recv(CHUNK):
            self._sock.sendall(received)
        self._sock.shutdown(socket.SHUT_WR)

    def _outwards(self) -> None:
        while received := self._sock.recv(CHUNK):
            self._channel.sendall(received)
        self._channel.shutdown_write()
        # The user may have closed for good or only have no more to say. Hang-up tells: it comes when both ends are shut.
        hang_up = select.poll()
        hang_up.register(self._sock, 0)
        hang_up.poll()
        self.close()
