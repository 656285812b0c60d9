"""What a configuration node may hold: kinds, types, ranges, defaults, priorities; and who may stand where in the tree."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias

from .tree import Path

Kind: TypeAlias = Literal["node", "tag", "leaf", "flag", "free"]


class Asked(Protocol):
    """What a check may ask of the router: who commits, what a file holds, which MTU the platform allows."""

    def readable_key(self, value: str) -> tuple[bool, str]:
        """Whether the value is, or names a file with, a key; and what `cat` said when it could not be read."""

    def max_mtu(self) -> int:
        """The platform's largest MTU."""


Check: TypeAlias = Callable[[str, Asked], "str | None"]
"""None if the value will do, else the text printed before `Value validation failed`, with its line ends."""


@dataclass(frozen=True, eq=False)
class Template:
    """One node of the schema. `priority`: it is committed by itself, lowest first; `also` is a hint in refusals."""

    kind: Kind = "node"
    children: Mapping[str, Template] = field(default_factory=dict)
    types: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    multi: bool = False
    default: str | None = None
    priority: int | None = None
    secret: bool = False

    @property
    def valued(self) -> bool:
        """True if a word that follows is a value and not the name of a node."""
        return self.kind in {"tag", "leaf"}


FREE: Final = Template("free")


def node(priority: int | None = None, /, **children: Template) -> Template:
    """A plain node; underscores in names stand for hyphens."""
    return Template("node", named(children), priority=priority)


def named(children: Mapping[str, Template]) -> dict[str, Template]:
    """Children by their real names."""
    return {name.strip("_").replace("_", "-"): template for name, template in children.items()}


def tag(types: str | Check | tuple[Any, ...], priority: int | None = None, /, **children: Template) -> Template:
    """A node that is there once per name."""
    kinds, checks = _split(types)
    return Template("tag", named(children), kinds, checks, multi=True, priority=priority)


def leaf(*types: str | Check, multi: bool = False, default: str | None = None, priority: int | None = None,
         secret: bool = False) -> Template:  # fmt: skip
    """A node with a value, or several."""
    kinds, checks = _split(types)
    return Template("leaf", {}, kinds, checks, multi, default, priority, secret)


def flag(priority: int | None = None) -> Template:
    """A node without value, such as `disable`."""
    return Template("flag", priority=priority)


def _split(types: str | Check | tuple[Any, ...]) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    words = (types,) if isinstance(types, str) or callable(types) else types
    return (
        tuple(word for one in words if isinstance(one, str) for word in one.split(",")),
        tuple(one for one in words if callable(one)),
    )


# ------------------------------------------------------------------------------------------------------------ values
def _number(text: str) -> bool:
    return text.isdigit() and text.isascii() and int(text) < 2**32


def _network(version: int, *, prefix: bool) -> Callable[[str], bool]:
    def right(text: str) -> bool:
        try:
            found = ipaddress.ip_interface(text) if prefix else ipaddress.ip_address(text)
        except ValueError:
            return False
        return found.version == version and ("/" in text) == prefix

    return right


_TYPES: Final[dict[str, Callable[[str], bool]]] = {
    "txt": lambda text: True,
    "u32": _number,
    "bool": lambda text: text in {"true", "false"},
    "ipv4": _network(4, prefix=False),
    "ipv6": _network(6, prefix=False),
    "ipv4net": _network(4, prefix=True),
    "ipv6net": _network(6, prefix=True),
    "macaddr": lambda text: re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", text, re.IGNORECASE) is not None,
}


def refusal(template: Template, value: str, asked: Asked) -> str | None:
    """Why a value will not do, as printed up to `Value validation failed`; None if it will."""
    for mark, word in (("'", "single quote (')"), ('"', 'double quote (")')):
        if mark in value:
            return f"Cannot use the {word} character in a value string\n"
    if template.types and not any(_TYPES[kind](value) for kind in template.types):
        return f'"{value}" is not a valid value of type "{" or ".join(template.types)}"\n'
    for check in template.checks:
        said = check(value, asked)
        if said is not None:
            return said
    return None


def between(low: int, high: int, message: str) -> Check:
    """A number in a range."""
    return lambda value, asked: None if low <= int(value) <= high else f"{message}\n\n"


def matches(pattern: str, message: str) -> Check:
    """The whole value matches."""
    return lambda value, asked: None if re.fullmatch(pattern, value) else f"{message}\n\n"


def one_of(*words: str, message: str = "") -> Check:
    """One of a few words."""
    said = f"{message}\n\n" if message else ""
    return lambda value, asked: None if value in words else said or f"must be {', '.join(words)}\n\n"


# -------------------------------------------------------------------------------------------------------------- paths
@dataclass(frozen=True)
class Step:
    """One word of a path: the template it belongs to, and whether it is a value of it."""

    word: str
    template: Template
    is_value: bool


class NotValid(Exception):
    """The path leads nowhere in the schema."""


def walk(schema: Template, path: Path) -> list[Step]:
    """The templates along a path. Raises NotValid."""
    steps: list[Step] = []
    at, pending = schema, False
    for word in path:
        if at.kind == "free":
            steps.append(Step(word, FREE, False))
        elif pending:
            steps.append(Step(word, at, True))
            pending = False
        elif at.kind in {"leaf", "flag"} or word not in at.children:
            raise NotValid(word)
        else:
            at = at.children[word]
            steps.append(Step(word, at, False))
            pending = at.valued
    return steps


def below(template: Template, *, named_one: bool) -> Template | None:
    """The template of the children of a node: `named_one` for an instance of a tag; None for values of leaves."""
    if template.kind == "free":
        return FREE
    if template.kind == "tag":
        return template if named_one else None
    return template if template.kind == "node" else None
