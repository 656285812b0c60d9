"""Filter rules, source NAT rules and aliases as they are stored (sheet 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any, Final

from . import checks
from .fields import Field, Fields, defaults
from .records import Explicit
from .store import Config
from .wgmodels import flag

if TYPE_CHECKING:
    from .box import Box

RULES, SNAT, ALIASES = "filter.rules", "filter.snat", "alias"
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


def filter_rules(box: Box) -> Rules:
    """`/api/firewall/filter`."""
    return Rules(box, RULES, _fields())


def source_nat(box: Box) -> Rules:
    """`/api/firewall/source_nat`; a rule with `nonat` leaves packets as they are."""
    return Rules(box, SNAT, (*_fields(), flag("nonat", "0"), Field("target", default="wanip")))


def aliases(box: Box) -> Explicit:
    """`/api/firewall/alias`; entries of `content` on lines of their own."""
    name = checks.masked(r"[A-Za-z_][A-Za-z0-9_]{0,31}", "The name must start with a letter or single underscore.")
    kinds = {"host": "Host(s)", "network": "Network(s)", "port": "Port(s)"}
    fields = (
        flag("enabled", "1"),
        Field("name", name, required=True),
        _choice("type", "host", kinds),
        Field("content"),
        Field("description"),
    )
    return Explicit(box, ALIASES, "alias", fields)
