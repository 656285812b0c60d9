"""Filter rules, aliases, source NAT, and what the packet filter decides with the rules that were applied (sheet 4 and 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any, Final

from ..ether import Packet
from . import checks
from .call import Action, Actions, Call
from .fields import Field, Fields, defaults
from .records import Explicit
from .store import Config, Record, copied
from .wgmodels import flag

if TYPE_CHECKING:
    from .box import Box

RULES, SNAT, ALIASES = "filter.rules", "filter.snat", "alias"
ROLLBACK_AFTER: Final = 60.0
_PORT: Final = re.compile(r"\d{1,5}([-:]\d{1,5})?|[A-Za-z][A-Za-z0-9_-]*")
_TRANSPORT: Final = ("tcp", "udp", "tcp/udp")


def _options(known: Mapping[str, str]) -> Callable[[Box, Config], Mapping[str, str]]:
    return lambda _box, _config: known


def _missing(value: str, _release: object) -> str:
    return f"Option [{value}] not in list."


def _choice(name: str, default: str, known: Mapping[str, str], blank: str | None = None) -> Field:
    return Field(name, default=default, shape="options", choices=_options(known), unknown=_missing, blank=blank)


def rule_interfaces(_box: Box, config: Config) -> Mapping[str, str]:
    """Assigned interfaces and groups; `wg0` itself is none of them (sheet 4)."""
    ports = {key: record.get("descr") or key.upper() for key, record in config["interfaces"].items()}
    found = ports | {key: record["descr"] for key, record in config["ifgroups"].items()}
    return dict(sorted(found.items(), key=lambda one: one[1].lower()))


def known_networks(config: Config) -> set[str]:
    """Words that a rule may use instead of a network."""
    ports = config["interfaces"]
    return {"any", "(self)", *ports, *(f"{key}ip" for key in ports), *(one["name"] for one in config[ALIASES].values())}


def _fields() -> tuple[Field, ...]:
    states = {
        "keep": "keep state",
        "sloppy": "sloppy state",
        "modulate": "modulate state",
        "synproxy": "synproxy state",
        "none": "no state",
    }
    protocols = {"any": "any", "TCP": "TCP", "UDP": "UDP", "TCP/UDP": "TCP/UDP", "ICMP": "ICMP", "IPV6-ICMP": "IPV6-ICMP"}
    return (
        flag("enabled", "1"),
        _choice("statetype", "keep", states),
        _choice("state-policy", "", {"if-bound": "Bind states to interface", "floating": "Floating states"}, "default"),
        Field("sequence", checks.integer(1, 999999), "1", required=True),
        Field("sort_order", volatile=True),
        Field("prio_group", volatile=True),
        _choice("action", "pass", {"pass": "Pass", "block": "Block", "reject": "Reject"}),
        flag("quick", "1"),
        flag("interfacenot", "0"),
        Field("interface", shape="options", choices=rule_interfaces, unknown=_missing),
        _choice("direction", "in", {"in": "In", "out": "Out", "any": "Both"}),
        _choice("ipprotocol", "inet", {"inet": "IPv4", "inet6": "IPv6", "inet46": "IPv4+IPv6"}),
        _choice("protocol", "any", protocols),
        *(one for end in ("source", "destination") for one in _end(end)),
        flag("log", "0"),
        Field("gateway", shape="options", choices=lambda _box, config: _gateways(config), unknown=_missing, blank="None"),
        Field("categories"),
        Field("description"),
    )


def _gateways(config: Config) -> Mapping[str, str]:
    return {one["name"]: f"{one['name']} - {one['gateway']}" for one in config["gateways"].values()}


def _end(end: str) -> tuple[Field, ...]:
    return (
        Field(f"{end}_net", default="any", required=True),
        flag(f"{end}_not", "0"),
        Field(f"{end}_port", lambda value: () if _PORT.fullmatch(value) and len(value) > 1 else _no_port()),
    )


def _no_port() -> Sequence[str]:
    return ("Please specify a valid portnumber, name, alias or range.",)


class Rules(Explicit):
    """Rules of the filter or of source NAT, whose ends are networks, addresses, aliases or words."""

    def __init__(self, box: Box, section: str, fields: Fields) -> None:
        super().__init__(box, section, "rule", fields)

    def fresh(self, config: Config) -> dict[str, str]:
        """Behind the last one."""
        last = max((int(record["sequence"]) for record in config[self.section].values()), default=0)
        return defaults(self.fields) | {"sequence": str(last + 1)}

    def check(self, config: Config, key: str, values: Mapping[str, str], prefix: str) -> dict[str, Any]:
        """Ends and ports."""
        wrong = super().check(config, key, values, prefix)
        words = known_networks(config)
        for end in ("source", "destination"):
            net = values.get(f"{end}_net", "")
            if any(entry not in words and not _is_network(entry) for entry in net.split(",") if entry):
                wrong[f"{prefix}.{end}_net"] = f"{net} is not a valid {end} IP address or alias."
            if values.get(f"{end}_port") and values["protocol"].lower() not in _TRANSPORT:
                name = f"{prefix}.{end}_port"
                message = f"{end.capitalize()} ports are only valid for tcp or udp type rules."
                wrong[name] = [*([wrong[name]] if name in wrong else []), message] if name in wrong else message
        return wrong


def _is_network(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return True


class Filter:
    """What is stored, what runs, and the savepoints between them."""

    def __init__(self, box: Box) -> None:
        self._box = box
        fields = _fields()
        self._rules = Rules(box, RULES, fields)
        snat = (*fields, flag("nonat", "0"), Field("target", default="wanip"))
        self._snat = Rules(box, SNAT, snat)
        kinds = {"host": "Host(s)", "network": "Network(s)", "port": "Port(s)"}
        alias = (
            flag("enabled", "1"),
            Field(
                "name",
                checks.masked(r"[A-Za-z_][A-Za-z0-9_]{0,31}", "The name must start with a letter or single underscore."),
                required=True,
            ),
            _choice("type", "host", kinds),
            Field("content"),
            Field("description"),
        )
        self._aliases = Explicit(box, ALIASES, "alias", alias)
        self._running: tuple[Record, ...] = ()
        self._snat_running: tuple[Record, ...] = ()
        self._lists: dict[str, tuple[str, ...]] = {}
        self._pending: dict[str, bool] = {}

    def actions(self) -> Actions:
        """Every endpoint of this release."""
        release = self._box.release
        found = {
            **self._rules.actions("firewall/filter", "rule"),
            "firewall/filter/apply": Action(self.apply),
            **self._aliases.actions("firewall/alias", "item"),
            "firewall/alias/reconfigure": Action(self._alias_reconfigure),
        }
        if release.since(24, 1):
            found |= self._snat.actions("firewall/sourcenat", "rule")
            found["firewall/sourcenat/apply"] = Action(self.apply)
        if release.since(24, 1) and not release.since(26, 7):
            found["firewall/filter/savepoint"] = Action(self.savepoint)
            found["firewall/filter/cancelrollback"] = Action(self.cancel, 1)
            found["firewall/filter/revert"] = Action(self.revert, 1)
        return found

    # --- apply and roll back --------------------------------------------------------------------------------------------

    def apply(self, call: Call) -> object:
        """Load the stored rules; with a revision, go back to it in 60 seconds unless that is cancelled (sheet 5)."""
        if not call.posted:
            return {"status": "error"}
        self.reload()
        revision = call.parameter()
        if revision is not None and not self._box.release.since(26, 7):
            self._pending[revision] = True
            self._box.at(self._box.clock.now() + ROLLBACK_AFTER, lambda: self._undo(revision))
        return {"status": "OK\n\n"}

    def savepoint(self, call: Call) -> object:
        """A revision; its name in the reply often is not the file's (sheet 5: 28 of 30 on 24.7, none on 25.7 and 26.1)."""
        if not call.posted:
            return {"status": "error"}
        self._box.may_write(call)
        self._box.save(call, copied(self._box.store.current))
        return {"status": "ok", "retention": "100", "revision": self._box.store.revisions[0].time}

    def cancel(self, call: Call) -> object:
        """Stop the timer."""
        if not call.posted:
            return {"status": "error"}
        self._pending.pop(call.parameter() or "", None)
        return {"status": "OK\n\n"}

    def revert(self, call: Call) -> object:
        """Go back now."""
        revision = call.parameter() or ""
        if call.posted:
            self._pending[revision] = True
            self._undo(revision)
        return {"status": "OK\n\n" if call.posted else "error"}

    def _undo(self, revision: str) -> None:
        """Only the filter's rules come back, and only if the file exists."""
        if not self._pending.pop(revision, False):
            return
        found = self._box.store.revision(f"config-{revision}.xml")
        if found is not None:
            draft = copied(self._box.store.current)
            draft[RULES] = dict(found.config[RULES])
            self._box.store.commit(draft, "root", "firewall rollback")
            self.reload()

    def reload(self) -> None:
        """What is stored runs now."""
        config = self._box.store.current
        enabled = [record for record in config[RULES].values() if record.get("enabled") == "1"]
        self._running = tuple(sorted(enabled, key=lambda record: int(record["sequence"])))
        self._snat_running = tuple(record for record in config[SNAT].values() if record.get("enabled") == "1")
        self._load_aliases()
        self._box.changed()

    def _alias_reconfigure(self, call: Call) -> object:
        if not call.posted:
            return {"status": "failed"}
        self._load_aliases()
        self._box.changed()
        return {"status": "ok"}

    def _load_aliases(self) -> None:
        records = self._box.store.current[ALIASES].values()
        self._lists = {one["name"]: tuple(one["content"].split()) for one in records if one["enabled"] == "1"}

    # --- packets --------------------------------------------------------------------------------------------------------

    def passes(self, packet: Packet, *, to_self: bool) -> bool:
        """Rules are looked at where a packet comes in: quick ones at once, else the last match; then the port's default."""
        if packet.established or packet.in_interface is None:
            return True
        verdict: bool | None = None
        for rule in self._running:
            if self._matches(rule, packet, to_self=to_self):
                verdict = rule["action"] == "pass"
                if rule["quick"] == "1":
                    break
        if verdict is not None:
            return verdict
        # The installer's rule lets the LAN go anywhere; everything else is closed.
        return packet.in_interface == "lan" or (packet.in_interface == "wan" and self._box.open_wan)

    def excluded(self, packet: Packet) -> bool:
        """True if a source NAT rule says not to rewrite this packet."""
        return any(rule.get("nonat") == "1" and self._ends(rule, packet, to_self=False) for rule in self._snat_running)

    def _matches(self, rule: Record, packet: Packet, *, to_self: bool) -> bool:
        if rule["direction"] not in ("in", "any") or not self._on_interface(rule, packet.in_interface or ""):
            return False
        family = "inet6" if ":" in packet.target else "inet"
        if rule["ipprotocol"] not in (family, "inet46"):
            return False
        protocol = rule["protocol"].lower()
        if protocol != "any" and packet.protocol.lower() not in protocol.replace("ipv6-icmp", "icmp").split("/"):
            return False
        return self._ends(rule, packet, to_self=to_self)

    def _on_interface(self, rule: Record, name: str) -> bool:
        chosen = [one for one in rule["interface"].split(",") if one]
        device = self._box.routing.device_keys().get(name, name)
        hit = not chosen or name in chosen or device in chosen or (name.startswith("wg") and "wireguard" in chosen)
        return hit != (rule.get("interfacenot") == "1")

    def _ends(self, rule: Record, packet: Packet, *, to_self: bool) -> bool:
        source = self._covers(rule["source_net"], packet.source, to_self=False) != (rule["source_not"] == "1")
        target = self._covers(rule["destination_net"], packet.target, to_self=to_self) != (rule["destination_not"] == "1")
        wanted = rule["destination_port"]
        return source and target and (not wanted or packet.port is None or self._port(wanted, packet.port))

    def _port(self, wanted: str, port: int) -> bool:
        for entry in self._lists.get(wanted, (wanted,)):
            low, _, high = entry.replace(":", "-").partition("-")
            if low.isdigit() and int(low) <= port <= int(high or low):
                return True
        return False

    def _covers(self, net: str, address: str, *, to_self: bool) -> bool:
        return any(self._entry_covers(entry, address, to_self=to_self) for entry in net.split(","))

    def _entry_covers(self, entry: str, address: str, *, to_self: bool) -> bool:
        if entry == "any":
            return True
        ports = self._box.store.current["interfaces"]
        if entry == "(self)" or (entry.removesuffix("ip") in ports and entry not in ports):
            # The public address may stand on something in front of the box: what is for the box is for its address here.
            return to_self
        if entry in ports:
            return _in(address, ports[entry].get("ipaddr", ""))
        if entry in self._lists:
            return any(_in(address, one) for one in self._lists[entry])
        return _in(address, entry)


def _in(address: str, prefix: str) -> bool:
    try:
        return ip_address(address) in ip_network(prefix, strict=False)
    except ValueError:
        return False
