"""A tunnel and its peers as the whole objects that the controller wants back, while changes are applied to them.

What fleet does not model is echoed as it was read: networks, fields of IPsec, fields of later versions; null stays null (sheet
2.2, 10.4, 10.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ... import (
    AddAddress,
    Interface,
    Peer,
    PublicKey,
    RemoveAddress,
    RouterPlan,
    Secret,
    SetInterface,
    SetPeer,
    sorted_networks,
)
from ...errors import Unsupported
from .api import Row
from .meaning import MASKED
from .read import Found
from .spelling import COMMENT_MOST, V1, Spelling, address_of, marked, nowhere, peer_name, shown_key, tunnel_name

MTU: Final = range(576, 1441)
"""What the controller takes (sheet 2.1)."""

DEFAULT_MTU: Final = 1420
DEFAULT_PORT: Final = 51820

SITE_TO_SITE: Final[Row] = {
    "vpnType": 4,
    "networkType": 0,
    "networkList": [],
    # The schema requires the fields of IPsec in every write; whether WireGuard may leave them out is unverified (sheet 2.2).
    "preSharedKey": "",
    "remoteIp": "",
    "remoteSubnet": [],
    "wans": [],
    "advancedSetting": {},
}


class Draft:
    """One tunnel. `found` None: it is to be made."""

    def __init__(self, name: str, found: Found | None, spelling: Spelling, plan: RouterPlan) -> None:
        self.name = name
        self.found = found
        self._spelling = spelling
        self._plan = plan
        self.row: dict[str, Any] = dict(found.row) if found is not None else {}
        self.peers: list[dict[str, Any]] = [dict(peer) for peer in found.peers] if found is not None else []

    # ------------------------------------------------------------------------------------------------ the tunnel
    def make(self, wanted: Interface) -> None:
        """Everything that a new one must have; its address is that of the plan, or one that nothing is routed to."""
        private = self._plan.private_keys.get(self.name)
        if private is None or not isinstance(wanted.public_key, PublicKey):
            raise self._cannot("the key of a new interface is made here, and this plan has none", "run `fleet sync` again")
        self.row = {"name": tunnel_name(self.name, wanted.mark), "status": not wanted.disabled}
        self.row |= {"mtu": self._mtu(wanted.mtu), self._spelling.listen_port: wanted.listen_port or DEFAULT_PORT}
        intended = self._plan.desired.get(self.name)
        addresses = sorted(map(str, (address.ip for address in intended.addresses))) if intended is not None else []
        self.row |= {self._spelling.address: (addresses or [nowhere(wanted.public_key)])[0], "privateKey": private}

    def set(self, change: SetInterface) -> None:
        """Scalars that differ."""
        old, wanted = change.old, change.wanted
        if wanted.mark != old.mark:
            self.row["name"] = tunnel_name(self.name, wanted.mark, str(self.row.get("name") or ""))
        if wanted.disabled != old.disabled:
            self.row["status"] = not wanted.disabled
        if wanted.mtu != old.mtu:
            self.row["mtu"] = self._mtu(wanted.mtu)
        if wanted.listen_port != old.listen_port:
            self.row[self._spelling.listen_port] = wanted.listen_port or DEFAULT_PORT

    def readdress(self, change: AddAddress | RemoveAddress) -> bool:
        """There is one address: the new one takes the place of the old one. False if nothing is left to do."""
        held = address_of(self.row, self._spelling)
        if isinstance(change, AddAddress):
            self.row[self._spelling.address] = str(change.address.ip)
            return True
        if change.address.ip not in {address.ip for address in held}:
            return False
        key = self._plan.desired[self.name].public_key if self.name in self._plan.desired else None
        self.row[self._spelling.address] = nowhere(key if isinstance(key, PublicKey) else PublicKey("A" * 43 + "="))
        return True

    def rekey(self) -> None:
        """The private key that the plan holds. Raises Unsupported."""
        private = self._plan.private_keys.get(self.name)
        if private is None:
            raise self._cannot("the new private key is not at hand", "run `fleet sync` again")
        self.row["privateKey"] = private

    # ------------------------------------------------------------------------------------------------ the peers
    def peer(self, key: PublicKey) -> dict[str, Any] | None:
        """Its row, as it is by now."""
        return next((row for row in self.peers if row.get(self._spelling.peer_key) == key), None)

    def add(self, wanted: Peer) -> dict[str, Any]:
        """A new peer, with everything at once."""
        row: dict[str, Any] = {"name": peer_name(self.name, wanted), "status": not wanted.disabled}
        row |= {self._spelling.peer_key: str(wanted.public_key), "keepAlive": wanted.persistent_keepalive}
        self.peers.append(row)
        for attribute in ("allowed_ips", "endpoint", "preshared_key", "mark"):
            self._put(row, attribute, wanted)
        return row

    def change(self, change: SetPeer) -> dict[str, Any] | None:
        """What differs; None for a peer that was not read."""
        row = self.peer(change.wanted.public_key)
        if row is None:
            return None
        for attribute in change.differing:
            self._put(row, attribute, change.wanted)
        held = row.get(self._spelling.preshared_key)
        if isinstance(held, Secret) and not shown_key(held):
            self._put(row, "preshared_key", change.wanted)  # a mask must not be written back for the key
        return row

    def remove(self, key: PublicKey) -> dict[str, Any] | None:
        """The row that goes; None if it was not read."""
        row = self.peer(key)
        self.peers = [other for other in self.peers if other is not row]
        return row

    def _put(self, row: dict[str, Any], attribute: str, wanted: Peer) -> None:
        words = self._spelling
        match attribute:
            case "allowed_ips":
                row[words.allowed_ips] = [str(prefix) for prefix in sorted_networks(wanted.allowed_ips)]
            case "endpoint":
                # Both or neither (-43207); whoever has none is made without the two (sheet 2.1).
                row.pop(words.endpoint, None), row.pop(words.endpoint_port, None)
                if wanted.endpoint is not None:
                    row |= {words.endpoint: wanted.endpoint.host, words.endpoint_port: wanted.endpoint.port}
            case "persistent_keepalive":
                row["keepAlive"] = wanted.persistent_keepalive
            case "preshared_key":
                row.pop(words.preshared_key, None)
                if wanted.preshared_key is not None:
                    row[words.preshared_key] = self._preshared(wanted)
            case "mark":
                row["comment"] = marked(str(row.get("comment") or ""), wanted.mark, COMMENT_MOST)
            case "disabled":
                row["status"] = not wanted.disabled

    # ------------------------------------------------------------------------------------------------ to be sent
    def body(self) -> dict[str, Any]:
        """The tunnel as it is written; in generation 2 with its peers."""
        private = self.row.get("privateKey")
        if not shown_key(private):
            raise self._cannot("the controller does not show its private key, which it wants back with every write", MASKED)
        kept = {name: value for name, value in self.row.items() if name not in self._spelling.own}
        if self._spelling is V1:
            return kept
        return {**SITE_TO_SITE, **kept, "peers": [self.peer_body(row) for row in self.peers]}

    def peer_body(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A peer as it is written."""
        words = self._spelling
        kept = {name: value for name, value in row.items() if name not in words.own_of_peers}
        if not kept.get(words.endpoint) and (kept.get(words.endpoint), kept.get(words.endpoint_port)) != (None, None):
            kept.pop(words.endpoint, None), kept.pop(words.endpoint_port, None)
        held = kept.get(words.preshared_key)
        if held == "":
            del kept[words.preshared_key]
        elif isinstance(held, Secret) and not shown_key(held):
            raise self._cannot(f"the controller does not show the preshared key of peer {row.get('name')}", MASKED)
        if words is V1 and self.found is not None:
            kept["interfaceId"] = self.found.id
        return kept

    def _mtu(self, mtu: int | None) -> int:
        if mtu is not None and mtu not in MTU:
            raise self._cannot(f"mtu {mtu} is outside {MTU[0]} to {MTU[-1]}", "set `mtu:` in the inventory")
        return mtu or DEFAULT_MTU

    def _preshared(self, peer: Peer) -> Secret:
        if isinstance(peer.preshared_key, Secret):
            return peer.preshared_key
        raise self._cannot(
            f"the preshared key of peer {peer.label} cannot be derived here",
            "run it where the fleet secret is (FLEET_SECRET or .fleet/secret)",
        )

    def _cannot(self, why: str, cure: str) -> Unsupported:
        return Unsupported(f"{self._plan.target.router}: interface {self.name}: {why}", cure)
