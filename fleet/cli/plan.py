"""`fleet plan`: read the routers and show what a sync would change."""

from __future__ import annotations

from typing import Annotated

import typer

from ..offline import offline_plan, show_offline
from ..selection import select
from .context import parse_at
from .options import At, Json, Limit, Names, Only, Parallel, of
from .output import progress, result, result_json, show_report


def command(
    context: typer.Context,
    routers: Names = None,
    limit: Limit = None,
    only: Only = False,
    native: Annotated[bool, typer.Option("--native", help="Show the vendor's own commands.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Contact nothing: show what every router should hold.")] = False,
    at: At = None,
    parallel: Parallel = 20,
    as_json: Json = False,
) -> None:
    """Show what would change. Exits 0 if nothing would, 2 if something would."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    selection = select(fleet, routers or [], only=only, limit=limit)
    if offline:
        with fleet_context.open_state() as state:
            found = offline_plan(fleet, fleet_context.registry, state.facts(fleet.overlay.name), selection)
        if as_json:
            result_json(found.to_dict())
        else:
            result(show_offline(found))
        return
    emitting = progress(len(selection.names), quiet=as_json, verbose=fleet_context.verbose)
    with emitting as emit, fleet_context.controller(parallel=parallel, at=parse_at(at or [], fleet), emit=emit) as controller:
        report = controller.plan(controller.prepare(selection), native=native)
    if as_json:
        result_json(report.to_dict())
    else:
        hint = "apply it with `fleet sync`" if report.count("changes") else ""
        show_report(report, command_hint=hint)
    raise typer.Exit(report.exit_code())
