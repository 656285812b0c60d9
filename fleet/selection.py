"""Which routers a command is about, and what may be written on the others for their sake. Pure.

A selection means "make these routers work": hubs and other ends of their tunnels are included, and on those nothing is
written that has nothing to do with the selected.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .changes import (
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    Reapply,
    RemovePeer,
    RemoveRoute,
    SetPeer,
    SetRoute,
)
from .errors import UsageError
from .model import Fleet, IPNetwork, Mark, PublicKey, Router


@dataclass(frozen=True, slots=True)
class Selection:
    """Routers of one command, in file order.

    names     everything that is read and reported
    selected  those that were asked for
    included  the others, each with the selected router that needs it
    writable  those that may be written
    keys      public keys that the inventory gives for the selected
    lans      LANs of the selected
    """

    names: tuple[str, ...]
    selected: frozenset[str]
    included: Mapping[str, str] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()
    keys: frozenset[PublicKey] = frozenset()
    lans: frozenset[IPNetwork] = frozenset()

    def filter(self, name: str) -> Callable[[Change], bool] | None:
        """Which changes of a router belong to this selection; None: all of them."""
        return None if name in self.selected else lambda change: relevant(change, name, self)


def select(fleet: Fleet, names: Iterable[str] = (), *, only: bool = False, limit: str | None = None) -> Selection:
    """The routers named, or those of a `limit` expression, or all; with `only`, nobody is included for their sake.

    Raises UsageError for a name, group or pattern that matches nothing, with the nearest one that exists.
    """
    names = list(names)
    if names and limit:
        raise UsageError("routers are named twice, as arguments and in --limit", "use one of the two")
    unknown = [name for name in names if name not in fleet.routers]
    if unknown:
        raise UsageError(f"no router {unknown[0]!r} in the inventory", nearest(unknown[0], fleet.routers))
    selected = frozenset(_limited(fleet, limit) if limit else names or fleet.routers)
    included = {} if only else _included(fleet, selected)
    return Selection(
        names=tuple(name for name in fleet.routers if name in selected or name in included),
        selected=selected,
        included=included,
        writable=selected | included.keys(),
        keys=frozenset(key for name in selected if (key := fleet.routers[name].public_key) is not None),
        lans=frozenset(lan for name in selected for lan in fleet.routers[name].lans),
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The next action after a name that nobody has: the nearest known one, or where the names are."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else "`fleet check --table` lists them"


def _limited(fleet: Fleet, limit: str) -> set[str]:
    """Names of `mumbai,group:branches,edge-*,!lab`: terms add, terms after `!` take away; only the latter: from all."""
    terms = [term.strip() for term in limit.split(",") if term.strip()]
    wanted = [term for term in terms if not term.startswith("!")]
    found = set().union(*(_matching(fleet, term) for term in wanted)) if wanted else set(fleet.routers)
    found -= set().union(*(_matching(fleet, term[1:].strip()) for term in terms if term.startswith("!")))
    if not found:
        raise UsageError(f"--limit {limit!r} leaves no router", "`fleet check --table` lists names and groups")
    return found


def _matching(fleet: Fleet, term: str) -> set[str]:
    routers = fleet.routers.values()
    if term.startswith("group:"):
        group = term.removeprefix("group:")
        found = {router.name for router in routers if group in router.groups}
        known: set[str] = {f"group:{name}" for router in routers for name in router.groups}
    else:
        found = {router.name for router in routers if fnmatchcase(router.name, term)}
        known = set(fleet.routers)
    if not found:
        raise UsageError(f"--limit: {term!r} matches no router", nearest(term, sorted(known)))
    return found


def _included(fleet: Fleet, selected: frozenset[str]) -> dict[str, str]:
    """Other ends of the selected routers' tunnels, in file order, each with the first selected router it is there for."""
    hubs = [hub.name for hub in fleet.hubs]
    everyone = [router.name for router in fleet.enabled]
    tied = _tied(fleet)
    included: dict[str, str] = {}
    for router in (fleet.routers[name] for name in fleet.routers if name in selected):
        for other in _other_ends(fleet, router, hubs, everyone, tied):
            if other not in selected and fleet.routers[other].enabled:
                included.setdefault(other, router.name)
    return {name: included[name] for name in fleet.routers if name in included}


def _tied(fleet: Fleet) -> dict[str, list[str]]:
    tied: dict[str, list[str]] = {}
    for one, other in fleet.overlay.links or ():
        tied.setdefault(one, []).append(other)
        tied.setdefault(other, []).append(one)
    return tied


def _other_ends(
    fleet: Fleet, router: Router, hubs: list[str], everyone: list[str], tied: Mapping[str, list[str]]
) -> Sequence[str]:
    if fleet.overlay.links is not None:
        # A pair in which nobody can be dialled meets at a hub that need not be linked.
        return [*tied.get(router.name, ()), *(hubs if router.endpoint is None else ())]
    return everyone if router.role == "hub" or fleet.overlay.topology == "full-mesh" else hubs


# ----------------------------------------------------------------------------------------------------- relevance
def relevant(change: Change, router: str, selection: Selection) -> bool:
    """True if a change on `router` is needed so that the selected routers work.

    By the name in marks, by public key, and by LANs: a hub's peer for another hub that carries a selected LAN, or a peer that
    must give one up before its new owner gets it. What is missing on an interface (itself, an address, an opening) is needed
    too; what merely differs there is not.
    """
    if router in selection.selected:
        return True
    match change:
        case AddInterface() | AddAddress() | AddOpening():
            return True
        case AddPeer():
            return (
                _concerns(change.wanted.mark, change.wanted.allowed_ips, selection)
                or change.wanted.public_key in selection.keys
            )
        case SetPeer():
            moved = change.old.allowed_ips ^ change.wanted.allowed_ips
            return _concerns(change.wanted.mark, moved, selection) or change.wanted.public_key in selection.keys
        case RemovePeer():
            return _concerns(change.old.mark, change.old.allowed_ips, selection) or change.old.public_key in selection.keys
        case AddRoute() | SetRoute():
            return _concerns(change.wanted.mark, {change.wanted.prefix}, selection)
        case RemoveRoute():
            return _concerns(change.old.mark, {change.old.prefix}, selection)
        case Reapply():
            return any(f"peer {name} " in f"{text} ".replace(":", " ") for text in change.what for name in selection.selected)
        case _:
            return False


def _concerns(mark: Mark | None, prefixes: Iterable[IPNetwork], selection: Selection) -> bool:
    return (mark is not None and mark.name in selection.selected) or not selection.lans.isdisjoint(prefixes)
