"""SSH by paramiko: one connection per session, one exec channel per request.

Host keys are verified always. `connect_ssh` is also what jumps are opened with, so that they are verified and logged in to
in exactly the same way.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from ..errors import ConnectionLost, FleetError, IdentityChanged, LoginFailed, Rejected, RouterError, Unreachable
from ..link import Access, Address, Exec, Reply, Request, Session
from ..model import Secret
from . import Dial, Transport, sshauth
from .hostkeys import KNOWN_HOSTS, Trust, algorithms, fingerprint, trust
from .sshexec import Exchange, close_quietly

CONNECT_TIMEOUT = 10.0
"""Seconds for a TCP connection to one address."""

BANNER_TIMEOUT = 15.0
"""Seconds for the server's first line, and again for the key exchange: small routers compute for seconds."""

EVIDENCE_LINES = 5

# Paramiko logs lost connections with traceback; without any handler Python prints them on standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SshTransport(Transport):
    """Sessions that run `Exec` requests on a shell. `known_hosts` is read, never written."""

    name: ClassVar[str] = "ssh"

    def __init__(self, known_hosts: Path = KNOWN_HOSTS, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._known_hosts = known_hosts
        self._connect_timeout = connect_timeout

    def connect(self, access: Access, dial: Dial) -> Session:
        """Log in on the first address that answers with SSH.

        Raises Unreachable naming all that was tried, LoginFailed, IdentityChanged.
        """
        connection, identity, address = connect_ssh(access, dial, self._known_hosts, self._connect_timeout)
        return SshSession(connection, identity, address, access.router)


def connect_ssh(
    access: Access, dial: Dial, known_hosts: Path = KNOWN_HOSTS, timeout: float = CONNECT_TIMEOUT
) -> tuple[paramiko.Transport, str, Address]:
    """A logged-in connection, the host key line seen, and the address that answered.

    Raises Unreachable naming all that was tried, LoginFailed, IdentityChanged.
    """
    tried: list[str] = []
    for address in access.addresses:
        try:
            connection, identity = _verified(access, address, dial, known_hosts, timeout)
        except Unreachable as error:
            tried.append(error.summary)
            continue
        try:
            sshauth.log_in(connection, access, address)
        except BaseException as error:
            connection.close()
            if not isinstance(error, Unreachable):
                raise
            tried.append(error.summary)
            continue
        return connection, identity, address
    raise Unreachable(
        f"{access.router}: " + ("; ".join(tried) or "has no address to reach it at"),
        "it is pending: check power, line and `host`/`via`, then run `fleet sync` again"
        if tried
        else "give it a `host` in the inventory",
        router=access.router,
    )


def _verified(
    access: Access, address: Address, dial: Dial, known_hosts: Path, timeout: float
) -> tuple[paramiko.Transport, str]:
    """A connection past the key exchange whose host key is accepted, with its key line.

    A fingerprint does not say its key type: if the first key shown does not match one, the server is asked for its
    other types before it counts as changed.
    """
    known = _known(access, address, known_hosts)
    refused: frozenset[str] = frozenset()
    changed: IdentityChanged | None = None
    while algorithms(known.types, refused):
        connection = _handshake(dial(address, timeout), address, algorithms(known.types, refused), changed)
        key = connection.get_remote_server_key()
        identity = f"{key.get_name()} {key.get_base64()}"
        if known.accepts(identity):
            return connection, identity
        connection.close()
        changed = changed or _changed(access.router, address, identity, known)
        if not known.by_fingerprint or identity in known.revoked:
            break
        refused |= {key.get_name()}
    assert changed is not None
    raise changed


def _known(access: Access, address: Address, known_hosts: Path) -> Trust:
    try:
        return trust(access.host_keys, access.router, address, known_hosts)
    except ValueError as error:
        raise LoginFailed(
            f"{access.router}: the host key given for it is unusable: {error}",
            "give `host_key` as an OpenSSH public key line or as SHA256:...",
            router=access.router,
        ) from error


def _changed(router: str, address: Address, identity: str, known: Trust) -> IdentityChanged:
    if identity in known.revoked:
        summary = f"{address} shows host key {fingerprint(identity)}, which known_hosts marks as revoked"
    else:
        summary = f"{address} shows host key {fingerprint(identity)}, {known.source} is {known.fingerprints()}"
    return IdentityChanged(
        f"{router}: {summary}",
        f"if {router} was reset or replaced, accept the new key with `fleet trust {router}` (or correct its `host_key` in the "
        "inventory); if not, somebody is in between",
        router=router,
    )


def _handshake(
    sock: socket.socket, address: Address, offered: Sequence[str], changed: IdentityChanged | None
) -> paramiko.Transport:
    """A connection past the key exchange. Raises Unreachable, LoginFailed (or `changed`) if no algorithm is shared."""
    try:
        connection = paramiko.Transport(sock)
    except BaseException:
        sock.close()
        raise
    connection.banner_timeout = connection.handshake_timeout = BANNER_TIMEOUT
    connection.auth_timeout = sshauth.AUTH_TIMEOUT
    connection.get_security_options().key_types = tuple(offered)
    try:
        connection.start_client(timeout=2 * BANNER_TIMEOUT)
        connection.get_remote_server_key()  # start_client returns quietly when its time is up
    except (paramiko.SSHException, EOFError, OSError) as error:
        banner = connection.remote_version
        connection.close()
        connection.packetizer.complete_handshake()  # else the library's timer thread outlives the connection
        if isinstance(error, IncompatiblePeer):
            raise changed or LoginFailed(
                f"{address} offers no SSH algorithm that is safe to use: {error}",
                "upgrade the router's firmware or its SSH server",
            ) from error
        what = "broke off the SSH key exchange" if banner else "answers, but not with SSH (no banner)"
        raise Unreachable(f"{address} {what}", "check that `port` is the router's SSH port") from error
    return connection


class SshSession:
    """One logged-in SSH connection; requests run one after the other, each on a channel of its own."""

    def __init__(self, connection: paramiko.Transport, identity: str, address: Address, router: str) -> None:
        self.identity = identity
        self.address = address
        self._connection = connection
        self._router = router

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """Run the commands in order; one reply or error for each.

        After a lost connection or a command that did not end in time, the rest is ConnectionLost(sent=False).
        """
        return [self._run(request) for request in requests]

    def close(self) -> None:
        """Close without waiting for the router; never raises."""
        self._connection.close()

    def _run(self, request: Request) -> Reply | RouterError:
        if not isinstance(request, Exec):
            raise TypeError(f"the ssh transport runs Exec requests, not {type(request).__name__}")
        deadline = time.monotonic() + request.timeout
        try:
            channel = self._connection.open_session(timeout=request.timeout)
        except paramiko.ChannelException as error:
            return Rejected(f"the router opens no shell: {error.text}", "check what its account may do", router=self._router)
        except (paramiko.SSHException, EOFError, OSError) as error:
            return self._lost(f"connection lost before the command was sent: {_reason(error)}", sent=False)
        try:
            return self._collect(request, channel, deadline)
        except TimeoutError:
            return self._lost(f"no end of the command within {request.timeout:g} s", sent=True)
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self._alive():
                return Rejected(
                    f"the router runs no commands for this account: {_reason(error)}",
                    "give the account a shell",
                    router=self._router,
                )
            return self._lost(f"connection lost during the command: {_reason(error)}", sent=True)
        finally:
            close_quietly(channel)

    def _collect(self, request: Exec, channel: paramiko.Channel, deadline: float) -> Reply | RouterError:
        exchange = Exchange(channel, deadline)
        exchange.start(request.command)
        output, error = exchange.finish(_stdin(request))
        text, said = output.decode(errors="replace"), error.decode(errors="replace")
        # Without the end-of-file that every server sends before it closes, output may be cut short: never trust it.
        if not channel.eof_received or (channel.exit_status < 0 and not self._alive()):
            return self._lost("connection lost during the command", sent=True)
        if channel.exit_status in request.accept:
            return Reply(text=text, error=said, code=channel.exit_status)
        return self._rejected(request, channel.exit_status, said or text)

    def _rejected(self, request: Exec, code: int, said: str) -> Rejected:
        lines = [line for line in redacted(said, request).splitlines() if line.strip()][-EVIDENCE_LINES:]
        ended = f"exit code {code}" if code >= 0 else "ended without an exit code (killed?)"
        summary = f"the router refused a command ({ended})" + (f": {lines[-1].strip()[:200]}" if lines else "")
        return Rejected(summary, evidence="\n".join(lines), router=self._router)

    def _alive(self) -> bool:
        # Paramiko closes the channels of a dying connection just before it calls the connection dead.
        self._connection.join(0.2)
        return self._connection.is_active()

    def _lost(self, summary: str, *, sent: bool) -> ConnectionLost:
        self._connection.close()
        return ConnectionLost(summary, "run `fleet sync` again", sent=sent, router=self._router)


def redacted(text: str, request: Exec) -> str:
    """What a router said, with every secret of the request as `***`: shells echo what they do not understand."""
    for part in request.stdin:
        if isinstance(part, Secret) and part.reveal().strip():
            text = text.replace(part.reveal().strip(), "***")
    return text


def _stdin(request: Exec) -> bytes:
    return "".join(part.reveal() if isinstance(part, Secret) else part for part in request.stdin).encode()


def _reason(error: Exception) -> str:
    if isinstance(error, FleetError):
        return error.summary
    return str(error) or type(error).__name__
