"""One iptables rule: read from arguments, printed as `iptables -S` does, translated to nftables as iptables-nft does."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ._call import Refused
from ._nftlex import NftError, Stream, tokens
from ._nftrule import Rule, RuleParser

VERSION: Final = "v1.8.9 (nf_tables)"
HELP: Final = "Try `{0} -h' or '{0} --help' for more information."

_LONG: Final = {"--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--in-interface": "-i",
                "--out-interface": "-o", "--protocol": "-p", "--proto": "-p", "--match": "-m", "--jump": "-j",
                "--goto": "-g"}  # fmt: skip
_MATCH_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "comment": {"--comment": 1},
    "conntrack": {"--ctstate": 1},
    "state": {"--state": 1},
    "tcp": {"--dport": 1, "--sport": 1, "--tcp-flags": 2, "--syn": 0},
    "udp": {"--dport": 1, "--sport": 1},
    "multiport": {"--dports": 1, "--sports": 1},
    "icmp": {"--icmp-type": 1},
    "icmp6": {"--icmpv6-type": 1},
    "mark": {"--mark": 1},
    "addrtype": {"--dst-type": 1, "--src-type": 1},
    "limit": {"--limit": 1, "--limit-burst": 1},
    "tcpmss": {"--mss": 1},
}
_TARGET_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "ACCEPT": {}, "DROP": {}, "RETURN": {}, "MASQUERADE": {"--random": 0},
    "REJECT": {"--reject-with": 1}, "LOG": {"--log-prefix": 1, "--log-level": 1},
    "SNAT": {"--to-source": 1}, "DNAT": {"--to-destination": 1},
    "TCPMSS": {"--set-mss": 1, "--clamp-mss-to-pmtu": 0},
    "MARK": {"--set-mark": 1, "--set-xmark": 1}, "CONNMARK": {"--save-mark": 0, "--restore-mark": 0},
}  # fmt: skip
_ICMP: Final = {"echo-request": "8", "echo-reply": "0", "destination-unreachable": "3", "time-exceeded": "11"}


@dataclass
class IptRule:
    """Basic options by letter, matches in the order given, target with its options. A leading `! ` negates a value."""

    basic: dict[str, str] = field(default_factory=dict)
    matches: list[list[str]] = field(default_factory=list)
    target: str = ""
    goto: bool = False
    target_options: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """As `-S` prints it, one word each."""
        said: list[str] = []
        for letter in ("-s", "-d", "-i", "-o", "-p"):
            if letter in self.basic:
                value = self.basic[letter]
                said += ["!", letter, value[2:]] if value.startswith("! ") else [letter, value]
        for match in self.matches:
            said += ["-m", *match]
        if self.target:
            said += ["-g" if self.goto else "-j", self.target, *self.target_options]
        return said

    @property
    def comment(self) -> str:
        """Its comment, empty without one."""
        return next((match[2] for match in self.matches if match[0] == "comment"), "")

    def option(self, match: str, name: str) -> str | None:
        """The value of an option of a match, with `! ` in front when negated."""
        for words in self.matches:
            if words[0] == match and name in words:
                place = words.index(name)
                negated = "! " if words[place - 1] == "!" else ""
                return negated + (words[place + 1] if place + 1 < len(words) else "")
        return None


class IptReader:
    """Arguments of -A, -I, -C, -D to a rule. Raises Refused with exit code 2, as a wrong command line has."""

    def __init__(self, program: str, version: int, chain_exists: Callable[[str], bool]) -> None:
        self._program = program
        self._version = version
        self._exists = chain_exists
        self._rule = IptRule()
        self._words: list[str] = []

    def bad(self, words: str) -> Refused:
        """A refusal in the program's form."""
        return Refused(f"{self._program} {VERSION}: {words}\n{HELP.format(self._program)}", 2)

    def read(self, words: list[str]) -> IptRule:
        """The rule."""
        self._words = list(words)
        negated = False
        while self._words:
            word = self._words.pop(0)
            if word == "!":
                negated = True
                continue
            self._option(_LONG.get(word, word), negated)
            negated = False
        self._finish()
        return self._rule

    def _value(self, option: str) -> str:
        if not self._words:
            raise self.bad(f'option "{option}" requires an argument')
        return self._words.pop(0)

    def _option(self, word: str, negated: bool) -> None:
        rule, sign = self._rule, "! " if negated else ""
        if word in {"-s", "-d"}:
            rule.basic[word] = sign + self._network(self._value(word))
        elif word in {"-i", "-o"}:
            rule.basic[word] = sign + self._value(word)
        elif word == "-p":
            rule.basic[word] = sign + self._protocol(self._value(word))
        elif word == "-m":
            self._match(self._value(word))
        elif word in {"-j", "-g"}:
            rule.target, rule.goto = self._value(word), word == "-g"
            if rule.target not in _TARGET_OPTIONS and not self._exists(rule.target):
                raise self.bad(f"Chain '{rule.target}' does not exist")
        elif not self._extension(word, negated):
            raise self.bad(f'unknown option "{word}"')

    def _match(self, name: str) -> None:
        name = "icmp6" if name in {"icmpv6", "ipv6-icmp"} else name
        if name not in _MATCH_OPTIONS:
            raise self.bad(f"Couldn't load match `{name}':No such file or directory\n")
        if not any(match[0] == name for match in self._rule.matches):
            self._rule.matches.append([name])

    def _extension(self, word: str, negated: bool) -> bool:
        alias = {"--destination-port": "--dport", "--source-port": "--sport", "--destination-ports": "--dports"}
        word = alias.get(word, word)
        options = _TARGET_OPTIONS.get(self._rule.target, {})
        if word in options:
            self._rule.target_options += [word, *(self._value(word) for _ in range(options[word]))]
            return True
        protocol = self._rule.basic.get("-p", "")
        implied = {"icmp": "icmp", "ipv6-icmp": "icmp6", "tcp": "tcp", "udp": "udp"}.get(protocol, "")
        for name in [match[0] for match in reversed(self._rule.matches)] + [implied]:
            if word in _MATCH_OPTIONS.get(name, {}):
                self._match(name)
                into = next(match for match in self._rule.matches if match[0] == name)
                values = [self._value(word) for _ in range(_MATCH_OPTIONS[name][word])]
                into += [*(["!"] if negated else []), *self._normal(word, values)]
                return True
        return False

    def _normal(self, word: str, values: list[str]) -> list[str]:
        if word in {"--dport", "--sport"}:
            for part in values[0].split(":"):
                if not part.isdigit() or int(part) > 65535:
                    raise self.bad(f"invalid port/service `{values[0]}' specified")
        if word == "--icmp-type":
            values = [_ICMP.get(values[0], values[0])]
        if word in {"--ctstate", "--state"}:
            order = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")
            states = values[0].upper().split(",")
            if not set(states) <= set(order):
                raise self.bad(f'Bad ctstate "{values[0]}"')
            values = [",".join(sorted(states, key=order.index))]
        if word == "--syn":
            return ["--tcp-flags", "FIN,SYN,RST,ACK", "SYN"]
        return [word, *values]

    def _network(self, text: str) -> str:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise self.bad(f"host/network `{text}' not found") from None
        if network.version != self._version:
            raise self.bad(f"host/network `{text}' not found")
        return str(network)

    def _protocol(self, text: str) -> str:
        text = {"icmpv6": "ipv6-icmp", "6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}.get(text.lower(), text.lower())
        if text not in {"tcp", "udp", "icmp", "ipv6-icmp", "all", "gre", "esp", "ah", "sctp"}:
            raise self.bad(f'unknown protocol "{text}" specified')
        return text

    def _finish(self) -> None:
        rule = self._rule
        for letter in ("-s", "-d", "-p"):
            if rule.basic.get(letter) in {"0.0.0.0/0", "::/0", "all"}:
                del rule.basic[letter]
        if rule.target == "REJECT" and not rule.target_options:
            rule.target_options = ["--reject-with", "icmp-port-unreachable" if self._version == 4 else "icmp6-port-unreachable"]


def quoted(word: str) -> str:
    """A word as -S prints it: comments and prefixes always in quotes."""
    return word if re.fullmatch(r"[A-Za-z0-9_./,:!+*@%-]+", word) else '"' + word.replace('"', '\\"') + '"'


def line_of(rule: IptRule | tuple[str, ...]) -> str:
    """The words of a rule on one line."""
    words = list(rule) if isinstance(rule, tuple) else rule.words()
    said, forced = [], False
    for word in words:
        said.append('"' + word.replace('"', '\\"') + '"' if forced else quoted(word))
        forced = word in {"--comment", "--log-prefix"}
    return " ".join(said)


# ------------------------------------------------------------------------------------------------------- translation
def to_nft(rule: IptRule, version: int) -> Rule:
    """The nftables rule that iptables-nft makes of it."""
    family = "ip" if version == 4 else "ip6"
    parts = [*_basic_parts(rule, family), *_match_parts(rule), "counter packets 0 bytes 0", *_target_parts(rule, family)]
    try:
        made = RuleParser(Stream(tokens(" ".join(part for part in parts if part))), lambda name: None).parse()
    except NftError as error:
        raise Refused(f"iptables {VERSION}: translation failed: {error.words}", 4) from None
    made.xt = tuple(rule.words())
    return made


def _basic_parts(rule: IptRule, family: str) -> list[str]:
    names = {"-i": "iifname", "-o": "oifname", "-s": f"{family} saddr", "-d": f"{family} daddr", "-p": "meta l4proto"}
    parts = []
    for letter in ("-p", "-i", "-o", "-s", "-d"):
        value = rule.basic.get(letter)
        if value is None or (letter == "-p" and _port_part(rule)):
            continue
        sign, value = ("!= ", value[2:]) if value.startswith("! ") else ("", value)
        if letter in {"-i", "-o"}:
            value = f'"{value[:-1]}*"' if value.endswith("+") else f'"{value}"'
        parts.append(f"{names[letter]} {sign}{value}")
    return parts


def _port_part(rule: IptRule) -> str:
    protocol = rule.basic.get("-p", "")
    for option, name in (("--dport", "dport"), ("--sport", "sport")):
        value = rule.option(protocol, option) if protocol in {"tcp", "udp"} else None
        if value is not None:
            sign, value = ("!= ", value[2:]) if value.startswith("! ") else ("", value)
            return f"{protocol} {name} {sign}{value.replace(':', '-')}"
    return ""


def _match_parts(rule: IptRule) -> list[str]:
    parts = [_port_part(rule)]
    for match in rule.matches:
        name, values = match[0], match[1:]
        negated = "!= " if "!" in values else ""
        value = values[-1] if values else ""
        if name in {"conntrack", "state"}:
            parts.append(f"ct state {negated}{value.lower()}")
        elif name == "multiport":
            side = "dport" if "--dports" in values else "sport"
            parts.append(f"{rule.basic.get('-p', 'tcp')} {side} {negated}{{ {value.replace(':', '-').replace(',', ', ')} }}")
        elif name == "tcp" and "--tcp-flags" in values:
            place = values.index("--tcp-flags")
            parts.append(f"tcp flags {values[place + 2].lower()} / {values[place + 1].lower()}")
        elif name == "icmp":
            kind = {number: word for word, number in _ICMP.items()}.get(value, "echo-request")
            parts.append(f"icmp type {negated}{kind}")
        elif name == "mark":
            parts.append(f"meta mark {negated}{value.partition('/')[0]}")
        elif name == "addrtype":
            parts.append(f"fib {'daddr' if '--dst-type' in values else 'saddr'} type {negated}{value.lower()}")
    return parts


def _target_parts(rule: IptRule, family: str) -> list[str]:
    options = rule.target_options
    value = options[-1] if options else ""
    match rule.target:
        case "":
            return []
        case "ACCEPT" | "DROP" | "RETURN" | "MASQUERADE":
            return [rule.target.lower()]
        case "REJECT":
            return ["reject"]
        case "LOG":
            return [f'log prefix "{value}"' if "--log-prefix" in options else "log"]
        case "SNAT" | "DNAT":
            return [f"{rule.target.lower()} to {value}"]
        case "TCPMSS":
            return [f"tcp option maxseg size set {'rt mtu' if value.startswith('--') else value}"]
        case "MARK":
            return [f"mark set {value.partition('/')[0]}"]
        case "CONNMARK":
            return ["ct mark set mark" if "--save-mark" in options else "mark set ct mark"]
    return [f"{'goto' if rule.goto else 'jump'} {rule.target}"]


def from_nft(rule: Rule) -> str:
    """An nft rule in a table of iptables, as well as it can be said; a comment marks what cannot."""
    names = {"iifname": "-i", "oifname": "-o", "ip saddr": "-s", "ip daddr": "-d", "ip6 saddr": "-s", "ip6 daddr": "-d"}
    said = []
    for statement in rule.statements:
        name, _, value = statement.text.rpartition(" ")
        if name in names:
            said.append(f"{names[name]} " + value.strip('"'))
        elif statement.verdict is not None:
            word, target = statement.verdict
            said.append("-j " + (target or word.upper()))
    if rule.comment:
        said.insert(-1, f'-m comment --comment "{rule.comment}"')
    return " ".join(said)
