"""Logging in to an SSH server: the key given, else the agent's keys, then the password; never a prompt."""

from __future__ import annotations

import getpass
import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ..errors import LoginFailed, Unreachable
from ..link import Access, Address
from ..model import Secret

AUTH_TIMEOUT: Final = 30.0
"""Seconds for one attempt: routers without a name server wait for it before they ask for a password."""


def log_in(connection: paramiko.Transport, access: Access, address: Address) -> None:
    """Log in on a connection past its key exchange.

    Raises LoginFailed with what was refused and what the server would take, Unreachable if the line broke meanwhile.
    """
    username = access.username or local_username()
    attempt = _Attempt(connection, access, address, username)
    for key, called in _keys(access):
        if attempt.key(key, called):
            return
    if access.password is not None and attempt.password(access.password):
        return
    if attempt.idle and attempt.nothing():
        return
    raise attempt.failure()


def local_username() -> str:
    """Whoever runs fleet, as OpenSSH would guess; root where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "root"


class _Attempt:
    """The attempts on one connection and what the server said to them."""

    def __init__(self, connection: paramiko.Transport, access: Access, address: Address, username: str) -> None:
        self._connection = connection
        self._router = access.router
        self._address = address
        self._username = username
        self._refused: list[str] = []
        self._accepted = ""
        self._wanted: tuple[str, ...] = ()

    def key(self, key: paramiko.PKey, called: str) -> bool:
        """Offer a key; True if that was all the server wanted."""
        what = f"{called} ({key.get_name()} {key.fingerprint})"
        return self._offer(what, lambda: self._connection.auth_publickey(self._username, key))

    def password(self, password: Secret) -> bool:
        """Offer the password, by keyboard-interactive where the server knows only that."""
        return self._offer("the password", lambda: self._connection.auth_password(self._username, password.reveal()))

    def nothing(self) -> bool:
        """Offer nothing: a factory-fresh router may let root in, every other one says what it wants."""
        return self._offer("a login without key and password", lambda: self._connection.auth_none(self._username))

    @property
    def idle(self) -> bool:
        """True while nothing was offered."""
        return not self._refused and not self._accepted

    def failure(self) -> LoginFailed:
        """What was refused and what the server would take."""
        if self._accepted:
            said = f"{self._address} accepted {self._accepted} of user {self._username} and wants more"
        else:
            said = f"{self._address} refused {', '.join(self._refused)} of user {self._username}"
        if self._wanted:
            hint = f"it accepts {', '.join(self._wanted)}: give `ssh_key` or `password`, or put a key into the SSH agent"
        else:
            hint = "check `username`, `ssh_key` and `password`, and that this account may log in by SSH"
        return LoginFailed(f"{self._router}: {said}", hint, router=self._router)

    def _offer(self, what: str, ask: Callable[[], list[str]]) -> bool:
        """True if the server is satisfied. Raises Unreachable if the line broke before any answer."""
        try:
            still_wanted = ask()
        except paramiko.BadAuthenticationType as error:
            self._refused.append(what)
            self._wanted = tuple(error.allowed_types)
            return False
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self._connection.is_active() and isinstance(error, paramiko.AuthenticationException):
                self._refused.append(what)
                return False
            if self._refused:  # servers hang up after a few refusals
                raise self.failure() from error
            raise Unreachable(f"{self._address} broke off the login", router=self._router) from error
        if still_wanted:
            self._accepted, self._wanted = what, tuple(still_wanted)
        return not still_wanted


def _keys(access: Access) -> Iterator[tuple[paramiko.PKey, str]]:
    """The key given, else those of the agent; each with what an operator calls it. Raises LoginFailed."""
    if access.ssh_key is not None:
        try:
            yield private_key(access.ssh_key), "the SSH key"
        except ValueError as error:
            raise LoginFailed(f"{access.router}: its `ssh_key` {error.args[0]}", error.args[1], router=access.router) from None
        return
    agent = paramiko.Agent()
    try:
        for key in agent.get_keys():
            yield key, "the agent's key"
    finally:
        agent.close()


@lru_cache(maxsize=32)
def private_key(text: Secret) -> paramiko.PKey:
    """A private key in OpenSSH, PEM or PKCS#8 format: Ed25519, ECDSA or RSA.

    Raises ValueError(what is wrong, what to do), neither with any of the text. Cached: one key serves hundreds of routers.
    """
    data = text.reveal().strip().encode() + b"\n"
    if data.startswith((b"ssh-", b"ecdsa-")):
        raise ValueError("is the public half of a key", "give the file without .pub")
    try:
        if b"BEGIN OPENSSH" in data:
            loaded: object = serialization.load_ssh_private_key(data, None)
        else:
            loaded = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise ValueError(
            "has a passphrase, and fleet never asks for one", "put the key into the SSH agent and leave `ssh_key` out"
        ) from None
    except Exception:  # noqa: BLE001 - the library raises several kinds, some with parts of the text in them
        raise ValueError("is not a private key in OpenSSH or PEM format", "give the private half, such as id_ed25519") from None
    if isinstance(loaded, Ed25519PrivateKey):
        return paramiko.Ed25519Key.from_private_key(_openssh(loaded))
    if isinstance(loaded, EllipticCurvePrivateKey):
        return paramiko.ECDSAKey.from_private_key(_openssh(loaded))
    if isinstance(loaded, RSAPrivateKey):
        return paramiko.RSAKey.from_private_key(_openssh(loaded))
    raise ValueError("is of a type that is not supported", "use an Ed25519, ECDSA or RSA key")


def _openssh(key: Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey) -> io.StringIO:
    """In the one format that the SSH library reads for every type (it knows no PKCS#8)."""
    return io.StringIO(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
    )
