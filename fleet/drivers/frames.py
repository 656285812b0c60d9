"""What a read script on a router's shell prints, taken apart: parts that start with "@", lines of content that start with "=".

Drivers add what is theirs to `ShellFrames` and to the readers. Pure, and strict about anything unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ..driver import GuardSeen, Marker
from ..errors import Unparseable
from ..model import IPInterface, IPNetwork
from .shell import KernelInterface, read_addresses, read_dump, read_links, read_prefixes


@dataclass(slots=True)
class ShellFrames:
    """What every such read tells, by device where it belongs to one.

    `busy`: another script of ours is at work. `leftovers` and `undone` are names and lines for the operator. `clock` is the
    router's second at the read. `routes` are targets of what is routed through a device.
    """

    system: dict[str, str] = field(default_factory=dict)
    digest: str = ""
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
    """Words behind the name of a part, and its lines."""

    words: list[str]
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as they were on the router."""
        return "\n".join(self.lines)


F = TypeVar("F", bound=ShellFrames)


def read_into(frames: F, text: str, readers: Mapping[str, Callable[[F, Part], None]]) -> F:
    """Fill `frames` by the readers of a driver and those of all. Raises Unparseable with an excerpt free of secrets."""
    lines = text.split("\n")  # not splitlines: a description may hold what that takes for an end of line
    first = next((number for number, line in enumerate(lines) if line == "@fleet 1"), None)  # behind a banner, if there is one
    if first is None:
        raise Unparseable("the router answered something else than fleet's own script", _excerpt(lines[0]))
    lines = lines[first:]
    if "@end" not in lines[-3:]:
        raise Unparseable("the answer of the router breaks off", f"{len(lines)} lines")
    starts = [index for index, line in enumerate(lines) if line.startswith("@")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name, *words = lines[start][1:].split()
        body = [line[1:] for line in lines[start + 1 : end] if line.startswith("=")]
        reader = readers.get(name) or _COMMON.get(name)
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
def _nothing(frames: ShellFrames, part: Part) -> None:
    """For the first and the last line."""


def _system(frames: ShellFrames, part: Part) -> None:
    frames.system = dict(line.partition("=")[::2] for line in part.lines)


def _guard(frames: ShellFrames, part: Part) -> None:
    frames.guard = GuardSeen(part.words[0], float(max(0, int(part.words[1]))))


def _marker(frames: ShellFrames, part: Part) -> None:
    frames.marker = Marker(" ".join(part.words[1:]), float(max(0, int(part.words[0]))))


def _leftover(frames: ShellFrames, part: Part) -> None:
    frames.leftovers.append(part.words[0])


def _undone(frames: ShellFrames, part: Part) -> None:
    frames.undone = part.lines


def _busy(frames: ShellFrames, part: Part) -> None:  # noqa: ARG001 - the shape of a reader
    frames.busy = True


def _dump(frames: ShellFrames, part: Part) -> None:
    frames.clock = int(part.words[0])
    frames.kernel = read_dump(part.lines)


def _links(frames: ShellFrames, part: Part) -> None:
    frames.mtus, frames.up = read_links(part.lines)


def _addresses(frames: ShellFrames, part: Part) -> None:
    frames.addresses = read_addresses(part.lines)


def _routes(frames: ShellFrames, part: Part) -> None:
    frames.routes[part.words[0]] = read_prefixes(part.lines)


_COMMON: Final[Mapping[str, Callable[[ShellFrames, Part], None]]] = {
    "fleet": _nothing,
    "end": _nothing,
    "system": _system,
    "guard": _guard,
    "marker": _marker,
    "leftover": _leftover,
    "undone": _undone,
    "busy": _busy,
    "dump": _dump,
    "links": _links,
    "addresses": _addresses,
    "routes": _routes,
}
