"""`fleet drivers`: what is installed, what each can do, and what does not load."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from .context import Context
from .output import add_row, result, result_json, say


def command(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List installed drivers, where they come from, and plugins that do not load."""
    registry = context.find_object(Context).registry  # type: ignore[union-attr]  # set by the root callback
    rows = [
        {
            "name": name,
            "transport": driver.transport or "none",
            "origin": registry.origins[name],
            "unit": driver.limits.unit,
            "routes": driver.limits.routes,
            "makes_keys": driver.limits.makes_keys,
            "jump": driver.jump,
        }
        for name, driver in sorted(registry.drivers.items())
    ]
    if as_json:
        result_json({"drivers": rows, "broken": registry.broken})
        return
    table = Table("driver", "transport", "writes by", "routes", "makes its key", "jump", "from", box=None, pad_edge=False)
    for row in rows:
        add_row(
            table,
            str(row["name"]),
            str(row["transport"]),
            str(row["unit"]),
            str(row["routes"]),
            "yes" if row["makes_keys"] else "no",
            "yes" if row["jump"] else "no",
            str(row["origin"]),
        )
    result(table)
    for plugin, why in registry.broken.items():
        say(f"plugin {plugin} did not load: {why}")
