"""Which SSH host keys and TLS certificates were accepted, by router and jump."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select

from .schema import Identity
from .store import Store, put


class Identities(Store):
    """Accepted identities of any number of overlays."""

    def identity(self, overlay: str, name: str) -> dict[str, tuple[str, ...]]:
        """Accepted host key lines (`ssh`) and certificate fingerprints (`tls`) of a router or jump, oldest first."""
        which = select(Identity).where(Identity.overlay == overlay, Identity.name == name)
        with self.reading() as session:
            return _by_name(session.scalars(which.order_by(Identity.pinned_at))).get(name, {})

    def identities(self, overlay: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """`identity` of every router and jump that has one, in one question."""
        which = select(Identity).where(Identity.overlay == overlay)
        with self.reading() as session:
            return _by_name(session.scalars(which.order_by(Identity.pinned_at)))

    def pin_identity(self, overlay: str, name: str, kind: str, value: str) -> None:
        """Accept one more identity. One that is accepted already keeps its place."""
        with self.writing() as session:
            if session.get(Identity, (overlay, name, kind, value)) is None:
                row = {"overlay": overlay, "name": name, "kind": kind, "value": value, "pinned_at": self.now(session)}
                put(session, Identity, [row])

    def forget_identity(self, overlay: str, name: str, kind: str | None = None) -> None:
        """Accept none of the present identities any more; the next one seen is pinned. None: of every kind."""
        with self.writing() as session:
            which = delete(Identity).where(Identity.overlay == overlay, Identity.name == name)
            session.execute(which if kind is None else which.where(Identity.kind == kind))


def _by_name(rows: Iterable[Identity]) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in rows:
        kinds = found.setdefault(row.name, {})
        kinds[row.kind] = (*kinds.get(row.kind, ()), row.value)
    return found
