"""Which changes can cut off the management of a router: computed from the path that each router is reached by. Pure.

The path of a router that is managed through the overlay is its `via` chain and, on both ends of every tunnel in between, the
interface, keys, peer, address, routes and openings it crosses. What is only added does not cut; what is changed or removed on
the path may.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from .changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Change,
    DropStagedKey,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    SetInterface,
    SetOpening,
    SetPeer,
    SetRoute,
    StageKey,
)
from .model import Fleet, Management, Mark, NoMasquerade


def managed_through(fleet: Fleet) -> dict[str, frozenset[str]]:
    """For every router that carries somebody's management through the overlay: whose. A router may carry its own.

    A router with `via` is reached through the tunnel between it and the routers of its chain, so both ends carry it.
    """
    carried: dict[str, set[str]] = {}
    inside = _inside(fleet)
    for router in fleet.enabled:
        chain = _chain(fleet, router.name)
        through_tunnel = bool(chain) or any(map(inside, router.hosts))
        if through_tunnel:
            for carrier in {router.name, *chain, *(hub.name for hub in fleet.hubs)}:
                carried.setdefault(carrier, set()).add(router.name)
    return {name: frozenset(whose) for name, whose in carried.items()}


def _chain(fleet: Fleet, name: str) -> set[str]:
    """All routers that a connection to `name` may pass through."""
    found: set[str] = set()
    waiting = [jump for jump in fleet.routers[name].via if jump in fleet.routers]
    while waiting:
        jump = waiting.pop()
        if jump not in found:
            found.add(jump)
            waiting += [behind for behind in fleet.routers[jump].via if behind in fleet.routers]
    return found


def _inside(fleet: Fleet) -> Callable[[str], bool]:
    """Whether a host is an address in the overlay or in a LAN; one look per prefix length, not one per prefix."""
    found: dict[tuple[int, int], set[int]] = {}
    for prefix in (*fleet.overlay.prefixes, *(lan for router in fleet.enabled for lan in router.lans)):
        host_bits = prefix.max_prefixlen - prefix.prefixlen
        found.setdefault((prefix.version, host_bits), set()).add(int(prefix.network_address) >> host_bits)

    def inside(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(
            version == address.version and int(address) >> host_bits in prefixes
            for (version, host_bits), prefixes in found.items()
        )

    return inside


def cutting(fleet: Fleet, router: str, changes: Sequence[Change]) -> dict[Change, frozenset[str]]:
    """The changes on `router` that can cut off somebody's management, each with whose."""
    whose = managed_through(fleet).get(router, frozenset())
    found: dict[Change, frozenset[str]] = {}
    for change in changes:
        hit = frozenset(name for name in whose if _crosses(change, router, name, fleet))
        if hit:
            found[change] = hit
    return found


def _crosses(change: Change, router: str, managed: str, fleet: Fleet) -> bool:
    """True if the path to `managed` crosses what `change` alters on `router`."""
    match change:
        case AddInterface() | AddAddress() | StageKey() | DropStagedKey() | SetRoute():
            return False
        case SetInterface():
            old, new = change.old, change.wanted
            return (old.listen_port, old.mtu, old.disabled) != (new.listen_port, new.mtu, new.disabled)
        case RemoveInterface() | RemoveAddress() | ActivateKey() | Reapply():
            return True
        case AddPeer():
            # A new peer takes an allowed IP away from the one that has it only by conflict, which diff refuses or splits.
            return False
        case SetPeer():
            return change.differing != {"mark"} and _on_path(change.old.mark, router, managed, fleet)
        case RemovePeer():
            return _on_path(change.old.mark, router, managed, fleet)
        case AddRoute():
            return False
        case RemoveRoute():
            return _on_path(change.old.mark, router, managed, fleet)
        case AddOpening():
            return isinstance(change.wanted, Management)  # it closes the port to everybody else in the tunnel
        case SetOpening() | RemoveOpening():
            return not isinstance(change.old, NoMasquerade)
        case _:
            assert_never(change)


def _on_path(mark: Mark | None, router: str, managed: str, fleet: Fleet) -> bool:
    """True if the peer or route with this mark leads from `router` towards `managed`, or back to where it is managed from."""
    if mark is None:
        return True
    if managed == router:
        # The way back: towards the routers it is reached through, or the hubs that relay.
        return mark.name in _chain(fleet, managed) or mark.name in {hub.name for hub in fleet.hubs}
    return mark.name == managed or mark.name in {hub.name for hub in fleet.hubs}


def sentence(cut: Mapping[Change, frozenset[str]]) -> str:
    """What can be cut and whose management that is, in one line."""
    change, whose = next(iter(cut.items()))
    more = f" (and {len(cut) - 1} more)" if len(cut) > 1 else ""
    names = ", ".join(sorted(whose)[:3]) + (f" and {len(whose) - 3} more" if len(whose) > 3 else "")
    return f"{change}{more} can cut off the management of {names}"
