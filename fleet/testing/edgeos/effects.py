"""What a commit does outside WireGuard: addresses, firewall, NAT, static routes, scheduled tasks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final, Protocol

from ..linux._call import Refused
from .commit import Action, CheckFailed, Unit
from .tree import Node, ordered
from .wireguard import Shell, WireGuard

KINDS: Final = ("ethernet", "switch", "wireguard", "loopback", "bridge")


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


# ---------------------------------------------------------------------------------------------------------- firewall
def bindings(tree: Node, kind: str) -> Iterator[tuple[str, str, str]]:
    """Device, direction and name of every rule set that is bound to an interface."""
    for type_ in KINDS:
        for name, settings in tree.at("interfaces", type_).children.items():
            yield from _bound(settings, name, kind)
            for number, vif in settings.at("vif").children.items():
                yield from _bound(vif, f"{name}.{number}", kind)
            for number, pppoe in settings.at("pppoe").children.items():
                yield from _bound(pppoe, f"pppoe{number}", kind)


def _bound(settings: Node, device: str, kind: str) -> Iterator[tuple[str, str, str]]:
    for direction in ("in", "out", "local"):
        found = settings.value("firewall", direction, kind)
        if found is not None:
            yield device, direction, found


_HOOKS: Final = {
    "in": ("VYATTA_FW_IN_HOOK", "-i"),
    "out": ("VYATTA_FW_OUT_HOOK", "-o"),
    "local": ("VYATTA_FW_LOCAL_HOOK", "-i"),
}
_TARGETS: Final = {"accept": "RETURN", "drop": "DROP", "reject": "REJECT"}


def write_firewall(router: Router, tree: Node) -> None:
    """Every rule set as a chain, every binding in its hook; what others put into iptables by hand stays. Raises Refused."""
    for ipv6, kind in ((False, "name"), (True, "ipv6-name")):
        sets = tree.at("firewall", kind).children
        names = [*(hook for hook, _ in _HOOKS.values()), *sets]
        lines = ["*filter", *(f":{name} - [0:0]" for name in names)]
        for name, rules in sets.items():
            lines += _chain(tree, name, rules, ipv6=ipv6)
        for device, direction, bound in bindings(tree, kind):
            hook, by = _HOOKS[direction]
            if bound in sets:
                lines.append(f"-A {hook} {by} {device} -j {bound}")
        lines += _zones(tree, kind, sets)
        if not any(hook in router.chains("filter", ipv6=ipv6) for hook, _ in _HOOKS.values()):
            lines += ["-A INPUT -j VYATTA_FW_LOCAL_HOOK", "-A FORWARD -j VYATTA_FW_IN_HOOK", "-A FORWARD -j VYATTA_FW_OUT_HOOK"]
        stale = [name for name in router.chains("filter", ipv6=ipv6) if name in router.rule_sets_made and name not in names]
        lines += [line for name in stale for line in (f"-F {name}", f"-X {name}")]
        router.restore("\n".join([*lines, "COMMIT", ""]), ipv6=ipv6)
        router.rule_sets_made |= set(sets)


def _chain(tree: Node, name: str, rules: Node, *, ipv6: bool) -> Iterator[str]:
    for number in ordered(rules.values("rule")):
        rule = rules.at("rule", number)
        if not rule.has("disable"):
            yield from _rule(tree, name, number, rule)
    default = _TARGETS[rules.value("default-action") or "drop"]
    yield f'-A {name} -m comment --comment "{name}-10000 default-action {rules.value("default-action") or "drop"}" -j {default}'


def _rule(tree: Node, name: str, number: str, rule: Node) -> Iterator[str]:
    protocol = rule.value("protocol") or "all"
    states = [state.upper() for state in rule.values("state") if rule.value("state", state) == "enable"]
    for one in ["tcp", "udp"] if protocol == "tcp_udp" else [protocol]:
        words = _sides(rule, one)
        if one != "all":
            words += ["-p", "ipv6-icmp" if one == "icmpv6" else one]
        words += ["-m", "comment", "--comment", f"{name}-{number}"]
        if states:
            words += ["-m", "state", "--state", ",".join(states)]
        for side, option in (("source", "--sport"), ("destination", "--dport")):
            ports = rule.value(side, "port")
            if ports:
                words += _ports(one, option, ports)
        yield " ".join(["-A", name, *words, "-j", _TARGETS.get(rule.value("action") or "drop", "RETURN")])


def _ports(protocol: str, option: str, ports: str) -> list[str]:
    sign, ports = (["!"], ports[1:]) if ports.startswith("!") else ([], ports)
    ports = ports.replace("-", ":")
    if "," in ports:
        return ["-m", "multiport", *sign, f"{option}s", ports]
    return ["-m", protocol, *sign, option, ports]


def _sides(rule: Node, protocol: str) -> list[str]:
    words: list[str] = []
    for side, letter in (("source", "-s"), ("destination", "-d")):
        address = rule.value(side, "address")
        if address and "-" not in address:
            negated = address.startswith("!")
            words += (["!"] if negated else []) + [letter, address.lstrip("!")]
    return words


def _zones(tree: Node, kind: str, sets: dict[str, Node]) -> Iterator[str]:
    """Zone policy: what enters a zone passes the rule set for where it comes from, or is dropped."""
    zones = tree.at("zone-policy", "zone").children
    for zone in zones.values():
        local = zone.has("local-zone")
        hook, out = ("VYATTA_FW_LOCAL_HOOK", "") if local else ("VYATTA_FW_OUT_HOOK", "-o")
        for target in [""] if local else zone.values("interface"):
            to = f"{out} {target} " if target else ""
            for other, source in zones.items():
                bound = zone.value("from", other, "firewall", kind)
                for device in source.values("interface"):
                    if source is zone:
                        yield f"-A {hook} -i {device} {to}-j ACCEPT"
                    elif bound in sets:
                        yield f"-A {hook} -i {device} {to}-j {bound}"
                        yield f"-A {hook} -i {device} {to}-j ACCEPT"
                    else:
                        yield f"-A {hook} -i {device} {to}-j DROP"
            if target:
                yield f"-A {hook} {to}-m state --state NEW -j DROP"


# --------------------------------------------------------------------------------------------------------------- nat
def write_nat(router: Router, tree: Node) -> None:
    """Source rules in order of their numbers. Raises Refused."""
    lines = ["*nat", ":UBNT_POSTROUTING - [0:0]"]
    for number in ordered(tree.values("service", "nat", "rule")):
        rule = tree.at("service", "nat", "rule", number)
        if rule.has("disable") or rule.value("type") == "destination":
            continue
        target = "RETURN" if rule.has("exclude") else "MASQUERADE" if rule.value("type") == "masquerade" else "ACCEPT"
        out = rule.value("outbound-interface")
        words = _sides(rule, "all") + (["-o", out] if out else [])
        if not rule.has("exclude") and rule.value("type") == "source":
            address = rule.value("outside-address", "address")
            target = f"SNAT --to-source {address}" if address else "MASQUERADE"
        comment = f"NAT-{number}"
        lines.append(" ".join(["-A UBNT_POSTROUTING", *words, "-m comment --comment", comment, "-j", target]))
    if "UBNT_POSTROUTING" not in router.chains("nat"):
        lines.append("-A POSTROUTING -j UBNT_POSTROUTING")
    router.restore("\n".join([*lines, "COMMIT", ""]))


# --------------------------------------------------------------------------------------------------------------- mss
_CLAMPED: Final = {"pppoe": "pppoe+", "pptp": "pptp+", "tun": "tun+", "vti": "vti+", "wg": "wg+", "all": ""}


def write_clamp(router: Router, tree: Node) -> None:
    """One MSS for every kind of interface that is listed: it is global (sheet 4). Raises Refused."""
    for ipv6, kind in ((False, "mss-clamp"), (True, "mss-clamp6")):
        options = tree.at("firewall", "options", kind)
        mss, lines = options.value("mss"), ["*mangle", ":UBNT_FW_MSS_CLAMP - [0:0]"]
        for name in options.values("interface-type") if mss is not None else []:
            out = f"-o {_CLAMPED[name]} " if _CLAMPED[name] else ""
            lines.append(f"-A UBNT_FW_MSS_CLAMP {out}-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}")
        if "UBNT_FW_MSS_CLAMP" not in router.chains("mangle", ipv6=ipv6):
            lines.append("-A FORWARD -j UBNT_FW_MSS_CLAMP")
        router.restore("\n".join([*lines, "COMMIT", ""]), ipv6=ipv6)


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
