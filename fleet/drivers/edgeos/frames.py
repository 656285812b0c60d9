"""What the observe script prints, taken apart: pure text to plain values, strict about anything unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ...model import PublicKey
from ..frames import Part, ShellFrames, read_into
from .tree import Tree

View: TypeAlias = Literal["active", "saved"]


@dataclass(slots=True)
class Frames(ShellFrames):
    """Everything one observe says.

    `keys` are public halves by path of the file, `modes` the files' modes, `inline` public halves of keys that stand in the
    configuration, by view and interface. `lists` are fleet's own records by `saved` or `next` and interface. `unsaved` are
    paths of anybody that are active and not saved (`active ...`) or the other way round.
    """

    trees: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, PublicKey] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    inline: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    staged: dict[str, PublicKey] = field(default_factory=dict)
    lists: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unsaved: list[str] = field(default_factory=list)
    resolver: bool = False


def read_frames(text: str) -> Frames:
    """Parts of the observe script's output. Raises Unparseable with an excerpt free of secrets."""
    return read_into(Frames(), text, _READERS)


# ------------------------------------------------------------------------------------------------------------ readers
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


_READERS: Final[Mapping[str, Callable[[Frames, Part], None]]] = {
    "active": _active,
    "saved": _saved,
    "unsaved": _unsaved,
    "key": _key,
    "inline": _inline,
    "staged": _staged,
    "list": _list,
    "resolver": _resolver,
}
