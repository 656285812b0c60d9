"""The tables of fleet 0.1.0, which counted its layouts in `schema_version` and knew no migrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them all."""
    version = op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    op.bulk_insert(version, [{"version": 1}])
    _routers()
    _runs()
    op.create_table(
        "locks",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("host", sa.String(256), nullable=False),
        sa.Column("boot_id", sa.String(128), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("start_time", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("taken_at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
    )


def _routers() -> None:
    op.create_table(
        "pins",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("router", sa.String(32), primary_key=True),
        sa.Column("public_key", sa.String(44)),
        sa.Column("staged_key", sa.String(44)),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("addresses", sa.Text, nullable=False),
        sa.Column("left_at", sa.Float(53)),
    )
    op.create_table(
        "identities",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("value", sa.String(2048), primary_key=True),
        sa.Column("pinned_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "tombstones",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("public_key", sa.String(44), primary_key=True),
        sa.Column("router", sa.String(32), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "escrow",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("router", sa.String(32), primary_key=True),
        sa.Column("public_key", sa.String(44), primary_key=True),
        sa.Column("sealed_as", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "confirmed",
        sa.Column("overlay", sa.String(32), primary_key=True),
        sa.Column("router", sa.String(32), primary_key=True),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("configuration", sa.Text, nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("overlay", sa.String(32), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("inventory_commit", sa.String(64), nullable=False),
        sa.Column("plan_fingerprint", sa.String(128), nullable=False),
        sa.Column("started_at", sa.Float(53), nullable=False),
        sa.Column("finished_at", sa.Float(53)),
        sa.Column("outcome", sa.String(256), nullable=False),
        sa.Column("exit_code", sa.Integer),
    )
    op.create_index("runs_by_time", "runs", ["overlay", "started_at"])
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(32), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("router", sa.String(32), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_journal_run", "journal", ["run"])
    op.create_index("ix_journal_router", "journal", ["router"])
