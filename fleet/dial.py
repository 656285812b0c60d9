"""TCP connections to routers: directly, or inside an SSH channel of a jump.

Every transport gets a real socket: inside a jump it is one end of a socket pair, and two threads carry bytes between
the other end and the channel, so that TLS and API libraries need not know. One SSH connection per jump serves all routers.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from .errors import IdentityChanged, LoginFailed, RouterError, Unreachable, UsageError
from .jump import Connection, Dead, Jump
from .link import Access, Address
from .transports.hostkeys import KNOWN_HOSTS
from .transports.ssh import CONNECT_TIMEOUT, connect_ssh

KEEPALIVE: Final = 15
"""Seconds between keepalives of a jump connection: carrier NAT forgets idle TCP after minutes, some after one."""


@dataclass(frozen=True, slots=True)
class Hop:
    """How a jump is reached: its login, and the jumps (tried in order) that it is itself behind."""

    access: Access
    via: tuple[str, ...] = ()


class Dialer:
    """The Dial of one router: direct, or through its `via` jumps, tried in order."""

    def __init__(self, pool: JumpPool | None = None, via: Sequence[str] = ()) -> None:
        if via and pool is None:
            raise ValueError("jumps need a pool")
        self._pool = pool
        self._via = tuple(via)

    def __call__(self, address: Address, timeout: float) -> socket.socket:
        """A connected socket with `timeout` set on it.

        Raises Unreachable naming every jump tried; LoginFailed or IdentityChanged of a jump if that is the reason.
        """
        if self._pool is None or not self._via:
            return direct(address, timeout)
        return self._pool.dial(self._via, address, timeout)

    def fresh(self) -> None:
        """The next connection passes through new jump connections, not through ones from before a change."""
        if self._pool is not None:
            for name in self._via:
                self._pool.fresh(name)


def direct(address: Address, timeout: float) -> socket.socket:
    """A TCP connection from this machine that notices a dead line by itself. Raises Unreachable."""
    try:
        sock = socket.create_connection((address.host, address.port), timeout)
    except socket.gaierror as error:
        raise Unreachable(
            f"{address.host} does not resolve: {error.strerror}", "check `host` and this machine's DNS"
        ) from error
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"no TCP connection to {address}: {_reason(error, timeout)}", "check power, line and `host`"
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Names differ by system; without them the system's own timers (hours) stay.
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 45_000)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    return (getattr(error, "strerror", None) or str(error)).lower()


def _nobody(name: str, identity: str) -> None:
    """The `seen` of callers who pin nothing."""


class JumpPool:
    """One shared SSH connection per jump, opened on first use and again when it died. Thread-safe.

    `find` tells how a jump is reached (raises UsageError for an unknown name). `seen` is called with the name and host key
    line of every jump that was connected to, so that a first one can be pinned.
    """

    def __init__(
        self,
        find: Callable[[str], Hop],
        *,
        seen: Callable[[str, str], None] = _nobody,
        known_hosts: Path = KNOWN_HOSTS,
        timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._find = find
        self._seen = seen
        self._known_hosts = known_hosts
        self._timeout = timeout
        self._lock = threading.Lock()
        self._jumps: dict[str, Jump] = {}
        self._closed = False

    def __enter__(self) -> JumpPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def dial(self, via: Sequence[str], address: Address, timeout: float) -> socket.socket:
        """A socket to `address` as seen from the first of the jumps `via` that reaches it.

        Raises Unreachable naming all that was tried; LoginFailed or IdentityChanged of a jump if no jump reaches it.
        """
        for name in via:
            self.chain(name)
        errors: list[RouterError] = []
        for name in via:
            try:
                return self._through(name, address, timeout)
            except (Unreachable, LoginFailed, IdentityChanged) as error:
                errors.append(error)
        for failure in errors:
            if not isinstance(failure, Unreachable):
                raise failure
        raise Unreachable("; ".join(failure.summary for failure in errors), errors[0].hint if errors else "")

    def chain(self, name: str) -> frozenset[str]:
        """All jumps that a connection through `name` may pass, itself included. Raises UsageError for a cycle."""
        return frozenset(self._walk(name, ()))

    def fresh(self, name: str) -> None:
        """Connections dialled from now on do not pass through the present connection to `name`.

        Those open inside it go on: they belong to other routers of the run, and it closes when the last one has.
        """
        with self._lock:
            jumps = dict(self._jumps)
        for other, jump in jumps.items():
            if name in self.chain(other):
                jump.retire()

    def close(self) -> None:
        """Close every connection, and with them all that passes through; nothing can be dialled afterwards."""
        with self._lock:
            self._closed = True
            jumps, self._jumps = list(self._jumps.values()), {}
        for jump in jumps:
            jump.close()

    def _walk(self, name: str, path: tuple[str, ...]) -> Iterable[str]:
        if name in path:
            raise UsageError(
                f"jumps go in a circle: {' via '.join((*path[path.index(name) :], name))}",
                "take one `via` of the circle out of the inventory",
            )
        yield name
        for behind in self._find(name).via:
            yield from self._walk(behind, (*path, name))

    def _through(self, name: str, address: Address, timeout: float) -> socket.socket:
        jump = self._jump(name)
        for last in (False, True):
            connection = jump.connected()
            try:
                return connection.dial(address, timeout)
            except Dead:
                jump.retire(connection)
                if last:
                    break
        raise Unreachable(f"jump {name} breaks off while it connects to {address}", "run `fleet sync` again")

    def _jump(self, name: str) -> Jump:
        with self._lock:
            if self._closed:
                raise Unreachable(f"jump {name} is closed: the run is over", "run it again")
            if name not in self._jumps:
                self._jumps[name] = Jump(name, lambda: self._connect(name))
            return self._jumps[name]

    def _connect(self, name: str) -> Connection:
        hop = self._find(name)
        dial = Dialer(self, hop.via)
        try:
            transport, identity, _ = connect_ssh(hop.access, dial, self._known_hosts, self._timeout)
        except Unreachable as error:
            raise Unreachable(f"jump {name} is unreachable: {error.summary.removeprefix(f'{name}: ')}", error.hint) from error
        except (LoginFailed, IdentityChanged) as error:
            # The router's own name is filled in later; that it is the jump's fault is in the summary.
            raise type(error)(f"jump {error.summary}", error.hint) from error
        try:
            transport.set_keepalive(KEEPALIVE)
            self._seen(name, identity)
        except BaseException:
            transport.close()
            raise
        return Connection(name, transport)
