"""The stored configuration (config.xml) and its history under /conf/backup (sheet 5 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from . import xml
from .refusal import php_error
from .release import Release

Record: TypeAlias = Mapping[str, str]
Config: TypeAlias = "dict[str, dict[str, Record]]"
"""Section -> key (uuid, interface name, or empty for a section of one record) -> fields. Records are replaced, never edited."""

BACKUPS: Final = 100
"""Config.php backupCount() (sheet 0.4)."""


def copied(config: Config) -> Config:
    """A draft: may be changed record by record without touching the original."""
    return {section: dict(records) for section, records in config.items()}


@dataclass(frozen=True)
class Revision:
    """One file of the history. `time` is what the listing says, which need not be what the file name says."""

    id: str
    time: str
    at: float
    username: str
    description: str
    config: Config

    @cached_property
    def text(self) -> str:
        """The file."""
        return xml.document(self.config)


class Store:
    """What is stored now, and the newest hundred revisions, newest first. `saved` is called with each new file's name."""

    def __init__(self, release: Release, wall: Callable[[], float], config: Config) -> None:
        self._release = release
        self._wall = wall
        self._last = 0.0
        self._count = 0
        self.current = config
        self.revisions: list[Revision] = []
        self.full_disk = False
        self.writes = 0
        self.saved: list[Callable[[str], None]] = []
        self._keep("root@console", "initial configuration")

    def commit(self, draft: Config, username: str, description: str) -> Revision:
        """Store a draft; a write that changes nothing makes a revision too (sheet 7). Raises ApiError 500 on a full disk."""
        if self.full_disk:
            raise php_error()  # how a full disk shows is unverified; a truncated config.xml (core PR 10646) is not simulated
        self.current = draft
        self.writes += 1
        revision = self._keep(username, description)
        for hook in list(self.saved):
            hook(revision.id)
        return revision

    def revision(self, name: str) -> Revision | None:
        """By file name."""
        return next((one for one in self.revisions if one.id == name), None)

    def forget(self, name: str) -> bool:
        """Delete one file of the history."""
        found = self.revision(name)
        if found is not None:
            self.revisions.remove(found)
        return found is not None

    def _keep(self, username: str, description: str) -> Revision:
        at = max(self._wall(), self._last + 0.0101)
        self._last, self._count = at, self._count + 1
        # 24.7 and 25.1 read the clock twice: one listing in nine or so names another instant than the file (captures, part A).
        apart = 0.0001 if self._count % 9 == 5 else 0.0
        shown = f"{at:.2f}" if self._release.since(25, 7) else f"{at + apart:.4f}"
        revision = Revision(f"config-{at:.4f}.xml", shown, at, username, description, copied(self.current))
        self.revisions.insert(0, revision)
        del self.revisions[BACKUPS:]
        return revision
