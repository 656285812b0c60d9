"""Keys as `wg genkey`, `wg pubkey` and `wg genpsk` make them."""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


def new_key() -> str:
    """32 random bytes in base64, clamped as wg genkey does."""
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def new_psk() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def public_key(private: str) -> str:
    """The public half. Raises ValueError for a key that is not 32 bytes."""
    return base64.b64encode(X25519PrivateKey.from_private_bytes(raw(private)).public_key().public_bytes_raw()).decode()


def raw(key: str) -> bytes:
    """The 32 bytes of a key. Raises ValueError as `wg` refuses it."""
    try:
        octets = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError(f"Key is not the correct length or format: `{key[:4]}...'") from error
    if len(octets) != 32:
        raise ValueError(f"Key is not the correct length or format: `{key[:4]}...'")
    return octets
