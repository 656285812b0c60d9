"""Drivers for the invented devices, as short as a first hour allows: interface and peers, nothing else."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from fleet import (
    AddAddress,
    AddInterface,
    AddPeer,
    Change,
    Driver,
    Http,
    Limits,
    Observed,
    RemoveAddress,
    RemoveInterface,
    RemovePeer,
    RouterPlan,
    Script,
    SetInterface,
    SetPeer,
    Step,
)
from fleet.driver import Batch
from fleet.link import Link, Request
from fleet.model import HIDDEN, Endpoint, Interface, Mark, Peer, PublicKey


class ItemDriver(Driver):
    """REST, one object per request."""

    name = "toy-item"
    transport = "rest"
    limits: ClassVar[Limits] = Limits(routes="none", openings=frozenset(), reresolve=False)

    def observe(self, link: Link) -> Observed:
        interfaces, peers = link.send_all([Http("GET", "/interfaces", reads=True), Http("GET", "/peers", reads=True)])
        ids: dict[tuple[str, str], str] = {}
        stored = {}
        for row in rows(interfaces.data):
            mine = [one for one in rows(peers.data) if one["interface"] == row["name"]]
            ids.update({(row["name"], one["public_key"]): one["id"] for one in mine})
            stored[row["name"]] = interface(row, mine)
        return Observed(stored, limits=self.limits, native=ids)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        return Script(tuple(self.batch(batch, plan, observed) for batch in plan.batches))

    def batch(self, changes: tuple[Change, ...], plan: RouterPlan, observed: Observed) -> Batch:
        return tuple(Step(str(change), (self.request(change, plan, observed.native),), (change,)) for change in changes)

    def request(self, change: Any, plan: RouterPlan, ids: Any) -> Request:
        peers, where = "/peers", f"/interfaces/{change.interface}"
        match change:
            case AddInterface(wanted=wanted):
                fields = {"name": wanted.name, "listen_port": wanted.listen_port, "mtu": wanted.mtu, "note": str(wanted.mark)}
                return Http("POST", "/interfaces", body=fields)
            case SetInterface(wanted=wanted):
                return Http(
                    "PATCH", where, body={"listen_port": wanted.listen_port, "mtu": wanted.mtu, "note": str(wanted.mark)}
                )
            case RemoveInterface():
                return Http("DELETE", where)
            case AddAddress() | RemoveAddress():
                held = plan.desired[change.interface].addresses if change.interface in plan.desired else ()
                return Http("PATCH", where, body={"addresses": sorted(str(one) for one in held)})
            case AddPeer(wanted=wanted):
                body = {"interface": change.interface, "public_key": wanted.public_key, **peer_fields(wanted)}
                return Http("POST", peers, body=body)
            case SetPeer(wanted=wanted):
                known = peer_fields(wanted)
                names = {"persistent_keepalive": "keepalive", "mark": "note", "disabled": "enabled"}
                body = {name: known[name] for name in (names.get(one, one) for one in change.differing)}
                return Http("PATCH", f"{peers}/{ids[change.interface, wanted.public_key]}", body=body)
            case RemovePeer(old=old):
                return Http("DELETE", f"{peers}/{ids[change.interface, old.public_key]}")
        raise AssertionError(change)


def rows(found: object) -> list[dict[str, Any]]:
    assert isinstance(found, list)
    return found


def interface(row: dict[str, Any], peers: list[dict[str, Any]]) -> Interface:
    return Interface(
        row["name"],
        PublicKey(row["public_key"]),
        listen_port=row["listen_port"],
        mtu=row["mtu"],
        addresses=frozenset(ipaddress.ip_interface(one) for one in row["addresses"]),
        peers={PublicKey(one["public_key"]): peer(one) for one in peers},
        mark=Mark.find(row["note"]),
    )


def peer(row: dict[str, Any]) -> Peer:
    return Peer(
        PublicKey(row["public_key"]),
        frozenset(ipaddress.ip_network(one) for one in row["allowed_ips"]),
        endpoint=Endpoint.parse(row["endpoint"]) if row["endpoint"] else None,
        persistent_keepalive=row["keepalive"],
        preshared_key=HIDDEN if row["preshared_key"] else None,
        mark=Mark.find(row["note"]),
        disabled=not row["enabled"],
    )


def peer_fields(wanted: Peer) -> dict[str, Any]:
    return {
        "allowed_ips": sorted(str(one) for one in wanted.allowed_ips),
        "endpoint": str(wanted.endpoint or ""),
        "keepalive": wanted.persistent_keepalive,
        "preshared_key": wanted.preshared_key or "",
        "note": str(wanted.mark or ""),
        "enabled": not wanted.disabled,
    }
