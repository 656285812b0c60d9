"""Changes to one script: files edited line by line, then run, then saved."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
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
from ...driver import Interrupts, Observed, RouterPlan, Script, Step
from ...errors import Unsupported
from ...link import Part, Request
from ...model import Forward, Interface, KeyOf, Mark, PublicKey, Secret
from . import scripts
from .conf import Conf, Line, split, write_peer
from .listing import Listing
from .read import Native, hooked

_WG_DIR = '"$FLEET_ROOT/etc/wireguard'
_LOAD_KEY = f'wg set %i private-key {_WG_DIR}/%i.key"'
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


def render(plan: RouterPlan, observed: Observed) -> Script:
    """One step with all changes of the plan. Raises Unsupported for what a file of wg-quick cannot say."""
    native = observed.native
    assert isinstance(native, Native)
    drafts: dict[str, Draft] = {}
    for change in plan.changes:
        if change.interface not in drafts:
            drafts[change.interface] = _draft(change.interface, native)
        _take(change, drafts[change.interface], plan, observed)
    if not drafts:
        return Script(guarded=())
    if any(isinstance(change, AddInterface | RemoveInterface) for change in plan.changes):
        # A hub forwards between all tunnels of the overlay: a new one changes the lists of the others.
        for name, wanted in plan.desired.items():
            if _relays(wanted) and name not in drafts:
                drafts[name] = _draft(name, native)
    request = scripts.apply(_all_calls(list(drafts.values()), plan, native), native.sudo)
    step = Step(_summary(plan.changes), (request,), plan.changes, _interrupts(plan.changes, observed))
    return Script(guarded=((step,),), cleanup=_cleanup(plan, native))


def _all_calls(drafts: list[Draft], plan: RouterPlan, native: Native) -> Iterator[Part]:
    """Build everything and check that nothing moved; only then run, then save, then say what comes up at boot."""
    kept = [draft for draft in drafts if not draft.removed]
    for draft in kept:
        yield from _build(draft, plan, native)
    yield "stage\n"
    for draft in drafts:
        if draft.removed:
            yield from _removal(draft)
    yield from (f"run {draft.name}\n" for draft in kept if draft.boot is not False)
    yield "save\n"
    for draft in kept:
        yield from _boot(draft, plan)


def _draft(name: str, native: Native) -> Draft:
    if not name.isascii() or any(not (letter.isalnum() or letter in "_.-") for letter in name):
        raise Unsupported(
            f"interface name {name}: unit names and nftables take letters, digits, dot, dash and underscore only",
            "give this router another `interface:`",
        )
    return Draft(name, native.conf(name), native.listing(name))


def _relays(interface: Interface) -> bool:
    return any(isinstance(opening, Forward) and opening.source == opening.target for opening in interface.openings.values())


# ------------------------------------------------------------------------------------------------------ changes
def _take(change: Change, draft: Draft, plan: RouterPlan, observed: Observed) -> None:
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


def _own_key(draft: Draft) -> None:
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


# -------------------------------------------------------------------------------------------------------- files
def _build(draft: Draft, plan: RouterPlan, native: Native) -> Iterator[Part]:
    yield from draft.calls
    if draft.key_file:
        _own_key(draft)
    mark = draft.listing.mark or _mark(draft, plan)
    if mark is not None:
        draft.listing.mark = mark
        yield from _helper_calls(draft, native)
    yield from _file(f"{draft.name}.conf", draft.conf.lines, native)
    if draft.listing.mark is not None:
        texts = draft.listing.text(name for name in plan.desired if _relays(plan.desired[name]))
        yield from _file(f"fleet-{draft.name}.list", _numbered(f"fleet-{draft.name}.list", texts, native), native)


def _mark(draft: Draft, plan: RouterPlan) -> Mark | None:
    wanted = plan.desired.get(draft.name)
    return wanted.mark if wanted is not None else draft.conf.interface.mark


def _helper_calls(draft: Draft, native: Native) -> Iterator[Part]:
    if not hooked(draft.conf, draft.name):
        section = draft.conf.interface
        helper = f'sh {_WG_DIR}/fleet-%i.sh"'
        section.lines[section.end : section.end] = [Line(f"PostUp = {helper} up"), Line(f"PreDown = {helper} down")]
    text = scripts.helper()
    if native.frames.helpers.get(draft.name) != scripts.helper_digest():
        yield from scripts.document(f"helper {draft.name}", text)


def _removal(draft: Draft) -> Iterator[Part]:
    foreign = [section for _, section in draft.conf.peers if section.mark is None]
    yield f"remove {draft.name} {'keep' if foreign else 'nothing'}\n"


def _numbered(name: str, texts: list[str], native: Native) -> list[Line]:
    """New text with lines that are already in the old file told by their number."""
    file = native.frames.files.get(name)
    known = {line.text: line for line in reversed(file.lines)} if file else {}
    return [known.get(text, Line(text)) for text in texts]


def _file(name: str, lines: list[Line], native: Native) -> Iterator[Part]:
    """The call that writes a file, nothing if it would stay as it is. Unchanged runs of lines go by number."""
    file = native.frames.files.get(name)
    numbers = [line.number for line in lines]
    if file is not None and numbers == list(range(1, len(file.lines) + 1)):
        return
    yield f"file {name} 600 {file.digest if file else 'absent'} <<'{scripts.DELIMITER}'\n"
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if not line.number:
            yield f"={line.text}"
            if line.secret is not None:
                yield line.secret
            yield "\n"
            continue
        last = line.number
        while index < len(lines) and lines[index].number == last + 1:
            last, index = last + 1, index + 1
        yield f"!{line.number}-{last}\n"
    yield f"{scripts.DELIMITER}\n"


def _boot(draft: Draft, plan: RouterPlan) -> Iterator[Part]:
    if draft.boot:
        yield f"boot_on {draft.name} {_mark(draft, plan) or 'fleet'}\n"
    elif draft.boot is False:
        yield f"boot_off {draft.name}\nstop {draft.name}\n"


def _cleanup(plan: RouterPlan, native: Native) -> tuple[tuple[Step, ...], ...]:
    """The previous key pair goes after confirm."""
    names = sorted({change.interface for change in plan.changes if isinstance(change, ActivateKey)})
    if not names:
        return ()
    request = scripts.apply([f"forget_previous {name}\n" for name in names], native.sudo)
    return ((Step(f"forget the previous key of {', '.join(names)}", (request,)),),)


# ---------------------------------------------------------------------------------------------------- summaries
def _summary(changes: tuple[Change, ...]) -> str:
    said = [str(change) for change in changes[:3]]
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(said) + more


def _interrupts(changes: tuple[Change, ...], observed: Observed) -> Interrupts:
    levels: tuple[Interrupts, ...] = ("nothing", "peer", "interface")
    return max((_interruption(change, observed) for change in changes), key=levels.index, default="nothing")


def _interruption(change: Change, observed: Observed) -> Interrupts:
    match change:
        case RemoveInterface() | ActivateKey() | RemoveAddress():
            return "interface"
        case SetInterface():
            moved = change.old.listen_port != change.wanted.listen_port
            return "interface" if moved or change.wanted.disabled else "nothing"
        case RemovePeer():
            return "peer"
        case SetPeer():
            return "peer" if change.differing & {"endpoint", "preshared_key"} else "nothing"
        case Reapply():
            return _reapply_interruption(change, observed)
    return "nothing"


def _reapply_interruption(change: Reapply, observed: Observed) -> Interrupts:
    stored, running = observed.stored.get(change.interface), (observed.running or {}).get(change.interface)
    if stored is None or running is None:
        return "nothing"
    if (stored.public_key, stored.listen_port) != (running.public_key, running.listen_port):
        return "interface"
    changed = any(
        key in running.peers and running.peers[key].preshared_key != peer.preshared_key for key, peer in stored.peers.items()
    )
    return "peer" if changed else "nothing"


def rehandshake(interface: str, key: PublicKey, native: Native) -> tuple[Request, ...]:
    """Remove and add the peer in one command, with everything the kernel holds about it."""
    return (scripts.apply([f"rehandshake {interface} {key}\n"], native.sudo),)
