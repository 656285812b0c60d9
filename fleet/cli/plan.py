"""`fleet plan`: read the routers and show what a sync would change."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .. import planfile
from ..errors import UsageError
from ..markdown import markdown
from ..model import Secret
from ..offline import offline_plan, show_offline
from ..report import FleetReport
from ..selection import select
from ..state import actor
from .context import parse_at
from .options import At, BackTo, Json, Limit, Names, Only, Parallel, of
from .output import progress, result, result_json, show_report


class Format(StrEnum):
    """How a plan is shown."""

    TEXT = "text"
    MARKDOWN = "markdown"


def command(
    context: typer.Context,
    routers: Names = None,
    limit: Limit = None,
    only: Only = False,
    native: Annotated[bool, typer.Option("--native", help="Show the vendor's own commands.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Contact nothing: show what every router should hold.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the plan, signed, for `fleet sync --plan FILE` within 24 hours.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="text, or markdown for merge requests.")] = Format.TEXT,
    back_to: BackTo = None,
    at: At = None,
    parallel: Parallel = 20,
    as_json: Json = False,
) -> None:
    """Show what would change. Exits 0 if nothing would, 2 if something would."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    selection = select(fleet, routers or [], only=only, limit=limit)
    if offline:
        if back_to is not None:
            raise UsageError("--offline shows what the inventory says, --back-to what a run confirmed", "use one of the two")
        with fleet_context.open_state() as state:
            found = offline_plan(fleet, fleet_context.registry, state.facts(fleet.overlay.name), selection)
        if as_json:
            result_json(found.to_dict())
        else:
            result(show_offline(found))
        return
    emitting = progress(len(selection.names), quiet=as_json, verbose=fleet_context.verbose)
    with emitting as emit, fleet_context.controller(parallel=parallel, at=parse_at(at or [], fleet), emit=emit) as controller:
        if back_to is not None:
            controller.go_back(back_to, selection)
        report = controller.plan(controller.prepare(selection), native=native)
        if out is not None:
            _write(out, report, controller.secret, routers or [], limit or "", only=only, back_to=back_to or "")
    if as_json:
        result_json(report.to_dict())
    elif format_ is Format.MARKDOWN:
        typer.echo(markdown(report), nl=False)
    else:
        which = f" --plan {out}" if out is not None else f" --back-to {back_to}" if back_to is not None else ""
        command_line = f"fleet sync{which}"
        hint = f"apply it with `{command_line}`" if report.count("changes") else ""
        show_report(report, command_hint=hint)
    raise typer.Exit(report.exit_code())


def _write(
    path: Path, report: FleetReport, secret: Secret | None, names: list[str], limit: str, *, only: bool, back_to: str
) -> None:
    if secret is None:
        raise UsageError(
            "a plan file is signed with the fleet secret, and this fleet has none yet",
            "make it with `fleet init`, or sync once",
        )
    plan = planfile.PlanFile(
        overlay=report.overlay,
        fingerprint=report.fingerprint,
        names=tuple(names),
        only=only,
        limit=limit,
        created=dt.datetime.now(dt.UTC).replace(microsecond=0),
        actor=actor(),
        shown=report.to_dict(),
        back_to=back_to,
    )
    planfile.write(path, plan, secret)
