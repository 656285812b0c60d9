"""Peers as records: a few one by one, many in one write (sheet 2.3 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ... import AddPeer, Batch, Change, Peer, RemovePeer, RouterPlan, Secret, SetPeer, Step
from ...errors import Unsupported
from .api import WG, post
from .meaning import Native
from .values import joined, mark_in, named, own_uuid, text, whole_key

FEW: Final = 4
"""Up to so many peers are written one by one, under the lock that every release takes for them (sheet 7)."""

Fields = dict[str, "str | Secret"]
Links = Callable[[str, Iterable[str], Iterable[str], Iterable[Change]], None]


@dataclass(slots=True)
class Handled:
    """Links of one instance that the peers' own writes change."""

    come: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """Batches before the instances are written, and after."""

    before: list[Batch] = field(default_factory=list)
    after: list[Batch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _One:
    change: AddPeer | SetPeer
    server: str
    uuid: str
    fields: Fields
    links: bool


class PeerWriter:
    """Collects what happens to peers, then writes it in the way that fits their number."""

    def __init__(self, plan: RouterPlan, native: Native) -> None:
        self._plan = plan
        self._native = native
        self._written: list[_One] = []
        self._removed: list[tuple[RemovePeer, str, str]] = []
        self._handled: dict[str, Handled] = {}

    # ------------------------------------------------------------------------------------------------------- taking
    def add(self, change: AddPeer, server: str) -> None:
        """A peer that is not there."""
        wanted = change.wanted
        uuid = own_uuid(self._plan.target.overlay, self._plan.target.router, change.interface, wanted.public_key)
        fields = self._fields(wanted, frozenset(), "") | {"pubkey": str(wanted.public_key)}
        if wanted.endpoint is None and self._is_double(wanted, uuid):
            # The same key on two instances must differ in address or port (sheet 2.3); a port alone is dialled nowhere.
            fields["serverport"] = str(self._plan.desired[change.interface].listen_port or 1)
        self._written.append(_One(change, server, uuid, fields, links=True))

    def set(self, change: SetPeer, server: str) -> None:
        """What differs of a peer."""
        uuid = self._native.client(change.interface, change.old.public_key)
        if uuid is None:
            raise Unsupported(f"{self._plan.target.router}: {change}: its record is gone", "run `fleet plan` again")
        name = text(self._native.clients[uuid], "name")
        fields = self._fields(change.wanted, change.differing, name)
        links = "disabled" in change.differing and not change.wanted.disabled
        if links and text(self._native.clients[uuid], "enabled") == "1":
            del fields["enabled"]  # it was only linked to nothing
        self._written.append(_One(change, server, uuid, fields, links=links))

    def remove(self, change: RemovePeer, server: str) -> None:
        """A peer of ours: unlinked first, because old releases leave the link of a deleted one behind (sheet 2.1)."""
        uuid = self._native.client(change.interface, change.old.public_key)
        if uuid is None:
            raise Unsupported(f"{self._plan.target.router}: {change}: its record is gone", "run `fleet plan` again")
        self._removed.append((change, server, uuid))

    def is_ours(self, uuid: str) -> bool:
        """True for a record with a mark of this overlay."""
        return self._is_marked(text(self._native.clients[uuid], "name"))

    def _is_marked(self, name: str) -> bool:
        mark = mark_in(name)
        return mark is not None and mark.overlay == self._plan.target.overlay

    def touches(self, server: str) -> bool:
        """True if something of this instance's file changes."""
        written = any(one.server == server and not self._waits(one) for one in self._written)
        return written or any(one[1] == server for one in self._removed)

    def _waits(self, one: _One) -> bool:
        """True for a peer that this pass makes and the next one links."""
        return self._in_bulk() and isinstance(one.change, AddPeer)

    def _in_bulk(self) -> bool:
        """Many, and one tunnel of ours: of two nobody could tell which one an unlinked peer is meant for."""
        own = {server.device for server in self._native.servers.values() if self._is_marked(text(server.record, "name"))}
        return len(self._written) > FEW and self._native.options.bulk and len(own | set(self._plan.desired)) == 1

    def links_of(self, server: str) -> Handled:
        """What the peers' own writes, sent before, have done to an instance's links."""
        return self._handled.get(server, Handled())

    # ------------------------------------------------------------------------------------------------------- writing
    def written(self, links: Links) -> Written:
        """The batches; `links` is told what the instances' own records must change."""
        batches = Written()
        new_servers = {one.server for one in self._written} - set(self._native.everything)
        if not self._in_bulk():
            ours = batches.after if new_servers else batches.before
            ours += [self._singly(one) for one in self._written]
        else:
            batches.before += self._together(links)
        self._part(batches, links)
        return batches

    def _singly(self, one: _One) -> Batch:
        """`servers` always: without it the peer is unlinked from every instance, silently (sheet 0.1)."""
        held = self._native.linked(one.uuid)
        servers = list(dict.fromkeys([*held, one.server])) if one.links else held
        if one.links:
            self._handled.setdefault(one.server, Handled()).come.append(one.uuid)
        body = {"client": {**one.fields, "servers": ",".join(servers)}}
        return (Step(str(one.change), (post(f"{WG}/client/setClient/{one.uuid}", body),), (one.change,)),)

    def _together(self, links: Links) -> list[Batch]:
        """All in one write. New ones get uuids of the router's own choice: the next pass, which has read them, links them."""
        records = {one.uuid: one.fields for one in self._written if one.fields}
        for one in self._written:
            if one.links and one.uuid in self._native.clients:
                links(one.server, [one.uuid], [], [] if one.fields else [one.change])
        if not records:
            return []
        request = post(f"{WG}/client/set", {"client": {"clients": {"client": records}}}, timeout=120.0)
        covers: tuple[Change, ...] = tuple(one.change for one in self._written if one.fields)
        new = sum(isinstance(one.change, AddPeer) for one in self._written)
        said = f"write {len(covers)} peers" + (f", {new} of them new; they are linked in the next pass" if new else "")
        return [(Step(said, (request,), covers),)]

    def _part(self, batches: Written, links: Links) -> None:
        singly = len(self._removed) <= FEW
        deletions = []
        for change, server, uuid in self._removed:
            held = self._native.linked(uuid)
            others = [one for one in held if one != server]
            if singly and held:
                self._handled.setdefault(server, Handled()).gone.append(uuid)
                body = {"client": {"servers": ",".join(others)}}
                unlink = post(f"{WG}/client/setClient/{uuid}", body)
                covers: tuple[Change, ...] = (change,) if others else ()
                batches.before.append((Step(f"peer {change.old.label}: unlink", (unlink,), covers),))
            elif held:
                links(server, [], [uuid], [])
            if others and singly:
                continue  # somebody linked it to an instance of theirs: there it stays
            gone = () if others else (post(f"{WG}/client/delClient/{uuid}"),)
            deletions.append(Step(str(change), gone, (change,)))
        if deletions:
            batches.after.append(tuple(deletions))

    # ------------------------------------------------------------------------------------------------------- records
    def _fields(self, wanted: Peer, differing: frozenset[str], name: str) -> Fields:
        """The fields of a record, every value a text; those in `differing`, or all where there are none."""
        dialled = wanted.endpoint
        if dialled is not None and dialled.ip is None and "_" in dialled.host:
            raise Unsupported(
                f"{self._plan.target.router}: OPNsense takes no endpoint with an underscore: {dialled.host}",
                "give that router another name or an address as `endpoint:`",
            )
        if isinstance(wanted.preshared_key, Secret) and not whole_key(wanted.preshared_key):
            raise Unsupported(
                f"{self._plan.target.router}: the preshared key of peer {wanted.label} has not 32 bytes",
                "one short key keeps every change of the instance away, so nothing was written",
            )
        every: dict[str, Fields] = {
            "allowed_ips": {"tunneladdress": joined(wanted.allowed_ips)},
            "endpoint": {
                "serveraddress": dialled.host if dialled else "",
                "serverport": str(dialled.port) if dialled else "",
            },
            "persistent_keepalive": {"keepalive": str(wanted.persistent_keepalive or "")},
            "preshared_key": {"psk": wanted.preshared_key if isinstance(wanted.preshared_key, Secret) else ""},
            "mark": {"name": named(wanted.mark or self._native.mark, name)},
            "disabled": {"enabled": "0" if wanted.disabled else "1"},
        }
        return {key: value for part in differing or every for key, value in every[part].items()}

    def _is_double(self, wanted: Peer, uuid: str) -> bool:
        return any(
            text(record, "pubkey") == wanted.public_key and not text(record, "serveraddress") and one != uuid
            for one, record in self._native.clients.items()
        )
