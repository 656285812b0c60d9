"""Changes taken one by one into the files of an interface."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import assert_never

from ...changes import (
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
from ...driver import Observed, RouterPlan
from ...errors import Unsupported
from ...link import Part
from ...model import Interface, KeyOf, Secret
from . import scripts
from .conf import Conf, Line, split, write_peer
from .listing import Listing
from .read import Native

WG_DIR = '"$FLEET_ROOT/etc/wireguard'
_LOAD_KEY = f'wg set %i private-key {WG_DIR}/%i.key"'
_PEER_ATTRIBUTES = ("mark", "preshared_key", "allowed_ips", "endpoint", "persistent_keepalive")


@dataclass(slots=True)
class Draft:
    """One interface while its files are edited; `calls` go in front of the files.

    `boot` says whether it is to come up at boot, None: as it is. `key_file`: its private key is in a file of its own.
    """

    name: str
    conf: Conf
    listing: Listing
    calls: list[Part] = field(default_factory=list)
    boot: bool | None = None
    removed: bool = False
    key_file: bool = False

    def call(self, *words: str) -> None:
        """Add a call of the apply script; words are interface names, keys and addresses, none needs quoting."""
        self.calls.append(" ".join(words) + "\n")


def new_draft(name: str, native: Native) -> Draft:
    """The files of an interface as they are. Raises Unsupported for a name that other tools cannot carry."""
    if not name.isascii() or any(not (letter.isalnum() or letter in "_.-") for letter in name):
        raise Unsupported(
            f"interface name {name}: unit names and nftables take letters, digits, dot, dash and underscore only",
            "give this router another `interface:`",
        )
    return Draft(name, native.conf(name), native.listing(name))


def take(change: Change, draft: Draft, plan: RouterPlan, observed: Observed) -> None:
    """Edit the files as this change says. Raises Unsupported for what a file of wg-quick cannot say."""
    match change:
        case AddInterface() | SetInterface() | RemoveInterface() | StageKey() | ActivateKey() | DropStagedKey() | Reapply():
            _take_interface(change, draft, plan, observed)
        case AddAddress() | RemoveAddress():
            _take_address(change, draft)
        case AddPeer() | SetPeer() | RemovePeer():
            _take_peer(change, draft)
        case AddRoute() | SetRoute():
            draft.listing.routes[change.wanted.prefix] = change.wanted
        case RemoveRoute():
            draft.listing.routes.pop(change.old.prefix, None)
        case AddOpening() | SetOpening():
            draft.listing.openings[change.wanted.identity] = change.wanted
        case RemoveOpening():
            draft.listing.openings.pop(change.old.identity, None)
        case _:
            assert_never(change)


def _take_interface(
    change: AddInterface | SetInterface | RemoveInterface | StageKey | ActivateKey | DropStagedKey | Reapply,
    draft: Draft,
    plan: RouterPlan,
    observed: Observed,
) -> None:
    given = plan.private_keys.get(draft.name)
    match change:
        case AddInterface():
            _new_interface(change.wanted, draft, given)
        case SetInterface():
            _set_scalars(change.wanted, draft, change.old)
        case RemoveInterface():
            draft.removed = True
        case StageKey():
            _key_call(draft, "stage", given if not isinstance(change.key, KeyOf) else None)
        case ActivateKey():
            draft.call("key_activate", draft.name, change.key)
            draft.key_file = True
        case DropStagedKey():
            draft.call("stage_drop", draft.name)
        case Reapply():
            _reapply(draft, observed)
        case _:
            assert_never(change)


def _key_call(draft: Draft, what: str, given: Secret | None) -> None:
    if given is None:
        draft.call(f"{what}_make", draft.name)
    else:
        draft.calls += scripts.secret_document(f"{what}_given {draft.name}", given)


def _new_interface(wanted: Interface, draft: Draft, given: Secret | None) -> None:
    fresh = not draft.conf.lines
    if not draft.conf.has_private_key():
        _key_call(draft, "key", given if not isinstance(wanted.public_key, KeyOf) else None)
        draft.key_file = True
    if fresh:
        # Routes are a list of their own; allowed IPs alone cannot say which of them belong into the main table.
        draft.conf.interface.set("table", Line("Table = off"))
    draft.boot = True
    _set_scalars(wanted, draft, None)


def own_key(draft: Draft) -> None:
    """Let PostUp load the private key from its own file, behind any hand-written one, and take it out of this file."""
    interface = draft.conf.interface
    interface.lines = [line for line in interface.lines if line.hidden != "PrivateKey"]
    names = ("/%i.key", f"/{draft.name}.key")
    if not any(name in value for value in draft.conf.interface_values("postup") for name in names):
        interface.lines.insert(interface.end, Line(f"PostUp = {_LOAD_KEY}"))


def _set_scalars(wanted: Interface, draft: Draft, old: Interface | None) -> None:
    section = draft.conf.interface
    if wanted.mark is not None and (old is None or old.mark != wanted.mark):
        section.set_mark(wanted.mark)
        draft.listing.mark = wanted.mark
    for key, spelled, value in (("listenport", "ListenPort", wanted.listen_port), ("mtu", "MTU", wanted.mtu)):
        if old is None or getattr(old, "listen_port" if key == "listenport" else key) != value:
            section.set(key, *([Line(f"{spelled} = {value}")] if value is not None else []))
    if old is None or old.reresolve != wanted.reresolve:
        draft.listing.reresolve = wanted.reresolve
    if old is not None and old.disabled != wanted.disabled:
        draft.boot = not wanted.disabled


def _reapply(draft: Draft, observed: Observed) -> None:
    """Bring the kernel to the file: `run` does, told what the kernel holds too much."""
    stored, running = observed.stored.get(draft.name), (observed.running or {}).get(draft.name)
    if stored is None or running is None:
        return
    for address in sorted(running.addresses - stored.addresses, key=str):
        draft.call("unaddress", draft.name, str(address))
    for key, peer in stored.peers.items():
        if peer.endpoint is not None and (key not in running.peers or running.peers[key].endpoint != peer.endpoint):
            draft.call("dial", draft.name, key)


def _take_address(change: AddAddress | RemoveAddress, draft: Draft) -> None:
    section = draft.conf.interface
    have = split(draft.conf.interface_values("address"))
    spelled = [text for text in have if _same_address(text, str(change.address))]
    if isinstance(change, AddAddress):
        if not spelled:
            lines = [line for line in section.lines if line.setting[0] == "address"]
            section.set("address", *lines, Line(f"Address = {change.address}"))
        return
    draft.call("unaddress", draft.name, str(change.address))
    left = [text for text in have if text not in spelled]
    section.set("address", *(Line(f"Address = {text}") for text in left))


def _same_address(text: str, other: str) -> bool:
    return ipaddress.ip_interface(text) == ipaddress.ip_interface(other)


def _take_peer(change: AddPeer | SetPeer | RemovePeer, draft: Draft) -> None:
    if isinstance(change, RemovePeer):
        draft.conf.remove_peer(change.old.public_key)
        draft.call("forget", draft.name, change.old.public_key)
        return
    peer = change.wanted
    if peer.disabled:
        raise Unsupported(
            f"peer {peer.label}: wg-quick cannot keep a disabled peer", "remove the peer, or park it without allowed IPs"
        )
    differing = frozenset(_PEER_ATTRIBUTES) if isinstance(change, AddPeer) else change.differing
    write_peer(draft.conf.peer(peer.public_key), peer, [name for name in _PEER_ATTRIBUTES if name in differing])
    if peer.endpoint is not None and "endpoint" in differing:
        draft.call("dial", draft.name, peer.public_key)
