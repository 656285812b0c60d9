"""The guard around a write: arm the undo, confirm, trip. Requests only; what they do on the router is in guard.sh."""

from __future__ import annotations

from collections.abc import Iterable

from ...driver import Batch, Observed, RouterPlan, Script
from ...link import Exec, Part
from .. import shell
from . import scripts
from .read import Native


def write(calls: Iterable[Part], plan: RouterPlan, sudo: bool) -> Exec:
    """The request that makes these calls: saved at once, or under guard running only."""
    if plan.confirm_within:
        return scripts.guarded(plan.target.overlay, shell.plan_word(plan.plan_id), calls, sudo)
    return scripts.apply(plan.target.overlay, calls, sudo)


def around(batches: tuple[Batch, ...], plan: RouterPlan, observed: Observed, cleanup: tuple[Batch, ...]) -> Script:
    """The whole script: arming before the first changes, and what ends the guard."""
    native = observed.native
    assert isinstance(native, Native)
    overlay, sudo = plan.target.overlay, native.sudo
    return shell.guarded(
        batches,
        cleanup,
        plan,
        observed,
        arm=lambda name, seconds: scripts.arm(overlay, name, seconds, sudo),
        confirm=lambda name: scripts.confirm(overlay, name, sudo),
        trip=lambda name: scripts.trip(overlay, name, sudo),
    )
