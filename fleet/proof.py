"""Proof that a guarded change did no harm, beyond the router's own state: its tunnels and who is managed through it.

A router's tunnels that lived before must live after. Where the change had to break the session (endpoint, preshared key, the
interface itself) a new handshake is demanded and forced on the end that dials: measured, it is back after 9 ms then, and
after 15 s and more by waiting. Where it had not, no new handshake is demanded: changing allowed IPs moves none. A router
that carries other routers' management is confirmed only when those that answered before answer again on new connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Protocol, TypeGuard

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from . import engine
from .changes import AddAddress, AddInterface, AddPeer, AddRoute, Change, SetInterface, SetPeer
from .driver import Observed
from .errors import FleetError, IdentityChanged, RouterError
from .liveness import FRESH_SECONDS
from .model import IPAddress, IPNetwork, Peer, PublicKey
from .runner import Runner

CLOCK_STEP = 1.0
"""Routers tell handshakes in whole seconds: one of this second may seem up to that much older than it is."""

OWN_ATTEMPT_SECONDS = 12.0
"""Before this the other end does not begin a handshake of its own (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT are 15 s)."""

PROOF_SECONDS = 20.0
"""How long tunnels and carried routers get to come back: three handshake attempts (every 5 s) and a margin."""


class ConnectAt(Protocol):
    """Opens a new connection to a router at one of its addresses. Raises RouterError."""

    def __call__(self, name: str, *, address: IPAddress) -> None: ...


@dataclass(frozen=True, slots=True)
class Before:
    """What lived when the run began: peers by router, and the routers that answered."""

    alive: Mapping[str, frozenset[PublicKey]]
    answered: frozenset[str]

    @classmethod
    def of(cls, observed: Mapping[str, Observed]) -> Before:
        """From the survey that the run began with."""
        alive = {name: frozenset(living(read)) for name, read in observed.items()}
        return cls(alive, frozenset(observed))


def living(observed: Observed) -> Iterable[PublicKey]:
    """Public keys of peers whose session is fresh."""
    for peers in observed.live.values():
        for key, live in peers.items():
            if live.handshake_age is not None and live.handshake_age < FRESH_SECONDS:
                yield key


@dataclass(slots=True)
class Proof:
    """Judges routers of one run. `carried` names whose management a router carries; `connect` opens a new connection to one.

    `asked` are routers of which is known whether they answered before. `moving` are routers that get another overlay
    address: where they are managed by it, they must answer there before the change is confirmed. `connect_at` opens a new
    connection to a router at such an address.
    """

    before: Before
    carried: Mapping[str, frozenset[str]]
    connect: Callable[[str], None]
    runner: Runner
    others: Mapping[str, engine.Router]
    names: Mapping[PublicKey, str]
    seconds: float = PROOF_SECONDS
    broken: dict[str, tuple[float, frozenset[PublicKey]]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    moving: frozenset[str] = frozenset()
    connect_at: ConnectAt | None = None

    def look_before(self, name: str) -> None:
        """Ask who answers behind a router that is about to change, of those that the survey left out.

        A run over one hub reads that hub only, and may still cut off everybody behind it.
        """
        unknown = self.carried.get(name, frozenset()) - self.before.answered - self.asked - {name}
        self.asked |= unknown
        outcomes = self.runner.run(self.connect, sorted(unknown))
        answered = frozenset(one for one, outcome in outcomes.items() if outcome.error is None)
        self.before = replace(self.before, answered=self.before.answered | answered)

    def healthy(self, router: engine.Router, changes: Iterable[Change], began: float) -> str:
        """What is wrong after `changes` that were begun at `began` (monotonic seconds), empty if nothing is."""
        changes = tuple(changes)
        moved = {
            change.wanted.public_key: change.wanted
            for change in changes
            if isinstance(change, SetPeer) and "endpoint" in change.differing and change.wanted.endpoint is not None
        }
        return (
            self._loop(router, changes)
            or self._tunnels(router, frozenset(breaking(changes, router)), moved, began)
            or self._management(router)
            or self._moved(router, changes)
        )

    def _loop(self, router: engine.Router, changes: Iterable[Change]) -> str:
        """Tunnels whose own packets the change leads into a tunnel.

        Measured with wireguard-go: the session in use goes on, because replies leave by the interface they came in by; the
        next restart has nobody left to dial. An endpoint that is a name shows its address only here.
        """
        assert router.observed is not None
        gained = frozenset(_gained(changes, derived=router.limits.routes == "derived"))
        for key, address in _met(router.observed):
            ways = [prefix for prefix in gained if prefix.version == address.version and address in prefix]
            beside = [prefix for prefix in router.observed.connected if address in prefix]
            longest = max((prefix.prefixlen for prefix in beside), default=0)
            for prefix in ways:
                if prefix.prefixlen > longest:
                    who = self.names.get(key, f"{key[:8]}...")
                    return f"the tunnel to {who} would carry its own packets: its endpoint {address} lies inside {prefix}"
        return ""

    # ----------------------------------------------------------------------------------------------- tunnels
    def _tunnels(
        self, router: engine.Router, broken: frozenset[PublicKey], moved: Mapping[PublicKey, Peer], began: float
    ) -> str:
        """Tunnels that lived must live; `moved` are peers with a new endpoint, which must answer there and nowhere else.

        The old session of a moved peer goes on by itself: the other end's packets carry its old address back, and after
        15 s it begins handshakes of its own. Neither says anything about the new endpoint, which the next restart dials.
        """
        demanded = {
            key: interface
            for key in self.before.alive.get(router.name, frozenset())
            if (interface := _interface_of(router, key))
        }
        if not demanded:
            return ""

        def dead() -> list[PublicKey]:
            since = time.monotonic() - began + CLOCK_STEP
            return [
                key
                for key in demanded
                if not self._alive(router, key, since if key in broken else FRESH_SECONDS)
                or not _at(router, key, moved.get(key))
            ]

        for key in dead():
            if key in moved:
                rehandshake(router, demanded[key], moved[key])
            else:
                self._force(router, demanded[key], key)
        # A name cannot be compared with an address: there only speed tells the answer from the other end's own attempt.
        named = any(peer.endpoint is not None and peer.endpoint.ip is None for peer in moved.values())
        seconds = min(self.seconds, OWN_ATTEMPT_SECONDS) if named else self.seconds

        def look() -> list[PublicKey]:
            engine.observe(router)
            return dead()

        try:
            left = Retrying(retry=retry_if_result(bool), wait=wait_fixed(1), stop=stop_after_delay(seconds))(look)
        except RetryError as error:
            left = error.last_attempt.result()
        if not left:
            return ""
        who = self.names.get(left[0], f"{left[0][:8]}...")
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        return f"the tunnel to {who}{more} lived before the change and does not shake hands after it"

    def _alive(self, router: engine.Router, key: PublicKey, younger_than: float) -> bool:
        assert router.observed is not None
        ages = [peers[key].handshake_age for peers in router.observed.live.values() if key in peers]
        return any(age is not None and age < younger_than for age in ages)

    def _force(self, router: engine.Router, interface: str, key: PublicKey) -> None:
        """Ask the end that dials for a new handshake; where neither end can be asked, its own retries must do."""
        peer = _peer(router, interface, key)
        if peer is not None and peer.endpoint is not None:
            rehandshake(router, interface, peer)
            return
        other = self.others.get(self.names.get(key, ""))
        assert router.observed is not None
        own = router.observed.stored[interface].public_key
        if other is None or other.observed is None or not isinstance(own, PublicKey):
            return
        for name, held in other.observed.stored.items():
            if own in held.peers:
                rehandshake(other, name, held.peers[own])

    # -------------------------------------------------------------------------------------------- management
    def _management(self, router: engine.Router) -> str:
        names = sorted((self.carried.get(router.name, frozenset()) - {router.name}) & self.before.answered)
        if not names:
            return ""
        router.renew()
        outcomes = self.runner.run(self._answers, names)
        silent = [name for name, outcome in outcomes.items() if outcome.error is not None]
        if not silent:
            return ""
        error = outcomes[silent[0]].error
        more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
        said = error.summary if isinstance(error, FleetError) else str(error)
        return f"{silent[0]}{more} answered before the change and does not any more: {said}"

    def _moved(self, router: engine.Router, changes: Iterable[Change]) -> str:
        """A new overlay address at which somebody else answers, or nobody: from the next connection on it would be lost."""
        managed = self.moving & self.before.answered & self.carried.get(router.name, frozenset())
        if self.connect_at is None or router.name not in managed:
            return ""
        for address in sorted(str(change.address.ip) for change in changes if isinstance(change, AddAddress)):
            try:
                self._answers(router.name, partial(self.connect_at, address=ip_address(address)))
            except RouterError as error:
                return f"does not answer at its new address {address}: {error.summary.removeprefix(f'{router.name}: ')}"
        return ""

    def _answers(self, name: str, connect: Callable[[str], None] | None = None) -> bool:
        connect = connect or self.connect
        attempts = Retrying(
            retry=retry_if_result(lambda reached: not reached), wait=wait_fixed(1), stop=stop_after_delay(self.seconds)
        )
        last: list[RouterError] = []

        def reach() -> bool:
            try:
                connect(name)
            except IdentityChanged:
                raise  # somebody else answers there: waiting changes nothing
            except RouterError as error:
                last[:] = [error]
                return False
            return True

        try:
            return attempts(reach)
        except RetryError:
            raise last[0] from None


def breaking(changes: Iterable[Change], router: engine.Router) -> Iterable[PublicKey]:
    """Public keys of peers whose session the changes are bound to break."""
    assert router.observed is not None
    for change in changes:
        match change:
            case SetPeer() if renews_session(change):
                yield change.wanted.public_key
            # A Reapply brings back what was missing and leaves the sessions of the rest alone: their age proves them.
            case AddInterface():
                yield from _peers(router, change.interface)
            case SetInterface() if change.old.listen_port != change.wanted.listen_port:
                yield from _peers(router, change.interface)
            case _:
                pass


def _gained(changes: Iterable[Change], *, derived: bool) -> Iterable[IPNetwork]:
    """Prefixes that go into a tunnel by these changes: new routes, or allowed IPs where the vendor derives routes from them."""
    for change in changes:
        if isinstance(change, AddRoute):
            yield change.wanted.prefix
        elif derived and isinstance(change, SetPeer):
            yield from change.wanted.allowed_ips - change.old.allowed_ips
        elif derived and isinstance(change, AddPeer):
            yield from change.wanted.allowed_ips


def _met(observed: Observed) -> Iterable[tuple[PublicKey, IPAddress]]:
    """Where the peers with a session are met now."""
    for peers in observed.live.values():
        for key, live in peers.items():
            if live.handshake_age is not None and live.endpoint is not None and live.endpoint.ip is not None:
                yield key, live.endpoint.ip


def _peers(router: engine.Router, interface: str) -> Iterable[PublicKey]:
    assert router.observed is not None
    return router.observed.stored[interface].peers if interface in router.observed.stored else ()


def _interface_of(router: engine.Router, key: PublicKey) -> str:
    """The interface that holds this peer, empty if none does (any more)."""
    assert router.observed is not None
    held = router.observed.running if router.observed.running is not None else router.observed.stored
    return next((name for name, one in held.items() if key in one.peers and not one.peers[key].disabled), "")


def _peer(router: engine.Router, interface: str, key: PublicKey) -> Peer | None:
    assert router.observed is not None
    held = router.observed.running if router.observed.running is not None else router.observed.stored
    return held[interface].peers.get(key) if interface in held else None


def _at(router: engine.Router, key: PublicKey, wanted: Peer | None) -> bool:
    """True if a peer with a new endpoint is met there, as far as that can be told: a name is no address, but has a port."""
    if wanted is None or wanted.endpoint is None:
        return True
    assert router.observed is not None
    met = [peers[key].endpoint for peers in router.observed.live.values() if key in peers]
    if wanted.endpoint.ip is None:
        return any(endpoint is None or endpoint.port == wanted.endpoint.port for endpoint in met)
    return any(endpoint is None or endpoint == wanted.endpoint for endpoint in met)


def renews_session(change: Change) -> TypeGuard[AddPeer | SetPeer]:
    """True if a peer changes so that a handshake from before proves nothing."""
    if isinstance(change, SetPeer):
        return bool(change.differing & {"endpoint", "preshared_key", "disabled"})
    return isinstance(change, AddPeer)


def rehandshake(router: engine.Router, interface: str, peer: Peer) -> None:
    """Force a new handshake with a peer, where this router's driver can; failing to is no error."""
    assert router.observed is not None
    requests = router.driver.rehandshake(interface, peer, router.observed)
    if requests is None:
        return
    try:
        router.link.send_all(requests)
    except RouterError as error:
        # The proof itself decides; that it could not be hurried is no reason to undo.
        router.say("verify", f"a new handshake with {peer.label} could not be forced: {error.summary}")
