"""Changes as requests. Generation 1 writes object by object, generation 2 a tunnel with all of its peers.

Ids are those of the read that the plan was made from. A create tells none that can be relied on (sheet 2.2, 10.3): what
belongs into an interface that this plan makes is written by the next pass, which has read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from ... import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddPeer,
    Batch,
    Change,
    Http,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemovePeer,
    RouterPlan,
    Script,
    SetInterface,
    SetPeer,
    Step,
)
from ...driver import Interrupts
from ...errors import Unsupported
from . import api, refused
from .draft import Draft
from .meaning import Native
from .read import INTERFACES, PEERS, TUNNELS, tunnel_path
from .spelling import V1
from .unchanged import Unchanged, of_rows

LATER: Final = " (in the next pass, when the controller has named the interface)"
REPLACED: Final = " (by the new one: the controller holds one)"
OfInterface: TypeAlias = SetInterface | AddAddress | RemoveAddress | ActivateKey
_RANK: Final[tuple[Interrupts, ...]] = ("nothing", "peer", "interface")


def script(plan: RouterPlan, native: Native) -> Script:
    """The changes of a plan in their order, after a look whether anybody was at it since. Raises Unsupported."""
    writer = _ByObject(plan, native) if native.spelling is V1 else _ByTunnel(plan, native)
    rendered = [batch for batch in writer.batches() if batch]
    look = writer.look()
    return Script(guarded=(*((look,) if look else ()), *rendered))


class _Writer:
    """What both generations share. Pure: the drafts are of one call of `script`."""

    def __init__(self, plan: RouterPlan, native: Native) -> None:
        self._plan = plan
        self._native = native
        self._drafts: dict[str, Draft] = {}

    def batches(self) -> Iterator[Batch]:
        """The plan's batches, rendered."""
        raise NotImplementedError

    def look(self) -> Batch:
        """A batch that covers nothing and fails if what will be written over is not what was read."""
        raise NotImplementedError

    def _draft(self, name: str) -> Draft:
        if name not in self._drafts:
            found = self._native.tunnels.get(name)
            if found is not None and not found.whole:
                raise Unsupported(
                    f"{self._plan.target.router}: interface {name} is a tunnel that the controller made between two sites",
                    "set another `interface:` in the inventory, or remove that tunnel in the controller",
                )
            self._drafts[name] = Draft(name, found, self._native.spelling, self._plan)
        return self._drafts[name]

    def _site(self, path: str, *ids: str, version: int = 1) -> str:
        return api.of_site(self._native.site, api.part(path, *ids), version)

    def _reapply(self, change: Reapply) -> Step:
        """All settings are pushed again, which may interrupt traffic (sheet 5): the plan shows it before."""
        path = self._site("/devices/{}/force-provision", self._native.mac)
        return Step(str(change), (api.write("POST", path),), (change,), "interface")

    def _unknown(self, change: Change) -> Unsupported:
        return Unsupported(f"{self._plan.target.router}: {change}: not possible on a gateway", "plan again")


class _ByObject(_Writer):
    """Generation 1: interfaces and peers are objects with ids of their own."""

    def __init__(self, plan: RouterPlan, native: Native) -> None:
        super().__init__(plan, native)
        self._touched: dict[str, dict[str, str]] = {INTERFACES: {}, PEERS: {}}

    def batches(self) -> Iterator[Batch]:
        """Before an interface goes, its peers go: whether it takes them along is unverified (sheet 2.1)."""
        for changes in self._plan.batches:
            gone = [change for change in changes if isinstance(change, RemoveInterface)]
            yield tuple(step for change in gone if (step := self._emptied(change)).requests)
            yield tuple(self._steps(changes))

    def look(self) -> Batch:
        """One list for interfaces and one for peers, where rows of it are written over."""
        asked = []
        for path, digests in self._touched.items():
            if digests:
                ids = tuple(sorted(digests))
                first = api.page(self._site(path))
                what = "the WireGuard interface" if path == INTERFACES else f"one of {len(ids)} WireGuard peers"
                asked.append(_look(first, what, of_rows(digests, ids), ids))
        return (Step("look whether anybody else was at it since", tuple(asked)),) if asked else ()

    def _steps(self, changes: Sequence[Change]) -> Iterator[Step]:
        of_interface: dict[str, list[OfInterface]] = {}
        for change in changes:
            if isinstance(change, OfInterface):
                of_interface.setdefault(change.interface, []).append(change)
            else:
                yield self._step(change)
        for name, some in of_interface.items():
            yield self._changed(name, some)

    def _step(self, change: Change) -> Step:
        match change:
            case AddInterface():
                draft = self._draft(change.interface)
                draft.make(change.wanted)
                return Step(str(change), (api.write("POST", self._site(INTERFACES), draft.body()),), (change,))
            case RemoveInterface():
                found = self._native.tunnels[change.interface]
                self._touch(INTERFACES, change.interface, found.id)
                return Step(str(change), (self._gone(INTERFACES, found.id),), (change,), "interface")
            case AddPeer() | SetPeer() | RemovePeer():
                return self._of_peer(change)
            case Reapply():
                return self._reapply(change)
            case _:
                raise self._unknown(change)

    def _changed(self, name: str, changes: Sequence[OfInterface]) -> Step:
        """An interface is one object: what differs in it goes in one write."""
        draft = self._draft(name)
        summary, covers = "; ".join(map(str, changes)), tuple(changes)
        if draft.found is None:
            return Step(summary + LATER, (), covers)
        if not _applied(draft, changes):
            return Step(summary + REPLACED, (), covers)
        self._touch(INTERFACES, name, draft.found.id)
        return Step(
            summary,
            (api.write("PUT", self._site(INTERFACES + "/{}", draft.found.id), draft.body()),),
            covers,
            interrupts(changes),
        )

    def _of_peer(self, change: AddPeer | SetPeer | RemovePeer) -> Step:
        draft = self._draft(change.interface)
        if draft.found is None:
            return Step(f"{change}{LATER}", (), (change,))
        requests: tuple[Http, ...] = ()
        if isinstance(change, AddPeer):
            requests = (api.write("POST", self._site(PEERS), draft.peer_body(draft.add(change.wanted))),)
        elif isinstance(change, SetPeer):
            row = draft.change(change)
            if row is not None and "id" in row:
                self._touch(PEERS, change.interface, str(row["id"]))
                requests = (api.write("PUT", self._site(PEERS + "/{}", str(row["id"])), draft.peer_body(row)),)
        else:
            row = draft.remove(change.old.public_key)
            if row is not None and "id" in row:
                self._touch(PEERS, change.interface, str(row["id"]))
                requests = (self._gone(PEERS, str(row["id"])),)
        return Step(str(change), requests, (change,), interrupts([change]))

    def _emptied(self, change: RemoveInterface) -> Step:
        found = self._native.tunnels[change.interface]
        requests = []
        for row in found.peers:
            self._touch(PEERS, change.interface, str(row.get("id")))
            requests.append(self._gone(PEERS, str(row.get("id"))))
        return Step(f"interface {change.interface}: remove its {len(requests)} peers", tuple(requests), (), "interface")

    def _gone(self, path: str, which: str) -> Http:
        return api.write("DELETE", self._site(path + "/{}", which))

    def _touch(self, path: str, interface: str, which: str) -> None:
        self._touched[path][which] = self._native.tunnels[interface].digests.get(which, "")


class _ByTunnel(_Writer):
    """Generation 2: a tunnel is one object, peers included, and every write replaces all of it."""

    def batches(self) -> Iterator[Batch]:
        """A batch per tunnel, in the order in which the plan comes to them."""
        of_interface: dict[str, list[Change]] = {}
        for change in self._plan.changes:
            of_interface.setdefault(change.interface, []).append(change)
        for name, changes in of_interface.items():
            again = [change for change in changes if isinstance(change, Reapply)]
            rest = [change for change in changes if not isinstance(change, Reapply)]
            if rest:
                yield (self._written(name, rest),)
            yield from ((self._reapply(change),) for change in again)

    def look(self) -> Batch:
        """Every tunnel that is written over, whole."""
        asked = []
        for name, draft in self._drafts.items():
            if draft.found is not None:
                first = api.ask(tunnel_path(self._native.site, draft.found.id))
                asked.append(_look(first, f"tunnel {name}", draft.found.digests.get(draft.found.id, "")))
        return (Step("look whether anybody else was at it since", tuple(asked)),) if asked else ()

    def _written(self, name: str, changes: Sequence[Change]) -> Step:
        draft = self._draft(name)
        summary, covers = "; ".join(map(str, changes)), tuple(changes)
        if isinstance(changes[-1], RemoveInterface) and draft.found is not None:
            path = self._site("/vpn/{}", draft.found.id, version=2)
            return Step(summary, (api.write("DELETE", path),), covers, "interface")
        self._draw(draft, changes)
        if draft.found is None:
            request = api.write("POST", self._site(TUNNELS, version=2), draft.body())
        else:
            request = api.write("PATCH", tunnel_path(self._native.site, draft.found.id), draft.body())
        return Step(summary, (request,), covers, interrupts(changes))

    def _draw(self, draft: Draft, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case AddInterface():
                    draft.make(change.wanted)
                case SetInterface() | AddAddress() | RemoveAddress() | ActivateKey():
                    _applied(draft, [change])
                case AddPeer():
                    draft.add(change.wanted)
                case SetPeer():
                    draft.change(change)
                case RemovePeer():
                    draft.remove(change.old.public_key)
                case _:
                    raise self._unknown(change)


def _applied(draft: Draft, changes: Iterable[OfInterface]) -> bool:
    """True if there is something to write."""
    written = False
    for change in changes:
        if isinstance(change, SetInterface):
            draft.set(change)
        elif isinstance(change, ActivateKey):
            draft.rekey()
        elif not draft.readdress(change):
            continue
        written = True
    return written


def interrupts(changes: Iterable[Change]) -> Interrupts:
    """The worst of them. Whether a gateway restarts a tunnel when one peer changes is unverified (sheet 12.4)."""
    worst: Interrupts = "nothing"
    for change in changes:
        this: Interrupts = "nothing"
        if isinstance(change, RemovePeer) or (isinstance(change, SetPeer) and change.differing != {"mark"}):
            this = "peer"
        elif isinstance(change, AddAddress | RemoveAddress | ActivateKey | RemoveInterface) or (
            isinstance(change, SetInterface) and _restarts(change)
        ):
            this = "interface"
        worst = max(worst, this, key=_RANK.index)
    return worst


def _restarts(change: SetInterface) -> bool:
    old, new = change.old, change.wanted
    return (old.listen_port, old.mtu, old.disabled) != (new.listen_port, new.mtu, new.disabled)


def _look(request: Http, what: str, seen: str, ids: tuple[str, ...] = ()) -> Unchanged:
    return Unchanged(
        request.method, request.path, request.query, accept=refused.READS, reads=True, what=what, seen=seen, ids=ids
    )
