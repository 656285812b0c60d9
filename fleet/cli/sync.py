"""`fleet sync`: bring the routers to what the inventory says."""

from __future__ import annotations

import sys
import threading
from typing import Annotated

import typer

from ..errors import PlanRefused, UsageError
from ..events import Emit, Event
from ..report import FleetReport
from ..selection import select
from ..state import Owner, actor, inventory_commit
from ..sync import Sync
from .context import parse_at
from .options import At, Json, Limit, Names, Only, Parallel, PendingOk, of
from .output import progress, result_json, say, show_report

NO_GUARD = "there is no guard in this version: a change that cuts a router off does not undo itself"


def command(
    context: typer.Context,
    routers: Names = None,
    limit: Limit = None,
    only: Only = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for pipelines.")] = False,
    at: At = None,
    parallel: Parallel = 20,
    pending_ok: PendingOk = False,
    as_json: Json = False,
) -> None:
    """Apply what the inventory says. On a terminal the plan is shown and asked about first."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    selection = select(fleet, routers or [], only=only, limit=limit)
    ask = not yes and not as_json
    if ask and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "nobody to ask here: standard input is not a terminal", "review with `fleet plan`, then `fleet sync --yes`"
        )
    emitting = progress(len(selection.names), quiet=as_json, verbose=fleet_context.verbose)
    with (
        emitting as shown,
        fleet_context.controller(parallel=parallel, at=parse_at(at or [], fleet), emit=_warned_once(shown)) as controller,
    ):
        state = controller.state
        with state.lock(fleet.overlay.name, Owner.current("sync")) as lock:
            prepared = controller.prepare(selection)
            if ask:
                _review(controller.plan(prepared))
                # Minutes may have passed at the prompt; what runs is what the routers hold now.
                again = controller.prepare(selection)
                if controller.plan(again).fingerprint != controller.plan(prepared).fingerprint:
                    raise PlanRefused("the routers changed while you were reading", "look again with `fleet plan`")
                prepared = again
            run = state.begin_run(fleet.overlay.name, "sync", actor(), inventory_commit(fleet_context.folder), "")
            with run:
                report = Sync(controller, prepared, run, run.id, still_ours=lock.check).run()
                run.finish("done", report.exit_code())
    if as_json:
        result_json(report.to_dict())
    else:
        show_report(report)
    raise typer.Exit(report.exit_code(pending_ok=pending_ok))


def _warned_once(emit: Emit) -> Emit:
    """The same Emit that says, before the first write of a run, what this version cannot do."""
    warned = threading.Event()

    def warning(event: Event) -> None:
        if event.phase == "apply" and not warned.is_set():
            warned.set()
            emit(Event("", "plan", NO_GUARD))
        emit(event)

    return warning


def _review(report: FleetReport) -> None:
    """Show the plan and ask. Raises typer.Exit when there is nothing to do or the answer is no."""
    show_report(report)
    if not report.count("changes"):
        raise typer.Exit(report.exit_code())
    if not typer.confirm("Apply these changes?", err=True):
        say("nothing was written")
        raise typer.Exit(4)
