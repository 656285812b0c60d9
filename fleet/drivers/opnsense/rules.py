"""Openings as firewall rules, both ways (sheet 4).

A rule of ours says in its description what it is: `fleet:OVERLAY:ROUTER wg0 forward/lan-tunnel 192.168.7.0/24 > 10.0.0.0/24`.
What rows show of the other fields differs by release (texts up to 25.1), so only what every release shows raw is compared.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import Forward, Interface, ListenPort, Management, Mark, NoMasquerade, Opening
from ...model import IPNetwork, sorted_networks
from .options import OpnsenseOptions

SELF: Final = "(self)"
_IDENTITY: Final = r"listen-port/\d+|forward/(?:tunnel|lan)-(?:tunnel|lan)|management/\d+"
_RULE: Final = re.compile(rf" (wg\d{{1,9}}) ({_IDENTITY}) (\S+) > (\S+)$")
_PENDING: Final = " is applying rules"

FIRST, SECOND, LATER = "10", "11", "100"
"""Places: who may manage comes before who may not, and that before what lets everything through."""

COMPARED: Final = ("source_net", "destination_net", "destination_port")


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A rule that is wanted, by what tells it from others: the opening it belongs to, from where, to where."""

    identity: str
    source: str
    target: str
    version: int = 4

    def description(self, mark: Mark, interface: str) -> str:
        """What it says about itself."""
        return f"{mark} {interface} {self.identity} {self.source} > {self.target}"

    def fields(self, mark: Mark, interface: str, options: OpnsenseOptions) -> dict[str, str]:
        """The record to post; every value is a text (sheet 2.1)."""
        kind, _, rest = self.identity.partition("/")
        where = {"listen-port": options.wan_interface}.get(kind, options.tunnel_interface)
        fields = {
            "enabled": "1",
            "action": "pass",
            "interface": options.lan_interface if rest.startswith("lan-") else where,
            "direction": "in",
            "ipprotocol": "inet" if self.version == 4 else "inet6",
            "protocol": "any",
            "source_net": self.source,
            "destination_net": self.target,
            "sequence": LATER,
            "description": self.description(mark, interface),
        }
        if kind == "listen-port":
            fields |= {"protocol": "UDP", "destination_port": rest}
        elif kind == "management":
            fields |= {"protocol": "TCP", "destination_port": rest, "sequence": FIRST, "destination_net": SELF}
            if self.source.startswith("others"):
                fields |= {"action": "block", "source_net": "any", "sequence": SECOND}
        return fields


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A rule of ours on the router; `rule` is None for the note that rules are written and not yet applied."""

    uuid: str
    interface: str
    rule: Rule | None
    right: bool


def beyond(interface: Interface, overlay: str) -> list[IPNetwork]:
    """What lies beyond the tunnel: the overlay and what peers of ours reach, as few prefixes as say it."""
    reached = {address.network for address in interface.addresses}
    for peer in interface.peers.values():
        if peer.mark is not None and peer.mark.overlay == overlay and not peer.parked:
            reached |= peer.allowed_ips
    fours = ipaddress.collapse_addresses(it for it in reached if isinstance(it, ipaddress.IPv4Network))
    sixes = ipaddress.collapse_addresses(it for it in reached if isinstance(it, ipaddress.IPv6Network))
    return [*fours, *sixes]


def wanted(opening: Opening, tunnel: Iterable[IPNetwork]) -> frozenset[Rule]:
    """The rules that make an opening, where `tunnel` is what lies beyond it."""
    name = opening.identity
    match opening:
        case ListenPort():
            version = opening.source.version if opening.source else 4
            return frozenset({Rule(name, str(opening.source or "any"), "wanip", version)})
        case Management():
            allowed = {Rule(name, str(source), "self", source.version) for source in opening.sources}
            return frozenset({*allowed, Rule(name, "others", "self", 4), Rule(name, "others6", "self", 6)})
        case Forward() if opening.source == "lan":
            pairs = ((lan, far) for lan in opening.prefixes for far in tunnel if lan.version == far.version)
            return frozenset(Rule(name, str(lan), str(far), lan.version) for lan, far in pairs)
        case Forward():
            targets = opening.prefixes if opening.target == "lan" else tunnel
            return frozenset(Rule(name, "any", str(target), target.version) for target in targets)
        case _:
            return frozenset()


def seen(rows: Iterable[Mapping[str, Any]], mark: Mark, options: OpnsenseOptions) -> tuple[SeenRule, ...]:
    """Our rules among all."""
    found = []
    for row in rows:
        description = str(row.get("description", ""))
        if Mark.find(description) != mark:
            continue
        if description.endswith(_PENDING):
            found.append(SeenRule(str(row["uuid"]), "", None, right=True))
        elif match := _RULE.search(description):
            rule = Rule(match[2], match[3], match[4], 6 if ":" in match[3] + match[4] or match[3] == "others6" else 4)
            found.append(SeenRule(str(row["uuid"]), match[1], rule, _right(row, rule.fields(mark, match[1], options))))
    return tuple(found)


def _right(row: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """False if somebody switched it off or changed what it lets through."""
    shown = (str(row.get(name) or fields.get(name, "")) == fields.get(name, "") for name in COMPARED)
    action = str(row.get("action") or fields["action"]).lower()
    return str(row.get("enabled", "1")) == "1" and action == fields["action"] and all(shown)


def openings(rules: Iterable[SeenRule], tunnel: Iterable[IPNetwork]) -> dict[str, Opening]:
    """The openings that rules make, whole ones only: what is half there is made anew."""
    tunnel = list(tunnel)
    by_identity: dict[str, set[Rule]] = {}
    for one in rules:
        if one.rule is not None and one.right:
            by_identity.setdefault(one.rule.identity, set()).add(one.rule)
    found = {name: _opening(name, group) for name, group in by_identity.items()}
    return {name: opening for name, opening in found.items() if opening and wanted(opening, tunnel) == by_identity[name]}


def _opening(identity: str, rules: set[Rule]) -> Opening | None:
    kind, _, rest = identity.partition("/")
    try:
        if kind == "listen-port":
            sources = {rule.source for rule in rules}
            source = sources.pop()
            return None if sources else ListenPort(int(rest), None if source == "any" else ipaddress.ip_network(source))
        if kind == "management":
            own = (rule.source for rule in rules if not rule.source.startswith("others"))
            return Management(int(rest), frozenset(ipaddress.ip_network(source) for source in own))
        lans = [rule.source if rest == "lan-tunnel" else rule.target for rule in rules]
        prefixes = frozenset(ipaddress.ip_network(lan) for lan in lans)
    except ValueError:
        return None
    source_end, _, target_end = rest.partition("-")
    known = {"tunnel-tunnel": frozenset[IPNetwork](), "lan-tunnel": prefixes, "tunnel-lan": prefixes}
    return Forward(source_end, target_end, known[rest]) if rest in known else None  # type: ignore[arg-type]  # matched above


def pending(mark: Mark, options: OpnsenseOptions) -> dict[str, str]:
    """A rule that does nothing and says that others were written and are not applied yet: no read tells that."""
    return {
        "enabled": "0",
        "action": "pass",
        "interface": options.wan_interface,
        "direction": "in",
        "ipprotocol": "inet",
        "protocol": "UDP",
        "destination_net": "wanip",
        "description": f"{mark}{_PENDING}",
    }


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """As they are written."""
    return sorted(rules)


INHERENT: Final = frozenset({NoMasquerade})
"""Sources are rewritten on uplinks only, which a tunnel that is not assigned never is (sheet 4): nothing to write."""

__all__ = [
    "INHERENT",
    "Rule",
    "SeenRule",
    "beyond",
    "in_order",
    "openings",
    "pending",
    "seen",
    "sorted_networks",
    "wanted",
]
