"""Changes as RouterOS commands: each change is one step, and nothing depends on the order inside a batch.

Objects are referred to by the `.id` of the read that the plan was made from, or by name where that is possible. One that
an earlier batch of the same plan makes has no id yet: its step sends nothing, and the next pass, which has read it, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from ... import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Batch,
    Change,
    DropStagedKey,
    Interface,
    Mark,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    RouterPlan,
    SetInterface,
    SetOpening,
    SetPeer,
    SetRoute,
    StageKey,
    Step,
    Words,
)
from ...driver import Interrupts
from ...errors import Unsupported
from ...link import Part
from ...model import IPInterface, IPNetwork
from . import resolve
from .commands import removals, rule_removals, set_row
from .meaning import Native
from .opening import OpeningWriter
from .parting import Parting, disablings
from .peer import PeerWriter
from .read import ADDRESSES, INTERFACES, PEERS, ROUTES
from .values import Row, mark_of, marked, yes

CANNOT_STAGE: Final = "RouterOS holds one key per interface: the next one cannot wait beside it"


class Renderer:
    """Renders one plan against one read. Pure: holds nothing but its arguments.

    With a `tag` a guard is armed, and what goes is only disabled.
    """

    def __init__(self, plan: RouterPlan, native: Native, tag: str = "") -> None:
        self._plan = plan
        self._native = native
        self._mark = Mark(plan.target.overlay, plan.target.router)
        self._openings = OpeningWriter(plan, native, self._mark, tag)
        self._parting = Parting(plan, native, self._mark) if tag else None
        self._peers = PeerWriter(plan, native, self._parting)

    def batches(self) -> tuple[Batch, ...]:
        """The plan's batches, and two more kinds that the missing order of tagged writes (sheet 1.4) demands.

        Before an interface goes, what is inside it goes; after the accepts of a management opening comes its drop.
        """
        rendered: list[Batch] = []
        for changes in self._plan.batches:
            before = [self._emptied(change) for change in changes if isinstance(change, RemoveInterface)]
            after = [self._closed(change) for change in changes if isinstance(change, AddOpening | SetOpening)]
            own = [self._step(change) for change in changes]
            for steps in (before, own, after):
                batch = tuple(step for step in steps if step.covers or step.requests)
                if batch:
                    rendered.append(batch)
        return tuple(rendered)

    # ---- one step per change
    def _step(self, change: Change) -> Step:
        requests = self._requests(change)
        summary = str(change) if requests else f"{change} (in the next pass, when the router has named it)"
        return Step(summary, tuple(requests), (change,), _interrupts(change))

    def _requests(self, change: Change) -> list[Words]:  # noqa: C901 - one arm per kind of change
        match change:
            case AddInterface():
                return self._add_interface(change)
            case SetInterface():
                return self._set_interface(change)
            case RemoveInterface():
                return self._remove_interface(change.interface)
            case AddAddress():
                return [self._add_address(change)]
            case RemoveAddress():
                return self._remove_address(change)
            case AddPeer():
                return [self._peers.add(change)]
            case SetPeer():
                return self._peers.set(change)
            case RemovePeer():
                return self._peers.remove(change)
            case AddRoute():
                return [self._add_route(change)]
            case SetRoute():
                return self._set_route(change)
            case RemoveRoute():
                rows = self._route_rows(change.interface, change.old.prefix)
                return self._gone(ROUTES[change.old.prefix.version], rows)
            case AddOpening() | SetOpening():
                return self._openings.opened(change.interface, change.wanted)[0]
            case RemoveOpening():
                return self._openings.gone(self._native.owned.get((change.interface, change.old.identity), ()))
            case ActivateKey():
                return self._activate(change)
            case StageKey() | DropStagedKey() | Reapply():
                raise Unsupported(f"{self._plan.target.router}: {change}: not possible", f"{CANNOT_STAGE}; plan again")
            case _:
                assert_never(change)

    def _gone(self, menu: str, rows: Sequence[Row | None]) -> list[Words]:
        return disablings(menu, rows) if self._parting else removals(menu, rows)

    # ---- interfaces
    def _add_interface(self, change: AddInterface) -> list[Words]:
        wanted = change.wanted
        words: list[tuple[str, Part]] = [("name", wanted.name)]
        if wanted.listen_port is not None:  # what RouterOS picks when none is sent is unverified (sheet 2)
            words.append(("listen-port", str(wanted.listen_port)))
        if wanted.mtu is not None:
            words.append(("mtu", str(wanted.mtu)))
        if (private_key := self._plan.private_keys.get(wanted.name)) is not None:
            words.append(("private-key", private_key))  # without it the router makes one
        words.append(("comment", str(wanted.mark or self._mark)))
        if wanted.disabled:
            words.append(("disabled", "yes"))
        added = Words(f"{INTERFACES}/add", tuple(words))
        return [added, *(self._reresolve(wanted) if wanted.reresolve else [])]

    def _set_interface(self, change: SetInterface) -> list[Words]:
        old, wanted = change.old, change.wanted
        row = self._native.interfaces.get(change.interface, {})
        words: list[tuple[str, Part]] = []
        if old.listen_port != wanted.listen_port and wanted.listen_port is not None:
            words.append(("listen-port", str(wanted.listen_port)))
        if old.mtu != wanted.mtu and wanted.mtu is not None:
            words.append(("mtu", str(wanted.mtu)))
        if old.mark != wanted.mark:
            words.append(("comment", marked(row.get("comment", ""), wanted.mark)))
        if old.disabled != wanted.disabled:
            words.append(("disabled", yes(wanted.disabled)))
        requests = [self._set_by_name(change.interface, *words)] if words else []
        return requests + (self._reresolve(wanted) if old.reresolve != wanted.reresolve else [])

    def _activate(self, change: ActivateKey) -> list[Words]:
        if self._parting:
            raise Unsupported(
                f"{self._plan.target.router}: {change}: cannot be undone by the router, which shows its private key to nobody",
                "nothing was written; give the router a new interface for the new key",
            )
        private_key = self._plan.private_keys.get(change.interface)
        if private_key is None:
            raise Unsupported(
                f"{self._plan.target.router}: {change}: its private half is not at hand",
                "the run that made the key has ended; `fleet sync` makes another",
            )
        return [self._set_by_name(change.interface, ("private-key", private_key))]

    def _set_by_name(self, interface: str, *words: tuple[str, Part]) -> Words:
        # An interface may be addressed by its name where an id is expected (sheet 4), also before it was ever read.
        row = self._native.interfaces.get(interface, {})
        return Words(f"{INTERFACES}/set", ((".id", row.get(".id", interface)), *words))

    def _reresolve(self, wanted: Interface) -> list[Words]:
        row = self._native.schedulers.get(wanted.name)
        if not wanted.reresolve:
            return self._gone(resolve.MENU, [row])
        entry = resolve.entry_for(self._mark, wanted.name)
        if row is None:
            return [Words(f"{resolve.MENU}/add", entry)]
        kept = tuple((name, value) for name, value in entry if name not in ("name", "comment"))
        return [set_row(resolve.MENU, row, *kept, ("disabled", "no"))]

    def _remove_interface(self, name: str) -> list[Words]:
        return self._parting.interface(name) if self._parting else removals(INTERFACES, [self._native.interfaces.get(name)])

    def _emptied(self, change: RemoveInterface) -> Step:
        name = change.interface
        if self._parting:
            routes = [(prefix.version, row) for prefix, row in self._native.routes.get(name, ()) if self._is_ours(row)]
            requests = self._parting.inside(name, routes)
            return Step(f"interface {name}: disable what is inside it", tuple(requests), (), "interface")
        requests = removals(PEERS, [row for (interface, _key), row in self._native.peers.items() if interface == name])
        for address, row in self._native.addresses.get(name, ()):
            requests += removals(ADDRESSES[address.version], [row])
        for prefix, row in self._native.routes.get(name, ()):
            requests += removals(ROUTES[prefix.version], [row] if self._is_ours(row) else [])
        requests += removals(resolve.MENU, [self._native.schedulers.get(name)])
        requests += rule_removals([rule for (owner, _), owned in self._native.owned.items() if owner == name for rule in owned])
        return Step(f"interface {name}: remove what is inside it", tuple(requests), (), "interface")

    # ---- addresses and routes
    def _address_rows(self, interface: str, address: IPInterface) -> list[Row]:
        return [row for each, row in self._native.addresses.get(interface, ()) if each == address]

    def _remove_address(self, change: RemoveAddress) -> list[Words]:
        rows = self._address_rows(change.interface, change.address)
        if self._parting:
            return self._parting.addresses(change.address.version, rows)
        return removals(ADDRESSES[change.address.version], rows)

    def _add_address(self, change: AddAddress) -> Words:
        menu = ADDRESSES[change.address.version]
        for row in self._address_rows(change.interface, change.address):
            return self._revived(menu, row, self._mark)
        # A tunnel is no place for router advertisements (sheet 4).
        quiet = (("advertise", "no"),) if change.address.version == 6 else ()
        words = (("address", str(change.address)), ("interface", change.interface), *quiet, ("comment", str(self._mark)))
        return Words(f"{menu}/add", words)

    def _route_rows(self, interface: str, prefix: IPNetwork) -> list[Row]:
        """Rows of ours for a prefix; a person's own second route to it is not touched."""
        return [row for each, row in self._native.routes.get(interface, ()) if each == prefix and self._is_ours(row)]

    def _is_ours(self, row: Row) -> bool:
        mark = mark_of(row)
        return mark is not None and mark.overlay == self._mark.overlay

    def _add_route(self, change: AddRoute) -> Words:
        prefix, mark = change.wanted.prefix, change.wanted.mark
        menu = ROUTES[prefix.version]
        for row in self._route_rows(change.interface, prefix):
            return self._revived(menu, row, mark)
        words = [("dst-address", str(prefix)), ("gateway", change.interface)]
        return Words(f"{menu}/add", (*words, *([("comment", str(mark))] if mark else [])))

    def _set_route(self, change: SetRoute) -> list[Words]:
        prefix, mark = change.wanted.prefix, change.wanted.mark
        rows = [row for each, row in self._native.routes.get(change.interface, ()) if each == prefix]
        chosen = next((row for row in rows if mark_of(row) == change.old.mark), None)
        if chosen is None:
            return []
        return [set_row(ROUTES[prefix.version], chosen, ("comment", marked(chosen.get("comment", ""), mark)))]

    @staticmethod
    def _revived(menu: str, row: Row, mark: Mark | None) -> Words:
        """What is there and disabled is enabled: adding it again would be refused (sheet 1.6)."""
        return set_row(menu, row, ("disabled", "no"), ("comment", marked(row.get("comment", ""), mark)))

    # ---- openings
    def _closed(self, change: AddOpening | SetOpening) -> Step:
        requests = self._openings.opened(change.interface, change.wanted)[1]
        return Step(f"{change.wanted}: nobody else", tuple(requests), (), "nothing")


def _interrupts(change: Change) -> Interrupts:
    """Measured: changing allowed IPs, keepalive or mark leaves the session alone."""
    match change:
        case SetInterface() if change.old.listen_port != change.wanted.listen_port or change.wanted.disabled:
            return "interface"
        case RemoveInterface() | RemoveAddress() | ActivateKey():
            return "interface"
        case RemovePeer():
            return "peer"
        case SetPeer() if change.differing & {"preshared_key", "endpoint", "disabled"}:
            return "peer"
        case _:
            return "nothing"
