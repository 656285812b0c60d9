"""The stand-in for firewall-cmd and its daemon. Words and exit codes as firewalld 1.3 has them (errors.py, command.py).

Zones and policies become a table `inet firewalld`, as with its nftables backend, which is rebuilt whenever they change.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from ._call import Call, Refused
from ._nft import Transaction

if TYPE_CHECKING:
    from .simulator import LinuxSimulator

NOT_RUNNING: Final = 252
_CODES: Final = {"ZONE_CONFLICT": 18, "NAME_CONFLICT": 26, "INVALID_SERVICE": 101, "INVALID_PORT": 102, "INVALID_PROTOCOL": 103,
                 "INVALID_INTERFACE": 104, "INVALID_ADDR": 105, "INVALID_TARGET": 110, "INVALID_ZONE": 112,
                 "INVALID_RULE": 122, "INVALID_POLICY": 140, "BUILTIN_ZONE": 23, "INVALID_NAME": 116}  # fmt: skip
_SERVICES: Final = {"ssh": "22/tcp", "http": "80/tcp", "https": "443/tcp", "dns": "53/udp", "dhcpv6-client": "546/udp",
                    "wireguard": "51820/udp", "mdns": "5353/udp"}  # fmt: skip


@dataclass
class Zone:
    """A zone, or a policy when it has `ingress` and `egress` zones."""

    name: str
    target: str = "default"
    lists: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in
                                        ("interfaces", "sources", "services", "ports", "protocols", "rich-rules")})  # fmt: skip
    forward: bool = True
    masquerade: bool = False
    ingress: list[str] | None = None
    egress: list[str] | None = None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass
class Config:
    """All zones and policies, once as running and once as permanent."""

    zones: dict[str, Zone] = field(default_factory=dict)
    policies: dict[str, Zone] = field(default_factory=dict)
    default: str = "public"


def _factory() -> Config:
    config = Config()
    for name, target, services in (("public", "default", ["ssh", "dhcpv6-client"]), ("internal", "default", ["ssh", "mdns"]),
                                   ("trusted", "ACCEPT", []), ("external", "default", ["ssh"]), ("drop", "DROP", []),
                                   ("block", "%%REJECT%%", []), ("dmz", "default", ["ssh"]), ("home", "default", ["ssh"]),
                                   ("work", "default", ["ssh"])):  # fmt: skip
        zone = Zone(name, target)
        zone.lists["services"] = list(services)
        zone.masquerade = name == "external"
        config.zones[name] = zone
    return config


class Firewalld:
    """The daemon."""

    def __init__(self, host: LinuxSimulator) -> None:
        self._host = host
        self.permanent = _factory()
        self.runtime = copy.deepcopy(self.permanent)
        self.running = False

    def start(self) -> None:
        """Load what is permanent."""
        self.running = True
        self.reload()

    def stop(self) -> None:
        """Leave the kernel without a firewall, as the real one does."""
        self.running = False
        self.load(None)

    def reload(self) -> None:
        """Runtime changes are lost."""
        self.runtime = copy.deepcopy(self.permanent)
        self.load(self.runtime)

    def save(self) -> None:
        """Write what is not as shipped under etc/firewalld."""
        shipped = _factory()
        directory = self._host.root_path / "etc/firewalld"
        for kind, zones, known in (("zones", self.permanent.zones, shipped.zones), ("policies", self.permanent.policies, {})):
            (directory / kind).mkdir(parents=True, exist_ok=True)
            wanted = {f"{name}.xml": _xml(zone) for name, zone in zones.items() if known.get(name) != zone}
            for path in (directory / kind).glob("*.xml"):
                if path.name not in wanted:
                    path.unlink()
            for name, text in wanted.items():
                (directory / kind / name).write_text(text)

    def load(self, config: Config | None) -> None:
        """Rebuild the kernel's table."""
        ruleset = self._host.nftables.clone()
        ruleset.tables.pop(("inet", "firewalld"), None)
        if config is not None:
            quiet = Call(self._host, "nft", [], self._host.root_path)
            Transaction(quiet, ruleset, handles=False, as_json=False).run(_table(config))
        self._host.nftables = ruleset


def _xml(zone: Zone) -> str:
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<{"policy" if zone.ingress is not None else "zone"} target="{zone.target}">',
    ]
    lines += [f"  <{kind}>{escape(text)}</{kind}>" for kind, text in zone.texts.items()]
    for kind in ("interfaces", "sources", "services", "ports", "protocols", "rich-rules"):
        lines += [f"  <{kind[:-1]} value={value!r}/>" for value in zone.lists[kind]]
    lines += [f'  <ingress-zone name="{name}"/>' for name in zone.ingress or []]
    lines += [f'  <egress-zone name="{name}"/>' for name in zone.egress or []]
    lines += ["  <masquerade/>"] * zone.masquerade + ["  <forward/>"] * zone.forward
    return "\n".join([*lines, "</policy>" if zone.ingress is not None else "</zone>", ""])


# ------------------------------------------------------------------------------------------------------ to nftables
def _of_zone(config: Config, name: str, key: str) -> list[str]:
    """Matches for packets from (iifname, saddr) or to (oifname, daddr) a zone; an empty string matches the rest."""
    zone = config.zones[name]
    found = [f'{key} "{one}"' for one in zone.lists["interfaces"]]
    side = "saddr" if key == "iifname" else "daddr"
    found += [f"{'ip6' if ':' in one else 'ip'} {side} {one}" for one in zone.lists["sources"]]
    if name == config.default:
        bound = [one for other in config.zones.values() for one in other.lists["interfaces"]]
        names = ", ".join(f'"{one}"' for one in bound)
        found.append(f"{key} != {{ {names} }}" if len(bound) > 1 else f'{key} != "{bound[0]}"' if bound else "")
    return found


def _allowed(zone: Zone) -> list[str]:
    ports = [_SERVICES[name] for name in zone.lists["services"]] + zone.lists["ports"]
    rules = [f"{port.partition('/')[2]} dport {port.partition('/')[0]} accept" for port in ports]
    rules += [f"meta l4proto {name} accept" for name in zone.lists["protocols"]]
    return rules + [line for rich in zone.lists["rich-rules"] if (line := _rich(rich))]


def _rich(text: str) -> str:
    """The nftables form of a rich rule with source, port or service, and a verdict; empty for others."""
    parts = []
    if match := re.search(r'source (NOT )?address="([^"]+)"', text):
        parts.append(f"{'ip6' if ':' in match[2] else 'ip'} saddr {'!= ' if match[1] else ''}{match[2]}")
    if match := re.search(r'destination address="([^"]+)"', text):
        parts.append(f"{'ip6' if ':' in match[1] else 'ip'} daddr {match[1]}")
    if match := re.search(r'port port="([^"]+)" protocol="([^"]+)"', text):
        parts.append(f"{match[2]} dport {match[1]}")
    elif match := re.search(r'service name="([^"]+)"', text):
        port, _, protocol = _SERVICES[match[1]].partition("/")
        parts.append(f"{protocol} dport {port}")
    verdict = re.search(r"\b(accept|drop|reject)\b", text)
    return " ".join([*parts, verdict[1]]) if verdict else ""


def _table(config: Config) -> str:
    inward, forward, nat = [], [], []
    order = sorted(config.zones, key=lambda name: (name == config.default, name))
    for name in order:
        zone = config.zones[name]
        verdict = {"ACCEPT": "accept", "DROP": "drop", "%%REJECT%%": "reject"}.get(zone.target)
        for match in _of_zone(config, name, "iifname"):
            inward += [f"{match} {rule}" for rule in _host_rules(config, name)]
            inward += [f"{match} {rule}" for rule in _allowed(zone)]
            inward += (
                [f"{match} {verdict}"]
                if verdict
                else [f"{match} meta l4proto icmp accept", f"{match} meta l4proto ipv6-icmp accept"]
            )
            if zone.forward:
                forward += [f"{match} {to} accept" for to in _of_zone(config, name, "oifname")]
            if verdict:
                forward.append(f"{match} {verdict}")
        if zone.masquerade:
            nat += [f"{to} masquerade" for to in _of_zone(config, name, "oifname")]
    for policy in config.policies.values():
        verdict = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject"}.get(policy.target, "")
        pairs = [(source, to) for source in policy.ingress or [] for to in policy.egress or []]
        for source, to in pairs:
            rules = _allowed(policy) + ([verdict] if verdict else [])
            forward[:0] = [
                " ".join(filter(None, (match, target, rule)))
                for match in ([""] if source == "ANY" else _of_zone(config, source, "iifname"))
                for target in ([""] if to == "ANY" else _of_zone(config, to, "oifname") if to != "HOST" else [])
                for rule in rules
            ]
    return _render(inward, forward, nat)


def _host_rules(config: Config, zone: str) -> list[str]:
    rules = []
    for policy in config.policies.values():
        if "HOST" in (policy.egress or []) and {zone, "ANY"} & set(policy.ingress or []):
            rules += _allowed(policy) + (["accept"] if policy.target == "ACCEPT" else [])
    return rules


def _render(inward: list[str], forward: list[str], nat: list[str]) -> str:
    head = "ct state established,related accept"
    blocks = [
        (
            "filter_INPUT",
            "filter hook input priority filter + 10",
            [head, 'iifname "lo" accept', *inward, "reject with icmpx admin-prohibited"],
        ),
        ("filter_FORWARD", "filter hook forward priority filter + 10", [head, *forward, "reject with icmpx admin-prohibited"]),
        ("nat_POSTROUTING", "nat hook postrouting priority srcnat + 10", nat),
    ]
    lines = ["table inet firewalld {"]
    for name, base, rules in blocks:
        lines += [f"chain {name} {{", f"type {base}; policy accept;", *rules, "}"]
    return "\n".join([*lines, "}"])


# ------------------------------------------------------------------------------------------------------ firewall-cmd
def _error(code: str, detail: str) -> Refused:
    return Refused(f"Error: {code}: {detail}", _CODES[code])


@dataclass
class _Options:
    permanent: bool = False
    zone: str = ""
    policy: str = ""
    commands: list[tuple[str, str]] = field(default_factory=list)


def firewall_cmd(call: Call) -> int:
    """The command line."""
    daemon = call.host.firewalld
    assert daemon is not None
    options = _options(call)
    if not options.commands:
        raise Refused("usage: 'firewall-cmd --help' for usage information or see firewall-cmd(1) man page", 2)
    if options.commands[0][0] == "state":
        if not daemon.running:
            call.err("not running")
            return NOT_RUNNING
        call.out("running")
        return 0
    if not daemon.running:
        raise Refused("FirewallD is not running", NOT_RUNNING)
    if call.uid != 0:
        raise Refused("Authorization failed.\n    Make sure polkit agent is running or run the application as superuser.", 253)
    return _Command(call, daemon, options).run()


def _options(call: Call) -> _Options:
    options, words = _Options(), list(call.argv)
    while words:
        key, equals, value = words.pop(0).partition("=")
        name = key.removeprefix("--")
        if not key.startswith("--"):
            raise Refused(f"usage: see firewall-cmd man page\nfirewall-cmd: error: unrecognized arguments: {key}", 2)
        verb = re.match(r"(add|remove|query|change|set|new|delete|info)-(?!masquerade|forward$)", name)
        takes = name in {"zone", "policy", "get-zone-of-interface"} or verb
        if takes and not equals and words:
            value = words.pop(0)
        if name == "permanent":
            options.permanent = True
        elif name in {"zone", "policy"}:
            setattr(options, name, value)
        elif name not in {"quiet", "q"}:
            options.commands.append((name, value))
    return options


class _Command:
    """One invocation against the daemon."""

    _LISTS: Final = {"interface": "interfaces", "source": "sources", "service": "services", "port": "ports",
                     "protocol": "protocols", "rich-rule": "rich-rules"}  # fmt: skip

    def __init__(self, call: Call, daemon: Firewalld, options: _Options) -> None:
        self._call = call
        self._daemon = daemon
        self._options = options
        self._config = daemon.permanent if options.permanent else daemon.runtime

    def run(self) -> int:
        """Exit status."""
        code, wrote = 0, False
        for name, value in self._options.commands:
            result = self._one(name, value)
            wrote = wrote or result is None
            code = result or code
        if wrote:
            if self._options.permanent:
                self._daemon.save()
            else:
                self._daemon.load(self._daemon.runtime)
            self._call.out("success")
        return code

    def _one(self, name: str, value: str) -> int | None:
        """None: something was changed; a number: it was a question, with this exit status."""
        match = re.fullmatch(r"(add|remove|query|change|list)-([a-z-]+?)(s?)", name)
        if match and self._LISTS.get(match[2]):
            return self._on_list(match[1], self._LISTS[match[2]], value)
        if match and match[2] in {"forward", "masquerade"}:
            return self._flag(match[1], match[2])
        if match and match[2] in {"ingress-zone", "egress-zone"}:
            return self._end(match[1], match[2].partition("-")[0], value)
        method = getattr(self, "_" + name.replace("-", "_"), None)
        if method is None:
            raise Refused(f"usage: see firewall-cmd man page\nfirewall-cmd: error: unrecognized arguments: --{name}", 2)
        result = method(value)
        return None if result is None else int(result)

    def _target_zone(self) -> Zone:
        if self._options.policy:
            if self._options.policy not in self._config.policies:
                raise _error("INVALID_POLICY", self._options.policy)
            return self._config.policies[self._options.policy]
        name = self._options.zone or self._config.default
        if name not in self._config.zones:
            raise _error("INVALID_ZONE", name)
        return self._config.zones[name]

    def _on_list(self, verb: str, kind: str, value: str) -> int | None:
        zone = self._target_zone()
        values = zone.lists[kind]
        if verb == "list":
            self._call.out(("\n" if kind == "rich-rules" else " ").join(values))
            return 0
        value = self._checked(kind, value)
        if verb == "query":
            self._call.out("yes" if value in values else "no")
            return 0 if value in values else 1
        shown = ":".join(value.split("/")) if kind == "ports" else value
        if verb == "remove":
            if value not in values:
                self._call.err(f"Warning: NOT_ENABLED: {shown}")
            else:
                values.remove(value)
            return None
        if kind == "interfaces":
            for other in self._config.zones.values():
                if value in other.lists[kind] and other is not zone:
                    if verb == "add":
                        raise _error("ZONE_CONFLICT", f"'{value}' already bound to a zone")
                    other.lists[kind].remove(value)
        if value in values:
            self._call.err(f"Warning: ALREADY_ENABLED: '{shown}' already in '{zone.name}'" if kind != "interfaces"
                           else f"Warning: ZONE_ALREADY_SET: '{value}' already bound to '{zone.name}'")  # fmt: skip
        else:
            values.append(value)
        return None

    @staticmethod
    def _checked(kind: str, value: str) -> str:
        if kind == "ports":
            port, slash, protocol = value.partition("/")
            if not slash or not re.fullmatch(r"\d+(-\d+)?", port) or any(int(one) > 65535 for one in port.split("-")):
                raise _error(
                    "INVALID_PORT",
                    port if slash else "bad port (most likely missing protocol), correct syntax is portid[-portid]/protocol",
                )
            if protocol not in {"tcp", "udp", "sctp", "dccp"}:
                raise _error("INVALID_PROTOCOL", f"'{protocol}' not in {{'tcp'|'udp'|'sctp'|'dccp'}}")
        elif kind == "services" and value not in _SERVICES:
            raise _error("INVALID_SERVICE", value)
        elif kind == "interfaces" and not re.fullmatch(r"[^/\s!*]{1,16}", value):
            raise _error("INVALID_INTERFACE", value)
        elif kind == "rich-rules" and (not value.startswith("rule") or not _rich(value)):
            raise _error("INVALID_RULE", value)
        elif kind == "sources":
            try:
                ipaddress.ip_network(value)
            except ValueError:
                raise _error("INVALID_ADDR", value) from None
        return value

    def _flag(self, verb: str, name: str) -> int | None:
        zone = self._target_zone()
        if verb == "query":
            self._call.out("yes" if getattr(zone, name) else "no")
            return 0 if getattr(zone, name) else 1
        if getattr(zone, name) == (verb == "add"):
            what = "ALREADY_ENABLED" if verb == "add" else "NOT_ENABLED"
            self._call.err(f"Warning: {what}: {name} already {'en' if verb == 'add' else 'dis'}abled in '{zone.name}'")
        setattr(zone, name, verb == "add")
        return None

    def _end(self, verb: str, side: str, value: str) -> int | None:
        policy = self._target_zone()
        ends: list[str] = getattr(policy, side) if getattr(policy, side) is not None else []
        if verb == "list":
            self._call.out(" ".join(ends))
            return 0
        if value not in {"HOST", "ANY", *self._config.zones}:
            raise _error("INVALID_ZONE", value)
        if verb == "query":
            self._call.out("yes" if value in ends else "no")
            return 0 if value in ends else 1
        if verb == "add":
            ends += [value] if value not in ends else []
        elif value in ends:
            ends.remove(value)
        return None

    def _permanent_only(self, option: str) -> None:
        if not self._options.permanent:
            raise Refused(f"usage: see firewall-cmd man page\nOption can be used only with --permanent: {option}", 2)

    # Options without a family of their own, by name.
    def _reload(self, value: str) -> int:
        self._daemon.reload()
        self._call.out("success")
        return 0

    _complete_reload = _reload

    def _runtime_to_permanent(self, value: str) -> None:
        self._daemon.permanent = copy.deepcopy(self._daemon.runtime)
        self._daemon.save()

    def _get_default_zone(self, value: str) -> int:
        self._call.out(self._config.default)
        return 0

    def _get_zones(self, value: str) -> int:
        self._call.out(" ".join(sorted(self._config.zones)))
        return 0

    def _get_policies(self, value: str) -> int:
        self._call.out(" ".join(sorted(self._config.policies)))
        return 0

    def _get_active_zones(self, value: str) -> int:
        for name, zone in sorted(self._config.zones.items()):
            if zone.lists["interfaces"] or zone.lists["sources"]:
                self._call.out(name)
                if zone.lists["interfaces"]:
                    self._call.out("  interfaces: " + " ".join(zone.lists["interfaces"]))
                if zone.lists["sources"]:
                    self._call.out("  sources: " + " ".join(zone.lists["sources"]))
        return 0

    def _get_zone_of_interface(self, value: str) -> int:
        found = next((zone.name for zone in self._config.zones.values() if value in zone.lists["interfaces"]), None)
        if found is None:
            raise Refused("no zone", 2)
        self._call.out(found)
        return 0

    def _new_zone(self, value: str) -> None:
        self._permanent_only("--new-zone")
        if value in self._config.zones:
            raise _error("NAME_CONFLICT", f"new_zone(): '{value}'")
        if not re.fullmatch(r"[\w-]{1,17}", value):
            raise _error("INVALID_NAME", value)
        self._config.zones[value] = Zone(value, forward=False)

    def _delete_zone(self, value: str) -> None:
        self._permanent_only("--delete-zone")
        if value in _factory().zones:
            raise _error("BUILTIN_ZONE", f"'{value}' is built-in zone")
        if value not in self._config.zones:
            raise _error("INVALID_ZONE", value)
        del self._config.zones[value]

    def _new_policy(self, value: str) -> None:
        self._permanent_only("--new-policy")
        if value in self._config.policies:
            raise _error("NAME_CONFLICT", f"new_policy(): '{value}'")
        self._config.policies[value] = Zone(value, "CONTINUE", ingress=[], egress=[], forward=False)

    def _delete_policy(self, value: str) -> None:
        self._permanent_only("--delete-policy")
        if value not in self._config.policies:
            raise _error("INVALID_POLICY", value)
        del self._config.policies[value]

    def _set_target(self, value: str) -> None:
        self._permanent_only("--set-target")
        if value not in {"default", "ACCEPT", "DROP", "REJECT", "CONTINUE", "%%REJECT%%"}:
            raise _error("INVALID_TARGET", value)
        self._target_zone().target = value

    def _get_target(self, value: str) -> int:
        self._call.out(self._target_zone().target)
        return 0

    def _set_description(self, value: str) -> None:
        self._permanent_only("--set-description")
        self._target_zone().texts["description"] = value

    def _get_description(self, value: str) -> int:
        self._call.out(self._target_zone().texts.get("description", ""))
        return 0

    def _set_short(self, value: str) -> None:
        self._target_zone().texts["short"] = value

    def _get_short(self, value: str) -> int:
        self._call.out(self._target_zone().texts.get("short", ""))
        return 0

    def _list_all(self, value: str) -> int:
        self._describe(self._target_zone())
        return 0

    def _list_all_zones(self, value: str) -> int:
        for _, zone in sorted(self._config.zones.items()):
            self._describe(zone)
            self._call.out("")
        return 0

    def _list_all_policies(self, value: str) -> int:
        for _, policy in sorted(self._config.policies.items()):
            self._describe(policy)
            self._call.out("")
        return 0

    def _describe(self, zone: Zone) -> None:
        active = " (active)" if zone.lists["interfaces"] or zone.lists["sources"] or zone.ingress else ""
        self._call.out(zone.name + active)
        self._call.out(f"  target: {zone.target}")
        if zone.ingress is not None:
            self._call.out(f"  ingress-zones: {' '.join(zone.ingress)}\n  egress-zones: {' '.join(zone.egress or [])}")
        else:
            self._call.out(f"  interfaces: {' '.join(zone.lists['interfaces'])}\n  sources: {' '.join(zone.lists['sources'])}")
        self._call.out(f"  services: {' '.join(zone.lists['services'])}\n  ports: {' '.join(zone.lists['ports'])}")
        if zone.ingress is None:
            self._call.out(f"  forward: {'yes' if zone.forward else 'no'}")
        self._call.out(f"  masquerade: {'yes' if zone.masquerade else 'no'}\n  rich rules: ")
        for rule in zone.lists["rich-rules"]:
            self._call.out(f"\t{rule}")
