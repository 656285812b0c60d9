"""Runs and their journal: every step is written down before and after it is sent, and never changed afterwards."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, TypeAlias

from sqlalchemy import insert, select

from ..errors import FleetError, UsageError
from .schema import EntryRow, RunRow
from .store import Store, moment

Line: TypeAlias = tuple[str, str, str, Mapping[str, object] | None]
"""One line to be written: router (empty: the fleet as a whole), phase, text, detail as plain data."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as `history` shows it. `finished` and `exit_code` are None while it runs, or if it was killed.

    `routers` are those with entries in the journal.
    """

    id: str
    overlay: str
    command: str
    actor: str
    inventory_commit: str
    plan_fingerprint: str
    started: dt.datetime
    finished: dt.datetime | None
    outcome: str
    exit_code: int | None
    routers: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "id": self.id,
            "overlay": self.overlay,
            "command": self.command,
            "actor": self.actor,
            "inventory_commit": self.inventory_commit,
            "plan_fingerprint": self.plan_fingerprint,
            "started": self.started.isoformat(timespec="milliseconds"),
            "finished": self.finished.isoformat(timespec="milliseconds") if self.finished else None,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "routers": list(self.routers),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal. `router` is empty for the fleet as a whole."""

    run: str
    router: str
    phase: str
    text: str
    detail: Mapping[str, object] | None
    at: dt.datetime

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "run": self.run,
            "router": self.router,
            "phase": self.phase,
            "text": self.text,
            "detail": None if self.detail is None else dict(self.detail),
            "at": self.at.isoformat(timespec="milliseconds"),
        }


class Run:
    """One run that is going on. As a context manager it ends with the error that ended it, unless it was finished before."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._group = _Group(store)
        self.id = run_id
        """Sorts by time, and short enough to type."""

    def record(self, router: str, phase: str, text: str, detail: Mapping[str, object] | None = None) -> None:
        """Append one entry; durable when it returns. Raises TypeError for a detail that is not plain data, such as a Secret."""
        self.record_all([(router, phase, text, detail)])

    def record_all(self, lines: Iterable[Line]) -> None:
        """Append many entries in their order, all or none; durable when it returns. Raises TypeError as `record` does."""
        rows: list[dict[str, object]] = [
            {
                "run": self.id,
                "router": router,
                "phase": phase,
                "text": text,
                "detail": None if detail is None else json.dumps(dict(detail), sort_keys=True),
            }
            for router, phase, text, detail in lines
        ]
        if rows:
            self._group.write(rows)

    def finish(self, outcome: str, exit_code: int) -> None:
        """How it ended; the first word counts."""
        with self._store.writing() as session:
            row = session.get(RunRow, self.id)
            if row is not None and row.finished_at is None:
                row.outcome, row.exit_code, row.finished_at = outcome, exit_code, self._store.now(session)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, FleetError):
            self.finish(f"failed: {error.summary}", error.exit_code)
        elif error is not None:
            self.finish("interrupted" if isinstance(error, KeyboardInterrupt) else f"failed: {type(error).__name__}", 1)


WRITES: Final = ("apply", "key", "pin", "trust")
"""Phases that change a router or what is believed of it; a router that was only read is not one that a run touched."""


@dataclass(slots=True)
class _Batch:
    """What several threads want written by the next transaction."""

    rows: list[dict[str, object]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class _Group:
    """Commits together what many routers' threads write at the same time.

    A durable write waits for the disk, and only one can be under way: whoever comes meanwhile joins the next batch. The
    first to join it writes it, the others wait for that.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._joining = threading.Lock()
        self._writing = threading.Lock()
        self._next = _Batch()

    def write(self, rows: list[dict[str, object]]) -> None:
        """Durable when it returns. Raises UsageError."""
        with self._joining:
            batch, first = self._next, not self._next.rows
            batch.rows += rows
        if first:
            self._lead(batch)
            return
        batch.done.wait()
        if batch.error is not None:
            said = batch.error if isinstance(batch.error, FleetError) else None
            raise UsageError(said.summary if said else "the journal could not be written", said.hint if said else "")

    def _lead(self, batch: _Batch) -> None:
        try:
            with self._writing:
                with self._joining:
                    self._next = _Batch()  # nobody joins any more
                with self._store.writing() as session:
                    now = self._store.now(session)
                    session.execute(insert(EntryRow), [{**row, "at": now} for row in batch.rows])
        except BaseException as error:
            batch.error = error
            raise
        finally:
            with self._joining:
                if self._next is batch:  # interrupted while it waited for its turn
                    self._next = _Batch()
            batch.done.set()


class Journal(Store):
    """Runs of any number of overlays."""

    def begin_run(self, overlay: str, command: str, actor: str, inventory_commit: str = "", plan_fingerprint: str = "") -> Run:
        """A new run, written down at once."""
        with self.writing() as session:
            now = self.now(session)
            run_id = f"{moment(now):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            session.add(
                RunRow(
                    id=run_id,
                    overlay=overlay,
                    command=command,
                    actor=actor,
                    inventory_commit=inventory_commit,
                    plan_fingerprint=plan_fingerprint,
                    started_at=now,
                )
            )
        return Run(self, run_id)

    def history(
        self,
        overlay: str,
        *,
        limit: int | None = None,
        router: str | None = None,
        actor: str | None = None,
        since: dt.datetime | None = None,
    ) -> list[RunRecord]:
        """Runs, newest first: at most `limit`, those that touched `router`, by `actor`, begun at or after `since`."""
        which = select(RunRow).where(RunRow.overlay == overlay)
        if router is not None:
            which = which.where(RunRow.id.in_(select(EntryRow.run).where(EntryRow.router == router)))
        if actor is not None:
            which = which.where(RunRow.actor == actor)
        if since is not None:
            which = which.where(RunRow.started_at >= since.timestamp())
        with self.reading() as session:
            rows = session.scalars(which.order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(limit)).all()
            touched: dict[str, list[str]] = {row.id: [] for row in rows}
            # The routers of all runs in one question.
            for run, name in session.execute(
                select(EntryRow.run, EntryRow.router)
                .where(EntryRow.run.in_(list(touched)), EntryRow.router != "", EntryRow.phase.in_(WRITES))
                .distinct()
                .order_by(EntryRow.router)
            ):
                touched[run].append(name)
            return [_record(row, tuple(touched[row.id])) for row in rows]

    def journal(self, run_id: str) -> list[Entry]:
        """Everything a run wrote down, in order. Raises UsageError if there is no such run."""
        with self.reading() as session:
            if session.get(RunRow, run_id) is None:
                raise UsageError(f"there is no run {run_id!r}", "see the runs with `fleet history`")
            rows = session.scalars(select(EntryRow).where(EntryRow.run == run_id).order_by(EntryRow.id)).all()
            return [
                Entry(row.run, row.router, row.phase, row.text, json.loads(row.detail) if row.detail else None, moment(row.at))
                for row in rows
            ]


def _record(row: RunRow, routers: tuple[str, ...]) -> RunRecord:
    return RunRecord(
        row.id,
        row.overlay,
        row.command,
        row.actor,
        row.inventory_commit,
        row.plan_fingerprint,
        moment(row.started_at),
        moment(row.finished_at) if row.finished_at is not None else None,
        row.outcome,
        row.exit_code,
        routers,
    )
