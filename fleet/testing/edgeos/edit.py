"""`set` and `delete` on one tree, with the words of the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .templates import Asked, NotValid, Step, Template, refusal, walk
from .tree import Node, Path

INVALID: Final = "The specified configuration node is not valid"
NEEDS_VALUE: Final = "The specified configuration node requires a value"


@dataclass(frozen=True)
class Said:
    """What the backend printed and its exit status; `changed` when the tree is not what it was."""

    text: str = ""
    code: int = 0
    changed: bool = False


class Editor:
    """Edits trees by one schema. `asked` answers what checks need to know of the router."""

    def __init__(self, schema: Template, asked: Asked) -> None:
        self.schema = schema
        self._asked = asked

    def set(self, tree: Node, path: Path) -> Said:
        """`set`: validate, then make. Sheet 2.3."""
        said = self.validate(path)
        if said is not None:
            return said
        steps = walk(self.schema, path)
        found = tree.get(path)
        holder = tree.get(path[:-1]) if steps[-1].is_value else None
        if found is not None:
            if holder is not None and holder.default:
                holder.default = False
                return Said(changed=True)
            return Said("The specified configuration node already exists\n")
        place(tree, steps)
        return Said(changed=True)

    def validate(self, path: Path) -> Said | None:
        """Why a path cannot be set, None if it can."""
        try:
            steps = walk(self.schema, path)
        except NotValid:
            return Said(f"{INVALID}\nSet failed\n", 1)
        if not steps:
            return Said(f"{INVALID}\nSet failed\n", 1)
        for step in steps:
            said = refusal(step.template, step.word, self._asked) if step.is_value else None
            if said is not None:
                return Said(f"{said}Value validation failed\nSet failed\n", 1)
        last = steps[-1]
        if last.template.valued and not last.is_value:
            return Said(f"{NEEDS_VALUE}\nSet failed\n", 1)
        return None

    def delete(self, tree: Node, path: Path) -> Said:
        """`delete`: what has a default gets it back."""
        try:
            steps = walk(self.schema, path)
        except NotValid:
            return Said(f"{INVALID}\nDelete failed\n", 1)
        if not steps:
            return Said(f"{INVALID}\nDelete failed\n", 1)
        if tree.get(path) is None:
            kind = "value" if steps[-1].is_value and steps[-1].template.kind == "leaf" and tree.has(*path[:-1]) else "node"
            return Said(f"Nothing to delete (the specified {kind} does not exist)\n")
        remove(tree, steps)
        return Said(changed=True)


def place(tree: Node, steps: list[Step]) -> None:
    """Make a path that is known to be valid, with the defaults of everything made on the way."""
    node = tree
    for step in steps:
        if step.is_value and step.template.kind == "leaf":
            node.default = False
            if not step.template.multi:
                node.children.clear()
        made = step.word not in node.children
        node = node.children.setdefault(step.word, Node())
        if made and (step.is_value or step.template.kind == "node"):
            fill(node, step.template)


def fill(node: Node, template: Template) -> None:
    """Defaults of a node's own leaves."""
    if template.kind not in {"node", "tag"}:
        return
    for name, inner in template.children.items():
        if inner.default is not None and name not in node.children:
            node.children[name] = Node({inner.default: Node()}, default=True)


def remove(tree: Node, steps: list[Step]) -> None:
    """Take a node away; a leaf without values and a tag without instances go with their last, a default comes back."""
    path, last = tuple(step.word for step in steps), steps[-1]
    tree.drop(path)
    if last.is_value and not tree.at(*path[:-1]).children:
        path = path[:-1]
        tree.drop(path)
    if last.template.default is not None and not tree.has(*path):
        tree.make(path[:-1]).children[path[-1]] = Node({last.template.default: Node()}, default=True)


def differences(active: Node, working: Node, schema: Template, path: Path = ()) -> list[tuple[str, Path]]:
    """`set` and `delete` operations that make `active` to `working`; defaults come by themselves."""
    found: list[tuple[str, Path]] = []
    for name, old in active.children.items():
        new = working.children.get(name)
        if new is None or (new.default and not old.default and new.children.keys() != old.children.keys()):
            found.append(("delete", (*path, name)))
    for name, new in working.children.items():
        old_node = active.children.get(name)
        here = (*path, name)
        if new.default:
            continue
        if old_node is None:
            found += differences(Node(), new, schema, here) or [("set", here)]
        else:
            found += differences(old_node, new, schema, here)
    return found
