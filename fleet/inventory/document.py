"""Files -> sections with checked values: what each section says by itself, before anything is merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..model import Where
from . import values
from .files import inventory_files, read, shown_path
from .problems import Problems, Refused, meant, shown
from .schema import NAMED, SECTIONS, Section
from .tree import Node

MAX_NAMES: Final = 25_000
"""Routers, groups or jumps of one inventory; the largest overlay planned for has 10,000 spokes."""

WORDS: Final = {
    "addr": "address",
    "allowed_ips": "lans",
    "fingerprint": "tls",
    "identity_file": "ssh_key",
    "ip": "address",
    "jump": "via",
    "keepalive": "persistent_keepalive",
    "key": "ssh_key",
    "network": "lans",
    "networks": "lans",
    "pass": "password",
    "proxy": "via",
    "psk": "preshared_keys",
    "public_endpoint": "endpoint",
    "site": "labels",
    "subnet": "lans",
    "subnets": "lans",
    "tags": "labels",
    "type": "driver",
    "user": "username",
    "vendor": "driver",
}
"""What other tools call our keys."""


class Given(NamedTuple):
    """A checked value and the node that it was read from."""

    value: object
    node: Node


@dataclass(slots=True)
class Entry:
    """One section or one named entry of it: what it says, and which of its keys could not be read."""

    name: str
    where: Where
    given: dict[str, Given] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Document:
    """All files of one inventory, each section checked by itself."""

    folder: str
    where: Where
    overlay: Entry
    defaults: Entry
    groups: dict[str, Entry] = field(default_factory=dict)
    jumps: dict[str, Entry] = field(default_factory=dict)
    routers: dict[str, Entry] = field(default_factory=dict)


def gather(path: Path, problems: Problems) -> Document:
    """All sections of a file or directory. Raises InventoryError at once if any file is not readable as YAML."""
    files = inventory_files(path)
    roots = [root for root in (read(file, problems) for file in files) if root is not None]
    if len(roots) < len(files):
        problems.raise_any()
    folder = path if path.is_dir() else path.parent
    return sections(roots, Where(shown_path(files[0])), str(folder), problems)


def sections(roots: Iterable[Node], where: Where, folder: str, problems: Problems) -> Document:
    """Merge the roots of all files and check each section by itself; a name in two files is a problem naming both places."""
    merged: dict[str, dict[str, Node]] = {section: {} for section in SECTIONS}
    wheres: dict[str, Where] = {}
    for root in roots:
        assert isinstance(root.content, dict)
        for key, node in root.content.items():
            if key not in SECTIONS:
                cure = meant(key, SECTIONS) or f"the top level has {', '.join(SECTIONS)}"
                problems.add(node.where, f"unknown top level key {shown(key)}", cure)
                continue
            wheres.setdefault(key, node.where)
            _take(merged[key], node, f"{key}:", problems)
    document = Document(
        folder,
        where,
        _entry("overlay", merged["overlay"], wheres.get("overlay", where), SECTIONS["overlay"], "overlay", problems),
        _entry("defaults", merged["defaults"], wheres.get("defaults", where), SECTIONS["defaults"], "defaults", problems),
    )
    for section in NAMED:
        if len(merged[section]) > MAX_NAMES:
            summary = f"{len(merged[section]):,} {section} are more than one overlay can have"
            problems.add(wheres[section], summary, f"the limit is {MAX_NAMES:,}: split them into several overlays")
            problems.raise_any()
        found = getattr(document, section)
        for name, node in merged[section].items():
            if _good_name(section, name, node, problems):
                found[name] = _named_entry(section, name, node, problems)
    return document


def _take(into: dict[str, Node], node: Node, what: str, problems: Problems) -> None:
    if node.empty:
        return
    if not isinstance(node.content, dict):
        problems.add(node.where, f"{what} is not a mapping", "write `key: value` lines below it, indented")
        return
    for key, child in node.content.items():
        if key in into:
            problems.add(child.where, f"{what} {shown(key)} is also given at {into[key].where}", "keep one of the two")
        else:
            into[key] = child


def _good_name(section: str, name: str, node: Node, problems: Problems) -> bool:
    try:
        values.name(name)
    except Refused as refusal:
        problems.refused(node.where, refusal, section.removesuffix("s"))
        return False
    return True


def _named_entry(section: str, name: str, node: Node, problems: Problems) -> Entry:
    subject = f"{section.removesuffix('s')} {name}"
    inside: dict[str, Node] = {}
    _take(inside, node, subject, problems)
    return _entry(name, inside, node.where, SECTIONS[section], subject, problems)


def _entry(name: str, inside: dict[str, Node], where: Where, model: type[Section], subject: str, problems: Problems) -> Entry:
    """Check a section; keys that cannot be read are reported and left out, so that the rest is still judged."""
    entry = Entry(name, where)
    raw = {key: node.texts() if key == "labels" else node.plain() for key, node in inside.items()}
    try:
        checked = model.model_validate(raw)
    except ValidationError as error:
        root = Node(dict(inside), where.file, where.line)
        for detail in error.errors(include_url=False, include_input=False):
            entry.broken.add(str(detail["loc"][0]))
            _report(detail, root, model, subject, problems)
        checked = model.model_validate({key: value for key, value in raw.items() if key not in entry.broken})
    for key in checked.model_fields_set:
        entry.given[key] = Given(getattr(checked, key), inside[key])
    return entry


def _report(detail: ErrorDetails, root: Node, model: type[BaseModel], subject: str, problems: Problems) -> None:
    path = tuple(step for step in detail["loc"] if step != "[key]")
    place = root.at(*path).where
    if detail["type"] == "extra_forbidden":
        problems.add(place, f"{subject}: unknown key {shown(path[-1])}", _known_key(str(path[-1]), path, model))
        return
    words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    words = words if words.isprintable() and len(words) < 120 else shown(words)
    refusal = detail.get("ctx", {}).get("error")
    if isinstance(refusal, Refused):
        problems.refused(place, refusal, f"{subject}: {words}")
    else:
        problems.add(place, f"{subject}: {words}: {_plain_words(detail)}", "see inventory/README.md for what this key takes")


def _plain_words(detail: ErrorDetails) -> str:
    known = {
        "model_type": "a mapping is wanted, `{key: value}`",
        "dict_type": "a mapping is wanted, `{key: value}`",
        "tuple_type": "a list is wanted, `[a, b]`",
        "missing": "two names are wanted, `[a, b]`",
        "too_long": "two names are wanted, `[a, b]`",
    }
    text = known.get(detail["type"], detail["msg"])
    return text[:200] if text.isprintable() else shown(text)


def _known_key(key: str, path: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """The cure for an unknown key: the nearest one, the section it belongs to, or all that are known here."""
    fields = model.model_fields
    if len(path) > 1:
        inner = SECTIONS_BELOW.get(str(path[0]))
        known = list(inner.model_fields) if inner else []
        return meant(key, known) or f"known here: {', '.join(known)}"
    if key in WORDS and WORDS[key] in fields:
        return f"did you mean {WORDS[key]}?"
    for section, other in SECTIONS.items():
        if key in other.model_fields and key not in fields:
            place = section if section not in NAMED else f"a {section.removesuffix('s')}"
            return f"{key} belongs to {place}, not here"
    return meant(key, fields) or f"known here: {', '.join(fields)}"


def _nested(model: type[Section]) -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}
    for key, information in model.model_fields.items():
        for part in getattr(information.annotation, "__args__", ()):
            if isinstance(part, type) and issubclass(part, Section):
                found[key] = part
    return found


SECTIONS_BELOW: Final[Mapping[str, type[BaseModel]]] = _nested(SECTIONS["routers"])
"""Mappings inside a router (`tls`, `keys`, `manage`) and their models."""
