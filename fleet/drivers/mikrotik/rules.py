"""Openings as firewall rules, both ways: which rules an opening needs, which opening the rules on the router make.

Every rule of ours carries `MARK INTERFACE IDENTITY` in its comment, e.g. `fleet:acme:hq wg0 listen-port/51820`. A rule
counts only if it is enabled, says exactly what we would write, and stands before the first rule that would drop (or
masquerade) the packet first: an accept below the drop does nothing (sheet 4, sheet 9 pitfall 6).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never, cast

from ... import ClampMss, Forward, ListenPort, Management, Mark, NoMasquerade, Opening, sorted_networks
from ...model import End, IPInterface, IPNetwork
from .values import Row, is_yes, parse_number

FILTER: Final = {4: "/ip/firewall/filter", 6: "/ipv6/firewall/filter"}
NAT: Final = {4: "/ip/firewall/nat", 6: "/ipv6/firewall/nat"}
MANGLE: Final = {4: "/ip/firewall/mangle", 6: "/ipv6/firewall/mangle"}
MENUS: Final = (FILTER[4], NAT[4], MANGLE[4], FILTER[6], NAT[6], MANGLE[6])

# What a rule may be limited by. A rule of ours with any of these that we did not write is not the rule we wrote.
MATCHERS: Final = (
    *("protocol", "dst-port", "src-port", "src-address", "dst-address", "src-address-list", "dst-address-list"),
    *("in-interface", "out-interface", "in-interface-list", "out-interface-list", "connection-state", "connection-nat-state"),
    *("src-address-type", "dst-address-type", "connection-mark", "packet-mark", "routing-mark", "tcp-flags"),
    *("src-mac-address", "time", "limit", "ipsec-policy"),
)
_OTHERS: Final = ("new-mss", "jump-target", "disabled", "dynamic", "invalid", "comment")
RULE_FIELDS: Final = (".id", "chain", "action", *MATCHERS, *_OTHERS)

# TCP and IP headers without options: MSS = MTU - 40 (IPv4) or - 60 (IPv6). The value `clamp-to-pmtu` is unverified (sheet 4).
HEADERS: Final = {4: 40, 6: 60}

Families = frozenset[int]


@dataclass(frozen=True, slots=True)
class Rule:
    """One firewall rule to have: its menu, its words, and what it must stand before.

    `last`: written only after the other rules of its opening are in place (a drop after its accepts).
    """

    menu: str
    words: tuple[tuple[str, str], ...]
    before: Literal["drop", "masquerade", "accept", "nothing"] = "drop"
    last: bool = False

    @property
    def chain(self) -> str:
        """The chain it belongs to."""
        return dict(self.words)["chain"]


@dataclass(frozen=True, slots=True)
class Owned:
    """A rule of ours on the router. `placed`: no rule of others takes the packets first."""

    menu: str
    row: Row
    placed: bool

    @property
    def enabled(self) -> bool:
        """False for one that somebody disabled, or whose interface RouterOS does not know."""
        return not is_yes(self.row, "disabled") and not is_yes(self.row, "invalid")

    @property
    def disabled(self) -> bool:
        """Disabled by somebody, or by a guarded change that it goes with."""
        return is_yes(self.row, "disabled")

    @property
    def holds(self) -> bool:
        """Enabled, and standing where it works."""
        return self.enabled and self.placed

    @property
    def id(self) -> str:
        """Its `.id` at this read."""
        return self.row[".id"]

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if self.menu.startswith("/ipv6") else 4


def comment_of(mark: Mark, interface: str, identity: str, tag: str = "") -> str:
    """The comment of a rule. `tag` is that of the guard under which it is made."""
    return f"{mark} {interface} {identity} {tag}".rstrip()


def owner(row: Row, overlay: str) -> tuple[str, str] | None:
    """(interface, identity) if the rule is this overlay's, wherever the mark stands in its comment.

    The router's name in it is not compared: a renamed router keeps its rules.
    """
    comment = row.get("comment", "")
    mark = Mark.find(comment)
    if mark is None or mark.overlay != overlay:
        return None
    found = re.match(r" (\S+) (\S+)", comment.partition(str(mark))[2])
    return (found[1], found[2]) if found else None


# ---- openings to rules
def rules_for(opening: Opening, interface: str, families: Families, underlay: Families) -> list[Rule]:
    """The rules an opening needs. `families` are those inside the tunnel, `underlay` those the router has outside."""
    match opening:
        case ListenPort():
            return _listen(opening, underlay)
        case Forward():
            return _forward(opening, interface, families)
        case NoMasquerade():
            return _unmasqueraded(opening, interface, families)
        case ClampMss(mtu=mtu):
            return [_clamp(family, mtu, interface) for family in sorted(families)]
        case Management():
            return _management(opening, interface, families)
        case _:
            assert_never(opening)


def _words(**words: str) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in words.items())


def _listen(opening: ListenPort, underlay: Families) -> list[Rule]:
    wanted = {opening.source.version} if opening.source else underlay
    source = {"src_address": str(opening.source)} if opening.source else {}
    return [
        Rule(FILTER[family], _words(chain="input", action="accept", protocol="udp", dst_port=str(opening.port), **source))
        for family in sorted(wanted)
    ]


def _forward(opening: Forward, interface: str, families: Families) -> list[Rule]:
    ends = {}
    if opening.source == "tunnel":
        ends["in_interface"] = interface
    if opening.target == "tunnel":
        ends["out_interface"] = interface
    side = "dst_address" if opening.source == "tunnel" else "src_address"
    return [
        Rule(FILTER[family], _words(chain="forward", action="accept", **ends, **matched))
        for family, matched in _per_prefix(opening.prefixes, side, families)
    ]


def _unmasqueraded(opening: NoMasquerade, interface: str, families: Families) -> list[Rule]:
    return [
        Rule(NAT[family], _words(chain="srcnat", action="accept", out_interface=interface, **matched), before="masquerade")
        for family, matched in _per_prefix(opening.prefixes, "src_address", families)
    ]


def _per_prefix(prefixes: Iterable[IPNetwork], side: str, families: Families) -> list[tuple[int, dict[str, str]]]:
    listed = sorted_networks(frozenset(prefixes))
    if not listed:
        return [(family, {}) for family in sorted(families)]
    return [(prefix.version, {side: str(prefix)}) for prefix in listed]


def _clamp(family: int, mtu: int, interface: str) -> Rule:
    # No tcp-mss matcher: Linux, which RouterOS is, never raises an MSS by this target, so only larger ones change.
    words = _words(
        chain="forward",
        action="change-mss",
        new_mss=str(mtu - HEADERS[family]),
        protocol="tcp",
        tcp_flags="syn",
        out_interface=interface,
    )
    return Rule(MANGLE[family], words, before="nothing")


def _management(opening: Management, interface: str, families: Families) -> list[Rule]:
    where = {"in_interface": interface, "protocol": "tcp", "dst_port": str(opening.port)}
    accepts = [
        Rule(FILTER[source.version], _words(chain="input", action="accept", **where, src_address=str(source)), before="accept")
        for source in sorted_networks(opening.sources)
    ]
    # The drop must follow its accepts, and tagged writes have no order (sheet 1.4): it goes into a batch of its own.
    drops = [
        Rule(FILTER[family], _words(chain="input", action="drop", **where), before="accept", last=True)
        for family in sorted(families)
    ]
    return [*accepts, *drops]


# ---- rules to openings
def openings_of(
    owned: Sequence[Owned], interface: str, identity: str, families: Families, underlay: Families
) -> Opening | None:
    """The opening that these rules of ours make in full, None if something of it is missing or does not work."""
    holding = [each for each in owned if each.holds]
    opening = _read_opening(identity, holding)
    if opening is None:
        return None
    rules = rules_for(opening, interface, families, underlay)
    return opening if all(any(says(each, rule) for each in holding) for rule in rules) else None


def says(owned: Owned, rule: Rule) -> bool:
    """True if a rule on the router says exactly this."""
    if owned.menu != rule.menu:
        return False
    wanted = dict(rule.words)
    compared = {"chain", "action", "new-mss", *MATCHERS}
    return all(_same(name, owned.row.get(name, ""), wanted.get(name, "")) for name in compared)


def alike(one: Owned, other: Owned) -> bool:
    """True if two rules on the router say the same."""
    fields = ("chain", "action", "new-mss", *MATCHERS)
    return one.menu == other.menu and all(one.row.get(name, "") == other.row.get(name, "") for name in fields)


def _same(name: str, seen: str, wanted: str) -> bool:
    if name in ("src-address", "dst-address") and seen and wanted:
        # A host is shown without its /32 here, unlike in allowed-address.
        return _network(seen) == _network(wanted)
    return seen == wanted


def _network(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None  # a range or a negation: nothing that we write


def _read_opening(identity: str, holding: Sequence[Owned]) -> Opening | None:
    kind, _, rest = identity.partition("/")
    match kind:
        case "listen-port" if rest.isdigit() and holding:
            return ListenPort(int(rest), next(iter(_addresses(holding, "src-address")), None))
        case "management" if rest.isdigit():
            accepts = [each for each in holding if each.row.get("action") == "accept"]
            return Management(int(rest), _addresses(accepts, "src-address"))
        case "forward":
            source, _, target = rest.partition("-")
            side = "dst-address" if source == "tunnel" else "src-address"
            if holding and {source, target} <= {"tunnel", "lan"}:
                return Forward(cast("End", source), cast("End", target), _addresses(holding, side))
        case "no-masquerade" if holding:
            return NoMasquerade(_addresses(holding, "src-address"))
        case "clamp-mss" if holding:
            return ClampMss(parse_number(holding[0].row.get("new-mss", "0")) + HEADERS[holding[0].family])
    return None


def _addresses(owned: Iterable[Owned], side: str) -> frozenset[IPNetwork]:
    """The prefixes of rules; empty, which is everything, as soon as one of them has none."""
    spelled = [each.row.get(side, "") for each in owned]
    if not all(spelled):
        return frozenset()
    return frozenset(network for network in map(_network, spelled) if network is not None)


def own_families(addresses: Iterable[IPInterface]) -> Families:
    """IP versions inside the tunnel; IPv4 while nothing is known."""
    return frozenset(address.version for address in addresses) or frozenset({4})
