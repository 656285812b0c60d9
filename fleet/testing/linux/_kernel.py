"""What the simulated kernel holds: devices, addresses, routes, WireGuard peers, sysctls. Lost at a reboot."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ...model import IPAddress, IPInterface, IPNetwork


class NoSuchDevice(Exception):
    """There is no device of that name."""


class Denied(Exception):
    """The kernel says no, in the words the netlink library prints."""


@dataclass
class WgPeer:
    """A peer as the kernel has it: `endpoint` is always an address, `keepalive` in seconds, 0 for off.

    `endpoint_at` is when somebody set it, on the host's clock: what was learned since then counts more.
    """

    public_key: str
    preshared_key: str | None = None
    endpoint: tuple[str, int] | None = None
    endpoint_at: float = 0.0
    allowed_ips: tuple[IPNetwork, ...] = ()
    keepalive: int = 0


@dataclass
class WgDevice:
    """The WireGuard half of a device. Keys in base64."""

    private_key: str | None = None
    listen_port: int = 0
    fwmark: int = 0
    peers: dict[str, WgPeer] = field(default_factory=dict)

    @property
    def public_key(self) -> str | None:
        """The public half, None without a private key."""
        return None if self.private_key is None else public_half(self.private_key)

    def claim(self, peer: WgPeer, prefix: IPNetwork) -> None:
        """Cryptokey routing: the prefix belongs to this peer from now on and to no other."""
        for other in self.peers.values():
            if prefix in other.allowed_ips and other is not peer:
                other.allowed_ips = tuple(one for one in other.allowed_ips if one != prefix)
        if prefix not in peer.allowed_ips:
            peer.allowed_ips = (*peer.allowed_ips, prefix)


@dataclass
class Device:
    """A network device; `kind` is loopback, ether, bridge, dummy or wireguard."""

    name: str
    index: int
    kind: str
    mtu: int = 1500
    up: bool = False
    addresses: list[IPInterface] = field(default_factory=list)
    alias: str = ""
    wg: WgDevice | None = None

    @property
    def mac(self) -> str:
        """A stable locally administered address."""
        raw = hashlib.sha256(self.name.encode()).digest()[:5]
        return ":".join(["02", *(f"{byte:02x}" for byte in raw)])


@dataclass(frozen=True)
class RouteEntry:
    """One route. `scope` is the word `ip` prints, empty for global; `kind` unicast, unreachable, blackhole, prohibit."""

    prefix: IPNetwork
    device: str | None = None
    via: IPAddress | None = None
    protocol: str = ""
    metric: int = 0
    scope: str = ""
    table: str = "main"
    source: IPAddress | None = None
    kind: str = "unicast"
    onlink: bool = False


@dataclass(frozen=True)
class RuleEntry:
    """One policy rule, as the text behind its priority."""

    priority: int
    version: int
    text: str


def public_half(private_key: str) -> str:
    """The public key of a private key, both in base64."""
    raw = base64.b64decode(private_key)
    return base64.b64encode(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()).decode()


def is_key(text: str) -> bool:
    """True for 44 characters of base64 that are 32 bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(raw) == 32 and base64.b64encode(raw).decode() == text


def clamped(raw: bytes) -> str:
    """A private key as the kernel and `wg genkey` keep it: bits of Curve25519 cleared and set."""
    key = bytearray(raw)
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return base64.b64encode(bytes(key)).decode()


_SYSCTLS = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv6.conf.default.forwarding": "0",
    "net.ipv4.conf.all.forwarding": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.src_valid_mark": "0",
    "net.ipv4.conf.all.promote_secondaries": "0",
    "kernel.hostname": "linux",
    "kernel.osrelease": "6.1.0-26-amd64",
}

_NAMED_PROTOCOLS = {0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 16: "dhcp", 186: "bgp", 188: "ospf"}


class Kernel:
    """The running state. Not locked: each operation replaces small values, readers copy collections first."""

    def __init__(self, hostname: str, *, wireguard_module: bool = True) -> None:
        self.devices: dict[str, Device] = {}
        self.routes: list[RouteEntry] = []
        self.rules: list[RuleEntry] = []
        self.sysctls = {**_SYSCTLS, "kernel.hostname": hostname}
        self.wireguard_module = wireguard_module
        self.forgotten: Callable[[str, str], None] = lambda interface, peer_key: None
        self._next_index = 1
        self._next_port = 33000

    # --- devices -------------------------------------------------------------------------------------------------------

    def device(self, name: str) -> Device:
        """The device of that name. Raises NoSuchDevice."""
        try:
            return self.devices[name]
        except KeyError:
            raise NoSuchDevice(name) from None

    def add_device(self, name: str, kind: str, mtu: int = 1500) -> Device:
        """A new device, down. Raises Denied."""
        if name in self.devices:
            raise Denied("RTNETLINK answers: File exists")
        device = Device(name, self._next_index, kind, mtu)
        self._next_index += 1
        if kind == "wireguard":
            device.wg, device.mtu = WgDevice(), 1420
        self.devices = {**self.devices, name: device}
        for version, key in ((4, "rp_filter"), (4, "forwarding"), (6, "forwarding")):
            value = self.sysctls.get(f"net.ipv{version}.conf.default.{key}", "0")
            self.sysctls[f"net.ipv{version}.conf.{name}.{key}"] = value
        return device

    def delete_device(self, name: str) -> None:
        """The device, its addresses and its routes are gone."""
        device = self.device(name)
        for peer in list(device.wg.peers) if device.wg else ():
            self.forgotten(name, peer)
        self.routes = [route for route in self.routes if route.device != name]
        self.devices = {key: value for key, value in self.devices.items() if key != name}
        for key in [key for key in self.sysctls if f".conf.{name}." in key]:
            del self.sysctls[key]

    def set_up(self, name: str, up: bool) -> None:
        """Up: connected routes appear. Down: all routes and the IPv6 addresses of the device go."""
        device = self.device(name)
        if device.up == up:
            return
        device.up = up
        if up:
            if device.wg is not None and device.wg.listen_port == 0:
                device.wg.listen_port = self.free_port()
            for address in device.addresses:
                self._connect(device, address)
        else:
            self.routes = [route for route in self.routes if route.device != name]
            device.addresses = [address for address in device.addresses if address.version == 4]

    def free_port(self) -> int:
        """A UDP port nobody uses, for a device that was given none."""
        self._next_port += 1
        return self._next_port

    def listening(self, port: int) -> Device | None:
        """The WireGuard device that is up and listens on a port."""
        for device in list(self.devices.values()):
            if device.wg is not None and device.up and device.wg.listen_port == port:
                return device
        return None

    # --- addresses -----------------------------------------------------------------------------------------------------

    def add_address(self, name: str, address: IPInterface) -> None:
        """Raises NoSuchDevice, Denied."""
        device = self.device(name)
        if address in device.addresses:
            raise Denied(f"Error: ipv{address.version}: {'A' if address.version == 4 else 'a'}ddress already assigned.")
        device.addresses = [*device.addresses, address]
        if device.up:
            self._connect(device, address)

    def delete_address(self, name: str, address: IPInterface) -> None:
        """The last IPv4 address takes every IPv4 route of the device with it, as fib_disable_ip does."""
        device = self.device(name)
        if address not in device.addresses:
            raise Denied(f"Error: ipv{address.version}: {'A' if address.version == 4 else 'a'}ddress not found.")
        device.addresses = [one for one in device.addresses if not self._goes_with(device, address, one)]
        left = [one for one in device.addresses if one.version == address.version]
        if not left and address.version == 4:
            self.routes = [route for route in self.routes if route.device != name or route.prefix.version != 4]
            return
        self.routes = [
            route
            for route in self.routes
            if not (route.protocol == "kernel" and route.device == name and route.prefix == address.network)
            and not (route.source is not None and route.source == address.ip)
        ]
        for one in left:
            if one.network == address.network:
                self._connect(device, one)

    def _goes_with(self, device: Device, gone: IPInterface, other: IPInterface) -> bool:
        """A primary IPv4 address takes the secondary ones of its prefix with it, unless they are promoted."""
        if other == gone:
            return True
        first = next(one for one in device.addresses if one.version == gone.version and one.network == gone.network)
        promotes = self.sysctls["net.ipv4.conf.all.promote_secondaries"] == "1" or gone.version == 6
        return first == gone and other.network == gone.network and not promotes

    def _connect(self, device: Device, address: IPInterface) -> None:
        network = address.network
        if device.kind == "loopback" or (network.prefixlen == network.max_prefixlen and address.version == 4):
            return  # reached by the local table alone, which is not shown
        if any(route.prefix == network and route.device == device.name and route.protocol == "kernel" for route in self.routes):
            return
        if address.version == 4:
            self.routes = [*self.routes, RouteEntry(network, device.name, protocol="kernel", scope="link", source=address.ip)]
        else:
            self.routes = [*self.routes, RouteEntry(network, device.name, protocol="kernel", metric=256)]

    def owner(self, address: IPAddress) -> Device | None:
        """The device that carries an address."""
        for device in list(self.devices.values()):
            if any(one.ip == address for one in device.addresses):
                return device
        return None

    # --- routes --------------------------------------------------------------------------------------------------------

    def table(self, version: int, table: str = "main") -> list[RouteEntry]:
        """Routes of one table in the order `ip route show` prints them."""
        found = [route for route in self.routes if route.prefix.version == version and route.table == table]
        return sorted(found, key=lambda route: (int(route.prefix.network_address), route.prefix.prefixlen, route.metric))

    def lookup(self, target: IPAddress) -> RouteEntry | None:
        """The route a packet takes: longest prefix, then lowest metric, in the main table; policy rules of wg-quick obeyed."""
        best: RouteEntry | None = None
        for route in list(self.routes):
            if route.prefix.version != target.version or target not in route.prefix or not self._looked_up(route):
                continue
            device = self.devices.get(route.device or "")
            if route.kind == "unicast" and (device is None or not device.up):
                continue
            if best is None or (route.prefix.prefixlen, -route.metric) > (best.prefix.prefixlen, -best.metric):
                best = route
        return best

    def _looked_up(self, route: RouteEntry) -> bool:
        return route.table == "main" or any(rule.text.endswith(f"lookup {route.table}") for rule in self.rules)

    def reaches(self, gateway: IPAddress, device: str | None) -> str | None:
        """The device a gateway is directly connected to, None if there is none."""
        for route in self.routes:
            connected = route.via is None and gateway.version == route.prefix.version and gateway in route.prefix
            if connected and route.kind == "unicast" and route.device is not None and device in {None, route.device}:
                return route.device
        return None

    def source_for(self, route: RouteEntry, target: IPAddress) -> IPAddress | None:
        """The source address the kernel picks for a packet that takes `route`."""
        if route.source is not None:
            return route.source
        candidates = self._sources(route, target)
        return next(candidates, None)

    def _sources(self, route: RouteEntry, target: IPAddress) -> Iterator[IPAddress]:
        device = self.devices.get(route.device or "")
        others = [one for one in self.devices.values() if one is not device and one.kind != "loopback"]
        toward = route.via or target
        for one in ([device] if device else []) + others:
            same = [address for address in one.addresses if address.version == target.version]
            yield from (address.ip for address in same if toward in address.network)
            yield from (address.ip for address in same)


def protocol_name(text: str) -> str:
    """How `ip` prints a routing protocol that was given as a number or a name."""
    return _NAMED_PROTOCOLS.get(int(text), text) if text.isdigit() else text


def parse_interface(text: str) -> IPInterface:
    """An address with or without prefix length. Raises ValueError."""
    return ipaddress.ip_interface(text)
