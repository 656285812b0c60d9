"""The stand-in for ufw. Words and exit codes as ufw 0.36.2 prints them; its rules become iptables chains, as there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ._call import Call, Refused
from ._iptrule import IptReader, to_nft
from ._nftset import Chain, Ruleset

if TYPE_CHECKING:
    from .simulator import LinuxSimulator

_SYNTAX: Final = "ERROR: Invalid syntax\n\nUsage: ufw COMMAND\n"
_ANY: Final = {4: "0.0.0.0/0", 6: "::/0"}
_ACTIONS: Final = ("allow", "deny", "reject", "limit")


@dataclass(frozen=True)
class UfwRule:
    """One rule of one family. `port` and `protocol` empty for any; `source` and `target` empty for anywhere."""

    action: str
    version: int
    route: bool = False
    port: str = ""
    protocol: str = ""
    source: str = ""
    target: str = ""
    inward: str = ""
    outward: str = ""
    comment: str = ""

    @property
    def identity(self) -> UfwRule:
        """What ufw takes for the same rule: the comment does not count."""
        return replace(self, comment="")

    def added(self) -> str:
        """As `ufw show added` prints it."""
        words = ["ufw"] + (["route"] if self.route else []) + [self.action]
        words += ["in", "on", self.inward] if self.inward else []
        words += ["out", "on", self.outward] if self.outward else []
        short = not (self.source or self.target or self.inward or self.outward)
        if short and self.port:
            words.append(self.port + (f"/{self.protocol}" if self.protocol else ""))
        else:
            words += ["from", self.source] if self.source else []
            words += ["to", self.target or "any"] if self.target or self.port else []
            words += ["port", self.port] if self.port else []
            words += ["proto", self.protocol] if self.protocol else []
        return " ".join(words) + (f" comment '{self.comment}'" if self.comment else "")

    def tuple_line(self) -> str:
        """As user.rules stores it."""
        way = (
            "!".join(part for part in (self.inward and f"in_{self.inward}", self.outward and f"out_{self.outward}") if part)
            or "in"
        )
        comment = f" comment={self.comment.encode().hex()}" if self.comment else ""
        return (
            f"### tuple ### {'route:' if self.route else ''}{self.action} {self.protocol or 'any'} {self.port or 'any'} "
            f"{self.target or _ANY[self.version]} any {self.source or _ANY[self.version]} {way}{comment}"
        )

    def iptables(self) -> list[list[str]]:
        """Words of the iptables rules it makes."""
        words = ["-i", self.inward] if self.inward else []
        words += ["-o", self.outward] if self.outward else []
        words += ["-d", self.target] if self.target else []
        words += ["-s", self.source] if self.source else []
        target = ["-j", {"allow": "ACCEPT", "limit": "ACCEPT", "deny": "DROP", "reject": "REJECT"}[self.action]]
        if not self.port:
            return [[*words, *(["-p", self.protocol] if self.protocol else []), *target]]
        return [
            [*words, "-p", one, "--dport", self.port, *target] for one in ([self.protocol] if self.protocol else ["tcp", "udp"])
        ]


class Ufw:
    """Rules, defaults, and whether it is enabled; kept in etc/ufw as the real one keeps them."""

    def __init__(self, host: LinuxSimulator, *, icmp_forward: bool) -> None:
        self._host = host
        self._icmp_forward = icmp_forward
        self.enabled = False
        self.rules: list[UfwRule] = []
        self.defaults = {"incoming": "deny", "outgoing": "allow", "routed": "deny"}

    def save(self) -> None:
        """Write the files."""
        directory = self._host.root_path / "etc/ufw"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ufw.conf").write_text(f"ENABLED={'yes' if self.enabled else 'no'}\nLOGLEVEL=low\n")
        for version, name in ((4, "user.rules"), (6, "user6.rules")):
            lines = [rule.tuple_line() for rule in self.rules if rule.version == version]
            (directory / name).write_text(
                "*filter\n### RULES ###\n\n" + "\n\n".join([*lines, ""]) + "### END RULES ###\nCOMMIT\n"
            )

    def load(self) -> None:
        """Make the kernel's chains what the rules say, or none when disabled."""
        ruleset = self._host.nftables.clone()
        for version, family in ((4, "ip"), (6, "ip6")):
            ruleset.tables.pop((family, "filter"), None)
            if self.enabled:
                self._chains(ruleset, version, family)
        self._host.nftables = ruleset

    def _chains(self, ruleset: Ruleset, version: int, family: str) -> None:
        table = ruleset.add_table(family, "filter")
        table.managed = True
        for name, policy in (("INPUT", "incoming"), ("FORWARD", "routed"), ("OUTPUT", "outgoing")):
            chain = Chain(name, table.next_handle(), "filter", name.lower())
            chain.policy = "accept" if self.defaults[policy] == "allow" else "drop"
            table.chains[name] = chain
        for way in ("input", "forward", "output"):
            for name in (f"ufw-before-{way}", f"ufw-user-{way}"):
                table.chains[name] = Chain(name, table.next_handle())

        def add(name: str, words: list[str]) -> None:
            reader = IptReader("iptables", version, lambda chain: chain in table.chains)
            table.chains[name].rules.append(table.place(to_nft(reader.read(words), version)))

        for way in ("input", "forward", "output"):
            add(way.upper(), ["-j", f"ufw-before-{way}"])
            if way == "input":
                add("ufw-before-input", ["-i", "lo", "-j", "ACCEPT"])
            add(f"ufw-before-{way}", ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"])
            if way == "input" or (way == "forward" and self._icmp_forward):
                icmp = ["-p", "icmp", "--icmp-type", "echo-request"] if version == 4 else ["-p", "ipv6-icmp"]
                add(f"ufw-before-{way}", [*icmp, "-j", "ACCEPT"])
            add(f"ufw-before-{way}", ["-j", f"ufw-user-{way}"])
        for rule in self.rules:
            if rule.version == version:
                for words in rule.iptables():
                    add("ufw-user-forward" if rule.route else "ufw-user-input", words)


# ----------------------------------------------------------------------------------------------------------- parsing
def _parse(words: list[str], *, route: bool) -> list[UfwRule]:
    """The one or two rules (IPv4, IPv6) that the words mean."""
    if not words or words[0] not in _ACTIONS or len(words) < 2:
        raise Refused(_SYNTAX)
    rule, rest, family = UfwRule(words[0], 4, route), list(words[1:]), 0
    while rest:
        word = rest.pop(0)
        if word in {"in", "out"}:
            if rest[:1] == ["on"]:
                name = _next(rest, 1)
                rule = replace(rule, inward=name) if word == "in" else replace(rule, outward=name)
        elif word in {"from", "to"}:
            rule, family = _address(rule, word, _next(rest), family)
        elif word == "port":
            rule = replace(rule, port=_port(_next(rest)))
        elif word == "proto":
            rule = replace(rule, protocol=_next(rest))
        elif word == "comment":
            rule = replace(rule, comment=_next(rest))
        else:
            port, slash, protocol = word.partition("/")
            if not port.replace(":", "").replace(",", "").isdigit():
                raise Refused(f"ERROR: Could not find a profile matching '{word}'")
            rule = replace(rule, port=_port(port), protocol=protocol if slash else rule.protocol)
    if rule.protocol not in {"", "tcp", "udp", "any", "ah", "esp", "gre", "igmp", "ipv6"}:
        raise Refused("ERROR: Unsupported protocol '" + rule.protocol + "'")
    return [replace(rule, version=family)] if family else [rule, replace(rule, version=6)]


def _next(rest: list[str], skip: int = 0) -> str:
    del rest[:skip]
    if not rest:
        raise Refused(_SYNTAX)
    return rest.pop(0)


def _port(text: str) -> str:
    if not all(part.isdigit() and 0 < int(part) < 65536 for part in text.replace(",", ":").split(":")):
        raise Refused("ERROR: Bad port")
    return text


def _address(rule: UfwRule, side: str, text: str, family: int) -> tuple[UfwRule, int]:
    if text == "any":
        return rule, family
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Refused(f"ERROR: Bad {'source' if side == 'from' else 'destination'} address") from None
    shown = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    return (replace(rule, source=shown) if side == "from" else replace(rule, target=shown)), network.version


# ---------------------------------------------------------------------------------------------------------- commands
def ufw(call: Call) -> int:
    """The command line."""
    call.need_root("ERROR: You need to be root to run this script")
    words = [word for word in call.argv if word not in {"--force", "--dry-run"}]
    firewall = call.host.ufw
    assert firewall is not None
    command = words[0] if words else ""
    if command in {"version", "--version"}:
        call.out("ufw 0.36.2\nCopyright 2008-2023 Canonical Ltd.")
    elif command == "status":
        _status(call, firewall, words[1:])
    elif command == "show" and words[1:] == ["added"]:
        call.out("Added user rules (see 'ufw status' for running firewall):")
        shown = dict.fromkeys(rule.added() for rule in firewall.rules)
        call.out("\n".join(shown) if shown else "(None)")
    elif command in {"enable", "disable", "reload"}:
        _switch(call, firewall, command)
    elif command == "default":
        _default(call, firewall, words[1:])
    else:
        _edit(call, firewall, words)
    return 0


def _switch(call: Call, firewall: Ufw, command: str) -> None:
    if command == "reload":
        call.out("Firewall reloaded" if firewall.enabled else "Firewall not enabled (skipping reload)")
    else:
        firewall.enabled = command == "enable"
        call.out("Firewall is active and enabled on system startup" if firewall.enabled
                 else "Firewall stopped and disabled on system startup")  # fmt: skip
    firewall.save()
    firewall.load()


def _default(call: Call, firewall: Ufw, words: list[str]) -> None:
    if not words or words[0] not in {"allow", "deny", "reject"}:
        raise Refused(_SYNTAX)
    way = words[1] if len(words) > 1 else "incoming"
    if way not in firewall.defaults:
        raise Refused(_SYNTAX)
    firewall.defaults[way] = words[0]
    call.out(f"Default {way} policy changed to '{words[0]}'\n(be sure to update your rules accordingly)")
    firewall.load()


def _edit(call: Call, firewall: Ufw, words: list[str]) -> None:
    route = words[:1] == ["route"]
    words = words[1:] if route else words
    verb, place = "add", 0
    if words[:1] in (["delete"], ["insert"], ["prepend"]):
        verb = words.pop(0)
        route = route or words[:1] == ["route"]
    if verb == "delete" and len(words) == 1 and words[0].isdigit():
        _delete_number(call, firewall, int(words[0]))
        return
    if verb == "insert":
        place = int(words.pop(0)) if words and words[0].isdigit() else 0
    rules = _parse(words, route=route)
    if verb == "insert" and not 1 <= place <= len(firewall.rules):
        raise Refused(f"ERROR: Invalid position '{place}'")
    for rule in rules:
        tail = " (v6)" if rule.version == 6 else ""
        if verb == "delete":
            call.out(_delete(firewall, rule) + tail)
        else:
            call.out(_add(firewall, rule, place if verb == "insert" else 1 if verb == "prepend" else 0) + tail)
    firewall.save()
    firewall.load()


def _add(firewall: Ufw, rule: UfwRule, place: int) -> str:
    for index, one in enumerate(firewall.rules):
        if one.identity == rule.identity:
            if one == rule or not rule.comment:
                return "Skipping adding existing rule"
            firewall.rules[index] = rule
            return "Rule updated" if firewall.enabled else "Rules updated"
    same = [index for index, one in enumerate(firewall.rules) if one.version == rule.version]
    if place and rule.version == 4:
        firewall.rules.insert(place - 1, rule)
        return "Rule inserted" if firewall.enabled else "Rules updated"
    # IPv4 rules stand before IPv6 rules, in the list and in its numbers.
    firewall.rules.insert(same[-1] + 1 if same else (0 if rule.version == 4 else len(firewall.rules)), rule)
    return "Rule added" if firewall.enabled else "Rules updated"


def _delete(firewall: Ufw, rule: UfwRule) -> str:
    for index, one in enumerate(firewall.rules):
        if one.identity == rule.identity:
            del firewall.rules[index]
            return "Rule deleted" if firewall.enabled else "Rules updated"
    return "Could not delete non-existent rule"


def _delete_number(call: Call, firewall: Ufw, number: int) -> None:
    if not 1 <= number <= len(firewall.rules):
        raise Refused(f"ERROR: Could not find rule '{number}'")
    del firewall.rules[number - 1]
    call.out("Rule deleted" if firewall.enabled else "Rules updated")
    firewall.save()
    firewall.load()


def _status(call: Call, firewall: Ufw, words: list[str]) -> None:
    if not firewall.enabled:
        call.out("Status: inactive")
        return
    call.out("Status: active")
    if words == ["verbose"]:
        named = [
            f"{'disabled' if way == 'routed' and policy == 'x' else policy} ({way})"
            for way, policy in firewall.defaults.items()
        ]
        call.out(f"Logging: on (low)\nDefault: {', '.join(named)}\nNew profiles: skip")
    numbered = words == ["numbered"]
    indent = "     " if numbered else ""
    call.out(f"\n{indent}{'To':<26} {'Action':<11} From\n{indent}{'--':<26} {'------':<11} ----")
    rows = [(number, rule) for number, rule in enumerate(firewall.rules, 1)]
    for routed in (None,) if numbered else (False, True):
        chosen = [row for row in rows if routed in {None, row[1].route}]
        for number, rule in chosen:
            call.out((f"[{number:2}] " if numbered else "") + _row(rule, full=bool(words)))
        if chosen:
            call.out("")


def _row(rule: UfwRule, *, full: bool) -> str:
    six = " (v6)" if rule.version == 6 else ""
    to = (rule.target or "") + (
        (" " if rule.target else "") + rule.port + (f"/{rule.protocol}" if rule.protocol else "") if rule.port else ""
    )
    to = (to or "Anywhere") + ("" if rule.target else six)
    to += f" on {rule.outward if rule.route else rule.inward}" if (rule.outward if rule.route else rule.inward) else ""
    source = (rule.source or "Anywhere" + six) + (f" on {rule.inward}" if rule.route and rule.inward else "")
    action = rule.action.upper() + (" FWD" if rule.route else " IN" if full else "")
    return f"{to:<26} {action:<11} {source:<26}" + (f" # {rule.comment}" if rule.comment else "")
