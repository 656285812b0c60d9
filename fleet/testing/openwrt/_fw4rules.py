"""fw4: rules of /etc/config/firewall become one nftables table, what it does not take is skipped aloud (sheet 5).

Names of chains, comments and texts of warnings as firewall4 prints them (capture 5). fw3 of 21.02 reads the same sections;
here it fills the same table, which nobody can list there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ._fw4options import KNOWN
from ._netifd import listed
from ._ucifile import Package, Section
from ._ucistore import UciError

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

_TRUE: Final = frozenset({"1", "on", "true", "yes", "enabled"})
_TARGETS: Final = frozenset({"accept", "reject", "drop"})
_RULE_TARGETS: Final = _TARGETS | {"notrack", "helper", "mark", "dscp"}
_FW3_ZONE: Final = 11
"""Longest name of a zone in fw3 (sheet 5, unverified there)."""

_FAMILIES: Final = {"any": "IPv4/IPv6", "ipv4": "IPv4", "ipv6": "IPv6"}
_PROTOCOLS: Final = frozenset(
    ["tcp", "udp", "icmp", "ipv6-icmp", "icmpv6", "esp", "ah", "sctp", "igmp", "all", "any", "*", "tcpudp", "gre"]
)


@dataclass
class Zone:
    """A zone with the devices of its networks that are up now."""

    name: str
    section: Section
    devices: list[str]
    policies: dict[str, str]
    family: str = "any"
    rules: dict[str, list[str]] = field(default_factory=lambda: {"input": [], "output": [], "forward": [], "srcnat": []})
    targets: set[tuple[str, str]] = field(default_factory=set)

    def match(self, word: str) -> str:
        """`iifname "a"` or `iifname { "a", "b" }`."""
        quoted = ", ".join(f'"{device}"' for device in self.devices)
        return f"{word} {quoted}" if len(self.devices) == 1 else f"{word} {{ {quoted} }}"


def _option(section: Section, name: str, default: str = "") -> str:
    value = section.options.get(name, default)
    return value if isinstance(value, str) else " ".join(value)


def _on(section: Section, name: str, default: str = "0") -> bool:
    return _option(section, name, default) in _TRUE


class Renderer:
    """Makes nft text of a package; `warnings` are the `[!]` lines."""

    def __init__(self, router: OpenWrtSimulator) -> None:
        self._router = router
        self.warnings: list[str] = []
        try:
            self._package = router.store.load("firewall")
        except UciError:
            self._package = Package("firewall")
        self.defaults = next(iter(self._package.of_type("defaults")), Section("defaults", ""))
        self.zones: dict[str, Zone] = {}
        for section in self._package.of_type("defaults"):
            self._check_names(section, "")
        self._sections("zone", self._zone)
        self._sections("rule", self._rule)
        self._sections("nat", self._nat)
        self._sections("redirect", lambda section, title: None)
        self._sections("forwarding", self._forwarding)

    # --- sections ------------------------------------------------------------------------------------------------------

    def _sections(self, kind: str, take: Callable[[Section, str], None]) -> None:
        for number, section in enumerate(self._package.of_type(kind)):
            name = f"@{kind}[{number}]" if section.anonymous else section.name
            said = _option(section, "name")
            title = f"Section {name} ({said})" if said else f"Section {name}"
            if _on(section, "enabled", "1"):
                self._check_names(section, title)
                try:
                    take(section, title)
                except ValueError as skipped:
                    self.warnings += [f"[!] {title} {skipped}", f"[!] {title} skipped due to invalid options"]

    def _check_names(self, section: Section, title: str) -> None:
        for option in section.options:
            if option not in KNOWN[section.type]:
                self.warnings.append(f"[!] {title or 'Section ' + section.name} specifies unknown option '{option}'")

    @staticmethod
    def _invalid(option: str, value: str) -> ValueError:
        return ValueError(f"option '{option}' specifies invalid value '{value}'")

    def _word(self, section: Section, option: str, known: frozenset[str], default: str) -> str:
        value = _option(section, option, default).lower()
        if value not in known:
            raise self._invalid(option, _option(section, option))
        return value

    def _zone(self, section: Section, title: str) -> None:
        name = _option(section, "name")
        if not name:
            raise ValueError("option 'name' is mandatory but not set")
        too_long = self._router.release.firewall == "fw3" and len(name) > _FW3_ZONE
        if too_long or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise self._invalid("name", name)
        default = {chain: _option(self.defaults, chain, "drop").lower() for chain in ("input", "output", "forward")}
        policies = {chain: self._word(section, chain, _TARGETS, default[chain]) for chain in default}
        devices = [device for one in listed(section.options.get("network")) for device in self._device_of(one)]
        devices += listed(section.options.get("device"))
        family = self._family(section)
        self.zones[name] = Zone(name, section, list(dict.fromkeys(devices)), policies, family)

    def _family(self, section: Section) -> str:
        return self._word(section, "family", frozenset({"any", "ipv4", "ipv6", "*", "all", "inet"}), "any").replace("*", "any")

    def _device_of(self, network: str) -> list[str]:
        interface = self._router.netifd.interfaces.get(network)
        return [interface.device] if interface is not None and interface.up and interface.device else []

    def _zone_ref(self, section: Section, option: str) -> Zone | None:
        value = _option(section, option)
        if value and value != "*" and value not in self.zones:
            raise self._invalid(option, value)
        return self.zones.get(value)

    def _forwarding(self, section: Section, title: str) -> None:
        source, target = self._zone_ref(section, "src"), self._zone_ref(section, "dest")
        for option in ("src", "dest"):
            if not _option(section, option):
                raise ValueError(f"option '{option}' is mandatory but not set")
        family = self._family(section)
        sources = [source] if source else list(self.zones.values())
        for zone in sources:
            for other in [target] if target else self.zones.values():
                text = f'accept_to_{other.name} comment "!fw4: Accept {zone.name} to {other.name}{_shown(family)} forwarding"'
                zone.targets.add(("accept", other.name))
                zone.rules["forward"].append(f"{_nfproto(family)}jump {text}")

    # --- rules ---------------------------------------------------------------------------------------------------------

    def _rule(self, section: Section, title: str) -> None:
        source, target = self._zone_ref(section, "src"), self._zone_ref(section, "dest")
        has = {option: bool(_option(section, option)) for option in ("src", "dest")}
        verdict = self._word(section, "target", _RULE_TARGETS, "drop")
        if verdict not in _TARGETS:
            return
        name = _option(section, "name") or title.removeprefix("Section ")
        matches = list(self._matches(section))
        comment = f'comment "!fw4: {name}"'
        if has["dest"] and has["src"]:
            zones, chain = ([source] if source else list(self.zones.values())), "forward"
        elif has["src"]:
            zones, chain = ([source] if source else list(self.zones.values())), "input"
        else:
            zones, chain = ([target] if target else list(self.zones.values())), "output"
        what = self._verdict(verdict, target if chain == "forward" else None)
        for zone in zones:
            if chain == "forward" and target is not None:
                zone.targets.add((verdict, target.name))
            counter = "" if what.startswith("jump") and "handle_reject" not in what else "counter "
            zone.rules[chain] += [f"{match}{counter}{what} {comment}" for match in matches]

    def _nat(self, section: Section, title: str) -> None:
        """`config nat`: what leaves by a zone, before its masquerading."""
        source = self._zone_ref(section, "src")
        verdict = self._word(section, "target", frozenset({"accept", "masquerade", "snat"}), "masquerade")
        if verdict == "snat":
            verdict = f"snat ip to {_option(section, 'snat_ip')}"
        name = _option(section, "name") or title.removeprefix("Section ")
        for zone in [source] if source else self.zones.values():
            for match in self._matches(section, "all"):
                zone.rules["srcnat"].append(f'meta nfproto ipv4 {match}{verdict} comment "!fw4: {name}"')

    @staticmethod
    def _verdict(verdict: str, target: Zone | None) -> str:
        if target is not None:
            return f"jump {verdict}_to_{target.name}"
        return "jump handle_reject" if verdict == "reject" else verdict

    def _matches(self, section: Section, protocol: str = "tcpudp") -> Iterator[str]:
        """One text per rule that nft needs: a rule of tcp and udp ports stays two."""
        family = self._family(section)
        protocols = [word for one in listed(section.options.get("proto")) or [protocol] for word in _protocols(one)]
        for word in protocols:
            if word not in _PROTOCOLS and not word.isdigit():
                raise self._invalid("proto", word)
        addresses = self._addresses(section, "src_ip", "saddr") + self._addresses(section, "dest_ip", "daddr")
        ports = {option: self._ports(section, option) for option in ("src_port", "dest_port")}
        head = "" if addresses else _nfproto(family)
        for word in protocols:
            yield head + addresses + self._protocol(word, family, ports)

    @staticmethod
    def _protocol(word: str, family: str, ports: dict[str, str]) -> str:
        if word in {"all", "any", "*"}:
            return ""
        if word in {"tcp", "udp"} and any(ports.values()):
            sides = [("sport", ports["src_port"]), ("dport", ports["dest_port"])]
            return "".join(f"{word} {side} {value} " for side, value in sides if value)
        name = {"icmp": "ipv6-icmp" if family == "ipv6" else "icmp", "icmpv6": "ipv6-icmp"}.get(word, word)
        return f"meta l4proto {name} "

    def _ports(self, section: Section, option: str) -> str:
        values = listed(section.options.get(option))
        for value in values:
            first, _, last = value.replace(":", "-").partition("-")
            if not (first.isdigit() and int(first) < 65536 and (not last or (last.isdigit() and int(last) < 65536))):
                raise self._invalid(option, value)
        ports = [value.replace(":", "-") for value in values]
        return ports[0] if len(ports) == 1 else "{ " + ", ".join(ports) + " }" if ports else ""

    def _addresses(self, section: Section, option: str, side: str) -> str:
        values = listed(section.options.get(option))
        found = []
        for value in values:
            try:
                found.append(ipaddress.ip_network(value.removeprefix("!"), strict=False))
            except ValueError:
                raise self._invalid(option, value) from None
        if not found:
            return ""
        negated = "!= " if values[0].startswith("!") else ""
        word = "ip6" if found[0].version == 6 else "ip"
        texts = [str(one.network_address) if one.prefixlen == one.max_prefixlen else str(one) for one in found]
        return f"{word} {side} {negated}{texts[0] if len(texts) == 1 else '{ ' + ', '.join(texts) + ' }'} "

    # --- text ----------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole ruleset, for `nft -f`."""
        lines = ["table inet fw4", "flush table inet fw4", "table inet fw4 {"]
        for zone in self.zones.values():
            zone.targets |= {(zone.policies[chain], zone.name) for chain in ("output", "forward")}
        for chain in ("input", "forward", "output"):
            lines += self._base(chain)
        lines += self._helpers()
        lines += _chain("handle_reject", [
            'meta l4proto tcp reject with tcp reset comment "!fw4: Reject TCP traffic"',
            'reject with icmpx port-unreachable comment "!fw4: Reject any other traffic"',
        ])  # fmt: skip
        for zone in self.zones.values():
            lines += self._zone_chains(zone)
        lines += self._srcnat() + self._mangle()
        for zone in self.zones.values():
            lines += self._verdict_chains(zone)
        return "\n".join([*lines, *self._includes(), "}", ""])

    def defines(self) -> str:
        """What `fw4 print` says before the rules."""
        lines = []
        for zone in self.zones.values():
            devices = ", ".join(f'"{device}"' for device in zone.devices)
            lines.append(f"define {zone.name}_devices = {{ {devices} }}")
        return "\n".join(lines) + "\n\n"

    def _base(self, chain: str) -> list[str]:
        policy = _option(self.defaults, chain, "drop").lower()
        words = {"input": "inbound", "forward": "forwarded", "output": "outbound"}[chain]
        lines = [f"type filter hook {chain} priority filter; policy {'accept' if policy == 'accept' else 'drop'};"]
        if chain == "input":
            lines.append('iifname "lo" accept comment "!fw4: Accept traffic from loopback"')
        if chain == "output":
            lines.append('oifname "lo" accept comment "!fw4: Accept traffic towards loopback"')
        lines.append(f'ct state established,related accept comment "!fw4: Allow {words} established and related flows"')
        side = "oifname" if chain == "output" else "iifname"
        for zone in self._with_devices():
            family = _FAMILIES.get(zone.family, "IPv4/IPv6")
            comment = f'comment "!fw4: Handle {zone.name} {family} {chain} traffic"'
            lines.append(f"{_nfproto(zone.family)}{zone.match(side)} jump {chain}_{zone.name} {comment}")
        if policy == "reject":
            lines.append("jump handle_reject")
        return _chain(chain, lines)

    def _with_devices(self) -> list[Zone]:
        return [zone for zone in self.zones.values() if zone.devices]

    def _helpers(self) -> list[str]:
        lines = ["type filter hook prerouting priority filter; policy accept;"]
        mine = [zone for zone in self._with_devices() if not _on(zone.section, "masq")]
        for zone in mine:
            comment = f'comment "!fw4: Handle {zone.name} IPv4/IPv6 helper assignment"'
            lines.append(f"{zone.match('iifname')} jump helper_{zone.name} {comment}")
        empty = [line for zone in mine for line in _chain(f"helper_{zone.name}", [])]
        return _chain("prerouting", lines) + empty

    def _zone_chains(self, zone: Zone) -> list[str]:
        name, policies = zone.name, zone.policies
        lines = _chain(f"input_{name}", [*zone.rules["input"], f"jump {policies['input']}_from_{name}"])
        lines += _chain(f"output_{name}", [*zone.rules["output"], f"jump {policies['output']}_to_{name}"])
        return lines + _chain(f"forward_{name}", [*zone.rules["forward"], f"jump {policies['forward']}_to_{name}"])

    def _verdict_chains(self, zone: Zone) -> list[str]:
        wanted = {(verdict, "to") for other in self.zones.values() for verdict, name in other.targets if name == zone.name}
        lines: list[str] = []
        for verdict, way in [(zone.policies["input"], "from"), *sorted(wanted)]:
            rules = []
            if zone.devices:
                match = zone.match("iifname" if way == "from" else "oifname")
                what = "jump handle_reject" if verdict == "reject" else verdict
                rules = [f'{match} counter {what} comment "!fw4: {verdict} {zone.name} IPv4/IPv6 traffic"']
            lines += _chain(f"{verdict}_{way}_{zone.name}", rules)
        return lines

    def _srcnat(self) -> list[str]:
        jumps, chains = ["type nat hook postrouting priority srcnat; policy accept;"], list[str]()
        for zone in self._with_devices():
            rules = list(zone.rules["srcnat"])
            if _on(zone.section, "masq"):
                where = self._addresses(zone.section, "masq_src", "saddr") + self._addresses(zone.section, "masq_dest", "daddr")
                rules.append(f'meta nfproto ipv4 {where}masquerade comment "!fw4: Masquerade IPv4 {zone.name} traffic"')
            if rules:
                comment = f'comment "!fw4: Handle {zone.name} IPv4/IPv6 srcnat traffic"'
                jumps.append(f"{zone.match('oifname')} jump srcnat_{zone.name} {comment}")
                chains += _chain(f"srcnat_{zone.name}", rules)
        return _chain("srcnat", jumps) + chains

    def _mangle(self) -> list[str]:
        lines = ["type filter hook forward priority mangle; policy accept;"]
        for zone in self._with_devices():
            if _on(zone.section, "mtu_fix"):
                clamp = "tcp flags syn / fin,syn,rst tcp option maxseg size set rt mtu"
                for way, word in (("egress", "oifname"), ("ingress", "iifname")):
                    comment = f'comment "!fw4: Zone {zone.name} IPv4/IPv6 {way} MTU fixing"'
                    lines.append(f"{zone.match(word)} {clamp} {comment}")
        return _chain("mangle_forward", lines)

    def _includes(self) -> list[str]:
        files = sorted((self._router.root_path / "etc/nftables.d").glob("*.nft"))
        return [line for file in files for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]


def _chain(name: str, lines: list[str]) -> list[str]:
    return [f"\tchain {name} {{", *(f"\t\t{line}" for line in lines), "\t}", ""]


def _nfproto(family: str) -> str:
    return {"ipv4": "meta nfproto ipv4 ", "ipv6": "meta nfproto ipv6 "}.get(family, "")


def _shown(family: str) -> str:
    return f" {_FAMILIES[family]}" if family in {"ipv4", "ipv6"} else ""


def _protocols(word: str) -> list[str]:
    return ["tcp", "udp"] if word.lower() in {"tcpudp", "tcp+udp"} else [word.lower()]
