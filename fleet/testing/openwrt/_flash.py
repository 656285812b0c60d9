"""Which files of a router are on its flash, and what they are now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FLASH: Final = ("etc", "root", "usr", "lib")
"""Folders that survive the power cut."""


def on_flash(root: Path, path: str) -> bool:
    """True for a path that survives the power cut."""
    resolved = Path(os.path.normpath(path))
    return any(resolved.is_relative_to(root / top) for top in FLASH)


def signature(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every file on the flash by path: inode, time of change, mode, content. Links have their target as content."""
    found: dict[str, tuple[int, int, int, bytes]] = {}
    for top in FLASH:
        for path in sorted((root / top).rglob("*")):
            try:
                if path.is_symlink():
                    found[str(path.relative_to(root))] = (0, 0, 0, os.readlink(path).encode())
                elif path.is_file():
                    seen = path.stat()
                    content = path.read_bytes()
                    found[str(path.relative_to(root))] = (seen.st_ino, seen.st_mtime_ns, seen.st_mode & 0o7777, content)
            except FileNotFoundError:
                continue  # a temporary file of somebody's, renamed meanwhile
    return found
