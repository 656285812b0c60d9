"""A flash that is full or read-only: writes below /config fail, whoever makes them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from ..linux._call import Call, Refused, Replace
from .calls import edge

WRITERS: Final = ("touch", "mkdir", "rm", "rmdir", "mv", "cp", "tee", "ln", "chmod", "sync")
"""Ordinary tools that are stand-ins while the flash is broken."""

BOUND: Final = ("setpriv", "--bounding-set", "-dac_override")
"""How scripts run meanwhile where the tests run as root: without this root obeys no mode."""

_WORDS: Final = {"touch": "cannot touch", "mkdir": "cannot create directory", "rm": "cannot remove", "mv": "cannot move",
                 "cp": "cannot create regular file", "ln": "failed to create symbolic link"}  # fmt: skip


class Flash:
    """The files below /config of one router, for as long as they cannot be written."""

    def __init__(self, root: Path, client: str) -> None:
        self._root = root
        self._client = client
        self._modes: dict[Path, int] = {}

    def break_it(self) -> None:
        """No file can be made, changed or removed."""
        config = self._root / "config"
        for path in [config, *config.rglob("*")] if not self._modes else []:
            if not path.is_symlink():
                self._modes[path] = path.stat().st_mode & 0o7777
                path.chmod(self._modes[path] & 0o7555)
        self._link(stand_ins=True)

    def mend(self) -> None:
        """As before."""
        for path, mode in self._modes.items():
            if path.exists():
                path.chmod(mode)
        self._modes.clear()
        self._link(stand_ins=False)

    def _link(self, *, stand_ins: bool) -> None:
        for name in WRITERS:
            real, link = shutil.which(name), self._root / "bin" / name
            if real is not None and link.is_symlink():
                link.unlink()
                link.symlink_to(self._client if stand_ins else real)


def writer(call: Call, code: int | None) -> int:
    """The real tool, unless it would write below /config."""
    config = call.host.root_path / "config"
    names = [word for word in call.argv if not word.startswith("-")]
    if code is not None and call.name != "sync":
        for name in names:
            if call.path(name).is_relative_to(config) and not (call.name in {"cp", "ln"} and name != names[-1]):
                words = _WORDS.get(call.name, "cannot write")
                raise Refused(f"{call.name}: {words} '{name}': {os.strerror(code)}")
    raise Replace([shutil.which(call.name) or call.name, call.name, *call.argv], edge(call).number)
