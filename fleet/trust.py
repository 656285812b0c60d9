"""Accepting a changed identity: what is pinned, what is shown now, and moving the pins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import engine
from .control import Controller
from .engine import Journal
from .model import PublicKey
from .rebuild import own_interface
from .transports.hostkeys import fingerprint


@dataclass(frozen=True, slots=True)
class Difference:
    """One pin that does not hold any more: `kind` says which, `old` and `new` are shown, `value` is what gets pinned."""

    kind: Literal["ssh", "tls", "public_key"]
    old: str
    new: str
    value: str

    @property
    def what(self) -> str:
        """In words."""
        return {"ssh": "SSH host key", "tls": "TLS certificate", "public_key": "WireGuard public key"}[self.kind]

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"kind": self.kind, "pinned": self.old, "now": self.new}


def differences(controller: Controller, name: str) -> list[Difference]:
    """What the router shows now against what is pinned. Connects and logs in without regard to pins; raises RouterError.

    A host key or fingerprint that the inventory itself gives is not a pin: the inventory must be edited.
    """
    overlay = controller.fleet.overlay.name
    pins = controller.state.identity(overlay, name)
    router = controller.reach.unpinned(name)
    session = router.link.session
    found: list[Difference] = []
    for kind, values in pins.items():
        if values and session.identity and session.identity not in values:
            shown = fingerprint if kind == "ssh" else str
            found.append(
                Difference("ssh" if kind == "ssh" else "tls", shown(values[-1]), shown(session.identity), session.identity)
            )
    fact = controller.state.facts(overlay).get(name)
    if fact is not None and fact.public_key is not None:
        observed = engine.observe(router)
        interface = own_interface(observed, controller.fleet, name)
        seen = interface.public_key if interface is not None else None
        if isinstance(seen, PublicKey) and seen != fact.public_key:
            found.append(Difference("public_key", fact.public_key, seen, seen))
        elif interface is None:
            found.append(Difference("public_key", fact.public_key, "none: the interface is gone, a new key will be made", ""))
    return found


def accept(controller: Controller, name: str, found: list[Difference], journal: Journal) -> None:
    """Pin what is shown now. The old WireGuard key is tombstoned: it never comes back by itself."""
    overlay = controller.fleet.overlay.name
    for difference in found:
        if difference.kind == "public_key":
            old = PublicKey(difference.old)
            controller.state.tombstone(overlay, old)
            controller.state.pin_key(overlay, name, PublicKey(difference.value) if difference.value else None)
        else:
            controller.state.forget_identity(overlay, name, difference.kind)
            controller.state.pin_identity(overlay, name, difference.kind, difference.value)
        journal.record(name, "trust", f"{difference.what}: {difference.old} -> {difference.new}")
