"""The smallest router that guards itself, in memory, with the driver for it: for tests of the core and of the contract suite.

It is told changes as the model has them. `faults` plants what authors of devices and drivers get wrong, by name.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from fleet import Driver, GuardSeen, Limits, Link, Observed, Request, RouterPlan, Script, Step, Target, engine
from fleet.changes import AddInterface, AddPeer, Change, RemoveInterface, RemovePeer
from fleet.diff import apply_changes
from fleet.errors import Rejected, RouterError, Unreachable
from fleet.link import Address, Reply, RouterLink, Session
from fleet.model import Configuration, Interface, KeyOf, Peer, PublicKey
from fleet.testing.cases import OVERLAY, networks, public_key


@dataclass(frozen=True, slots=True)
class Call(Request):
    """A verb and what it is about."""

    verb: str
    about: Any = None

    def native(self) -> str:
        return f"{self.verb} {self.about}"


@dataclass
class Guard:
    plan_id: str
    fires_at: float
    before: dict[str, Interface]


STRANGER = Peer(public_key("stranger"), networks("172.31.0.1/32"))


class ToyRouter:
    """`two_views`: what runs is apart from what is stored, and saving is the confirm."""

    def __init__(self, *, two_views: bool = False, guards: bool = True, faults: frozenset[str] = frozenset()) -> None:
        self.stored: dict[str, Interface] = {}
        self.running: dict[str, Interface] = {}
        self.two_views = two_views
        self.guards = guards
        self.faults = faults
        self.guard: Guard | None = None
        self.now = 1000.0
        self.boots = 0
        self.offline_connects = 0
        self.log: list[Call] = []
        self.before: list[Callable[[Call], None]] = []
        self._written = 0

    # ------------------------------------------------------------------------------------------------ as a Device
    def link(self, target: Target) -> RouterLink:
        return RouterLink(target, self.connect)

    def connect(self) -> Session:
        if self.offline_connects:
            self.offline_connects -= 1
            raise Unreachable("no TCP connection to 192.0.2.1:1", "check that the router has power and an uplink")
        return _Session(self)

    def writes(self) -> int:
        return self._written

    def plant(self, interface: str) -> None:
        for view in (self.stored, self.running):
            held = view[interface]
            view[interface] = replace(held, peers={**held.peers, STRANGER.public_key: STRANGER})
            view["theirs"] = Interface("theirs", public_key("theirs"), listen_port=13999)

    def foreign(self) -> object:
        peers = [peer for interface in self.stored.values() for peer in interface.peers.values() if peer.mark is None]
        return peers, [interface for interface in self.stored.values() if interface.mark is None]

    def ours(self) -> object:
        def own(view: Configuration) -> object:
            return [
                (interface.name, replace(interface, public_key=None, peers={}), _marked(interface))
                for interface in view.values()
                if interface.mark is not None
            ]

        return own(self.stored), own(self.running)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        if self.guard is not None and self.guard.fires_at <= self.now and "its time never comes" not in self.faults:
            self.undo()

    def reboot(self) -> None:
        self.boots += 1
        if self.guard is not None and "forgotten at boot" not in self.faults:
            self.undo()
        elif "forgotten at boot" in self.faults:
            self.guard = None
        if self.two_views:
            self.running = dict(self.stored)

    def exposed(self) -> str:
        return " ".join(call.verb for call in self.log)

    def close(self) -> None:
        """Nothing is held."""

    # ------------------------------------------------------------------------------------------------- what it does
    def answer(self, request: Request) -> Reply:
        assert isinstance(request, Call)
        self.log.append(request)
        for watch in self.before:
            watch(request)
        if request.verb == "read":
            running = dict(self.running) if self.two_views else None
            return Reply(data=(dict(self.stored), running, self.guard, self.now, self.guards))
        self._written += 1
        getattr(self, "_" + request.verb)(request.about)
        return Reply()

    def _arm(self, about: tuple[str, int]) -> None:
        if self.guard is not None and "armed over another" not in self.faults:
            raise Rejected("the router said no: an undo is armed", evidence="an undo is armed")
        self.guard = Guard(about[0], self.now + about[1], dict(self._view))

    def _apply(self, about: tuple[Change, bool]) -> None:
        change, guarded = about
        if isinstance(change, AddInterface) and isinstance(change.wanted.public_key, KeyOf):
            key = PublicKey(base64.b64encode(secrets.token_bytes(32)).decode())
            change = replace(change, wanted=replace(change.wanted, public_key=key))
        if guarded and self.guard is None and "writes on after its undo" not in self.faults:
            raise Rejected("the router said no: its undo is not armed any more", evidence="not armed")
        views = [self.running] if guarded and self.two_views else [self.stored, self.running]
        for view in views:
            held = view.get(change.interface)
            if isinstance(change, AddPeer) and held is not None and change.wanted.public_key in held.peers:
                raise Rejected("the router said no: that peer exists", evidence="exists")
            try:
                changed = apply_changes(view, [change])
            except KeyError:
                raise Rejected("the router said no: no such thing", evidence="no such thing") from None
            view.clear()
            view.update(changed)

    def _write(self, file: Interface) -> None:
        """Somebody else's peers that are in no file stay in the running interface."""
        for view in [self.running] if self.guard is not None and self.two_views else [self.stored, self.running]:
            strangers = {key: peer for key, peer in view[file.name].peers.items() if peer.mark is None}
            view[file.name] = replace(file, peers={**strangers, **file.peers})

    def _disable(self, change: RemovePeer) -> None:
        for view in (self.stored, self.running):
            held = view[change.interface]
            gone = replace(change.old, allowed_ips=frozenset(), disabled=True)
            view[change.interface] = replace(held, peers={**held.peers, change.old.public_key: gone})

    def _tidy(self, about: object) -> None:
        for view in (self.stored, self.running):
            for name, held in view.items():
                if held.mark is not None:
                    kept = {key: peer for key, peer in held.peers.items() if peer.mark is None or not peer.disabled}
                    view[name] = replace(held, peers=kept)

    def _confirm(self, plan_id: str) -> None:
        if self.guard is None or self.guard.plan_id != plan_id:
            if "a late confirm is a yes" in self.faults:
                return
            raise Rejected("the router said no: no such undo is armed", evidence="not armed")
        if "confirm does not disarm" not in self.faults:
            self.guard = None
        if self.two_views:
            self.stored = dict(self.running)

    def _trip(self, plan_id: str) -> None:
        if self.guard is None or self.guard.plan_id != plan_id:
            raise Rejected("the router said no: no such undo is armed", evidence="not armed")
        self.undo()

    def undo(self) -> None:
        """Put ours back as they were, and nothing else."""
        assert self.guard is not None
        before, self.guard = self.guard.before, None
        view = self._view
        for name, interface in list(view.items()):
            if name not in before and interface.mark is not None:
                del view[name]
        for name, interface in before.items():
            strangers = {key: peer for key, peer in view[name].peers.items() if peer.mark is None} if name in view else {}
            if "the undo takes what is others'" in self.faults:
                strangers = {}
            kept = {key: peer for key, peer in interface.peers.items() if peer.mark is not None}
            restored = replace(interface, peers={**kept, **strangers})
            if "the undo forgets routes" in self.faults and name in view:
                restored = replace(restored, routes=view[name].routes)
            view[name] = restored
        if not self.two_views:
            self.running = dict(self.stored)

    @property
    def _view(self) -> dict[str, Interface]:
        return self.running if self.two_views else self.stored


def _marked(interface: Interface) -> list[Peer]:
    return sorted((peer for peer in interface.peers.values() if peer.mark is not None), key=lambda peer: peer.public_key)


class _Session:
    identity = ""
    address = Address("192.0.2.1", 1)

    def __init__(self, router: ToyRouter) -> None:
        self._router = router

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        replies: list[Reply | RouterError] = []
        for request in requests:
            try:
                replies.append(self._router.answer(request))
            except RouterError as error:
                replies.append(error)
        return replies

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class ToyDriver(Driver):
    """Peers that go are disabled under guard and deleted in cleanup, unless saving is the confirm."""

    two_views: bool = False
    faults: frozenset[str] = field(default_factory=frozenset)
    name: ClassVar[str] = "toy"
    transport: ClassVar[str] = "toy"

    def __post_init__(self) -> None:
        self.limits = Limits(guard="emulated", saves_on_confirm=self.two_views)  # type: ignore[misc]  # of this one

    def observe(self, link: Link) -> Observed:
        reply = link.send(Call("read", reads=True))
        stored, running, guard, now, guards = reply.data  # type: ignore[misc]  # as ToyRouter made it
        left = [peer.label for held in stored.values() for peer in held.peers.values() if peer.disabled and peer.mark]
        return Observed(
            stored,
            running,
            guard=GuardSeen(guard.plan_id, guard.fires_at - now) if guard else None,
            leftovers=tuple(f"peer {label} is disabled and still there" for label in left),
            limits=replace(self.limits, guard="emulated" if guards else "none"),
        )

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        guarded = bool(plan.confirm_within)
        changed = tuple(tuple(self._step(change, guarded) for change in batch) for batch in plan.batches)
        if "learns by another pass" in self.faults:  # one request a pass, the rest is told and not sent
            changed = tuple(
                tuple(step if (number, place) == (0, 0) else replace(step, requests=()) for place, step in enumerate(batch))
                for number, batch in enumerate(changed)
            )
        tidy = (Step("delete what was only disabled", (Call("tidy"),)),)
        cleanup = (tidy,) if observed.leftovers or (guarded and _parts(plan)) else ()
        if not guarded:
            return Script(changed, cleanup=cleanup)
        about = plan.changes[:1] if "arming covers a change" in self.faults else ()
        arming = (Step("arm the undo", (Call("arm", (plan.plan_id, plan.confirm_within)),), about),)
        again = "armed at every pass" in self.faults
        first = (arming,) if plan.arm or (again and changed) else ()
        ordered = (*changed, *first) if "armed after the write" in self.faults else (*first, *changed)
        return Script(
            ordered,
            confirm=(Call("confirm", plan.plan_id),),
            cleanup=cleanup,
            trip=(Call("trip", plan.plan_id),),
        )

    def _step(self, change: Change, guarded: bool) -> Step:
        if guarded and isinstance(change, RemovePeer) and not self.two_views:
            return Step(str(change), (Call("disable", change),), (change,))
        return Step(str(change), (Call("apply", (change, guarded)),), (change,))


def _parts(plan: RouterPlan) -> bool:
    return any(isinstance(change, RemovePeer | RemoveInterface) for change in plan.changes)


def router_of(device: ToyRouter, driver: ToyDriver | None = None) -> engine.Router:
    """As the engine has it, for an interface wg7."""
    return engine.Router(
        "subject", OVERLAY, driver or ToyDriver(device.two_views), device.link(Target("subject", OVERLAY, ("wg7",)))
    )
