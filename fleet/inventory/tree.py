"""YAML text -> nodes that know their line, within limits that a hostile file cannot exceed.

Composed here from parser events, not by the library: libyaml's events take 30 ms for 2,000 routers where a composer in
Python takes over a second (measured 2026-11), and only a composer of our own can count, refuse tags, and keep the place of
both keys when one is given twice. Plain scalars follow YAML 1.2 (`no` is a word, `010` is not eight).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import yaml

from ..model import Where
from .problems import Problems, shown

MAX_BYTES: Final = 16 * 2**20
MAX_NODES: Final = 250_000
"""Values in one file; 10,000 routers of ten keys each are less than half of it."""
MAX_LIST: Final = 20_000
MAX_TEXT: Final = 16_384
MAX_DEPTH: Final = 32
MAX_REPEATED: Final = 10_000
"""How many values aliases may repeat; the classic bomb repeats thousands of millions."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")

Plain: TypeAlias = "str | int | float | bool | None | list[Plain] | dict[str, Plain]"


@dataclass(slots=True)
class Node:
    """One value of a file. `line` is 1-based and that of its key if it has one; `start` and `end` are offsets in the text."""

    content: str | list[Node] | dict[str, Node]
    file: str
    line: int
    start: int = 0
    end: int = 0
    key_start: int = 0
    quoted: bool = False
    flow: bool = False
    size: int = 1
    alias: bool = False

    @property
    def where(self) -> Where:
        """Its place, for a message."""
        return Where(self.file, self.line)

    @property
    def empty(self) -> bool:
        """True for nothing at all: `key:`, `~` or `null`."""
        return not self.quoted and self.content in ("", "~", "null", "Null", "NULL")

    def plain(self) -> Plain:
        """The value as Python has it."""
        if isinstance(self.content, dict):
            return {key: child.plain() for key, child in self.content.items()}
        if isinstance(self.content, list):
            return [child.plain() for child in self.content]
        return self.content if self.quoted else resolved(self.content)

    def texts(self) -> Plain:
        """The value with every scalar as it is spelled: a label `03` is not the number three."""
        if isinstance(self.content, dict):
            return {key: child.texts() for key, child in self.content.items()}
        if isinstance(self.content, list):
            return [child.texts() for child in self.content]
        return None if self.empty else self.content

    def at(self, *path: str | int) -> Node:
        """The deepest node that exists along a path of keys and positions."""
        node = self
        for step in path:
            match node.content, step:
                case dict() as pairs, str() if step in pairs:
                    node = pairs[step]
                case list() as items, int() if step < len(items):
                    node = items[step]
                case _:
                    break
        return node


def resolved(text: str) -> str | int | float | bool | None:
    """A plain scalar as YAML 1.2 reads it."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) < 40 and _FLOAT.fullmatch(text) and not text.isdigit():
        return float(text)
    return text


class _Unreadable(Exception):
    """Nothing more can be said about this file."""


def parse(text: str, file: str, problems: Problems) -> Node | None:
    """The root mapping of a text; None, with a problem remembered, if there is none."""
    composer = _Composer(text, file, problems)
    try:
        return composer.document()
    except _Unreadable:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        problems.add(Where(file, line), *_syntax(text, line, str(error.problem or error.context)))
    except yaml.YAMLError as error:
        problems.add(Where(file), f"not YAML: {_printable(str(error))}", "repair the text at that place")
    return None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]


def _syntax(text: str, line: int, problem: str) -> tuple[str, str]:
    """A syntax error in the operator's words, and its usual cause."""
    lines = text.splitlines()
    near = [lines[index] for index in (line - 1, line - 2) if 0 <= index < len(lines)]
    if "nesting depth" in problem:
        return f"nested deeper than {MAX_DEPTH} levels", "an inventory needs five; repair the brackets"
    for candidate in near:
        if "\t" in candidate[: len(candidate) - len(candidate.lstrip())]:
            return "indented with a tab", "YAML is indented with spaces: replace the tab"
    cure = "look at this line and the one before it: a missing quote, bracket, colon or space of indentation"
    if near and "::" in near[0]:
        cure = 'an IPv6 address that starts with ":" or stands before a colon needs quotes: "::1"'
    elif near and re.search(r"[:\[{,]\s*[{%@`*&!|>]", near[0]):
        cure = "a value that starts with one of { % @ ` * & ! | > needs quotes"
    return f"not YAML: {_printable(problem)}", cure


class _Composer:
    """Builds nodes from events, counting as it goes."""

    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0
        self._repeated = 0

    def document(self) -> Node | None:
        """The root of the only document."""
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._fatal(
                        event, "a second document starts here", "one inventory file is one document: remove `---`"
                    )
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 0)
        if root is None or root.empty:
            self._problems.add(Where(self._file), "the file is empty", "it needs `overlay:` and `routers:`")
            return None
        if not isinstance(root.content, dict):
            self._problems.add(root.where, "not a mapping of keys", "an inventory starts with `overlay:` and `routers:`")
            return None
        return root

    def _fatal(self, event: yaml.Event, summary: str, cure: str) -> _Unreadable:
        self._problems.add(Where(self._file, event.start_mark.line + 1), summary, cure)
        return _Unreadable()

    def _node(self, event: yaml.NodeEvent, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._fatal(event, f"more than {MAX_NODES:,} values", "split the fleet into several overlays")
        if depth > MAX_DEPTH:
            raise self._fatal(event, f"nested deeper than {MAX_DEPTH} levels", "an inventory needs five; repair the brackets")
        if event.tag is not None:
            raise self._fatal(event, f"the tag {shown(event.tag)}", "tags are not part of an inventory: remove it, quote texts")
        mark = event.start_mark
        node = Node("", self._file, mark.line + 1, mark.index, event.end_mark.index)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, node)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._sequence(event, node, depth)
        else:
            self._mapping(event, node, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in self._anchors
            summary = f"the alias {shown('*' + event.anchor)} " + ("contains itself" if inside else "has no anchor")
            raise self._fatal(event, summary, "quote the value if it is text, else use `groups:` or `defaults:`")
        self._repeated += node.size
        if self._repeated > MAX_REPEATED:
            raise self._fatal(
                event,
                f"aliases repeat more than {MAX_REPEATED:,} values",
                "use `groups:` or `defaults:` for what routers have in common",
            )
        line = event.start_mark.line + 1
        return Node(
            node.content,
            self._file,
            line,
            event.start_mark.index,
            event.end_mark.index,
            quoted=node.quoted,
            size=node.size,
            alias=True,
        )

    def _scalar(self, event: yaml.ScalarEvent, node: Node) -> None:
        if len(event.value) > MAX_TEXT:
            raise self._fatal(event, f"a value of {len(event.value):,} characters", "nothing in an inventory is that long")
        node.content = event.value
        node.quoted = not event.implicit[0]
        if not event.value.isprintable():
            for letter in event.value:
                if not letter.isprintable() and letter != "\n":
                    self._problems.add(
                        node.where,
                        f"invisible character {shown(letter)} in {shown(event.value)}",
                        "retype the value: texts copied from a page or a chat bring such characters along",
                    )
                    break

    def _sequence(self, event: yaml.SequenceStartEvent, node: Node, depth: int) -> None:
        items: list[Node] = []
        node.content = items
        node.flow = bool(event.flow_style)
        for inner in self._events:
            if isinstance(inner, yaml.SequenceEndEvent):
                node.end = inner.end_mark.index
                return
            item = self._node(inner, depth + 1)
            node.size += item.size
            items.append(item)
            if len(items) > MAX_LIST:
                raise self._fatal(inner, f"a list of more than {MAX_LIST:,} values", "nothing in an inventory is that long")

    def _mapping(self, event: yaml.MappingStartEvent, node: Node, depth: int) -> None:
        pairs: dict[str, Node] = {}
        node.content = pairs
        node.flow = bool(event.flow_style)
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                node.end = key.end_mark.index
                return
            if not isinstance(key, yaml.ScalarEvent):
                raise self._fatal(
                    key, "a key that is not a plain word", "write `key: value`; quote a value that starts with [ { or *"
                )
            line = key.start_mark.line + 1
            child = self._node(next(self._events), depth + 1)
            child.line = line
            child.key_start = key.start_mark.index
            node.size += child.size + 1
            if not self._good_key(key.value, Where(self._file, line)):
                continue
            if key.value in pairs:
                self._problems.add(
                    Where(self._file, line),
                    f"{shown(key.value)} is given twice, first in line {pairs[key.value].line}",
                    "YAML would silently keep one of them: remove or rename the other",
                )
                continue
            pairs[key.value] = child

    def _good_key(self, key: str, where: Where) -> bool:
        if len(key) > MAX_TEXT:
            self._problems.add(where, f"a key of {len(key):,} characters", "nothing in an inventory is that long")
        elif key == "<<":
            self._problems.add(where, "the merge key <<", "use `groups:` or `defaults:` for what routers have in common")
        elif not key.isprintable():
            self._problems.add(where, f"invisible or control characters in the key {shown(key)}", "retype the key")
        else:
            return True
        return False
