"""Changes as requests. What is stored is written first, all of it, and loaded by one reconfigure (sheet 3).

Each request is a batch of its own, because a refusal must keep the next ones away; only deletions may go together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ... import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    Batch,
    Change,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    Request,
    RouterPlan,
    Script,
    Secret,
    SetInterface,
    SetOpening,
    SetPeer,
    Step,
)
from ...driver import Interrupts
from ...errors import Unsupported
from . import guard, jobs
from .api import SERVERS, WG, Unchanged, digest, post, reconfigure
from .filtering import Filtering, tidy
from .meaning import Native, Server, surplus_jobs
from .peers import PeerWriter
from .values import dotted, joined_addresses, named, own_uuid, text

SEAMLESS = frozenset({"peers", "pubkey", "name"})
"""Fields of an instance that interrupt nobody when they change."""


@dataclass(slots=True)
class Drafted:
    """What one plan makes of one instance: fields to write, what they cover, and links to add and to take away."""

    device: str
    uuid: str
    new: bool = False
    removed: RemoveInterface | None = None
    fields: dict[str, str | Secret] = field(default_factory=dict)
    covers: list[Change] = field(default_factory=list)
    link: list[str] = field(default_factory=list)
    unlink: list[str] = field(default_factory=list)
    reapply: Reapply | None = None
    peers: bool = False


class Writer:
    """Renders one plan against one read. Pure: holds nothing but its arguments."""

    def __init__(self, plan: RouterPlan, native: Native) -> None:
        self._plan = plan
        self._native = native
        self._drafts: dict[str, Drafted] = {}
        self._peers = PeerWriter(plan, native)
        self._jobs_before: list[Batch] = []
        self._jobs_after: list[Batch] = []
        self._filtering = Filtering(plan, native)

    def script(self) -> Script:
        """All of it."""
        for change in self._plan.changes:
            self._take(change)
        clients = self._peers.written(self._links)
        servers = self._servers()
        wireguard = [*clients.before, *servers, *clients.after, *self._gone(), *self._loaded()]
        opened, closed = self._filtering.opened(), self._filtering.closed()
        # Rules on the tunnel's group can be made once it exists: after the first load with the service on (sheet 4).
        first = [*opened, *wireguard] if self._native.up else [*wireguard, *opened]
        batches = [*self._jobs_before, *first, *closed, *self._jobs_after]
        checked = [self._unchanged(), *batches] if wireguard and self._native.servers else batches
        return self._guarded(tuple(batch for batch in checked if batch))

    def _guarded(self, batches: tuple[Batch, ...]) -> Script:
        """With arming before, and confirm and trip beside it, where the plan wants a guard."""
        plan, native = self._plan, self._native
        if not plan.confirm_within or native.watchdog is None:
            return Script(guarded=batches, cleanup=self._cleanup())
        if sum(len(step.requests) for batch in batches for step in batch) > guard.MOST:
            raise Unsupported(
                f"{plan.target.router}: more writes than the history holds revisions, and the undo needs the one from before",
                "nothing was written; sync fewer of its peers at a time, or allow bulk writes: `options: {bulk: true}`",
            )
        arming: tuple[Batch, ...] = ((guard.arm(plan, native.mark, native.watchdog),),) if plan.arm else ()
        return Script(
            guarded=(*arming, *batches),
            confirm=guard.disarm(native.armed, plan.plan_id),
            cleanup=self._cleanup(),
            trip=guard.trip(native.armed, plan.plan_id),
        )

    # ------------------------------------------------------------------------------------------------------- changes
    def _take(self, change: Change) -> None:
        draft = self._draft(change.interface)
        match change:
            case AddInterface():
                self._create(draft, change)
            case SetInterface():
                self._set(draft, change)
            case RemoveInterface():
                draft.removed = change
            case AddAddress() | RemoveAddress():
                draft.fields["tunneladdress"] = joined_addresses(self._plan.desired[change.interface].addresses)
                draft.covers.append(change)
            case AddPeer():
                self._peers.add(change, draft.uuid)
            case SetPeer():
                self._peers.set(change, draft.uuid)
            case RemovePeer():
                self._peers.remove(change, draft.uuid)
            case AddOpening() | SetOpening() | RemoveOpening():
                self._filtering.take(change)
            case ActivateKey():
                draft.fields |= self._key(change.interface, change)
                draft.covers.append(change)
            case Reapply():
                draft.reapply = change
            case _:
                raise Unsupported(
                    f"{self._plan.target.router}: {change}: not possible on OPNsense", "see the README; plan again"
                )

    def _draft(self, device: str) -> Drafted:
        if device not in self._drafts:
            server = self._native.servers.get(device)
            own = own_uuid(self._plan.target.overlay, self._plan.target.router, device)
            self._drafts[device] = Drafted(device, server.uuid if server else own)
        return self._drafts[device]

    def _create(self, draft: Drafted, change: AddInterface) -> None:
        wanted = change.wanted
        number = draft.device.removeprefix("wg")
        if not number.isdigit() or f"wg{int(number)}" != draft.device:
            raise Unsupported(
                f"{self._plan.target.router}: a tunnel cannot be called {draft.device} on OPNsense", "set `interface: wg0`"
            )
        draft.new = True
        draft.fields |= {
            "enabled": "0" if wanted.disabled else "1",
            "name": dotted(wanted.mark or self._native.mark),
            "instance": number,
            **self._key(change.interface, change),
            "port": str(wanted.listen_port or ""),
            "mtu": str(wanted.mtu or ""),
            "tunneladdress": joined_addresses(self._plan.desired[change.interface].addresses),
            "disableroutes": self._disabled_routes(),
            "peers": "",
        }
        draft.covers.append(change)

    def _disabled_routes(self) -> str:
        return "1" if self._native.options.disable_routes else "0"

    def _key(self, interface: str, change: Change) -> dict[str, str | Secret]:
        """Both halves: the public one is not derived (sheet 2.2)."""
        private = self._plan.private_keys.get(interface)
        if private is None:
            raise Unsupported(
                f"{self._plan.target.router}: {change}: its private half is not at hand",
                "the run that made the key has ended; `fleet sync` makes another",
            )
        wanted = change.key if isinstance(change, ActivateKey) else self._plan.desired[interface].public_key
        return {"privkey": private, "pubkey": str(wanted)}

    def _set(self, draft: Drafted, change: SetInterface) -> None:
        old, wanted = change.old, change.wanted
        server = self._native.servers.get(change.interface)
        fields: dict[str, str | Secret] = {}
        if old.listen_port != wanted.listen_port:
            fields["port"] = str(wanted.listen_port or "")
        if old.mtu != wanted.mtu:
            fields["mtu"] = str(wanted.mtu or "")
        if old.disabled != wanted.disabled:
            fields["enabled"] = "0" if wanted.disabled else "1"
        if old.mark != wanted.mark and wanted.mark is not None:
            fields["name"] = named(wanted.mark, text(server.record, "name") if server else "")
        draft.fields |= fields
        timed = old.reresolve != wanted.reresolve
        if fields or not timed:
            draft.covers.append(change)
        if timed:
            self._renewing(change, covers=not fields)

    def _renewing(self, change: SetInterface, *, covers: bool) -> None:
        """A job that goes does so before the names it is known by; one that comes, after them."""
        held = [job for job in self._native.jobs if job.interface == change.interface]
        requests = [jobs.delete(job.uuid) for job in held]
        covered: tuple[Change, ...] = (change,) if covers else ()
        if not change.wanted.reresolve:
            step = Step(f"{change.interface}: no names to resolve again", (*requests, jobs.load()), covered)
            self._jobs_before.append((step,))
            return
        add = jobs.add(self._native.mark, change.interface)
        self._jobs_after += [
            (Step(f"{change.interface}: a job that resolves names again", (*requests, add), covered),),
            (Step(f"{change.interface}: load the job", (jobs.load(),)),),
        ]

    # ---------------------------------------------------------------------------------------------------- instances
    def _links(self, uuid: str, link: Iterable[str], unlink: Iterable[str], covers: Iterable[Change]) -> None:
        """Peers to be linked to an instance, and unlinked, by its own record."""
        for draft in self._drafts.values():
            if draft.uuid == uuid:
                draft.link += link
                draft.unlink += unlink
                draft.covers += covers

    def _servers(self) -> list[Batch]:
        batches: list[Batch] = []
        for draft in self._drafts.values():
            server = self._native.servers.get(draft.device)
            self._heal_routes(draft, server)
            if draft.removed or not (draft.fields or draft.link or draft.unlink):
                continue
            if not draft.new:
                draft.fields["peers"] = self._linked(draft, server)
            request = post(f"{WG}/server/setServer/{draft.uuid}", {"server": dict(draft.fields)})
            batches.append((Step(_said(draft), (request,), tuple(draft.covers)),))
        return batches

    def _linked(self, draft: Drafted, server: Server | None) -> str:
        """Always sent: a link to a peer that is deleted keeps every later write away until it is (sheet 2.3)."""
        held = [uuid for uuid in (server.peers if server else ()) if uuid not in draft.unlink]
        handled = self._peers.links_of(draft.uuid)
        kept = [uuid for uuid in held if uuid not in handled.gone]
        return ",".join(dict.fromkeys([*kept, *draft.link, *handled.come]))

    def _heal_routes(self, draft: Drafted, server: Server | None) -> None:
        if server is None or text(server.record, "gateway") or draft.removed:
            return
        if text(server.record, "disableroutes") != self._disabled_routes():
            draft.fields["disableroutes"] = self._disabled_routes()

    def _gone(self) -> list[Batch]:
        batches: list[Batch] = []
        for draft in self._drafts.values():
            if draft.removed is None:
                continue
            server = self._native.servers[draft.device]
            own = [uuid for uuid in server.peers if self._peers.is_ours(uuid) and self._native.linked(uuid) == [server.uuid]]
            if own:
                deletions = tuple(post(f"{WG}/client/delClient/{uuid}") for uuid in own)
                batches.append((Step(f"interface {draft.device}: delete its peers", deletions),))
            going = Step(str(draft.removed), (post(f"{WG}/server/delServer/{draft.uuid}"),), (draft.removed,))
            batches.append((going,))
        return batches

    # ------------------------------------------------------------------------------------------------------- loading
    def _loaded(self) -> list[Batch]:
        """One reconfigure for everything; what it interrupts is said here, where it happens."""
        touched = [draft for draft in self._drafts.values() if self._touches(draft)]
        if not touched:
            return []
        batches: list[Batch] = []
        if not self._native.up & set(self._native.servers):
            enable = post(f"{WG}/general/set", {"general": {"enabled": "1"}})
            batches.append((Step("switch WireGuard on", (enable,)),))
        stuck = [draft for draft in touched if draft.reapply and draft.device in self._native.up and not self._changes(draft)]
        for draft in stuck:
            batches += self._stirred(draft)
        covers = tuple(draft.reapply for draft in touched if draft.reapply)
        names = ", ".join(draft.device for draft in touched)
        flushed = self._flushed(touched)
        said = f"load {names} into the kernel" + (
            f"; {', '.join(flushed)}: every peer waits some seconds, because the instance makes its routes anew"
            if flushed
            else ""
        )
        interrupts = self._interrupts(touched, flushed)
        return [*batches, (Step(said, (reconfigure(),), covers, interrupts),)]

    def _touches(self, draft: Drafted) -> bool:
        return bool(draft.removed or draft.reapply or self._changes(draft))

    def _changes(self, draft: Drafted) -> bool:
        return bool(draft.fields or draft.link or draft.unlink or self._peers.touches(draft.uuid))

    def _flushed(self, touched: Sequence[Drafted]) -> list[str]:
        """Instances whose addresses and routes go and come back (sheet 3.1)."""
        old = {draft.device: self._native.servers.get(draft.device) for draft in touched}
        return [
            draft.device
            for draft in touched
            if (server := old[draft.device]) is not None
            and draft.device in self._native.up
            and (
                self._disabled_routes() == "0"
                or text(server.record, "disableroutes") == "0"
                or draft.fields.keys() & {"tunneladdress", "mtu"}
            )
        ]

    def _interrupts(self, touched: Sequence[Drafted], flushed: Sequence[str]) -> Interrupts:
        if flushed or any(draft.removed for draft in touched):
            return "interface"
        if any(draft.fields.keys() - SEAMLESS for draft in touched if not draft.new):
            return "interface"
        return "nothing"

    def _stirred(self, draft: Drafted) -> list[Batch]:
        """A failed load is not tried again by the same command (sheet 3.1): the file must differ once, and then not."""
        server = self._native.servers[draft.device]
        kept = text(server.record, "mtu")
        other = str(int(kept or "1420") - 1)
        there = {"mtu": other, "peers": ",".join(server.peers)}
        back = {"mtu": kept, "peers": ",".join(server.peers)}
        path = f"{WG}/server/setServer/{draft.uuid}"
        return [
            (
                Step(
                    f"{draft.device}: mtu {other} for a moment, so that what is stored is loaded again",
                    (post(path, {"server": there}),),
                ),
            ),
            ((Step(f"load {draft.device} with it", (reconfigure(),), (), "interface")),),
            (Step(f"{draft.device}: mtu {kept or 'default'} again", (post(path, {"server": back}),)),),
        ]

    # ------------------------------------------------------------------------------------------------ check, cleanup
    def _unchanged(self) -> Batch:
        uuids = tuple(self._native.everything)
        seen = digest(self._native.everything, uuids)
        look: Request = Unchanged("GET", SERVERS, reads=True, uuids=uuids, seen=seen)
        return (Step("look whether somebody else changed an instance meanwhile", (look,)),)

    def _cleanup(self) -> tuple[Batch, ...]:
        batches = tidy(self._native)
        spare = surplus_jobs(self._native)
        if spare:
            requests = (*(jobs.delete(uuid) for uuid in spare), jobs.load())
            batches.append((Step("delete scheduled jobs that are not needed", requests),))
        if self._native.unlinked and not self._native.servers:
            orphans = tuple(post(f"{WG}/client/delClient/{uuid}") for uuid in self._native.unlinked)
            batches.append((Step("delete peers of a tunnel that is gone", orphans),))
        return tuple(batches)


def _said(draft: Drafted) -> str:
    if draft.new:
        return f"interface {draft.device}: create"
    if not draft.covers:
        return f"interface {draft.device}: link its peers"
    more = f" (and {len(draft.covers) - 1} more)" if len(draft.covers) > 1 else ""
    return f"{draft.covers[0]}{more}"
