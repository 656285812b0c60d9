"""Whether tunnels live, judged from handshakes on either end. Pure.

Classes: `alive` (a handshake younger than 180 s on either end), `idle` (nobody keeps it alive and nothing was sent: no
verdict), `waiting` (somebody should keep it alive and no fresh handshake is seen).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .driver import Observed
from .model import Configuration, Facts, PublicKey

FRESH_SECONDS = 180.0
"""A session is renewed every 120 s and dead at 180 (REJECT_AFTER_TIME of the protocol)."""

Verdict: TypeAlias = Literal["alive", "idle", "waiting"]


@dataclass(frozen=True, slots=True)
class Session:
    """One pair of routers that peer: `dialler` is the end that has an endpoint to dial and keeps the session alive."""

    one: str
    other: str
    dialler: str
    verdict: Verdict
    age: float | None


def judge(
    pairs: Iterable[tuple[str, str]],
    facts: Facts,
    wanted: Mapping[str, Configuration],
    observed: Mapping[str, Observed],
    younger_than: Callable[[str, str], float] = lambda one, other: FRESH_SECONDS,  # noqa: ARG005 - the shape
) -> list[Session]:
    """Every pair of which at least one end was read. `wanted` and `observed` are by router name.

    `younger_than` says how many seconds old a handshake of a pair may be to count: where a change broke the session, one
    from before it proves nothing, however fresh the end that was not written thinks it is.
    """
    sessions = []
    for one, other in pairs:
        ages = [
            age
            for near, far in ((one, other), (other, one))
            if near in observed and (age := handshake_age(observed[near], facts, far)) is not None
        ]
        if one not in observed and other not in observed:
            continue
        dialler = _dialler(one, other, facts, wanted)
        age, limit = min(ages, default=None), younger_than(one, other)
        # A vendor's bare word is believed where no age is told, and never for a handshake that has to be a new one.
        told = age is None and limit >= FRESH_SECONDS and _connected(observed, facts, one, other)
        if told or (age is not None and age < limit):
            verdict: Verdict = "alive"
        elif dialler == "":
            verdict = "idle"
        else:
            verdict = "waiting"
        sessions.append(Session(one, other, dialler, verdict, age))
    return sessions


def handshake_age(observed: Observed, facts: Facts, far: str) -> float | None:
    """Seconds since the newest handshake with router `far`, None if there was none."""
    key = facts[far].public_key if far in facts else None
    ages = [live[key].handshake_age for live in observed.live.values() if isinstance(key, PublicKey) and key in live]
    return min((age for age in ages if age is not None), default=None)


def _connected(observed: Mapping[str, Observed], facts: Facts, one: str, other: str) -> bool:
    """True if an end that tells no ages says that this session lives."""
    return any(
        far in facts and (key := facts[far].public_key) is not None and key in live and bool(live[key].connected)
        for near, far in ((one, other), (other, one))
        if near in observed
        for live in observed[near].live.values()
    )


def _dialler(one: str, other: str, facts: Facts, wanted: Mapping[str, Configuration]) -> str:
    """The end whose wanted peer has an endpoint and a keepalive, empty if neither end sends one."""
    for near, far in ((one, other), (other, one)):
        key = facts[far].public_key if far in facts else None
        for interface in wanted.get(near, {}).values():
            peer = interface.peers.get(key) if key is not None else None
            if peer is not None and peer.endpoint is not None and peer.persistent_keepalive:
                return near
    return ""
