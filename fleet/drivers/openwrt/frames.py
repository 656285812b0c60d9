"""What the observe script prints, taken apart: pure text to plain values, strict about anything unknown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ...driver import GuardSeen, Marker
from ...errors import Unparseable
from ...model import IPInterface, IPNetwork, PublicKey
from ..shell import KernelInterface, read_addresses, read_dump, read_links, read_prefixes
from .uci import Section, read_show


@dataclass(slots=True)
class Frames:
    """Everything one observe says, by interface name where it belongs to one.

    `keys` are public halves by interface and option. `rules` are lines of the running firewall that concern us. `staged` are
    sections with changes that wait to be committed, `staging` those that a killed run of ours announced. `status` is netifd's
    word about each interface. `firewall` is None where there is no such package.
    """

    system: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    network: dict[str, Section] = field(default_factory=dict)
    firewall: dict[str, Section] | None = None
    rules: list[str] = field(default_factory=list)
    keys: dict[str, dict[str, PublicKey]] = field(default_factory=dict)
    staged: list[str] = field(default_factory=list)
    staging: list[str] = field(default_factory=list)
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
    status: dict[str, Mapping[str, object]] = field(default_factory=dict)
    cron: list[str] = field(default_factory=list)
    cron_enabled: bool = False
    cron_runs: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Words behind the name of a section, and its lines."""

    words: list[str]
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as they were on the router."""
        return "\n".join(self.lines)


Reader: TypeAlias = Callable[[Frames, Part], None]


def read_frames(text: str) -> Frames:
    """Sections of the observe script's output. Raises Unparseable with an excerpt free of secrets."""
    lines = text.split("\n")  # not splitlines: a description may hold what that takes for an end of line
    if lines[0] != "@fleet 1":
        raise Unparseable("the router answered something else than fleet's own script", _excerpt(lines[0]))
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


def _network(frames: Frames, part: Part) -> None:
    frames.digest = part.words[0]
    frames.network = read_show(part.text)


def _firewall(frames: Frames, part: Part) -> None:
    frames.firewall = read_show(part.text)


def _rules(frames: Frames, part: Part) -> None:
    frames.rules = part.lines


def _key(frames: Frames, part: Part) -> None:
    interface, option, half = part.words
    frames.keys.setdefault(interface, {})[option] = PublicKey(half)


def _staged(frames: Frames, part: Part) -> None:
    sections = [".".join(line.removeprefix("-").split(".")[:2]) for line in part.lines]
    frames.staged = list(dict.fromkeys(sections))


def _staging(frames: Frames, part: Part) -> None:
    frames.staging = part.lines


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


def _status(frames: Frames, part: Part) -> None:
    if part.text:
        frames.status[part.words[0]] = json.loads(part.text)


def _cron(frames: Frames, part: Part) -> None:
    frames.cron = [line for line in part.lines if not line.lstrip().startswith("#")]


def _cron_enabled(frames: Frames, part: Part) -> None:  # noqa: ARG001 - the shape of a reader
    frames.cron_enabled = True


def _cron_service(frames: Frames, part: Part) -> None:
    instances = (json.loads(part.text or "{}").get("cron") or {}).get("instances") or {}
    frames.cron_runs = any(instance.get("running") for instance in instances.values())


def _end(frames: Frames, part: Part) -> None:
    """The last line; `read_frames` has looked for it."""


_READERS: Final[dict[str, Reader]] = {
    "fleet": _end,
    "system": _system,
    "network": _network,
    "firewall": _firewall,
    "rules": _rules,
    "key": _key,
    "staged": _staged,
    "staging": _staging,
    "guard": _guard,
    "marker": _marker,
    "leftover": _leftover,
    "undone": _undone,
    "busy": _busy,
    "dump": _dump,
    "links": _links,
    "addresses": _addresses,
    "routes": _routes,
    "status": _status,
    "cron": _cron,
    "cron_enabled": _cron_enabled,
    "cron_service": _cron_service,
    "end": _end,
}
