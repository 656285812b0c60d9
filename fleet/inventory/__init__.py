"""The inventory: YAML -> Fleet. Every error carries file:line, what was seen and what to do; all are raised at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..driver import Driver
from ..errors import InventoryError
from ..model import Fleet, Where
from .assemble import assemble
from .document import gather, sections
from .edit import add_router, flow, set_enabled, set_secret_id
from .merge import Origin, merged
from .problems import Problems
from .reference import json_schema, key_reference
from .tree import parse

__all__ = [
    "Origin",
    "add_router",
    "flow",
    "json_schema",
    "key_reference",
    "load",
    "load_text",
    "provenance",
    "set_enabled",
    "set_secret_id",
]


def load(path: Path, drivers: Mapping[str, type[Driver]]) -> Fleet:
    """The fleet that a file, or a directory's `*.yaml` without `example-*`, describes. Raises InventoryError."""
    problems = Problems()
    return assemble(gather(path, problems), drivers, problems)


def load_text(text: str, drivers: Mapping[str, type[Driver]], file: str = "inventory", folder: str = ".") -> Fleet:
    """The fleet that a YAML text describes; `file` is what messages call it. Raises InventoryError with all problems."""
    problems = Problems()
    root = parse(text, file, problems)
    if root is None:
        problems.raise_any()
    return assemble(sections([root] if root else [], Where(file), folder, problems), drivers, problems)


def provenance(path: Path, name: str) -> dict[str, Origin]:
    """Which level and line each effective key of one router comes from; built-in defaults are not listed.

    Labels and options are listed as `labels.word` and `options.key`. Raises InventoryError, also for an unknown router.
    """
    problems = Problems()
    document = gather(path, problems)
    problems.raise_any()
    if name not in document.routers:
        raise InventoryError.at(document.where.file, 0, f"no router is called {name!r}", "name a router of this inventory")
    router = merged(document.routers[name], document, problems)
    problems.raise_any()
    return router.origins
