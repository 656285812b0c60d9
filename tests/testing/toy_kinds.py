"""Toy routers of other kinds than the plain one: what vendors differ in, each held to what it declares.

A router refuses what its limits say that it cannot have: the core must not ask for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from toy_router import Call, ToyDriver, ToyRouter

from fleet import Limits, Link, Marker, Observed, RouterPlan, Script, Step
from fleet.changes import AddInterface, AddOpening, AddPeer, AddRoute, Change, RemovePeer, SetOpening, SetPeer
from fleet.errors import Rejected
from fleet.link import Reply, Request
from fleet.model import Interface, KeyOf, Peer, Route


def no(reason: str) -> Rejected:
    return Rejected(f"the router said no: {reason}", evidence=reason)


@dataclass(frozen=True)
class Kind:
    """What a router is like. `delivers_after`: how many reads after a write say that it is not live yet."""

    limits: Limits
    delivers_after: int = 0

    @property
    def two_views(self) -> bool:
        return self.limits.saves_on_confirm


class KindRouter(ToyRouter):
    """As its limits say, and no more."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(two_views=kind.two_views, guards=kind.limits.guard != "none")
        self.kind = kind
        self.undelivered = 0

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        if not request.reads:
            self.undelivered = self.kind.delivers_after
            return reply
        self.undelivered, left = max(0, self.undelivered - 1), self.undelivered
        return Reply(data=(*reply.data, left == 0))  # type: ignore[misc]  # as ToyRouter made it

    def advance(self, seconds: float) -> None:
        """An undo that is a job of cron runs when the next minute begins."""
        if self.guard is not None and self.kind.limits.undo_seconds:
            self.guard.fires_at = math.ceil(self.guard.fires_at / 60) * 60
        super().advance(seconds)

    def _trip(self, plan_id: str) -> None:
        if not self.kind.limits.undo_seconds:
            super()._trip(plan_id)
            return
        if self.guard is None or self.guard.plan_id != plan_id:
            raise no("no such undo is armed")
        self.guard.fires_at = self.now

    def _apply(self, about: tuple[Change, bool]) -> None:
        self.refuse(about[0])
        super()._apply(about)

    def refuse(self, change: Change) -> None:
        limits = self.kind.limits
        marks = [getattr(change.wanted, "mark", None)] if isinstance(change, AddInterface | AddPeer | SetPeer) else []
        if limits.mark_length is not None and any(len(str(mark)) > limits.mark_length for mark in marks):
            raise no("no room for the comment")
        match change:
            case AddInterface(wanted=wanted) if isinstance(wanted.public_key, KeyOf) and not limits.makes_keys:
                raise no("a private key is needed")
            case AddPeer(wanted=peer) | SetPeer(wanted=peer):
                self._refuse_peer(peer)
            case AddRoute() if limits.routes != "static":
                raise no("no such menu")
            case AddOpening(wanted=opening) | SetOpening(wanted=opening) if type(opening) not in limits.openings:
                raise no("no such menu")
            case _:
                pass

    def _refuse_peer(self, peer: Peer) -> None:
        limits = self.kind.limits
        if not peer.allowed_ips and not limits.empty_allowed_ips:
            raise no("allowed IPs are mandatory")
        if peer.preshared_key is not None and not limits.preshared_keys:
            raise no("no preshared keys here")
        if peer.endpoint is not None and peer.endpoint.ip is None and not limits.endpoint_names:
            raise no("an address, please")

    def _disable(self, change: RemovePeer) -> None:
        """Where allowed IPs are mandatory a disabled peer keeps them."""
        super()._disable(change)
        if not self.kind.limits.empty_allowed_ips:
            for view in (self.stored, self.running):
                held = view[change.interface]
                gone = replace(change.old, disabled=True)
                view[change.interface] = replace(held, peers={**held.peers, gone.public_key: gone})

    def _commit(self, about: tuple[str, int, tuple[Change, ...]]) -> None:
        """A confirmed commit: all or nothing, and the first one arms. A later one sets the timer anew."""
        plan_id, seconds, changes = about
        for change in changes:
            self.refuse(change)
        if self.guard is not None and self.guard.plan_id != plan_id:
            raise no("a commit is pending")
        before = dict(self._view) if self.guard is None else self.guard.before
        self._arm_anew(plan_id, seconds, before)
        try:
            for change in changes:
                super()._apply((change, True))
        except Rejected:
            self.undo()
            raise

    def _arm_anew(self, plan_id: str, seconds: int, before: dict[str, Interface]) -> None:
        self.guard = None
        self._arm((plan_id, seconds))
        assert self.guard is not None
        self.guard.before = before


@dataclass
class KindDriver(ToyDriver):
    """The driver of such a router."""

    kind: Kind = Kind(Limits())

    def __post_init__(self) -> None:
        self.two_views = self.kind.two_views
        self.limits = self.kind.limits  # type: ignore[misc]  # of this one

    def observe(self, link: Link) -> Observed:
        *rest, settled = link.send(Call("read", reads=True)).data  # type: ignore[misc]  # as KindRouter made it
        observed = super().observe(_Read(link, tuple(rest)))
        stored = observed.stored
        if self.limits.routes == "derived":
            stored = {name: replace(interface, routes=_derived(interface)) for name, interface in stored.items()}
        return replace(observed, stored=stored, settled=settled, limits=self.limits)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        script = super().render(plan, observed)
        if not (self.limits.arms_by_write and plan.confirm_within and plan.changes):
            return script
        seconds = plan.confirm_within if plan.arm else plan.remaining
        summary = f"commit {len(plan.changes)} changes, to be confirmed {'within' if plan.arm else 'in the'} {seconds} s"
        step = Step(summary, (Call("commit", (plan.plan_id, seconds, plan.changes)),), plan.changes)
        return replace(script, guarded=((step,),), cleanup=())


class _Read:
    """A link whose one read has been done."""

    def __init__(self, link: Link, data: tuple[Any, ...]) -> None:
        self.target = link.target
        self._data = data

    def send(self, request: Request) -> Reply:
        return Reply(data=self._data)

    def send_all(self, requests: Any) -> list[Reply]:
        return [self.send(request) for request in requests]


def _derived(interface: Interface) -> dict[Any, Route]:
    """As the vendor makes them: for every allowed IP of a peer that works, without a mark."""
    peers = [peer for peer in interface.peers.values() if not peer.disabled]
    return {prefix: Route(prefix, None) for peer in peers for prefix in peer.allowed_ips}


class MarkedRouter(KindRouter):
    """Holds the writer's marker. `fault` plants what is easily got wrong."""

    def __init__(self, kind: Kind, fault: str = "") -> None:
        super().__init__(kind)
        self.fault = fault
        self.marker: tuple[str, float] | None = None

    def answer(self, request: Request) -> Reply:
        if isinstance(request, Call) and request.verb == "whose":
            return Reply(data=self.marker and (self.marker[0], max(0.0, self.marker[1] - self.now)))
        return super().answer(request)

    def _mark(self, about: tuple[str, int]) -> None:
        owner, seconds = about
        standing = self.marker is not None and (self.marker[1] > self.now or self.fault == "never over")
        if self.marker is not None and standing and self.marker[0] != owner and self.fault != "anybody's":
            raise no(f"{self.marker[0]} is writing")
        until = self.marker[1] if self.marker and standing and self.fault == "never renewed" else self.now + seconds
        self.marker = (owner, until)
        if self.fault == "is configuration":
            for name, held in self.stored.items():
                self.stored[name] = replace(held, mtu=1300)

    def _unmark(self, about: object) -> None:
        if self.fault != "stays":
            self.marker = None


@dataclass
class MarkedDriver(KindDriver):
    """The driver of such a router."""

    def observe(self, link: Link) -> Observed:
        whose = link.send(Call("whose", reads=True)).data if "marker" in link.target.asks else None
        return replace(super().observe(link), marker=Marker(*whose) if isinstance(whose, tuple) else None)

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        return (Call("mark", (owner, expires)) if owner else Call("unmark"),)
