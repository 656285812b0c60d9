"""One nftables rule: parsed, printed canonically, shown as JSON, and run on a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .._nodes import Packet
from ._nftfields import FIELDS, FLAGS, BadValue, Field, as_json, equals, order, read_value
from ._nftlex import NftError, Stream

Sets = Callable[[str], "list[str] | None"]

VERDICTS: Final = frozenset({"accept", "drop", "continue", "return"})
_OPERATORS: Final = ("==", "!=", "<=", ">=", "<", ">")


@dataclass
class Statement:
    """One statement. `test` None: it matches always. `verdict`: what happens to a packet that got this far."""

    text: str
    json: object
    test: Callable[[Packet, Sets], bool] | None = None
    verdict: tuple[str, str] | None = None
    verdict_of: Callable[[Packet, Sets], tuple[str, str] | None] | None = None
    anonymous_sets: int = 0


@dataclass
class Rule:
    """`handle` is 0 until the kernel has it. `xt`: the rule as iptables wrote it, when iptables did."""

    statements: list[Statement]
    comment: str = ""
    handle: int = 0
    xt: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """The canonical spelling, comment included."""
        said = " ".join(statement.text for statement in self.statements)
        return f'{said} comment "{self.comment}"' if self.comment else said

    def json(self) -> list[object]:
        """Its expressions."""
        return [statement.json for statement in self.statements]

    def run(self, packet: Packet, sets: Sets) -> Iterator[tuple[str, str]]:
        """The verdict for a packet, if it has one for it."""
        for statement in self.statements:
            if statement.test is not None and not statement.test(packet, sets):
                return
            verdict = statement.verdict_of(packet, sets) if statement.verdict_of else statement.verdict
            if verdict is not None:
                yield verdict
                return


@dataclass
class _Right:
    """The right side of a match: single values, a set, or a reference to a named set."""

    values: list[str] = field(default_factory=list)
    braces: bool = False
    named: str = ""


class RuleParser:
    """Reads one rule from a stream up to the end of its statement. Raises NftError."""

    def __init__(self, stream: Stream, sets: Sets) -> None:
        self._stream = stream
        self._sets = sets

    def parse(self) -> Rule:
        """The rule; `comment` must come last, as in nft."""
        rule = Rule([])
        while not self._stream.at_end_of_statement:
            if self._stream.accept("comment"):
                rule.comment = self._stream.name().text
                break
            statement = self._statement()
            if self._implied(rule, statement):
                rule.statements.pop()
            rule.statements.append(statement)
        if not rule.statements:
            raise self._stream.unexpected()
        if not self._stream.at_end_of_statement:
            raise self._stream.unexpected()
        return rule

    @staticmethod
    def _implied(rule: Rule, statement: Statement) -> bool:
        """`meta l4proto udp th dport 53` is printed as `udp dport 53`, and so is `meta l4proto udp udp dport 53`."""
        if not rule.statements:
            return False
        last = rule.statements[-1].text
        for protocol in ("tcp", "udp"):
            if last in {f"meta l4proto {protocol}", f"ip protocol {protocol}"}:
                if statement.text.startswith("th "):
                    statement.text = protocol + statement.text[2:]
                    statement.json = _renamed(statement.json, protocol)
                return statement.text.startswith((f"{protocol} dport", f"{protocol} sport"))
        return False

    def _statement(self) -> Statement:
        stream = self._stream
        word = stream.next.text if stream.next.kind == "word" else ""
        if word in VERDICTS:
            stream.take()
            return Statement(word, {word: None}, verdict=(word, ""))
        simple = {"jump": self._jump, "goto": self._jump, "counter": self._counter, "log": self._log, "limit": self._limit,
                  "reject": self._reject, "masquerade": self._masquerade, "snat": self._nat, "dnat": self._nat,
                  "notrack": self._notrack}.get(word)  # fmt: skip
        if simple is not None:
            return simple()
        return self._match()

    # --- statements ----------------------------------------------------------------------------------------------------

    def _jump(self) -> Statement:
        word, target = self._stream.take().text, self._stream.name().text
        return Statement(f"{word} {target}", {word: {"target": target}}, verdict=(word, target))

    def _notrack(self) -> Statement:
        self._stream.take()
        return Statement("notrack", {"notrack": None})

    def _counter(self) -> Statement:
        self._stream.take()
        packets = size = 0
        if self._stream.accept("packets"):
            packets = int(self._stream.take().text)
            self._stream.expect("bytes")
            size = int(self._stream.take().text)
        elif self._stream.accept("name"):
            name = self._stream.name().text
            return Statement(f'counter name "{name}"', {"counter": name})
        return Statement(f"counter packets {packets} bytes {size}", {"counter": {"packets": packets, "bytes": size}})

    def _log(self) -> Statement:
        self._stream.take()
        text, shown = "log", {}
        while self._stream.next.text in {"prefix", "level", "group", "flags"} and self._stream.next.kind == "word":
            option, value = self._stream.take().text, self._stream.name()
            text += f' {option} "{value.text}"' if option == "prefix" else f" {option} {value.text}"
            shown[option] = value.text
        return Statement(text, {"log": shown or None})

    def _limit(self) -> Statement:
        self._stream.take()
        self._stream.expect("rate")
        over = "over " if self._stream.accept("over") else ""
        rate = self._stream.take().text
        burst = 5
        if self._stream.accept("burst"):
            burst = int(self._stream.take().text)
            self._stream.expect("packets")
        count, _, per = rate.partition("/")
        shown = {"limit": {"rate": int(count), "burst": burst, "per": per, **({"inv": True} if over else {})}}
        return Statement(f"limit rate {over}{rate}" + (f" burst {burst} packets" if burst != 5 else ""), shown)

    def _reject(self) -> Statement:
        self._stream.take()
        if not self._stream.accept("with"):
            return Statement("reject", {"reject": None}, verdict=("drop", ""))
        family = self._stream.take().text
        self._stream.accept("type")
        if family == "tcp":
            self._stream.expect("reset")
            return Statement("reject with tcp reset", {"reject": {"type": "tcp reset"}}, verdict=("drop", ""))
        code = self._stream.name().text
        return Statement(f"reject with {family} {code}", {"reject": {"type": family, "expr": code}}, verdict=("drop", ""))

    def _masquerade(self) -> Statement:
        self._stream.take()
        words = []
        while self._stream.next.text in {"random", "persistent", "fully-random"}:
            words.append(self._stream.take().text)
        return Statement(" ".join(["masquerade", *words]), {"masquerade": {"flags": words} if words else None},
                         verdict=("masquerade", ""))  # fmt: skip

    def _nat(self) -> Statement:
        word = self._stream.take().text
        family = self._stream.accept("ip", "ip6")
        self._stream.accept("to")
        target = self._stream.name().text
        address, _, port = target.partition(":") if target.count(":") < 2 else (target, "", "")
        shown: dict[str, object] = {"family": family.text} if family else {}
        shown["addr"] = address
        if port:
            shown["port"] = int(port)
        said = f"{word} {family.text} to {target}" if family else f"{word} to {target}"
        return Statement(said, {word: shown}, verdict=(word, target))

    # --- matches -------------------------------------------------------------------------------------------------------

    def _field(self) -> Field:
        stream = self._stream
        token = stream.next
        if token.kind != "word":
            raise stream.unexpected()
        words: tuple[str, ...] = (stream.take().text,)
        while words not in FIELDS and stream.next.kind == "word" and any(key[: len(words)] == words for key in FIELDS):
            words = (*words, stream.take().text)
        if words not in FIELDS:
            if any(key[: len(words)] == words for key in FIELDS) or len(words) > 1:
                raise stream.unexpected()
            if stream.at_end_of_statement:  # a lone unknown word: nft waits for a right side
                raise stream.unexpected()
            raise NftError("No symbol type information", token)
        return FIELDS[words]

    def _match(self) -> Statement:
        stream = self._stream
        left = self._field()
        if stream.accept("set"):
            return self._mangle(left)
        if stream.accept("vmap"):
            return self._vmap(left)
        if left.kind == "flags" and stream.accept("&"):
            return self._masked_flags(left)
        operator = next((op for op in _OPERATORS if stream.accept(op)), "")
        if not operator and left.kind == "number" and (word := stream.accept("gt", "lt", "ge", "le", "eq", "ne")):
            operator = {"gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "", "ne": "!="}[word.text]
        right = self._right(left)
        if left.kind == "flags" and not operator and stream.accept("/"):
            return _flags_statement(left, right.values, self._right(left).values)
        return _match_statement(left, "" if operator == "==" else operator, right, self._sets)

    def _mangle(self, left: Field) -> Statement:
        stream = self._stream
        if stream.next.text == "rt" and stream.next.kind == "word":
            stream.take()
            stream.expect("mtu")
            return Statement(f"{left.text} set rt mtu", {"mangle": {"key": left.json, "value": {"rt": {"key": "mtu"}}}})
        token = stream.name()
        if token.text in {"ct", "meta"} or (token.text == "mark"):
            other = token.text if token.text == "mark" else f"{token.text} {stream.name().text}"
            return Statement(f"{left.text} set {other}", {"mangle": {"key": left.json, "value": other}})
        try:
            value = read_value(left.kind, token.text)
        except BadValue as bad:
            raise NftError(str(bad), token) from None
        return Statement(f"{left.text} set {value}", {"mangle": {"key": left.json, "value": as_json(left.kind, value)}})

    def _masked_flags(self, left: Field) -> Statement:
        stream = self._stream
        stream.expect("(")
        mask = [stream.name().text]
        while stream.accept("|", ","):
            mask.append(stream.name().text)
        stream.expect(")")
        stream.accept("==")
        return _flags_statement(left, self._right(left).values, mask)

    def _vmap(self, left: Field) -> Statement:
        stream = self._stream
        stream.expect("{")
        pairs: dict[str, tuple[str, str]] = {}
        while not stream.accept("}"):
            stream.skip_newlines()
            value = self._value(left)
            stream.expect(":")
            word = stream.name().text
            pairs[value] = (word, stream.name().text if word in {"jump", "goto"} else "")
            stream.skip_newlines()
            stream.accept(",")
        ordered = sorted(pairs.items(), key=lambda pair: order(left.kind, pair[0]))
        said = ", ".join(f"{value} : {' '.join(filter(None, verdict))}" for value, verdict in ordered)
        shown = [[as_json(left.kind, value), {word: {"target": to} if to else None}] for value, (word, to) in ordered]

        def verdict_of(packet: Packet, sets: Sets) -> tuple[str, str] | None:
            seen = left.of(packet)
            return next((pair for value, pair in ordered if seen is not None and equals(left.kind, seen, value)), None)

        return Statement(f"{left.text} vmap {{ {said} }}", {"vmap": {"key": left.json, "data": {"set": shown}}},
                         verdict_of=verdict_of, anonymous_sets=1)  # fmt: skip

    def _value(self, left: Field) -> str:
        token = self._stream.next
        if token.kind not in {"word", "string"}:
            raise self._stream.unexpected()
        self._stream.take()
        try:
            return read_value(left.kind, token.text)
        except BadValue as bad:
            raise NftError(str(bad), token) from None

    def _right(self, left: Field) -> _Right:
        stream = self._stream
        if stream.next.kind == "word" and stream.next.text.startswith("@"):
            token = stream.take()
            if self._sets(token.text[1:]) is None:
                raise NftError("No such file or directory", token)
            return _Right(named=token.text[1:])
        if not stream.accept("{"):
            values = [self._value(left)]
            while left.kind in {"state", "flags", "word"} and stream.accept(",", "|"):
                values.append(self._value(left))
            return _Right(values)
        right = _Right(braces=True)
        while not stream.accept("}"):
            stream.skip_newlines()
            right.values.append(self._value(left))
            stream.skip_newlines()
            if not stream.accept(",") and stream.next.text != "}":
                raise stream.unexpected()
            stream.skip_newlines()
        return right


def _renamed(shown: object, protocol: str) -> object:
    match shown:
        case {"match": {"op": op, "left": {"payload": {"field": name}}, "right": right}}:
            return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": name}}, "right": right}}
    return shown


def _flags_statement(left: Field, value: list[str], mask: list[str]) -> Statement:
    value, mask = sorted(value, key=FLAGS.index), sorted(mask, key=FLAGS.index)
    shown = {"&": [left.json, mask if len(mask) > 1 else mask[0]]}
    return Statement(
        f"{left.text} {','.join(value)} / {','.join(mask)}",
        {"match": {"op": "==", "left": shown, "right": value if len(value) > 1 else value[0]}},
        test=lambda packet, sets: False,  # pings have no TCP flags
    )


def _match_statement(left: Field, operator: str, right: _Right, sets: Sets) -> Statement:
    kind = left.kind
    values = sorted(dict.fromkeys(right.values), key=lambda value: order(kind, value))
    shown: object
    if right.named:
        said, shown = f"@{right.named}", f"@{right.named}"
    elif right.braces and len(values) > 1:
        said, shown = "{ " + ", ".join(values) + " }", {"set": [as_json(kind, value) for value in values]}
    elif len(values) > 1:
        said, shown = ",".join(values), [as_json(kind, value) for value in values]
    else:
        said, shown = values[0], as_json(kind, values[0])
    implicit = "in" if kind in {"state", "flags"} and not right.braces else "=="
    tail = f"{operator} {said}" if operator else said
    return Statement(
        f"{left.text} {tail}",
        {"match": {"op": operator or implicit, "left": left.json, "right": shown}},
        test=_test(left, operator, values, right.named),
        anonymous_sets=1 if right.braces and len(values) > 1 else 0,
    )


def _test(left: Field, operator: str, values: list[str], named: str) -> Callable[[Packet, Sets], bool]:
    def test(packet: Packet, sets: Sets) -> bool:
        seen = left.of(packet)
        if seen is None:
            return False
        wanted = (sets(named) or []) if named else values
        inside = any(equals(left.kind, seen, value) for value in wanted)
        if operator in {"<", ">", "<=", ">="}:
            number = int(values[0])
            return {"<": seen < number, ">": seen > number, "<=": seen <= number, ">=": seen >= number}[operator]  # type: ignore[operator]
        return not inside if operator == "!=" else inside

    return test
