"""The database under the state: opened on first use, short transactions, errors that say what to do."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from ..errors import FleetError, UsageError
from ..secrets import FOLDER, private_folder
from .schema import VERSION, Base, SchemaVersion

FILE: Final = "state.db"
BUSY_SECONDS: Final = 30.0
"""How long a process waits for another one's transaction."""


class Store:
    """A database of fleet's tables. Thread-safe; nothing is created on disk before the first write."""

    def __init__(self, place: str | Path) -> None:
        self._place = place
        self._path = _sqlite_path(place)
        self._opening = threading.Lock()
        # SQLite has one writer; waiting for it here is fair and immediate, waiting inside SQLite is a sleep in steps.
        self._writing = threading.Lock()
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        with self._opening:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @property
    def shown(self) -> str:
        """Where the state is, without a password."""
        return str(self._path) if self._path else make_url(str(self._place)).render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one moment and changes nothing. Raises UsageError."""
        if self._engine is None and self._path is not None and not self._path.exists():
            yield from self._nothing()
            return
        with self._said(), Session(self._opened(), expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is durable when it ends. Raises UsageError."""
        engine = self._opened()
        with self._said(), self._writing, engine.connect() as connection:
            connection = connection.execution_options(fleet_writes=True)
            with Session(connection) as session, session.begin():
                yield session

    def now(self, session: Session) -> float:
        """Unix seconds by the database's clock, which is the one that all machines share."""
        if session.get_bind().dialect.name == "sqlite":
            return time.time()  # SQLite runs in this process and has no other clock; asked by SQL it tells milliseconds only
        return float(session.scalar(text("select extract(epoch from clock_timestamp())")) or 0.0)

    def _nothing(self) -> Iterator[Session]:
        """What a state that does not exist yet answers: looking at a fleet must not leave files behind."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        try:
            Base.metadata.create_all(engine)
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                with self._said():
                    engine = self._connected()
                    try:
                        _prepare(engine, self.shown)
                    except BaseException:
                        engine.dispose()
                        raise
                    self._engine = engine
            return self._engine

    def _connected(self) -> Engine:
        if self._path is None:
            return _server(str(self._place), self.shown)
        url, prepare = f"sqlite:///{self._path}", _on_connect
        if self._path.exists() and not os.access(self._path, os.W_OK):
            # Somebody else's state, to be looked at: a WAL database wants to write beside itself even for reading.
            url, prepare = f"sqlite:///file:{self._path}?immutable=1&uri=true", _on_connect_for_reading
        else:
            _private_file(self._path)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
        event.listen(engine, "connect", prepare)
        event.listen(engine, "begin", _on_begin)
        return engine

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            why = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else type(error).__name__
            raise UsageError(f"state {self.shown}: {why}", _cure(why)) from error


def moment(seconds: float) -> dt.datetime:
    """Unix seconds as a time with its zone, UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _sqlite_path(place: str | Path) -> Path | None:
    """The file, None for a database server. Raises UsageError for what is neither path nor URL."""
    if isinstance(place, Path) or "://" not in place:
        path = Path(place).expanduser()
        return path / FILE if path.is_dir() else path
    try:
        url = make_url(place)
    except ArgumentError:
        raise UsageError("--state is not a database URL", "give a path, sqlite:///PATH or postgresql://...") from None
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database:
        raise UsageError("--state names no file", "give it as sqlite:///PATH")
    return Path(url.database).expanduser()


def _server(url: str, shown: str) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True)
    except NoSuchModuleError:
        raise UsageError(f"state {shown}: unknown kind of database", "give a path or postgresql://...") from None
    except ModuleNotFoundError as error:
        raise UsageError(
            f"state {shown}: the driver {error.name} is not installed", f"install it beside fleet: pip install {error.name}"
        ) from None


def _private_file(path: Path) -> None:
    """Made with mode 0600, or brought to it; SQLite gives its -wal and -shm files the mode of this one."""
    if path.parent.name == FOLDER:
        private_folder(path.parent.parent)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise UsageError(
            f"state {path}: {error.strerror}", "check owner and rights, or give another place with --state"
        ) from None


def _on_connect(connection: Any, _record: object) -> None:
    # sqlite3 would begin transactions by itself, deferred, and then fail instead of waiting when a reader turns writer.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_connect_for_reading(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("query_only=ON", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("fleet_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(engine: Engine, shown: str) -> None:
    """Make the tables of a new state; refuse those of a newer fleet."""
    with engine.connect() as connection:
        if inspect(connection).has_table(SchemaVersion.__tablename__):
            _check_version(connection, shown)
            return
        connection.rollback()
        connection = connection.execution_options(fleet_writes=True)
        with connection.begin():
            Base.metadata.create_all(connection)
            if connection.scalar(select(SchemaVersion.version)) is None:  # another process may have been faster
                connection.execute(SchemaVersion.__table__.insert().values(version=VERSION))  # type: ignore[attr-defined]


def _check_version(connection: Connection, shown: str) -> None:
    found = connection.scalar(select(SchemaVersion.version))
    if found is not None and found > VERSION:
        raise UsageError(f"state {shown} was made by a newer fleet (tables {found}, this one knows {VERSION})", "upgrade fleet")


def _cure(why: str) -> str:
    with suppress(FleetError):
        if "locked" in why:
            return "another process keeps it busy; try again when that has ended"
        if "not a database" in why or "malformed" in why:
            return "restore a backup, or move it away: it is rebuilt from the routers, without escrow and history"
        if "full" in why:
            return "make room on the disk"
        if "readonly" in why or "read-only" in why:
            return "check owner and rights of the file and its folder"
    return "check that the database can be reached, or give another place with --state"
