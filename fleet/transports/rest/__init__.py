"""REST APIs over HTTPS: one keep-alive connection per session, one login per endpoint.

What vendors differ in is data: `Rest`, which a driver declares as its `dialect`.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...dialects import Rest
from ...errors import ConnectionLost, RouterError, Unreachable
from ...link import Access, Address, Session
from .. import Dial, Transport, tls
from .endpoint import Endpoint
from .filling import given

if TYPE_CHECKING:  # requests takes its time to load, and most commands speak to no REST API
    from .session import RestSession
    from .wire import Wire

__all__ = ["RestTransport"]

LOGOUT_TIMEOUT = 5.0
"""Seconds for the connection of a logout: nobody waits longer for politeness."""

HTTPS = tls.Service(
    name="the web interface",
    ports="the one of the vendor's HTTPS API",
    renew="in the web interface of the router or controller",
    shown="which certificate its web interface shows",
    versions="allow it in the web interface of the router or controller",
)


@dataclass(frozen=True, slots=True)
class _Way:
    """How an endpoint was reached last: what a logout needs."""

    access: Access
    address: Address
    dial: Dial


class RestTransport(Transport):
    """HTTPS, verified always; plain HTTP only with `options: {tls: false}` and where that is safe.

    Routers behind one endpoint share its login while they use the same transport object; `close` ends it. `connect_timeout`
    (TCP and TLS) in seconds.
    """

    name: ClassVar[str] = "rest"

    def __init__(self, *, connect_timeout: float = 10.0) -> None:
        self._connect_timeout = connect_timeout
        self._endpoints: dict[object, tuple[Endpoint, _Way]] = {}
        self._lock = threading.Lock()

    def connect(self, access: Access, dial: Dial) -> Session:
        """Log in on the first address that answers.

        Raises Unreachable when none does, LoginFailed, IdentityChanged (certificate not the pinned one, or not valid),
        RouterError for a service that is not HTTPS.
        """
        if not isinstance(access.dialect, Rest):
            raise TypeError("transport rest needs a driver with a `dialect` of kind Rest")
        silent: list[Unreachable] = []
        for address in access.addresses:
            try:
                return self._open(_Way(access, address, dial), access.dialect)
            except Unreachable as error:
                silent.append(error)
        raise _unreachable(silent)

    def close(self) -> None:
        """Log out wherever a login holds; never raises."""
        with self._lock:
            endpoints, self._endpoints = list(self._endpoints.values()), {}
        for endpoint, way in endpoints:
            login = endpoint.leave()
            if login is None or endpoint.rest.logout is None:
                continue
            with suppress(RouterError):
                session = self._session(endpoint, way, LOGOUT_TIMEOUT)
                try:
                    session.log_out(login)
                finally:
                    session.close()

    def _open(self, way: _Way, rest: Rest) -> RestSession:
        wire, identity = _wire(way, self._connect_timeout)
        # From here on the certificate seen is the only one, so that a connection opened later reaches the same router.
        way = replace(way, access=replace(way.access, tls_fingerprint=identity or None))
        session = self._session(self._endpoint(way, rest), way, self._connect_timeout, wire)
        try:
            session.log_in()
        except ConnectionLost as error:
            session.close()
            raise Unreachable(f"{way.address}: connected, and broke off the login: {error.summary}", error.hint) from error
        except BaseException:
            session.close()
            raise
        return session

    def _session(self, endpoint: Endpoint, way: _Way, timeout: float, wire: Wire | None = None) -> RestSession:
        from .session import RestSession
        from .wire import Line

        if wire is None:
            wire, _ = _wire(way, timeout)
        line = Line(way.address.host, way.address.port, lambda left: _wire(way, min(left, timeout))[0], wire)
        return RestSession(endpoint, line, given(way.access), way.address, way.access.tls_fingerprint or "")

    def _endpoint(self, way: _Way, rest: Rest) -> Endpoint:
        """What is shared with others of the same address, identity, account and dialect."""
        access = way.access
        account = (access.username, access.password, access.api_key, access.api_secret)
        key = (str(way.address), access.via, access.tls_fingerprint, account, repr(rest))
        with self._lock:
            endpoint, _ = self._endpoints.get(key) or (Endpoint(rest), way)
            self._endpoints[key] = endpoint, way
            return endpoint


def _wire(way: _Way, timeout: float) -> tuple[Wire, str]:
    """A connected wire and the certificate's fingerprint, empty for a plain connection. Raises RouterError."""
    from .wire import Wire

    access, address = way.access, way.address
    encrypted = _encrypted(access, address)
    try:
        sock = way.dial(address, timeout)
    except OSError as error:
        raise Unreachable(f"{address}: {tls.why(error)}") from None
    try:
        with suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        if not encrypted:
            return Wire(sock), ""
        secure, identity = tls.secured(sock, access, address, HTTPS)
    except BaseException:
        sock.close()
        raise
    return Wire(secure), identity


def _encrypted(access: Access, address: Address) -> bool:
    """True for TLS. Raises RouterError for a plain connection that nobody allowed."""
    if access.options.get("tls") is not False:
        return True
    if not access.plain_ok:
        raise RouterError(
            f"{address} would be HTTP without TLS, and the credentials would cross the network readable",
            "switch HTTPS on in the web interface of the router or controller",
        )
    return False


def _unreachable(silent: list[Unreachable]) -> Unreachable:
    if not silent:
        return Unreachable("no address to connect to", "give the router a `host:`")
    if len(silent) == 1 and silent[0].hint:
        return silent[0]
    hint = next((error.hint for error in silent if error.hint), "")
    return Unreachable(
        "no answer: " + "; ".join(error.summary for error in silent),
        hint or "check that the router or controller is up and that its HTTPS API listens for this host",
    )
