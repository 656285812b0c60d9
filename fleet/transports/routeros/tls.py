"""TLS to api-ssl: verified by a CA, by a pinned fingerprint, or shown so that the fingerprint can be pinned."""

from __future__ import annotations

import hashlib
import socket
import ssl
from datetime import UTC, datetime

from cryptography import x509

from ...errors import IdentityChanged, RouterError, Unreachable
from ...link import Access, Address
from .stream import why


def secured(sock: socket.socket, access: Access, address: Address) -> tuple[ssl.SSLSocket, str]:
    """The TLS socket and the SHA-256 of its certificate (64 hex digits), verified by CA, by pin, or to be pinned."""
    context = _context(access)
    try:
        wrapped = context.wrap_socket(sock, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        raise _certificate_refused(error, address) from None
    except ssl.SSLError as error:
        raise _handshake_failed(error, address) from None
    except OSError as error:
        raise Unreachable(f"{address}: connected, but no TLS ({why(error)})") from None
    certificate = wrapped.getpeercert(binary_form=True) or b""
    identity = hashlib.sha256(certificate).hexdigest()
    try:
        if access.tls_fingerprint is not None and identity != access.tls_fingerprint.lower():
            raise IdentityChanged(
                f"the certificate at {address} has SHA-256 {identity}, pinned is {access.tls_fingerprint.lower()}",
                f"if the router really has a new certificate: `fleet trust {access.router}`",
            )
        if access.tls_fingerprint is None and access.tls_ca is None:
            _refuse_expired(certificate, address)
    except IdentityChanged:
        wrapped.close()
        raise
    return wrapped, identity


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


def _certificate_refused(error: ssl.SSLCertVerificationError, address: Address) -> IdentityChanged:
    cure = {
        9: "check the clocks of the router and of this machine",  # X509_V_ERR_CERT_NOT_YET_VALID
        10: "renew the certificate on the router and set it: `/ip/service set api-ssl certificate=NAME`",  # ..._HAS_EXPIRED
        62: "give the certificate this name as subject-alt-name, or pin it with `tls: {fingerprint: ...}`",  # HOSTNAME
        64: "give the certificate this address as subject-alt-name, or pin it with `tls: {fingerprint: ...}`",  # IP_ADDRESS
    }.get(error.verify_code, "check `tls: {ca: PATH}` and which certificate `/ip/service print` shows for api-ssl")
    return IdentityChanged(f"the certificate at {address} is refused: {error.verify_message}", cure)


def _handshake_failed(error: ssl.SSLError, address: Address) -> RouterError:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unreachable(f"{address}: connected, but no TLS (the router closed the connection)")
    if "HANDSHAKE_FAILURE" in reason or "NO_SHARED_CIPHER" in reason:
        return RouterError(
            f"api-ssl at {address} has no certificate: it offers anonymous TLS only, which anybody can impersonate",
            "give it one: `/ip/service set api-ssl certificate=NAME`",
        )
    if "VERSION_NUMBER" in reason or "UNKNOWN_PROTOCOL" in reason or "RECORD_LAYER" in reason:
        return RouterError(
            f"{address} answers, but not with TLS",
            "check `port:` (api-ssl is 8729; 8728 is the API without TLS)",
        )
    return RouterError(
        f"TLS with {address} failed: {reason.lower().replace('_', ' ') or 'no reason given'}",
        "fleet speaks TLS 1.2 and later: `/ip/service set api-ssl tls-version=only-1.2`",
    )


def _refuse_expired(certificate: bytes, address: Address) -> None:
    """A certificate is not pinned for the first time after its end. One already pinned is known by what it is."""
    try:
        ends = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return  # RouterOS certificates may be odd; the fingerprint does not depend on reading them
    if ends < datetime.now(UTC):
        raise IdentityChanged(
            f"the certificate at {address} expired on {ends:%Y-%m-%d} and is not pinned",
            "make a new one (was the router's clock wrong when it was made?): `/ip/service set api-ssl certificate=NAME`",
        )
