"""What a router holds after changes: the simulation behind previews, partial plans and tests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
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
from .model import Configuration, Interface
from .ours import SCALARS


def apply_changes(configuration: Configuration, changes: Iterable[Change]) -> Configuration:
    """What a router that does exactly this would hold. Raises KeyError for a change of something that is not there."""
    interfaces = dict(configuration)
    for name, own in _by_interface(changes).items():
        draft = _Draft(interfaces.get(name))
        for change in own:
            if draft.interface is None and not isinstance(change, AddInterface | RemoveInterface):
                raise KeyError(name)
            draft.take(change)
        if draft.interface is None:
            interfaces.pop(name, None)
        else:
            interfaces[name] = draft.finished()
    return interfaces


def _by_interface(changes: Iterable[Change]) -> dict[str, list[Change]]:
    grouped: dict[str, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.interface, []).append(change)
    return grouped


class _Draft:
    """One interface while changes are applied to it: collections are opened once, not once per change."""

    def __init__(self, interface: Interface | None) -> None:
        self.interface = interface
        self._open(interface)

    def _open(self, interface: Interface | None) -> None:
        self.interface = interface
        self.peers = dict(interface.peers) if interface else {}
        self.routes = dict(interface.routes) if interface else {}
        self.openings = dict(interface.openings) if interface else {}
        self.addresses = set(interface.addresses) if interface else set()

    def finished(self) -> Interface:
        assert self.interface is not None
        return replace(
            self.interface,
            peers=self.peers,
            routes=self.routes,
            openings=self.openings,
            addresses=frozenset(self.addresses),
        )

    def take(self, change: Change) -> None:  # noqa: C901 - one case per kind of change
        match change:
            case AddInterface():
                self._open(change.wanted)
            case RemoveInterface():
                self._open(None)
            case SetInterface() | StageKey() | ActivateKey() | DropStagedKey():
                self._take_scalar(change)
            case AddAddress():
                self.addresses.add(change.address)
            case RemoveAddress():
                self.addresses.remove(change.address)
            case AddPeer() | SetPeer():
                self.peers[change.wanted.public_key] = change.wanted
            case RemovePeer():
                del self.peers[change.old.public_key]
            case AddRoute() | SetRoute():
                self.routes[change.wanted.prefix] = change.wanted
            case RemoveRoute():
                del self.routes[change.old.prefix]
            case AddOpening() | SetOpening():
                self.openings[change.wanted.identity] = change.wanted
            case RemoveOpening():
                del self.openings[change.old.identity]
            case Reapply():
                pass
            case _:
                assert_never(change)

    def _take_scalar(self, change: SetInterface | StageKey | ActivateKey | DropStagedKey) -> None:
        if self.interface is None:
            raise KeyError(change.interface)
        match change:
            case SetInterface():
                values = {name: getattr(change.wanted, name) for name in SCALARS}
                self.interface = replace(self.interface, **values)
            case StageKey():
                self.interface = replace(self.interface, staged_key=change.key)
            case ActivateKey():
                self.interface = replace(self.interface, public_key=change.key, staged_key=None)
            case DropStagedKey():
                self.interface = replace(self.interface, staged_key=None)
