"""The stand-in for nft(8): commands, transactions, refusals. Words and exit codes as nftables 1.0.6 prints them."""

from __future__ import annotations

import json
from typing import Final

from ._call import Call, Refused
from ._nftfields import BadValue, order, read_value
from ._nftlex import NftError, Stream, Token, tokens
from ._nftrule import Rule, RuleParser
from ._nftset import PRIORITIES, Chain, Ruleset, Set, Table, json_of, lines_of_table

_FAMILIES: Final = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
_MISSING: Final = "Could not process rule: No such file or directory"
_ELEMENT_KINDS: Final = {"ipv4_addr": "address4", "ipv6_addr": "address6", "inet_service": "port", "ifname": "name",
                         "inet_proto": "protocol", "mark": "mark"}  # fmt: skip


class Transaction:
    """Commands applied to a clone; the caller takes the clone over when all of them passed."""

    def __init__(self, call: Call, ruleset: Ruleset, *, handles: bool, as_json: bool) -> None:
        self._call = call
        self.ruleset = ruleset
        self._handles = handles
        self._json = as_json
        self.echo: list[str] = []

    def run(self, text: str) -> None:
        """All commands of a text. Raises NftError."""
        stream = Stream(tokens(text))
        stream.skip_separators()
        while stream.next.kind != "end":
            self._command(stream)
            if not stream.at_end_of_statement or stream.next.text == "}":
                raise stream.unexpected()
            stream.skip_separators()

    def _command(self, stream: Stream) -> None:
        verb = stream.next.text if stream.next.kind == "word" else ""
        if verb in {"table", "chain", "rule", "set", "element"}:
            self._add(stream, "add")
        elif verb in {"add", "create", "insert", "replace"}:
            self._add(stream, stream.take().text)
        elif verb == "delete":
            stream.take()
            self._delete(stream)
        elif verb == "flush":
            stream.take()
            self._flush(stream)
        elif verb == "list":
            stream.take()
            self._list(stream)
        else:
            stream.take()
            raise stream.unexpected("expecting string" if not stream.at_end_of_statement or verb else "")

    # --- names ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _family(stream: Stream) -> str:
        if stream.next.kind == "word" and stream.next.text in _FAMILIES:
            return stream.take().text
        return "ip"

    def _table(self, stream: Stream, missing: str = _MISSING, *, guess: bool = False) -> Table:
        family, token = self._family(stream), stream.name()
        table = self.ruleset.tables.get((family, token.text))
        if table is None:
            like = next((other.name for other in self.ruleset.tables.values() if other.family == family), "")
            hint = f"; did you mean table \u2018{like}\u2019 in family {family}?" if like and guess else ""
            raise NftError(f"{missing}{hint}", token)
        return table

    def _chain(self, stream: Stream, missing: str = _MISSING) -> tuple[Table, Chain, Token]:
        table = self._table(stream, "No such file or directory", guess=True)
        token = stream.name()
        if token.text not in table.chains:
            raise NftError(missing, token)
        return table, table.chains[token.text], token

    # --- add -----------------------------------------------------------------------------------------------------------

    def _add(self, stream: Stream, verb: str) -> None:
        what = stream.take().text if stream.next.text in {"table", "chain", "rule", "set", "element"} else "rule"
        if what == "table":
            self._add_table(stream, verb)
        elif what == "chain":
            self._add_chain(stream, verb)
        elif what == "set":
            table, name = self._table(stream, "No such file or directory"), stream.name().text
            self._set_block(stream, table, name)
        elif what == "element":
            self._elements(stream, delete=False)
        else:
            self._add_rule(stream, verb)

    def _add_table(self, stream: Stream, verb: str) -> None:
        family, token = self._family(stream), stream.name()
        if verb == "create" and (family, token.text) in self.ruleset.tables:
            raise NftError("Could not process rule: File exists", token)
        table = self.ruleset.add_table(family, token.text)
        if not stream.accept("{"):
            return
        stream.skip_separators()
        placed: list[tuple[Chain, Rule]] = []
        while not stream.accept("}"):
            kind = stream.accept("chain", "set", "comment", "flags")
            if kind is None:
                raise stream.unexpected()
            if kind.text == "chain":
                placed += self._chain_block(stream, table, stream.name().text)
            elif kind.text == "set":
                self._set_block(stream, table, stream.name().text)
            else:
                stream.take()
            stream.skip_separators()
        self._place_all(table, placed)

    @staticmethod
    def _place_all(table: Table, placed: list[tuple[Chain, Rule]]) -> None:
        # The kernel is told of all chains of a block before their rules, which shows in the handles.
        for chain, rule in placed:
            chain.rules.append(table.place(rule))

    def _add_chain(self, stream: Stream, verb: str) -> None:
        table, token = self._table(stream, "No such file or directory"), stream.name()
        if verb == "create" and token.text in table.chains:
            raise NftError("Could not process rule: File exists", token)
        if stream.next.text == "{":
            self._place_all(table, self._chain_block(stream, table, token.text))
        elif token.text not in table.chains:
            table.chains[token.text] = Chain(token.text, table.next_handle())

    def _chain_block(self, stream: Stream, table: Table, name: str) -> list[tuple[Chain, Rule]]:
        stream.expect("{")
        chain = table.chains.get(name)
        if chain is None:
            chain = table.chains[name] = Chain(name, table.next_handle())
        placed: list[tuple[Chain, Rule]] = []
        stream.skip_separators()
        while not stream.accept("}"):
            if stream.next.text == "type" and stream.next.kind == "word":
                self._base(stream, chain)
            elif stream.accept("policy"):
                self._policy(stream, chain)
            elif stream.accept("comment"):
                stream.name()
            else:
                placed.append((chain, self._rule(stream, table)))
            if not stream.at_end_of_statement:
                raise stream.unexpected()
            stream.skip_separators()
        return placed

    def _policy(self, stream: Stream, chain: Chain) -> None:
        token = stream.name()
        if token.text not in {"accept", "drop"}:
            raise NftError(f"syntax error, unexpected {token.named}", token)
        if not chain.hook:
            raise NftError("Could not process rule: Operation not supported", token)
        chain.policy = token.text

    def _base(self, stream: Stream, chain: Chain) -> None:
        stream.take()
        kind = stream.name()
        if kind.text not in {"filter", "nat", "route"}:
            raise NftError(f"unknown chain type {kind.text}", kind)
        stream.expect("hook")
        hook = stream.name()
        if hook.text not in {"prerouting", "input", "forward", "output", "postrouting", "ingress"}:
            raise NftError(f"unknown chain hook {hook.text}", hook)
        if stream.accept("device"):
            stream.name()
        stream.expect("priority")
        chain.type, chain.hook, chain.priority = kind.text, hook.text, self._priority(stream)

    @staticmethod
    def _priority(stream: Stream) -> int:
        token = stream.name()
        if token.text in PRIORITIES:
            value = PRIORITIES[token.text]
        elif token.text.lstrip("+-").isdigit():
            value = int(token.text)
        else:
            raise NftError(f"invalid priority expression string in this context.", token)  # noqa: F541
        if sign := stream.accept("-", "+"):
            value += int(stream.name().text) * (1 if sign.text == "+" else -1)
        return value

    def _rule(self, stream: Stream, table: Table) -> Rule:
        return RuleParser(stream, lambda name: table.sets[name].elements if name in table.sets else None).parse()

    def _add_rule(self, stream: Stream, verb: str) -> None:
        table, chain, chain_token = self._chain(stream)
        place = len(chain.rules) if verb == "add" else 0
        if where := stream.accept("position", "handle", "index"):
            number = stream.take()
            place = self._place(chain, where.text, number, chain_token)
            if verb == "add":
                place += 1
        rule = self._rule(stream, table)
        for statement in rule.statements:
            if statement.verdict and statement.verdict[0] in {"jump", "goto"} and statement.verdict[1] not in table.chains:
                raise NftError(_MISSING, chain_token)
        table.place(rule)
        if verb == "replace":
            rule.handle, table.last_handle = chain.rules[place].handle, table.last_handle - 1
            chain.rules[place] = rule
        else:
            chain.rules.insert(place, rule)
        target = f"{table.family} {table.name} {chain.name}"
        self.echo.append(f"{verb} rule {target} {rule.text}" + (f" # handle {rule.handle}" if self._handles else ""))

    @staticmethod
    def _place(chain: Chain, how: str, number: Token, chain_token: Token) -> int:
        wanted = int(number.text) if number.text.isdigit() else -1
        for index, rule in enumerate(chain.rules):
            if wanted == (index if how == "index" else rule.handle):
                return index
        raise NftError(_MISSING, number)

    def _set_block(self, stream: Stream, table: Table, name: str) -> None:
        one = table.sets.get(name) or Set(name, table.next_handle(), "")
        stream.expect("{")
        stream.skip_separators()
        while not stream.accept("}"):
            word = stream.name()
            if word.text == "type":
                one.kind = stream.name().text
            elif word.text == "flags":
                one.flags = [stream.name().text]
                while stream.accept(","):
                    one.flags.append(stream.name().text)
            elif word.text == "elements":
                stream.expect("=")
                self._fill(stream, one)
            elif word.text in {"timeout", "size", "comment", "policy"}:
                stream.take()
            elif word.text != "auto-merge":
                raise NftError(f"syntax error, unexpected {word.named}", word)
            stream.skip_separators()
        table.sets[name] = one

    def _fill(self, stream: Stream, one: Set, *, delete: bool = False) -> None:
        kind = _ELEMENT_KINDS.get(one.kind, "word")
        stream.expect("{")
        while not stream.accept("}"):
            stream.skip_newlines()
            token = stream.name()
            try:
                value = read_value(kind, token.text)
            except BadValue as bad:
                raise NftError(str(bad), token) from None
            if delete and value not in one.elements:
                raise NftError(_MISSING, token)
            if delete:
                one.elements.remove(value)
            elif value not in one.elements:
                one.elements = sorted([*one.elements, value], key=lambda value: order(kind, value))
            stream.skip_newlines()
            stream.accept(",")

    def _elements(self, stream: Stream, *, delete: bool) -> None:
        table, token = self._table(stream, "No such file or directory"), stream.name()
        if token.text not in table.sets:
            raise NftError(_MISSING, token)
        self._fill(stream, table.sets[token.text], delete=delete)

    # --- delete, flush -------------------------------------------------------------------------------------------------

    def _delete(self, stream: Stream) -> None:
        what = stream.accept("table", "chain", "rule", "set", "element")
        if what is None:
            raise stream.unexpected()
        if what.text == "table":
            table = self._table(stream)
            del self.ruleset.tables[table.family, table.name]
        elif what.text == "chain":
            table, chain, token = self._chain(stream)
            if _used(table, chain.name):
                raise NftError("Could not process rule: Device or resource busy", token)
            del table.chains[chain.name]
        elif what.text == "element":
            self._elements(stream, delete=True)
        elif what.text == "set":
            self._delete_set(stream)
        else:
            table, chain, token = self._chain(stream)
            stream.expect("handle")
            chain.rules.pop(self._place(chain, "handle", stream.take(), token))

    def _delete_set(self, stream: Stream) -> None:
        table, token = self._table(stream, "No such file or directory"), stream.name()
        if token.text not in table.sets:
            raise NftError(_MISSING, token)
        if any(f"@{token.text}" in rule.text.split() for chain in table.chains.values() for rule in chain.rules):
            raise NftError("Could not process rule: Device or resource busy", token)
        del table.sets[token.text]

    def _flush(self, stream: Stream) -> None:
        what = stream.accept("ruleset", "table", "chain", "set")
        if what is None:
            raise stream.unexpected()
        if what.text == "ruleset":
            family = self._family(stream) if stream.next.text in _FAMILIES else ""
            for key in [key for key in self.ruleset.tables if family in {"", key[0]}]:
                del self.ruleset.tables[key]
        elif what.text == "table":
            for chain in self._table(stream).chains.values():
                chain.rules = []
        elif what.text == "chain":
            self._chain(stream)[1].rules = []
        else:
            self._table(stream).sets[stream.name().text].elements = []

    # --- list ----------------------------------------------------------------------------------------------------------

    def _list(self, stream: Stream) -> None:
        what = stream.accept("ruleset", "tables", "chains", "table", "chain", "sets", "set")
        if what is None:
            raise stream.unexpected()
        missing = "No such file or directory"
        if what.text == "table":
            table = self._table(stream, missing)
            self._say([table])
        elif what.text in {"chain", "set"}:
            table, token = self._table(stream, missing), stream.name()
            if token.text not in (table.chains if what.text == "chain" else table.sets):
                raise NftError(missing, token)
            self._say([table], token.text)
        else:
            family = self._family(stream) if stream.next.text in _FAMILIES else ""
            tables = [table for table in self.ruleset.tables.values() if family in {"", table.family}]
            self._list_all(what.text, tables)

    def _list_all(self, what: str, tables: list[Table]) -> None:
        if what == "tables" and not self._json:
            for table in tables:
                self._call.out(f"table {table.family} {table.name}" + (f" # handle {table.handle}" if self._handles else ""))
        elif what == "chains" and not self._json:
            for table in tables:
                for line in lines_of_table(table, self._handles, rules=False):
                    self._call.out(line)
        else:
            self._say(tables)

    def _say(self, tables: list[Table], only_chain: str = "") -> None:
        if self._json:
            self._call.out(json.dumps(json_of(tables, only_chain)))
            return
        for table in tables:
            for line in lines_of_table(table, self._handles, only_chain):
                self._call.out(line)


def _used(table: Table, name: str) -> bool:
    chain = table.chains[name]
    return bool(chain.rules) or any(
        statement.verdict == (word, name)
        for other in table.chains.values()
        for rule in other.rules
        for statement in rule.statements
        for word in ("jump", "goto")
    )


def nft(call: Call) -> int:
    """Parse options, run the commands as one transaction."""
    flags, source, words = _options(call)
    if source is None and not words:
        raise Refused("nft: no command specified")
    call.need_root(
        "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted"
    )
    text, name = " ".join(words) + "\n", ""
    if source is not None:
        name = "/dev/stdin" if source in {"-", "/dev/stdin"} else source
        try:
            text = call.read(source).decode("utf-8", "replace")
        except OSError as error:
            raise Refused(f'internal:0:0-0: Error: Could not open file "{source}": {error.strerror}\n\n') from None
    transaction = Transaction(call, call.host.nftables.clone(), handles="a" in flags, as_json="j" in flags)
    text = text if text.endswith("\n") else text + "\n"
    try:
        transaction.run(text)
    except NftError as error:
        raise Refused(_pointed(text, name, error)) from None
    if "c" not in flags:
        call.host.nftables = transaction.ruleset
    if "e" in flags:
        call.out("\n".join(transaction.echo))
    return 0


def _options(call: Call) -> tuple[set[str], str | None, list[str]]:
    flags: set[str] = set()
    source: str | None = None
    words = list(call.argv)
    long = {"--handle": "a", "--json": "j", "--echo": "e", "--check": "c", "--stateless": "s", "--numeric": "n"}
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word in {"-v", "--version"}:
            raise Refused("nftables v1.0.6 (Lester Gooch #5)", 0)
        letters = long.get(word, word[1:])
        if word == "--file" or letters.endswith("f"):
            flags |= set(letters[:-1]) if word != "--file" else set()
            if not words:
                raise Refused("nft: option requires an argument -- 'f'")
            source = words.pop(0)
        elif set(letters) <= set("ajecsnNyptTSuI"):
            flags |= set(letters)
        else:
            raise Refused(f"nft: invalid option -- '{letters[0]}'")
    if any(word in {"-a", "-j", "-f", "-e"} for word in words):
        raise Refused("Error: syntax error, options must be specified before commands\n" + " ".join(call.argv))
    return flags, source, words


def _pointed(text: str, name: str, error: NftError) -> str:
    token = error.token
    lines = text.split("\n")
    line = lines[token.line - 1] if token.line <= len(lines) else ""
    place = f"{name}:{token.line}:{token.start + 1}-{token.end}: " if name else ""
    caret = " " * token.start + "^" * max(token.end - token.start, 1)
    return f"{place}Error: {error.words}\n{line}\n{caret}"
