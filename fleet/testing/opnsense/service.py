"""`/api/wireguard/service` and the restart of one instance through `core/service` (sheet 2.1, 3)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from . import grid
from .call import Action, Actions, Call
from .checks import is_address
from .kernel import Device, Peer
from .wgconf import Rendered, rendered
from .wgmodels import CLIENTS, GENERAL, SERVERS

if TYPE_CHECKING:
    from .box import Box

WIDGET: Final = {"caption_restart": "Restart", "caption_start": "Start", "caption_stop": "Stop"}
ONLINE: Final = 300
"""Seconds since a handshake within which a peer is `online` (sheet 3.2)."""


class Service:
    """What reconfigure and show do on one box."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def instances(self) -> list[Rendered]:
        """Files of the enabled instances, none with the service off."""
        config = self._box.store.current
        if config[GENERAL][""]["enabled"] != "1":
            return []
        return [rendered(config, key, record) for key, record in config[SERVERS].items() if record["enabled"] == "1"]

    def apply(self) -> None:
        """`template reload OPNsense/Wireguard` and `wireguard configure`."""
        self._box.kernel.configure(self.instances())
        self._box.changed()

    # --- actions --------------------------------------------------------------------------------------------------------

    def reconfigure(self, call: Call) -> object:
        """Says ok whatever came of it (sheet 3)."""
        if not call.posted:
            return {"result": "failed"}
        if self._box.store.current[GENERAL][""]["enabled"] == "1":
            self._box.register_group(call)
        if not self._box.broken_template:
            self.apply()
        return {"result": "ok"} if self._box.release.since(23, 7) else {"status": "ok"}

    def status(self, call: Call) -> object:
        """There is no status action behind it: `unknown` with the service on (sheet 2.1)."""
        on = self._box.store.current[GENERAL][""]["enabled"] == "1"
        return {"status": "unknown" if on else "disabled", "widget": WIDGET}

    def nothing(self, call: Call) -> object:
        """start, stop and restart: OK, and nothing done (sheet 2.1)."""
        return {"response": "OK" if call.posted else []}

    def core_restart(self, call: Call) -> object:
        """`core/service/restart/wireguard/<uuid>`: that instance made anew."""
        if not call.posted:
            return {"result": "failed"}
        uuid = call.parameter(1)
        if call.parameter() == "wireguard":
            for instance in self.instances():
                if instance.uuid == uuid:
                    self._box.kernel.restart(instance)
            self._box.changed()
        return {"result": "ok"}

    def show(self, call: Call) -> object:
        """The kernel's truth, keys stripped (sheet 3.2)."""
        rows = self._all_rows()
        kinds = call.post.get("type")
        if isinstance(kinds, list) and kinds:
            rows = [row for row in rows if row["type"] in kinds]
        shown = grid.page(rows, call.post, every=9999)
        return {name: shown[name] for name in ("total", "rowCount", "current", "rows")}

    def text(self, call: Call) -> object:
        """Both showconf and showhandshake, until 23.7."""
        lines = [f"{row['if']}\t{row['public-key']}" for row in self._all_rows()]
        return {"response": "\n".join(lines)}

    # --- rows -----------------------------------------------------------------------------------------------------------

    def _all_rows(self) -> list[dict[str, Any]]:
        names = self._names()
        devices = sorted(self._box.kernel.devices.values(), key=lambda one: one.name)
        return [row for device in devices for row in self._rows(device, names)]

    def _rows(self, device: Device, names: Mapping[str, str]) -> list[dict[str, Any]]:
        servers = self._box.store.current[SERVERS].values()
        ifname = next((one["name"] for one in servers if f"wg{one['instance']}" == device.name), None)
        head: dict[str, Any] = {
            "if": device.name,
            "type": "interface",
            "public-key": device.public_key,
            "listen-port": str(device.port),
            "fwmark": "off",
            "endpoint": str(device.port),
            "status": "up" if device.up else "down",
            "name": names.get(device.public_key, ""),
        }
        rows = [head | self._age(0) | {"ifname": ifname}]
        rows += [self._peer_row(device, peer, names) | {"ifname": ifname} for peer in device.peers.values()]
        return rows

    def _peer_row(self, device: Device, peer: Peer, names: Mapping[str, str]) -> dict[str, Any]:
        handshake = self._box.handshake(device.name, peer.public_key)
        at = 0 if handshake is None else int(self._box.wall_at(handshake.at))
        endpoint = peer.endpoint if handshake is None else handshake.endpoint
        row: dict[str, Any] = {
            "if": device.name,
            "type": "peer",
            "public-key": peer.public_key,
            "endpoint": "(none)" if endpoint is None else _joined(*endpoint),
            "allowed-ips": ",".join(peer.allowed_ips) or "(none)",
            "latest-handshake": at,
            "transfer-rx": 0 if handshake is None else handshake.received,
            "transfer-tx": _tried(peer) if handshake is None else handshake.sent,
            "persistent-keepalive": str(peer.keepalive or "off"),
            "name": names.get(peer.public_key, ""),
        }
        return row | self._age(at)

    def _age(self, at: int) -> dict[str, Any]:
        """From 25.1.2 (sheet 3.2)."""
        if not self._box.release.since(25, 1, 2):
            return {}
        age = int(self._box.wall_time()) - at if at else None
        return {
            "latest-handshake-age": age,
            "latest-handshake-epoch": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) if at else None,
            "peer-status": "offline" if age is None else "online" if age <= ONLINE else "stale",
        }

    def _names(self) -> Mapping[str, str]:
        """By key, wherever it stands: an instance stored without public key has no name here (captures 9)."""
        config = self._box.store.current
        records = [record for section in (SERVERS, CLIENTS) for record in reversed(config[section].values())]
        return {record["pubkey"]: record["name"] for record in records}


def _tried(peer: Peer) -> int:
    """Bytes of the handshake initiation of a peer that keeps dialling and hears nothing (captures 9)."""
    return 148 if peer.endpoint is not None and peer.keepalive else 0


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if is_address(host) and ":" in host else f"{host}:{port}"


def actions(box: Box, service: Service) -> Actions:
    """Every endpoint of this release."""
    prefix = "wireguard/service"
    found = {
        f"{prefix}/reconfigure": Action(service.reconfigure),
        f"{prefix}/status": Action(service.status),
        **{f"{prefix}/{name}": Action(service.nothing) for name in ("start", "stop", "restart")},
        "core/service/restart": Action(service.core_restart, 1),
    }
    if box.release.since(23, 7):
        found[f"{prefix}/show"] = Action(service.show)
    if not box.release.since(24, 1):
        found |= {f"{prefix}/{name}": Action(service.text) for name in ("showconf", "showhandshake")}
    return found
