"""`fleet history`: who changed what, when, from which inventory commit."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from .options import Json, of
from .output import STYLE, add_row, result, result_json, say


def command(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Show one run step by step.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many runs.")] = 20,
    as_json: Json = False,
) -> None:
    """Show past runs, or every step of one."""
    fleet_context = of(context)
    overlay = fleet_context.fleet.overlay.name
    with fleet_context.open_state() as state:
        if run is not None:
            _steps(state.journal(run), run, as_json=as_json)
            return
        runs = state.history(overlay, limit=last)
    if as_json:
        result_json({"command": "history", "overlay": overlay, "runs": [entry.to_dict() for entry in runs]})
        return
    if not runs:
        say("no run yet; `fleet sync` makes the first")
        return
    table = Table("run", "when (UTC)", "command", "by", "inventory", "exit", "routers written", box=None, pad_edge=False)
    for entry in runs:
        add_row(
            table,
            entry.id,
            f"{entry.started:%Y-%m-%d %H:%M:%S}",
            entry.command,
            entry.actor,
            entry.inventory_commit,
            "unfinished" if entry.exit_code is None else str(entry.exit_code),
            ", ".join(entry.routers[:4]) + (f" and {len(entry.routers) - 4} more" if len(entry.routers) > 4 else ""),
        )
    result(table)


def _steps(entries, run: str, *, as_json: bool) -> None:  # type: ignore[no-untyped-def]
    if as_json:
        result_json({"command": "history", "run": run, "entries": [entry.to_dict() for entry in entries]})
        return
    for entry in entries:
        text = Text(f"{entry.at:%H:%M:%S.%f}"[:-3] + f"  {entry.router or '-':<16} {entry.phase:<9} ")
        text.append(entry.text, style=STYLE.get(entry.text, ""))
        result(text)
