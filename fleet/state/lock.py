"""One writer per fleet: a lock that its owner renews and that is taken over only when its owner is provably gone."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from sqlalchemy import delete, update

from ..errors import FleetError, LockHeld, UsageError
from .machine import Owner
from .schema import LockRow
from .store import Store, moment

RENEW_SECONDS: Final = 20.0
EXPIRE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Terms:
    """How often a lock is renewed and how long after the last renewal it expires, in seconds."""

    renew: float = RENEW_SECONDS
    expire: float = EXPIRE_SECONDS


class Lock:
    """The right to write one overlay's fleet, for as long as this context lasts. All times are the database's."""

    def __init__(self, store: Store, overlay: str, owner: Owner, terms: _Terms) -> None:
        self._store = store
        self._overlay = overlay
        self._owner = owner
        self._terms = terms
        self._token = secrets.token_hex(16)
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew_for_ever, name="fleet-lock", daemon=True)

    def __enter__(self) -> Lock:
        self._take()
        self._renewing.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._renewing.join()
        # If the database is away the lock stays, and is stale as soon as this process has ended: no reason to fail a run
        # whose work is done.
        with suppress(UsageError), self._store.writing() as session:
            session.execute(delete(LockRow).where(LockRow.overlay == self._overlay, LockRow.token == self._token))

    def check(self) -> None:
        """Call before a write. Raises LockHeld if somebody took the lock over meanwhile (this machine slept or was stopped)."""
        with self._store.reading() as session:
            row = session.get(LockRow, self._overlay)
            ours = row is not None and row.token == self._token
            left = row.expires_at - self._store.now(session) if row is not None and ours else 0.0
        # What is about to expire may be taken at any moment: it counts as ours only once it is renewed.
        if left < self._terms.expire / 2 and not self._renew():
            raise LockHeld(
                f"this run lost the lock of {self._overlay}: not renewed for {self._terms.expire:g} s, and another run began",
                "nothing more was written; see `fleet history`, then run `fleet sync` again",
            )

    def _take(self) -> None:
        with self._store.writing() as session:  # one writer at a time: two that begin at once do not both find it free
            row = session.get(LockRow, self._overlay)
            now = self._store.now(session)
            if row is not None and not self._stale(row, now):
                raise _held(row, now)
            if row is not None:
                session.delete(row)
                session.flush()
            session.add(self._row(now))

    def _stale(self, row: LockRow, now: float) -> bool:
        """True if the owner is provably gone. On this machine its process tells; elsewhere only the clock does."""
        gone = _owner(row).gone(self._owner)
        return now >= row.expires_at if gone is None else gone

    def _row(self, now: float) -> LockRow:
        owner = self._owner
        return LockRow(
            overlay=self._overlay,
            token=self._token,
            host=owner.host,
            boot_id=owner.boot_id,
            pid=owner.pid,
            start_time=owner.start_time,
            actor=owner.actor,
            command=owner.command,
            taken_at=now,
            expires_at=now + self._terms.expire,
        )

    def _renew(self) -> bool:
        """False if the lock is not ours any more."""
        with self._store.writing() as session:
            expires_at = self._store.now(session) + self._terms.expire
            renewed = session.execute(
                update(LockRow)
                .where(LockRow.overlay == self._overlay, LockRow.token == self._token)
                .values(expires_at=expires_at)
            )
            return bool(renewed.rowcount)  # type: ignore[attr-defined]

    def _renew_for_ever(self) -> None:
        while not self._ended.wait(self._terms.renew):
            try:
                if not self._renew():
                    return  # lost: `check` says so before the next write
            except FleetError:
                continue  # the database is away: tried again, and `check` refuses if it stays away too long


class Locks(Store):
    """Locks of any number of overlays."""

    def lock(
        self, overlay: str, owner: Owner, *, renew_seconds: float = RENEW_SECONDS, expire_seconds: float = EXPIRE_SECONDS
    ) -> Lock:
        """The right to write, to be used with `with`. Entering raises LockHeld naming who writes, since when, what to do."""
        return Lock(self, overlay, owner, _Terms(renew_seconds, expire_seconds))

    def writer(self, overlay: str) -> Owner | None:
        """Who holds the lock, None if nobody does."""
        with self.reading() as session:
            row = session.get(LockRow, overlay)
            return None if row is None else _owner(row)


def _owner(row: LockRow) -> Owner:
    return Owner(row.host, row.boot_id, row.pid, row.start_time, row.actor, row.command)


def _held(row: LockRow, now: float) -> LockHeld:
    return LockHeld(
        f"{row.overlay} is being written by {row.actor} (`fleet {row.command}`, process {row.pid} on {row.host}) "
        f"since {moment(row.taken_at):%H:%M:%S} UTC",
        "wait until that run has ended; if it was killed on another machine, "
        f"its lock expires in {max(0.0, row.expires_at - now):.0f} s",
    )
