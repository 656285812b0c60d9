"""Which layout of tables a database has, and bringing it to the present one with alembic's migrations.

There is no ini file, and alembic is imported only when there is something to migrate: a state that is up to date is told by
one query. The steps themselves are in `migrations/`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from ..errors import UsageError

LEGACY: Final = "version 1"
"""The tables of fleet 0.1.0, which wrote no revision: those of revision 0001."""
LAYOUTS: Final = ("0001", "0002", "0003")
"""All revisions, oldest first. A test compares them with the files in `migrations/versions`."""
HEAD: Final = LAYOUTS[-1]
READABLE: Final = frozenset({LEGACY, *LAYOUTS})
"""Layouts that reading understands as they are, so that looking at an older state changes nothing in it."""

MIGRATIONS: Final = Path(__file__).with_name("migrations")
_alembic = threading.Lock()  # alembic hands the connection to the steps through one global


def layout(connection: Connection) -> str | None:
    """The layout of this database, None if it has no tables of fleet; one query where it has. Leaves no transaction open."""
    try:
        with connection.begin():
            return _revision(connection)
    except DBAPIError:
        with connection.begin():
            return _looked_up(connection)


def _revision(connection: Connection) -> str | None:
    found = connection.scalar(text("select version_num from alembic_version"))
    return None if found is None else str(found)


def _looked_up(connection: Connection) -> str | None:
    """The same without a query that may fail, which would end a transaction on PostgreSQL."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        return _revision(connection)
    if not tables.has_table("schema_version"):
        return None
    version = connection.scalar(text("select version from schema_version"))
    return LEGACY if version in (None, 1) else f"version {version}"


def require_known(found: str | None, shown: str) -> None:
    """Raises UsageError for a layout that this fleet does not know."""
    if found is not None and found not in READABLE and found not in LAYOUTS:
        raise UsageError(
            f"state {shown} was made by a newer fleet (its tables are {found}, this one knows up to {HEAD})",
            "upgrade fleet; if the database belongs to another program, give a place of its own with --state",
        )


def upgrade(connection: Connection, shown: str) -> None:
    """Make or migrate the tables, in the transaction that this connection is in and that no other process is in.

    Raises UsageError for a layout that this fleet does not know; does nothing where another process was faster.
    """
    found = _looked_up(connection)
    require_known(found, shown)
    if found == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        if found == LEGACY:
            command.stamp(config, LAYOUTS[0])
        command.upgrade(config, "head")
