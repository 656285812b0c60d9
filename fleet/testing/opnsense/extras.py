"""Static routes, gateways, interfaces and their assignment, firmware, API keys (sheet 4, 7, 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

from ..ether import Packet
from . import checks, grid
from .call import Action, Actions, Call
from .fields import Field, Fields
from .records import Explicit, failed
from .refusal import php_error
from .store import Config, copied
from .wgmodels import flag

if TYPE_CHECKING:
    from .box import Box

PORTS: Final = "interfaces"
_BUILT_IN: Final = {"Null4": "Null4 - 127.0.0.1", "Null6": "Null6 - ::1", "WAN_DHCP6": "WAN_DHCP6 - inet6"}


class Routes(Explicit):
    """`route`: network, gateway, and a switch whose name changed with 26.1 (captures, part A)."""

    def set(self, call: Call) -> object:
        """The code indexes the posted network: without one it breaks (sheet 4)."""
        posted = call.root(self.root)
        if posted is not None and "network" not in posted:
            raise php_error()
        return super().set(call)

    def check(self, config: Config, key: str, values: Mapping[str, str], prefix: str) -> dict[str, Any]:
        """The gateway speaks the network's protocol."""
        wrong = super().check(config, key, values, prefix)
        gateway = next((one for one in config["gateways"].values() if one["name"] == values["gateway"]), None)
        if gateway is not None and (":" in values["network"]) != (":" in gateway["gateway"]):
            wrong[f"{prefix}.gateway"] = _wrong_gateway("", None)
        return wrong


def _wrong_gateway(value: str, release: object) -> str:
    return "Specify a valid gateway from the list matching the networks ip protocol."


def _gateway_names(_box: Box, config: Config) -> Mapping[str, str]:
    return _BUILT_IN | {one["name"]: f"{one['name']} - {one['gateway']}" for one in config["gateways"].values()}


def _port_names(_box: Box, config: Config) -> Mapping[str, str]:
    return {key: record["descr"] or key.upper() for key, record in config[PORTS].items()}


class Routing:
    """Stored routes and gateways, and those that run."""

    def __init__(self, box: Box) -> None:
        self._box = box
        new = box.release.since(26, 1)
        route: Fields = (
            Field("network", checks.networks(mask=True), required=True, lower=True),
            Field("gateway", required=True, shape="options", choices=_gateway_names, unknown=_wrong_gateway),
            Field("descr"),
            flag("enabled", "1") if new else flag("disabled", "0"),
        )
        self._routes = Routes(box, "routes", "route", route)
        gateway: Fields = (
            flag("disabled", "0"),
            Field("name", checks.masked(r"[a-zA-Z0-9_\-]{1,32}", "Invalid name."), required=True),
            Field("descr"),
            Field("interface", required=True, shape="options", choices=_port_names),
            Field("ipprotocol", checks.masked("inet6?", "Invalid protocol."), "inet", required=True),
            Field("gateway", checks.addresses("Please specify a valid gateway address.")),
            flag("monitor_disable", "1"),
        )
        self._gateways = Explicit(box, "gateways", "gateway_item", gateway)
        self._running: tuple[tuple[str, str], ...] = ()

    def actions(self) -> Actions:
        """Endpoints."""
        found = {
            **self._routes.actions("routes/routes", "route"),
            "routes/routes/reconfigure": Action(self._reconfigure),
        }
        if self._box.release.since(24, 1):
            found |= self._gateways.actions("routing/settings", "gateway")
            found["routing/settings/reconfigure"] = Action(self._reconfigure)
        return found

    def _reconfigure(self, call: Call) -> object:
        if not call.posted:
            return {"status": "failed"}
        self.apply()
        return {"status": "ok"}

    def apply(self) -> None:
        """Stored routes run: (prefix, gateway's interface)."""
        config = self._box.store.current
        by_name = {one["name"]: one["interface"] for one in config["gateways"].values() if one["disabled"] == "0"}
        self._running = tuple(
            (record["network"], by_name[record["gateway"]])
            for record in config["routes"].values()
            if record["gateway"] in by_name and record.get("disabled", "0") == "0" and record.get("enabled", "1") == "1"
        )
        self._box.changed()

    def running(self) -> Iterator[tuple[str, str]]:
        """(prefix, device or port) of routes whose interface is there."""
        ports = self._box.store.current[PORTS]
        for prefix, key in self._running:
            port = ports.get(key, {})
            device = port.get("if", "")
            if port.get("enable") != "1":
                continue
            if device in self._box.kernel.devices:
                yield prefix, device
            elif port.get("ipaddr"):
                yield prefix, key

    def device_keys(self) -> dict[str, str]:
        """Device -> assigned interface."""
        return {record["if"]: key for key, record in list(self._box.store.current[PORTS].items())}

    def masquerades(self, packet: Packet) -> bool:
        """On an assigned tunnel with a gateway, unless excluded; its own addresses stay."""
        device = packet.out_interface or ""
        key = self.device_keys().get(device)
        running = self._box.kernel.devices.get(device)
        if key is None or running is None or self._box.store.current[PORTS][key].get("enable") != "1":
            return False
        if any(address.split("/")[0] == packet.source for address in running.addresses):
            return False
        gateways = self._box.store.current["gateways"].values()
        return any(one["interface"] == key for one in gateways) and not self._box.filter.loaded.excluded(packet)


class Assignment:
    """`/api/interfaces/assignment`, 26.7 and later: descr, if, lock; no way to enable on 26.7 (sheet 4)."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def search(self, call: Call) -> object:
        """Ports and what they are called."""
        rows = [
            {
                "uuid": key,
                "descr": record["descr"],
                "%descr": record["descr"] or key.upper(),
                "identifier": key,
                "icon": "fa fa-plug text-success",
                "optgroup": "hardware" if record["if"].startswith("em") else "wireguard",
                "if": record["if"],
                "%if": f"{record['if']} (02:00:00:00:00:0{place})",
                "lock": record.get("lock", "0"),
            }
            for place, (key, record) in enumerate(self._box.store.current[PORTS].items())
        ]
        return grid.page(rows, call.post)

    def get(self, call: Call) -> object:
        """One of them."""
        record = self._box.store.current[PORTS].get(call.parameter() or "")
        shown = {"if": record["if"], "descr": record["descr"], "lock": record.get("lock", "0")} if record else None
        return {"interface": shown} if shown else []

    def add(self, call: Call) -> object:
        """The next optN; it stays disabled."""
        posted = call.root("interface")
        if posted is None:
            return {"result": "failed"}
        ports = self._box.store.current[PORTS]
        key = next(f"opt{number}" for number in range(1, 1000) if f"opt{number}" not in ports)
        return self._write(call, key, posted)

    def set(self, call: Call) -> object:
        """Change one."""
        posted, key = call.root("interface"), call.parameter() or ""
        if posted is None or key not in self._box.store.current[PORTS]:
            return {"result": "failed"}
        return self._write(call, key, posted)

    def _write(self, call: Call, key: str, posted: Mapping[str, object]) -> object:
        self._box.may_write(call)
        draft = copied(self._box.store.current)
        record = {"if": "", "descr": "", "lock": "0", **draft[PORTS].get(key, {})}
        record |= {name: str(posted[name]) for name in ("if", "descr", "lock") if name in posted}
        if any(other != key and one["if"] == record["if"] for other, one in draft[PORTS].items()):
            return failed({"interface.if": "Can not assign a device to more interfaces."})
        draft[PORTS][key] = record
        self._box.save(call, draft)
        return {"result": "saved", "uuid": key}

    def delete(self, call: Call) -> object:
        """Give the device up; a locked one stays."""
        key = call.parameter() or ""
        record = self._box.store.current[PORTS].get(key)
        if not call.posted or record is None or record.get("lock") == "1":
            return {"result": "failed" if call.posted and record is not None else "not found"}
        draft = copied(self._box.store.current)
        del draft[PORTS][key]
        self._box.save(call, draft)
        return {"result": "deleted"}

    def reconfigure(self, call: Call) -> object:
        """Pending changes take effect."""
        self._box.changed()
        return {"status": "ok" if call.posted else "failed"}


def actions(box: Box) -> Actions:
    """Assignment, overview, firmware and API keys of this release."""
    found = {
        "core/firmware/status": Action(lambda call: _firmware_status(box)),
        "core/firmware/info": Action(lambda call: _firmware_info(box)),
    }
    if box.release.since(24, 1):
        found["interfaces/overview/export"] = Action(lambda call: overview(box))
        found["interfaces/overview/interfacesinfo"] = Action(lambda call: grid.page(overview(box), call.post))
    if box.release.since(25, 1):
        found["auth/user/addapikey"] = Action(lambda call: _add_key(box, call), 1)
        found["auth/user/searchapikey"] = Action(lambda call: _search_keys(box, call))
    if box.release.since(26, 7):
        assignment = Assignment(box)
        prefix = "interfaces/assignment"
        found |= {
            f"{prefix}/searchitem": Action(assignment.search),
            f"{prefix}/getitem": Action(assignment.get),
            f"{prefix}/additem": Action(assignment.add),
            f"{prefix}/setitem": Action(assignment.set, 1),
            f"{prefix}/delitem": Action(assignment.delete, 1),
            f"{prefix}/reconfigure": Action(assignment.reconfigure),
        }
    return found


def overview(box: Box) -> list[dict[str, Any]]:
    """Every interface, assigned or not, with its addresses. The sheet names the endpoint only: the shape is unverified."""
    rows: list[dict[str, Any]] = []
    ports = box.store.current[PORTS]
    for key, record in ports.items():
        device = box.kernel.devices.get(record["if"])
        addresses = list(device.addresses) if device else [one for one in (record.get("ipaddr", ""),) if one]
        rows.append(_overview_row(record["if"], key, record["descr"] or key.upper(), record.get("enable") == "1", addresses))
    assigned = {record["if"] for record in ports.values()}
    return rows + [
        _overview_row(device.name, "", "Unassigned Interface", True, list(device.addresses))
        for device in box.kernel.devices.values()
        if device.name not in assigned
    ]


def _overview_row(device: str, key: str, title: str, enabled: bool, addresses: list[str]) -> dict[str, Any]:
    four = [one for one in addresses if ":" not in one]
    six = [one for one in addresses if ":" in one]
    return {
        "device": device,
        "identifier": key,
        "description": title,
        "enabled": enabled,
        "status": "up",
        "link_type": "dhcp" if key == "wan" else "static" if key == "lan" else "none",
        "addr4": four[0] if four else "",
        "addr6": six[0] if six else "",
        "ipv4": [{"ipaddr": one} for one in four],
        "ipv6": [{"ipaddr": one} for one in six],
        "routes": [str(ip_network(one, strict=False)) for one in addresses],
    }


def _firmware_status(box: Box) -> object:
    product = {"product_id": "opnsense", "product_version": box.release.text}
    return {"product_version": box.release.text, "product": product, "status": "none", "status_msg": "No updates available."}


def _firmware_info(box: Box) -> object:
    plugins = [] if box.release.since(24, 1) else [{"name": "os-wireguard", "installed": "1"}]
    return {"product_id": "opnsense", "product_version": box.release.text, "package": [], "plugin": plugins}


def _add_key(box: Box, call: Call) -> object:
    user = box.users.by_name.get(call.parameter() or "")
    if not call.posted or user is None:
        return {"result": "failed"}
    key, secret = user.add_key()
    return {"result": "ok", "hostname": f"{box.name}.internal", "key": key, "secret": secret}


def _search_keys(box: Box, call: Call) -> object:
    rows = [{"username": user.name, "key": key} for user in box.users.by_name.values() for key in user.keys]
    shown = grid.page(rows, call.post)
    return {name: shown[name] for name in ("total", "rowCount", "current", "rows")}
