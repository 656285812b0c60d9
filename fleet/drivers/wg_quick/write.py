"""A plan to one script: files edited line by line, then run, then saved."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ...changes import (
    ActivateKey,
    AddInterface,
    Change,
    Reapply,
    RemoveAddress,
    RemoveInterface,
    RemovePeer,
    SetInterface,
    SetPeer,
)
from ...driver import Interrupts, Observed, RouterPlan, Script, Step
from ...link import Part, Request
from ...model import Forward, Interface, Mark, Peer
from .. import shell
from . import guard, scripts
from .conf import Line
from .drafts import WG_DIR, Draft, new_draft, own_key, take
from .frames import File
from .read import Native, hooked, previous_keys


def render(plan: RouterPlan, observed: Observed) -> Script:
    """One step with all changes of the plan. Raises Unsupported for what a file of wg-quick cannot say."""
    native = observed.native
    assert isinstance(native, Native)
    drafts: dict[str, Draft] = {}
    for change in plan.changes:
        if change.interface not in drafts:
            drafts[change.interface] = new_draft(change.interface, native)
        take(change, drafts[change.interface], plan, observed)
    if not drafts:
        return guard.around((), plan, observed, _cleanup(plan, native))
    if any(isinstance(change, AddInterface | RemoveInterface) for change in plan.changes):
        # A hub forwards between all tunnels of the overlay: a new one changes the lists of the others.
        for name, wanted in plan.desired.items():
            if _relays(wanted) and name not in drafts:
                drafts[name] = new_draft(name, native)
    request = guard.write(_all_calls(list(drafts.values()), plan, native), plan, native.sudo)
    step = Step(shell.summary(plan.changes), (request,), plan.changes, _interrupts(plan.changes, observed))
    return guard.around(((step,),), plan, observed, _cleanup(plan, native))


def _all_calls(drafts: list[Draft], plan: RouterPlan, native: Native) -> Iterator[Part]:
    """Build everything and check that nothing moved; only then run, then save, then say what comes up at boot."""
    kept = [draft for draft in drafts if not draft.removed]
    for draft in kept:
        yield from _build(draft, plan, native)
    yield f"stage {' '.join(draft.name for draft in drafts)}\n"
    for draft in drafts:
        if draft.removed:
            yield from _removal(draft)
    yield from (f"run {draft.name}\n" for draft in kept if draft.boot is not False)
    yield "save\n"
    for draft in kept:
        yield from _boot(draft, plan)


def _relays(interface: Interface) -> bool:
    return any(isinstance(opening, Forward) and opening.source == opening.target for opening in interface.openings.values())


# -------------------------------------------------------------------------------------------------------- files
def _build(draft: Draft, plan: RouterPlan, native: Native) -> Iterator[Part]:
    yield from draft.calls
    if draft.key_file:
        own_key(draft)
    mark = draft.listing.mark or _mark(draft, plan)
    if mark is not None:
        draft.listing.mark = mark
        yield from _helper_calls(draft, native)
    yield from _file(f"{draft.name}.conf", draft.conf.lines, native.view(draft.name).files.get(f"{draft.name}.conf"))
    if draft.listing.mark is not None:
        texts = draft.listing.text(name for name in plan.desired if _relays(plan.desired[name]))
        name = f"fleet-{draft.name}.list"
        old = native.view(draft.name).files.get(name)
        yield from _file(name, _numbered(texts, old), old)


def _mark(draft: Draft, plan: RouterPlan) -> Mark | None:
    wanted = plan.desired.get(draft.name)
    return wanted.mark if wanted is not None else draft.conf.interface.mark


def _helper_calls(draft: Draft, native: Native) -> Iterator[Part]:
    if not hooked(draft.conf, draft.name):
        section = draft.conf.interface
        helper = f'sh {WG_DIR}/fleet-%i.sh"'
        section.lines[section.end : section.end] = [Line(f"PostUp = {helper} up"), Line(f"PreDown = {helper} down")]
    text = scripts.helper()
    if native.view(draft.name).helpers.get(draft.name) != scripts.helper_digest():
        yield from scripts.document(f"helper {draft.name}", text)


def _removal(draft: Draft) -> Iterator[Part]:
    foreign = [section for _, section in draft.conf.peers if section.mark is None]
    yield f"remove {draft.name} {'keep' if foreign else 'nothing'}\n"


def _numbered(texts: list[str], file: File | None) -> list[Line]:
    """New text with lines that are already in the old file told by their number."""
    known = {line.text: line for line in reversed(file.lines)} if file else {}
    return [known.get(text, Line(text)) for text in texts]


def _file(name: str, lines: list[Line], file: File | None) -> Iterator[Part]:
    """The call that writes a file, nothing if it would stay as it is. Unchanged runs of lines go by number."""
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
    """The previous key pair goes after confirm; what a dead run left goes too."""
    if plan.confirm_within:
        return ()
    activated = {change.interface for change in plan.changes if isinstance(change, ActivateKey)}
    names = sorted(activated | set(previous_keys(native.frames)))
    said = [f"forget the previous key of {', '.join(names)}"] if names else []
    if native.frames.leftovers and not plan.changes:  # a request with changes begins with the same
        said.append("remove files that were never confirmed")
    if not said:
        return ()
    request = scripts.apply(plan.target.overlay, [f"forget_previous {name}\n" for name in names], native.sudo)
    return ((Step("; ".join(said), (request,)),),)


# ---------------------------------------------------------------------------------------------------- summaries
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


def rehandshake(interface: str, peer: Peer, native: Native) -> tuple[Request, ...]:
    """Remove and add the peer in one command, dialled where it is configured; an armed undo stays as it is."""
    endpoint = f" {peer.endpoint}" if peer.endpoint is not None else ""
    return (scripts.beside(native.overlay, [f"rehandshake {interface} {peer.public_key}{endpoint}\n"], native.sudo),)


def marker(owner: str, expires: int, native: Native) -> tuple[Request, ...]:
    """Put the writer's marker on the router or, for an empty owner, take it off. Raises ValueError for no word of one line."""
    if not owner.isprintable():
        raise ValueError(f"not an owner's name: {owner[:60]!r}")
    return (scripts.beside(native.overlay, [f"marker {expires} {shlex.quote(' '.join(owner.split()))}\n"], native.sudo),)
