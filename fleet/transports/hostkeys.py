"""Which SSH host key a router must show: pinned ones, known_hosts, or none yet.

An identity is an OpenSSH public key line without comment (`ssh-ed25519 AAAA...`) or a fingerprint (`SHA256:...`). Lines are
compared as text: base64 of a key has one spelling, and types that this machine cannot negotiate still count as known.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from ..link import Address

KNOWN_HOSTS: Final = Path("~/.ssh/known_hosts")

ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Signature algorithms by the type that a key line begins with, in our order of preference; SHA-1 signatures never."""


def fingerprint(identity: str) -> str:
    """`SHA256:...` of a key line, as OpenSSH prints it; a fingerprint is returned as it is. Raises ValueError."""
    if identity.startswith("SHA256:"):
        return identity.rstrip("=")
    try:
        blob = base64.b64decode(identity.split()[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ValueError(f"not an SSH public key line: {identity[:60]!r}") from error
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Trust:
    """Identities that are accepted for one router, and where they come from as an operator would call it."""

    identities: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    source: str = ""

    def accepts(self, line: str) -> bool:
        """True if this key may be talked to: it is one of the accepted ones, or nothing is known yet."""
        if line in self.revoked:
            return False
        return not self.identities or line in self.identities or fingerprint(line) in self.identities

    @property
    def types(self) -> tuple[str, ...]:
        """Key types of the accepted lines, so that the server is asked for these first."""
        wanted = {identity.split()[0] for identity in self.identities if not identity.startswith("SHA256:")}
        return tuple(kind for kind in ALGORITHMS if kind in wanted)

    @property
    def by_fingerprint(self) -> bool:
        """True if some accepted identity does not say its key type."""
        return any(identity.startswith("SHA256:") for identity in self.identities)

    def fingerprints(self) -> str:
        """The accepted ones for a message."""
        return " or ".join(sorted(fingerprint(identity) for identity in self.identities))


def trust(pinned: tuple[str, ...], router: str, address: Address, known_hosts: Path = KNOWN_HOSTS) -> Trust:
    """What is known about a router: its pins, else known_hosts under the address and under the router's name.

    Pins win, so that accepting a new key is one act and never two. On another port than 22 an entry without port may
    confirm but not contradict: behind one public address each forwarded port is another router.
    """
    entries, revoked = _entries(known_hosts.expanduser()), frozenset[str]()
    revoked = frozenset(entry.line for entry in entries if entry.revoked and _is_about(entry, router, address))
    if pinned:
        return Trust(frozenset(map(_normal, pinned)), revoked, "pinned")
    named = [_spelling(address), router]
    found = {entry.line for entry in entries if not entry.revoked and any(entry.matches(name) for name in named)}
    if found and address.port != 22:
        found |= {entry.line for entry in entries if not entry.revoked and entry.matches(address.host)}
    return Trust(frozenset(found), revoked, f"in {known_hosts}" if found else "")


def algorithms(first: tuple[str, ...], without: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Host key algorithms to offer: those of the key types `first`, then the others, none of the types in `without`."""
    kinds = [*first, *(kind for kind in ALGORITHMS if kind not in first)]
    return tuple(name for kind in kinds if kind not in without for name in ALGORITHMS[kind])


@dataclass(frozen=True, slots=True)
class _Entry:
    patterns: tuple[str, ...]
    line: str
    revoked: bool = False

    def matches(self, name: str) -> bool:
        if any(_same(pattern[1:], name) for pattern in self.patterns if pattern.startswith("!")):
            return False
        return any(_same(pattern, name) for pattern in self.patterns if not pattern.startswith("!"))


def _is_about(entry: _Entry, router: str, address: Address) -> bool:
    return any(entry.matches(name) for name in (_spelling(address), address.host, router))


def _spelling(address: Address) -> str:
    return address.host if address.port == 22 else f"[{address.host}]:{address.port}"


def _same(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _hashed(pattern, name)
    # sshd(8): only * and ? are wildcards; [host]:port is literal, and fnmatch would take its brackets for a set.
    return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _hashed(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)  # HashKnownHosts, ssh_config(5)


def _normal(identity: str) -> str:
    """A pin without comment, in the spelling that keys are compared in. Raises ValueError."""
    if identity.startswith("SHA256:"):
        return identity.rstrip("=")
    fingerprint(identity)
    return " ".join(identity.split()[:2])


def _entries(path: Path) -> tuple[_Entry, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _parsed(path: Path, _mtime: int, _size: int) -> tuple[_Entry, ...]:
    """Entries of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT); lines that are not understood are left out.

    Read once per version of the file: a run asks for hundreds of routers. Certificate authorities are not supported by
    the SSH library and left out, so such a router is pinned by its own key.
    """
    entries = []
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        try:
            entries.append(_Entry(tuple(fields[0].split(",")), _normal(" ".join(fields[1:3])), marker == "@revoked"))
        except ValueError:
            continue
    return tuple(entries)
