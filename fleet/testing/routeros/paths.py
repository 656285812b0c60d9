"""Where packets of the simulated router go: connected networks, gateways, the routing table (sheet section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Final

from .device import Device

TYPES: Final = {"/interface/ethernet": "ether", "/interface/bridge": "bridge", "/interface/wireguard": "wg"}


@lru_cache(maxsize=50_000)
def network(prefix: str) -> IPv4Network | IPv6Network:
    """A parsed prefix; the same few are asked for again and again."""
    return ip_network(prefix, strict=False)


def connected(device: Device, version: int) -> Iterator[tuple[str, str]]:
    """(prefix, interface) of every enabled address on an enabled interface."""
    down = {row.fields["name"] for _, row in device.interfaces() if row.disabled}
    for row in list(device.table("/ip/address" if version == 4 else "/ipv6/address").rows):
        where = row.get("interface")
        if not row.disabled and where not in down and not where.startswith("*"):
            yield str(network(row.get("address"))), where


def gateway_interface(device: Device, gateway: str, version: int) -> str | None:
    """The interface a gateway lies behind, None if it is not reachable."""
    first = gateway.partition(",")[0]
    if not first:
        return None
    _, _, scope = first.partition("%")
    found = device.interface_row(scope or first)
    if found is not None:
        return None if found[1].disabled else found[1].fields["name"]
    return _covering(first, connected(device, version)) if _is_ip(first) else None


def _covering(target: str, prefixes: Iterator[tuple[str, str]]) -> str | None:
    address, best, found = ip_address(target), -1, None
    for prefix, where in prefixes:
        one = network(prefix)
        if one.version == address.version and address in one and one.prefixlen > best:
            best, found = one.prefixlen, where
    return found


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def route_to(device: Device, target: str) -> str | None:
    """The interface a packet leaves by: longest prefix, connected before static, then the lowest distance."""
    address = ip_address(target)
    candidates = [(network(prefix), 0, where) for prefix, where in connected(device, address.version)]
    for row in list(device.table("/ip/route" if address.version == 4 else "/ipv6/route").rows):
        if row.disabled:
            continue
        out = gateway_interface(device, row.get("gateway"), address.version)
        if out is not None or "blackhole" in row.fields:
            candidates.append((network(row.get("dst-address")), int(row.get("distance", "1")), out or ""))
    usable = [entry for entry in candidates if entry[0].version == address.version and address in entry[0]]
    if not usable:
        return None
    best = min(usable, key=lambda entry: (-entry[0].prefixlen, entry[1]))
    return best[2] or None


def own_addresses(device: Device) -> set[str]:
    """Every address of its own that is enabled."""
    rows = [row for path in ("/ip/address", "/ipv6/address") for row in list(device.table(path).rows)]
    return {str(ip_interface(row.get("address")).ip) for row in rows if not row.disabled}


def local_prefixes(device: Device, wan: str) -> tuple[str, ...]:
    """Prefixes connected to interfaces that are neither WireGuard nor the uplink."""
    tunnels = {row.fields["name"] for row in list(device.table("/interface/wireguard").rows)}
    found = [entry for version in (4, 6) for entry in connected(device, version)]
    return tuple(dict.fromkeys(prefix for prefix, where in found if where not in tunnels and where != wan))


def interface_rows(device: Device) -> list[dict[str, str]]:
    """`/interface/print`: every kind in one list, with the ids of their own menus."""
    found = []
    for path, row in device.interfaces():
        words = {
            ".id": row.id,
            "name": row.fields["name"],
            "type": TYPES[path],
            "mtu": row.get("mtu"),
            "disabled": row.get("disabled"),
        }
        words["running"] = "false" if row.disabled else "true"
        if "comment" in row.fields:
            words["comment"] = row.fields["comment"]
        found.append(words)
    return found


def connected_rows(device: Device, version: int) -> list[dict[str, str]]:
    """Connected routes as print shows them: dynamic, with ids of their own range (sheet 8.11)."""
    flags = {"active": "true", "dynamic": "true", "connect": "true", "disabled": "false"}
    common = {"distance": "0", "routing-table": "main", "scope": "10", "target-scope": "5"}
    return [
        {".id": f"*{0x80000001 + number:X}", "dst-address": prefix, "gateway": where, **common, "immediate-gw": where, **flags}
        for number, (prefix, where) in enumerate(dict(connected(device, version)).items())
    ]
