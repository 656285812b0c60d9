"""Tables of the state. Everything is keyed by overlay name; times are Unix seconds; no column ever holds a bare secret.

Every change here needs a step in `migrations/`, which says how.
"""

from __future__ import annotations

from sqlalchemy import Dialect, Float, ForeignKey, Index, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Words(TypeDecorator[str]):
    """What routers and people said. PostgreSQL takes no NUL in text, and no database takes half a surrogate pair."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The same text, U+FFFD in place of what cannot be kept."""
        if value is None:
            return None
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {float: Float(53)}  # noqa: RUF012 - SQLAlchemy's own form


class SchemaVersion(Base):
    """One row, above 1, for fleet 0.1.0 alone: it counted layouts here and refuses a number it does not know."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True)


class Pin(Base):
    """What is known of a router for good. `addresses` is a JSON list; `left_at` is set while it is not in the inventory."""

    __tablename__ = "pins"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    router: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[str | None] = mapped_column(Text)
    staged_key: Mapped[str | None] = mapped_column(Text)
    epoch: Mapped[int] = mapped_column(default=0)
    addresses: Mapped[str] = mapped_column(Text, default="[]")
    left_at: Mapped[float | None]


class Identity(Base):
    """An SSH host key line or TLS fingerprint that a router or jump showed and that was accepted."""

    __tablename__ = "identities"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)
    pinned_at: Mapped[float]


class Tombstone(Base):
    """A public key that was revoked for ever."""

    __tablename__ = "tombstones"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[str] = mapped_column(Text, primary_key=True)
    router: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[float]


class EscrowedKey(Base):
    """A private key, sealed with the fleet secret under the name `sealed_as`, which a rename does not change."""

    __tablename__ = "escrow"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    router: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[str] = mapped_column(Text, primary_key=True)
    sealed_as: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes]
    at: Mapped[float]


class Confirmed(Base):
    """The last sync of a router that was read back and confirmed."""

    __tablename__ = "confirmed"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    router: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    configuration: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Words, default="")
    at: Mapped[float]


class ConfigurationRow(Base):
    """A configuration of a router that a sync confirmed, at last at that time. `content` is JSON without secrets."""

    __tablename__ = "configurations"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    router: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    content: Mapped[str] = mapped_column(Text)
    at: Mapped[float]


class RunRow(Base):
    """One command that wrote, or meant to."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    overlay: Mapped[str] = mapped_column(Text)
    command: Mapped[str] = mapped_column(Words)
    actor: Mapped[str] = mapped_column(Words)
    inventory_commit: Mapped[str] = mapped_column(Text, default="")
    plan_fingerprint: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str] = mapped_column(Words, default="")
    exit_code: Mapped[int | None]

    __table_args__ = (Index("runs_by_time", "overlay", "started_at"),)


class EntryRow(Base):
    """One line of a run's journal; only ever added. `detail` is JSON or null."""

    __tablename__ = "journal"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    router: Mapped[str] = mapped_column(Text)
    phase: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Words)
    detail: Mapped[str | None] = mapped_column(Text)
    at: Mapped[float]

    # Both ways, so that "which routers did these runs touch" and "which runs touched this router" read no rows.
    __table_args__ = (Index("journal_by_run", "run", "router"), Index("journal_by_router", "router", "run"))


class LockRow(Base):
    """Who writes an overlay's fleet now. Times are the database's own."""

    __tablename__ = "locks"
    overlay: Mapped[str] = mapped_column(Text, primary_key=True)
    token: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    boot_id: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    start_time: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Words)
    command: Mapped[str] = mapped_column(Words)
    taken_at: Mapped[float]
    expires_at: Mapped[float]
