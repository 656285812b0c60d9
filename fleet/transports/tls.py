"""TLS to a router: verified by a CA, by a pinned fingerprint, or shown so that the fingerprint can be pinned.

Never anonymous and never unverified. What differs between vendors is only what an operator is told.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from ..errors import IdentityChanged, RouterError, Unreachable
from ..link import Access, Address

EXPIRED: Final = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class Service:
    """What speaks TLS on a router, in the words of its operator.

    `name` of the service; `ports` is a hint which port speaks TLS and which does not; `renew`, `shown` and `versions` are
    cures: for a certificate that ran out, for finding which one is in use, for TLS 1.0.
    """

    name: str
    ports: str
    renew: str
    shown: str
    versions: str


def secured(sock: socket.socket, access: Access, address: Address, service: Service) -> tuple[ssl.SSLSocket, str]:
    """The TLS socket and the SHA-256 of its certificate (64 hex digits), verified by CA, by pin, or to be pinned.

    One that ran out is refused however it is verified: whoever chose its end meant that nobody trusts it afterwards.

    The handshake takes no longer than the socket's own timeout for each of its steps. Raises Unreachable, IdentityChanged,
    RouterError.
    """
    context = _context(access)
    try:
        wrapped = context.wrap_socket(sock, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        raise _certificate_refused(error, access, address, service) from None
    except ssl.SSLError as error:
        raise _handshake_failed(error, address, service) from None
    except (OSError, ValueError) as error:
        raise Unreachable(f"{address}: connected, but no TLS ({why(error)})") from None
    certificate = wrapped.getpeercert(binary_form=True) or b""
    identity = hashlib.sha256(certificate).hexdigest()
    try:
        if access.tls_fingerprint is not None and identity != access.tls_fingerprint.lower():
            raise IdentityChanged(
                f"the certificate at {address} has SHA-256 {identity}, pinned is {access.tls_fingerprint.lower()}",
                f"if the router really has a new certificate: `fleet trust {access.router}`",
            )
        _refuse_expired(certificate, access, address, service)
    except IdentityChanged:
        wrapped.close()
        raise
    return wrapped, identity


def why(error: Exception) -> str:
    """The reason of a failed socket operation, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ssl.SSLError):
        return error.strerror.lower()
    return "the router closed the connection"


def _context(access: Access) -> ssl.SSLContext:
    """Never anonymous: Python's defaults offer no ADH, and a certificate is checked in one of three ways."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.tls_ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the fingerprint is the check: pinned, or shown to be pinned
        return context
    try:
        context.load_verify_locations(cafile=access.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise RouterError(
            f"the CA file {access.tls_ca} cannot be used: {error.strerror or 'no certificate in PEM form'}",
            "correct `tls: {ca: PATH}` in the inventory",
        ) from None
    return context


def _certificate_refused(
    error: ssl.SSLCertVerificationError, access: Access, address: Address, service: Service
) -> IdentityChanged:
    if error.verify_code == EXPIRED:  # which one of the chain, and when, is not told
        return _expired(f"the certificate at {address}, or one that signed it, has expired", access, service)
    cure = {
        9: "check the clocks of the router and of this machine",  # X509_V_ERR_CERT_NOT_YET_VALID
        62: "give the certificate this name as subject-alt-name, or pin it with `tls: {fingerprint: ...}`",  # HOSTNAME
        64: "give the certificate this address as subject-alt-name, or pin it with `tls: {fingerprint: ...}`",  # IP_ADDRESS
    }.get(error.verify_code, f"check `tls: {{ca: PATH}}` and {service.shown}")
    return IdentityChanged(f"the certificate at {address} is refused: {error.verify_message}", cure)


def _handshake_failed(error: ssl.SSLError, address: Address, service: Service) -> RouterError:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unreachable(f"{address}: connected, but no TLS (the router closed the connection)")
    if "HANDSHAKE_FAILURE" in reason or "NO_SHARED_CIPHER" in reason:
        return RouterError(
            f"{service.name} at {address} has no certificate: it offers anonymous TLS only, which anybody can impersonate",
            f"give it one: {service.renew}",
        )
    if "VERSION_NUMBER" in reason or "UNKNOWN_PROTOCOL" in reason or "RECORD_LAYER" in reason or "HTTP_REQUEST" in reason:
        return RouterError(f"{address} answers, but not with TLS", f"check `port:` ({service.ports})")
    return RouterError(
        f"TLS with {address} failed: {reason.lower().replace('_', ' ') or 'no reason given'}",
        f"fleet speaks TLS 1.2 and later: {service.versions}",
    )


def _refuse_expired(certificate: bytes, access: Access, address: Address, service: Service) -> None:
    """Where the fingerprint is the check, nothing else looks at the end of a certificate."""
    try:
        ends = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return  # certificates of routers may be odd; the fingerprint does not depend on reading them
    if ends < datetime.now(UTC):
        raise _expired(f"the certificate at {address} was valid until {ends:%Y-%m-%d %H:%M} UTC", access, service)


def _expired(seen: str, access: Access, service: Service) -> IdentityChanged:
    # The router's clock cannot be read before the login; it counts when the router makes the next certificate.
    pinned = "" if access.tls_ca is not None else f", then `fleet trust {access.router}`"
    return IdentityChanged(
        f"{seen}; this machine's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"if that is right, set the router's clock and give it a new certificate: {service.renew}{pinned}",
    )
