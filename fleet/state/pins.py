"""What is known of routers for good: keys, addresses, identities, escrow, tombstones, the last confirmed sync."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal, TypeAlias

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..errors import PlanRefused, UsageError
from ..model import Fact, IPAddress, PublicKey
from .schema import Confirmed, EscrowedKey, Identity, Pin, Tombstone
from .store import Store, moment

HOLD_SECONDS: Final = 90 * 86400
"""How long the address of a router that left is given to nobody else."""

Kind: TypeAlias = Literal["ssh", "tls"]


class Keep(Enum):
    """The default of `pin`: leave as it is, which None does not mean."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


@dataclass(frozen=True, slots=True)
class Escrow:
    """A private key as sealed under the name `sealed_as`: `keys.unseal(secret, escrow.sealed_as, escrow.sealed)`."""

    public_key: PublicKey
    sealed: bytes
    sealed_as: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class ConfirmedState:
    """A router's last confirmed sync: fingerprint of the whole, of each object by identity, firmware version, when."""

    fingerprint: str
    objects: Mapping[str, str]
    version: str
    at: dt.datetime


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
            _put(session, overlay, router, fact)

    def pin_all(self, overlay: str, facts: Mapping[str, Fact]) -> None:
        """Pin whole facts of many routers in one transaction; writes nothing where nothing changes.

        Raises PlanRefused for a key that was revoked for ever; then none of them is pinned.
        """
        pinned = self.facts(overlay)
        changed = {name: fact for name, fact in facts.items() if pinned.get(name) != fact}
        if not changed:
            return
        with self.writing() as session:
            for name, fact in changed.items():
                _put(session, overlay, name, fact)

    def pin_key(self, overlay: str, router: str, public_key: PublicKey | None) -> None:
        """Pin another key, or that it has none. Raises PlanRefused for a key that was revoked for ever."""
        self.pin(overlay, router, public_key=public_key)

    # -------------------------------------------------------------------------------------------- identities
    def identity(self, overlay: str, name: str) -> dict[str, tuple[str, ...]]:
        """Accepted host key lines (`ssh`) and certificate fingerprints (`tls`) of a router or jump, oldest first."""
        with self.reading() as session:
            rows = session.scalars(
                select(Identity).where(Identity.overlay == overlay, Identity.name == name).order_by(Identity.pinned_at)
            ).all()
            return {kind: tuple(row.value for row in rows if row.kind == kind) for kind in sorted({row.kind for row in rows})}

    def pin_identity(self, overlay: str, name: str, kind: str, value: str) -> None:
        """Accept one more identity."""
        with self.writing() as session:
            if session.get(Identity, (overlay, name, kind, value)) is None:
                session.add(Identity(overlay=overlay, name=name, kind=kind, value=value, pinned_at=self.now(session)))

    def forget_identity(self, overlay: str, name: str, kind: str | None = None) -> None:
        """Accept none of the present identities any more; the next one seen is pinned. None: of every kind."""
        with self.writing() as session:
            which = delete(Identity).where(Identity.overlay == overlay, Identity.name == name)
            session.execute(which if kind is None else which.where(Identity.kind == kind))

    # --------------------------------------------------------------------------------- tombstones and escrow
    def tombstone(self, overlay: str, public_key: PublicKey, router: str = "") -> None:
        """Revoke a key for ever."""
        with self.writing() as session:
            if session.get(Tombstone, (overlay, str(public_key))) is None:
                session.add(Tombstone(overlay=overlay, public_key=str(public_key), router=router, at=self.now(session)))

    def tombstones(self, overlay: str) -> frozenset[PublicKey]:
        """All keys that were revoked for ever."""
        with self.reading() as session:
            keys = session.scalars(select(Tombstone.public_key).where(Tombstone.overlay == overlay)).all()
        return frozenset(map(PublicKey, keys))

    def put_escrow(self, overlay: str, router: str, sealed: bytes, public_key: PublicKey) -> None:
        """Keep a private key that was sealed under this router's name; durable when it returns."""
        with self.writing() as session:
            session.merge(
                EscrowedKey(
                    overlay=overlay,
                    router=router,
                    public_key=str(public_key),
                    sealed_as=router,
                    sealed=sealed,
                    at=self.now(session),
                )
            )

    def get_escrow(self, overlay: str, router: str, public_key: PublicKey | None = None) -> Escrow | None:
        """The sealed half of this public key, without one the newest of the router; None if there is none."""
        which = select(EscrowedKey).where(EscrowedKey.overlay == overlay, EscrowedKey.router == router)
        if public_key is not None:
            which = which.where(EscrowedKey.public_key == str(public_key))
        with self.reading() as session:
            row = session.scalars(which.order_by(EscrowedKey.at.desc())).first()
            return Escrow(PublicKey(row.public_key), row.sealed, row.sealed_as, moment(row.at)) if row else None

    # --------------------------------------------------------------------------------------------- confirmed
    def confirmed(self, overlay: str, router: str) -> ConfirmedState | None:
        """The last confirmed sync of a router, None before its first."""
        with self.reading() as session:
            row = session.get(Confirmed, (overlay, router))
            if row is None:
                return None
            return ConfirmedState(row.fingerprint, json.loads(row.configuration), row.version, moment(row.at))

    def set_confirmed(
        self, overlay: str, router: str, *, fingerprint: str, objects: Mapping[str, str], version: str = ""
    ) -> None:
        """A sync was confirmed. `objects` are fingerprints by identity, so that nothing secret is in them."""
        with self.writing() as session:
            session.merge(
                Confirmed(
                    overlay=overlay,
                    router=router,
                    fingerprint=fingerprint,
                    configuration=json.dumps(dict(objects), sort_keys=True),
                    version=version,
                    at=self.now(session),
                )
            )

    # ------------------------------------------------------------------------------------------------- names
    def rename(self, overlay: str, old: str, new: str) -> None:
        """A router has another name: its pins, identities, escrow and confirmed state follow; its history does not change.

        Does nothing if `old` is not known. Raises UsageError if `new` has pins of its own.
        """
        with self.reading() as session:
            if session.get(Pin, (overlay, old)) is None and not self.identity(overlay, old):
                return
        with self.writing() as session:
            if session.get(Pin, (overlay, new)) is not None:
                raise UsageError(
                    f"{old} cannot become {new}: {new} is known already", "choose another name, or forget one of them"
                )
            for table in (Pin, EscrowedKey, Confirmed):
                session.execute(update(table).where(table.overlay == overlay, table.router == old).values(router=new))
            session.execute(update(Identity).where(Identity.overlay == overlay, Identity.name == old).values(name=new))

    def forget(self, overlay: str, name: str) -> None:
        """Forget everything of a router but its history and its tombstones; its address is free at once."""
        with self.writing() as session:
            for table in (Pin, EscrowedKey, Confirmed):
                session.execute(delete(table).where(table.overlay == overlay, table.router == name))
            session.execute(delete(Identity).where(Identity.overlay == overlay, Identity.name == name))

    def _held_pins(self, session: Session, overlay: str) -> list[Pin]:
        rows = session.scalars(select(Pin).where(Pin.overlay == overlay).order_by(Pin.router)).all()
        oldest = self.now(session) - HOLD_SECONDS if any(row.left_at is not None for row in rows) else 0.0
        return [row for row in rows if row.left_at is None or row.left_at >= oldest]


def _put(session: Session, overlay: str, router: str, fact: Fact) -> None:
    for key in (fact.public_key, fact.staged_key):
        if key is not None and session.get(Tombstone, (overlay, str(key))) is not None:
            raise PlanRefused(f"key {key} was revoked for ever and cannot come back to {router}", "make a new key")
    session.merge(
        Pin(
            overlay=overlay,
            router=router,
            public_key=_text(fact.public_key),
            staged_key=_text(fact.staged_key),
            epoch=fact.epoch,
            addresses=json.dumps([str(address) for address in fact.addresses]),
            left_at=None,
        )
    )


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
