"""Whether changes that were written mend the way to a router that did not answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from ..changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    Reapply,
    SetInterface,
    SetOpening,
    SetPeer,
    SetRoute,
)
from ..danger import managed_through
from ..model import Fleet


def leads_to(name: str, made: Mapping[str, Sequence[Change]], fleet: Fleet) -> bool:
    """True if a router on the way to `name` was changed in what that way crosses: itself, or its peer and routes for it.

    A hub that got a peer for somebody else is no reason to expect a router that is off.
    """
    carriers = {carrier for carrier, carried in managed_through(fleet).items() if name in carried}
    return any(_mends(change, carriers | {name}) for carrier in carriers for change in made.get(carrier, ()))


def _mends(change: Change, way: AbstractSet[str]) -> bool:
    match change:
        case AddPeer() | SetPeer() | AddRoute() | SetRoute():
            return change.wanted.mark is not None and change.wanted.mark.name in way
        case AddInterface() | SetInterface() | AddAddress() | AddOpening() | SetOpening() | ActivateKey() | Reapply():
            return True
        case _:
            return False
