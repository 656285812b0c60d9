"""The guard around a write: arm the undo, confirm, trip. Requests only; what they do on the router is in guard.sh."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...driver import Batch, Observed, RouterPlan, Script, Step
from ...link import Exec, Part
from . import scripts
from .read import Native


def write(calls: Iterable[Part], plan: RouterPlan, sudo: bool) -> Exec:
    """The request that makes these calls: saved at once, or under guard running only."""
    if plan.confirm_within:
        return scripts.guarded(plan.target.overlay, _checked(plan.plan_id), calls, sudo)
    return scripts.apply(plan.target.overlay, calls, sudo)


def around(batches: tuple[Batch, ...], plan: RouterPlan, observed: Observed, cleanup: tuple[Batch, ...]) -> Script:
    """The whole script: arming before the first changes, and what ends the guard.

    The undo that is tripped is the one that was seen: a left-over one carries the name of its own plan.
    """
    native = observed.native
    assert isinstance(native, Native)
    overlay, seconds = plan.target.overlay, plan.confirm_within
    seen = observed.guard.plan_id if observed.guard is not None else plan.plan_id
    trip = (scripts.trip(overlay, _checked(seen), native.sudo),) if seconds or observed.guard is not None else ()
    if not seconds:
        return Script(guarded=batches, cleanup=cleanup, trip=trip)
    if plan.arm and batches:
        request = scripts.arm(overlay, _checked(plan.plan_id), seconds, native.sudo)
        batches = ((Step(f"arm the undo: it fires in {seconds} s unless confirmed", (request,)),), *batches)
    confirm = (scripts.confirm(overlay, _checked(plan.plan_id), native.sudo),)
    return Script(guarded=batches, confirm=confirm, cleanup=cleanup, trip=trip)


def _checked(plan_id: str) -> str:
    """A plan's name as a word of the shell. Raises ValueError: the core makes these names, nobody types them."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}", plan_id):
        raise ValueError(f"not a plan's name: {plan_id[:80]!r}")
    return plan_id
