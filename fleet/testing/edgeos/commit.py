"""A commit: which parts of a change are carried out by themselves, in which order, and what is left when some of them fail.

A node with a priority is committed by itself with everything below it that has none. Removals come first, last made first;
then the rest by priority. What fails takes what is inside it along (or, when it goes, what it is inside), and nothing else:
the rest stays active (sheet 0.3, captures 5 to 7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..linux._call import Refused
from .templates import Template
from .text import Entry, entries
from .tree import Node, Path

Verb = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Action:
    """One node or value that comes or goes. `names` is its place in the schema: the path without instances and values."""

    verb: Verb
    path: Path
    names: Path
    single: bool = False

    @property
    def value(self) -> str:
        """The last word."""
        return self.path[-1]


@dataclass
class Unit:
    """What is committed together. `verb` is what becomes of its root."""

    root: Path
    names: Path
    priority: int
    verb: Verb
    parent: Path | None
    actions: list[Action] = field(default_factory=list)
    failed: bool = False


class CheckFailed(Exception):
    """A check of a node says no. `path`: printed in brackets; None prints the message alone (captures 5)."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class Effects(Protocol):
    """What carries changes out. Any of these may raise Refused with what the tool said, `check` CheckFailed too."""

    def check(self, unit: Unit) -> None:
        """Before anything of the unit is done."""

    def begin(self, unit: Unit) -> None:
        """The root of a unit comes."""

    def act(self, unit: Unit, action: Action) -> None:
        """One node or value."""

    def end(self, unit: Unit) -> None:
        """After all actions of a unit."""


def units(active: Node, working: Node, schema: Template) -> list[Unit]:
    """Everything to be done, in order."""
    found: dict[Path, Unit] = {(): Unit((), (), 0, "update", None)}
    _collect(active, working, schema, (), (), (), found)
    changed = [unit for unit in found.values() if unit.actions]
    gone = [unit for unit in changed if unit.verb == "delete"]
    rest = [unit for unit in changed if unit.verb != "delete"]
    gone.sort(key=lambda unit: -unit.priority)
    rest.sort(key=lambda unit: (unit.priority, unit.verb != "create"))
    return gone + rest


def _collect(
    active: Node, working: Node, template: Template, path: Path, names: Path, unit: Path, found: dict[Path, Unit]
) -> None:
    merged = Node({name: Node() for name in [*working.children, *active.children]})
    for tree in (working, active):
        for name, child in tree.children.items():
            for value, inner in child.children.items():
                merged.children[name].children.setdefault(value, inner)
    for entry in dict.fromkeys(entries(merged, template)):
        old, new = active.get(entry.words), working.get(entry.words)
        if entry.single and new is None and working.has(entry.words[0]):
            continue  # replaced: told once, by the value that replaces it
        here = (*path, *entry.words)
        place = (*names, entry.words[0])
        inside = _unit(entry, here, place, unit, active, working, found)
        verb: Verb | None = "create" if old is None else "delete" if new is None else None
        if verb is not None:
            verb = "update" if verb == "create" and entry.single and active.has(entry.words[0]) else verb
            found[inside].actions.append(Action(verb, here, place, entry.single))
        if entry.shape == "block":
            _collect(old or Node(), new or Node(), entry.template, here, place, inside, found)


def _unit(entry: Entry, here: Path, place: Path, unit: Path, active: Node, working: Node, found: dict[Path, Unit]) -> Path:
    """The unit an entry belongs to, made when it is its own."""
    if entry.template.priority is None:
        return unit
    leaf = entry.shape == "leaf"
    root = here[:-1] if leaf else here
    words = entry.words[:1] if leaf else entry.words
    if root not in found:
        verb: Verb = "update"
        if not active.has(*words):
            verb = "create"
        elif not working.has(*words):
            verb = "delete"
        found[root] = Unit(root, place, entry.template.priority, verb, unit)
    return root


@dataclass
class Outcome:
    """What a commit printed; `failed` when some unit did."""

    text: str = ""
    failed: bool = False


def run(todo: list[Unit], active: Node, working: Node, effects: Effects) -> Outcome:
    """Carry units out; what succeeds is in `active` afterwards."""
    outcome = Outcome()
    by_root = {unit.root: unit for unit in todo}
    for unit in todo:
        if _depends_on_failed(unit, todo, by_root):
            unit.failed = True
            continue
        said = _carry_out(unit, effects)
        if said is None:
            for action in unit.actions:
                _graft(action, active, working)
        else:
            unit.failed = outcome.failed = True
            outcome.text += said
    return outcome


def _depends_on_failed(unit: Unit, todo: list[Unit], by_root: dict[Path, Unit]) -> bool:
    if unit.verb == "delete":
        inside = (one for one in todo if one is not unit and one.root[: len(unit.root)] == unit.root)
        return any(one.failed for one in inside)
    parent = unit.parent
    while parent is not None:
        above = by_root.get(parent)
        if above is not None and above.failed and above.verb == "create":
            return True
        parent = above.parent if above is not None else None
    return False


def _carry_out(unit: Unit, effects: Effects) -> str | None:
    at = unit.root
    try:
        effects.check(unit)
        effects.begin(unit)
        for action in unit.actions:
            at = action.path
            effects.act(unit, action)
        at = unit.root
        effects.end(unit)
    except CheckFailed as check:
        return _told(check.path, check.message)
    except Refused as refused:
        return _told(at, refused.words)
    return None


def _told(path: Path | None, message: str) -> str:
    bracket = f"[ {' '.join(path)} ]\n" if path is not None else ""
    return f"{bracket}{message}\n\n"


def _graft(action: Action, active: Node, working: Node) -> None:
    """One action that succeeded becomes active."""
    parent, name = action.path[:-1], action.path[-1]
    if action.verb == "delete":
        active.drop(action.path)
        if not active.at(*parent).children and not working.has(*parent) and len(action.path) > len(action.names):
            active.drop(parent)
        return
    source, holder = working.at(*action.path), active.make(parent)
    if action.single:
        holder.children.clear()
        holder.default = working.at(*parent).default
    holder.children.setdefault(name, Node()).comment = source.comment
