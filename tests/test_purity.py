"""The pure core computes and nothing else: proven on the syntax trees, through everything it imports from fleet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleet

ROOT = Path(fleet.__file__).parent
PURE = (
    *("model", "changes", "overlay", "topology", "parking", "diff", "running", "ours", "order"),
    *("effect", "fingerprint", "plan", "selection", "wgconf"),
)
ALLOWED = {
    "__future__", "base64", "binascii", "collections", "dataclasses", "difflib", "fnmatch", "hashlib", "hmac", "ipaddress",
    "itertools", "json", "re", "types", "typing", "cryptography",
}  # fmt: skip
"""What computes. Everything else (sockets, files, processes, clocks, threads, logs, databases) is not on it."""

EXCEPTIONS = {
    "errors": {"pathlib"},  # the type of an argument; no path is opened, see the test of calls
    "keys": {"os"},  # randomness of the system for sealing, see the test of calls
}
OPENING = {
    "open",
    "print",
    "input",
    "exec",
    "eval",
    "__import__",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "unlink",
}


def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Level of relativeness and name of every import that happens at run time, inside functions too."""
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from ((0, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (
                (child.level, name) for name in ([child.module] if child.module else [a.name for a in child.names]) if name
            )
        else:
            yield from _imports(child)


def _closure(module: str) -> set[str]:
    """The module and every module of fleet that it needs at run time."""
    found, waiting = set(), [module]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [name for level, name in _imports(_tree(one)) if level == 1]
    return found


@pytest.mark.parametrize("module", PURE)
def test_the_core_imports_only_what_computes(module: str) -> None:
    for one in _closure(module):
        outside = {name.split(".")[0] for level, name in _imports(_tree(one)) if level == 0}
        assert outside - ALLOWED - EXCEPTIONS.get(one, set()) == set(), f"{module} reaches {one}"


@pytest.mark.parametrize("module", PURE)
def test_the_core_opens_nothing_and_prints_nothing(module: str) -> None:
    for one in _closure(module):
        for node in ast.walk(_tree(one)):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                assert name not in OPENING, f"{one}:{node.lineno} calls {name}"


def test_of_the_system_the_core_takes_randomness_and_nothing_else() -> None:
    taken = {
        node.attr
        for node in ast.walk(_tree("keys"))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert taken == {"urandom"}


def test_the_core_does_not_reach_up_to_engine_or_drivers() -> None:
    reached = set().union(*(_closure(module) for module in PURE))
    assert reached <= {*PURE, "errors", "keys"}


def test_the_proof_would_notice_an_import_inside_a_function() -> None:
    tree = ast.parse("def f():\n    import socket\n    from .link import Link\n")
    assert list(_imports(tree)) == [(0, "socket"), (1, "link")]
