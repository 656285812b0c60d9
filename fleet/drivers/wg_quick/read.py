"""Frames to `Observed`: what is stored in files, what runs in the kernel, and what this router cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

from ...changes import Change
from ...driver import Limit, Limits, Observed
from ...errors import Unparseable
from ...model import (
    HIDDEN,
    Forward,
    Interface,
    IPNetwork,
    ListenPort,
    Mark,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Route,
)
from ..shell import KernelInterface, KernelPeer, connected
from .conf import Conf, addresses_of, number_of, read_peer
from .frames import Frames, View
from .listing import Listing, opening_named, read_listing

ROUTE_PROTOCOL: Final = "87"
"""How `ip route` marks routes of ours; the same number is in running_read.sh."""

_ALL_WRITES: Final = frozenset(change.__name__ for change in get_args(Change))


@dataclass(frozen=True, slots=True)
class Native:
    """The driver's own part of an Observed: the frames, how root is reached, and whose marks are ours."""

    frames: Frames
    sudo: bool
    overlay: str

    def view(self, interface: str) -> View:
        """Where the files of an interface are read from for editing: those that wait to be confirmed, else the saved ones."""
        return self.frames.pending.get(interface, self.frames.saved)

    def conf(self, interface: str) -> Conf:
        """The file of an interface, fresh for editing; empty if there is none."""
        return _conf(self.view(interface), interface)

    def listing(self, interface: str) -> Listing:
        """The list of an interface, fresh for editing; empty if there is none."""
        return _listing(self.view(interface), interface)


def _conf(view: View, interface: str) -> Conf:
    file = view.files.get(f"{interface}.conf")
    return Conf(file.lines if file else ())


def _listing(view: View, interface: str) -> Listing:
    """Empty for a list that we could not have written.

    The whole file is ours, so a broken one is not an error: what is missing in it is written again.
    """
    file = view.files.get(f"fleet-{interface}.list")
    try:
        return read_listing([line.text for line in file.lines]) if file else Listing()
    except ValueError:
        return Listing()


def hooked(conf: Conf, interface: str) -> bool:
    """True if the file starts our helper when the interface comes up."""
    names = ('fleet-%i.sh" up', f'fleet-{interface}.sh" up')
    return any(name in value for value in conf.interface_values("postup") for name in names)


def observed(frames: Frames, limits: Limits, overlay: str, wanted: tuple[str, ...], sudo: bool) -> Observed:
    """Both views, normalised alike. Raises Unparseable for a broken file of ours; one of others is noted and left out."""
    native = Native(frames, sudo, overlay)
    notes = [f"a guard fired: {line}" for line in frames.undone]
    stored: dict[str, Interface] = {}
    for name in sorted(file.removesuffix(".conf") for file in frames.saved.files if file.endswith(".conf")):
        interface = _stored(name, frames.saved, frames, overlay, notes)
        if interface is not None:
            stored[name] = interface
    known = {**stored, **_pending(frames, overlay)}
    running = {name: _running(name, kernel, known.get(name), frames) for name, kernel in frames.kernel.items()}
    running |= {name: replace(known[name], disabled=True) for name in frames.off & set(known) if name not in running}
    stored = {name: _with_kernel_key(interface, running.get(name)) for name, interface in stored.items()}
    return Observed(
        stored=stored,
        running=running,
        live={name: kernel.live(frames.clock) for name, kernel in frames.kernel.items()},
        version=_version(frames.system),
        model=frames.system.get("model") or frames.system.get("kernel", ""),
        limits=_limits(frames, limits, native, wanted),
        guard=frames.guard,
        marker=frames.marker,
        settled=not frames.busy,
        connected=connected(frames.addresses, frames.kernel),
        clock=float(frames.clock),
        rights=_rights(frames),
        leftovers=_leftovers(frames),
        notes=tuple(notes),
        native=native,
    )


def _pending(frames: Frames, overlay: str) -> dict[str, Interface]:
    """Interfaces under guard as they are once confirmed: marks, lists and names of endpoints are nowhere else yet.

    Re-resolving starts with the confirm; a window is shorter than the 150 s after which it is needed.
    """
    found = {name: _stored(name, view, frames, overlay, []) for name, view in frames.pending.items()}
    return {name: replace(interface, disabled=False) for name, interface in found.items() if interface is not None}


def _leftovers(frames: Frames) -> tuple[str, ...]:
    folders = [f"/etc/wireguard/{name} holds files of a change that was never confirmed" for name in frames.leftovers]
    keys = [f"the previous private key of {name} is still there" for name in previous_keys(frames)]
    return (*folders, *keys)


def previous_keys(frames: Frames) -> list[str]:
    """Interfaces whose key of before is still in its file."""
    return sorted(name for name, keys in frames.saved.keys.items() if "key.prev" in keys and name not in frames.pending)


# ------------------------------------------------------------------------------------------------------- stored
def _stored(name: str, view: View, frames: Frames, overlay: str, notes: list[str]) -> Interface | None:
    conf = _conf(view, name)
    if not conf.lines:
        return None
    mark = next((section.mark for section in conf.sections if section.kind == "interface" and section.mark), None)
    try:
        return _stored_interface(name, view, mark, frames, notes)
    except ValueError as error:
        if mark is not None and mark.overlay == overlay:
            raise Unparseable(f"/etc/wireguard/{name}.conf is ours and not understood: {error}") from None
        notes.append(f"/etc/wireguard/{name}.conf is not understood and left alone: {error}")
        return None


def _stored_interface(name: str, view: View, mark: Mark | None, frames: Frames, notes: list[str]) -> Interface:
    conf = _conf(view, name)
    keys = view.keys.get(name, {})
    listing = _listing(view, name)
    if view.helpers.get(name, "absent") == "absent" or not hooked(conf, name):
        listing = Listing()  # nobody would make them at the next start
    return Interface(
        name=name,
        public_key=keys.get("conf") or keys.get("key"),
        listen_port=number_of(conf, "listenport"),
        mtu=number_of(conf, "mtu"),
        addresses=addresses_of(conf),
        peers=_stored_peers(name, conf, mark, notes),
        routes=listing.routes,
        openings=listing.openings,
        reresolve=listing.reresolve,
        staged_key=keys.get("key.next"),
        disabled=name not in frames.enabled,
        mark=mark,
    )


def _stored_peers(name: str, conf: Conf, mark: Mark | None, notes: list[str]) -> dict[PublicKey, Peer]:
    peers = {}
    for text, section in conf.peers:
        try:
            peers[PublicKey(text)] = read_peer(section)
        except ValueError as error:
            if section.mark is not None and mark is not None and section.mark.overlay == mark.overlay:
                raise
            notes.append(f"{name}: a peer that is not ours is not understood and left alone: {error}")
    return peers


def _with_kernel_key(interface: Interface, running: Interface | None) -> Interface:
    """A file whose key is loaded by somebody's own command has the key that runs."""
    if interface.public_key is not None or running is None:
        return interface
    return replace(interface, public_key=running.public_key)


# ------------------------------------------------------------------------------------------------------ running
def _running(name: str, kernel: KernelInterface, stored: Interface | None, frames: Frames) -> Interface:
    known: Mapping[PublicKey, Peer] = stored.peers if stored else {}
    armed = name in frames.pending
    return Interface(
        name=name,
        public_key=kernel.public_key,
        listen_port=kernel.listen_port or None,
        # wg-quick derives an MTU where the file gives none: then what runs is what is stored.
        mtu=frames.mtus.get(name) if stored is None or stored.mtu is not None else None,
        addresses=frozenset(frames.addresses.get(name, ())),
        peers={key: _running_peer(peer, known.get(key), armed) for key, peer in kernel.peers.items()},
        routes=_running_routes(name, stored, frames),
        openings=_running_openings(name, stored, frames),
        reresolve=name in frames.resolving if not armed or stored is None else stored.reresolve,
        staged_key=stored.staged_key if stored else None,
        disabled=name not in frames.up,
        mark=stored.mark if stored else None,
    )


def _running_peer(peer: KernelPeer, stored: Peer | None, armed: bool) -> Peer:
    """Marks live in files only. The endpoint is the kernel's where the file gives an address, for peers that must not roam.

    Where the file gives none it is learned and no configuration; a name stays a name, and one that does not resolve yet is
    no drift: the router itself tries again. Under guard (`armed`) what was just dialled may be learned anew before this read.
    """
    endpoint = stored.endpoint if stored else None
    if endpoint is not None and endpoint.ip is not None and (not armed or peer.endpoint is None):
        endpoint = peer.endpoint
    return Peer(
        public_key=peer.public_key,
        allowed_ips=peer.allowed_ips,
        endpoint=endpoint,
        persistent_keepalive=peer.keepalive,
        preshared_key=HIDDEN if peer.hidden else peer.preshared,
        mark=stored.mark if stored else None,
    )


def _running_routes(name: str, stored: Interface | None, frames: Frames) -> dict[IPNetwork, Route]:
    """Routes that are wanted, whoever made them, and routes that only fleet makes, with the interface's own mark."""
    known: Mapping[IPNetwork, Route] = stored.routes if stored else {}
    mark = stored.mark if stored else None
    return {
        prefix: known.get(prefix, Route(prefix, mark))
        for prefix, protocol in frames.routes.get(name, ())
        if protocol == ROUTE_PROTOCOL or prefix in known
    }


def _running_openings(name: str, stored: Interface | None, frames: Frames) -> dict[str, Opening]:
    known: Mapping[str, Opening] = stored.openings if stored else {}
    seen = frames.openings.get(name, [])
    stray = {identity for state, identity in seen if state == "stray"}
    live = {identity: known[identity] for state, identity in seen if state == "live" and identity in known}
    for identity in stray:
        # A rule of another spelling beside the right one is as wrong as a missing one: both are made right together.
        if live.pop(identity, None) is None and identity not in known:
            live[identity] = opening_named(identity, known)
    return live


# --------------------------------------------------------------------------------------------------- the router
def _version(system: Mapping[str, str]) -> str:
    tools = system.get("wg", "").partition(" - ")[0]
    return ", ".join(part for part in (tools, system.get("os", ""), system.get("kernel", "")) if part)


def _rights(frames: Frames) -> tuple[str, ...]:
    if frames.system.get("writable") == "yes":
        return ()
    return ("/etc/wireguard is not writable: log in as root, set `options: {sudo: true}`, or remount a read-only disk",)


def _limits(frames: Frames, limits: Limits, native: Native, wanted: tuple[str, ...]) -> Limits:
    tools = set(frames.system.get("tools", "").split())
    cannot = list(limits.cannot)
    for tool in ("bash", "wg-quick"):
        if tool not in tools:
            cannot.append(Limit(frozenset({"AddInterface"}), f"{tool} is missing, which brings interfaces up: install {tool}"))
            break
    for name in wanted:
        saves = native.conf(name).interface_values("saveconfig")
        if saves and saves[-1].lower() == "true":
            sentence = f"{name}.conf says `SaveConfig = true`, which rewrites the file at every stop: remove that line"
            cannot.append(Limit(_ALL_WRITES, sentence))
    guard = limits.guard
    if "flock" not in tools:
        guard = "none"  # the undo could meet a change that is half written
    openings = limits.openings
    if not tools & {"iptables", "firewall-cmd"} and ("nft" not in tools or "no-nft" in tools):
        # Without any firewall all ports are open and nothing is translated; forwarding is a switch of the kernel.
        openings = openings & {ListenPort, Forward, NoMasquerade}
    return replace(limits, guard=guard, saves_on_confirm=guard != "none", openings=openings, cannot=tuple(cannot))
