"""Which files are an inventory, and their bytes as text that can be trusted to be text."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from ..errors import InventoryError
from ..model import Where
from .problems import Problems, shown
from .tree import Node, parse

MAX_BYTES: Final = 16 * 2**20
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


def inventory_files(path: Path) -> list[Path]:
    """The files of an inventory: the file itself, or a directory's `*.yaml` without `example-*`. Raises InventoryError."""
    shown_as = shown_path(path)
    try:
        if not path.is_dir():
            if os.path.lexists(path):
                return [path]
            raise InventoryError.at(
                shown_as, 0, "there is no such file or directory", "name it with -i, or make one with `fleet init`"
            )
        files = sorted(
            each for each in path.iterdir() if each.suffix == ".yaml" and not each.name.startswith((".", "example-"))
        )
        others = [each.name for each in path.iterdir() if each.suffix in (".yml", ".json")]
    except OSError as error:
        raise InventoryError.at(shown_as, 0, f"cannot be read: {error.strerror}", "check its name and permissions") from None
    if not files:
        cure = f"rename {shown(others[0])} to *.yaml" if others else "make one with `fleet init`, or name a file with -i"
        raise InventoryError.at(shown_as, 0, "no inventory here: no *.yaml beside example-*", cure)
    return files


def read(path: Path, problems: Problems) -> Node | None:
    """The root of a file; None, with a problem remembered, if it cannot be read at all."""
    file = shown_path(path)
    text = _text(path, file, problems)
    return None if text is None else parse(text, file, problems)


def shown_path(path: Path) -> str:
    """A path as the operator named it, unless it would play tricks on a terminal."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def _text(path: Path, file: str, problems: Problems) -> str | None:
    place = Where(file)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            problems.add(place, "not a regular file", "name a YAML file or a directory of them")
            return None
        if status.st_size > MAX_BYTES:
            problems.add(place, f"{status.st_size // 2**20} MiB is too large for an inventory", "the limit is 16 MiB; split it")
            return None
        raw = path.read_bytes()
    except OSError as error:
        problems.add(place, f"cannot be read: {error.strerror}", "check its name and permissions")
        return None
    return decoded(raw, file, problems)


def decoded(raw: bytes, file: str, problems: Problems) -> str | None:
    """Bytes as text; None, with a problem remembered, if they are not the text of an inventory."""
    cure = "an inventory is YAML text in UTF-8; save it again with that encoding"
    if b"\0" in raw:
        problems.add(Where(file, raw.count(b"\n", 0, raw.index(b"\0")) + 1), "a NUL byte: this is binary, or UTF-16", cure)
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(Where(file, raw.count(b"\n", 0, error.start) + 1), f"byte 0x{raw[error.start]:02x} is not UTF-8", cure)
        return None
    found = _CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        problems.add(Where(file, line), f"control character {shown(found[0])} in the text", "remove it")
        return None
    return text
