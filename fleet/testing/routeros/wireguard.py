"""WireGuard of the simulated router (sheet sections 2 and 3): keys, peers, what the ether knows about them."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..ether import SimInterface, SimPeer, is_address
from .device import Behaviour, Device
from .durations import letters, seconds
from .tables import Row
from .values import Refused, invalid, overlaps

if TYPE_CHECKING:
    from .router import Router


def new_key() -> str:
    """32 random bytes in base64: a preshared key, or a private key (clamped where it is used)."""
    return base64.b64encode(os.urandom(32)).decode()


def public_key(private: str) -> str:
    """The public half."""
    secret = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


class WireguardInterfaces(Behaviour):
    """`/interface/wireguard`."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Name, port and key are made when left out; a taken name or port is refused."""
        taken = {row.fields["name"] for _, row in device.interfaces()}
        if "name" not in fields:
            fields["name"] = next(name for n in range(1, 10_000) if (name := f"wireguard{n}") not in taken)
        if fields["name"] in taken:
            raise Refused("failure: already have interface with such name", 4)
        ports = {row.get("listen-port") for row in device.table("/interface/wireguard").rows}
        if fields.get("listen-port", "0") == "0":
            fields["listen-port"] = next(str(port) for port in range(13231, 65536) if str(port) not in ports)
        elif fields["listen-port"] in ports:
            raise invalid("listen-port")
        fields["private-key"] = fields.get("private-key") or new_key()
        fields["public-key"] = public_key(fields["private-key"])

    def added(self, device: Device, row: Row) -> None:
        """It appears on the ether."""
        self._router.changed()

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """A new private key changes the public key at once (sheet 2)."""
        others = [other for _, other in device.interfaces() if other is not row]
        if any(other.fields["name"] == fields["name"] for other in others):
            raise Refused("failure: already have interface with such name", 4)
        if any(other.get("listen-port", "-") == fields["listen-port"] for other in others):
            raise invalid("listen-port")
        if fields["private-key"] != row.fields["private-key"]:
            fields["private-key"] = fields["private-key"] or new_key()
            fields["public-key"] = public_key(fields["private-key"])

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """References follow a new name; sessions end with a new key or when it goes down."""
        if row.disabled or old["public-key"] != row.fields["public-key"]:
            for peer in device.table("/interface/wireguard/peers").rows:
                if peer.get("interface") == old["name"]:
                    self._router.forget(old["name"], peer.get("public-key"))
        if old["name"] != row.fields["name"]:
            device.rename_references(old["name"], row.fields["name"])
        self._router.changed()

    def removed(self, device: Device, row: Row) -> None:
        """References stay and show the bare id."""
        device.rename_references(row.fields["name"], row.id)
        self._router.changed()

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Running while enabled."""
        return {"running": "false" if row.disabled else "true"}


class Peers(Behaviour):
    """`/interface/wireguard/peers`."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Names and keys are made; duplicate keys and overlapping allowed addresses are refused."""
        rows = device.table("/interface/wireguard/peers").rows
        if "name" in device.table("/interface/wireguard/peers").fields and "name" not in fields:
            taken = {row.get("name") for row in rows}
            fields["name"] = next(name for n in range(1, 100_000) if (name := f"peer{n}") not in taken)
        self._check(device, fields, list(rows))

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        self._check(device, fields, [other for other in device.table("/interface/wireguard/peers").rows if other is not row])

    def _check(self, device: Device, fields: dict[str, str], others: list[Row]) -> None:
        for name in ("preshared-key", "private-key"):
            fields[name] = {"auto": new_key(), "none": ""}.get(fields.get(name, ""), fields.get(name, ""))
        for other in others:
            same_interface = other.get("interface") == fields["interface"]
            if other.get("public-key") == fields["public-key"] and (same_interface or device.unique_keys == "device"):
                raise Refused("failure: entry already exists", 4)
        if device.overlap != "steal":
            self._refuse_overlap(device, fields, others)

    @staticmethod
    def _refuse_overlap(device: Device, fields: dict[str, str], others: list[Row]) -> None:
        # Ranges must not overlap on one interface (sheet 3.2). What the router does is unverified: `refuse` minds equal
        # prefixes, the collision cryptokey routing has; `strict` also a prefix inside another.
        wanted = fields["allowed-address"].split(",")
        for other in others:
            if other.get("interface") != fields["interface"]:
                continue
            theirs = other.get("allowed-address").split(",")
            nested = device.overlap == "strict" and any(overlaps(one, two) for one in wanted for two in theirs)
            if nested or not set(wanted).isdisjoint(theirs):
                raise invalid("allowed-address")

    def _resolve(self, device: Device, row: Row) -> None:
        """Look its endpoint up now, for routers that do so only now."""
        host = row.get("endpoint-address")
        device.resolved[row.number] = host if not host or is_address(host) else self._router.resolve(host) or ""

    def restart(self, device: Device) -> None:
        """A boot looks all of them up."""
        device.resolved.clear()
        for row in device.table("/interface/wireguard/peers").rows:
            self._resolve(device, row)

    def added(self, device: Device, row: Row) -> None:
        """It may shake hands."""
        self._resolve(device, row)
        self._settle_overlap(device, row)
        self._router.changed()

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """A disabled or re-keyed peer loses its session."""
        if row.disabled or old["public-key"] != row.fields["public-key"] or old["interface"] != row.fields["interface"]:
            self._router.forget(old["interface"], old["public-key"])
        self._resolve(device, row)
        self._settle_overlap(device, row)
        self._router.changed()

    def removed(self, device: Device, row: Row) -> None:
        """Its session and counters are gone."""
        device.resolved.pop(row.number, None)
        self._router.forget(row.get("interface"), row.get("public-key"))
        self._router.changed()

    @staticmethod
    def _settle_overlap(device: Device, row: Row) -> None:
        """`steal`: the last writer takes equal prefixes away from the others, as the kernel does."""
        if device.overlap != "steal":
            return
        mine = set(row.get("allowed-address").split(","))
        for other in device.table("/interface/wireguard/peers").rows:
            if other is not row and other.get("interface") == row.get("interface"):
                kept = [one for one in other.get("allowed-address").split(",") if one not in mine]
                other.fields["allowed-address"] = ",".join(kept)

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Handshake age in letters, absent before the first; bytes as plain integers."""
        seen = None if row.disabled else self._router.handshake(row.get("interface"), row.get("public-key"))
        if seen is None:
            return {"rx": "0", "tx": "0", "current-endpoint-address": "", "current-endpoint-port": "0", "last-handshake": None}
        return {
            "rx": str(seen.received),
            "tx": str(seen.sent),
            "current-endpoint-address": seen.endpoint[0],
            "current-endpoint-port": str(seen.endpoint[1]),
            "last-handshake": letters(max(device.clock.now() - seen.at, 0)),
        }


def on_ether(device: Device) -> list[SimInterface]:
    """The interfaces that are up, with their enabled peers and addresses. Takes no lock: the ether asks from anywhere."""
    addresses: dict[str, list[str]] = {}
    for path in ("/ip/address", "/ipv6/address"):
        for row in list(device.table(path).rows):
            if not row.disabled:
                addresses.setdefault(row.get("interface"), []).append(row.get("address"))
    peers: dict[str, list[SimPeer]] = {}
    for row in list(device.table("/interface/wireguard/peers").rows):
        if not row.disabled:
            peers.setdefault(row.get("interface"), []).append(_peer(device, row))
    return [
        SimInterface(
            row.fields["name"],
            row.fields["public-key"],
            int(row.fields["listen-port"]),
            not row.disabled,
            peers.get(row.fields["name"], []),
            tuple(addresses.get(row.fields["name"], ())),
        )
        for row in list(device.table("/interface/wireguard").rows)
    ]


def _peer(device: Device, row: Row) -> SimPeer:
    host = row.get("endpoint-address")
    if device.resolves == "set":
        host = device.resolved.get(row.number, host)
    endpoint = (host, int(row.get("endpoint-port", "0")))
    responder = "true" in (row.get("responder"), row.get("is-responder"))
    return SimPeer(
        row.get("public-key"),
        endpoint if endpoint[0] and endpoint[1] else None,
        seconds(row.get("persistent-keepalive", "0s")) or 0,
        row.get("preshared-key") or None,
        tuple(one for one in row.get("allowed-address").split(",") if one),
        # Any peer with an endpoint keeps sending handshakes on RouterOS; a responder never does (sheet 3.2).
        dials=False if responder else (bool(endpoint[0]) or None),
    )
