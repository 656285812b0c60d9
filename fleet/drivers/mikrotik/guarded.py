"""One pass over one router: the changes, and around them arming, confirm, cleanup and trip."""

from __future__ import annotations

from collections.abc import Iterable

from ... import Batch, Mark, RouterPlan, Script, Step, Words
from . import guard, leftover, undo
from .meaning import Native
from .write import Renderer


def script(plan: RouterPlan, native: Native) -> Script:
    """What a plan needs. Without a window there is no guard, and nothing to confirm or trip."""
    left = leftover.found(native, plan.target.overlay)
    if not plan.confirm_within:
        changed = Renderer(plan, native).batches()
        return Script(guarded=changed, cleanup=_cleanup(plan, left, changed))
    armed = native.guards.get(plan.plan_id, ())
    tag = (guard.tag_of(armed[0]) if armed else None) or guard.free_tag(plan.plan_id, _comments(native))
    changed = Renderer(plan, native, tag).batches()
    return Script(
        guarded=(*_arming(plan, native, tag), *changed),
        confirm=guard.disarm(plan.target.overlay, plan.plan_id, armed),
        cleanup=_cleanup(plan, left, changed),
        trip=guard.trip(plan.target.overlay, plan.plan_id, armed),
    )


def _comments(native: Native) -> Iterable[str]:
    rows = (rule.row for owned in native.owned.values() for rule in owned)
    return (row.get("comment", "") for row in rows)


def _arming(plan: RouterPlan, native: Native, tag: str) -> tuple[Batch, ...]:
    if not plan.arm:
        return ()
    mark = Mark(plan.target.overlay, plan.target.router)
    return ((guard.arm(plan, mark, tag, undo.script_for(plan, native, mark, tag), undo.kept(plan)),),)


def _cleanup(plan: RouterPlan, left: list[leftover.Leftover], changed: tuple[Batch, ...]) -> tuple[Batch, ...]:
    """Delete what is disabled and not wanted. What this very pass writes is no leftover."""
    written = [request for batch in changed for step in batch for request in step.requests if isinstance(request, Words)]
    spared = frozenset(
        (request.command.rpartition("/")[0], each)
        for request in written
        for name, value in request.attributes
        if name in (".id", "numbers")
        for each in str(value).split(",")
    )
    requests = leftover.deletions(left, plan.desired, spared)
    return ((Step("delete what was only disabled", tuple(requests)),),) if requests else ()
