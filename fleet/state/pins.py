"""What is known of routers for good: keys, addresses, tombstones; and their names."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..errors import PlanRefused, UsageError
from ..model import Fact, IPAddress, PublicKey
from .schema import ConfigurationRow, Confirmed, EscrowedKey, Identity, Pin, Tombstone
from .store import Store, moment, put

HOLD_SECONDS: Final = 90 * 86400
"""How long the address of a router that left is given to nobody else."""


class Keep(Enum):
    """The default of `pin`: leave as it is, which None does not mean."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


class Pins(Store):
    """Pins of any number of overlays."""

    # ------------------------------------------------------------------------------------------------- facts
    def facts(self, overlay: str) -> dict[str, Fact]:
        """What is pinned, by router; those that left are included while their address is held."""
        with self.reading() as session:
            return {row.router: _fact(row) for row in self._held_pins(session, overlay)}

    def fact(self, overlay: str, router: str) -> Fact | None:
        """What is pinned of one router, None if nothing: `facts` of 1,000 routers is not asked 1,000 times."""
        with self.reading() as session:
            row = session.get(Pin, (overlay, router))
            expired = row is not None and row.left_at is not None and row.left_at < self.now(session) - HOLD_SECONDS
            return None if row is None or expired else _fact(row)

    def held(self, overlay: str) -> dict[str, tuple[IPAddress, ...]]:
        """Addresses that may be given to nobody else, by router: of all pinned ones, those that left for 90 days."""
        return {name: fact.addresses for name, fact in self.facts(overlay).items() if fact.addresses}

    def left(self, overlay: str) -> dict[str, dt.datetime]:
        """Since when routers are not in the inventory any more, as far as they are still remembered."""
        with self.reading() as session:
            pins = self._held_pins(session, overlay)
            return {row.router: moment(row.left_at) for row in pins if row.left_at is not None}

    def note_present(self, overlay: str, names: Collection[str]) -> None:
        """These routers are in the inventory and no others: starts the 90 days of those that left, ends them on return."""
        names = frozenset(names)
        with self.reading() as session:
            rows = session.scalars(select(Pin).where(Pin.overlay == overlay)).all()
            if all((row.router in names) == (row.left_at is None) for row in rows):
                return
        with self.writing() as session:
            now = self.now(session)
            for row in session.scalars(select(Pin).where(Pin.overlay == overlay)):
                if row.router in names:
                    row.left_at = None
                elif row.left_at is None:
                    row.left_at = now

    def pin(
        self,
        overlay: str,
        router: str,
        *,
        public_key: PublicKey | None | Keep = KEEP,
        addresses: Collection[IPAddress] | Keep = KEEP,
        epoch: int | Keep = KEEP,
        staged_key: PublicKey | None | Keep = KEEP,
    ) -> None:
        """Pin what is given, keep what is not. Writes nothing where nothing changes.

        Raises PlanRefused for a key that was revoked for ever.
        """
        old = self.fact(overlay, router)
        if _changed(old or Fact(), public_key, addresses, epoch, staged_key) == old:
            return
        with self.writing() as session:
            row = session.get(Pin, (overlay, router))
            fact = _changed(_fact(row) if row else Fact(), public_key, addresses, epoch, staged_key)
            _put(session, overlay, {router: fact})

    def pin_all(self, overlay: str, facts: Mapping[str, Fact]) -> None:
        """Pin whole facts of many routers in one transaction; writes nothing where nothing changes.

        Raises PlanRefused for a key that was revoked for ever; then none of them is pinned.
        """
        pinned = self.facts(overlay)
        changed = {name: fact for name, fact in facts.items() if pinned.get(name) != fact}
        if not changed:
            return
        with self.writing() as session:
            _put(session, overlay, changed)

    def pin_key(self, overlay: str, router: str, public_key: PublicKey | None) -> None:
        """Pin another key, or that it has none. Raises PlanRefused for a key that was revoked for ever."""
        self.pin(overlay, router, public_key=public_key)

    # -------------------------------------------------------------------------------------------- tombstones
    def tombstone(self, overlay: str, public_key: PublicKey, router: str = "") -> None:
        """Revoke a key for ever."""
        with self.writing() as session:
            if session.get(Tombstone, (overlay, str(public_key))) is None:
                row = {"overlay": overlay, "public_key": str(public_key), "router": router, "at": self.now(session)}
                put(session, Tombstone, [row])

    def tombstones(self, overlay: str) -> frozenset[PublicKey]:
        """All keys that were revoked for ever."""
        with self.reading() as session:
            keys = session.scalars(select(Tombstone.public_key).where(Tombstone.overlay == overlay)).all()
        return frozenset(map(PublicKey, keys))

    # ------------------------------------------------------------------------------------------------- names
    def rename(self, overlay: str, old: str, new: str) -> None:
        """A router has another name: its pins, identities, escrow and confirmed state follow; its history does not change.

        Does nothing if `old` is not known. Raises UsageError if `new` has pins of its own. An identity that a first contact
        under the new name pinned gives way to those that were accepted under the old one.
        """
        with self.reading() as session:
            identities = select(Identity.kind).where(Identity.overlay == overlay, Identity.name == old)
            kinds = set(session.scalars(identities))
            if not kinds and session.get(Pin, (overlay, old)) is None:
                return
        with self.writing() as session:
            if session.get(Pin, (overlay, new)) is not None:
                raise UsageError(
                    f"{old} cannot become {new}: {new} is known already", "choose another name, or forget one of them"
                )
            ours = (Identity.overlay == overlay, Identity.name == new)
            session.execute(delete(Identity).where(*ours, Identity.kind.in_(kinds)))
            for stale in (EscrowedKey, Confirmed, ConfigurationRow):
                session.execute(delete(stale).where(stale.overlay == overlay, stale.router == new))
            for table in (Pin, EscrowedKey, Confirmed, ConfigurationRow):
                session.execute(update(table).where(table.overlay == overlay, table.router == old).values(router=new))
            session.execute(update(Identity).where(Identity.overlay == overlay, Identity.name == old).values(name=new))

    def forget(self, overlay: str, name: str) -> None:
        """Forget everything of a router but its history and its tombstones; its address is free at once."""
        with self.writing() as session:
            for table in (Pin, EscrowedKey, Confirmed, ConfigurationRow):
                session.execute(delete(table).where(table.overlay == overlay, table.router == name))
            session.execute(delete(Identity).where(Identity.overlay == overlay, Identity.name == name))

    def _held_pins(self, session: Session, overlay: str) -> list[Pin]:
        rows = session.scalars(select(Pin).where(Pin.overlay == overlay)).all()
        oldest = self.now(session) - HOLD_SECONDS if any(row.left_at is not None for row in rows) else 0.0
        # Sorted here: a server sorts by its own collation.
        return sorted((row for row in rows if row.left_at is None or row.left_at >= oldest), key=lambda row: row.router)


def _put(session: Session, overlay: str, facts: Mapping[str, Fact]) -> None:
    revoked = set(session.scalars(select(Tombstone.public_key).where(Tombstone.overlay == overlay)))
    for router, fact in facts.items():
        for key in (fact.public_key, fact.staged_key):
            if key is not None and str(key) in revoked:
                raise PlanRefused(f"key {key} was revoked for ever and cannot come back to {router}", "make a new key")
    rows = [
        {
            "overlay": overlay,
            "router": router,
            "public_key": _text(fact.public_key),
            "staged_key": _text(fact.staged_key),
            "epoch": fact.epoch,
            "addresses": json.dumps([str(address) for address in fact.addresses]),
            "left_at": None,
        }
        for router, fact in facts.items()
    ]
    put(session, Pin, rows)


def _fact(row: Pin) -> Fact:
    return Fact(
        PublicKey(row.public_key) if row.public_key else None,
        tuple(ipaddress.ip_address(address) for address in json.loads(row.addresses)),
        row.epoch,
        PublicKey(row.staged_key) if row.staged_key else None,
    )


def _changed(
    fact: Fact,
    public_key: PublicKey | None | Keep,
    addresses: Collection[IPAddress] | Keep,
    epoch: int | Keep,
    staged_key: PublicKey | None | Keep,
) -> Fact:
    if not isinstance(public_key, Keep):
        fact = replace(fact, public_key=public_key)
    if not isinstance(addresses, Keep):
        fact = replace(fact, addresses=tuple(addresses))
    if not isinstance(epoch, Keep):
        fact = replace(fact, epoch=epoch)
    return fact if isinstance(staged_key, Keep) else replace(fact, staged_key=staged_key)


def _text(key: PublicKey | None) -> str | None:
    return None if key is None else str(key)
