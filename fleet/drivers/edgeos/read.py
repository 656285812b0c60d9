"""Frames to `Observed`: what is saved, what is active and in the kernel, and what this router cannot do.

`stored` is /config/config.boot. `running` is the kernel where it shows a thing and the active configuration for the rest.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

from ...changes import Change
from ...driver import Limit, Limits, Observed
from ...errors import Rejected, Unparseable
from ...model import (
    HIDDEN,
    Endpoint,
    Forward,
    Interface,
    IPNetwork,
    ListenPort,
    Management,
    Mark,
    Opening,
    Peer,
    PublicKey,
    Route,
)
from ..shell import KernelInterface, connected
from . import quirks, rules
from .frames import Frames, View
from .records import Records, read_records
from .tree import Tree

ALL_WRITES: Final = frozenset(change.__name__ for change in get_args(Change))
MTU: Final = 1420
"""What an interface has that does not say (sheet 1.2)."""


@dataclass(frozen=True, slots=True)
class Native:
    """The driver's own part of an Observed: the frames, whose marks are ours, and which rule set is the uplink's."""

    frames: Frames
    overlay: str
    wan_local: str | None = None

    @property
    def active(self) -> Tree:
        """The active configuration, as far as it concerns us."""
        return self.frames.trees["active"]

    def records(self, view: View, interface: str) -> Records:
        """Our own records of an interface; those of a change under guard are in the active view only."""
        lists = self.frames.lists
        lines = lists.get(("next", interface)) if view == "active" else None
        return read_records(lines if lines is not None else lists.get(("saved", interface), ()))


def observed(frames: Frames, limits: Limits, overlay: str, wan_local: str | None) -> Observed:
    """Both views, normalised alike; broken parts of others are noted and left out.

    Raises Unparseable for broken parts of ours, Rejected where a firmware upgrade took WireGuard away.
    """
    native = Native(frames, overlay, wan_local)
    if frames.system.get("wireguard") != "yes" and (gone := frames.trees["saved"].names("interfaces", "wireguard")):
        raise Rejected(*_gone(gone))  # without its tools no key can be read, and nothing here may lead to a save
    notes = [f"a guard fired: {line}" for line in frames.undone]
    stored = _view("saved", native, notes)
    active = _view("active", native, [])
    running = {name: _running(interface, native) for name, interface in active.items() if _runs(interface, frames)}
    running |= {name: _unknown(name, kernel) for name, kernel in frames.kernel.items() if name not in active}
    stored, running = _with_kernel_keys(stored, frames), _with_kernel_keys(running, frames)
    notes += _oddities(native)
    return Observed(
        stored=stored,
        running=running,
        live={name: kernel.live(frames.clock) for name, kernel in frames.kernel.items()},
        version=", ".join(part for part in (_firmware(frames), frames.system.get("wg", "").partition(" - ")[0]) if part),
        model=_board(frames),
        limits=_limits(native, limits, stored, running),
        guard=frames.guard,
        marker=frames.marker,
        settled=not frames.busy,
        connected=connected(frames.addresses, frames.kernel),
        clock=float(frames.clock) if frames.clock else None,
        rights=_rights(frames),
        leftovers=_leftovers(native),
        notes=tuple(notes),
        native=native,
    )


# ------------------------------------------------------------------------------------------------------ configuration
def _view(view: View, native: Native, notes: list[str]) -> dict[str, Interface]:
    tree = native.frames.trees[view]
    found = {}
    for name in tree.names("interfaces", "wireguard"):
        mark = Mark.find(tree.value("interfaces", "wireguard", name, "description") or "")
        ours = mark is not None and mark.overlay == native.overlay
        try:
            found[name] = _interface(name, view, mark, native, notes)
        except ValueError as error:
            if ours:
                raise Unparseable(f"interfaces wireguard {name} is ours and not understood: {error}") from None
            notes.append(f"interfaces wireguard {name} is not understood and left alone: {error}")
    return found


def _interface(name: str, view: View, mark: Mark | None, native: Native, notes: list[str]) -> Interface:
    frames = native.frames
    tree = frames.trees[view].at("interfaces", "wireguard", name)
    records = native.records(view, name)
    key = _key(name, view, tree.value("private-key"), frames)
    peers = _peers(name, tree, mark, notes)
    port = tree.value("listen-port")
    staged = frames.staged.get(name)
    return Interface(
        name=name,
        public_key=key,
        listen_port=int(port) if port is not None else None,
        mtu=int(tree.value("mtu") or MTU),
        addresses=frozenset(map(ipaddress.ip_interface, tree.names("address"))),
        peers=peers,
        routes=_routes(name, frames.trees[view], records, peers, mark, native.overlay),
        openings=_openings(name, frames.trees[view], records, mark, native),
        reresolve=_resolving(frames.trees[view], native),
        staged_key=staged if staged != key else None,
        disabled=tree.has("disable"),
        mark=mark,
    )


def _key(name: str, view: View, value: str | None, frames: Frames) -> PublicKey | None:
    if value is None:
        return None
    return frames.keys.get(value) or frames.inline.get((view, name))


def _peers(name: str, tree: Tree, mark: Mark | None, notes: list[str]) -> dict[PublicKey, Peer]:
    peers: dict[PublicKey, Peer] = {}
    for text in tree.names("peer"):
        node = tree.at("peer", text)
        own = Mark.find(node.value("description") or "")
        try:
            peers[PublicKey(text)] = _peer(text, node, own)
        except ValueError as error:
            if own is not None and mark is not None and own.overlay == mark.overlay:
                raise
            notes.append(f"{name}: a peer that is not ours is not understood and left alone: {error}")
    return peers


def _peer(text: str, node: Tree, mark: Mark | None) -> Peer:
    endpoint = node.value("endpoint")
    allowed = [prefix for value in node.names("allowed-ips") for prefix in value.split(",")]
    return Peer(
        public_key=PublicKey(text),
        allowed_ips=frozenset(ipaddress.ip_network(prefix.strip(), strict=False) for prefix in allowed if prefix.strip()),
        endpoint=Endpoint.parse(endpoint) if endpoint else None,
        persistent_keepalive=int(node.value("persistent-keepalive") or 0),
        preshared_key=HIDDEN if node.has("preshared-key") else None,
        mark=mark,
        disabled=node.has("disable"),
    )


def _routes(
    name: str, tree: Tree, records: Records, peers: Mapping[PublicKey, Peer], mark: Mark | None, overlay: str
) -> dict[IPNetwork, Route]:
    """Static routes into the interface.

    They have no place for a mark: the records say whose they are, else the peer that the prefix goes to, else the interface.
    """
    found = {}
    ours = mark is not None and mark.overlay == overlay
    for kind in ("interface-route", "interface-route6"):
        for text in tree.names("protocols", "static", kind):
            if tree.has("protocols", "static", kind, text, "next-hop-interface", name):
                prefix = ipaddress.ip_network(text, strict=False)
                owner = records.routes.get(prefix) or _towards(prefix, peers) or mark
                found[prefix] = Route(prefix, owner if ours else None)
    return found


def _towards(prefix: IPNetwork, peers: Mapping[PublicKey, Peer]) -> Mark | None:
    best: tuple[int, Mark | None] = (-1, None)
    for peer in peers.values():
        for allowed in peer.allowed_ips:
            covers = allowed.version == prefix.version and prefix.subnet_of(allowed)  # type: ignore[arg-type]  # same version
            if covers and allowed.prefixlen > best[0]:
                best = (allowed.prefixlen, peer.mark)
    return best[1]


def _openings(name: str, tree: Tree, records: Records, mark: Mark | None, native: Native) -> dict[str, Opening]:
    if mark is None or mark.overlay != native.overlay:
        return {}
    return {
        identity: opening
        for identity, opening in records.openings.items()
        if rules.open_now(opening, tree, name, mark, native.wan_local)
    }


def _resolving(tree: Tree, native: Native) -> bool:
    task = tree.at("system", "task-scheduler", "task", f"fleet-{native.overlay}")
    return native.frames.resolver and (task.value("executable", "path") or "").endswith(f"/fleet-resolve-{native.overlay}.sh")


# ------------------------------------------------------------------------------------------------------------- kernel
def _runs(interface: Interface, frames: Frames) -> bool:
    """False too for one that lost its key: deleting that commits cleanly (sheet 1.3), and nothing runs without."""
    kernel = frames.kernel.get(interface.name)
    if kernel is not None and kernel.public_key is None and _has_key(interface.name, frames):
        return False
    return kernel is not None or interface.disabled


def _unknown(name: str, kernel: KernelInterface) -> Interface:
    """In the kernel and not in the active configuration: made by hand."""
    peers = {
        key: Peer(key, peer.allowed_ips, peer.endpoint, peer.keepalive, HIDDEN if peer.hidden else None)
        for key, peer in kernel.peers.items()
    }
    return Interface(name, kernel.public_key, listen_port=kernel.listen_port or None, peers=peers)


def _running(active: Interface, native: Native) -> Interface:
    frames, name = native.frames, active.name
    kernel = frames.kernel.get(name)
    if kernel is None:
        return active
    armed = frames.guard is not None
    peers = {key: _running_peer(key, kernel, active.peers.get(key), armed) for key in kernel.peers}
    peers |= {key: peer for key, peer in active.peers.items() if peer.disabled and key not in peers}
    routed = frames.routes.get(name, set())
    return replace(
        active,
        public_key=kernel.public_key,
        listen_port=kernel.listen_port or None,
        mtu=frames.mtus.get(name, active.mtu),
        addresses=frozenset(frames.addresses.get(name, ())),
        peers=peers,
        routes={prefix: route for prefix, route in active.routes.items() if prefix in routed},
        disabled=name not in frames.up,
        staged_key=active.staged_key if active.staged_key != kernel.public_key else None,
    )


def _running_peer(key: PublicKey, kernel: KernelInterface, active: Peer | None, armed: bool) -> Peer:
    """Marks are in the configuration only; the endpoint is the kernel's where the configuration gives an address.

    That is for peers that must not roam; under guard what was just dialled may be learned anew before this read. A name stays.
    """
    runs = kernel.peers[key]
    endpoint = active.endpoint if active else None
    if endpoint is not None and endpoint.ip is not None and (not armed or runs.endpoint is None):
        endpoint = runs.endpoint
    return Peer(
        public_key=key,
        allowed_ips=runs.allowed_ips,
        endpoint=endpoint,
        persistent_keepalive=runs.keepalive,
        preshared_key=HIDDEN if runs.hidden else None,
        mark=active.mark if active else None,
    )


def _with_kernel_keys(interfaces: dict[str, Interface], frames: Frames) -> dict[str, Interface]:
    """A key whose file this account may not read is the one that runs."""
    return {
        name: replace(interface, public_key=frames.kernel[name].public_key)
        if interface.public_key is None and name in frames.kernel and _has_key(name, frames)
        else interface
        for name, interface in interfaces.items()
    }


def _has_key(name: str, frames: Frames) -> bool:
    return frames.trees["saved"].has("interfaces", "wireguard", name, "private-key")


# --------------------------------------------------------------------------------------------------------- the router
def _firmware(frames: Frames) -> str:
    release = frames.system.get("firmware") or frames.system.get("release", "")
    found = re.search(r"v\d+\.\d+\.\d+(-hotfix\.\d+)?", release)
    return f"EdgeOS {found[0]}" if found else release


def _board(frames: Frames) -> str:
    found = re.match(r"EdgeRouter\.(ER-[a-z]*\d+)", frames.system.get("release", ""))
    return found[1] if found else frames.system.get("release", "").partition(".")[0]


def _rights(frames: Frames) -> tuple[str, ...]:
    said = []
    if frames.system.get("group") != "vyattacfg":
        said.append(quirks.RIGHTS)
    if frames.system.get("root") != "yes":
        said.append("the account has no sudo, by which EdgeOS reads WireGuard: give it `level admin`")
    if frames.system.get("writable") != "yes":
        said.append("/config/auth is not writable: look at its mode, and whether /config is mounted read-only")
    return tuple(said)


def _oddities(native: Native) -> list[str]:
    frames, notes = native.frames, []
    media_tek = _board(frames) == "ER-e50"
    if media_tek and native.active.value("system", "offload", "hwnat") == "enable":
        notes.append(
            "hardware NAT is on, which stalls WireGuard on this board: `set system offload hwnat disable`, commit, save"
        )
    notes += [f"{path} is readable for everybody: it is corrected with the next write" for path in world_readable(native)]
    return notes


def world_readable(native: Native) -> list[str]:
    """Key files of interfaces of ours that any account of the router may read (guides make them so, sheet 6)."""
    tree = native.active.at("interfaces", "wireguard")
    paths = []
    for name in tree.names():
        mark = Mark.find(tree.value(name, "description") or "")
        path = tree.value(name, "private-key") or ""
        if mark is not None and mark.overlay == native.overlay and native.frames.modes.get(path, 0) & 0o007:
            paths.append(path)
    return paths


def _leftovers(native: Native) -> tuple[str, ...]:
    if native.frames.guard is not None:
        return ()
    said = [f"{path} is what is left of a change that is over" for path in native.frames.leftovers]
    tree = native.active
    for path, owner in rules.marked_rules(tree, native.overlay):
        identity = rules.identity_of(tree, path)
        if not tree.has("interfaces", "wireguard", owner) or identity not in native.records("active", owner).openings:
            said.append(f"{' '.join(path)} belongs to nothing any more")
    return tuple(said)


def _limits(native: Native, limits: Limits, stored: dict[str, Interface], running: dict[str, Interface]) -> Limits:
    frames = native.frames
    cannot = list(limits.cannot)
    if frames.system.get("wireguard") != "yes":
        cannot.append(Limit(ALL_WRITES, _missing(frames)))
    if others := _others_unsaved(native):
        shown = ", ".join(others[:2]) + (f" and {len(others) - 2} more" if len(others) > 2 else "")
        sentence = f"somebody's work is not finished ({shown}): `save` it on the router, or take it back, then sync again"
        cannot.append(Limit(ALL_WRITES, sentence))
    openings = limits.openings
    tree = native.active
    if rules.zones(tree):
        openings = openings - {ListenPort, Forward, Management}
    elif native.wan_local is None and len(rules.local_sets(tree, "name", None)) > 1:
        openings = openings - {ListenPort}
    for name in {*stored, *running}:
        if any(direction != "local" for direction, _ in rules.tunnel_sets(tree, name)) and _is_ours(name, native):
            openings = openings - {Forward}
    return replace(limits, openings=openings, cannot=tuple(cannot))


def _is_ours(name: str, native: Native) -> bool:
    mark = Mark.find(native.active.value("interfaces", "wireguard", name, "description") or "")
    return mark is not None and mark.overlay == native.overlay


def _gone(names: list[str]) -> tuple[str, str]:
    summary = f"WireGuard is gone since a firmware upgrade, and config.boot still has {', '.join(names)}"
    cure = "install the package for this board and firmware (`sudo dpkg -i FILE.deb`), then `load` and `commit` there"
    return summary, f"save nothing on the router: {cure}, and sync again"


def _missing(frames: Frames) -> str:
    board = _board(frames).removeprefix("ER-") or "BOARD"
    return f"WireGuard is not installed: install the package for {board} and this firmware with `sudo dpkg -i FILE.deb`"


def _others_unsaved(native: Native) -> list[str]:
    """Paths that are active and not saved, or the other way round, and not ours: a save of ours would write or erase them."""
    if native.frames.guard is not None:
        return []
    found = []
    for line in native.frames.unsaved:
        where, *path = line.split("\t")
        if not _perhaps_ours(tuple(path), native):
            found.append(" ".join(path[:4]) + (" is not active" if where == "saved" else " is not saved"))
    return list(dict.fromkeys(found))


def _perhaps_ours(path: tuple[str, ...], native: Native) -> bool:
    trees = native.frames.trees.values()
    if path[:2] == ("interfaces", "wireguard") and len(path) > 2:
        marks = [Mark.find(tree.value("interfaces", "wireguard", path[2], "description") or "") for tree in trees]
        return any(mark is not None and mark.overlay == native.overlay for mark in marks)
    if path[:2] == ("firewall", "options") or path[:2] == ("protocols", "static"):
        return True
    if path[:3] == ("system", "task-scheduler", "task"):
        return path[3:4] == (f"fleet-{native.overlay}",)
    if path[0] in {"firewall", "service"}:
        return any(
            rule[: len(path)] == path[: len(rule)] for tree in trees for rule, _ in rules.marked_rules(tree, native.overlay)
        ) or (path[0] == "firewall" and len(path) > 2 and path[2].startswith("FLEET_"))
    return False


__all__ = ["ALL_WRITES", "Management", "Native", "observed", "world_readable"]
