"""In which waves routers are written: canaries first, then batches; and how many failures end a run. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """What canaries stand for: a change that is good on one router of a kind is likely good on the others."""

    driver: str
    role: str
    version: str


def waves(
    kinds: Mapping[str, Kind], *, canaries: int = 1, batch: str = "10%", proven: AbstractSet[Kind] = frozenset()
) -> tuple[tuple[str, ...], ...]:
    """Routers to write, by name in order: a first wave with `canaries` of each kind, then batches of `batch`.

    `batch` is a number of routers or a percentage of all that are written, at least one. Few routers (as many as there
    are canaries) are one wave. A kind that is `proven` has no canary. Raises UsageError for a batch that is neither.
    """
    size = _share(batch, len(kinds), "--batch")
    first: list[str] = []
    seen: dict[Kind, int] = {}
    for name, kind in kinds.items():
        if kind not in proven and seen.get(kind, 0) < canaries:
            seen[kind] = seen.get(kind, 0) + 1
            first.append(name)
    rest = [name for name in kinds if name not in set(first)]
    batches = [tuple(rest[start : start + size]) for start in range(0, len(rest), size)]
    return tuple(wave for wave in (tuple(first), *batches) if wave)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many routers may fail before nothing more is begun. Pending routers do not count."""

    failures: int

    @classmethod
    def parse(cls, text: str, routers: int) -> Budget:
        """`3`, or `5%` of the routers of this run. Raises UsageError."""
        return cls(_share(text, routers, "--max-failures", least=0))


def _share(text: str, whole: int, option: str, *, least: int = 1) -> int:
    found = re.fullmatch(r"(\d{1,6})(%?)", text.strip())
    if found is None or (found[2] and int(found[1]) > 100):
        raise UsageError(f"{option} is a number or a percentage, not {text!r}", f"for example {option} 3 or {option} 5%")
    number = int(found[1])
    return max(least, math.ceil(whole * number / 100) if found[2] else number)
