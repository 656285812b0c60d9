"""A plan to one script: everything staged in one `uci batch`, committed once, then brought to the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
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
from ...driver import Batch, Interrupts, Observed, RouterPlan, Script, Step
from ...link import Exec, Part
from .. import shell
from . import scripts
from .draft import Draft
from .firewall import take_openings
from .network import (
    activate_key,
    add_interface,
    add_peer,
    remove_interface,
    remove_peer,
    set_addresses,
    set_interface,
    set_peer,
    stage_key,
)
from .read import Native


def render(plan: RouterPlan, observed: Observed) -> Script:
    """One step with all changes of the plan. Raises Unsupported for what this release cannot express."""
    native = observed.native
    assert isinstance(native, Native)
    if not plan.changes:
        return _around((), plan, observed)
    draft = Draft(plan, observed, native)
    for change in plan.changes:
        _take(change, draft)
    set_addresses(draft)
    take_openings(draft)
    request = _write(_calls(draft), plan)
    step = Step(shell.summary(plan.changes), (request,), plan.changes, _interrupts(plan.changes, observed))
    return _around(((step,),), plan, observed)


def _take(change: Change, draft: Draft) -> None:  # noqa: C901 - one case for each kind of change
    match change:
        case AddInterface():
            add_interface(change, draft)
        case SetInterface():
            set_interface(change, draft)
        case RemoveInterface():
            remove_interface(change, draft)
        case AddPeer():
            add_peer(change, draft)
        case SetPeer():
            set_peer(change, draft)
        case RemovePeer():
            remove_peer(change, draft)
        case StageKey():
            stage_key(change, draft)
        case ActivateKey():
            activate_key(change, draft)
        case DropStagedKey():
            draft.delete(change.interface, "fleet_next_key")
        case Reapply():
            draft.reapply(change.interface)
        case AddAddress() | RemoveAddress() | AddOpening() | SetOpening() | RemoveOpening():
            draft.run(change.interface)  # all of them together, once every change is known
        case AddRoute() | SetRoute() | RemoveRoute():
            raise AssertionError("routes are derived from allowed IPs")
        case _:
            assert_never(change)


def _calls(draft: Draft) -> Iterator[Part]:
    yield f"unmoved {draft.native.frames.digest}\n"
    if draft.lines:
        yield from scripts.document("batch", *draft.lines)
    yield from draft.key_calls
    if draft.touched:
        yield f"stage {' '.join(sorted(draft.touched))}\n"
        if draft.plan.confirm_within:
            yield f"touching {' '.join(sorted(draft.restarts))}\n"
        yield "commit\n"
    elif draft.plan.confirm_within:
        yield f"touching {' '.join(sorted(draft.restarts))}\n"
    yield 'read_now "$WORK/new"\n'
    for interface, how in sorted(draft.restarts.items()):
        yield " ".join(["live", interface, how, *sorted(draft.dialled.get(interface, ()))]) + "\n"
    if draft.firewall:
        yield "FIREWALL=1\n"
    yield '[ -z "${FIREWALL:-}" ] || reload_firewall\n'
    if draft.watchdog is not None:
        yield draft.watchdog


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
    """The previous key pair goes after confirm; what a dead run left goes too."""
    native = observed.native
    assert isinstance(native, Native)
    activated = {change.interface for change in plan.changes if isinstance(change, ActivateKey)}
    if plan.confirm_within and activated:
        return ()  # seen by the read after the confirm
    held = {name for name, keys in native.frames.keys.items() if "fleet_prev_key" in keys}
    names = sorted(held | activated)
    said = [f"forget the previous key of {', '.join(names)}"] if names else []
    if native.frames.leftovers and not plan.changes:
        said.append("remove what is left of a change that is over")
    if not said:
        return ()
    request = scripts.apply(plan.target.overlay, [f"forget_keys {' '.join(names)}\n"] if names else [])
    return ((Step("; ".join(said), (request,)),),)


# ---------------------------------------------------------------------------------------------------------- summaries
def _interrupts(changes: tuple[Change, ...], observed: Observed) -> Interrupts:
    levels: tuple[Interrupts, ...] = ("nothing", "peer", "interface")
    return max((_interruption(change, observed) for change in changes), key=levels.index, default="nothing")


def _interruption(change: Change, observed: Observed) -> Interrupts:
    match change:
        case RemoveInterface() | ActivateKey():
            return "interface"
        case SetInterface():
            old, new = change.old, change.wanted
            same = (old.listen_port, old.mtu, old.disabled) == (new.listen_port, new.mtu, new.disabled)
            return "nothing" if same else "interface"
        case RemovePeer():
            return "peer"
        case SetPeer():
            return "peer" if change.differing & {"endpoint", "preshared_key", "disabled"} else "nothing"
        case Reapply():
            stored, running = observed.stored.get(change.interface), (observed.running or {}).get(change.interface)
            if stored is None or running is None:
                return "nothing"
            scalars = ("public_key", "listen_port", "mtu")
            return "interface" if any(getattr(stored, name) != getattr(running, name) for name in scalars) else "nothing"
    return "nothing"
