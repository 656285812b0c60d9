"""`python -m fleet.testing.bench`."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .controllers import bench_controller
from .farms import FARM
from .planning import bench_planning
from .ratios import Ratio, ratios
from .talking import bench_guard, bench_hub, bench_many

SIZES = {"mesh": 1000, "star": 10_000, "many": 200, "small": 20, "hub": 100, "sites": 50}
QUICK = {"mesh": 100, "star": 500, "many": 20, "small": 2, "hub": 10, "sites": 5}
ROUND_TRIPS = (0.0, 0.05)


def measure(sizes: dict[str, int], say: Console) -> dict[str, Any]:
    """Every figure, as bench.json has them."""
    say.print("planning ...", style="dim")
    found: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "planning": bench_planning(sizes["mesh"], sizes["star"]),
        "many": [],
        "hubs": {},
        "guards": {},
        "controllers": [],
    }
    for round_trip in ROUND_TRIPS:
        say.print(f"{sizes['many']} routers at {round_trip * 1000:.0f} ms ...", style="dim")
        found["many"].append(bench_many(sizes["many"] - 1, round_trip))
    for kind in FARM:
        say.print(f"a {kind} hub ...", style="dim")
        found["hubs"][kind] = [bench_hub(kind, sizes["small"]), bench_hub(kind, sizes["hub"])]
        found["guards"][kind] = bench_guard(kind)
    say.print(f"a controller of {sizes['sites']} sites ...", style="dim")
    found["controllers"].append(bench_controller(sizes["sites"]))
    found["ratios"] = [row.to_dict() for row in ratios(found)]
    return found


def table(rows: list[Ratio]) -> Table:
    """The ratios, for people."""
    shown = Table("what", "figure", "against", "", "ratio", "wanted", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in (1, 3, 4):
        shown.columns[column].justify = "right"
    for row in rows:
        other = "not installed" if row.other is None else _number(row.other)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        shown.add_row(row.what, f"{_number(row.figure)} {row.unit}", row.against, other, ratio, row.wanted)
    return shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def main() -> None:
    """Run all of it; `--quick` for small sizes."""
    parser = argparse.ArgumentParser(
        prog="python -m fleet.testing.bench", description="What planning, reading and writing cost."
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds instead of minutes")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    found = measure(QUICK if options.quick else SIZES, Console(stderr=True, highlight=False))
    options.json.write_text(json.dumps(found, indent=2) + "\n")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(table(ratios(found)))
    machine = found["machine"]
    console.print(f"\n{found['date']}, {machine['cores']} cores, Python {machine['python']}; all figures are in {options.json}")


if __name__ == "__main__":
    main()
