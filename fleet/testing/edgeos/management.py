"""The commit archive, commit-confirm and rollback, as Vyatta's vyatta-config-mgmt has them. Sheet 5.1, captures 10."""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING, Final

from .backend import Session
from .calls import EdgeCall
from .edit import Said

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator

ARCHIVE: Final = "/config/archive"
_TIMER: Final = "commit-confirm"


class Management:
    """Revisions of one router, and the reboot that waits for `confirm`."""

    def __init__(self, router: EdgeOsSimulator) -> None:
        self._router = router
        self.revisions: list[tuple[float, str, str, str]] = []
        self._job = 0

    @property
    def kept(self) -> int:
        """How many revisions are configured; 0: no archive, no commit-confirm."""
        return int(self._router.backend.active.value("system", "config-management", "commit-revisions") or 0)

    def record(self, user: str, via: str) -> None:
        """A commit happened."""
        if not self.kept:
            return
        text = self._router.backend.text()
        self.revisions.insert(0, (self._router.wall(), user, via, text))
        del self.revisions[self.kept :]
        folder = self._router.root_path / ARCHIVE.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for number, (_, _, _, one) in enumerate(self.revisions):
            (folder / f"config.boot.{number}.gz").write_bytes(gzip.compress(one.encode()))

    def listing(self) -> str:
        """`show system commit`."""
        lines = []
        for number, (at, user, via, _) in enumerate(self.revisions):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
            lines.append(f"{number}   {when} by {user} via {via}\n")
        return "".join(lines)

    def before_confirm(self, session: Session, call: EdgeCall) -> Said | None:
        """What `commit-confirm` says instead of asking; None: it asks."""
        router = self._router
        if not router.backend.changed(session):
            return Said("No configuration changes to commit\n")
        if not self.kept:
            return Said("commit-revisions is not configured.\n", 1)
        if router.timers.fires_in(_TIMER) is None:
            return None
        committed = router.commit(session, call)
        return Said(f"Another confirm is pending\n{committed.text}", committed.code)

    def arm(self, minutes: int) -> None:
        """Reboot in so many minutes unless confirmed. Comes before the commit: one that fails leaves it armed."""
        router = self._router
        router.copy("/config/config.boot", f"{ARCHIVE}/config.boot-rollback")
        job = router.jobs.add(minutes, "root", 0, "")
        self._job = job.number
        router.timers.at(_TIMER, job.due - router.wall(), self.expire)

    def expire(self) -> None:
        """Nobody confirmed: the saved configuration and a reboot."""
        router = self._router
        router.copy("/config/config.boot", f"{ARCHIVE}/config.boot-prerollback")
        router.copy(f"{ARCHIVE}/config.boot-rollback", "/config/config.boot")
        router.reboot()

    def confirm(self) -> Said:
        """Disarm. Does not save."""
        if self._router.timers.fires_in(_TIMER) is None:
            return Said("No confirm pending\n", 1)
        self._router.timers.cancel(_TIMER)
        self._router.jobs.remove(self._job)
        return Said()

    def rollback(self, number: str) -> Said:
        """To an older revision, by a reboot."""
        if not number.isdigit() or int(number) >= len(self.revisions):
            return Said(f"Invalid revision [{number}]\n", 1)
        router = self._router
        router.copy("/config/config.boot", f"{ARCHIVE}/config.boot-prerollback")
        router.write("/config/config.boot", self.revisions[int(number)][3])
        router.reboot_soon()
        return Said("Proceed with reboot? [confirm]y\n")
