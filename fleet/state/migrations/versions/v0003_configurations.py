"""What syncs confirmed, so that `sync --back-to RUN` can bring it back: the last ten configurations of every router."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One table; older runs have nothing in it."""
    op.create_table(
        "configurations",
        sa.Column("overlay", sa.Text, primary_key=True),
        sa.Column("router", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
