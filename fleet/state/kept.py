"""What is kept of routers besides their pins: sealed private keys, and what the last confirmed sync left them with."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from ..model import PublicKey
from .schema import Confirmed, EscrowedKey
from .store import Store, moment, put


@dataclass(frozen=True, slots=True)
class Escrow:
    """A private key as sealed under the name `sealed_as`: `keys.unseal(secret, escrow.sealed_as, escrow.sealed)`."""

    public_key: PublicKey
    sealed: bytes
    sealed_as: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a sync confirmed: fingerprint of the whole, of each object by identity, firmware version."""

    fingerprint: str
    objects: Mapping[str, str]
    version: str


@dataclass(frozen=True, slots=True)
class ConfirmedState(Confirmation):
    """A router's last confirmed sync, and when it was."""

    at: dt.datetime


class Kept(Store):
    """Escrow and confirmed states of any number of overlays."""

    # ------------------------------------------------------------------------------------------------ escrow
    def put_escrow(self, overlay: str, router: str, sealed: bytes, public_key: PublicKey) -> None:
        """Keep a private key that was sealed under this router's name; durable when it returns."""
        row = {"overlay": overlay, "router": router, "public_key": str(public_key), "sealed_as": router, "sealed": sealed}
        with self.writing() as session:
            put(session, EscrowedKey, [{**row, "at": self.now(session)}])

    def get_escrow(self, overlay: str, router: str, public_key: PublicKey | None = None) -> Escrow | None:
        """The sealed half of this public key, without one the newest of the router; None if there is none."""
        which = select(EscrowedKey).where(EscrowedKey.overlay == overlay, EscrowedKey.router == router)
        if public_key is not None:
            which = which.where(EscrowedKey.public_key == str(public_key))
        with self.reading() as session:
            row = session.scalars(which.order_by(EscrowedKey.at.desc())).first()
            return None if row is None else _escrow(row)

    def escrows(self, overlay: str) -> dict[str, tuple[Escrow, ...]]:
        """All sealed keys by router, the newest first, in one question."""
        which = select(EscrowedKey).where(EscrowedKey.overlay == overlay).order_by(EscrowedKey.at.desc())
        found: dict[str, tuple[Escrow, ...]] = {}
        with self.reading() as session:
            for row in session.scalars(which):
                found[row.router] = (*found.get(row.router, ()), _escrow(row))
        return found

    # --------------------------------------------------------------------------------------------- confirmed
    def confirmed(self, overlay: str, router: str) -> ConfirmedState | None:
        """The last confirmed sync of a router, None before its first."""
        with self.reading() as session:
            row = session.get(Confirmed, (overlay, router))
            return None if row is None else _confirmed(row)

    def confirmed_all(self, overlay: str) -> dict[str, ConfirmedState]:
        """`confirmed` of every router that has one, in one question."""
        with self.reading() as session:
            rows: Iterable[Confirmed] = session.scalars(select(Confirmed).where(Confirmed.overlay == overlay))
            return {row.router: _confirmed(row) for row in rows}

    def set_confirmed(
        self, overlay: str, router: str, *, fingerprint: str, objects: Mapping[str, str], version: str = ""
    ) -> None:
        """A sync was confirmed. `objects` are fingerprints by identity, so that nothing secret is in them."""
        self.set_confirmed_all(overlay, {router: Confirmation(fingerprint, objects, version)})

    def set_confirmed_all(self, overlay: str, confirmed: Mapping[str, Confirmation]) -> None:
        """The sync of many routers was confirmed, all at the same moment: one statement, one transaction."""
        if not confirmed:
            return
        rows = [
            {
                "overlay": overlay,
                "router": router,
                "fingerprint": one.fingerprint,
                "configuration": json.dumps(dict(one.objects), sort_keys=True),
                "version": one.version,
            }
            for router, one in confirmed.items()
        ]
        with self.writing() as session:
            now = self.now(session)
            put(session, Confirmed, [{**row, "at": now} for row in rows])


def _escrow(row: EscrowedKey) -> Escrow:
    return Escrow(PublicKey(row.public_key), row.sealed, row.sealed_as, moment(row.at))


def _confirmed(row: Confirmed) -> ConfirmedState:
    return ConfirmedState(row.fingerprint, json.loads(row.configuration), row.version, moment(row.at))
