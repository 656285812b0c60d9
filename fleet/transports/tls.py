"""TLS to a router: verified by a CA, by a pinned fingerprint, or shown so that the fingerprint can be pinned.

Never anonymous and never unverified. What differs between vendors is only what an operator is told.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from ..errors import IdentityChanged, RouterError, Unreachable
from ..link import Access, Address


@dataclass(frozen=True, slots=True)
class Service:
    """What speaks TLS on a router, in the words of its operator.

    `name` of the service; `ports` is a hint which port speaks TLS and which does not; `renew`, `shown` and `versions` are
    cures: for a certificate that ran out, for finding which one is in use, for TLS 1.0. `keeps_pinned`: a certificate that
    was pinned before is accepted after its end, because it is known by what it is.
    """

    name: str
    ports: str
    renew: str
    shown: str
    versions: str
    keeps_pinned: bool = False


def secured(sock: socket.socket, access: Access, address: Address, service: Service) -> tuple[ssl.SSLSocket, str]:
    """The TLS socket and the SHA-256 of its certificate (64 hex digits), verified by CA, by pin, or to be pinned.

    The handshake takes no longer than the socket's own timeout for each of its steps. Raises Unreachable, IdentityChanged,
    RouterError.
    """
    context = _context(access)
    try:
        wrapped = context.wrap_socket(sock, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        raise _certificate_refused(error, address, service) from None
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
        if access.tls_ca is None and not (service.keeps_pinned and access.tls_fingerprint is not None):
            _refuse_expired(certificate, address, service)
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


def _certificate_refused(error: ssl.SSLCertVerificationError, address: Address, service: Service) -> IdentityChanged:
    cure = {
        9: "check the clocks of the router and of this machine",  # X509_V_ERR_CERT_NOT_YET_VALID
        10: f"renew the certificate on the router and set it: {service.renew}",  # X509_V_ERR_CERT_HAS_EXPIRED
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


def _refuse_expired(certificate: bytes, address: Address, service: Service) -> None:
    """Without a CA nothing else looks at the end of a certificate."""
    try:
        ends = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return  # certificates of routers may be odd; the fingerprint does not depend on reading them
    if ends < datetime.now(UTC):
        pinned = " and is not pinned" if service.keeps_pinned else ""
        raise IdentityChanged(
            f"the certificate at {address} expired on {ends:%Y-%m-%d}{pinned}",
            f"make a new one (was the router's clock wrong when it was made?): {service.renew}",
        )
