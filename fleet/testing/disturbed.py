"""What can happen between fleet and a router: every moment of a link counted, and one of them disturbed.

A moment is a burst of reads, or one request that is none. Wrapped around a link's connections (`RouterLink.through`) it sees
what every driver sends, whatever its transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from ..errors import ConnectionLost, Rejected, RouterError, Unreachable
from ..link import Address, Connect, Reply, Request, Session


class Killed(BaseException):
    """fleet ended here, as by SIGKILL: nothing of it runs on, nothing more is sent."""


Kind: TypeAlias = Literal[
    "killed before", "killed after", "dropped before", "dropped after", "reset", "late", "refused", "rebooted", "away"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

AWAY_CONNECTS: Final = 2
"""How many attempts to connect fail while a router is away."""

Event: TypeAlias = "tuple[Literal['journal'], str, str] | tuple[Literal['carried'], Request, bool]"
"""A line of the journal (phase, text), or a request that reached the router and whether its yes came back."""


@dataclass(slots=True)
class Wire:
    """The connections of one process of fleet to one router. `at` 0: nothing is disturbed, everything is counted.

    killed before/after  fleet dies before the request leaves, or when the router has done it
    dropped before/after the connection is lost before the router does it, or when it has, before it answers
    reset                the router does the whole burst and no answer arrives
    late                 no answer arrives, and the router does it when fleet has come back and read again
    refused              the router says no and does nothing
    rebooted             the router loses power before the request
    away                 lost, and the router cannot be reached for a while
    """

    kind: Kind = "dropped before"
    at: int = 0
    reboot: Callable[[], None] = lambda: None
    events: list[Event] = field(default_factory=list)
    moments: int = 0
    exchanges: int = 0
    dead: bool = False
    _refusals: int = 0
    _late: list[tuple[Connect, Sequence[Request]]] = field(default_factory=list)

    @property
    def struck(self) -> bool:
        """True if the moment came."""
        return 0 < self.at <= self.moments

    def around(self, connect: Connect) -> Connect:
        """For `RouterLink.through`."""

        def connected() -> Session:
            self.alive()
            if self._refusals:
                self._refusals -= 1
                raise Unreachable("no TCP connection to 192.0.2.1:1: refused", "check that the router has power and an uplink")
            return _Disturbed(connect, self)

        return connected

    def alive(self) -> None:
        """Raises Killed if fleet is dead."""
        if self.dead:
            raise Killed

    def kill(self) -> None:
        """Raises Killed, now and at everything that follows."""
        self.dead = True
        raise Killed

    def strikes(self) -> bool:
        """Count a moment; True for the one that is disturbed."""
        self.moments += 1
        return self.moments == self.at

    def go_away(self) -> None:
        """The next attempts to connect fail."""
        self._refusals = AWAY_CONNECTS

    def postpone(self, connect: Connect, requests: Sequence[Request]) -> None:
        """The router does these after the next exchange."""
        self._late.append((connect, requests))

    def catch_up(self) -> None:
        """What the router was too slow for, it does now; nobody hears the answers."""
        late, self._late = self._late, []
        for connect, requests in late:
            session = connect()
            replies = session.send(requests)
            self.saw(requests, [ConnectionLost("late", sent=True) if isinstance(r, Reply) else r for r in replies])
            session.close()

    def saw(self, requests: Sequence[Request], replies: Sequence[Reply | RouterError]) -> None:
        """Remember what reached the router."""
        self.events += [
            ("carried", request, isinstance(reply, Reply)) for request, reply in zip(requests, replies, strict=True)
        ]


class _Disturbed:
    """One connection through the wire."""

    def __init__(self, connect: Connect, wire: Wire) -> None:
        self._connect = connect
        self._inner = connect()
        self._wire = wire
        self._lost = False
        self.identity: str = self._inner.identity
        self.address: Address = self._inner.address

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        self._wire.alive()
        if self._lost:
            return _lost(requests, sent=False)
        self._wire.exchanges += 1
        for first, last in _moments(requests):
            if self._wire.strikes():
                return self._strike(requests, first, last)
        replies = self._through(requests)
        self._wire.catch_up()
        return replies

    def close(self) -> None:
        self._inner.close()

    def _through(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        if not requests:
            return []
        replies = self._inner.send(requests)
        self._wire.saw(requests, replies)
        return replies

    def _unheard(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        """The router does it and no answer comes back."""
        replies = self._inner.send(requests)
        lost = _lost(requests, sent=True)
        self._wire.saw(requests, [no if isinstance(yes, Reply) else yes for yes, no in zip(replies, lost, strict=True)])
        return lost

    def _strike(self, requests: Sequence[Request], first: int, last: int) -> list[Reply | RouterError]:
        before, hit, rest = requests[:first], requests[first:last], requests[last:]
        done = self._through(before)
        wire = self._wire
        self._lost = wire.kind != "refused"
        match wire.kind:
            case "killed before":
                wire.kill()
            case "killed after":
                self._unheard(hit)
                wire.kill()
            case "dropped after":
                return [*done, *self._unheard(hit), *_lost(rest, sent=False)]
            case "reset":
                return [*done, *self._unheard([*hit, *rest])]
            case "late":
                wire.postpone(self._connect, [*hit, *rest])
                return [*done, *_lost([*hit, *rest], sent=True)]
            case "refused":
                refusals: list[Reply | RouterError] = [Rejected("the router said no: drill", evidence="drill") for _ in hit]
                return [*done, *refusals, *self.send(rest)] if rest else [*done, *refusals]
            case "rebooted":
                wire.reboot()
            case "away":
                wire.go_away()
            case "dropped before":
                pass
        return [*done, *_lost(hit, sent=True), *_lost(rest, sent=False)]


def _moments(requests: Sequence[Request]) -> Iterator[tuple[int, int]]:
    """First and behind-last index of each moment."""
    first = 0
    for number, request in enumerate(requests):
        following = requests[number + 1] if number + 1 < len(requests) else None
        if not (request.reads and following is not None and following.reads):
            yield first, number + 1
            first = number + 1


def _lost(requests: Sequence[Request], *, sent: bool) -> list[Reply | RouterError]:
    return [ConnectionLost("connection closed by the router", sent=sent) for _ in requests]
