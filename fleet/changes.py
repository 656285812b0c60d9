"""What can happen to a router: the closed set of changes that `diff` makes and drivers render.

Drivers `match` on them and end with `assert_never`, so that a new kind of change breaks every driver at type-check
and not in the field. Each change knows its `interface` and says in `str()` the line an operator reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .model import HIDDEN, DerivedKey, Interface, IPInterface, KeyOf, Opening, Peer, PublicKey, Route, sorted_networks

Reason: TypeAlias = Literal["intent", "drift", ""]
"""`intent`: the inventory moved since the last confirmed sync; `drift`: the router moved; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    interface: str
    reason: Reason = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddInterface(_Change):
    """A new interface, bare: key, port, MTU, mark. Addresses, peers, routes and openings come as changes of their own.

    `wanted.public_key` is a KeyOf when the router makes its key itself, or the public half of the private key in
    `RouterPlan.private_keys`.
    """

    wanted: Interface

    def __str__(self) -> str:
        return f"interface {self.interface}: create, port {self.wanted.listen_port}, mtu {self.wanted.mtu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetInterface(_Change):
    """Scalars of an interface differ: port, MTU, mark, disabled, reresolve. Never the key, never its collections."""

    old: Interface
    wanted: Interface

    def __str__(self) -> str:
        parts = [
            f"{label} {getattr(self.old, name)} -> {getattr(self.wanted, name)}"
            for name, label in (("listen_port", "port"), ("mtu", "mtu"), ("disabled", "disabled"), ("mark", "mark"))
            if getattr(self.old, name) != getattr(self.wanted, name)
        ]
        if self.old.reresolve != self.wanted.reresolve:
            parts.append("re-resolve named endpoints" if self.wanted.reresolve else "stop re-resolving endpoints")
        return f"interface {self.interface}: " + ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveInterface(_Change):
    """An interface of ours goes, with everything inside it."""

    old: Interface

    def __str__(self) -> str:
        return f"interface {self.interface}: remove, with {len(self.old.peers)} peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAddress(_Change):
    """The interface gains an address."""

    address: IPInterface

    def __str__(self) -> str:
        return f"address {self.address}: add to {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAddress(_Change):
    """The interface loses an address."""

    address: IPInterface

    def __str__(self) -> str:
        return f"address {self.address}: remove from {self.interface}"


def _allowed(peer: Peer) -> str:
    networks = [str(network) for network in sorted_networks(peer.allowed_ips)]
    shown = ", ".join(networks[:4]) + (f" and {len(networks) - 4} more" if len(networks) > 4 else "")
    return shown or "none (parked)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPeer(_Change):
    """A new peer. Its preshared key is a Secret by the time a driver renders it."""

    wanted: Peer

    def __str__(self) -> str:
        dialled = f", endpoint {self.wanted.endpoint}" if self.wanted.endpoint else ""
        return f"peer {self.wanted.label}: add, allowed IPs {_allowed(self.wanted)}{dialled}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPeer(_Change):
    """An existing peer differs. Only the attributes that differ are to be written; `wanted` is complete."""

    old: Peer
    wanted: Peer

    @property
    def differing(self) -> frozenset[str]:
        """Names of `Peer` attributes that must be written."""
        return frozenset(
            name
            for name in (
                "allowed_ips",
                "endpoint",
                "persistent_keepalive",
                "preshared_key",
                "mark",
                "disabled",
            )
            if not same(name, self.old, self.wanted)
        )

    def __str__(self) -> str:
        old, new = self.old, self.wanted
        says = {
            "allowed_ips": f"allowed IPs {_allowed(old)} -> {_allowed(new)}",
            "endpoint": f"endpoint {old.endpoint or 'none'} -> {new.endpoint or 'none'}",
            "persistent_keepalive": f"keepalive {old.persistent_keepalive or 'off'} -> {new.persistent_keepalive or 'off'}",
            "preshared_key": f"preshared key {'cleared' if new.preshared_key is None else 'set'}",
            "mark": f"mark {old.mark or 'none'} -> {new.mark}",
            "disabled": "disable" if new.disabled else "enable",
        }
        return f"peer {new.label}: " + ", ".join(text for name, text in says.items() if name in self.differing)


def same(name: str, observed: Peer, wanted: Peer) -> bool:
    """True if attribute `name` of an observed peer needs no write.

    A preshared key the device hides equals any wanted one while the mark matches: a mark is written with the key, and a
    pair's preshared key never changes without a new key.
    """
    seen, want = getattr(observed, name), getattr(wanted, name)
    if name == "allowed_ips" and observed.parked and wanted.parked:
        return True  # a /32 out of the parking range is this vendor's way to say "none"
    if name != "preshared_key" or seen is None or want is None or seen is want:
        return bool(seen == want)
    if seen is HIDDEN:
        return observed.mark is not None and observed.mark == wanted.mark
    # A key not derived (offline, or no fleet secret) cannot be compared; that it is set is all that is known.
    return isinstance(want, DerivedKey) or want is HIDDEN or bool(seen == want)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePeer(_Change):
    """A peer of ours goes."""

    old: Peer

    def __str__(self) -> str:
        return f"peer {self.old.label}: remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRoute(_Change):
    """A route through the interface."""

    wanted: Route

    def __str__(self) -> str:
        return f"route {self.wanted.prefix}: add via {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRoute(_Change):
    """The route stays, its mark (the router at the other end) changes."""

    old: Route
    wanted: Route

    def __str__(self) -> str:
        return f"route {self.wanted.prefix}: mark {self.old.mark or 'none'} -> {self.wanted.mark}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRoute(_Change):
    """A route of ours goes."""

    old: Route

    def __str__(self) -> str:
        return f"route {self.old.prefix}: remove via {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOpening(_Change):
    """An opening is missing."""

    wanted: Opening

    def __str__(self) -> str:
        return f"opening: {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOpening(_Change):
    """An opening of this identity exists and covers something else."""

    old: Opening
    wanted: Opening

    def __str__(self) -> str:
        return f"opening: {self.old} -> {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOpening(_Change):
    """An opening of ours is wanted no longer."""

    old: Opening

    def __str__(self) -> str:
        return f"opening: remove {self.old}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKey(_Change):
    """Put the next key beside the one in use. `key` is a KeyOf when the router makes it."""

    key: PublicKey | KeyOf

    def __str__(self) -> str:
        return f"interface {self.interface}: stage a new key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateKey(_Change):
    """Switch the interface to the staged key; the previous pair stays on the router until confirm."""

    key: PublicKey

    def __str__(self) -> str:
        return f"interface {self.interface}: switch to key {self.key[:8]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class DropStagedKey(_Change):
    """The staged key is not wanted any more."""

    key: PublicKey | None = None

    def __str__(self) -> str:
        return f"interface {self.interface}: drop the staged key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reapply(_Change):
    """Stored is right, running differs: make the router load what it stored. `what` says in a few words what differs."""

    what: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"interface {self.interface}: stored but not running: " + "; ".join(self.what[:4])


Change: TypeAlias = (
    AddInterface
    | SetInterface
    | RemoveInterface
    | AddAddress
    | RemoveAddress
    | AddPeer
    | SetPeer
    | RemovePeer
    | AddRoute
    | SetRoute
    | RemoveRoute
    | AddOpening
    | SetOpening
    | RemoveOpening
    | StageKey
    | ActivateKey
    | DropStagedKey
    | Reapply
)

Batch: TypeAlias = tuple[Change, ...]
"""Changes that are independent of one another; batches of one router are applied in order."""
