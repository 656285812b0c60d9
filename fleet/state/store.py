"""The database under the state: opened on first use, short transactions, errors that say what to do."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from ..errors import UsageError
from .layout import HEAD, READABLE, layout, require_known, upgrade
from .place import cure, place, reason
from .schema import Base


class Store:
    """A database of fleet's tables. Thread-safe; nothing is created or changed in it before the first write.

    One writing transaction at a time, among all processes and on every kind of database: what a writer reads stays true until
    it has written.
    """

    def __init__(self, given: str | Path) -> None:
        self._place = place(given)
        self._opening = threading.Lock()
        # Waiting here for this process's own writers is fair and immediate; waiting inside SQLite is a sleep in steps.
        self._writing = threading.Lock()
        self._engine: Engine | None = None
        self._nothing: Engine | None = None
        self._readable = self._current = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        with self._opening:
            engine, self._engine = self._engine, None
            self._readable = self._current = False
        if engine is not None:
            engine.dispose()

    @property
    def shown(self) -> str:
        """Where the state is, without a password."""
        return self._place.shown

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one moment and changes nothing. Raises UsageError."""
        with self._said():
            engine = self._to_read().execution_options(fleet_reads=True)
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is durable when it ends, and that no other writer is in at the same time. Raises UsageError."""
        with self._said():
            engine = self._to_write()
            with self._writing, engine.connect() as connection:
                connection = connection.execution_options(fleet_writes=True)
                with Session(connection) as session, session.begin():
                    yield session

    def now(self, session: Session) -> float:
        """Unix seconds by the database's clock, which is the one that all machines share."""
        if session.get_bind().dialect.name == "sqlite":
            return time.time()  # SQLite runs in this process and has no other clock; asked by SQL it tells milliseconds only
        return float(session.scalar(text("select extract(epoch from clock_timestamp())")) or 0.0)

    def _to_read(self) -> Engine:
        """The database, or one without content where there is none yet: looking at a fleet must not leave files behind."""
        with self._opening:
            if not self._readable:
                if self._place.path is not None and self._engine is None and not self._place.path.exists():
                    return self._empty()
                found = self._layout()
                if found is None:
                    return self._empty()
                if found not in READABLE:
                    self._upgrade()
                self._readable = True
            return self._opened()

    def _to_write(self) -> Engine:
        with self._opening:
            if not self._current:
                if self._layout() != HEAD:
                    self._upgrade()
                self._readable = self._current = True
            return self._opened()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._place.engine()
        return self._engine

    def _layout(self) -> str | None:
        with self._opened().connect() as connection:
            found = layout(connection)
        require_known(found, self.shown)
        return found

    def _upgrade(self) -> None:
        with self._opened().connect() as connection:
            connection = connection.execution_options(fleet_writes=True)
            with connection.begin():
                upgrade(connection, self.shown)

    def _empty(self) -> Engine:
        if self._nothing is None:
            self._nothing = create_engine("sqlite://", poolclass=NullPool)
            tables = ";".join(str(CreateTable(table).compile(self._nothing)) for table in Base.metadata.sorted_tables)
            event.listen(self._nothing, "connect", lambda connection, _record: connection.executescript(tables).close())
        return self._nothing

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            why = reason(error.orig) or type(error).__name__
            raise UsageError(f"state {self.shown}: {why}", cure(why)) from error
        except NoConnection as error:
            raise UsageError(f"state {self.shown}: no connection became free", "lower --parallel and try again") from error


def moment(seconds: float) -> dt.datetime:
    """Unix seconds as a time with its zone, UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def put(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those with the same key; one statement for any number of them.

    Every row has all columns of the table.
    """
    if not rows:
        return
    kept = table.__table__
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(kept)
    keys = [column.name for column in kept.primary_key]
    others = {column.name: insert.excluded[column.name] for column in kept.columns if column.name not in keys}
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_=others), list(rows))
