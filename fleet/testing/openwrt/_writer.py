"""Applets that write files, while the flash takes nothing."""

from __future__ import annotations

import os
import shutil
from typing import Final

from ..linux._call import Call, Refused, Replace
from ._flash import on_flash
from ._router import router_of

_MAKES_ROOM: Final = frozenset({"rm", "rmdir", "chmod", "mv"})


def writer(call: Call) -> int:
    """An applet that writes files, while the flash takes nothing: what it was to write there fails, the rest is real.

    A full flash still lets names be changed and removed. A redirection of the shell's own (`printf > file`) is not seen.
    """
    router = router_of(call)
    fault = router.flash_fault()
    root, words = router.root_path, [word for word in call.argv if not word.startswith("-")]
    targets = words if call.name not in {"cp", "mv", "ln"} else words[-1:] if call.name != "mv" else words
    if call.name in {"cat", "sed"} and "-i" not in call.argv:
        targets = []
    hit = next((word for word in targets if on_flash(root, str(call.path(word)))), None)
    out = os.readlink(f"/proc/self/fd/{call.fds[1]}")
    if hit is None and on_flash(root, out):
        raise Refused(f"{call.name}: write error: {fault}")
    if hit is not None and (router.flash_read_only or call.name not in _MAKES_ROOM):
        verb = "can't remove" if call.name.startswith("rm") else "can't create"
        raise Refused(f"{call.name}: {verb} '{hit}': {fault}")
    real = shutil.which("busybox") or shutil.which(call.name) or call.name
    raise Replace([real, call.name, *call.argv], call.uid)
