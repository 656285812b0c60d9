"""Processes of one router, found by the mark in their environment."""

from __future__ import annotations

import os
from pathlib import Path


def of_router(root: str) -> list[tuple[int, int, list[str]]]:
    """Number, parent's number and command line of every process that has this router's FLEET_ROOT."""
    mark, found = f"FLEET_ROOT={root}".encode(), list[tuple[int, int, list[str]]]()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (path / "environ").read_bytes().split(b"\0"):
                continue
            state = (path / "stat").read_text().rpartition(")")[2].split()
            argv = (path / "cmdline").read_bytes().split(b"\0")[:-1]
        except (OSError, ValueError):
            continue
        if state[0] != "Z" and argv and int(path.name) != os.getpid():
            found.append((int(path.name), int(state[1]), [word.decode(errors="replace") for word in argv]))
    return found


def leaves(root: str) -> int:
    """How many processes of the router have no child: those that do something, or wait in a `sleep`."""
    found = of_router(root)
    parents = {parent for _, parent, _ in found}
    return sum(pid not in parents for pid, _, _ in found)
