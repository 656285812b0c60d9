"""Frames to `Observed`: what UCI stores, what the kernel runs, and what this router cannot do."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

from ...changes import Change
from ...driver import Limit, Limits, Observed
from ...errors import Unparseable
from ...model import HIDDEN, Endpoint, Interface, IPInterface, IPNetwork, Mark, Opening, Peer, PublicKey, Secret
from ..shell import KernelInterface, KernelPeer, connected
from .frames import Frames
from .openings import read_openings, running_openings, zone_name
from .uci import Package, Section

ALL_WRITES: Final = frozenset(change.__name__ for change in get_args(Change))
WATCHDOG: Final = "wireguard_watchdog"


@dataclass(frozen=True, slots=True)
class Native:
    """The driver's own part of an Observed: the frames, and whose marks are ours."""

    frames: Frames
    overlay: str

    @property
    def firewall(self) -> Package:
        """Sections of the firewall, empty where there is none."""
        return self.frames.firewall or {}

    def peers(self, interface: str) -> dict[PublicKey, Section]:
        """Peer sections of an interface by key; the later of two with one key, as `wg` has it (sheet 1.3)."""
        found = {}
        for section in self.frames.network.values():
            if section.type == f"wireguard_{interface}" and section.one("public_key"):
                try:
                    found[PublicKey(section.one("public_key"))] = section
                except ValueError:
                    continue
        return found


def observed(frames: Frames, limits: Limits, overlay: str) -> Observed:
    """Both views, normalised alike. Raises Unparseable for broken sections of ours; those of others are noted and left out."""
    native = Native(frames, overlay)
    notes = [f"a guard fired: {line}" for line in frames.undone]
    stored: dict[str, Interface] = {}
    for section in frames.network.values():
        if section.type == "interface" and section.one("proto") == "wireguard":
            interface = _stored(section, native, notes)
            if interface is not None:
                stored[section.name] = interface
    running = {name: _running(name, kernel, stored.get(name), native) for name, kernel in frames.kernel.items()}
    for name, interface in stored.items():
        if name not in running and interface.disabled:
            running[name] = interface  # netifd does not load it at all
    firmware = frames.system.get("release", "")
    tools = frames.system.get("wg", "").partition(" - ")[0]
    return Observed(
        stored=stored,
        running=running,
        live={name: kernel.live(frames.clock) for name, kernel in frames.kernel.items()},
        version=", ".join(part for part in (firmware, tools) if part),
        model=_model(frames.system.get("board", "")),
        limits=_limits(frames, limits),
        guard=frames.guard,
        marker=frames.marker,
        settled=not frames.busy,
        connected=connected(frames.addresses, frames.kernel),
        clock=float(frames.clock) if frames.clock else None,
        rights=_rights(frames),
        leftovers=_leftovers(frames),
        notes=tuple(notes),
        native=native,
    )


def _model(board: str) -> str:
    try:
        told = json.loads(board) if board else {}
    except ValueError:
        return ""
    return str(told.get("model") or told.get("board_name") or told.get("system") or "")


def _leftovers(frames: Frames) -> tuple[str, ...]:
    folders = [f"/etc/fleet/{name} is what is left of a change that is over" for name in frames.leftovers]
    keys = [
        f"the previous private key of {name} is still there" for name, keys in frames.keys.items() if "fleet_prev_key" in keys
    ]
    # Staged by a killed run of ours: nothing of it runs or is stored, the next write drops it.
    return (*folders, *(keys if frames.guard is None else ()))


# ------------------------------------------------------------------------------------------------------------- stored
def _stored(section: Section, native: Native, notes: list[str]) -> Interface | None:
    mark = Mark.find(section.one("fleet"))
    ours = mark is not None and mark.overlay == native.overlay
    try:
        return _interface(section, mark, native, notes)
    except ValueError as error:
        if ours:
            raise Unparseable(f"network.{section.name} is ours and not understood: {error}") from None
        notes.append(f"network.{section.name} is not understood and left alone: {error}")
        return None


def _interface(section: Section, mark: Mark | None, native: Native, notes: list[str]) -> Interface:
    name, frames = section.name, native.frames
    keys = frames.keys.get(name, {})
    mtu = section.number("mtu")
    peers = _stored_peers(section, mark, native, notes)
    return Interface(
        name=name,
        public_key=keys.get("private_key"),
        listen_port=section.number("listen_port"),
        mtu=mtu,
        addresses=_addresses(section),
        peers=peers,
        openings=read_openings(native.firewall, native.overlay, name, section.number("fleet_mss") or mtu),
        reresolve=_watched(peers, native),
        staged_key=keys.get("fleet_next_key"),
        disabled=section.flag("disabled"),
        mark=mark,
    )


def _watched(peers: Mapping[PublicKey, Peer], native: Native) -> bool:
    """True if cron runs the watchdog: by our line, or by somebody's where there is a name to resolve."""
    if not native.frames.cron_enabled:
        return False
    named = any(peer.endpoint is not None and peer.endpoint.ip is None for peer in peers.values())
    ours = f"fleet:{native.overlay}:"
    return any(ours in line or named for line in native.frames.cron)


def _addresses(section: Section) -> frozenset[IPInterface]:
    return frozenset(ipaddress.ip_interface(value) for value in section.many("addresses"))


def _stored_peers(interface: Section, mark: Mark | None, native: Native, notes: list[str]) -> dict[PublicKey, Peer]:
    peers: dict[PublicKey, Peer] = {}
    for section in native.frames.network.values():
        if section.type != f"wireguard_{interface.name}" or not section.one("public_key"):
            continue  # without a key the handler skips it (sheet 1.2)
        own = Mark.find(section.one("description"))
        try:
            peer = _stored_peer(section, own, managed=interface.flag("fleet_routes", default=True))
        except ValueError as error:
            if own is not None and mark is not None and own.overlay == mark.overlay:
                raise
            notes.append(f"{interface.name}: a peer that is not ours is not understood and left alone: {error}")
            continue
        if peer.public_key in peers:
            notes.append(f"{interface.name}: two sections have the key {peer.public_key[:8]}...: remove one of them")
        peers[peer.public_key] = peer
    return peers


def _stored_peer(section: Section, mark: Mark | None, *, managed: bool) -> Peer:
    host = section.one("endpoint_host")
    preshared = section.one("preshared_key")
    allowed = frozenset(ipaddress.ip_network(value, strict=False) for value in section.many("allowed_ips"))
    if mark is not None and managed and not section.flag("route_allowed_ips"):
        # Packets reach a peer of ours by the routes that this option makes; without it the prefixes are as good as not there.
        allowed = frozenset()
    return Peer(
        public_key=PublicKey(section.one("public_key")),
        allowed_ips=allowed,
        endpoint=Endpoint(host, section.number("endpoint_port") or 51820) if host else None,
        persistent_keepalive=section.number("persistent_keepalive") or 0,
        preshared_key=(HIDDEN if preshared == "(hidden)" else Secret(preshared)) if preshared else None,
        mark=mark,
        disabled=section.flag("disabled"),
    )


# ------------------------------------------------------------------------------------------------------------ running
def _running(name: str, kernel: KernelInterface, stored: Interface | None, native: Native) -> Interface:
    frames = native.frames
    known: Mapping[PublicKey, Peer] = stored.peers if stored else {}
    sections = native.peers(name)
    peers = {
        key: _running_peer(peer, known.get(key), _unrouted(peer, sections, name, frames)) for key, peer in kernel.peers.items()
    }
    peers |= {key: peer for key, peer in known.items() if peer.disabled and key not in peers}
    tools = frames.system.get("tools", "").split()
    openings: Mapping[str, Opening] = stored.openings if stored else {}
    if {"fw4", "iptables-save"} & set(tools):
        openings = running_openings(openings, frames.rules, native.overlay, name, native.firewall, "fw4" in tools)
    return Interface(
        name=name,
        public_key=kernel.public_key,
        listen_port=kernel.listen_port or None,
        # Without the option netifd leaves the kernel's own MTU: then what runs is what is stored.
        mtu=frames.mtus.get(name) if stored is None or stored.mtu is not None else None,
        addresses=frozenset(frames.addresses.get(name, ())),
        peers=peers,
        openings=openings,
        reresolve=stored.reresolve and frames.cron_runs if stored else False,
        staged_key=stored.staged_key if stored else None,
        disabled=name not in frames.up,
        mark=stored.mark if stored else None,
    )


def _unrouted(peer: KernelPeer, sections: Mapping[PublicKey, Section], interface: str, frames: Frames) -> set[IPNetwork]:
    """Allowed IPs of a peer that should have routes and have none: as good as not there."""
    section = sections.get(peer.public_key)
    holder = frames.network.get(interface)
    if section is None or not section.flag("route_allowed_ips") or (holder is not None and holder.one("ip4table")):
        return set()
    return set(peer.allowed_ips) - frames.routes.get(interface, set())


def _running_peer(peer: KernelPeer, stored: Peer | None, unrouted: set[IPNetwork]) -> Peer:
    """Marks live in UCI only. The endpoint is the kernel's where UCI gives an address, for peers that must not roam.

    Where UCI gives none it is learned and no configuration; a name stays a name, and one that does not resolve yet is no
    drift: the watchdog tries again.
    """
    endpoint = stored.endpoint if stored else None
    if endpoint is not None and endpoint.ip is not None:
        endpoint = peer.endpoint
    return Peer(
        public_key=peer.public_key,
        allowed_ips=frozenset(peer.allowed_ips - unrouted),
        endpoint=endpoint,
        persistent_keepalive=peer.keepalive,
        preshared_key=HIDDEN if peer.hidden else peer.preshared,
        mark=stored.mark if stored else None,
    )


# --------------------------------------------------------------------------------------------------------- the router
def _rights(frames: Frames) -> tuple[str, ...]:
    said = []
    if frames.system.get("user", "0") != "0":
        said.append("the account is not root, and OpenWrt's configuration belongs to root: set `username: root`")
    if frames.system.get("writable") == "no":
        said.append("the file system is mounted read-only: restart the router, and look at its flash if it stays so")
    return tuple(said)


def install(frames: Frames) -> str:
    """The command that installs WireGuard's tools, by the package manager there is (sheet 6)."""
    if frames.system.get("packages") == "apk":
        return "apk update && apk add wireguard-tools"
    return "opkg update && opkg install wireguard-tools"


def _limits(frames: Frames, limits: Limits) -> Limits:
    tools = set(frames.system.get("tools", "").split())
    cannot = list(limits.cannot)
    if "wg" not in tools:
        cannot.append(Limit(ALL_WRITES, f"wireguard-tools is not installed: {install(frames)} && /etc/init.d/network restart"))
    elif frames.system.get("protocol", "0") == "0":
        # Handlers are read when netifd starts (sheet 6).
        sentence = (
            "netifd does not know the protocol wireguard yet: /etc/init.d/network restart (it interrupts every interface)"
        )
        cannot.append(Limit(ALL_WRITES, sentence))
    others = [section for section in frames.staged if section not in frames.staging]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        sentence = f"somebody's changes are not committed ({shown}): `uci commit` or `uci revert` them on the router"
        cannot.append(Limit(ALL_WRITES, sentence))
    # uci since 2025-01 reads such a file instead of the one in /etc/config (sheet 2.4).
    cannot.extend(
        Limit(ALL_WRITES, f"/var/run/uci/{name} replaces the whole configuration: remove it")
        for name in ("network", "firewall")
        if f"override.{name}" in tools
    )
    guard = limits.guard if {"flock", "setsid"} <= tools else "none"
    openings = limits.openings if frames.firewall is not None else frozenset()
    reresolve = WATCHDOG in tools
    return replace(limits, guard=guard, openings=openings, reresolve=reresolve, cannot=tuple(cannot))


def tunnel_zone(native: Native) -> str:
    """The name of the zone of the overlay's interfaces."""
    return zone_name(native.overlay, native.firewall)
