"""Tables of the state. Everything is keyed by overlay name; times are Unix seconds; no column ever holds a bare secret."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

VERSION: Final = 1
"""Of these tables. Raise it with every change, and bring older states along in `store.py`."""


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {float: Float(53)}  # noqa: RUF012 - SQLAlchemy's own form


class SchemaVersion(Base):
    """One row: which version of fleet's tables this is."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True)


class Pin(Base):
    """What is known of a router for good. `addresses` is a JSON list; `left_at` is set while it is not in the inventory."""

    __tablename__ = "pins"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    router: Mapped[str] = mapped_column(String(32), primary_key=True)
    public_key: Mapped[str | None] = mapped_column(String(44))
    staged_key: Mapped[str | None] = mapped_column(String(44))
    epoch: Mapped[int] = mapped_column(default=0)
    addresses: Mapped[str] = mapped_column(Text, default="[]")
    left_at: Mapped[float | None]


class Identity(Base):
    """An SSH host key line or TLS fingerprint that a router or jump showed and that was accepted."""

    __tablename__ = "identities"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    value: Mapped[str] = mapped_column(String(2048), primary_key=True)
    pinned_at: Mapped[float]


class Tombstone(Base):
    """A public key that was revoked for ever."""

    __tablename__ = "tombstones"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    public_key: Mapped[str] = mapped_column(String(44), primary_key=True)
    router: Mapped[str] = mapped_column(String(32), default="")
    at: Mapped[float]


class EscrowedKey(Base):
    """A private key, sealed with the fleet secret under the name `sealed_as`, which a rename does not change."""

    __tablename__ = "escrow"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    router: Mapped[str] = mapped_column(String(32), primary_key=True)
    public_key: Mapped[str] = mapped_column(String(44), primary_key=True)
    sealed_as: Mapped[str] = mapped_column(String(32))
    sealed: Mapped[bytes]
    at: Mapped[float]


class Confirmed(Base):
    """The last sync of a router that was read back and confirmed."""

    __tablename__ = "confirmed"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    router: Mapped[str] = mapped_column(String(32), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(128))
    configuration: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(128), default="")
    at: Mapped[float]


class RunRow(Base):
    """One command that wrote, or meant to."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    overlay: Mapped[str] = mapped_column(String(32))
    command: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(256))
    inventory_commit: Mapped[str] = mapped_column(String(64), default="")
    plan_fingerprint: Mapped[str] = mapped_column(String(128), default="")
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    outcome: Mapped[str] = mapped_column(String(256), default="")
    exit_code: Mapped[int | None]

    __table_args__ = (Index("runs_by_time", "overlay", "started_at"),)


class EntryRow(Base):
    """One line of a run's journal; only ever added. `detail` is JSON or null."""

    __tablename__ = "journal"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    router: Mapped[str] = mapped_column(String(32), index=True)
    phase: Mapped[str] = mapped_column(String(32))
    text: Mapped[str] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    at: Mapped[float]


class LockRow(Base):
    """Who writes an overlay's fleet now. Times are the database's own."""

    __tablename__ = "locks"
    overlay: Mapped[str] = mapped_column(String(32), primary_key=True)
    token: Mapped[str] = mapped_column(String(32))
    host: Mapped[str] = mapped_column(String(256))
    boot_id: Mapped[str] = mapped_column(String(128))
    pid: Mapped[int]
    start_time: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(256))
    command: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[float]
    expires_at: Mapped[float]
