"""Openings as UCI firewall sections, both ways. Pure.

All interfaces of one overlay are in one zone of ours, whose `forward` is tunnel to tunnel. What passes between the zone and
the LAN, reaches the router through the tunnel or reaches its UDP port are rules by prefix: a `forwarding` would open whole
zones. Nothing gets in through the zone but what a rule says, and pings. Sections of ours are known by their names
(`fleet_...`), because fw4 complains of an option that it does not know.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

from ...link import Part
from ...model import (
    ClampMss,
    Forward,
    IPNetwork,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    sorted_networks,
)
from .uci import Package, Section, delete, list_, quoted, set_

ZONE_NAME_LENGTH = 11
"""Longest name of a zone that fw3 takes (sheet 5, UNVERIFIED); fw4 takes longer ones."""

EVERYTHING = ("0.0.0.0/0", "::/0")

Openings = Mapping[str, Opening]


def slug(name: str) -> str:
    """A name as part of a section name, which has letters, digits and underscores only (sheet 1.3)."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def zone_section(overlay: str) -> str:
    """The section of the zone that holds the overlay's interfaces."""
    return f"fleet_{slug(overlay)}_zone"


def _ping_section(overlay: str) -> str:
    return f"fleet_{slug(overlay)}_ping"


def _prefix(overlay: str, interface: str) -> str:
    return f"fleet_{slug(overlay)}_{slug(interface)}_"


def rule_section(overlay: str, interface: str, opening: Opening) -> str | None:
    """The section of an opening that is a rule, None for one that is a property of the zone."""
    match opening:
        case ListenPort():
            return f"{_prefix(overlay, interface)}port_{opening.port}"
        case Management():
            return f"{_prefix(overlay, interface)}management_{opening.port}"
        case Forward() if opening.source != opening.target:
            return f"{_prefix(overlay, interface)}{opening.source}_{opening.target}"
        case _:
            return None


def zone_name(overlay: str, firewall: Package) -> str:
    """The name of our zone: the one it has, else one that nobody has."""
    held = firewall.get(zone_section(overlay))
    if held is not None and held.one("name"):
        return held.one("name")
    taken = {section.one("name") for section in firewall.values() if section.type == "zone"}
    plain = f"wg_{slug(overlay)}"
    if len(plain) <= ZONE_NAME_LENGTH and plain not in taken:
        return plain
    return f"wg_{hashlib.sha256(overlay.encode()).hexdigest()[: ZONE_NAME_LENGTH - 3]}"


# ------------------------------------------------------------------------------------------------------------- reading
def read_openings(firewall: Package, overlay: str, interface: str, mss: int | None) -> dict[str, Opening]:
    """Openings of one interface as they are stored; `mss` is the MTU that its clamp was made for."""
    zone = firewall.get(zone_section(overlay))
    if zone is not None and interface not in zone.many("network"):
        zone = None
    found: list[Opening] = list(_zone_openings(zone, mss)) if zone is not None else []
    prefix = _prefix(overlay, interface)
    for name, section in firewall.items():
        if name.startswith(prefix) and section.type == "rule" and section.flag("enabled", default=True):
            opening = _rule_opening(name.removeprefix(prefix), section)
            if isinstance(opening, ListenPort) or (opening is not None and zone is not None):
                found.append(opening)
    return {opening.identity: opening for opening in found}


def _zone_openings(zone: Section, mss: int | None) -> Iterator[Opening]:
    if zone.one("forward") == "ACCEPT":
        yield Forward("tunnel", "tunnel")
    if zone.flag("mtu_fix") and mss is not None:
        yield ClampMss(mss)
    spared = [value.removeprefix("!") for value in zone.many("masq_src") if value.startswith("!")]
    if spared and not zone.flag("masq"):
        yield NoMasquerade(frozenset() if set(spared) & set(EVERYTHING) else _networks(spared))


def _rule_opening(kind: str, rule: Section) -> Opening | None:
    """The opening that a rule of ours is; None for one that somebody changed into something else."""
    if rule.one("target") != "ACCEPT":
        return None
    try:
        sources = _networks(rule.many("src_ip"))
        if kind.startswith("port_") and rule.one("proto") == "udp" and len(sources) <= 1:
            return ListenPort(int(rule.one("dest_port")), next(iter(sources), None))
        if kind.startswith("management_") and rule.one("proto") == "tcp":
            return Management(int(rule.one("dest_port")), sources)
        if kind == "lan_tunnel":
            return Forward("lan", "tunnel", sources)
        if kind == "tunnel_lan":
            return Forward("tunnel", "lan", _networks(rule.many("dest_ip")))
    except ValueError:
        return None
    return None


def _networks(values: Iterable[str]) -> frozenset[IPNetwork]:
    return frozenset(ipaddress.ip_network(value, strict=False) for value in values)


def running_openings(
    stored: Openings, rules: Iterable[str], overlay: str, interface: str, firewall: Package, fw4: bool
) -> dict[str, Opening]:
    """Those of the stored openings of which the running rules show a trace: by its name for a rule, by the zone for the rest.

    netfilter shows no UCI names, but fw3 and fw4 put the name of a rule into its comment.
    """
    lines = list(rules)
    zone = zone_name(overlay, firewall)
    entry = f'iifname "{interface}" jump input_{zone}' if fw4 else f"-i {interface} "
    entries = [line for line in lines if (entry in line or _in_set(line, interface, zone)) and zone in line]
    live: dict[str, Opening] = {}
    for identity, opening in stored.items():
        section = rule_section(overlay, interface, opening)
        name = firewall[section].one("name") if section is not None and section in firewall else ""
        if any(f': {name}"' in line for line in lines) if name else bool(entries):
            live[identity] = opening
    return live


def _in_set(line: str, interface: str, zone: str) -> bool:
    """fw4 puts several interfaces of a zone into one set: `iifname { "wg0", "wg1" } jump input_...`."""
    return line.lstrip().startswith("iifname {") and f'"{interface}"' in line and f"jump input_{zone}" in line


# ------------------------------------------------------------------------------------------------------------- writing
def rule_lines(opening: Opening, section: str, mark: Mark | None, zones: Zones, present: bool) -> Iterator[Part]:
    """The rule of an opening anew, as lines of `uci batch`."""
    path = f"firewall.{section}"
    if present:
        yield from delete(path)
    yield f"set {path}=rule\n"
    yield from set_(f"{path}.name", f"{mark} {opening.identity.replace('/', ' ')}")
    match opening:
        case ListenPort():
            yield from _options(path, src=zones.wan, proto="udp", dest_port=str(opening.port))
            yield from list_(f"{path}.src_ip", [str(opening.source)] if opening.source else [], present=False)
        case Management():
            yield from _options(path, src=zones.tunnel, proto="tcp", dest_port=str(opening.port))
            yield from list_(f"{path}.src_ip", _sorted(opening.sources), present=False)
        case Forward(source="lan"):
            yield from _options(path, src=zones.lan, dest=zones.tunnel, proto="all")
            yield from list_(f"{path}.src_ip", _sorted(opening.prefixes), present=False)
        case Forward():
            yield from _options(path, src=zones.tunnel, dest=zones.lan, proto="all")
            yield from list_(f"{path}.dest_ip", _sorted(opening.prefixes), present=False)
    yield from set_(f"{path}.target", "ACCEPT")


class Zones:
    """Names of the zones that rules speak of."""

    def __init__(self, tunnel: str, lan: str, wan: str) -> None:
        self.tunnel, self.lan, self.wan = tunnel, lan, wan


def zone_lines(
    overlay: str, openings: Mapping[str, Openings], firewall: Package, mark: Mark | None, name: str
) -> tuple[list[Part], set[str]]:
    """What makes our zone hold these openings by interface, and the sections it touches; nothing if it does already."""
    section, ping = zone_section(overlay), _ping_section(overlay)
    members = sorted(interface for interface, held in openings.items() if any(_in_zone(one) for one in held.values()))
    current = firewall.get(section)
    if not members:
        gone = [name for name in (section, ping) if name in firewall]
        return [part for one in gone for part in delete(f"firewall.{one}")], set(gone)
    lines: list[Part] = []
    touched: set[str] = set()
    wanted = _zone_options(name, members, openings)
    if current is None:
        lines.append(f"set firewall.{section}=zone\n")
    for option, values in wanted.items():
        held = current.options.get(option, []) if current is not None else []
        if held != values:
            lines += _option_lines(f"firewall.{section}.{option}", values, held, is_list=option in {"network", "masq_src"})
            touched.add(section)
    if ping not in firewall:
        touched.add(ping)
        lines.append(f"set firewall.{ping}=rule\n")
        lines += set_(f"firewall.{ping}.name", f"{mark} ping")
        lines += _options(f"firewall.{ping}", src=name, proto="icmp", icmp_type="echo-request", target="ACCEPT")
    for other, foreign in firewall.items():
        for member in members:
            if foreign.type == "zone" and other != section and member in foreign.many("network"):
                lines += _leave(other, foreign, member)
                touched.add(other)
    return lines, touched


def _in_zone(opening: Opening) -> bool:
    return not isinstance(opening, ListenPort)


def _zone_options(name: str, members: list[str], openings: Mapping[str, Openings]) -> dict[str, list[str]]:
    held = [opening for member in members for opening in openings[member].values()]
    relays = any(isinstance(one, Forward) and one.source == one.target for one in held)
    spared = [one.prefixes for one in held if isinstance(one, NoMasquerade)]
    prefixes = [] if not spared else _sorted(frozenset().union(*spared)) if all(spared) else list(EVERYTHING)
    return {
        "name": [name],
        "input": ["REJECT"],
        "output": ["ACCEPT"],
        "forward": ["ACCEPT" if relays else "REJECT"],
        "mtu_fix": ["1"] if any(isinstance(one, ClampMss) for one in held) else [],
        "masq_src": [f"!{prefix}" for prefix in prefixes],
        "network": members,
    }


def _option_lines(path: str, values: list[str], held: list[str], *, is_list: bool) -> Iterator[Part]:
    if is_list:
        yield from list_(path, values, present=bool(held))
    elif values:
        yield from set_(path, values[0])
    elif held:
        yield from delete(path)


def _leave(name: str, zone: Section, interface: str) -> Iterator[Part]:
    """Take an interface out of somebody's zone: in two zones at once the first one rules."""
    values = zone.options["network"]
    if interface in values:
        yield f"del_list firewall.{name}.network={quoted(interface)}\n"
    else:  # a scalar of several words
        yield from set_(f"firewall.{name}.network", " ".join(word for word in zone.many("network") if word != interface))


def _options(path: str, **options: str) -> Iterator[Part]:
    for option, value in options.items():
        yield from set_(f"{path}.{option}", value)


def _sorted(prefixes: frozenset[IPNetwork]) -> list[str]:
    return [str(prefix) for prefix in sorted_networks(prefixes)]
