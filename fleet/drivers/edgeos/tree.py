"""A configuration as a tree of words, and the operations that change it: `set` and `delete` of paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]


class Tree:
    """Nodes by their words, in the router's order; a leaf holds its values as nodes without children."""

    __slots__ = ("nodes",)

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.nodes: dict[str, Tree] = {}
        for line in lines:
            self.add(tuple(line.split("\t")))

    def add(self, path: Path) -> None:
        """Add a path with everything above it."""
        node = self
        for word in path:
            node = node.nodes.setdefault(word, Tree())

    def at(self, *path: str) -> Tree:
        """The node below; an empty one if there is none."""
        node = self
        for word in path:
            found = node.nodes.get(word)
            if found is None:
                return _EMPTY
            node = found
        return node

    def has(self, *path: str) -> bool:
        """True if there is such a node."""
        node = self
        for word in path:
            if word not in node.nodes:
                return False
            node = node.nodes[word]
        return True

    def names(self, *path: str) -> list[str]:
        """Names of the nodes, or values of the leaf, below."""
        return list(self.at(*path).nodes)

    def value(self, *path: str) -> str | None:
        """The value of a leaf, None if it is not there."""
        return next(iter(self.at(*path).nodes), None)

    def leaves(self) -> frozenset[Path]:
        """Every path that ends here."""
        found: set[Path] = set()
        for word, node in self.nodes.items():
            inside = node.leaves()
            found |= {(word, *path) for path in inside} if inside else {(word,)}
        return frozenset(found)


_EMPTY = Tree()


class Edit:
    """Operations that bring `tree` somewhere, in order, and the paths they touch.

    `touched` are paths without the value of a leaf that holds one: what an undo must look at.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.lines: list[str] = []
        self.touched: list[Path] = []

    def leaf(self, *path: str, value: str) -> None:
        """A leaf with one value."""
        if self.tree.value(*path) != value:
            self._op("set", (*path, value), path)

    def item(self, *path: str) -> None:
        """One value of a leaf that holds several, or a node without a value."""
        if not self.tree.has(*path):
            self._op("set", path, path)

    def delete(self, *path: str) -> None:
        """A node with everything below it, if it is there."""
        if self.tree.has(*path):
            self._op("delete", path, path)

    def again(self, *path: str) -> None:
        """Take a leaf's value away and bring it back in two commits, so that it is acted on once more."""
        self._op("delete", path, path)
        self.commit()
        self._op("set", path, path)

    def commit(self) -> None:
        """What follows needs what came before to be active."""
        self.lines.append("commit")

    def force(self, verb: str, *path: str) -> None:
        """An operation whatever the tree says."""
        self._op(verb, path, path)

    def _op(self, verb: str, path: Path, touched: Path) -> None:
        line = "\t".join((verb, *path))
        if any(character in line for character in "\n'\""):
            raise ValueError(f"EdgeOS takes no quotes in a value: {line[:60]!r}")
        self.lines.append(line)
        self.touched.append(touched)
