"""Edits of inventory files that change the one line they mean and nothing else: no comment, no indentation, no quote.

Done on the text at the offsets that the parser gives, not by dumping a parsed document: a dump re-indents lists and folds
long lines, and the operator's next `git diff` would show a file that somebody else wrote. Every edit is parsed again and
must differ from the old file in exactly what was meant; otherwise nothing is written.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import InventoryError
from .files import inventory_files, read, shown_path
from .problems import Problems, shown
from .tree import Node, Plain, parse, resolved

_WORDS_OF_OLD: Final = ("yes", "no", "on", "off", "y", "n")


def set_enabled(path: Path, name: str, enabled: bool) -> None:
    """Set `enabled:` of a router in the file that has it. Raises InventoryError if the router is not there."""
    for file, root in _roots(path):
        router = _child(_child(root, "routers"), name)
        if router is None:
            continue
        if enabled and _child(router, "enabled") is None and not _inherited_off(path):
            return
        _set(file, ("routers", name), "enabled", enabled)
        return
    raise InventoryError.at(shown_path(path), 0, f"no router is called {shown(name)}", "name a router of this inventory")


def set_secret_id(path: Path, secret_id: str) -> None:
    """Set `overlay.secret_id` in the file that has the overlay. Raises InventoryError if there is none."""
    for file, root in _roots(path):
        if _child(root, "overlay") is not None:
            _set(file, ("overlay",), "secret_id", secret_id)
            return
    raise InventoryError.at(shown_path(path), 0, "there is no overlay", "add `overlay:` first")


def add_router(path: Path, name: str, router: Mapping[str, object]) -> None:
    """Add a router behind the last one of the last file that has routers. Raises InventoryError if the name is taken."""
    roots = _roots(path)
    for file, root in roots:
        found = _child(_child(root, "routers"), name)
        if found is not None:
            raise InventoryError.at(
                shown_path(file), found.line, f"router {shown(name)} is there already", "choose another name"
            )
    with_routers = [file for file, root in roots if _child(root, "routers") is not None]
    file = (with_routers or [file for file, _ in roots])[-1]
    _set(file, ("routers",), name, dict(router))


def flow(value: object) -> str:
    """A value in YAML's one-line form, texts quoted only where they must be."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple | frozenset | set):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    if isinstance(value, bool | int | float) or value is None:
        return json.dumps(value)
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z0-9_./~]([A-Za-z0-9_./~@+ -]*[A-Za-z0-9_./~@+-])?", text) is not None
    # What YAML 1.1 readers take for switches and octal numbers is quoted too: other tools read these files.
    ambiguous = not isinstance(resolved(text), str) or text.isdigit() or text.lower() in _WORDS_OF_OLD
    return text if plain and not ambiguous else json.dumps(text, ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ the edit itself
def _roots(path: Path) -> list[tuple[Path, Node]]:
    problems = Problems()
    found = [(file, read(file, problems)) for file in inventory_files(path)]
    problems.raise_any()
    return [(file, root) for file, root in found if root is not None]


def _child(node: Node | None, key: str) -> Node | None:
    return node.content.get(key) if node is not None and isinstance(node.content, dict) else None


def _inherited_off(path: Path) -> bool:
    """True if a group or the defaults mention `enabled`: then the router has to say it itself."""
    for _, root in _roots(path):
        groups = _child(root, "groups")
        shared = [_child(root, "defaults"), *(groups.content.values() if groups and isinstance(groups.content, dict) else ())]
        if any(_child(each, "enabled") is not None for each in shared):
            return True
    return False


def _set(file: Path, inside: tuple[str, ...], key: str, value: object) -> None:
    """Set one key of the mapping at `inside`, prove that nothing else changed, and replace the file."""
    raw = file.read_bytes()
    mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    text = raw.removeprefix(mark).decode("utf-8")
    before = _parsed(text, file)
    after = _edited(text, before, inside, key, value)
    wanted = before.plain()
    at: Plain = wanted
    for step in inside:
        assert isinstance(at, dict)
        if at.get(step) is None:
            at[step] = {}
        at = at[step]
    assert isinstance(at, dict)
    at[key] = _parsed(f"value: {flow(value)}\n", file).at("value").plain()
    problems = Problems()
    seen = parse(after, shown_path(file), problems) if after is not None else None
    if after is None or seen is None or seen.plain() != wanted or problems:
        place = before.at(*inside)
        raise InventoryError.at(
            shown_path(file),
            place.line,
            f"this part is written in a way that fleet does not edit: {key} of {'.'.join(inside)} is not set",
            f"add it by hand: `{key}: {flow(value)}`",
        )
    _replace(file, mark + after.encode("utf-8"))


def _parsed(text: str, file: Path) -> Node:
    problems = Problems()
    root = parse(text, shown_path(file), problems)
    problems.raise_any()
    assert root is not None
    return root


def _edited(text: str, root: Node, inside: tuple[str, ...], key: str, value: object) -> str | None:
    """The text with the key set; None if it is written in a way that cannot be edited in place."""
    newline = "\r\n" if "\r\n" in text else "\n"
    at = root.at(*inside)
    missing = [step for index, step in enumerate(inside) if _deep(root, inside[: index + 1]) is None]
    if at.alias or any(root.at(*inside[: index + 1]).alias for index in range(len(inside))):
        return None
    if missing:  # only `routers:` can be missing, at the top level
        if at is not root or root.flow:
            return None
        lead = text if text.endswith("\n") else text + newline
        return f"{lead}{missing[0]}:{newline}  {key}: {flow(value)}{newline}"
    old = _child(at, key)
    if old is not None:
        return None if old.alias or not isinstance(old.content, str) else text[: old.start] + flow(value) + text[old.end :]
    if at.empty:
        return text[: at.start] + " {" + f"{key}: {flow(value)}" + "}" + text[at.end :]
    if not isinstance(at.content, dict):
        return None
    return _inserted(text, at, f"{key}: {flow(value)}", newline)


def _deep(root: Node, path: tuple[str, ...]) -> Node | None:
    node: Node | None = root
    for step in path:
        node = _child(node, step)
    return node


def _inserted(text: str, mapping: Node, line: str, newline: str) -> str:
    """One more `key: value` behind the last one of a mapping, in the mapping's own form."""
    assert isinstance(mapping.content, dict)
    if mapping.flow and not mapping.content:
        return text[: mapping.start] + "{" + line + "}" + text[mapping.end :]
    last = list(mapping.content.values())[-1]
    end = _end(last)
    if mapping.flow:
        return f"{text[:end]}, {line}{text[end:]}"
    first = next(iter(mapping.content.values()))
    indent = " " * (first.key_start - (text.rfind("\n", 0, first.key_start) + 1))
    if text[end - 1] != "\n":
        stop = text.find("\n", end)
        if stop < 0:
            return f"{text}{newline}{indent}{line}{newline}"
        end = stop + 1
    return f"{text[:end]}{indent}{line}{newline}{text[end:]}"


def _end(node: Node) -> int:
    """Where a value really ends: a block's own end mark lies behind the comments that follow it."""
    if node.flow or isinstance(node.content, str) or node.alias or not node.content:
        return node.end
    children = node.content.values() if isinstance(node.content, dict) else node.content
    return _end(list(children)[-1])


def _replace(file: Path, content: bytes) -> None:
    """Replace a file at once, keeping its mode; a symbolic link stays one."""
    target = file.resolve()
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        cure = "make the file and its folder writable, or edit it by hand"
        raise InventoryError.at(shown_path(file), 0, f"cannot be written: {error.strerror}", cure) from None
