"""The configuration backend: active tree, sessions over it, the commit lock, saving and loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .commit import Effects, run, units
from .edit import Editor, Said, differences, fill
from .templates import NotValid, Template, walk
from .text import Style, Unreadable, braces, commands, compare, footer, is_boot_file, parse
from .tree import Node, Path

LOCKED: Final = "Configuration system temporarily locked due to another commit in progress\n"
BOOT: Final = "/config/config.boot"


@dataclass
class Session:
    """Changes over the active tree, which others may move meanwhile: the last writer of a node wins (sheet 2.5).

    `unsaved`: it committed and did not save (captures 5 and 6: a failed commit does not count).
    """

    ops: list[tuple[str, Path]] = field(default_factory=list)
    unsaved: bool = False
    _seen: tuple[int, int] = (-1, -1)
    _working: Node = field(default_factory=Node)


class Files:
    """The files the backend reads and writes. Raises OSError."""

    def __init__(self, read: Callable[[str], str], write: Callable[[str, str], None]) -> None:
        self.read = read
        self.write = write


class Backend:
    """One router's configuration. `busy` while a commit runs."""

    def __init__(self, editor: Editor, files: Files, release: str) -> None:
        self.editor = editor
        self.release = release
        self.files = files
        self.active = Node()
        self.busy = False
        self.sessions: dict[str, Session] = {}
        self.log: list[str] = []
        self._generation = 0

    @property
    def schema(self) -> Template:
        """The schema of this router."""
        return self.editor.schema

    # --- sessions ------------------------------------------------------------------------------------------------------

    def working(self, session: Session) -> Node:
        """The tree as a session sees it."""
        seen = (self._generation, len(session.ops))
        if session._seen != seen:  # noqa: SLF001 - a cache of its own
            tree = self.active.copy()
            for verb, path in session.ops:
                self.editor.set(tree, path) if verb == "set" else self.editor.delete(tree, path)
            session._working, session._seen = tree, seen  # noqa: SLF001 - a session is a part of its backend
        return session._working  # noqa: SLF001 - a session is a part of its backend

    def changed(self, session: Session) -> bool:
        """True if the session holds something that is not active."""
        return bool(session.ops) and bool(differences(self.active, self.working(session), self.schema))

    def edit(self, session: Session, verb: str, path: Path) -> Said:
        """`set` or `delete` in a session."""
        working = self.working(session)
        said = self.editor.set(working, path) if verb == "set" else self.editor.delete(working, path)
        if said.changed:
            session.ops.append((verb, path))
            session._seen = (self._generation, len(session.ops))  # noqa: SLF001 - a session is a part of its backend
        return said

    def comment(self, session: Session, path: Path, text: str) -> Said:
        """A comment on a node: goes with the next commit of the session."""
        found = self.working(session).get(path)
        if found is None:
            return Said("The specified config node does not exist\n", 1)
        found.comment = text
        return Said(changed=True)

    def discard(self, session: Session) -> Said:
        """Forget what is not committed."""
        changed = self.changed(session)
        session.ops.clear()
        return Said("Changes have been discarded\n" if changed else "No changes have been discarded\n")

    def show(self, session: Session | None, path: Path, *, defaults: bool = False) -> Said:
        """`show` of configuration mode, without pager; without a session what is active."""
        active, working = self.active, self.active if session is None else self.working(session)
        text = subtree(active, working, self.schema, path, Style(marks=session is not None, defaults=defaults))
        if text is None:
            return Said("Specified configuration path is not valid\n")
        return Said(text) if text else Said("Configuration under specified path is empty\n")

    def compare(self, session: Session) -> Said:
        """What `compare` prints."""
        lines = list(compare(self.active, self.working(session), self.schema))
        if not lines:
            return Said("No changes between working and active configurations\n", 1)
        return Said("".join(line + "\n" for line in lines))

    # --- commit --------------------------------------------------------------------------------------------------------

    def commit(self, session: Session, effects: Callable[[Node], Effects]) -> Said:
        """Carry out what a session holds; afterwards it holds what failed."""
        if self.busy:
            return Said(LOCKED, 1)
        if not self.changed(session):
            return Said("No configuration changes to commit\n")
        working = self.working(session).copy()
        self.busy = True
        try:
            todo = units(self.active, working, self.schema)
            outcome = run(todo, self.active, working, effects(working))
        finally:
            self.busy = False
            self._generation += 1
        if not outcome.failed:
            self.active = working
            session.ops.clear()
            session.unsaved = True
            return Said(changed=True)
        session.ops = differences(self.active, working, self.schema)
        self.log.append(outcome.text)
        return Said(f"{outcome.text}Commit failed\n", 1)

    # --- files ---------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The active configuration as config.boot has it, defaults written out."""
        return braces(self.active, self.schema, Style(defaults=True)) + footer(self.release)

    def save(self, session: Session | None, path: str = "") -> Said:
        """Write the active configuration. Sheet 2.3."""
        target, said = path or BOOT, ""
        if session is not None and self.changed(session):
            said = "Warning: you have uncommitted changes that will not be saved.\n\n"
        try:
            old = self.files.read(target)
        except OSError:
            old = ""
        if old and not is_boot_file(old):
            return Said(f"{said}File exists and is not a Vyatta configuration file, aborting save!\n", 1)
        if target == BOOT:
            said += f"Saving configuration to '{target}'...\n"
        else:
            said += f"Warning: saving configuration to non-default location '{target}'...\n"
        try:
            self.files.write(target, self.text())
        except OSError as error:
            return Said(f"{said}Failed to open {target}: {error.strerror}\n", 1)
        if target == BOOT and session is not None:
            session.unsaved = False
        return Said(f"{said}Done\n")

    def load(self, session: Session, path: str, *, merge: bool = False) -> Said:
        """Bring a file into the session, instead of everything or on top of it."""
        if self.changed(session):
            return Said(
                "Cannot load: configuration modified.\nCommit or discard the changes before loading a config file.\n", 1
            )
        path = path or BOOT
        path = path if path.startswith("/") else f"/config/{path}"
        try:
            found = parse(self.files.read(path))
        except OSError as error:
            return Said(f"Cannot open configuration file {path}: {error.strerror}\n", 1)
        except Unreadable:
            return Said(f"Loading configuration from '{path}'...\n\nFailed to parse specified config file\n", 1)
        wanted, _ = self.valid(found)
        if merge:
            session.ops = [("set", leaf) for leaf in wanted.leaves()]
        else:
            session.ops = differences(self.active, wanted, self.schema)
        session._seen = (-1, -1)  # noqa: SLF001 - a session is a part of its backend
        return Said(f"Loading configuration from '{path}'...\n\nLoad complete.  Use 'commit' to make changes active.\n")

    def valid(self, found: Node) -> tuple[Node, list[Path]]:
        """What of a tree the templates know, with defaults, and the paths that they do not."""
        tree, refused = Node(), list[Path]()
        for path in found.leaves():
            said = self.editor.validate(path)
            if said is not None:
                refused.append(path)
                continue
            self.editor.set(tree, path)
        _copy_comments(found, tree)
        return tree, refused

    def boot(self, text: str, effects: Callable[[Node], Effects]) -> None:
        """Load config.boot as at the start: what is unknown or fails is not active and is only in the log."""
        self.active, self.sessions, self.busy = Node(), {}, False
        fill(self.active, self.schema)
        try:
            found = parse(text)
        except Unreadable as error:
            self.log.append(f"config.boot: line {error.line}")
            found = Node()
        wanted, refused = self.valid(found)
        self.log += [f"[ {' '.join(path)} ]\n" for path in refused]
        todo = units(self.active, wanted, self.schema)
        outcome = run(todo, self.active, wanted, effects(wanted))
        self._generation += 1
        if outcome.failed:
            self.log.append(outcome.text)
        else:
            self.active = wanted


def scope(tree: Node, schema: Template, path: Path) -> tuple[Node, Template] | None:
    """What is shown for a path, and its template: a tag without its name and a leaf come with their own name in front.

    None: there is no such path.
    """
    try:
        steps = walk(schema, path)
    except NotValid:
        return None
    if not steps:
        return tree, schema
    last = steps[-1]
    if last.template.kind in {"node", "free"} or (last.template.kind == "tag" and last.is_value):
        return tree.at(*path), Template("node", last.template.children) if last.template.kind == "tag" else last.template
    upper = path[:-2] if last.is_value else path[:-1]
    name = path[len(upper)]
    children = {name: tree.at(*upper).children[name]} if tree.has(*upper, name) else {}
    return Node(children), Template("node", {name: last.template})


def subtree(active: Node, working: Node, schema: Template, path: Path, style: Style) -> str | None:
    """What is at a path in braces, the difference of two trees marked; None: there is no such path."""
    new, old = scope(working, schema, path), scope(active, schema, path)
    return None if new is None or old is None else braces(new[0], new[1], style, old[0])


def set_lines(tree: Node, schema: Template, *, defaults: bool) -> str:
    """The whole tree as set commands."""
    return "".join(line + "\n" for line in commands(tree, schema, Style(defaults=defaults)))


def _copy_comments(source: Node, target: Node) -> None:
    for name, child in source.children.items():
        if name in target.children:
            target.children[name].comment = child.comment
            _copy_comments(child, target.children[name])
