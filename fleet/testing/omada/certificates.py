"""Self-signed identities of controllers: every one has its own, and clients pin it (sheet 1.1)."""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate and key as PEM; `fingerprint` is the SHA-256 of the certificate in 64 hex digits."""

    pem: str
    certificate_pem: str
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """A server context that presents it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # load_cert_chain takes paths only
            file.write(self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def self_signed(name: str = "localhost", *, expired: bool = False) -> Certificate:
    """A fresh identity on 127.0.0.1, valid for ten years, or until yesterday."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName(name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=-1 if expired else 3650))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    shown = certificate.public_bytes(Encoding.PEM).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Certificate(shown + private, shown, certificate.fingerprint(hashes.SHA256()).hex())
