"""Rule sets, zones, NAT and MSS as iptables has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from .tree import Node, ordered

if TYPE_CHECKING:
    from .effects import Router

KINDS: Final = ("ethernet", "switch", "wireguard", "loopback", "bridge")


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
