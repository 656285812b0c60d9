"""The routing daemon: static routes of the configuration whose way out is up are in the kernel, others are not."""

from __future__ import annotations

import ipaddress

from ..linux._kernel import Kernel, RouteEntry
from .effects import static_routes
from .tree import Node


def settle_routes(kernel: Kernel, active: Node) -> None:
    """Bring the kernel's routes of the daemon to what the configuration says now. They come back after a bounce (sheet 4)."""
    wanted = dict[object, RouteEntry]()
    for prefix, word, where, _distance in sorted(static_routes(active), key=lambda one: one[3]):
        entry = _entry(kernel, prefix, word, where)
        if entry is not None:
            wanted.setdefault(entry.prefix, entry)
    held = [one for one in kernel.routes if one.protocol == "zebra"]
    if held != list(wanted.values()):
        kernel.routes = [*(one for one in kernel.routes if one.protocol != "zebra"), *wanted.values()]


def _entry(kernel: Kernel, prefix: str, word: str, where: str) -> RouteEntry | None:
    network = ipaddress.ip_network(prefix)
    metric = 0 if network.version == 4 else 1024
    if word == "blackhole":
        return RouteEntry(network, protocol="zebra", kind="blackhole", metric=metric)
    if word == "dev":
        device = kernel.devices.get(where)
        if device is None or not device.up:
            return None
        return RouteEntry(network, where, protocol="zebra", scope="link" if network.version == 4 else "", metric=metric)
    gateway = ipaddress.ip_address(where)
    out = kernel.reaches(gateway, None)
    return None if out is None else RouteEntry(network, out, gateway, "zebra", metric)
