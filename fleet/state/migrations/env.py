"""Run by alembic at every upgrade: over the connection that fleet hands over, inside the transaction that fleet began."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
