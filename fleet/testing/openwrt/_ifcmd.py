"""Scripts of the base image around netifd, the watchdog of wireguard-tools, and the package managers (sheet 3.6, 6, 10)."""

from __future__ import annotations

import ipaddress
from typing import Final

from ..linux._call import Call, Refused
from ..linux._wgconf import endpoint_of
from . import _json, _wireguard
from ._router import router_of
from ._ubusobjects import status
from ._ucifile import Package
from ._ucistore import UciError

IDLE: Final = 150
"""Seconds without a handshake after which the watchdog resolves a name again (sheet 10)."""


def ifup(call: Call) -> int:
    """Reload, down, up; returns at once. An unknown interface is said on standard output, and the exit status is 0."""
    router = router_of(call)
    netifd, words = router.netifd, [word for word in call.argv if not word.startswith("-")]
    netifd.reload()
    names = list(netifd.interfaces) if "-a" in call.argv else words
    for name in names:
        if name not in netifd.interfaces:
            call.out(f"Interface {name} not found")
            continue
        netifd.down(name)
        netifd.up(name)
    return 0


def ifdown(call: Call) -> int:
    """Down: a reload does not bring it back."""
    router = router_of(call)
    for name in [word for word in call.argv if not word.startswith("-")]:
        if name in router.netifd.interfaces:
            router.netifd.down(name)
        else:
            call.out(f"Interface {name} not found")
    return 0


def ifstatus(call: Call) -> int:
    """The status of one interface."""
    router = router_of(call)
    interface = router.netifd.interfaces.get(call.argv[0]) if call.argv else None
    if interface is None:
        call.out(f"Interface {call.argv[0] if call.argv else ''} not found")
        return 1
    call.out(_json.pretty(status(router, interface)))
    return 0


def watchdog(call: Call) -> int:
    """`wireguard_watchdog`: endpoints that are names are resolved again when a peer with keepalive fell silent."""
    router = router_of(call)
    try:
        package = router.store.load("network")
    except UciError:
        package = Package("network")
    for device in list(router.kernel.devices.values()):
        if device.wg is None:
            continue
        for section in _wireguard.peers_of(package, device.name):
            options = {name: value for name, value in section.options.items() if isinstance(value, str)}
            host, key = options.get("endpoint_host", ""), options.get("public_key", "")
            peer = device.wg.peers.get(key)
            if not host or _is_address(host) or peer is None or options.get("persistent_keepalive", "0") == "0":
                continue
            seen = router.handshake(device.name, key)
            if seen is not None and router.clock.now() - seen.at < IDLE:
                continue
            try:
                peer.endpoint = endpoint_of(f"{host}:{options.get('endpoint_port', '51820')}", router.resolve)
            except Refused:
                continue
            peer.endpoint_at = router.clock.now()
            router.log("user.notice", "wireguard_monitor", f"{device.name} endpoint {host} is not responding, resolved again")
    return 0


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ packages
AVAILABLE: Final = ("wireguard-tools", "kmod-wireguard", "luci-proto-wireguard")
_NEEDS: Final = {"wireguard-tools": ("kmod-wireguard",), "luci-proto-wireguard": ("wireguard-tools", "kmod-wireguard")}


def needs(package: str) -> tuple[str, ...]:
    """What comes with a package."""
    return _NEEDS.get(package, ())


def opkg(call: Call) -> int:
    """update, install, remove, list-installed, status."""
    router, words = router_of(call), [word for word in call.argv if not word.startswith("-")]
    command, *names = words or [""]
    if command == "list-installed":
        for name, version in sorted(router.packages.items()):
            if not names or name in names:
                call.out(f"{name} - {version}")
        return 0
    if command == "update":
        if not router.online:
            raise Refused("*** Failed to download the package list", 1)
        call.out("Updated list of available packages in /var/opkg-lists/openwrt_packages")
        router.package_lists = True
        return 0
    if command == "install":
        return _install(
            call, names, "Unknown package '{}'.\nCollected errors:\n * opkg_install_cmd: Cannot install package {}.", 255
        )
    raise Refused("usage: opkg [options...] sub-command [arguments...]", 255)


def apk(call: Call) -> int:
    """update, add, del, list -I, info -e."""
    router, words = router_of(call), list(call.argv)
    command, names = (words[0] if words else ""), [word for word in words[1:] if not word.startswith("-")]
    if command == "list" or (command == "info" and "-e" in words):
        found = sorted(name for name in router.packages if not names or name in names)
        for name in found:
            tail = f"-{router.packages[name]} noarch {{feeds/base/{name}}} [installed]" if command == "list" else ""
            call.out(name + tail)
        return 0 if found or command == "list" else 1
    if command == "update":
        if not router.online:
            raise Refused("ERROR: fetch packages.adb: network error (check Internet connection and firewall)", 1)
        router.package_lists = True
        call.out(f"OK: {len(AVAILABLE)} distinct packages available")
        return 0
    if command == "add":
        return _install(
            call, names, "ERROR: unable to select packages:\n  {} (no such package):\n    required by: world[{}]", 1
        )
    raise Refused("apk-tools 3.0.0, compiled for mips_24kc.", 1)


def _install(call: Call, names: list[str], missing: str, code: int) -> int:
    router = router_of(call)
    for name in names:
        if name not in AVAILABLE or not router.package_lists:
            raise Refused(missing.format(name, name), code)
        if router.flash_fault():
            raise Refused(f"Only have 0kb available on filesystem /overlay, pkg {name} needs 60", 255)
        for one in (*needs(name), name):
            if one not in router.packages:
                call.out(f"Installing {one} ({router.release.tools_version}) to root...")
                router.install(one)
    return 0
