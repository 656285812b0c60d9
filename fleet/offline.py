"""What every router should hold, without contacting any: for `plan --offline`, `render` and `check --table`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from . import overlay
from .control import symbol
from .model import Fact, Facts, Fleet, Interface, IPAddress, KeyOf, PublicKey, sorted_networks
from .plugins import Registry
from .selection import Selection


@dataclass(frozen=True, slots=True)
class OfflinePlan:
    """Desired interfaces by router name in file order; `symbols` maps stand-in keys to the names they stand for."""

    overlay: str
    interfaces: Mapping[str, tuple[Interface, ...]]
    symbols: Mapping[PublicKey, str]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """JSON-ready; keys not made yet are the text `key of NAME`."""
        return {
            "command": "plan",
            "overlay": self.overlay,
            "routers": {
                name: {interface.name: self._interface(interface) for interface in interfaces}
                for name, interfaces in self.interfaces.items()
            },
            "notes": list(self.notes),
        }

    def key(self, key: PublicKey | KeyOf | None) -> str:
        """A key as people read it before and after it exists."""
        if isinstance(key, PublicKey) and key in self.symbols:
            return f"key of {self.symbols[key]}"
        return str(key) if key is not None else "none"

    def _interface(self, interface: Interface) -> dict[str, object]:
        return {
            "public_key": self.key(interface.public_key),
            "addresses": sorted(map(str, interface.addresses)),
            "listen_port": interface.listen_port,
            "mtu": interface.mtu,
            "peers": [
                {
                    "router": peer.label,
                    "public_key": self.key(peer.public_key),
                    "allowed_ips": [str(prefix) for prefix in sorted_networks(peer.allowed_ips)],
                    "endpoint": str(peer.endpoint) if peer.endpoint else None,
                    "persistent_keepalive": peer.persistent_keepalive,
                    "preshared_key": peer.preshared_key is not None,
                }
                for peer in interface.peers.values()
            ],
            "routes": [str(prefix) for prefix in sorted_networks(frozenset(interface.routes))],
            "openings": [str(opening) for _, opening in sorted(interface.openings.items())],
            "reresolve": interface.reresolve,
        }


def ports(fleet: Fleet, registry: Registry) -> dict[str, int]:
    """The TCP port of each router's management, for routers that something can log in to."""
    return {
        name: router.port or registry.driver(router.driver).port
        for name, router in fleet.routers.items()
        if registry.driver(router.driver).transport
    }


def offline_addresses(fleet: Fleet, facts: Facts) -> tuple[dict[str, Fact], dict[str, tuple[IPAddress, ...]]]:
    """Facts of the inventory's routers (an inventory's own `public_key` included) and every router's address.

    Addresses of routers that left are held here too, so that what is shown is what a sync would allocate.
    """
    known = {}
    for name, router in fleet.routers.items():
        fact = facts.get(name) or facts.get(router.formerly or "") or Fact()
        known[name] = replace(fact, public_key=router.public_key or fact.public_key)
    names = {*fleet.routers, *(router.formerly for router in fleet.routers.values())}
    held = frozenset(address for name, fact in facts.items() if name not in names for address in fact.addresses)
    return known, overlay.allocate(fleet, known, held)


def offline_plan(fleet: Fleet, registry: Registry, facts: Facts, selection: Selection) -> OfflinePlan:
    """The desired state of the selected routers; every key that is not known stands as `key of NAME`."""
    known, addresses = offline_addresses(fleet, facts)
    symbols = {symbol(name): name for name, fact in known.items() if fact.public_key is None}
    shown = {name: replace(fact, public_key=symbol(name)) if fact.public_key is None else fact for name, fact in known.items()}
    desired = overlay.desired_state(fleet, shown, addresses, ports(fleet, registry))
    interfaces = {name: tuple(desired.configuration(name).values()) for name in selection.names if fleet.routers[name].enabled}
    return OfflinePlan(fleet.overlay.name, interfaces, symbols, tuple(desired.notes))


def show_offline(plan: OfflinePlan) -> str:
    """The plan as text: one block a router, one line a peer."""
    blocks = []
    for name, interfaces in plan.interfaces.items():
        blocks += ["\n".join(_lines(name, interface, plan)) for interface in interfaces]
    return "\n\n".join([*blocks, *(f"note: {note}" for note in plan.notes)])


def _lines(name: str, interface: Interface, plan: OfflinePlan) -> list[str]:
    lines = [
        (
            f"{name}: interface {interface.name}, {', '.join(sorted(map(str, interface.addresses)))}, "
            f"port {interface.listen_port}, mtu {interface.mtu}, {plan.key(interface.public_key)}"
        )
    ]
    for peer in interface.peers.values():
        lines.append(f"  peer {peer.label} ({plan.key(peer.public_key)})")
        lines.append(f"    allowed IPs  {', '.join(map(str, sorted_networks(peer.allowed_ips))) or 'none'}")
        if peer.endpoint:
            lines.append(f"    endpoint     {peer.endpoint}")
        if peer.persistent_keepalive:
            lines.append(f"    keepalive    every {peer.persistent_keepalive} s")
        if peer.preshared_key is not None:
            lines.append("    preshared    derived for this pair")
    if interface.routes:
        lines.append(f"  routes   {', '.join(map(str, sorted_networks(frozenset(interface.routes))))}")
    for _, opening in sorted(interface.openings.items()):
        lines.append(f"  opening  {opening}")
    if interface.reresolve:
        lines.append("  resolves named endpoints again when a handshake is older than 150 s")
    return lines
