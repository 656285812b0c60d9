"""What the observe script prints, taken apart: pure text to plain values, strict about anything unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ...driver import GuardSeen, Marker
from ...errors import Unparseable
from ...model import IPInterface, IPNetwork, PublicKey
from ..shell import KernelInterface, read_addresses, read_dump, read_links, read_prefixes
from .tree import Tree

View: TypeAlias = Literal["active", "saved"]


@dataclass(slots=True)
class Frames:
    """Everything one observe says.

    `keys` are public halves by path of the file, `modes` the files' modes, `inline` public halves of keys that stand in the
    configuration, by view and interface. `lists` are fleet's own records by `saved` or `next` and interface. `unsaved` are
    paths of anybody that are active and not saved (`active ...`) or the other way round.
    """

    system: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    trees: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, PublicKey] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    inline: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    staged: dict[str, PublicKey] = field(default_factory=dict)
    lists: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unsaved: list[str] = field(default_factory=list)
    resolver: bool = False
    guard: GuardSeen | None = None
    marker: Marker | None = None
    busy: bool = False
    leftovers: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    kernel: dict[str, KernelInterface] = field(default_factory=dict)
    clock: int = 0
    mtus: dict[str, int] = field(default_factory=dict)
    up: set[str] = field(default_factory=set)
    addresses: dict[str, list[IPInterface]] = field(default_factory=dict)
    routes: dict[str, set[IPNetwork]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Words behind the name of a section, and its lines."""

    words: list[str]
    lines: list[str]


Reader: TypeAlias = Callable[[Frames, Part], None]


def read_frames(text: str) -> Frames:
    """Sections of the observe script's output. Raises Unparseable with an excerpt free of secrets."""
    lines = text.split("\n")  # not splitlines: a description may hold what that takes for an end of line
    first = next((number for number, line in enumerate(lines) if line == "@fleet 1"), None)
    if first is None:
        raise Unparseable("the router answered something else than fleet's own script", _excerpt(lines[0]))
    lines = lines[first:]
    if "@end" not in lines[-3:]:
        raise Unparseable("the answer of the router breaks off", f"{len(lines)} lines")
    frames = Frames()
    starts = [index for index, line in enumerate(lines) if line.startswith("@")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name, *words = lines[start][1:].split()
        body = [line[1:] for line in lines[start + 1 : end] if line.startswith("=")]
        reader = _READERS.get(name)
        if reader is None:
            raise Unparseable("the router's answer has a part that is not known", _excerpt(name))
        try:
            reader(frames, Part(words, body))
        except (ValueError, IndexError) as error:
            raise Unparseable(f"the part {name!r} of the router's answer is not understood", type(error).__name__) from None
    return frames


def _excerpt(text: str) -> str:
    """What may be shown of an answer nobody expected: short, and no key fits into it."""
    return "".join(character for character in text[:24] if character.isprintable())


# ------------------------------------------------------------------------------------------------------------ readers
def _system(frames: Frames, part: Part) -> None:
    frames.system = dict(line.partition("=")[::2] for line in part.lines)


def _active(frames: Frames, part: Part) -> None:
    frames.digest = part.words[0]
    frames.trees["active"] = Tree(part.lines)


def _saved(frames: Frames, part: Part) -> None:
    frames.trees["saved"] = Tree(part.lines)


def _unsaved(frames: Frames, part: Part) -> None:
    frames.unsaved = part.lines


def _key(frames: Frames, part: Part) -> None:
    if len(part.words) > 1 and part.words[1] != "-":
        frames.keys[part.words[0]] = PublicKey(part.words[1])
    if len(part.words) > 2:
        frames.modes[part.words[0]] = int(part.words[2], 8)


def _inline(frames: Frames, part: Part) -> None:
    if len(part.words) > 2:
        frames.inline[part.words[0], part.words[1]] = PublicKey(part.words[2])


def _staged(frames: Frames, part: Part) -> None:
    if len(part.words) > 1:
        frames.staged[part.words[0]] = PublicKey(part.words[1])


def _list(frames: Frames, part: Part) -> None:
    frames.lists[part.words[0], part.words[1]] = tuple(part.lines)


def _resolver(frames: Frames, part: Part) -> None:  # noqa: ARG001 - the shape of a reader
    frames.resolver = True


def _guard(frames: Frames, part: Part) -> None:
    frames.guard = GuardSeen(part.words[0], float(max(0, int(part.words[1]))))


def _marker(frames: Frames, part: Part) -> None:
    frames.marker = Marker(" ".join(part.words[1:]), float(max(0, int(part.words[0]))))


def _leftover(frames: Frames, part: Part) -> None:
    frames.leftovers.append(part.words[0])


def _undone(frames: Frames, part: Part) -> None:
    frames.undone = part.lines


def _busy(frames: Frames, part: Part) -> None:  # noqa: ARG001 - the shape of a reader
    frames.busy = True


def _dump(frames: Frames, part: Part) -> None:
    frames.clock = int(part.words[0])
    frames.kernel = read_dump(part.lines)


def _links(frames: Frames, part: Part) -> None:
    frames.mtus, frames.up = read_links(part.lines)


def _addresses(frames: Frames, part: Part) -> None:
    frames.addresses = read_addresses(part.lines)


def _routes(frames: Frames, part: Part) -> None:
    frames.routes[part.words[0]] = read_prefixes(part.lines)


def _end(frames: Frames, part: Part) -> None:
    """The last line; `read_frames` has looked for it."""


_READERS: Final[Mapping[str, Reader]] = {
    "fleet": _end,
    "system": _system,
    "active": _active,
    "saved": _saved,
    "unsaved": _unsaved,
    "key": _key,
    "inline": _inline,
    "staged": _staged,
    "list": _list,
    "resolver": _resolver,
    "guard": _guard,
    "marker": _marker,
    "leftover": _leftover,
    "undone": _undone,
    "busy": _busy,
    "dump": _dump,
    "links": _links,
    "addresses": _addresses,
    "routes": _routes,
    "end": _end,
}
