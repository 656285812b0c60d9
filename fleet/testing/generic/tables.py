"""Interfaces and peers of the invented devices, with the checks of a real one."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping
from copy import deepcopy
from ipaddress import ip_interface, ip_network
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from .base import refuse

Fields = dict[str, Any]

PLANTED_KEY: Final = base64.b64encode(b"a peer that somebody else added.").decode()
"""Public key of the peer that `plant` adds."""


def key(text: str) -> str:
    """Base64 of 32 bytes. Raises Rejected."""
    try:
        if len(base64.b64decode(text, validate=True)) == 32 and len(text) == 44:
            return text
    except (binascii.Error, ValueError):
        pass
    raise refuse("not a key")


def public(private: str) -> str:
    """The public half of a private key. Raises Rejected."""
    return base64.b64encode(
        X25519PrivateKey.from_private_bytes(base64.b64decode(key(private))).public_key().public_bytes_raw()
    ).decode()


def _number(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not str(value).isdigit() or not least <= int(value) <= most:
            raise refuse(f"{value} is not between {least} and {most}")
        return int(value)

    return read


def _networks(values: Any) -> list[str]:
    try:
        return sorted({str(ip_network(value)) for value in _many(values)})
    except ValueError as error:
        raise refuse(str(error)) from None


def addresses(values: Any) -> list[str]:
    """Interface addresses, from a list or with commas. Raises Rejected."""
    try:
        return sorted({str(ip_interface(value)) for value in _many(values)})
    except ValueError as error:
        raise refuse(str(error)) from None


def _many(values: Any) -> list[str]:
    return [one.strip() for one in values.split(",") if one.strip()] if isinstance(values, str) else list(values)


def _endpoint(value: Any) -> str:
    if value and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}", value):
        raise refuse(f"not an endpoint: {value}")
    return str(value or "")


def _flag(value: Any) -> bool:
    if value in (True, "yes", "true"):
        return True
    if value in (False, "no", "false"):
        return False
    raise refuse(f"neither yes nor no: {value}")


INTERFACE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "name": str,
    "private_key": key,
    "listen_port": _number(0, 65535),
    "mtu": _number(576, 9000),
    "addresses": addresses,
    "enabled": _flag,
    "note": str,
}
"""Writable fields of an interface; `public_key` is read-only, `private_key` is made when left out and never shown."""

PEER: Final[Mapping[str, Callable[[Any], Any]]] = {
    "interface": str,
    "public_key": key,
    "preshared_key": lambda value: key(value) if value else "",
    "endpoint": _endpoint,
    "keepalive": _number(0, 65535),
    "allowed_ips": _networks,
    "enabled": _flag,
    "note": str,
}
"""Writable fields of a peer; `keepalive` in seconds, 0 for off."""

NEW_INTERFACE: Final = {"listen_port": 0, "mtu": 1420, "addresses": [], "enabled": True, "note": ""}
NEW_PEER: Final = {"preshared_key": "", "endpoint": "", "keepalive": 0, "allowed_ips": [], "enabled": True, "note": ""}


class Tables:
    """Interfaces by name and peers by (interface, public key), with the checks of a real device."""

    def __init__(self) -> None:
        self.interfaces: dict[str, Fields] = {}
        self.peers: dict[tuple[str, str], Fields] = {}

    def put_interface(self, name: str, given: Mapping[str, Any]) -> None:
        """Make or change an interface. Raises Rejected."""
        fields = {**self.interfaces.get(name, {"name": name, **NEW_INTERFACE}), **_read(INTERFACE, given)}
        fields.setdefault("private_key", base64.b64encode(secrets.token_bytes(32)).decode())
        ports = [one["listen_port"] for one in self.interfaces.values() if one["name"] != name]
        if fields["listen_port"] and fields["listen_port"] in ports:
            raise refuse(f"listen_port {fields['listen_port']} is in use")
        self.interfaces[name] = {**fields, "public_key": public(fields["private_key"])}

    def put_peer(self, interface: str, public_key: str, given: Mapping[str, Any]) -> None:
        """Make or change a peer; its allowed IPs must be nobody else's on the interface. Raises Rejected."""
        if interface not in self.interfaces:
            raise refuse(f"no interface {interface}")
        at = (interface, key(public_key))
        fields = {**self.peers.get(at, {"interface": interface, "public_key": public_key, **NEW_PEER}), **_read(PEER, given)}
        for (where, holder), other in self.peers.items():
            taken = set(other["allowed_ips"]) & set(fields["allowed_ips"])
            if where == interface and holder != public_key and taken:
                raise refuse(f"{min(taken)} belongs to another peer")
        self.peers[at] = fields

    def drop_interface(self, name: str) -> None:
        """Remove an interface with its peers. Raises Rejected."""
        if self.interfaces.pop(name, None) is None:
            raise refuse(f"no interface {name}")
        self.peers = {at: peer for at, peer in self.peers.items() if at[0] != name}

    def drop_peer(self, interface: str, public_key: str) -> None:
        """Remove a peer. Raises Rejected."""
        if self.peers.pop((interface, public_key), None) is None:
            raise refuse("no such peer")

    def plant(self, interface: str) -> None:
        """The things of somebody else."""
        self.put_peer(interface, PLANTED_KEY, {"allowed_ips": ["203.0.113.0/24"], "note": "added by hand"})
        self.peers[interface, PLANTED_KEY]["colour"] = "blue"
        self.interfaces[interface]["queue"] = "pfifo"
        self.put_interface("theirs", {"listen_port": 4000, "note": "not ours"})
        self.put_peer("theirs", PLANTED_KEY, {"allowed_ips": ["0.0.0.0/0"]})

    def ours(self) -> object:
        """Marked rows, without what the device made itself."""
        rows = [*self.interfaces.values(), *self.peers.values()]
        made = ("id", "private_key", "colour", "queue")
        marked = [{name: row[name] for name in row if name not in made} for row in rows if row["note"].startswith("fleet:")]
        for row in marked:
            if "name" in row:
                del row["public_key"]
        return deepcopy(sorted(marked, key=str))

    def foreign(self) -> object:
        """Unmarked rows, and settings nobody knows on marked ones."""
        rows = [*self.interfaces.values(), *self.peers.values()]
        unmarked = [row for row in rows if not row["note"].startswith("fleet:")]
        unknown = [(row.get("name"), extra, row[extra]) for row in rows for extra in ("colour", "queue") if extra in row]
        return deepcopy((unmarked, unknown))


def _read(known: Mapping[str, Callable[[Any], Any]], given: Mapping[str, Any]) -> Fields:
    unknown = given.keys() - known.keys()
    if unknown:
        raise refuse(f"unknown field {min(unknown)}")
    return {name: known[name](value) for name, value in given.items()}


def words(row: Fields) -> Mapping[str, str]:
    """A row as text: yes and no, lists with commas."""
    flags = {True: "yes", False: "no"}
    return {
        name: flags[value] if isinstance(value, bool) else ",".join(value) if isinstance(value, list) else str(value)
        for name, value in row.items()
    }
