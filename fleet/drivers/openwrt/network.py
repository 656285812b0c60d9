"""Changes of interfaces and peers as lines of `uci batch` on the package network."""

from __future__ import annotations

import hashlib
import re

from ...changes import (
    ActivateKey,
    AddAddress,
    AddInterface,
    AddPeer,
    RemoveAddress,
    RemoveInterface,
    RemovePeer,
    SetInterface,
    SetPeer,
    StageKey,
)
from ...errors import Unsupported
from ...model import Interface, IPInterface, KeyOf, Mark, Peer, PublicKey, Secret, sorted_networks
from . import uci
from .draft import Draft
from .uci import Section

SECTION_NAME = re.compile(r"[A-Za-z0-9_]{1,15}")
"""An interface is a section and a device: letters, digits, underscores, 15 of them (sheet 1.3)."""


# ---------------------------------------------------------------------------------------------------------- interfaces
def add_interface(change: AddInterface, draft: Draft) -> None:
    """A new section of type interface, with a key made on the router or the one that is sent."""
    name, wanted = change.interface, change.wanted
    if not SECTION_NAME.fullmatch(name):
        raise Unsupported(
            f"an interface of OpenWrt is named with letters, digits and underscores only, not {name!r}",
            "nothing was written; set `interface:` of this router in the inventory",
        )
    if draft.section(name) is not None:
        raise Unsupported(
            f"network.{name} exists and is no WireGuard interface",
            "nothing was written; set another `interface:` of this router in the inventory",
        )
    draft.touch(name)
    draft.add(f"set network.{name}=interface\n", *uci.set_(f"network.{name}.proto", "wireguard"))
    if (key := draft.plan.private_keys.get(name)) is not None:
        draft.add(*uci.set_(f"network.{name}.private_key", key))
    else:
        draft.key_calls.append(f"own_key {name} private_key\n")
    _scalars(name, wanted, draft)
    draft.run(name, "reload")


def set_interface(change: SetInterface, draft: Draft) -> None:
    """Port, MTU, mark, disabled, and whether the watchdog runs."""
    name, old, new = change.interface, change.old, change.wanted
    _scalars(name, new, draft)
    moved = (old.listen_port, old.mtu, old.disabled) != (new.listen_port, new.mtu, new.disabled)
    draft.run(name, "reload" if moved else "no")
    if old.reresolve != new.reresolve:
        watchdog(draft)


def _scalars(name: str, wanted: Interface, draft: Draft) -> None:
    for option, value in (("listen_port", wanted.listen_port), ("mtu", wanted.mtu)):
        if value is None:
            draft.delete(name, option)
        else:
            draft.set(name, option, str(value))
    if wanted.disabled:
        draft.set(name, "disabled", "1")
    else:
        draft.delete(name, "disabled")
    if wanted.mark is not None:
        draft.set(name, "fleet", str(wanted.mark))
    _routing(name, draft)


def _routing(name: str, draft: Draft) -> None:
    """Whether routes are ours stands with the interface: the peers' option alone does not say whose it is."""
    if _routes_managed(name, draft):
        draft.delete(name, "fleet_routes")
    else:
        draft.set(name, "fleet_routes", "0")


def _routes_managed(name: str, draft: Draft) -> bool:
    wanted = draft.plan.desired.get(name)
    return wanted is None or "routes" not in wanted.unmanaged


def remove_interface(change: RemoveInterface, draft: Draft) -> None:
    """The section and those of all its peers; that none of them is somebody else's the core has made sure of."""
    name = change.interface
    draft.touch(name)
    draft.add(*uci.delete(f"network.{name}"))
    for section in draft.native.frames.network.values():
        if section.type == f"wireguard_{name}":
            draft.touch(section.name)
            draft.add(*uci.delete(f"network.{section.name}"))
    draft.run(name, "reload")
    if change.old.reresolve:
        watchdog(draft)


def watchdog(draft: Draft) -> None:
    """One line in root's crontab serves all interfaces: it stays while one of them wants it (sheet 10)."""
    wanted = any(interface.reresolve for interface in draft.plan.desired.values())
    draft.watchdog = f"cron on '* * * * * /usr/bin/wireguard_watchdog # {draft.mark}'\n" if wanted else "cron off\n"


def set_addresses(draft: Draft) -> None:
    """The whole list anew where an address comes or goes: `add_list` only appends, a scalar is no list."""
    moves = [change for change in draft.plan.changes if isinstance(change, AddAddress | RemoveAddress)]
    for name in sorted({change.interface for change in moves}):
        stored = draft.observed.stored.get(name)
        addresses: set[IPInterface] = set(stored.addresses) if stored is not None else set()
        for change in moves:
            if change.interface == name:
                (addresses.add if isinstance(change, AddAddress) else addresses.discard)(change.address)
        held = draft.section(name)
        present = held is not None and "addresses" in held.options
        ordered = sorted(addresses, key=lambda one: (one.version, one.ip.packed, one.network.prefixlen))
        draft.touch(name)
        draft.add(*uci.list_(f"network.{name}.addresses", map(str, ordered), present=present))


# ---------------------------------------------------------------------------------------------------------------- keys
def stage_key(change: StageKey, draft: Draft) -> None:
    """The next private key, in an option beside the one in use."""
    name = change.interface
    draft.touch(name)
    key = draft.plan.private_keys.get(name)
    if isinstance(change.key, KeyOf) or key is None:
        draft.key_calls.append(f"own_key {name} fleet_next_key\n")
    else:
        draft.add(*uci.set_(f"network.{name}.fleet_next_key", key))


def activate_key(change: ActivateKey, draft: Draft) -> None:
    """The staged key becomes the key; the one before stays in an option until the change is confirmed."""
    draft.touch(change.interface)
    draft.key_calls.append(f"next_key {change.interface}\n")
    draft.run(change.interface, "reload")


# --------------------------------------------------------------------------------------------------------------- peers
def add_peer(change: AddPeer, draft: Draft) -> None:
    """A named section: its name says whose it is to people, its key to fleet."""
    name, wanted = change.interface, change.wanted
    section = _section_name(name, wanted.public_key)
    draft.touch(section)
    path = f"network.{section}"
    draft.add(f"set {path}=wireguard_{name}\n", *uci.set_(f"{path}.public_key", str(wanted.public_key)))
    if wanted.mark is not None:
        draft.add(*uci.set_(f"{path}.description", str(wanted.mark)))
    if isinstance(wanted.preshared_key, Secret):
        draft.add(*uci.set_(f"{path}.preshared_key", wanted.preshared_key))
    draft.add(*uci.list_(f"{path}.allowed_ips", _allowed(wanted), present=False))
    if _routes_managed(name, draft):
        draft.add(*uci.set_(f"{path}.route_allowed_ips", "1"))
    if wanted.endpoint is not None:
        draft.add(*uci.set_(f"{path}.endpoint_host", wanted.endpoint.host))
        draft.add(*uci.set_(f"{path}.endpoint_port", str(wanted.endpoint.port)))
    if wanted.persistent_keepalive:
        draft.add(*uci.set_(f"{path}.persistent_keepalive", str(wanted.persistent_keepalive)))
    if wanted.disabled:
        _can_disable(draft)
        draft.add(*uci.set_(f"{path}.disabled", "1"))
    _routing(name, draft)
    draft.run(name)


def set_peer(change: SetPeer, draft: Draft) -> None:
    """Only what differs. An anonymous section gets a name: one by its place is another's tomorrow (sheet 1.3)."""
    name, wanted = change.interface, change.wanted
    held = draft.native.peers(name).get(wanted.public_key)
    if held is None:
        raise Unsupported(f"the peer {wanted.label} on {name} is not in UCI any more", "nothing was written; sync again")
    section = held.name
    draft.touch(section)
    if held.anonymous:
        section = _section_name(name, wanted.public_key)
        draft.touch(section)
        draft.lines[0:0] = [f"rename network.{held.name}={section}\n"]
    path = f"network.{section}"
    differing = change.differing
    if "mark" in differing:
        draft.add(*uci.set_(f"{path}.description", _described(held.one("description"), wanted.mark)))
    if "preshared_key" in differing:
        _option(path, held, "preshared_key", wanted.preshared_key, draft)
    if "allowed_ips" in differing:
        draft.add(*uci.list_(f"{path}.allowed_ips", _allowed(wanted), present="allowed_ips" in held.options))
    if _routes_managed(name, draft) and held.one("route_allowed_ips") != "1":
        draft.add(*uci.set_(f"{path}.route_allowed_ips", "1"))
    if "endpoint" in differing:
        _option(path, held, "endpoint_host", wanted.endpoint.host if wanted.endpoint else None, draft)
        _option(path, held, "endpoint_port", str(wanted.endpoint.port) if wanted.endpoint else None, draft)
    if "persistent_keepalive" in differing:
        keepalive = str(wanted.persistent_keepalive) if wanted.persistent_keepalive else None
        _option(path, held, "persistent_keepalive", keepalive, draft)
    if "disabled" in differing:
        if wanted.disabled:
            _can_disable(draft)
        _option(path, held, "disabled", "1" if wanted.disabled else None, draft)
    draft.run(name)


def remove_peer(change: RemovePeer, draft: Draft) -> None:
    """Its section, or both where a person has made a second one with the same key."""
    for section in draft.native.frames.network.values():
        if section.type == f"wireguard_{change.interface}" and section.one("public_key") == change.old.public_key:
            draft.touch(section.name)
            draft.add(*uci.delete(f"network.{section.name}"))
    draft.run(change.interface)


def _option(path: str, held: Section, option: str, value: object, draft: Draft) -> None:
    """Set an option, or delete it if it is there."""
    if isinstance(value, str | Secret):
        draft.add(*uci.set_(f"{path}.{option}", value))
    elif option in held.options:
        draft.add(*uci.delete(f"{path}.{option}"))


def _section_name(interface: str, key: PublicKey) -> str:
    """One peer may be on two interfaces: while a hub's key is replaced beside the old one it is."""
    return f"wgp_{hashlib.sha256(f'{interface} {key}'.encode()).hexdigest()[:12]}"


def _allowed(peer: Peer) -> list[str]:
    return [str(prefix) for prefix in sorted_networks(peer.allowed_ips)]


def _described(held: str, mark: Mark | None) -> str:
    """What a person wrote stays, our mark comes behind it or takes the place of the one before."""
    said = " ".join(held.split())  # one line of `uci batch` holds no newline
    old = Mark.find(said)
    if old is not None:
        return said.replace(str(old), str(mark or "")).strip()
    return f"{said} {mark}".strip()


def _can_disable(draft: Draft) -> None:
    if draft.native.frames.system.get("handler") == "plain":
        raise Unsupported(
            "this release (21.02) does not know disabled peers and would keep them active",
            "nothing was written; update OpenWrt to 22.03 or later",
        )
