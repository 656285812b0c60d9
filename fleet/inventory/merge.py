"""Router > groups in order > defaults > overlay: one effective value per key, and the level it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ..model import Where
from .document import Document, Entry, Given
from .placeholders import filled, has_placeholder
from .problems import Problems, Refused, meant, named
from .schema import FROM_OVERLAY, MERGED, TEMPLATED
from .tree import Node


class Origin(NamedTuple):
    """Where an effective value stands, and on which level: `router`, `group NAME`, `defaults` or `overlay`."""

    level: str
    where: Where


@dataclass(slots=True)
class Merged:
    """One router with everything it inherits. `origins` of a merged mapping are by `labels.word` and `options.key`."""

    name: str
    where: Where
    values: dict[str, object] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def subject(self, key: str) -> str:
        """Whose value a key has, for a message: this router's, or the group's that gives it to many."""
        origin = self.origins.get(key)
        return f"router {self.name}" if origin is None or origin.level == "router" else origin.level

    def place(self, key: str, index: int | None = None) -> Where:
        """The place of a key's value, or of one item of it; the router's own if the key is not given."""
        node = self.nodes.get(key)
        if node is None:
            return self.where
        return (node if index is None else node.at(index)).where


def merged(entry: Entry, document: Document, problems: Problems) -> Merged:
    """Everything that one router says and inherits, placeholders filled in."""
    router = Merged(entry.name, entry.where)
    for level, source in _levels(entry, document, problems):
        router.broken |= source.broken - router.values.keys()
        for key, given in source.given.items():
            if key in MERGED and isinstance(given.value, dict):
                _merge(router, key, given, level)
            elif key in FROM_OVERLAY and given.value is None:
                continue  # these always have a value: null nearer by does not hide the overlay's
            elif key not in router.values and (level != "overlay" or key in FROM_OVERLAY):
                router.values[key] = given.value
                router.nodes[key] = given.node
                router.origins[key] = Origin(level, given.node.where)
    _fill(router, problems)
    return router


def _levels(entry: Entry, document: Document, problems: Problems) -> Iterator[tuple[str, Entry]]:
    yield "router", entry
    given = entry.given.get("groups")
    if given is not None:
        names = given.value if isinstance(given.value, tuple) else ()
        for index, name in enumerate(names):
            if name in document.groups:
                yield f"group {name}", document.groups[name]
            else:
                cure = meant(name, document.groups) or f"groups are {named(document.groups) or 'not defined: add `groups:`'}"
                problems.add(given.node.at(index).where, f"router {entry.name}: no group is called {name}", cure)
                entry.broken.add("groups")
    yield "defaults", document.defaults
    yield "overlay", document.overlay


def _merge(router: Merged, key: str, given: Given, level: str) -> None:
    if key in router.values and router.values[key] is None:
        return  # `labels: null` nearer by says: nothing from farther away
    into = router.values.setdefault(key, {})
    router.nodes.setdefault(key, given.node)
    assert isinstance(into, dict)
    assert isinstance(given.value, dict)
    for word, value in given.value.items():
        if word not in into:
            into[word] = value
            node = given.node.at(word)
            router.nodes[f"{key}.{word}"] = node
            router.origins[f"{key}.{word}"] = Origin(level, node.where)


def _fill(router: Merged, problems: Problems) -> None:
    """Put the router's name and labels into the texts that may hold placeholders, options included."""
    found = router.values.get("labels")
    labels = found if isinstance(found, dict) else {}
    for key in TEMPLATED:
        value = router.values.get(key)
        texts = value if isinstance(value, tuple) else (value,)
        if not any(isinstance(text, str) and has_placeholder(text) for text in texts):
            continue
        try:
            result = tuple(filled(text, router.name, labels) for text in texts)
        except Refused as refusal:
            problems.refused(router.place(key), refusal, f"router {router.name}: {key}")
            router.broken.add(key)
            del router.values[key]
        else:
            router.values[key] = result if isinstance(value, tuple) else result[0]
    options = router.values.get("options")
    if isinstance(options, dict):
        router.values["options"] = {word: _filled_option(value, router.name, labels) for word, value in options.items()}


def _filled_option(value: object, name: str, labels: dict[str, str]) -> object:
    """An option's text with placeholders; one that names no label is the driver's own text and stays."""
    if isinstance(value, str) and has_placeholder(value):
        try:
            return filled(value, name, labels)
        except Refused:
            return value
    return value
