"""Accepting a changed identity: what is pinned, what is shown now, and moving the pins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import engine
from .control import Controller
from .engine import Journal
from .errors import IdentityChanged, UsageError
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
    """What a router or jump shows now against what is pinned. Connects and logs in without regard to pins.

    A host key or fingerprint that the inventory itself gives is not a pin: the inventory must be edited. Raises RouterError,
    UsageError for a router that is never contacted.
    """
    fleet = controller.fleet
    if name in fleet.routers and not controller.contactable(name):
        raise UsageError(
            f"{name} is never contacted: it is suspended or its driver is manual",
            "set `enabled: true`, or write its new `public_key:` into the inventory",
        )
    pins = controller.state.identity(fleet.overlay.name, name)
    try:
        shown = controller.reach.shown(name)
        found = [
            _identity(kind, pins[kind][-1], value) for kind, value in shown.items() if value not in pins.get(kind, (value,))
        ]
        return found + (_key(controller, name) if name in fleet.routers else [])
    except IdentityChanged as error:
        error.hint = f"no pin but the inventory or known_hosts says so: correct `host_key:` or `tls:` of {name} there"
        raise


def _identity(kind: str, old: str, new: str) -> Difference:
    if kind == "ssh":
        return Difference("ssh", fingerprint(old), fingerprint(new), new)
    return Difference("tls", old, new, new)


def _key(controller: Controller, name: str) -> list[Difference]:
    """The WireGuard key, if it is not the pinned one. One that is gone and in escrow needs no trust: a sync puts it back."""
    overlay = controller.fleet.overlay.name
    fact = controller.state.fact(overlay, name)
    if fact is None or fact.public_key is None:
        return []
    interface = own_interface(engine.observe(controller.reach.unpinned(name)), controller.fleet, name)
    seen = interface.public_key if interface is not None else None
    if isinstance(seen, PublicKey) and seen != fact.public_key:
        return [Difference("public_key", fact.public_key, seen, seen)]
    if interface is None and controller.escrow(name, fact.public_key) is None:
        return [Difference("public_key", fact.public_key, "none: the interface is gone, a new key will be made", "")]
    return []


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
