"""`/api/core/backup`: the history of the configuration (sheet 5), 24.1 and later."""

from __future__ import annotations

import difflib
import html
import time
from typing import TYPE_CHECKING

from .call import Action, Actions, Call, Raw
from .store import Revision, copied

if TYPE_CHECKING:
    from .box import Box


class Backup:
    """List, compare, download and restore revisions."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def providers(self, call: Call) -> object:
        """The box itself."""
        return {"items": {"this": {"description": "This Firewall", "dirname": "/conf/backup"}}}

    def backups(self, call: Call) -> object:
        """Newest first."""
        if call.parameter() != "this":
            return {"items": []}
        return {"items": [_listed(revision) for revision in self._box.store.revisions]}

    def diff(self, call: Call) -> object:
        """Unified diff, HTML-escaped, private keys and all."""
        older, newer = (self._box.store.revision(call.parameters[place]) for place in (2, 1))
        if older is None or newer is None or call.parameter() != "this":
            return {"items": []}
        lines = difflib.unified_diff(
            older.text.splitlines(),
            newer.text.splitlines(),
            f"/conf/backup/{older.id}",
            f"/conf/backup/{newer.id}",
            _stamp(older),
            _stamp(newer),
            lineterm="",
        )
        return {"items": [html.escape(line) for line in lines]}

    def download(self, call: Call) -> object:
        """One file, the newest without a name."""
        name = call.parameter(1)
        revision = self._box.store.revisions[0] if name is None else self._box.store.revision(name)
        if revision is None or call.parameter() != "this":
            return {"status": "failed"}
        disposition = f"attachment; filename=config-OPNsense.internal-{revision.id.removeprefix('config-')}"
        return Raw(revision.text.encode(), "application/octet-stream", {"Content-Disposition": disposition})

    def revert(self, call: Call) -> object:
        """Overwrite the whole configuration; nothing is applied. Up to 25.7.5 a GET does it too (sheet 5)."""
        if not call.posted and self._box.release.since(25, 7, 6):
            return {"status": "failed"}
        self._box.may_write(call)
        revision = self._box.store.revision(call.parameter() or "")
        if revision is None:
            return {"status": "not_found"}
        self._box.save(call, copied(revision.config))
        return {"status": "reverted"}

    def delete(self, call: Call) -> object:
        """Remove one file."""
        if not call.posted:
            return {"status": "failed"}
        return {"status": "deleted" if self._box.store.forget(call.parameter() or "") else "not_found"}


def _listed(revision: Revision) -> dict[str, object]:
    return {
        "time": revision.time,
        "time_iso": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(revision.at)),
        "description": revision.description,
        "username": revision.username,
        "filesize": len(revision.text),
        "id": revision.id,
    }


def _stamp(revision: Revision) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.000000000 +0000", time.gmtime(revision.at))


def actions(box: Box) -> Actions:
    """Every endpoint of this release."""
    if not box.release.since(24, 1):
        return {}
    backup = Backup(box)
    prefix = "core/backup"
    return {
        f"{prefix}/providers": Action(backup.providers),
        f"{prefix}/backups": Action(backup.backups, 1),
        f"{prefix}/diff": Action(backup.diff, 3),
        f"{prefix}/download": Action(backup.download, 1 if box.release.since(24, 7) else 0),
        f"{prefix}/revertbackup": Action(backup.revert, 1),
        f"{prefix}/deletebackup": Action(backup.delete, 1),
    }
