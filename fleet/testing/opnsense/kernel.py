"""The running side: wg devices, their addresses and routes, and wg-service-control.php over them (sheet 3.1)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import md5
from ipaddress import ip_interface, ip_network
from typing import Final

from . import keys
from .checks import is_address
from .wgconf import PeerSection, Rendered

_random = itertools.count(1)
FIRST_RANDOM_PORT: Final = 49152


@dataclass(slots=True)
class Peer:
    """A peer in the kernel; `endpoint` an address and a port."""

    public_key: str
    psk: str
    endpoint: tuple[str, int] | None
    allowed_ips: tuple[str, ...]
    keepalive: int


@dataclass(slots=True)
class Device:
    """One wgN. `peers` in the kernel's order."""

    name: str
    private_key: str = ""
    port: int = 0
    peers: dict[str, Peer] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    mtu: int = 1420
    up: bool = False
    dark_until: float = 0.0

    @property
    def public_key(self) -> str:
        """Of the private key it has, `(none)` without."""
        return keys.public_key(self.private_key) if self.private_key else "(none)"


class Kernel:
    """All wg devices. `resolve` answers for endpoint names; `forget(device, peer key)` ends a session; `commands` is a log."""

    def __init__(
        self, resolve: Callable[[str], str | None], forget: Callable[[str, str], None], now: Callable[[], float]
    ) -> None:
        self._resolve, self._forget, self._now = resolve, forget, now
        self.hiccup = 0.0
        self.ports = itertools.count(FIRST_RANDOM_PORT)
        self.devices: dict[str, Device] = {}
        self.commands: list[str] = []
        self.notices: list[str] = []
        self.interruptions: list[tuple[str, str]] = []
        self._stat: dict[str, tuple[str, str]] = {}

    # --- wg-service-control.php -----------------------------------------------------------------------------------------

    def configure(self, instances: Iterable[Rendered]) -> None:
        """`-a configure`: what changed is started or reloaded, what is no longer enabled is destroyed."""
        kept = set()
        for instance in instances:
            kept.add(instance.device)
            self._configure(instance)
        for name in [name for name in self._stat if name not in kept]:
            del self._stat[name]
            if name in self.devices:
                self.destroy(name)

    def restart(self, instance: Rendered) -> None:
        """One instance: destroyed and made anew."""
        if instance.device in self.devices:
            self.destroy(instance.device)
        self._start(instance)
        self._remember(instance)

    def power_off(self) -> None:
        """Nothing of the kernel survives; the stat files do, but a missing device is always started."""
        for name in list(self.devices):
            self._lose(self.devices.pop(name))

    def destroy(self, name: str) -> None:
        """`ifconfig wgN destroy`."""
        self._run(f"ifconfig {name} destroy")
        self.interruptions.append((name, "destroyed"))
        self._lose(self.devices.pop(name))

    def _configure(self, instance: Rendered) -> None:
        device = self.devices.get(instance.device)
        if device is not None:
            changed, safe = self._differs(instance)
            if not changed:
                return
            if not safe:
                self._flush(device, instance)
        self._start(instance)
        self._remember(instance)

    def _differs(self, instance: Rendered) -> tuple[bool, bool]:
        """Whether the file changed, and whether it can be loaded without stopping."""
        digest, reload_key = self._stat.get(instance.device, ("", ""))
        return digest != _digest(instance.text), not instance.routes and reload_key == instance.reload_key

    def _remember(self, instance: Rendered) -> None:
        """The new hash, whatever `wg` returned: a failed syncconf is not retried (sheet 3.1)."""
        reload_key = f"random {next(_random)}" if instance.routes else instance.reload_key
        self._stat[instance.device] = (_digest(instance.text), reload_key)

    def _flush(self, device: Device, instance: Rendered) -> None:
        self.notices.append(
            f"wireguard instance {instance.name} ({device.name}) can not reconfigure without stopping it first."
        )
        self.interruptions.append((device.name, "flushed"))
        for address in device.addresses:
            bare = address if ":" in address else address.split("/")[0]
            self._run(f"ifconfig {device.name} {_family(address)} {bare} -alias")
        device.addresses.clear()
        device.routes.clear()
        device.dark_until = self._now() + self.hiccup

    def _start(self, instance: Rendered) -> None:
        device = self.devices.get(instance.device)
        if device is None:
            device = self.devices[instance.device] = Device(instance.device)
            self.commands.append(f"ifconfig wg create name {device.name} -> wireguard-go rc=0")
            self._run(f"ifconfig {device.name} group wireguard")
        result = self._syncconf(device, instance)
        self._run(f"wg syncconf {device.name} /usr/local/etc/wireguard/{device.name}.conf", result)
        for address in instance.addresses:
            self._add_address(device, address)
        if instance.mtu:
            device.mtu = int(instance.mtu)
            self._run(f"ifconfig {device.name} mtu {instance.mtu}")
        self._run(f"ifconfig {device.name} {'debug' if instance.debug else '-debug'}")
        self._add_routes(device, instance)
        self._run(f"ifconfig {device.name} up")
        device.up = True

    def _add_address(self, device: Device, address: str) -> None:
        if not is_address(address.split("/", maxsplit=1)[0]):
            self._run(f"ifconfig {device.name} inet {address} alias", 1)
            return
        self._run(f"ifconfig {device.name} {_family(address)} {address} alias")
        if address not in device.addresses:
            device.addresses.append(address)

    def _add_routes(self, device: Device, instance: Rendered) -> None:
        wanted: list[str] = []
        if instance.routes:
            own = [ip_interface(address).network for address in device.addresses]
            prefixes = (ip_network(entry, strict=False) for peer in instance.peers for entry in peer.allowed_ips)
            outside = [one for one in prefixes if not any(one.version == net.version and one.subnet_of(net) for net in own)]  # type: ignore[arg-type]  # one family, see before
            wanted = [str(half) for one in outside for half in (one.subnets() if one.prefixlen == 0 else (one,))]
        elif instance.gateway:
            gateway = instance.gateway.split("/")[0]
            wanted = [f"{gateway}/{128 if ':' in gateway else 32}"]
        device.routes.clear()
        for prefix in dict.fromkeys(wanted):
            self._run(f"route -q -n add -{_family(prefix)} {prefix} -interface {device.name}")
            device.routes.append(prefix)

    # --- wg -------------------------------------------------------------------------------------------------------------

    def _syncconf(self, device: Device, instance: Rendered) -> int:
        """0, or 1 when one bad key or one name that does not resolve makes `wg` refuse the whole file."""
        try:
            keys.raw(instance.private_key)
            wanted = [self._parsed(section) for section in instance.peers]
        except ValueError as error:
            self.notices.append(f"wireguard {device.name}: {error}")
            return 1
        port = instance.port if instance.port is not None else device.port or next(self.ports)
        if instance.private_key != device.private_key or port != device.port:
            for key in device.peers:
                self._forget(device.name, key)
            if device.private_key:
                self.interruptions.append((device.name, "sessions"))
        device.private_key, device.port = instance.private_key, port
        self._take(device, wanted)
        return 0

    def _parsed(self, section: PeerSection) -> Peer:
        """Raises ValueError as `wg` refuses the section."""
        keys.raw(section.public_key)
        if section.psk:
            keys.raw(section.psk)
        endpoint = section.endpoint
        if endpoint is not None and not is_address(endpoint[0]):
            address = self._resolve(endpoint[0])
            if address is None:
                raise ValueError(f"Name does not resolve: `{endpoint[0]}:{endpoint[1]}'")
            endpoint = (address, endpoint[1])
        allowed = tuple(str(ip_network(entry, strict=False)) for entry in section.allowed_ips)
        return Peer(section.public_key, section.psk, endpoint, allowed, section.keepalive)

    def _take(self, device: Device, wanted: list[Peer]) -> None:
        """Peers of the file: a prefix belongs to the last one that names it; newcomers stand first, as the kernel pleases."""
        owner = {prefix: peer.public_key for peer in wanted for prefix in peer.allowed_ips}
        found = {peer.public_key: peer for peer in wanted}
        for peer in found.values():
            peer.allowed_ips = tuple(prefix for prefix in peer.allowed_ips if owner[prefix] == peer.public_key)
        for key in [key for key in device.peers if key not in found]:
            self._forget(device.name, key)
        for key, peer in found.items():
            old = device.peers.get(key)
            if old is not None and old.psk != peer.psk:
                self._forget(device.name, key)
        order = [key for key in found if key not in device.peers] + [key for key in device.peers if key in found]
        device.peers = {key: found[key] for key in order}

    def renew(self, instance: Rendered, stale: Callable[[str, str], bool]) -> None:
        """`wireguard renew`: names of peers without a recent handshake are resolved again (sheet 3.1)."""
        device = self.devices.get(instance.device)
        for section in instance.peers if device is not None else ():
            peer = device.peers.get(section.public_key) if device is not None else None
            if peer is None or section.endpoint is None or not stale(instance.device, peer.public_key):
                continue
            address = self._resolve(section.endpoint[0])
            if address is not None and not is_address(section.endpoint[0]):
                peer.endpoint = (address, section.endpoint[1])

    def _lose(self, device: Device) -> None:
        for key in device.peers:
            self._forget(device.name, key)

    def _run(self, command: str, result: int = 0) -> None:
        self.commands.append(f"{command} -> rc={result}")


def _family(address: str) -> str:
    return "inet6" if ":" in address else "inet"


def _digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
