"""The configuration as a tree: nodes by name, values as nodes without children, defaults marked as such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]


@dataclass
class Node:
    """One node. `default`: its value came from the template and nobody set it; `comment` is that of config.boot."""

    children: dict[str, Node] = field(default_factory=dict)
    default: bool = False
    comment: str = ""

    def get(self, path: Path) -> Node | None:
        """The node at a path, None where there is none."""
        node: Node | None = self
        for word in path:
            if node is None:
                return None
            node = node.children.get(word)
        return node

    def at(self, *path: str) -> Node:
        """The node at a path, an empty one where there is none."""
        return self.get(path) or Node()

    def value(self, *path: str) -> str | None:
        """The (first) value of a leaf, None without one."""
        return next(iter(self.at(*path).children), None)

    def values(self, *path: str) -> list[str]:
        """All values of a leaf, or the names below a node, in the order they were set."""
        return list(self.at(*path).children)

    def has(self, *path: str) -> bool:
        """True if the node exists."""
        return self.get(path) is not None

    def make(self, path: Path) -> Node:
        """The node at a path, made with all above it where it is missing."""
        node = self
        for word in path:
            node = node.children.setdefault(word, Node())
        return node

    def drop(self, path: Path) -> None:
        """Remove a node; its parents stay."""
        parent = self.get(path[:-1])
        if parent is not None:
            parent.children.pop(path[-1], None)

    def copy(self) -> Node:
        """A copy that shares nothing."""
        return Node({name: child.copy() for name, child in self.children.items()}, self.default, self.comment)

    def leaves(self, path: Path = ()) -> Iterator[Path]:
        """Paths of everything that has nothing below it."""
        for name, child in self.children.items():
            if child.children:
                yield from child.leaves((*path, name))
            else:
                yield (*path, name)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts wg2 before wg10 and rule 9 before rule 10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def ordered(names: list[str]) -> list[str]:
    """Names of nodes as the backend lists them."""
    return sorted(names, key=natural)
