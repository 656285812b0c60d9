"""How keys, identities and references to secrets are read; no message here repeats what may be a secret."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from ..model import PublicKey
from .problems import Refused, shown
from .values import text_of


def public_key(value: object) -> PublicKey:
    """A WireGuard public key. The message does not repeat it: people paste the private one by mistake."""
    if isinstance(value, str):
        try:
            key = PublicKey(value)
        except ValueError:
            pass
        else:
            if key != PublicKey("A" * 43 + "="):
                return key
    raise Refused("not a WireGuard public key (44 characters of base64 ending in =)", "take it from `wg show` on the router")


_KEY_TYPES: Final = re.compile(r"(ssh|ecdsa|sk)-[A-Za-z0-9@.-]{2,60}")


def host_key(value: object) -> str:
    """An OpenSSH public key line, returned without its comment, or `SHA256:` and 43 characters of base64."""
    cure = "write `ssh-ed25519 AAAA...` as `ssh-keyscan` prints it, without the host in front, or `SHA256:...`"
    text = text_of(value).strip()
    if re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", text):
        return text.rstrip("=")
    kind, _, rest = text.partition(" ")
    if not _KEY_TYPES.fullmatch(kind) or not rest.strip():
        raise Refused(f"{shown(text)} is not a host key", cure)
    try:
        blob = base64.b64decode(rest.split()[0], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{shown(text)} is not a host key: its base64 is broken", cure) from None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != kind.encode() or len(blob) <= 4 + length:
        raise Refused(f"{shown(text)} is not a host key: it is cut off, or of another type than {kind}", cure)
    return f"{kind} {rest.split()[0]}"


def fingerprint(value: object) -> str:
    """A certificate's SHA-256 in hex, with or without `SHA256:` and colons, as 64 lowercase hex digits."""
    text = text_of(value)
    digits = re.sub(r"^sha256[:=]", "", text.strip(), flags=re.IGNORECASE).replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise Refused(
            f"{shown(text)} is not a SHA-256 fingerprint",
            "write SHA256: and 64 hex digits, as `openssl x509 -noout -fingerprint -sha256` prints them",
        )
    return digits


_REFERENCE: Final = re.compile(r"[a-z][a-z0-9+-]+:\S.*")
_REFERENCE_CURE: Final = (
    "an inventory holds only where a secret is: env:NAME, file:PATH, cmd:COMMAND or keyring:SERVICE/USER; "
    "if the value was real, change it on the router, it has been in a file"
)


def secret_reference(value: object) -> str:
    """Where a secret is, `scheme:place`. A bare secret is refused and never repeated in the message."""
    if not isinstance(value, str):
        raise Refused("this is not a reference to a secret", _REFERENCE_CURE)
    if "\n" in value or not value.isprintable() or not _REFERENCE.fullmatch(value):
        raise Refused("a bare secret, not a reference to one", _REFERENCE_CURE)
    scheme, _, place = value.partition(":")
    if scheme == "env" and not re.fullmatch(r"[A-Za-z_{][A-Za-z0-9_{}.-]*", place):
        raise Refused("env: is followed by something that is not the name of a variable", "write env:NAME")
    if scheme == "keyring" and not re.fullmatch(r"[^/]+/.+", place):
        raise Refused("keyring: needs a service and a user", "write keyring:SERVICE/USER")
    return value


def key_reference(value: object) -> str:
    """Where a private SSH key is: a secret reference, or the path of its file."""
    if isinstance(value, str) and re.match(r"(/|~/|\./|\.\./)", value) and value.isprintable():
        return f"file:{value}"
    return secret_reference(value)


def path(value: object) -> str:
    """A path of a file."""
    text = text_of(value)
    return text.removeprefix("file:")
