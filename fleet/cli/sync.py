"""`fleet sync`: bring the routers to what the inventory says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import planfile
from ..errors import PlanRefused, UsageError
from ..safety import CONFIRM_WITHIN, Safety
from ..selection import Selection, select
from ..state import Owner, actor, inventory_commit
from ..sync import Sync
from .context import Context, parse_at
from .options import At, BackTo, Json, Limit, Names, Only, Parallel, PendingOk, of
from .output import progress, result_json, say, show_report


def command(
    context: typer.Context,
    routers: Names = None,
    limit: Limit = None,
    only: Only = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for pipelines.")] = False,
    at: At = None,
    parallel: Parallel = 20,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Run exactly what `fleet plan --out FILE` showed; refuses if anything moved.")
    ] = None,
    back_to: BackTo = None,
    confirm_within: Annotated[
        int, typer.Option("--confirm-within", help="Seconds after which a router undoes a change that was not confirmed.")
    ] = CONFIRM_WITHIN,
    unguarded: Annotated[
        bool, typer.Option("--unguarded", help="Arm no guard: a change that cuts a router off does not undo itself.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove as widely as the plan says.")] = False,
    canaries: Annotated[
        int, typer.Option("--canary", min=1, help="Routers of each driver, role and firmware that go first.")
    ] = 1,
    batch: Annotated[str, typer.Option("--batch", help="Routers written per wave after the canaries: 20, or 10%.")] = "10%",
    max_failures: Annotated[
        str, typer.Option("--max-failures", help="Failed routers after which no wave is begun: 3, or 5%.")
    ] = "5%",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that stopped, without the routers that failed in it.")
    ] = False,
    pending_ok: PendingOk = False,
    as_json: Json = False,
) -> None:
    """Apply what the inventory says. On a terminal the plan is shown and asked about first."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    reviewed = ""
    if plan_file is not None:
        selection, reviewed, back_to = _planned(fleet_context, plan_file, named=bool(routers or limit or only or back_to))
    else:
        selection = select(fleet, routers or [], only=only, limit=limit)
    safety = Safety(confirm_within, unguarded, force, canaries, batch, max_failures, resume)
    if not yes and not reviewed:
        reviewed = _review(fleet_context, selection, back_to, parallel, parse_at(at or [], fleet), as_json=as_json)
    emitting = progress(len(selection.names), quiet=as_json, verbose=fleet_context.verbose)
    with (
        emitting as shown,
        fleet_context.controller(parallel=parallel, at=parse_at(at or [], fleet), emit=shown) as controller,
    ):
        state = controller.state
        owner = Owner.current("sync")
        with state.lock(fleet.overlay.name, owner) as lock:
            if back_to:
                controller.go_back(back_to, selection)
            prepared = controller.prepare(selection)
            # Minutes may have passed at the prompt; what runs is what was read and agreed to.
            if reviewed and controller.plan(prepared).fingerprint != reviewed:
                moved = "the inventory or the routers moved since the plan was made"
                said = moved if plan_file is not None else "the routers changed while you were reading"
                raise PlanRefused(f"{said}; nothing was written", "look again with `fleet plan`")
            run = state.begin_run(fleet.overlay.name, "sync", actor(), inventory_commit(fleet_context.folder), reviewed)
            with run:
                report = Sync(controller, prepared, run, run.id, safety=safety, still_ours=lock.check, owner=owner).run()
                run.finish("done", report.exit_code())
    if as_json:
        result_json(report.to_dict(pending_ok=pending_ok))
    else:
        show_report(report)
    raise typer.Exit(report.exit_code(pending_ok=pending_ok))


def _planned(context: Context, path: Path, *, named: bool) -> tuple[Selection, str, str | None]:
    """Selection, fingerprint and the run to go back to of a plan file. Raises UsageError, PlanRefused."""
    if named:
        raise UsageError(
            "a plan file says itself which routers it is for", "leave the names, --limit, --only and --back-to away"
        )
    secret = context.secret()
    if secret is None:
        raise UsageError("a plan file is verified with the fleet secret, and there is none", "restore .fleet/secret")
    plan = planfile.read(path, context.fleet.overlay.name, secret)
    selection = select(context.fleet, plan.names, only=plan.only, limit=plan.limit or None)
    return selection, plan.fingerprint, plan.back_to or None


def _review(
    context: Context, selection: Selection, back_to: str | None, parallel: int, at: dict[str, str], *, as_json: bool
) -> str:
    """Show the plan and ask; the fingerprint of what was agreed to. No lock and no connection is held at the prompt.

    Nothing is asked when nothing would change. Raises typer.Exit when the answer is no, UsageError when nobody can answer.
    """
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = "--json never asks" if as_json else "nobody to ask here: standard input is not a terminal"
        raise UsageError(why, "review with `fleet plan`, then `fleet sync --yes`")
    with (
        progress(len(selection.names), quiet=False, verbose=context.verbose) as emit,
        context.controller(parallel=parallel, at=at, emit=emit) as controller,
    ):
        if back_to is not None:
            controller.go_back(back_to, selection)
        report = controller.plan(controller.prepare(selection))
    if report.count("changes"):
        show_report(report)
        if not typer.confirm("Apply these changes?", err=True):
            say("nothing was written")
            raise typer.Exit(4)
    return report.fingerprint
