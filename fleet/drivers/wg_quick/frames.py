"""What the observe script prints, taken apart: pure text to plain values, strict about anything unknown."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ...driver import GuardSeen, Marker
from ...errors import Unparseable
from ...model import IPInterface, IPNetwork, PublicKey
from ..shell import KernelInterface, read_addresses, read_dump, read_links
from .conf import Line


@dataclass(frozen=True, slots=True)
class File:
    """A file in /etc/wireguard: SHA-256 of its bytes, and its lines."""

    digest: str
    lines: tuple[Line, ...]


@dataclass(slots=True)
class View:
    """Files by name, what is known of keys by interface, and digests of helpers by interface.

    `keys` holds public halves by where the private one is: `conf`, `key`, `key.next`, `key.prev`.
    """

    files: dict[str, File] = field(default_factory=dict)
    keys: dict[str, dict[str, PublicKey]] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Frames:
    """Everything one observe says, by interface name where it belongs to one.

    `saved` is what lies in /etc/wireguard. `pending` are the interfaces that a plan under guard has touched, each as its
    files will be once confirmed (an empty view: removed); `off` those that will not come up at boot.
    `routes` are (prefix, protocol). `openings` are (state, identity) with state live, dead or stray.
    `busy`: another script of ours is at work. `leftovers` and `undone` are names and lines for the operator.
    """

    system: dict[str, str] = field(default_factory=dict)
    saved: View = field(default_factory=View)
    pending: dict[str, View] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    guard: GuardSeen | None = None
    marker: Marker | None = None
    busy: bool = False
    leftovers: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    enabled: set[str] = field(default_factory=set)
    kernel: dict[str, KernelInterface] = field(default_factory=dict)
    clock: int = 0
    up: set[str] = field(default_factory=set)
    mtus: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, list[IPInterface]] = field(default_factory=dict)
    routes: dict[str, list[tuple[IPNetwork, str]]] = field(default_factory=dict)
    openings: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    resolving: set[str] = field(default_factory=set)
    into: View = field(default_factory=View)

    def __post_init__(self) -> None:
        """Files that are told belong to what is saved until the script says otherwise."""
        self.into = self.saved


@dataclass(frozen=True, slots=True)
class Section:
    """Words behind the name of a section, and its lines."""

    words: list[str]
    body: list[str]


Reader: TypeAlias = Callable[[Frames, Section], None]


def read_frames(text: str) -> Frames:
    """Sections of the observe script's output. Raises Unparseable with an excerpt free of secrets."""
    # Split at line feeds only: file names and comments may hold what str.splitlines takes for an end of line.
    lines = text.split("\n")
    if lines[0] != "@fleet 1":
        raise Unparseable("the router answered something else than fleet's own script", _excerpt(lines[0]))
    if "@end" not in lines[-3:]:
        raise Unparseable("the answer of the router breaks off", f"{len(lines)} lines")
    frames = Frames()
    starts = [index for index, line in enumerate(lines) if line.startswith("@")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name, *words = lines[start][1:].split()
        body = [line for line in lines[start + 1 : end] if line]
        reader = _READERS.get(name)
        if reader is None:
            raise Unparseable(f"section {name!r} of fleet's script is not known", _excerpt(lines[start]))
        try:
            reader(frames, Section(words, body))
        except (ValueError, IndexError) as error:
            # The values of `wg show dump` hold preshared keys; the message of ValueError could quote one.
            said = "" if name == "dump" else _excerpt(str(error))
            raise Unparseable(f"section {lines[start][1:60]!r} is not understood", said) from None
    return frames


def _excerpt(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:100])


def _nothing(frames: Frames, section: Section) -> None:
    """For sections that only frame the others."""


def _system(frames: Frames, section: Section) -> None:
    frames.system = {name: value for name, _, value in (line.partition("=") for line in section.body)}


def _file(frames: Frames, section: Section) -> None:
    lines = []
    for number, line in enumerate(section.body, 1):
        if line.startswith("="):
            lines.append(Line.read(line[1:], number))
            continue
        told, kind = line[1:].split()
        if line[0] != "!" or int(told) != number or kind not in {"PrivateKey", "PresharedKey", "Other"}:
            raise ValueError(f"line {number} of {section.words[0]}")
        lines.append(Line("", number, hidden=kind))
    frames.into.files[" ".join(section.words[:-1])] = File(section.words[-1], tuple(lines))


def _boot(frames: Frames, section: Section) -> None:
    if section.words[1] == "enabled":
        frames.enabled.add(section.words[0])


def _key(frames: Frames, section: Section) -> None:
    if len(section.words) > 2:  # without a third word there is no key, or one that `wg pubkey` refuses
        frames.into.keys.setdefault(section.words[0], {})[section.words[1]] = PublicKey(section.words[2])


def _helper(frames: Frames, section: Section) -> None:
    frames.into.helpers[section.words[0]] = section.words[1]


def _guard(frames: Frames, section: Section) -> None:
    frames.guard = GuardSeen(section.words[0], float(max(0, int(section.words[1]))))


def _marker(frames: Frames, section: Section) -> None:
    frames.marker = Marker(" ".join(section.words[1:]), float(max(0, int(section.words[0]))))


def _busy(frames: Frames, _section: Section) -> None:
    frames.busy = True


def _leftover(frames: Frames, section: Section) -> None:
    frames.leftovers.append(section.words[0])


def _undone(frames: Frames, section: Section) -> None:
    frames.undone = [line[1:] for line in section.body]


def _pending(frames: Frames, section: Section) -> None:
    frames.into = frames.pending[section.words[0]] = View()


def _off(frames: Frames, section: Section) -> None:
    frames.off.add(section.words[0])


def _openings(frames: Frames, section: Section) -> None:
    pairs = [line.split(" ") for line in section.body]
    frames.openings[section.words[0]] = [(state, identity) for state, identity in pairs]


def _resolving(frames: Frames, section: Section) -> None:
    frames.resolving.add(section.words[0])


def _dump(frames: Frames, section: Section) -> None:
    frames.clock = int(section.words[0])
    frames.kernel = read_dump(section.body)


def _link(frames: Frames, section: Section) -> None:
    frames.mtus, frames.up = read_links(section.body)


def _address(frames: Frames, section: Section) -> None:
    frames.addresses = read_addresses(section.body)


def _route(frames: Frames, section: Section) -> None:
    pairs = [line.split(" ") for line in section.body]
    frames.routes[section.words[0]] = [(ipaddress.ip_network(prefix), protocol) for prefix, protocol in pairs]


_READERS: Final[dict[str, Reader]] = {
    "fleet": _nothing,
    "end": _nothing,
    "system": _system,
    "file": _file,
    "boot": _boot,
    "key": _key,
    "helper": _helper,
    "guard": _guard,
    "marker": _marker,
    "busy": _busy,
    "leftover": _leftover,
    "undone": _undone,
    "pending": _pending,
    "off": _off,
    "openings": _openings,
    "resolving": _resolving,
    "dump": _dump,
    "link": _link,
    "address": _address,
    "route": _route,
}
