"""Objects on the bus: netifd's, procd's, and those of rpcd while it runs (sheet 3.2 to 3.6, captures 3, 4 and 8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from . import _init, _wireguard
from ._netifd import NetInterface

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

Message: TypeAlias = dict[str, object]
Method: TypeAlias = Callable[[Message], "Message | None"]

STATUS: Final = (
    "Success", "Invalid command", "Invalid argument", "Method not found", "Not found", "No response", "Permission denied",
    "Request timed out", "Operation not supported", "Unknown error", "Connection failed", "Out of memory",
    "Parsing message data failed", "System error",
)  # fmt: skip
"""Words of the bus by status."""


class UbusError(Exception):
    """A call fails with a status; `said` is what a daemon printed on the way."""

    def __init__(self, status: int, *said: str) -> None:
        super().__init__(STATUS[status])
        self.status = status
        self.said = said


def objects(router: OpenWrtSimulator) -> dict[str, dict[str, Method]]:
    """Every object that is on the bus now."""
    found: dict[str, dict[str, Method]] = {
        "service": {"list": lambda message: _services(router, message), "event": lambda message: _event(router, message)},
        "system": {"board": lambda message: router.board, "info": lambda message: _info(router)},
        "log": {},
        "hotplug.button": {},
        "hotplug.iface": {},
    }
    if router.netifd.running:
        found |= _network(router)
    if router.services.get("rpcd"):
        found |= router.rpcd.objects()
    return found


def text_of(message: Message, key: str) -> str:
    """A string argument, empty when it is not given. Raises UbusError when it is something else."""
    value = message.get(key, "")
    if not isinstance(value, str):
        raise UbusError(2)
    return value


# --------------------------------------------------------------------------------------------------------- network
def _network(router: OpenWrtSimulator) -> dict[str, dict[str, Method]]:
    netifd = router.netifd

    def reload(message: Message) -> None:
        netifd.reload()

    def restart(message: Message) -> None:
        netifd.stop()
        netifd.start()

    def named(message: Message) -> NetInterface:
        interface = netifd.interfaces.get(text_of(message, "interface"))
        if interface is None:
            raise UbusError(4)
        return interface

    def handlers(message: Message) -> Message:
        return {name: _handler(router, name) for name in ["static", "dhcp", *netifd.handlers]}

    def dump(message: Message) -> Message:
        return {"interface": [{"interface": one.name, **status(router, one)} for one in netifd.interfaces.values()]}

    found: dict[str, dict[str, Method]] = {
        "network": {"reload": reload, "restart": restart, "get_proto_handlers": handlers},
        "network.device": {"status": lambda message: _devices(router, message)},
        "network.interface": {"dump": dump, "status": lambda message: status(router, named(message))},
        "network.wireless": {},
    }
    for verb, act in (("up", netifd.up), ("down", netifd.down), ("renew", netifd.renew)):
        found["network.interface"][verb] = _on_name(lambda message, act=act: act(named(message).name))  # type: ignore[misc]  # the default binds the loop variable
    for interface in netifd.interfaces.values():
        found[f"network.interface.{interface.name}"] = _of_interface(router, interface)
    return found


def _on_name(act: Callable[[Message], None]) -> Method:
    def method(message: Message) -> None:
        act(message)

    return method


def _of_interface(router: OpenWrtSimulator, interface: NetInterface) -> dict[str, Method]:
    netifd, name = router.netifd, interface.name
    return {
        "up": _on_name(lambda message: netifd.up(name)),
        "down": _on_name(lambda message: netifd.down(name)),
        "renew": _on_name(lambda message: netifd.renew(name)),
        "status": lambda message: status(router, interface),
        "prepare": lambda message: None,
    }


def _handler(router: OpenWrtSimulator, name: str) -> Message:
    declared = _wireguard.DECLARED[router.handler] if name == "wireguard" else {}
    renews = _wireguard.renews(router.handler) if name == "wireguard" else name == "dhcp"
    return {
        **({"validate": dict(declared)} if declared else {}),
        "immediate": name == "static",
        "no_device": False,
        "init_available": name == "wireguard",
        "renew_available": renews,
        "force_link_default": name == "static",
        "last_error": False,
        "teardown_on_l3_link_down": False,
        "no_task": name == "wireguard",
    }


def status(router: OpenWrtSimulator, interface: NetInterface) -> Message:
    """What `network.interface.NAME status` answers, keys in netifd's order."""
    shown: Message = {
        "up": interface.up,
        "pending": interface.pending,
        "available": interface.available,
        "autostart": interface.autostart,
        "dynamic": False,
    }
    if interface.up:
        shown |= {"uptime": int(router.clock.now() - interface.up_at), "l3_device": interface.device}
    shown["proto"] = interface.proto
    if interface.device and interface.proto != "wireguard":
        shown["device"] = interface.device
    if interface.up:
        shown |= _details(interface)
    shown["data"] = {}
    if interface.error and not interface.up:
        shown["errors"] = [{"subsystem": "interface", "code": interface.error}]
    return shown


def _details(interface: NetInterface) -> Message:
    addresses = {
        version: [
            {"address": str(one.ip), "mask": one.network.prefixlen} for one in interface.addresses if one.version == version
        ]
        for version in (4, 6)
    }
    routes = []
    for target, hop in interface.routes:
        network = ipaddress.ip_network(target)
        source = "0.0.0.0/0" if network.version == 4 else "::/0"
        routes.append({"target": str(network.network_address), "mask": network.prefixlen, "nexthop": hop, "source": source})
    empty = ("ipv4-address", "ipv6-address", "route", "dns-server", "dns-search", "neighbors")
    return {
        **({"updated": list(interface.updated)} if interface.updated else {}),
        "metric": interface.metric,
        "dns_metric": 0,
        "delegation": True,
        "ipv4-address": addresses[4],
        "ipv6-address": addresses[6],
        "ipv6-prefix": [],
        "ipv6-prefix-assignment": [],
        "route": routes,
        "dns-server": [],
        "dns-search": [],
        "neighbors": [],
        "inactive": {key: [] for key in empty},
    }


def _devices(router: OpenWrtSimulator, message: Message) -> Message:
    name = text_of(message, "name")
    devices = router.kernel.devices
    shown: Message = {
        device.name: {
            "external": device.kind == "wireguard",
            "present": True,
            "type": "Network device",
            "up": device.up,
            "carrier": device.up,
            "mtu": device.mtu,
        }
        for device in devices.values()
    }
    if not name:
        return shown
    found = shown.get(name)
    if not isinstance(found, dict):
        raise UbusError(4)
    return found


# ----------------------------------------------------------------------------------------------------------- procd
def _services(router: OpenWrtSimulator, message: Message) -> Message:
    name, commands = (
        text_of(message, "name"),
        {"network": "/sbin/netifd", "rpcd": "/sbin/rpcd", "dropbear": "/usr/sbin/dropbear", "cron": "/usr/sbin/crond"},
    )
    shown: Message = {}
    for number, service in enumerate(sorted(router.services)):
        if name in {"", service} and router.services[service]:
            instance = {
                "running": True,
                "pid": 1000 + number,
                "command": [commands.get(service, f"/usr/sbin/{service}")],
                "term_timeout": 5,
                "limits": {"core": "unlimited"},
                "respawn": {"threshold": 3600, "timeout": 5, "retry": 5},
            }
            shown[service] = {"instances": {"instance1": instance} if service in commands else {}}
    return shown


def _event(router: OpenWrtSimulator, message: Message) -> None:
    kind = message.get("type")
    if not isinstance(kind, str):
        raise UbusError(2)
    data = message.get("data")
    if kind == "config.change" and isinstance(data, dict):
        _init.config_changed(router, str(data.get("package", "")))


def _info(router: OpenWrtSimulator) -> Message:
    return {
        "localtime": int(router.wall()),
        "uptime": int(router.uptime),
        "load": [655, 1310, 1310],
        "memory": {"total": 125894656, "free": 71303168, "shared": 696320, "buffered": 4096, "available": 79691776,
                   "cached": 22020096},
        "root": {"total": 9984, "free": router.flash_free, "used": 9984 - router.flash_free, "avail": router.flash_free},
        "tmp": {"total": 61472, "free": 60800, "used": 672, "avail": 60800},
        "swap": {"total": 0, "free": 0},
    }  # fmt: skip
