"""Where a state is: a SQLite file or a PostgreSQL database; how each is opened, and what its errors ask a person to do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_random

from ..errors import UsageError
from ..secrets import FOLDER, private_folder

FILE: Final = "state.db"
BUSY_SECONDS: Final = 30.0
"""How long a process waits for another one's transaction."""
STOPPED_SECONDS: Final = 15.0
"""After this PostgreSQL ends the session of a process that was stopped inside a transaction, before those that wait give up."""
CONNECT_SECONDS: Final = 10
WRITER: Final = 0x666C656574  # "fleet"
"""Names the advisory lock under which every writing transaction runs on PostgreSQL: one writer at a time, as on SQLite."""


@dataclass(frozen=True, slots=True)
class Place:
    """A SQLite file (`path`) or a PostgreSQL database (`url`). `shown` is for messages and holds no password."""

    shown: str
    path: Path | None = None
    url: URL | None = None

    def engine(self) -> Engine:
        """Connections to it, made on first use. Raises UsageError."""
        return _server(self.url, self.shown) if self.url is not None else _file(self.path or Path())


def place(given: str | Path) -> Place:
    """What `--state` names. Raises UsageError for what is neither a path nor a URL of a database that fleet can use."""
    if isinstance(given, Path) or "://" not in given:
        path = Path(given).expanduser()
        path = path / FILE if path.is_dir() else path
        return Place(str(path), path)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number, which may be half of a password
        raise UsageError("--state is not a database URL", "give a path, sqlite:///PATH or postgresql://...") from None
    if url.get_backend_name() == "sqlite":
        if not url.database:
            raise UsageError("--state names no file", "give it as sqlite:///PATH")
        path = Path(url.database).expanduser()
        return Place(str(path), path)
    return _database(url)


def _database(url: URL) -> Place:
    # What follows an unescaped @ would be taken for a host name, and be shown as one.
    if "@" in (url.host or "") + (url.database or ""):
        raise UsageError(
            "--state is not a database URL: it has more than one @",
            "write @ : / in a password as %40 %3A %2F, or keep the password in PGPASSFILE or PGPASSWORD",
        )
    shown = _shown(url)
    if url.drivername == "postgres":
        url = url.set(drivername="postgresql")
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise UsageError(f"state {shown}: unknown kind of database", "give a path or postgresql://...")
    return Place(shown, url=url.set(drivername="postgresql+psycopg"))


def _shown(url: URL) -> str:
    """Without a password, wherever it stands: libpq takes one, and one of a key file, as a parameter too."""
    secret = [name for name in url.query if "password" in name.lower()]
    return url.difference_update_query(secret).render_as_string(hide_password=True)


# --------------------------------------------------------------------------------------------------------- SQLite
def _file(path: Path) -> Engine:
    url, prepare = f"sqlite:///{path}", _on_connect
    if path.exists() and not os.access(path, os.W_OK):
        # Somebody else's state, to be looked at: a WAL database wants to write beside itself even for reading.
        url, prepare = f"sqlite:///file:{path}?immutable=1&uri=true", _on_connect_for_reading
    else:
        _private_file(path)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _on_begin)
    return engine


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
    # Two processes that make a database WAL at one moment would wait for each other: SQLite refuses one at once, without
    # its busy handler (3.40, seen 2026-11).
    attempts = Retrying(
        retry=retry_if_exception_message(match="database is locked"),
        wait=wait_random(0.02, 0.2),
        stop=stop_after_delay(BUSY_SECONDS),
        reraise=True,
    )
    attempts(lambda: connection.execute("PRAGMA journal_mode=WAL").close())
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_connect_for_reading(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("query_only=ON", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("fleet_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# ----------------------------------------------------------------------------------------------------- PostgreSQL
def _server(url: URL, shown: str) -> Engine:
    """Password, service, certificates and the like come from the URL or from libpq's own variables and files."""
    # A network that swallows packets must not hold up a lock's owner for a quarter of an hour (tcp_retries2).
    patience = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(BUSY_SECONDS * 1000),
        "application_name": "fleet",
    }
    arguments: dict[str, Any] = {name: value for name, value in patience.items() if name not in url.query}
    arguments["prepare_threshold"] = None  # a pooler between us and the server may not keep prepared statements
    try:
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, hide_parameters=True)
    except ImportError:  # ModuleNotFoundError without psycopg, ImportError where it finds no libpq
        raise UsageError(
            f"state {shown}: the driver psycopg is not installed", "install it with fleet: pip install 'fleet-wg[postgres]'"
        ) from None
    event.listen(engine, "begin", _on_begin_at_server)
    return engine


def _on_begin_at_server(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("fleet_reads"):
        connection.exec_driver_sql("set transaction isolation level repeatable read, read only").close()
    if not options.get("fleet_writes"):
        return
    settings = {
        "lock_timeout": f"{int(BUSY_SECONDS * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{int(STOPPED_SECONDS * 1000)}ms",
        "synchronous_commit": "on",
    }
    said = "; ".join(f"set local {name} = '{value}'" for name, value in settings.items())
    connection.exec_driver_sql(f"{said}; select pg_advisory_xact_lock({WRITER})").close()


# --------------------------------------------------------------------------------------------------------- errors
CURES: Final = (
    (("locked", "lock timeout"), "another process keeps it busy; try again when that has ended"),
    (
        ("not a database", "malformed"),
        "restore a backup, or move it away: it is rebuilt from the routers, without escrow and history",
    ),
    (
        ("read-only transaction", "during recovery"),
        "this server is a standby, or lets this user only read; give the primary with --state",
    ),
    (("readonly", "read-only"), "check owner and rights of the file and its folder"),
    (("disk is full", "disk full", "no space left"), "make room on the disk"),
    (("password", "authentication"), "check the user; its password is read from PGPASSFILE (~/.pgpass) or PGPASSWORD"),
    (("permission denied",), "let this user create tables in the database, or give another place with --state"),
    (("does not exist",), "make it on the server (createuser, createdb), or give another place with --state"),
    (("too many clients", "connection slots"), "wait until others have ended, or raise max_connections on the server"),
    (("idle-in-transaction",), "this machine was stopped in the middle of a write, which was undone; run the command again"),
)


def cure(why: str) -> str:
    """The next action for what a database said."""
    said = why.lower()
    for words, action in CURES:
        if any(word in said for word in words):
            return action
    return "check that the database can be reached, or give another place with --state"


def reason(error: BaseException | None) -> str:
    """What a database said, on one line; empty if it said nothing."""
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    # psycopg, several hosts: a heading, then one line per host.
    return " ".join(lines[:2] if lines and lines[0].startswith("Multiple connection attempts") else lines[:1])
