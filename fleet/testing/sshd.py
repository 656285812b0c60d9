"""An SSH server in process: paramiko's server side on 127.0.0.1, with the faults that real ones show.

It authenticates, runs `exec` requests through a pluggable handler and forwards connections (so that it can be a jump host).
It refuses shells unless it is given one. Secrecy tests read `commands` (what a process list would show) apart from `stdins`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ._sshfaults import Faults, SlowWire
from ._sshsession import ChannelInput, Connection
from ._sshterminal import Terminal

__all__ = [
    "ChannelInput",
    "ExecHandler",
    "Faults",
    "Forward",
    "ShellHandler",
    "SshServer",
    "Stdin",
    "Terminal",
    "new_host_key",
    "public_line",
]

# Paramiko logs connections that clients drop; without any handler Python prints that on standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

KeyKind: TypeAlias = Literal["ed25519", "ecdsa"]


class Stdin(Protocol):
    """Standard input of a command as it arrives."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes as soon as some are there, b"" at the end; without a size everything up to the end."""


ExecHandler: TypeAlias = Callable[[str, Stdin, Mapping[str, str]], tuple[bytes, bytes, int]]
"""Command, standard input and environment to standard output, standard error and exit status."""

ShellHandler: TypeAlias = Callable[[Terminal], None]
"""Talks on a terminal until the user leaves; called from a thread of its own. OSError and EOFError mean that he is gone."""

Forward: TypeAlias = Callable[[str, int], "tuple[str, int] | None"]
"""Where a forwarded connection to (host, port) really goes; None refuses it as unreachable."""


def new_host_key(kind: KeyKind = "ed25519") -> paramiko.PKey:
    """A fresh key pair."""
    if kind == "ecdsa":
        return paramiko.ECDSAKey.generate()
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(pem.decode()))


def public_line(key: paramiko.PKey) -> str:
    """A key's public half as OpenSSH writes it: type and base64."""
    return f"{key.get_name()} {key.get_base64()}"


def no_commands(command: str, stdin: Stdin, env: Mapping[str, str]) -> tuple[bytes, bytes, int]:
    """The handler of a server that is only a jump host."""
    name = command.split(maxsplit=1)[0] if command.split() else ""
    return b"", f"sh: 1: {name}: not found\n".encode(), 127


def loopback_only(host: str, port: int) -> tuple[str, int] | None:
    """Forward to this machine's own loopback addresses, to nothing else."""
    return (host, port) if host in {"127.0.0.1", "::1", "localhost"} else None


class SshServer:
    """Listens from construction until `close`. Use it as a context manager.

    `passwords` by username; `authorized` are public keys ("type base64" lines) of every user. `forward` says where
    direct-tcpip connections go. `port` 0 takes a free one, which `pause` and `resume` keep. Change `host_key` to play a
    changed one, `faults` to play trouble, `banner` to name another software (dropbear_2022.83). `shell` is what
    interactive logins talk to, None: shells are refused. Counters: `connections` (accepted), `logins`, `execs`, `shells`,
    `forwarded` (channels).
    """

    def __init__(
        self,
        handler: ExecHandler = no_commands,
        *,
        passwords: Mapping[str, str] | None = None,
        authorized: Iterable[str] = (),
        host_key: paramiko.PKey | None = None,
        forward: Forward = loopback_only,
        faults: Faults | None = None,
        port: int = 0,
        shell: ShellHandler | None = None,
    ) -> None:
        self.handler = handler
        self.passwords = dict(passwords or {})
        self.authorized = {" ".join(line.split()[:2]) for line in authorized}
        self.host_key = host_key or new_host_key()
        self.forward = forward
        self.faults = faults or Faults()
        self.shell = shell
        self.connections = self.logins = self.execs = self.shells = self.forwarded = 0
        self.commands: list[str] = []
        self.stdins: list[bytes] = []
        self.banner = ""
        self.host = "127.0.0.1"
        self.port = port
        self.lock = threading.Lock()
        self._open: set[Connection] = set()
        self._held: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.resume()

    def __enter__(self) -> SshServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def host_key_line(self) -> str:
        """The public host key as an inventory's `host_key` has it."""
        return public_line(self.host_key)

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        with self.lock:
            return len(self._open)

    def resume(self) -> None:
        """Listen (again) on the same port."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), name="sshd", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop listening, as a host that is off: connections are refused, those that are open are lost."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if self._thread is not None:
            self._thread.join(5)
        self.drop_connections()

    close = pause

    def drop_connections(self) -> None:
        """Every open connection breaks now."""
        with self.lock:
            dropped, self._open = list(self._open), set()
            held, self._held = self._held, []
        for connection in dropped:
            connection.drop()
        for waiting in held:
            waiting.close()

    def forget(self, connection: Connection) -> None:
        """A connection ended by itself."""
        with self.lock:
            self._open.discard(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.faults.drop_at_connect:
                client.close()
            elif self.faults.no_banner:
                with self.lock:
                    self._held.append(client)
            else:
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        wire = SlowWire(client, self.faults) if self.faults.latency else None
        connection = Connection(self, client if wire is None else wire.server_end, wire)
        with self.lock:
            self._open.add(connection)
        connection.start()
