"""How a configuration is written down: braces as in config.boot and `show`, set commands, `compare`; and read again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from .templates import FREE, Template
from .tree import Node, Path, ordered

Shape = Literal["leaf", "flag", "block"]
HIDDEN: Final = "****************"


@dataclass(frozen=True)
class Entry:
    """One child as it is written: its words (name, or name and value), what it is, and the template of what is inside."""

    words: Path
    shape: Shape
    template: Template
    single: bool = False


def entries(node: Node, template: Template) -> list[Entry]:
    """What stands directly below a node or an instance of a tag."""
    found: list[Entry] = []
    for name in ordered(list(node.children)):
        inner = FREE if template.kind == "free" else template.children.get(name)
        if inner is not None:
            found += _entry(name, node.children[name], inner)
    return found


def _entry(name: str, child: Node, template: Template) -> list[Entry]:
    if template.kind == "flag":
        return [Entry((name,), "flag", template)]
    if template.kind == "leaf":
        return [Entry((name, value), "leaf", template, not template.multi) for value in child.children]
    if template.kind == "tag":
        return [Entry((name, value), "block", template) for value in ordered(list(child.children))]
    if template.kind == "node":
        return [Entry((name,), "block", template)]
    if not child.children:
        return [Entry((name,), "flag", FREE)]
    if any(one.children for one in child.children.values()):
        return [Entry((name,), "block", FREE)]
    return [Entry((name, value), "leaf", FREE) for value in child.children]


def _braced(word: str) -> str:
    return f'"{word}"' if not word or re.search(r"[*{};\s]", word) else word


def commanded(word: str) -> str:
    """A word of a set command, quoted where the backend quotes: a colon is enough."""
    return word if re.fullmatch(r"[\w./+=@,%-]+", word) else f"'{word}'"


@dataclass(frozen=True)
class Style:
    """`marks`: one column in front. `defaults`: show values that nobody set. `secrets` False: asterisks instead."""

    marks: bool = False
    defaults: bool = False
    secrets: bool = True


@dataclass(frozen=True)
class Line:
    """One line of braces: mark, depth, text."""

    mark: str
    depth: int
    text: str

    def shown(self, style: Style) -> str:
        """With its mark and indent."""
        return f"{self.mark if style.marks else ''}{'    ' * self.depth}{self.text}"


class Writer:
    """Writes the difference of two trees, or one tree when both are the same."""

    def __init__(self, style: Style) -> None:
        self._style = style

    def lines(self, active: Node, working: Node, template: Template, depth: int = 0) -> Iterator[Line]:
        """What stands below a node in either tree."""
        seen: set[Path] = set()
        both = entries(_merged(active, working), template)
        for entry in both:
            if entry.words in seen:
                continue
            seen.add(entry.words)
            old, new = active.get(entry.words), working.get(entry.words)
            holder = working.get(entry.words[:1]) or active.get(entry.words[:1])
            if holder is not None and holder.default and not self._style.defaults:
                continue
            yield from self._one(entry, old, new, active, working, depth)

    def _one(self, entry: Entry, old: Node | None, new: Node | None, active: Node, working: Node, depth: int) -> Iterator[Line]:
        mark = " " if old is not None and new is not None else "+" if old is None else "-"
        name = entry.words[0]
        if entry.single and old is None and active.has(name):
            mark = ">"  # one value instead of another
        if entry.single and new is None and working.has(name):
            return
        comment = (new or old or Node()).comment
        if comment:
            yield Line(mark, depth, f"/* {comment} */")
        words = [name, *(_braced(word) for word in entry.words[1:])]
        if entry.template.secret and not self._style.secrets and entry.shape == "leaf":
            words[-1] = HIDDEN
        if entry.shape != "block":
            yield Line(mark, depth, " ".join(words))
            return
        yield Line(mark, depth, " ".join(words) + " {")
        inside = self.lines(old or Node(), new or Node(), entry.template, depth + 1)
        for line in inside:
            yield Line(mark if mark in "+-" else line.mark, line.depth, line.text)
        yield Line(mark, depth, "}")


def _merged(active: Node, working: Node) -> Node:
    """Both, for the names in order: what is only in one is there."""
    if active is working:
        return active
    merged = Node()
    for name in dict.fromkeys([*working.children, *active.children]):
        inside = Node()
        for one in (working.children.get(name), active.children.get(name)):
            for value, child in one.children.items() if one else ():
                inside.children.setdefault(value, child)
        merged.children[name] = inside
    return merged


def braces(node: Node, template: Template, style: Style | None = None, active: Node | None = None) -> str:
    """The whole below a node, with line ends; empty when there is nothing."""
    style = style or Style()
    lines = Writer(style).lines(node if active is None else active, node, template)
    return "".join(line.shown(style) + "\n" for line in lines)


def commands(node: Node, template: Template, style: Style, path: Path = ()) -> Iterator[str]:
    """`set` lines for everything below a node."""
    for entry in entries(node, template):
        child, here = node.get(entry.words), (*path, *entry.words)
        holder = node.get(entry.words[:1])
        if child is None or (holder is not None and holder.default and not style.defaults):
            continue
        if entry.shape == "block" and child.children:
            yield from commands(child, entry.template, style, here)
        else:
            yield "set " + " ".join(commanded(word) for word in here)


def compare(active: Node, working: Node, template: Template, path: Path = ()) -> Iterator[str]:
    """What `compare` prints: a header per place, `+`, `-` and `>` in front of what differs there."""
    writer = Writer(Style(marks=True, defaults=True))
    own: list[Line] = []
    inner: list[tuple[Entry, Node, Node]] = []
    for entry in dict.fromkeys(entries(_merged(active, working), template)):
        old, new = active.get(entry.words), working.get(entry.words)
        if entry.shape == "block" and old is not None and new is not None:
            inner.append((entry, old, new))
        else:
            lines = list(writer._one(entry, old, new, active, working, 0))  # noqa: SLF001 - the same module
            own += [line for line in lines if line.mark != " "]
    if own:
        yield " ".join(["[edit", *path]) + "]"
        yield from (line.shown(Style(marks=True)) for line in own)
    for entry, old, new in inner:
        yield from compare(old, new, entry.template, (*path, *entry.words))


# ------------------------------------------------------------------------------------------------------- config.boot
_MARK: Final = "/* Warning: Do not remove the following line. */"
_PARTS: Final = (
    "config-management@1:conntrack@1:cron@1:dhcp-relay@1:dhcp-server@4:firewall@5:ipsec@5:nat@3:qos@1:quagga@2:suspend@1:"
    "system@5:ubnt-l2tp@1:ubnt-pptp@1:ubnt-udapi-server@1:ubnt-unms@2:ubnt-util@1:vrrp@1:vyatta-netflow@1:webgui@1:"
    "webproxy@1:zone-policy@1"
)


def footer(release: str) -> str:
    """The last lines of config.boot; a file without them is not a configuration file to `save`."""
    return f'\n\n{_MARK}\n/* === vyatta-config-version: "{_PARTS}" === */\n/* Release version: {release} */\n'


def is_boot_file(text: str) -> bool:
    """True if `save` may overwrite it."""
    return "vyatta-config-version" in text


class Unreadable(Exception):
    """The text is not a configuration: `line` is where that shows."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def parse(text: str) -> Node:
    """The tree of a config.boot, valid or not. Raises Unreadable."""
    root = Node()
    stack, comment = [root], ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("/*"):
            comment = (
                "" if len(stack) == 1 and ("Warning:" in line or "===" in line or "Release" in line) else line[2:-2].strip()
            )
            continue
        if line == "}":
            if len(stack) == 1:
                raise Unreadable(number)
            stack.pop()
            continue
        opens = line.endswith(" {")
        try:
            words = tuple(shlex.split(line[:-2] if opens else line))
        except ValueError:
            raise Unreadable(number) from None
        if not 1 <= len(words) <= 2:
            raise Unreadable(number)
        node = stack[-1].make(words)
        node.comment, comment = comment, ""
        if opens:
            stack.append(node)
    if len(stack) != 1:
        raise Unreadable(len(text.splitlines()))
    return root
