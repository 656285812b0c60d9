"""What a read of a controller means: configuration, whether it was delivered, and what lives (sheet 2, 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ... import Interface, Limit, Limits, Live, Mark, Observed, Peer, PublicKey, Target, keys
from ...errors import RouterError, Unreachable
from ...model import Configuration, Endpoint, Secret
from .api import Row
from .read import Found, Read
from .spelling import NAME_MOST, Spelling, address_of, number, peer_of, shown_key

CONNECTED: Final = 1
LIVE: Final = 14
AT_WORK: Final = frozenset({10, 11, 50})
"""detailStatus of a gateway that is given its settings: provisioning, configuring, configuring a slice."""

OFF: Final[dict[int, str]] = {
    0: "disconnected",
    2: "pending adoption",
    3: "not heard for a while",
    4: "isolated",
}
BUSY: Final[dict[int, str]] = {12: "upgrading", 13: "rebooting", 30: "not heard for a while"}
ADOPTING: Final = range(20, 26)
OF_OTHERS: Final = 26

EVERYTHING: Final = frozenset(
    {"AddInterface", "SetInterface", "RemoveInterface", "AddAddress", "RemoveAddress", "AddPeer", "SetPeer", "RemovePeer"}
    | {"ActivateKey", "Reapply"}
)
MASKED: Final = (
    "the controller shows this application no private keys, so that it may only look: give it, under Settings > Platform "
    "Integration > Open API, a role with 'Site Settings Manager Modify'"
)
NO_WIREGUARD: Final = (
    "the gateway does not support WireGuard: upgrade its firmware, or replace it by a model that does (README)"
)
_ODD: Final = re.compile(r"[^a-zA-Z0-9_=+.-]+")


@dataclass(frozen=True, slots=True)
class Native:
    """What writing needs: where, in which words, and the objects as they were read, by interface."""

    site: str
    mac: str
    spelling: Spelling
    tunnels: Mapping[str, Found]


def observed_from(seen: Read, target: Target, limits: Limits) -> Observed:
    """Raises Unreachable for a gateway that is off, RouterError for one that another controller manages."""
    _refuse_guess(seen, target)
    settled = _settled(seen.gateway)
    tunnels = dict(_named(seen, target))
    stored = {name: _interface(name, found, seen.spelling) for name, found in tunnels.items()}
    running, notes = _running(stored, tunnels, seen, target) if settled else (None, [])
    masked = any(found.ours(target.overlay) and not shown_key(found.row.get("privateKey")) for found in tunnels.values())
    return Observed(
        stored=stored,
        running=running,
        live={name: _live(stored[name], found, seen) for name, found in tunnels.items()},
        version=str(seen.gateway.get("firmwareVersion") or ""),
        model=str(seen.gateway.get("model") or seen.gateway.get("showModel") or ""),
        limits=_narrowed(limits, seen, target, masked=masked),
        settled=settled and running is None,
        rights=(MASKED,) if masked and "rights" in target.asks else (),
        notes=tuple(notes),
        native=Native(seen.site, str(seen.gateway.get("mac") or ""), seen.spelling, tunnels),
    )


# ------------------------------------------------------------------------------------------------------ the gateway
def _settled(gateway: Row) -> bool:
    """True if it runs what it was given, as far as its state says; False while it is at it."""
    status, detail = number(gateway.get("status")), number(gateway.get("detailStatus"))
    name = f"gateway {gateway.get('name') or gateway.get('mac')}"
    if detail == OF_OTHERS:
        raise RouterError(f"{name} is managed by another controller", "adopt it in this one, then run `fleet sync` again")
    if detail in ADOPTING or status == 2:
        raise Unreachable(f"the controller shows {name} as not adopted", "adopt it in the controller; a later sync picks it up")
    if detail in BUSY or status != CONNECTED:
        state = BUSY.get(detail or 0) or OFF.get(status or 0, f"in state {status}")
        raise Unreachable(f"the controller shows {name} as {state}", "check its power and line; the next sync picks it up")
    return detail in (LIVE, None)


def _refuse_guess(seen: Read, target: Target) -> None:
    """Raises RouterError if the only site there is, taken because none was named, is another router's."""
    marks = [Mark.find(str(found.row.get("name") or "")) for found in seen.tunnels] if seen.guessed else []
    for mark in marks:
        if mark is not None and mark.overlay == target.overlay and mark.name != target.router:
            raise RouterError(
                f"the only site that the controller shows is that of router {mark.name}",
                f"set `options: {{site: NAME}}` of {target.router}, or give the application its site",
            )


# ------------------------------------------------------------------------------------------------------ the tunnels
def _named(seen: Read, target: Target) -> Iterator[tuple[str, Found]]:
    """Every tunnel under the name of an interface: ours first, which have theirs in front of the mark."""
    taken: set[str] = set()
    claims = [(found, _claimed(found, target, seen.tunnels)) for found in seen.tunnels]
    for found, wanted in sorted(claims, key=lambda claim: claim[1] is None):
        name = wanted or _ODD.sub("-", str(found.row.get("name") or "")).strip("-") or "unnamed"
        name = next(one for one in _variants(name[:15]) if one not in taken)
        taken.add(name)
        yield name, found


def _claimed(found: Found, target: Target, tunnels: Iterable[Found]) -> str | None:
    """The interface of ours that this is: by a word of its name, else as the only one of ours; None: it is not ours."""
    text = str(found.row.get("name") or "")
    mark = Mark.find(text)
    ours = [one for one in tunnels if one.ours(target.overlay)]
    if text in target.interfaces and (found in ours or mark is None):
        return text
    if found not in ours:
        return None
    named = [word for word in text.split() if word in target.interfaces]
    if named or (len(ours) == 1 and target.interfaces):
        return named[0] if named else target.interfaces[0]
    first = text.partition(" ")[0]
    return first if mark is not None and 0 < len(first) <= 15 and not _ODD.search(first) else None


def _variants(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name[: 14 - len(str(count))]}-{count}" for count in range(2, 10_000))


def _interface(name: str, found: Found, spelling: Spelling) -> Interface:
    row = found.row
    peers = [peer for each in found.peers if (peer := _peer(each, spelling)) is not None]
    return Interface(
        name,
        public_key=_public_key(row),
        listen_port=number(row.get(spelling.listen_port)),
        mtu=number(row.get("mtu")),
        addresses=address_of(row, spelling),
        peers={peer.public_key: peer for peer in peers},
        disabled=row.get("status") is False,
        mark=Mark.find(str(row.get("name") or "")),
    )


def _public_key(row: Row) -> PublicKey | None:
    try:
        return PublicKey(str(row.get("publicKey") or ""))
    except ValueError:
        private = row.get("privateKey")
        return keys.public_key_of(private) if isinstance(private, Secret) and shown_key(private) else None


def _peer(row: Row, spelling: Spelling) -> Peer | None:
    """A peer, None for one that fleet's model does not hold: nothing fleet made."""
    try:
        return peer_of(row, spelling)
    except ValueError:
        return None


# ----------------------------------------------------------------------------------------------------- what it runs
def _running(
    stored: Configuration, tunnels: Mapping[str, Found], seen: Read, target: Target
) -> tuple[Configuration | None, list[str]]:
    """What statistics say that differs from what is stored, None if nothing does; and what is odd about them.

    A gateway whose state says that all is well may still run what it had (sheet 5). Only what its row contradicts counts:
    whether a tunnel always has one is not known.
    """
    running, notes = dict(stored), []
    for name, found in tunnels.items():
        if not seen.status.told or not found.ours(target.overlay) or stored[name].disabled:
            continue
        row = seen.status.of(found)
        if row is None:
            if stored[name].peers:
                notes.append(
                    f"interface {name}: the gateway's statistics do not show it, so that nothing tells whether it runs"
                )
            continue
        port = number(row.get("port"))
        running[name] = replace(
            stored[name],
            listen_port=port or stored[name].listen_port,
            peers={key: peer for key, peer in stored[name].peers.items() if not _missing(peer, found, row, seen)},
        )
    return (running if running != dict(stored) else None), notes


def _missing(peer: Peer, found: Found, row: Row, seen: Read) -> bool:
    """True if the gateway has fewer peers than are stored, and this is one that it does not name."""
    total = number(row.get("totalRemoteNum"))
    enabled = sum(each.get("status") is not False for each in found.peers)
    if total is None or total >= enabled or peer.disabled:
        return False
    rows = seen.status.peers.get(found.id)
    if rows is None:
        return total == 0
    return _name_of(peer, found, seen.spelling) not in {each.get("name") for each in rows}


def _name_of(peer: Peer, found: Found, spelling: Spelling) -> object:
    return next((row.get("name") for row in found.peers if row.get(spelling.peer_key) == peer.public_key), None)


def _live(interface: Interface, found: Found, seen: Read) -> dict[PublicKey, Live]:
    """A session's state, bytes and endpoint; a tunnel with one peer is told by its own row, without them."""
    row = seen.status.of(found) if seen.status.told else None
    rows = seen.status.peers.get(found.id)
    if row is None:
        return {}
    if rows is None:
        alone = [peer for peer in interface.peers.values() if not peer.disabled]
        return (
            {peer.public_key: Live(connected=bool(number(row.get("connectedNum")))) for peer in alone}
            if len(alone) == 1
            else {}
        )
    named: dict[object, list[Row]] = {}
    for each in rows:
        named.setdefault(each.get("name"), []).append(each)
    told = {key: named.get(_name_of(peer, found, seen.spelling), []) for key, peer in interface.peers.items()}
    return {key: _session(each[0]) for key, each in told.items() if len(each) == 1}


def _session(row: Row) -> Live:
    host, port = str(row.get("remoteIp") or ""), number(row.get("port"))
    try:
        endpoint = Endpoint(host, port) if host and port else None
    except ValueError:
        endpoint = None
    return Live(
        received=number(row.get("downBytes")) or 0,
        sent=number(row.get("upBytes")) or 0,
        endpoint=endpoint,
        connected=number(row.get("status")) == 1,
    )


# ----------------------------------------------------------------------------------------------------------- limits
def _narrowed(limits: Limits, seen: Read, target: Target, *, masked: bool) -> Limits:
    generation = seen.spelling.generation
    named = seen.beside.get("supportDomain" if generation == 1 else "supportWgDomain")
    longest = max(map(len, target.interfaces), default=1)
    return replace(
        limits,
        unit="item" if generation == 1 else "batch",  # generation 2 replaces a tunnel with all of its peers at once
        endpoint_names=named is True,
        mark_length=NAME_MOST - 1 - longest,
        cannot=(
            *limits.cannot,
            *((Limit(EVERYTHING, MASKED),) if masked else ()),
            *((Limit(frozenset({"AddInterface"}), NO_WIREGUARD),) if seen.incapable else ()),
        ),
    )
