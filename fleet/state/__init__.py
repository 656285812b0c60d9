"""What fleet remembers between runs: pins, escrow, confirmed states, the journal, and who is writing now.

The routers and the inventory are the truth; pins and addresses can be read back from the routers' marks. Only tombstones,
escrow and history live here alone. SQLite in `.fleet/state.db` by default, a PostgreSQL database by URL: by its own name
`postgresql://user@host/database`, with the password in PGPASSFILE or PGPASSWORD.
"""

from __future__ import annotations

from pathlib import Path

from ..secrets import FOLDER
from .configurations import CONFIGURATION, KEEP_CONFIGURATIONS, Configurations
from .identities import Identities
from .journal import Entry, Journal, Line, Run, RunRecord
from .kept import Confirmation, ConfirmedState, Escrow, Kept
from .lock import Lock, Locks
from .machine import Owner, actor, inventory_commit
from .pins import KEEP, Pins
from .place import FILE

__all__ = [
    "CONFIGURATION",
    "KEEP",
    "KEEP_CONFIGURATIONS",
    "Confirmation",
    "ConfirmedState",
    "Entry",
    "Escrow",
    "Line",
    "Lock",
    "Owner",
    "Run",
    "RunRecord",
    "State",
    "actor",
    "default_place",
    "inventory_commit",
    "open_state",
]


class State(Pins, Identities, Kept, Configurations, Journal, Locks):
    """Everything remembered about any number of overlays. Thread-safe; use it as a context manager."""


def open_state(place: str | Path) -> State:
    """The state at a path or database URL.

    Nothing is opened before the first use, and nothing made before the first write: what does not exist reads as empty.
    Tables are made and migrated by the first write.
    Raises UsageError, now or at first use: unusable URL, unreachable or damaged database, made by a newer fleet.
    """
    return State(place)


def default_place(folder: Path | str) -> Path:
    """Where the state of an inventory folder is, unless somebody says otherwise."""
    return Path(folder) / FOLDER / FILE
