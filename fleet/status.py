"""What one read of the hubs tells about every router: handshakes, endpoints, bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .driver import Live, Observed
from .errors import FleetError
from .liveness import FRESH_SECONDS
from .model import Fact, Facts, Fleet, PublicKey

DOWN_SECONDS = 300.0
"""Two and a half renewals missed: not late any more."""


@dataclass(frozen=True, slots=True)
class RouterStatus:
    """One router: `tunnel` is alive, idle, stale, down, never, not enrolled, suspended, or unread; `seen_from` who told.

    `handshake_age` in seconds; bytes are from the router's own point of view; `endpoint` as the other end learned it.
    """

    router: str
    driver: str
    role: str
    address: str
    tunnel: str
    handshake_age: float | None = None
    endpoint: str = ""
    received: int = 0
    sent: int = 0
    seen_from: str = ""
    error: str = ""

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


def status(
    fleet: Fleet,
    facts: Facts,
    observed: Mapping[str, Observed],
    errors: Mapping[str, str],
) -> list[RouterStatus]:
    """Every router of the inventory in file order, hubs first.

    A session is looked for at the far ends first (they know the learned endpoint), then at the router itself.
    """
    ordered = sorted(fleet.routers.values(), key=lambda router: router.role != "hub")
    return [_one(router.name, fleet, facts, observed, errors) for router in ordered]


def _one(name: str, fleet: Fleet, facts: Facts, observed: Mapping[str, Observed], errors: Mapping[str, str]) -> RouterStatus:
    router = fleet.routers[name]
    fact = facts.get(name, Fact())
    address = ", ".join(map(str, fact.addresses))

    def told(tunnel: str, live: Live | None = None, seen_from: str = "") -> RouterStatus:
        return RouterStatus(
            name,
            router.driver,
            router.role,
            address,
            tunnel,
            live.handshake_age if live else None,
            str(live.endpoint) if live and live.endpoint else "",
            live.sent if live else 0,
            live.received if live else 0,
            seen_from,
            errors.get(name, ""),
        )

    if not router.enabled:
        return told("suspended")
    if fact.public_key is None:
        return told("not enrolled")
    if router.role == "hub" and name in observed:
        return _as_seen_by_itself(told, name, facts, observed[name])
    seen = _seen_by_others(name, fact.public_key, observed)
    if seen is not None:
        far, live = seen
        return told(tunnel_class(live.handshake_age), live, far)
    if name in observed:
        return _as_seen_by_itself(told, name, facts, observed[name])
    return told("unread")


def _seen_by_others(name: str, key: PublicKey, observed: Mapping[str, Observed]) -> tuple[str, Live] | None:
    found = [(far, live[key]) for far, read in observed.items() if far != name for live in read.live.values() if key in live]
    return min(found, key=lambda pair: _age(pair[1]), default=None)


def _as_seen_by_itself(
    told: Callable[[str, Live | None, str], RouterStatus], name: str, facts: Facts, read: Observed
) -> RouterStatus:
    known = {fact.public_key for far, fact in facts.items() if far != name}
    lives = [live for peers in read.live.values() for key, live in peers.items() if key in known]
    if not lives:
        return told("never", None, name)
    best = min(lives, key=_age)
    total = Live(best.handshake_age, sum(live.sent for live in lives), sum(live.received for live in lives))
    return told(tunnel_class(best.handshake_age), total, name)


def _age(live: Live) -> float:
    return float("inf") if live.handshake_age is None else live.handshake_age


def tunnel_class(age: float | None) -> str:
    """`never`, `alive` under 180 s, `stale` to 300 s, `down` beyond."""
    if age is None:
        return "never"
    return "alive" if age < FRESH_SECONDS else "stale" if age < DOWN_SECONDS else "down"


def exit_code(rows: Sequence[RouterStatus], errors: Iterable[FleetError] = ()) -> int:
    """0 when every tunnel lives; 6 when some is not up or some router did not answer; 1 when a router answered and failed."""
    if any(getattr(error, "outcome", "failed") != "pending" for error in errors):
        return 1
    return 6 if any(row.tunnel not in ("alive", "suspended") for row in rows) else 0
