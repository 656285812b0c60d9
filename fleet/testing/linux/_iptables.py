"""Stand-ins for iptables, ip6tables, their -save and -restore. Words and exit codes as iptables 1.8.9 (nf_tables) prints them.

As there, the rules are kept in nftables tables `ip filter` and so on, and nft shows them.
"""

from __future__ import annotations

import shlex
import time
from typing import Final

from ._call import Call, Refused
from ._iptrule import HELP, VERSION, IptReader, from_nft, line_of, to_nft
from ._nftrule import Rule
from ._nftset import PRIORITIES, Chain, Ruleset, Table

_BUILT_IN: Final = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_COMMANDS: Final = {"--append": "-A", "--insert": "-I", "--delete": "-D", "--check": "-C", "--new-chain": "-N", "--new": "-N",
                    "--delete-chain": "-X", "--flush": "-F", "--policy": "-P", "--list-rules": "-S", "--list": "-L",
                    "--replace": "-R", "--version": "-V", "--zero": "-Z"}  # fmt: skip
_KNOWN: Final = frozenset(_COMMANDS.values())


def _version_of(call: Call) -> int:
    return 6 if call.name.startswith("ip6") else 4


class Iptables:
    """One command against one table of a ruleset (a clone when several must land together)."""

    def __init__(self, call: Call, ruleset: Ruleset, table: str) -> None:
        self._call = call
        self._ruleset = ruleset
        self._version = _version_of(call)
        self._program = "ip6tables" if self._version == 6 else "iptables"
        self._family = "ip6" if self._version == 6 else "ip"
        if table not in _BUILT_IN:
            raise Refused(
                f"{self._program} {VERSION}: table '{table}' does not exist\n"
                "Perhaps iptables or your kernel needs to be upgraded.",
                3,
            )
        self._name = table

    @property
    def _built_in(self) -> tuple[str, ...]:
        return _BUILT_IN[self._name]

    def _table(self) -> Table:
        table = self._ruleset.add_table(self._family, self._name)
        table.managed = True
        return table

    def _existing(self) -> dict[str, Chain]:
        table = self._ruleset.tables.get((self._family, self._name))
        return table.chains if table else {}

    def _chain(self, name: str) -> Chain:
        """The chain; built-in ones come into being when they are first used."""
        chains = self._existing()
        if name in chains:
            return chains[name]
        if name not in self._built_in:
            raise Refused(f"{self._program}: No chain/target/match by that name.")
        table, hook = self._table(), name.lower()
        nat = 100 if hook in {"postrouting", "input"} else -100
        priority = nat if self._name == "nat" else PRIORITIES.get(self._name, 0)
        kind = "nat" if self._name == "nat" else "filter"
        table.chains[name] = Chain(name, table.next_handle(), kind, hook, priority)
        return table.chains[name]

    def _read(self, words: list[str]) -> Rule:
        reader = IptReader(self._program, self._version, lambda name: name in self._existing())
        return to_nft(reader.read(words), self._version)

    def _find(self, chain: Chain, rule: Rule) -> int:
        for index, one in enumerate(chain.rules):
            if one.xt == rule.xt:
                return index
        raise Refused(f"{self._program}: Bad rule (does a matching rule exist in that chain?).")

    def run(self, command: str, words: list[str]) -> None:
        """One command with its arguments."""
        if command in {"-A", "-I", "-R"}:
            self._write(command, words)
        elif command == "-C":
            self._find(self._chain(words[0]), self._read(words[1:]))
        elif command == "-D":
            self._delete(words)
        elif command == "-N":
            self._new(words[0])
        elif command == "-P":
            self._policy(words)
        elif command == "-F":
            for name in words[:1] or list(self._existing()):
                self._chain(name).rules = []
        elif command == "-X":
            self._drop(words)
        elif command == "-S":
            self._rules(words[:1])
        elif command == "-L":
            self._listing(words[:1])

    def _write(self, command: str, words: list[str]) -> None:
        name, *rest = words
        place = None
        if command in {"-I", "-R"} and rest and rest[0].isdigit():
            place = int(rest.pop(0)) - 1
        rule = self._read(rest)
        chain = self._chain(name)
        if command == "-A":
            place = len(chain.rules)
        place = place or 0
        if place > len(chain.rules) or (command == "-R" and place >= len(chain.rules)):
            raise Refused(f"{self._program}: Index of {'insertion' if command == '-I' else 'replacement'} too big.")
        self._table().place(rule)
        chain.rules[place : place + (command == "-R")] = [rule]

    def _delete(self, words: list[str]) -> None:
        name, *rest = words
        if len(rest) == 1 and rest[0].isdigit() and name not in self._existing():
            raise Refused(f"{self._program}: No chain/target/match by that name.")
        chain = self._chain(name)
        if len(rest) == 1 and rest[0].isdigit():
            if not 1 <= int(rest[0]) <= len(chain.rules):
                raise Refused(f"{self._program}: Index of deletion too big.")
            del chain.rules[int(rest[0]) - 1]
            return
        del chain.rules[self._find(chain, self._read(rest))]

    def _new(self, name: str) -> None:
        if name in self._existing() or name in self._built_in:
            raise Refused(f"{self._program}: Chain already exists.")
        table = self._table()
        table.chains[name] = Chain(name, table.next_handle())

    def _policy(self, words: list[str]) -> None:
        if len(words) != 2 or words[0] not in self._built_in:
            raise Refused(f"{self._program}: Bad built-in chain name.")
        if words[1] not in {"ACCEPT", "DROP"}:
            raise Refused(f"{self._program}: Bad policy name. Run `dmesg' for more information.")
        self._chain(words[0]).policy = words[1].lower()

    def _drop(self, words: list[str]) -> None:
        chains = self._existing()
        names = words[:1] or [name for name in chains if name not in self._built_in]
        for name in names:
            if name not in chains:
                raise Refused(f"{self._program}: No chain/target/match by that name.")
            used = any(("-j", name) == pair for chain in chains.values() for rule in chain.rules
                       for pair in zip(rule.xt or (), (rule.xt or ())[1:], strict=False))  # fmt: skip
            if used or (words and chains[name].rules):
                raise Refused(f"{self._program} {VERSION}:  CHAIN_DEL failed (Device or resource busy): chain {name}", 4)
            del chains[name]

    # --- printing ------------------------------------------------------------------------------------------------------

    def _order(self) -> list[Chain]:
        chains = self._existing()
        built_in = [chains.get(name) or Chain(name, 0, "filter", name.lower()) for name in self._built_in]
        return built_in + [chain for name, chain in chains.items() if name not in self._built_in]

    def _said(self, chain: Chain) -> list[str]:
        return [
            f"-A {chain.name} {line_of(rule.xt) if rule.xt is not None else from_nft(rule)}".rstrip() for rule in chain.rules
        ]

    def _rules(self, only: list[str]) -> None:
        chains = self._chosen(only)
        for chain in chains:
            self._call.out(f"-P {chain.name} {chain.policy.upper()}" if chain.name in self._built_in else f"-N {chain.name}")
        for chain in chains:
            for line in self._said(chain):
                self._call.out(line)

    def _chosen(self, only: list[str]) -> list[Chain]:
        chains = [chain for chain in self._order() if only in ([], [chain.name])]
        if not chains:
            words = f"chain `{only[0]}' in table `{self._name}' is incompatible, use 'nft' tool."
            raise Refused(f"{self._program} {VERSION}: {words}")
        return chains

    def save(self) -> list[str]:
        """The block of this table in `iptables-save`, empty when the table was never used."""
        if (self._family, self._name) not in self._ruleset.tables:
            return []
        now = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(self._call.host.wall()))
        lines = [f"# Generated by {self._program}-save {VERSION} on {now}", f"*{self._name}"]
        chains = self._order()
        for chain in chains:
            policy = chain.policy.upper() if chain.name in self._built_in else "-"
            lines.append(f":{chain.name} {policy} [0:0]")
        for chain in chains:
            lines += self._said(chain)
        return [*lines, "COMMIT", f"# Completed on {now}"]

    def _listing(self, only: list[str]) -> None:
        for index, chain in enumerate(self._chosen(only)):
            if index:
                self._call.out("")
            about = f"policy {chain.policy.upper()}" if chain.name in self._built_in else "0 references"
            self._call.out(f"Chain {chain.name} ({about})\nnum  target     prot opt source               destination")
            for number, rule in enumerate(chain.rules, 1):
                words = list(rule.xt or ())
                target = words[words.index("-j") + 1] if "-j" in words else ""
                source = words[words.index("-s") + 1] if "-s" in words else "0.0.0.0/0"
                to = words[words.index("-d") + 1] if "-d" in words else "0.0.0.0/0"
                comment = words[words.index("--comment") + 1] if "--comment" in words else ""
                tail = f" /* {comment} */" if comment else ""
                self._call.out(f"{number:<4} {target:<10} 0    --  {source:<20} {to:<20}{tail}")

    def restore_header(self, name: str, policy: str, *, flush: bool) -> None:
        """A `:CHAIN POLICY` line of iptables-restore."""
        if name in self._built_in:
            chain = self._chain(name)
            if policy != "-":
                chain.policy = policy.lower()
        else:
            table = self._table()
            chain = table.chains.get(name) or Chain(name, table.next_handle())
            table.chains[name] = chain
            chain.rules = []
        if flush:
            chain.rules = []

    def clear(self) -> None:
        """Before a restore without --noflush."""
        table = self._ruleset.tables.get((self._family, self._name))
        if table is not None:
            table.chains.clear()


def iptables(call: Call) -> int:
    """The command line: options in any order, one command."""
    program = call.name
    words, table, command, arguments = list(call.argv), "filter", "", []
    while words:
        word = words.pop(0)
        word = _COMMANDS.get(word, word)
        if word in {"-t", "--table"}:
            table = words.pop(0) if words else ""
        elif word in {"-w", "--wait"}:
            if words and words[0].isdigit():
                words.pop(0)
        elif word in {"-n", "-v", "-x", "--line-numbers", "--numeric", "--verbose", "-nL", "-vnL", "-nvL"} and command in {
            "",
            "-L",
            "-S",
        }:
            command = "-L" if word.endswith("L") else command
        elif word in _KNOWN and not command:
            command = word
        else:
            arguments.append(word)
    if command == "-V":
        call.out(f"{program} {VERSION}")
        return 0
    if not command:
        raise Refused(f"{program} {VERSION}: no command specified\n{HELP.format(program)}", 2)
    if call.uid != 0:
        raise Refused(f"{program} {VERSION}: Could not fetch rule set generation id: Permission denied (you must be root)", 4)
    if command in {"-A", "-I", "-D", "-C", "-N", "-P", "-R"} and not arguments:
        raise Refused(f'{program} {VERSION}: option "{command}" requires an argument\n{HELP.format(program)}', 2)
    ruleset = call.host.nftables.clone()
    Iptables(call, ruleset, table).run(command, arguments)
    call.host.nftables = ruleset
    return 0


def save(call: Call) -> int:
    """`iptables-save [-t table]`."""
    call.need_root(f"{call.name} {VERSION}: Could not fetch rule set generation id: Permission denied (you must be root)", 4)
    words = list(call.argv)
    only = words[words.index("-t") + 1] if "-t" in words[:-1] else ""
    for table in ("mangle", "raw", "filter", "nat"):
        if only in {"", table}:
            for line in Iptables(call, call.host.nftables, table).save():
                call.out(line)
    return 0


def restore(call: Call) -> int:
    """`iptables-restore [-n] [FILE]`: all tables of the input, each whole or not at all."""
    call.need_root(f"{call.name}: Permission denied (you must be root)", 4)
    keep = bool({"-n", "--noflush"} & set(call.argv))
    files = [word for word in call.argv if not word.startswith("-") and not word.isdigit()]
    text = (call.read(files[0]) if files else call.stdin()).decode("utf-8", "replace")
    ruleset, current = call.host.nftables.clone(), None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.startswith("*"):
                current = Iptables(call, ruleset, line[1:].strip())
                if not keep:
                    current.clear()
            elif line.startswith(":") and current is not None:
                name, policy = line[1:].split()[:2]
                current.restore_header(name, policy, flush=not keep)
            elif line.startswith("-") and current is not None:
                command, *words = shlex.split(line)
                current.run(command, words)
            elif line == "COMMIT":
                call.host.nftables, ruleset = ruleset, ruleset.clone()
        except Refused as refused:
            why = refused.words.partition(": ")[2] or refused.words
            raise Refused(f"{call.name}: line {number} failed: {why}", refused.code) from None
    return 0
