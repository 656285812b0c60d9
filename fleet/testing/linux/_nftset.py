"""The nftables ruleset of a host: tables, chains, sets; listing, and the fate of a packet."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .._nodes import Packet
from ._nftrule import Rule

PRIORITIES: Final = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}


@dataclass
class Set:
    """A named set: its lines as written between the braces, and its elements in canonical spelling."""

    name: str
    handle: int
    kind: str
    flags: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)


@dataclass
class Chain:
    """A chain; a base chain has a hook."""

    name: str
    handle: int
    type: str = ""
    hook: str = ""
    priority: int = 0
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Table:
    """A table. `managed`: iptables-nft made it, and nft says so when it lists it."""

    family: str
    name: str
    handle: int
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    managed: bool = False
    last_handle: int = 0

    def next_handle(self) -> int:
        """Chains, sets and rules of a table count together."""
        self.last_handle += 1
        return self.last_handle

    def place(self, rule: Rule) -> Rule:
        """Give a rule its handle; its anonymous sets take theirs first."""
        for statement in rule.statements:
            for _ in range(statement.anonymous_sets):
                self.next_handle()
        rule.handle = self.next_handle()
        return rule


class Ruleset:
    """Everything nft shows."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], Table] = {}
        self._last_table = 0

    def clone(self) -> Ruleset:
        """For transactions: changes of the clone do not show in the original. Statements are shared, they never change."""
        other = Ruleset()
        other._last_table = self._last_table
        for key, table in self.tables.items():
            mine = copy.copy(table)
            mine.chains = {}
            for name, chain in table.chains.items():
                mine.chains[name] = copy.copy(chain)
                mine.chains[name].rules = [copy.copy(rule) for rule in chain.rules]
            mine.sets = {name: copy.deepcopy(one) for name, one in table.sets.items()}
            other.tables[key] = mine
        return other

    def add_table(self, family: str, name: str) -> Table:
        """The table, made if it is not there."""
        table = self.tables.get((family, name))
        if table is None:
            self._last_table += 1
            table = self.tables[family, name] = Table(family, name, self._last_table)
        return table

    # --- packets -------------------------------------------------------------------------------------------------------

    def passes(self, hook: str, packet: Packet) -> bool:
        """True if no filter chain of this hook drops the packet."""
        return all(self._run(table, chain, packet)[0] != "drop" for table, chain in self._base(hook, "filter", packet))

    def rewrites_source(self, packet: Packet) -> bool:
        """True if a nat chain of postrouting masquerades or translates its source."""
        for table, chain in self._base("postrouting", "nat", packet):
            verdict = self._run(table, chain, packet)[0]
            if verdict in {"masquerade", "snat"}:
                return True
            if verdict == "drop":
                return False
        return False

    def _base(self, hook: str, kind: str, packet: Packet) -> list[tuple[Table, Chain]]:
        family = "ip6" if ":" in packet.target else "ip"
        found = [
            (table, chain)
            for table in list(self.tables.values())
            for chain in list(table.chains.values())
            if table.family in {family, "inet"} and chain.hook == hook and chain.type == kind
        ]
        return sorted(found, key=lambda pair: pair[1].priority)

    def _run(self, table: Table, chain: Chain, packet: Packet) -> tuple[str, str]:
        verdict = self._walk(table, chain, packet, 0)
        return (chain.policy, "") if verdict is None or verdict[0] in {"return", "continue"} else verdict

    def _walk(self, table: Table, chain: Chain, packet: Packet, depth: int) -> tuple[str, str] | None:
        def elements(name: str) -> list[str] | None:
            return table.sets[name].elements if name in table.sets else None

        for rule in tuple(chain.rules):
            for word, target in rule.run(packet, elements):
                if word in {"jump", "goto"}:
                    inner = table.chains.get(target)
                    verdict = self._walk(table, inner, packet, depth + 1) if inner is not None and depth < 16 else None
                    if verdict is not None and verdict[0] not in {"return", "continue"}:
                        return verdict
                    if word == "goto":
                        return None
                elif word == "return":
                    return None
                elif word != "continue":
                    return word, target
        return None


# ---------------------------------------------------------------------------------------------------------- listing
def priority_text(chain: Chain) -> str:
    """`filter`, `srcnat - 1`, or the bare number when no name is within 10."""
    for name, value in PRIORITIES.items():
        if (name == "dstnat" and chain.hook != "prerouting") or (name == "srcnat" and chain.hook != "postrouting"):
            continue
        offset = chain.priority - value
        if abs(offset) <= 10:
            return name if not offset else f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"
    return str(chain.priority)


def base_line(chain: Chain) -> str:
    """The line that makes a base chain."""
    return f"type {chain.type} hook {chain.hook} priority {priority_text(chain)}; policy {chain.policy};"


def lines_of_table(table: Table, handles: bool, only_chain: str = "", rules: bool = True) -> Iterator[str]:
    """A table as `nft list` prints it."""
    if table.managed and not only_chain:
        yield f"# Warning: table {table.family} {table.name} is managed by iptables-nft, do not touch!"
    yield f"table {table.family} {table.name} {{" + _handle(table.handle, handles and not only_chain)
    blocks = [] if only_chain or not rules else [list(_set_lines(one, handles)) for one in table.sets.values()]
    chains = [chain for chain in table.chains.values() if only_chain in {"", chain.name}]
    blocks += [list(_chain_lines(chain, handles, rules)) for chain in chains]
    for index, block in enumerate(blocks):
        if index and rules:
            yield ""
        yield from block
    yield "}"


def _handle(number: int, shown: bool) -> str:
    return f" # handle {number}" if shown else ""


def _set_lines(one: Set, handles: bool) -> Iterator[str]:
    yield f"\tset {one.name} {{" + _handle(one.handle, handles)
    yield f"\t\ttype {one.kind}"
    if one.flags:
        yield f"\t\tflags {','.join(one.flags)}"
    if one.elements:
        width = 2 if one.kind.endswith("_addr") else 5
        rows = [", ".join(one.elements[place : place + width]) for place in range(0, len(one.elements), width)]
        yield "\t\telements = { " + ",\n\t\t\t     ".join(rows) + " }"
    yield "\t}"


def _chain_lines(chain: Chain, handles: bool, rules: bool) -> Iterator[str]:
    yield f"\tchain {chain.name} {{" + _handle(chain.handle, handles)
    if chain.hook:
        yield f"\t\t{base_line(chain)}"
    for rule in chain.rules if rules else ():
        yield f"\t\t{rule.text}" + _handle(rule.handle, handles)
    yield "\t}"


def json_of(tables: list[Table], only_chain: str = "") -> dict[str, object]:
    """What `nft -j list` prints."""
    shown: list[object] = [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}]
    for table in tables:
        if not only_chain:
            shown.append({"table": {"family": table.family, "name": table.name, "handle": table.handle}})
            shown += [{"set": {"family": table.family, "name": one.name, "table": table.name, "type": one.kind,
                               "handle": one.handle, "flags": one.flags, "elem": one.elements}}
                      for one in table.sets.values()]  # fmt: skip
        chains = [chain for chain in table.chains.values() if only_chain in {"", chain.name}]
        shown += [{"chain": _json_chain(table, chain)} for chain in chains]
        for chain in chains:
            for rule in chain.rules:
                one = {"family": table.family, "table": table.name, "chain": chain.name, "handle": rule.handle}
                shown.append({"rule": one | ({"comment": rule.comment} if rule.comment else {}) | {"expr": rule.json()}})
    return {"nftables": shown}


def _json_chain(table: Table, chain: Chain) -> dict[str, object]:
    shown: dict[str, object] = {"family": table.family, "table": table.name, "name": chain.name, "handle": chain.handle}
    if chain.hook:
        shown |= {"type": chain.type, "hook": chain.hook, "prio": chain.priority, "policy": chain.policy}
    return shown
