"""`fleet status`: which tunnels live, from one read of the hubs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..control import Survey
from ..status import RouterStatus, exit_code, status
from .context import parse_at
from .options import At, Json, Parallel, PendingOk, of
from .output import add_row, progress, result, result_json

TUNNEL_STYLE = {"alive": "green", "stale": "yellow", "never": "yellow", "down": "bold red", "unread": "bold red"}


def command(
    context: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Ask every router, not only the hubs.")] = False,
    at: At = None,
    parallel: Parallel = 20,
    pending_ok: PendingOk = False,
    as_json: Json = False,
) -> None:
    """Show handshakes, learned endpoints and bytes. One read of the hubs tells about all spokes."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    hubs = [hub.name for hub in fleet.hubs]
    names = [router.name for router in fleet.enabled] if deep or not hubs else hubs
    emitting = progress(len(names), quiet=as_json, verbose=fleet_context.verbose)
    with (
        emitting as emit,
        fleet_context.controller(parallel=parallel, at=parse_at(at or [], fleet), emit=emit) as controller,
    ):
        survey: Survey = controller.survey(names)
        facts = controller.facts(survey)
    errors = {name: error.summary for name, error in survey.errors.items()}
    rows = status(fleet, facts, survey.observed(), errors)
    if as_json:
        result_json({"command": "status", "overlay": fleet.overlay.name, "routers": [row.to_dict() for row in rows]})
    else:
        result(_table(rows))
        for name, error in survey.errors.items():
            result(Text(f"{name}: {error.summary.removeprefix(f'{name}: ')}\n  {error.hint}", style="yellow"))
    code = exit_code(rows, survey.errors.values())
    raise typer.Exit(0 if code == 6 and pending_ok else code)


def _table(rows: list[RouterStatus]) -> Table:
    table = Table(
        "router",
        "role",
        "address",
        "tunnel",
        "handshake",
        "endpoint",
        "received",
        "sent",
        "seen from",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        add_row(
            table,
            row.router,
            row.role,
            row.address,
            Text(row.tunnel, style=TUNNEL_STYLE.get(row.tunnel, "dim")),
            ago(row.handshake_age),
            row.endpoint,
            size(row.received),
            size(row.sent),
            row.seen_from,
        )
    return table


def ago(seconds: float | None) -> str:
    """`12 s`, `4 min`, `3 h`, `2 d` ago; empty for never."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def size(count: int) -> str:
    """Bytes in the unit that people read."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
