"""A plan to one script: the difference between the active configuration and what is wanted, as one session of the router."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import partial

from ...changes import (
    ActivateKey,
    AddInterface,
    Change,
    DropStagedKey,
    Reapply,
    RemoveInterface,
    RemovePeer,
    SetInterface,
    SetOpening,
    SetPeer,
    StageKey,
)
from ...driver import Batch, Interrupts, Observed, RouterPlan, Script, Step
from ...link import Exec, Part
from ...model import MANAGE_KEY, Interface, Management, Mark, Opening, Peer, PublicKey, Route, Secret
from .. import shell
from . import rules, scripts
from .kernel import made_again, repairs
from .read import Native, world_readable
from .records import write_records
from .tree import Edit, Path

AUTH = "/config/auth"


def render(plan: RouterPlan, observed: Observed) -> Script:
    """One step with all changes of the plan. Raises Unsupported where there is no room for a rule."""
    native = observed.native
    assert isinstance(native, Native)
    if not plan.changes:
        return _around((), plan, observed)
    request = _write(_calls(plan, observed, native), plan)
    step = Step(shell.summary(plan.changes), (request,), plan.changes, _interrupts(plan.changes))
    return _around(((step,),), plan, observed)


def _calls(plan: RouterPlan, observed: Observed, native: Native) -> Iterator[Part]:
    edit = Edit(native.active)
    names = list(dict.fromkeys(change.interface for change in plan.changes))
    files: list[Part] = []
    before: list[Part] = []
    after: list[Part] = []
    for name in names:
        wanted = plan.desired.get(name)
        if wanted is None or any(isinstance(one, RemoveInterface) and one.interface == name for one in plan.changes):
            _remove(edit, name, native)
            files += scripts.document(f"listed {name}")
            continue
        _Interface(edit, wanted, plan, native, files).write()
        before += made_again(name, native)
        after += repairs(wanted, observed, native, [one for one in plan.changes if one.interface == name])
    _resolver(edit, plan, native, files)
    yield f"unmoved {native.frames.digest}\n"
    if hosts := _new_names(edit):
        yield f"resolves {' '.join(hosts)}\n"
    yield from files
    yield from (f"right_mode {path}\n" for path in world_readable(native))
    if edit.touched and plan.confirm_within:
        yield from scripts.document("touching", *("\t".join(path) + "\n" for path in dict.fromkeys(edit.touched)))
    yield from before
    yield f"addresses {' '.join(names)}\n"
    if edit.lines:
        yield from scripts.document("ops", *(f"{line}\n" for line in edit.lines))
    yield f"addresses {' '.join(names)}\n"
    yield from after
    for name in names:
        prefixes = [str(prefix) for prefix in plan.desired[name].routes] if name in plan.desired else []
        if prefixes:
            yield f"routed {name} {' '.join(prefixes)}\n"
    if not plan.confirm_within:
        yield "save_all\n"


def _new_names(edit: Edit) -> list[str]:
    """Names of endpoints that this commit would have to resolve."""
    found = []
    for line in edit.lines:
        words = line.split("\t")
        if words[0] == "set" and words[-2] == "endpoint":
            host = words[-1].rpartition(":")[0]
            if re.search("[A-Za-z]", host) and not host.startswith("["):
                found.append(host)
    return sorted(set(found))


class _Interface:
    """Brings one interface of the active configuration to what is wanted."""

    def __init__(self, edit: Edit, wanted: Interface, plan: RouterPlan, native: Native, files: list[Part]) -> None:
        self._edit, self._wanted, self._plan, self._native, self._files = edit, wanted, plan, native, files
        self._base: Path = ("interfaces", "wireguard", wanted.name)
        self._tree = edit.tree.at(*self._base)
        self._mark = Mark(plan.target.overlay, plan.target.router)

    def write(self) -> None:
        """Settings, peers, routes, rules, records and keys."""
        self._keys()
        self._scalars()
        self._addresses()
        self._peers()
        self._surroundings()

    # --- keys
    def _keys(self) -> None:
        name = self._wanted.name
        given = self._plan.private_keys.get(name)
        for change in self._plan.changes:
            if change.interface != name:
                continue
            match change:
                case DropStagedKey():
                    self._files.append(f"drop_key {name}\n")
                case StageKey():
                    self._new_key(f"fleet-{name}.next.key", given if isinstance(change.key, PublicKey) else None)
                case ActivateKey():
                    file = f"fleet-{name}-{_short(change.key)}.key"
                    self._files.append(f"next_key {name} {file}\n")
                    self._edit.leaf(*self._base, "private-key", value=f"{AUTH}/{file}")
                case AddInterface():
                    # Named after the run: a file that another key was once in is never used again.
                    file = f"fleet-{name}-{_short(self._plan.plan_id)}.key"
                    self._new_key(file, given)
                    self._edit.leaf(*self._base, "private-key", value=f"{AUTH}/{file}")
                case Reapply():
                    self._stored_key()

    def _new_key(self, file: str, given: Secret | None) -> None:
        self._files += [f"new_key {file}\n"] if given is None else scripts.secret_document(f"keep_key {file}", given)

    def _stored_key(self) -> None:
        """The key that is saved, where the active configuration lost it (a check at boot, sheet 4)."""
        saved = self._native.frames.trees["saved"].value(*self._base, "private-key")
        if saved is not None and self._native.frames.guard is None:
            self._edit.leaf(*self._base, "private-key", value=saved)

    # --- settings
    def _scalars(self) -> None:
        wanted, edit = self._wanted, self._edit
        edit.leaf(*self._base, "description", value=_described(self._tree.value("description"), wanted.mark or self._mark))
        if wanted.listen_port is not None:
            edit.leaf(*self._base, "listen-port", value=str(wanted.listen_port))
        if wanted.mtu is not None:
            edit.leaf(*self._base, "mtu", value=str(wanted.mtu))
        # Its default is true, and defaults get lost in failed commits (sheets 0.6 and 2.5).
        edit.leaf(*self._base, "route-allowed-ips", value="false")
        if not wanted.disabled:
            edit.delete(*self._base, "disable")

    def _addresses(self) -> None:
        wanted = {str(address) for address in self._wanted.addresses}
        for address in sorted(wanted):
            self._edit.item(*self._base, "address", address)
        for address in self._tree.names("address"):
            if address not in wanted:
                self._edit.delete(*self._base, "address", address)

    # --- peers
    def _peers(self) -> None:
        overlay = self._plan.target.overlay
        for text in self._tree.names("peer"):
            mark = Mark.find(self._tree.value("peer", text, "description") or "")
            wanted = self._wanted.peers.get(PublicKey(text)) if re.fullmatch("[0-9A-Za-z+/]{43}=", text) else None
            if wanted is None and mark is not None and mark.overlay == overlay:
                self._edit.delete(*self._base, "peer", text)
            elif wanted is not None and wanted.mark is not None and self._tree.has("peer", text, "disable"):
                # Editing a disabled peer brings it back to the kernel half (sheet 1.4): it goes and comes anew.
                self._edit.delete(*self._base, "peer", text)
                self._edit.commit()
        for peer in self._wanted.peers.values():
            if peer.mark is not None and peer.mark.overlay == overlay:
                self._peer(peer)

    def _peer(self, peer: Peer) -> None:
        base = (*self._base, "peer", peer.public_key)
        node = self._tree.at("peer", peer.public_key)
        anew = node.has("disable")
        edit = Edit(self._edit.tree if not anew else type(self._edit.tree)())
        assert peer.mark is not None
        edit.leaf(*base, "description", value=_described(node.value("description"), peer.mark))
        wanted = {str(prefix) for prefix in peer.allowed_ips}
        for value in node.names("allowed-ips"):
            if value not in wanted:
                edit.delete(*base, "allowed-ips", value)
        for value in sorted(wanted):
            edit.item(*base, "allowed-ips", value)
        self._preshared(edit, base, peer)
        keepalive = str(peer.persistent_keepalive) if peer.persistent_keepalive else None
        for name, setting in (("persistent-keepalive", keepalive), ("endpoint", str(peer.endpoint) if peer.endpoint else None)):
            if setting is None:
                edit.delete(*base, name)
            else:
                edit.leaf(*base, name, value=setting)
        self._edit.lines += edit.lines
        self._edit.touched += edit.touched

    def _preshared(self, edit: Edit, base: Path, peer: Peer) -> None:
        """In a file, because a value would be an argument of a command; another key is another file, see `next_key`."""
        if peer.preshared_key is None:
            edit.delete(*base, "preshared-key")
        elif isinstance(peer.preshared_key, Secret):
            name, key = self._wanted.name, peer.preshared_key
            file = f"fleet-{name}-{_short(peer.public_key)}-{_short(key.reveal())}.psk"
            if edit.tree.value(*base, "preshared-key") != f"{AUTH}/{file}":
                self._files += scripts.secret_document(f"keep_key {file}", key)
                edit.leaf(*base, "preshared-key", value=f"{AUTH}/{file}")

    # --- routes, rules, records
    def _surroundings(self) -> None:
        wanted, native, name = self._wanted, self._native, self._wanted.name
        records = native.records("active", name)
        routes: Iterable[Route] = wanted.routes.values()
        if "routes" in wanted.unmanaged:
            routes = [Route(prefix, mark) for prefix, mark in records.routes.items()]
        else:
            self._routes()
        kept = frozenset(one.identity for one in records.openings.values() if MANAGE_KEY[type(one)] in wanted.unmanaged)
        openings: dict[str, Opening] = {
            identity: one for identity, one in wanted.openings.items() if MANAGE_KEY[type(one)] not in wanted.unmanaged
        }
        # The addresses that are to be decide about rules for IPv6.
        rules.write_openings(self._edit, name, openings, self._mark, native.wan_local, kept)
        recorded = [*openings.values(), *(records.openings[identity] for identity in kept)]
        lines = write_records(routes, recorded)
        if lines != list(native.frames.lists.get(("next", name), native.frames.lists.get(("saved", name), ()))):
            self._files += scripts.document(f"listed {name}", *(f"{line}\n" for line in lines))

    def _routes(self) -> None:
        edit, name = self._edit, self._wanted.name
        wanted = {str(prefix): prefix.version for prefix in self._wanted.routes}
        for kind in ("interface-route", "interface-route6"):
            for text in edit.tree.names("protocols", "static", kind):
                path: Path = ("protocols", "static", kind, text)
                if edit.tree.has(*path, "next-hop-interface", name) and text not in wanted:
                    alone = edit.tree.names(*path) == ["next-hop-interface"]
                    alone = alone and edit.tree.names(*path, "next-hop-interface") == [name]
                    edit.delete(*(path if alone else (*path, "next-hop-interface", name)))
        for text, version in wanted.items():
            kind = "interface-route" if version == 4 else "interface-route6"
            edit.item("protocols", "static", kind, text, "next-hop-interface", name)


def _remove(edit: Edit, name: str, native: Native) -> None:
    for kind in ("interface-route", "interface-route6"):
        for text in edit.tree.names("protocols", "static", kind):
            path: Path = ("protocols", "static", kind, text)
            hops = edit.tree.names(*path, "next-hop-interface")
            if name in hops:
                edit.delete(*(path if hops == [name] else (*path, "next-hop-interface", name)))
    for path, owner in rules.marked_rules(edit.tree, native.overlay):
        if owner == name and rules.own_set(name, "name") not in path and rules.own_set(name, "ipv6-name") not in path:
            edit.delete(*path)
    edit.delete("interfaces", "wireguard", name)
    edit.delete("firewall", "name", rules.own_set(name, "name"))
    edit.delete("firewall", "ipv6-name", rules.own_set(name, "ipv6-name"))


def _resolver(edit: Edit, plan: RouterPlan, native: Native, files: list[Part]) -> None:
    """One task for the overlay, while any of its interfaces wants it."""
    overlay = plan.target.overlay
    ours = {name: one for name, one in plan.desired.items() if one.mark is None or one.mark.overlay == overlay}
    task = ("system", "task-scheduler", "task", f"fleet-{overlay}")
    path = f"/config/scripts/fleet-resolve-{overlay}.sh"
    if any(one.reresolve for one in ours.values()):
        held = edit.tree.value(*task, "executable", "path") == path
        if not held or not native.frames.resolver:
            files += scripts.document("resolver", scripts.resolver(overlay))
        edit.leaf(*task, "executable", "path", value=path)
        edit.leaf(*task, "interval", value="2m")
    else:
        edit.delete(*task)


def _described(text: str | None, mark: Mark) -> str:
    """People's words are kept and extended; 256 characters are what there is room for (sheet 1.2)."""
    old = Mark.find(text or "")
    if old == mark:
        return text or ""
    if not text:
        return str(mark)
    if old is not None:
        return text.replace(str(old), str(mark))
    return f"{text[: 255 - len(str(mark))]} {mark}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# -------------------------------------------------------------------------------------------------------------- guard
def _write(calls: Iterable[Part], plan: RouterPlan) -> Exec:
    overlay = plan.target.overlay
    if plan.confirm_within:
        return scripts.guarded(overlay, shell.plan_word(plan.plan_id), calls)
    return scripts.apply(overlay, calls)


def _around(batches: tuple[Batch, ...], plan: RouterPlan, observed: Observed) -> Script:
    overlay = plan.target.overlay
    return shell.guarded(
        batches,
        _cleanup(plan, observed),
        plan,
        observed,
        arm=partial(scripts.arm, overlay),
        confirm=partial(scripts.confirm, overlay),
        trip=partial(scripts.trip, overlay),
    )


def _cleanup(plan: RouterPlan, observed: Observed) -> tuple[Batch, ...]:
    if plan.changes or not observed.leftovers:
        return ()
    native = observed.native
    assert isinstance(native, Native)
    edit = Edit(native.active)
    for path, owner in rules.marked_rules(native.active, native.overlay):
        identity = rules.identity_of(native.active, path)
        if not native.active.has("interfaces", "wireguard", owner) or identity not in native.records("active", owner).openings:
            edit.delete(*path)
    calls: list[Part] = ["tidy\n"]
    if edit.lines:
        calls += [*scripts.document("ops", *(f"{line}\n" for line in edit.lines)), "save_all\n"]
    request = scripts.apply(plan.target.overlay, calls)
    return ((Step("remove what is left of a change that is over", (request,)),),)


# ---------------------------------------------------------------------------------------------------------- summaries
def _interrupts(changes: tuple[Change, ...]) -> Interrupts:
    levels: tuple[Interrupts, ...] = ("nothing", "peer", "interface")
    return max(map(_interruption, changes), key=levels.index, default="nothing")


def _interruption(change: Change) -> Interrupts:
    """What bounces: rule sets of the interface and `disable`; a cleared endpoint makes its peer anew (sheet 1.4)."""
    match change:
        case RemoveInterface() | ActivateKey():
            return "interface"
        case SetInterface():
            return "interface" if change.old.disabled != change.wanted.disabled else "nothing"
        case RemovePeer():
            return "peer"
        case SetPeer():
            return "peer" if change.differing & {"endpoint", "preshared_key", "disabled"} else "nothing"
        case SetOpening():
            return "nothing"
    opening = getattr(change, "wanted", None) or getattr(change, "old", None)
    return "interface" if isinstance(opening, Management) else "nothing"
