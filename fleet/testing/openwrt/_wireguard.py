"""The WireGuard proto handler in its generations H0 to H3 (sheet, table at its top, sections 1 and 3.6)."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..linux import _wg
from ..linux._call import Call, Refused
from ..linux._kernel import RouteEntry, clamped
from ..linux._wgconf import FileParser
from ._router import Handler
from ._ucifile import Package, Section, Value

if TYPE_CHECKING:
    from ._netifd import Netifd, NetInterface

DECLARED: Final[dict[str, dict[str, str]]] = {
    "H0": {"private_key": "string", "listen_port": "uinteger", "mtu": "uinteger", "fwmark": "string"},
    "H1": {"private_key": "string", "listen_port": "uinteger", "mtu": "uinteger", "fwmark": "string"},
    "H2": {
        "private_key": "string",
        "listen_port": "uinteger",
        "mtu": "uinteger",
        "fwmark": "string",
        "addresses": "string",
    },
    "H3": {},
}
"""What `get_proto_handlers` shows under `validate`, and what a reload compares (sheet 1.1)."""

GENERIC: Final = ("metric", "ip4table", "ip6table", "defaultroute")
"""netifd's own: a change re-applies addresses and routes and keeps the device (sheet 3.6)."""

_TRUE: Final = frozenset({"1", "on", "true", "yes", "enabled"})
_TRIES: Final = 15
_WAIT_GROWS: Final = 1.2


def renews(handler: Handler) -> bool:
    """True where `renew` runs the setup again in place."""
    return handler in {"H2", "H3"}


def peers_of(package: Package, interface: str) -> list[Section]:
    """Peer sections of an interface in order."""
    return package.of_type(f"wireguard_{interface}")


def compared(handler: Handler, section: Section, package: Package) -> object:
    """What makes a reload restart the interface. List values of an option declared as a string are dropped (sheet 3.6)."""
    if handler == "H3":
        peers = [(peer.type, dict(peer.options)) for peer in peers_of(package, section.name)]
        return {name: value for name, value in section.options.items() if name not in GENERIC}, peers
    return {name: section.options[name] for name in DECLARED[handler] if isinstance(section.options.get(name), str)}


def _text(section: Section, option: str) -> str:
    value = section.options.get(option, "")
    return value if isinstance(value, str) else " ".join(value)


def _list(value: Value | None) -> list[str]:
    return [] if value is None else value.split() if isinstance(value, str) else [word for one in value for word in one.split()]


def _flag(section: Section, option: str, handler: Handler) -> bool:
    text = _text(section, option)
    return text == "1" if handler == "H3" else text in _TRUE


@dataclass
class _Plan:
    """What the handler makes of the sections."""

    conf: str
    addresses: list[str]
    routes: list[str]
    mtu: int
    host_routes: bool


def setup(netifd: Netifd, interface: NetInterface) -> None:
    """Make the device anew and give it everything; on any mistake the whole interface stays down (sheet 10)."""
    kernel, name = netifd.router.kernel, interface.name
    if name in kernel.devices:
        kernel.delete_device(name)
    if not kernel.wireguard_module:
        netifd.failed(interface, "RTNETLINK answers: Not supported\nUnable to access interface: Protocol not supported")
        return
    device = kernel.add_device(name, "wireguard")
    interface.device = name
    plan = _plan(netifd, interface)
    device.mtu = plan.mtu or device.mtu
    if _configure(netifd, interface, plan, "setconf"):
        _bring_up(netifd, interface, plan)


def renew(netifd: Netifd, interface: NetInterface) -> None:
    """As H2 does it: `wg syncconf`, then addresses and routes; device and sessions stay (capture 4b)."""
    if netifd.router.handler == "H3" or netifd.interfaces.get(interface.name) is not interface or not interface.up:
        return  # the H3 text that was tried changed nothing (capture 4c)
    netifd.log(f"Interface '{interface.name}' is setting up now")
    plan = _plan(netifd, interface)
    if not _configure(netifd, interface, plan, "syncconf"):
        return
    kernel = netifd.router.kernel
    kernel.routes = [one for one in kernel.routes if one.device != interface.name or one.protocol != "static"]
    for address in list(kernel.device(interface.name).addresses):
        if str(address) not in plan.addresses:
            kernel.delete_address(interface.name, address)
    _bring_up(netifd, interface, plan)


def _plan(netifd: Netifd, interface: NetInterface) -> _Plan:
    router, package = netifd.router, netifd.package()
    section = package.section(interface.name) or interface.section
    handler = router.handler
    private_key = _text(section, "private_key")
    if (private_key == "generate" and handler != "H0") or (not private_key and handler in {"H2", "H3"}):
        private_key = clamped(os.urandom(32))
        router.generate_key(interface.name, private_key)
    lines = ["[Interface]", f"PrivateKey={private_key}"]
    if _text(section, "listen_port"):
        lines.append(f"ListenPort={_text(section, 'listen_port')}")
    if _text(section, "fwmark"):
        lines.append(f"FwMark={_text(section, 'fwmark')}")
    routes: list[str] = []
    for peer in peers_of(package, interface.name):
        if handler != "H0" and _flag(peer, "disabled", handler):
            continue
        if not _text(peer, "public_key"):
            netifd.said(interface, f"Skipping peer config {peer.name} because public key is not defined.")
            continue
        lines += _peer_lines(peer, router.psk_option)
        if _flag(peer, "route_allowed_ips", handler):
            routes += _list(peer.options.get("allowed_ips"))
    mtu = _text(section, "mtu")
    host_routes = _text(section, "nohostroute") != "1"  # compared with this one string only (sheet 1.1)
    addresses = [_with_length(one) for one in _list(section.options.get("addresses"))]
    return _Plan("\n".join(lines) + "\n", addresses, routes, int(mtu) if mtu.isdigit() else 0, host_routes)


def _with_length(address: str) -> str:
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def _peer_lines(peer: Section, psk_option: str) -> list[str]:
    lines = ["[Peer]", f"PublicKey={_text(peer, 'public_key')}"]
    if _text(peer, psk_option):
        lines.append(f"PresharedKey={_text(peer, psk_option)}")
    lines += [f"AllowedIPs={prefix}" for prefix in _list(peer.options.get("allowed_ips"))]
    host = _text(peer, "endpoint_host")
    if host:
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        lines.append(f"Endpoint={host}:{_text(peer, 'endpoint_port') or '51820'}")
    if _text(peer, "persistent_keepalive"):
        lines.append(f"PersistentKeepalive={_text(peer, 'persistent_keepalive')}")
    return lines


def _configure(netifd: Netifd, interface: NetInterface, plan: _Plan, command: str) -> bool:
    """`wg setconf` or `wg syncconf`; False when it failed and the failure is handled."""
    router = netifd.router
    call = Call(router, "wg", [], router.root_path)
    device = router.kernel.device(interface.name)
    wireguard = device.wg
    assert wireguard is not None
    try:
        edit = FileParser(router.resolve, lambda words: None).parse(plan.conf, append=False)
    except Refused as refused:
        if not refused.words.startswith("Name or service not known") or not _again(netifd, interface, refused.words):
            netifd.failed(interface, refused.words)
        return False
    interface.tries = 0
    named = {peer.public_key for peer in edit.peers}
    for key in [key for key in wireguard.peers if command == "setconf" or key not in named]:
        wireguard.peers = {one: peer for one, peer in wireguard.peers.items() if one != key}
        router.kernel.forgotten(device.name, key)
    try:
        _wg.apply(call, device, edit)
    except Refused as refused:
        netifd.failed(interface, refused.words)
        return False
    return True


def _again(netifd: Netifd, interface: NetInterface, words: str) -> bool:
    """`wg` waits and resolves again, up to 15 times, a little longer each time (sheet 3.2); False when it gives up."""
    interface.tries += 1
    if interface.tries > _TRIES:
        interface.tries = 0
        return False
    wait = _WAIT_GROWS ** (interface.tries - 1)
    name = words.partition("`")[2].partition("'")[0]
    netifd.said(interface, f"Temporary failure in name resolution: `{name}'. Trying again in {wait:.2f} seconds...")
    netifd.later(interface, wait)
    return True


def _bring_up(netifd: Netifd, interface: NetInterface, plan: _Plan) -> None:
    kernel, name = netifd.router.kernel, interface.name
    device = kernel.device(name)
    port = device.wg.listen_port if device.wg is not None else 0
    holder = kernel.listening(port) if port else None
    if holder is not None and holder is not device:
        netifd.failed(interface, "RTNETLINK answers: Address already in use")
        return
    kernel.set_up(name, True)
    interface.addresses, interface.routes, interface.uplinks = [], [], set()
    for text in plan.addresses:
        try:
            address = ipaddress.ip_interface(text)
        except ValueError:
            continue
        if address not in device.addresses:
            kernel.add_address(name, address)
        interface.addresses.append(address)
    for text in plan.routes:
        try:
            prefix = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        entry = RouteEntry(prefix, name, None, "static", interface.metric, "link" if prefix.version == 4 else "")
        if netifd.add_route(entry):
            interface.routes.append((str(prefix), "0.0.0.0" if prefix.version == 4 else "::"))
    if plan.host_routes and not _host_routes(netifd, interface):
        netifd.unavailable(interface)
        return
    netifd.came_up(interface)


def _host_routes(netifd: Netifd, interface: NetInterface) -> bool:
    """One route to each endpoint on the uplink, unless it is directly connected; False if there is none (sheet 10)."""
    kernel = netifd.router.kernel
    wireguard = kernel.device(interface.name).wg
    assert wireguard is not None
    for peer in wireguard.peers.values():
        if peer.endpoint is None:
            continue
        target = ipaddress.ip_address(peer.endpoint[0])
        if kernel.owner(target) is not None:
            continue
        outside = [one for one in kernel.routes if one.device != interface.name and one.prefix.version == target.version]
        found = max((one for one in outside if target in one.prefix), key=lambda one: one.prefix.prefixlen, default=None)
        if found is None:
            return False
        interface.uplinks.add(found.device or "")
        if found.via is not None and found.prefix.prefixlen < target.max_prefixlen:
            entry = RouteEntry(ipaddress.ip_network(target), found.device, found.via, "static", found.metric)
            if netifd.add_route(entry):
                interface.host_routes.append(entry)
    return True
