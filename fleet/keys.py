"""Curve25519 keys, preshared-key derivation and sealing for escrow. Pure computation; randomness from the system."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import UsageError
from .model import PublicKey, Secret


def new_private_key() -> Secret:
    """A fresh private key in WireGuard's base64."""
    return Secret(base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode())


def public_key_of(private_key: Secret) -> PublicKey:
    """The public half of a private key in WireGuard's base64. Raises ValueError."""
    raw = base64.b64decode(private_key.reveal(), validate=True)
    return PublicKey(base64.b64encode(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()).decode())


def _hkdf(secret: Secret, info: bytes, length: int = 32) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, one block at most.

    By hand because a hub of 10,000 derives 10,000 keys per run and two HMACs cost a sixth of the library's object;
    a test holds it against the library's.
    """
    if not 0 < length <= 32:
        raise ValueError("one block of HKDF-SHA256 is 32 bytes")
    extracted = hmac.digest(b"\0" * 32, secret.reveal().encode(), hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)[:length]


def derive_preshared_key(fleet_secret: Secret, one: PublicKey, other: PublicKey, epoch: int = 0) -> Secret:
    """The preshared key of a pair of public keys at an epoch; the order of the pair does not matter."""
    first, second = sorted((one, other))
    info = f"fleet preshared key\0{first}\0{second}\0{epoch}".encode()
    return Secret(base64.b64encode(_hkdf(fleet_secret, info)).decode())


def derive_password(fleet_secret: Secret, router: str, purpose: str, epoch: int = 0) -> Secret:
    """A password that a paste creates, 24 characters of letters, digits, - and _."""
    raw = _hkdf(fleet_secret, f"fleet password\0{router}\0{purpose}\0{epoch}".encode())
    return Secret(base64.urlsafe_b64encode(raw[:18]).decode())


def secret_fingerprint(fleet_secret: Secret) -> str:
    """What `overlay.secret_id` holds: 16 hex digits that identify the fleet secret and reveal nothing of it."""
    return _hkdf(fleet_secret, b"fleet secret id", 8).hex()


def sign(fleet_secret: Secret, purpose: str, payload: bytes) -> str:
    """HMAC-SHA256 of `payload` with a key of its own for each purpose, in hex."""
    return hmac.digest(_hkdf(fleet_secret, f"fleet sign\0{purpose}".encode()), payload, hashlib.sha256).hex()


def seal(fleet_secret: Secret, name: str, value: Secret) -> bytes:
    """`value` encrypted for the state (AES-256-GCM, random nonce in front), bound to the router's name."""
    nonce = os.urandom(12)
    box = AESGCM(_hkdf(fleet_secret, b"fleet escrow"))
    return nonce + box.encrypt(nonce, value.reveal().encode(), name.encode())


def unseal(fleet_secret: Secret, name: str, sealed: bytes) -> Secret:
    """The opposite of seal. Raises UsageError if the fleet secret is another one or the bytes were touched."""
    box = AESGCM(_hkdf(fleet_secret, b"fleet escrow"))
    try:
        return Secret(box.decrypt(sealed[:12], sealed[12:], name.encode()).decode())
    except InvalidTag:
        raise UsageError(
            f"the escrowed key of {name} cannot be opened with this fleet secret",
            "restore the secret that this state was made with (FLEET_SECRET or .fleet/secret)",
        ) from None
