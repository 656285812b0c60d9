"""netifd: interfaces out of /etc/config/network, what a reload compares, what `ifup` and `renew` do (sheet 3.2 and 3.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ...model import IPInterface
from ..linux._kernel import Denied, RouteEntry
from . import _wireguard
from ._ucifile import Package, Section, Value
from ._ucistore import UciError

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

RETRY: Final = 5.0
"""Seconds between two tries of a setup that fails."""

_SIMPLE: Final = frozenset({"static", "dhcp", "none"})


@dataclass
class NetInterface:
    """One interface as netifd holds it. `compared`: what a reload compares; `section`: its options when last read.

    `routes`: target, next hop. `host_routes`: routes to endpoints, put on the uplink. `uplinks`: devices
    that its endpoints are reached by, when it depends on them. `tries`: names asked for in vain;
    `process`: number of the handler's process, for its lines in the log.
    """

    name: str
    proto: str
    section: Section
    compared: object
    up: bool = False
    pending: bool = False
    available: bool = True
    autostart: bool = True
    up_at: float = 0.0
    device: str = ""
    error: str = ""
    tries: int = 0
    process: int = 0
    updated: list[str] = field(default_factory=list)
    addresses: list[IPInterface] = field(default_factory=list)
    routes: list[tuple[str, str]] = field(default_factory=list)
    host_routes: list[RouteEntry] = field(default_factory=list)
    uplinks: set[str] = field(default_factory=set)

    @property
    def metric(self) -> int:
        """Of its routes."""
        text = self.section.options.get("metric", "0")
        return int(text) if isinstance(text, str) and text.isdigit() else 0


class Netifd:
    """One daemon. `handlers` are read when it starts: packages installed later need a restart (sheet 6)."""

    def __init__(self, router: OpenWrtSimulator) -> None:
        self.router = router
        self.interfaces: dict[str, NetInterface] = {}
        self.handlers: list[str] = []
        self.running = False

    # --- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read handlers and configuration, bring up what starts by itself."""
        folder = self.router.root_path / "lib/netifd/proto"
        self.handlers = sorted({path.stem for path in folder.glob("*.*")})
        self.running = True
        self.reload()

    def stop(self) -> None:
        """Everything down."""
        for interface in list(self.interfaces.values()):
            self._teardown(interface)
        self.interfaces.clear()
        self.running = False

    def package(self) -> Package:
        """`network` as libuci gives it to a daemon: committed and staged edits alike."""
        try:
            return self.router.store.load("network")
        except UciError:
            return Package("network")

    # --- reload --------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Build every interface again and compare."""
        package = self.package()
        wanted = {section.name: section for section in package.of_type("interface") if not self._disabled(section)}
        for name in [name for name in self.interfaces if name not in wanted]:
            self._teardown(self.interfaces.pop(name))
        for name, section in wanted.items():
            self._reload_one(name, section, package)

    def _disabled(self, section: Section) -> bool:
        return section.options.get("disabled") in ({"1", "true"} if self.router.netifd_2026 else {"1"})

    def _reload_one(self, name: str, section: Section, package: Package) -> None:
        proto = self._proto(section)
        compared = self._compared(section, proto, package)
        old = self.interfaces.get(name)
        if old is None or old.proto != proto:
            if old is not None:
                self._teardown(old)
            self.interfaces[name] = fresh = NetInterface(name, proto, section, compared)
            fresh.autostart = section.options.get("auto", "1") not in {"0", "false", "off", "no"}
            fresh.device = self._text(section, "device") or self._text(section, "ifname")
            if fresh.autostart:
                self._setup(fresh)
            return
        generic = [old.section.options.get(key) != section.options.get(key) for key in _wireguard.GENERIC]
        old.section = section
        if old.compared != compared:
            old.compared = compared
            if old.up or old.pending:
                self._teardown(old)
                self._setup(old)
        elif any(generic) and old.up:
            self._reapply(old)

    def _proto(self, section: Section) -> str:
        proto = self._text(section, "proto") or "none"
        return proto if proto in _SIMPLE or proto in self.handlers else "none"

    def _compared(self, section: Section, proto: str, package: Package) -> object:
        if proto == "wireguard":
            return _wireguard.compared(self.router.handler, section, package)
        return {key: value for key, value in section.options.items() if key not in _wireguard.GENERIC}

    @staticmethod
    def _text(section: Section, option: str) -> str:
        value = section.options.get(option, "")
        return value if isinstance(value, str) else " ".join(value)

    # --- up and down ---------------------------------------------------------------------------------------------------

    def up(self, name: str) -> None:
        """As `ubus call network.interface.NAME up`."""
        interface = self.interfaces[name]
        interface.autostart = True
        # What waits for its uplink goes on waiting, whatever was changed in its options (capture 10).
        if not interface.up and not interface.pending and interface.available:
            self._setup(interface)

    def down(self, name: str) -> None:
        """As `ubus call network.interface.NAME down`: a reload does not bring it back."""
        interface = self.interfaces[name]
        interface.autostart = False
        self._teardown(interface)

    def renew(self, name: str) -> None:
        """Setup in place where the handler can (H2); nothing otherwise, and no error (sheet 3.6)."""
        interface = self.interfaces[name]
        if interface.proto == "wireguard" and interface.up and _wireguard.renews(self.router.handler):
            self.router.after("renew", name, lambda: _wireguard.renew(self, interface))

    def _setup(self, interface: NetInterface) -> None:
        if interface.proto == "none" and not interface.device:
            interface.available, interface.error = False, "NO_DEVICE"
            return
        if interface.proto == "wireguard":
            interface.pending = True
            self.log(f"Interface '{interface.name}' is setting up now")
            self.router.after("setup", interface.name, lambda: self._run_handler(interface))
            return
        self._setup_simple(interface)

    def _run_handler(self, interface: NetInterface) -> None:
        if self.interfaces.get(interface.name) is interface and interface.pending:
            interface.process, interface.tries = self.router.next_pid(), 0
            _wireguard.setup(self, interface)

    def said(self, interface: NetInterface, text: str) -> None:
        """A line of the handler's in the log."""
        self.log(f"{interface.name} ({interface.process}): {text}")

    def failed(self, interface: NetInterface, words: str) -> None:
        """The handler gave up: words to the log, and again in five seconds."""
        for line in words.split("\n"):
            self.said(interface, line)
        interface.up, interface.pending = False, True
        self.router.agenda.at(f"retry {interface.name}", RETRY, lambda: self._retry(interface, again=True))

    def later(self, interface: NetInterface, seconds: float) -> None:
        """The handler's process waits and goes on."""
        self.router.agenda.at(f"retry {interface.name}", seconds, lambda: self._retry(interface, again=False))

    def _retry(self, interface: NetInterface, *, again: bool) -> None:
        with self.router.locked():
            if self.interfaces.get(interface.name) is interface and interface.pending:
                if again:
                    self.log(f"Interface '{interface.name}' is now down")
                    self.log(f"Interface '{interface.name}' is setting up now")
                    interface.process = self.router.next_pid()
                _wireguard.setup(self, interface)
        self.router.touched()

    def unavailable(self, interface: NetInterface) -> None:
        """No route to an endpoint: withdrawn until the uplink is back (sheet 10)."""
        self._teardown(interface)
        # There are errors then (capture 10); the recording does not show which. NO_DEVICE is the one the sheet knows.
        interface.available, interface.error = False, "NO_DEVICE"

    def came_up(self, interface: NetInterface) -> None:
        """Log, hotplug, and whoever waited for a route."""
        interface.up, interface.pending, interface.available = True, False, True
        interface.up_at = self.router.clock.now()
        interface.updated = ["addresses", "routes"]
        self.log(f"Interface '{interface.name}' is now up")
        if interface.proto == "wireguard":
            self.log(f"Network device '{interface.device}' link is up")
        self.router.hotplug("ifup", interface.name, interface.device)
        for other in list(self.interfaces.values()):
            if other.proto == "wireguard" and not other.available and other.autostart:
                other.available = True
                self._setup(other)

    def _teardown(self, interface: NetInterface) -> None:
        self.router.agenda.cancel(f"setup {interface.name}")
        self.router.agenda.cancel(f"retry {interface.name}")
        was = interface.up
        kernel = self.router.kernel
        if interface.proto == "wireguard":
            if interface.name in kernel.devices:
                if was:
                    self.log(f"Network device '{interface.name}' link is down")
                kernel.delete_device(interface.name)
        else:
            for address in interface.addresses:
                if interface.device in kernel.devices and address in kernel.devices[interface.device].addresses:
                    kernel.delete_address(interface.device, address)
            gone = [entry for entry in kernel.routes if entry.device == interface.device and entry.protocol == "static"]
            kernel.routes = [entry for entry in kernel.routes if entry not in gone]
        kernel.routes = [entry for entry in kernel.routes if entry not in interface.host_routes]
        if was or interface.pending:
            self.log(f"Interface '{interface.name}' is now down")
        interface.up = interface.pending = False
        interface.addresses, interface.routes, interface.host_routes, interface.updated = [], [], [], []
        interface.uplinks = set()
        if was and interface.proto != "wireguard":
            for other in list(self.interfaces.values()):
                if interface.device in other.uplinks:
                    self.unavailable(other)

    # --- static and dhcp -----------------------------------------------------------------------------------------------

    def _setup_simple(self, interface: NetInterface) -> None:
        kernel = self.router.kernel
        if interface.device not in kernel.devices:
            interface.available, interface.error = False, "NO_DEVICE"
            return
        interface.available, interface.error = True, ""
        addresses, gateway = self._addressing(interface)
        kernel.set_up(interface.device, True)
        for address in addresses:
            if address not in kernel.devices[interface.device].addresses:
                kernel.add_address(interface.device, address)
        interface.addresses = addresses
        self._default_route(interface, gateway)
        self.came_up(interface)

    def _addressing(self, interface: NetInterface) -> tuple[list[IPInterface], str]:
        if interface.proto == "dhcp":
            return self.router.lease()
        if interface.proto != "static":
            return [], ""
        found = [ipaddress.ip_interface(text) for text in self._addresses(interface.section)]
        return found, self._text(interface.section, "gateway")

    def _addresses(self, section: Section) -> Iterator[str]:
        netmask = self._text(section, "netmask")
        for text in listed(section.options.get("ipaddr")) + listed(section.options.get("ip6addr")):
            yield text if "/" in text or not netmask else f"{text}/{netmask}"

    def _default_route(self, interface: NetInterface, gateway: str) -> None:
        if not gateway:
            return
        hop = ipaddress.ip_address(gateway)
        prefix = ipaddress.ip_network("0.0.0.0/0" if hop.version == 4 else "::/0")
        self.add_route(RouteEntry(prefix, interface.device, hop, "static", interface.metric))
        interface.routes.append((str(prefix), gateway))

    def _reapply(self, interface: NetInterface) -> None:
        kernel = self.router.kernel
        mine = [entry for entry in kernel.routes if entry.device == interface.device and entry.protocol == "static"]
        kernel.routes = [entry for entry in kernel.routes if entry not in mine]
        for entry in mine:
            self.add_route(RouteEntry(entry.prefix, entry.device, entry.via, "static", interface.metric, entry.scope))

    def add_route(self, entry: RouteEntry) -> bool:
        """False if there is one like it on another interface: it loses (sheet 10)."""
        kernel = self.router.kernel
        if any((one.prefix, one.metric, one.table) == (entry.prefix, entry.metric, entry.table) for one in kernel.routes):
            return False
        kernel.routes = [*kernel.routes, entry]
        return True

    def log(self, text: str) -> None:
        """A line of netifd's in the system log."""
        self.router.log("daemon.notice", "netifd", text)


def listed(value: Value | None) -> list[str]:
    """A list, or the words of a scalar: `config_get` flattens both to the same."""
    return [] if value is None else value.split() if isinstance(value, str) else [word for one in value for word in one.split()]


__all__ = ["Denied", "NetInterface", "Netifd", "listed"]
