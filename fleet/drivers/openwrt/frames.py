"""What the observe script prints, taken apart: pure text to plain values, strict about anything unknown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ...model import PublicKey
from ..frames import Part, ShellFrames, read_into
from .uci import Section, read_show


@dataclass(slots=True)
class Frames(ShellFrames):
    """Everything one observe says, by interface name where it belongs to one.

    `keys` are public halves by interface and option. `rules` are lines of the running firewall that concern us. `staged` are
    sections with changes that wait to be committed, `staging` those that a killed run of ours announced. `status` is netifd's
    word about each interface. `firewall` is None where there is no such package.
    """

    network: dict[str, Section] = field(default_factory=dict)
    firewall: dict[str, Section] | None = None
    rules: list[str] = field(default_factory=list)
    keys: dict[str, dict[str, PublicKey]] = field(default_factory=dict)
    staged: list[str] = field(default_factory=list)
    staging: list[str] = field(default_factory=list)
    status: dict[str, Mapping[str, object]] = field(default_factory=dict)
    cron: list[str] = field(default_factory=list)
    cron_enabled: bool = False
    cron_runs: bool = False


def read_frames(text: str) -> Frames:
    """Parts of the observe script's output. Raises Unparseable with an excerpt free of secrets."""
    return read_into(Frames(), text, _READERS)


# ------------------------------------------------------------------------------------------------------------ readers
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


_READERS: Final[dict[str, Callable[[Frames, Part], None]]] = {
    "network": _network,
    "firewall": _firewall,
    "rules": _rules,
    "key": _key,
    "staged": _staged,
    "staging": _staging,
    "status": _status,
    "cron": _cron,
    "cron_enabled": _cron_enabled,
    "cron_service": _cron_service,
}
