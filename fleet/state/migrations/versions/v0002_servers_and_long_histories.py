"""PostgreSQL keeps to the declared lengths that SQLite ignores; history of thousands of routers is answered by indexes alone.

`schema_version` stays, above what fleet 0.1.0 knows, so that it refuses this layout with its own sentence instead of
making its tables anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UNBOUNDED = {
    "pins": ("overlay", "router", "public_key", "staged_key"),
    "identities": ("overlay", "name", "kind", "value"),
    "tombstones": ("overlay", "public_key", "router"),
    "escrow": ("overlay", "router", "public_key", "sealed_as"),
    "confirmed": ("overlay", "router", "fingerprint", "version"),
    "runs": ("id", "overlay", "actor", "inventory_commit", "plan_fingerprint", "outcome"),
    "journal": ("run", "router", "phase"),
    "locks": ("overlay", "token", "host", "boot_id", "start_time", "actor"),
}


def upgrade() -> None:
    """Text without length on PostgreSQL (no table is rewritten there; on SQLite it always was), covering indexes."""
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in UNBOUNDED.items():
            for column in columns:
                op.alter_column(table, column, type_=sa.Text())
    op.drop_index("ix_journal_run", "journal")
    op.drop_index("ix_journal_router", "journal")
    op.create_index("journal_by_run", "journal", ["run", "router"])
    op.create_index("journal_by_router", "journal", ["router", "run"])
    op.execute("update schema_version set version = 2")
