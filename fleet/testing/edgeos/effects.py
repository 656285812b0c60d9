"""What a commit does outside WireGuard: addresses, firewall, NAT, static routes, scheduled tasks."""

from __future__ import annotations

import ipaddress
from typing import Protocol

from ..linux._call import Refused
from .commit import Action, CheckFailed, Unit
from .firewall import bindings, write_clamp, write_firewall, write_nat
from .tree import Node
from .wireguard import Shell, WireGuard


class Router(Shell, Protocol):
    """What these effects need beside what WireGuard's scripts do. `rule_sets_made`: chains that came from the configuration."""

    rule_sets_made: set[str]

    def nat_from_5000(self) -> bool:
        """True where source rules below 5000 are refused."""

    def restore(self, text: str, *, ipv6: bool = False) -> None:
        """iptables-restore --noflush. Raises Refused."""

    def chains(self, table: str, *, ipv6: bool = False) -> list[str]:
        """Chains of a table that are not built in."""

    def device(self, name: str) -> bool:
        """True if the kernel has the device."""

    def make_device(self, name: str) -> None:
        """A device like an Ethernet one, up, if it is not there."""

    def schedule(self, tasks: Node) -> None:
        """The task scheduler's tasks are now these."""

    def rename(self, name: str) -> None:
        """The router's host name."""


class RouterEffects:
    """Carries out one commit; firewall and NAT are written anew once at the end of their unit."""

    def __init__(self, router: Router, working: Node) -> None:
        self._router = router
        self._working = working
        self._wireguard = WireGuard(router, working)

    def check(self, unit: Unit) -> None:
        """Raises CheckFailed."""
        top = unit.names[:2]
        if top == ("interfaces", "wireguard"):
            self._wireguard.check(unit)
        elif unit.names in {("firewall", "name"), ("firewall", "ipv6-name")}:
            self._check_rule_set(unit)
        elif top == ("service", "nat"):
            self._check_nat()

    def _check_rule_set(self, unit: Unit) -> None:
        kind, name = unit.root[1], unit.root[2]
        if unit.verb == "delete":
            used = any(found == name for _, _, found in bindings(self._working, "ipv6-name" if "6" in kind else "name"))
            if used:
                raise CheckFailed(f'Firewall config error: Cannot delete rule set "{name}" (still in use)', unit.root)
            return
        rules = self._working.at(*unit.root, "rule")
        for number, rule in rules.children.items():
            path = (*unit.root, "rule", number)
            if not rule.has("action"):
                raise CheckFailed("Firewall config error: Must specify an action", path)
            ports = rule.has("destination", "port") or rule.has("source", "port")
            if ports and rule.value("protocol") not in {"tcp", "udp", "tcp_udp"}:
                raise CheckFailed("Firewall config error: ports can only be specified with protocol tcp, udp or tcp_udp", path)

    def _check_nat(self) -> None:
        for number, rule in self._working.at("service", "nat", "rule").children.items():
            path = ("service", "nat", "rule", number)
            if not rule.has("type"):
                raise CheckFailed("NAT configuration error: rule type must be specified", path)
            if rule.value("type") != "destination" and int(number) < 5000 and self._router.nat_from_5000():
                raise CheckFailed("NAT configuration error: source rules are numbered from 5000", path)
            if rule.value("type") != "destination" and not rule.has("outbound-interface"):
                raise CheckFailed("NAT configuration error: outbound-interface must be specified", path)

    def begin(self, unit: Unit) -> None:
        """A new interface."""
        if unit.names == ("interfaces", "ethernet") and unit.verb == "create" and not self._router.device(unit.root[2]):
            raise Refused(f"interface {unit.root[2]} does not exist on system")
        if unit.verb == "create" and unit.names[:1] == ("interfaces",):
            self._make_device(unit)
        self._wireguard.begin(unit)

    def _make_device(self, unit: Unit) -> None:
        """VLANs, switches and PPPoE sessions are devices of their own."""
        if unit.names[-1] in {"vif", "pppoe", "switch"}:
            name = {"vif": f"{unit.root[2]}.{unit.root[-1]}", "pppoe": f"pppoe{unit.root[-1]}"}.get(
                unit.names[-1], unit.root[2]
            )
            self._router.make_device(name)

    def act(self, unit: Unit, action: Action) -> None:
        """One node or value."""
        if action.names[:2] == ("interfaces", "wireguard"):
            self._wireguard.act(unit, action)
        elif action.names[:1] == ("interfaces",):
            self._interface(action)
        elif action.names == ("system", "host-name") and action.verb != "delete":
            self._router.rename(action.value)

    def _interface(self, action: Action) -> None:
        name = ".".join(action.path[2:5:2]) if "vif" in action.path else action.path[2] if len(action.path) > 2 else ""
        if action.names[-1] == "address" and len(action.path) > len(action.names) + 1 and "/" in action.value:
            six, delete = ":" in action.value, action.verb == "delete"
            words = ["ip", *(["-6"] if six else []), "addr", "del" if delete else "add", action.value, "dev", name]
            self._router.script(*words)
        binds = "firewall" in action.names and action.names[-1].endswith("name") and len(action.path) > 6
        if binds and action.verb != "delete":
            self._need_rule_set(action.value, ipv6="ipv6" in action.names[-1])

    def _need_rule_set(self, name: str, *, ipv6: bool) -> None:
        if not self._router.firewall_rule_set(name, ipv6=ipv6):
            raise Refused(f"Firewall config error: Rule set {name} is not configured")

    def end(self, unit: Unit) -> None:
        """Scripts that rewrite a whole area."""
        binds = any("firewall" in action.names for action in unit.actions)
        if binds or unit.names[:1] == ("zone-policy",):
            write_firewall(self._router, self._working)
        if unit.names == ("service", "nat") or unit.names == ("firewall", "group"):
            write_nat(self._router, self._working)
        if unit.names == ("firewall", "options"):
            write_clamp(self._router, self._working)
        if unit.names == ("system", "task-scheduler"):
            self._router.schedule(self._working.at("system", "task-scheduler", "task"))
        self._wireguard.end(unit)


# ------------------------------------------------------------------------------------------------------------ routes
def static_routes(tree: Node) -> list[tuple[str, str, str, int]]:
    """(prefix, "dev" or "via" or "blackhole", where, distance) of every static route that is not disabled."""
    static, found = tree.at("protocols", "static"), list[tuple[str, str, str, int]]()
    by_interface, by_gateway = ("next-hop-interface", "dev"), ("next-hop", "via")
    kinds = {"interface-route": by_interface, "interface-route6": by_interface, "route": by_gateway, "route6": by_gateway}
    for kind, (inner, word) in kinds.items():
        for prefix, route in static.at(kind).children.items():
            for where, hop in route.at(inner).children.items():
                if not hop.has("disable"):
                    found.append((_masked(prefix), word, where, int(hop.value("distance") or 1)))
            if route.has("blackhole"):
                found.append((_masked(prefix), "blackhole", "", int(route.value("blackhole", "distance") or 1)))
    return found


def _masked(prefix: str) -> str:
    return str(ipaddress.ip_network(prefix, strict=False))
