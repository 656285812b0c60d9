"""A simulated router as it comes out of the box."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface

from .device import Device
from .firewall import Preset, preset
from .users import populate

SERVICES = (
    ("ftp", "21"),
    ("ssh", "22"),
    ("telnet", "23"),
    ("www", "80"),
    ("www-ssl", "443"),
    ("winbox", "8291"),
    ("api", "8728"),
    ("api-ssl", "8729"),
)


def furnish(
    device: Device, users: Mapping[str, tuple[str, str]], board: str, lan: str | None, wan: str | None, mode: str, rules: Preset
) -> None:
    """Ports, bridge, lists, addresses, services, accounts, firewall. ether1 is the uplink, the bridge the LAN."""
    for number in range(1, 6):
        device.add("/interface/ethernet", {"name": f"ether{number}"})
    device.add("/interface/bridge", {"name": "bridge", "comment": "defconf"})
    for name in ("all", "none", "dynamic", "static"):
        device.add("/interface/list", {"name": name}, builtin="true")
    for name, member in (("WAN", "ether1"), ("LAN", "bridge")):
        device.add("/interface/list", {"name": name, "comment": "defconf"})
        device.add("/interface/list/member", {"list": name, "interface": member, "comment": "defconf"})
    if lan is not None:
        device.add("/ip/address", {"address": lan, "interface": "bridge", "comment": "defconf"})
    if wan is not None:
        device.add("/ip/address", {"address": wan, "interface": "ether1"}, dynamic="true")
        first = str(ip_interface(wan).network.network_address + 1)
        device.add("/ip/route", {"gateway": first}, dynamic="true")
    _system(device, board, mode)
    populate(device, users)
    preset(device, rules)


def _system(device: Device, board: str, mode: str) -> None:
    release = f"{device.release} (stable)" if "(" not in device.release else device.release
    single = {
        "/system/identity": {"name": device.name},
        "/system/clock": {"time-zone-name": "UTC", "gmt-offset": "+00:00"},
        "/system/device-mode": {
            "mode": mode,
            "flagged": "no",
            "flagging-enabled": "yes",
            "scheduler": "false" if mode == "home" else "true",
            "fetch": "false" if mode == "home" else "true",
            "container": "false",
        },
        "/ip/settings": {"ip-forward": "true", "rp-filter": "no"},
        "/ipv6/settings": {"disable-ipv6": "false", "forward": "true"},
        "/system/resource": {
            "version": release,
            "build-time": "2026-01-01 00:00:00",
            "free-memory": "805306368",
            "total-memory": "1073741824",
            "cpu": "ARM64",
            "cpu-count": "4",
            "cpu-load": "1",
            "free-hdd-space": "94371840",
            "total-hdd-space": "134217728",
            "architecture-name": "arm64",
            "board-name": board,
            "platform": "MikroTik",
        },
    }
    if device.version >= (7, 18):
        single["/safe-mode"] = {"enabled": "false"}
    for path, fields in single.items():
        device.table(path).insert(fields)
    device.table("/routing/table").insert({"name": "main", "fib": "", "invalid": "false", "dynamic": "true"})
    device.table("/system/package").insert({"name": "routeros", "version": device.release, "disabled": "false"})
    for name, port in SERVICES:
        row = {"name": name, "port": port, "address": "", "vrf": "main", "invalid": "false", "disabled": "false"}
        if device.version >= (7, 16):
            row["max-sessions"] = "20"
        device.table("/ip/service").insert(row)
