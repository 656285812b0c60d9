"""What the figures mean: each beside what it is measured against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .farms import FARM

Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`figure` in `unit` beside `other`, which `against` names; None: not there. `wanted` says which quotient is good."""

    what: str
    figure: float
    unit: str
    against: str
    other: float | None
    wanted: str

    @property
    def ratio(self) -> float | None:
        """Figure by the other."""
        return self.figure / self.other if self.other else None

    def to_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {**asdict(self), "ratio": self.ratio}


def ratios(found: Found) -> list[Ratio]:
    """The table, from the figures of a run."""
    planning = found["planning"]
    rows = [
        Ratio(
            f"plan a mesh of {planning['mesh_routers']:,} and write its files",
            planning["mesh_with_files_cpu_seconds"],
            "s of processor",
            "wg-meshconf, the same mesh",
            planning["wg_meshconf_cpu_seconds"],
            "below 1",
        ),
        Ratio(
            f"plan a mesh of {planning['mesh_routers']:,}",
            planning["mesh_cpu_seconds"],
            "s of processor",
            "budget",
            5.0,
            "below 1",
        ),
        Ratio(
            f"plan a hub of {planning['hub_spokes']:,}", planning["hub_cpu_seconds"], "s of processor", "budget", 2.0, "below 1"
        ),
        Ratio("memory of both", planning["peak_memory_mib"], "MiB", "budget", 1024.0, "below 1"),
    ]
    for run in found["many"]:
        rows += _many(run)
    for kind, (small, large) in found["hubs"].items():
        rows += _hub(kind, small, large)
    rows += [_guard(kind, costs) for kind, costs in found["guards"].items()]
    for run in found["controllers"]:
        rows += _controller(run)
    return rows


def _guard(kind: str, costs: Found) -> Ratio:
    """Budget: four more than without."""
    return Ratio(
        f"one peer more under guard, {kind}",
        costs["guarded"]["round_trips"],
        FARM[kind].unit,
        "without a guard",
        costs["unguarded"]["round_trips"],
        f"at most {costs['unguarded']['round_trips'] + 4}",
    )


def _many(run: Found) -> list[Ratio]:
    what = f"{run['routers']} MikroTik at {run['round_trip_ms']:.0f} ms"
    rows = [Ratio(f"read {what}", run["read_cpu_ms_per_router"], "ms of processor each", "budget", 8.0, "below 1")]
    if run["bound_seconds"]:
        against = f"login and read, {run['parallel']} at once"
        rows.insert(0, Ratio(f"read {what}", run["read_seconds"], "s", against, run["bound_seconds"], "below 1.5"))
        rows.append(Ratio(f"no-op sync, {what}", run["noop_sync_seconds"], "s", against, run["bound_seconds"], "near 1"))
    return rows


def _controller(run: Found) -> list[Ratio]:
    """Budget: four requests a site and three for the controller, login apart; seconds are held by what it takes in one."""
    sites, rate = run["sites"], run["rate"]
    what = f"{run['driver']} controller of {sites} sites"
    rows = [Ratio(f"no-op, {what}", run["noop"]["requests"], "requests", "budget", 4.0 * sites + 3, "at most 1")]
    for name, words in (
        ("noop", "no-op"),
        ("one_site", "one site changed"),
        ("one_site_selected", "one site changed, selected"),
    ):
        found = run[name]
        against = f"{found['requests']:.0f} requests, {rate:.0f} a second"
        rows.append(Ratio(f"{words}, {what}", found["seconds"], "s", against, found["requests"] / rate, "near 1"))
    more = run["one_site"]["requests"] - run["noop"]["requests"]
    rows.append(Ratio(f"one site changed, {what}: more", more, "requests", "one site's share of it", None, "the same for any"))
    return rows


def _hub(kind: str, small: Found, large: Found) -> list[Ratio]:
    many, few = large["spokes"], small["spokes"]
    unit = FARM[kind].unit
    return [
        Ratio(f"no-op, {kind} hub of {many}", large["noop"]["round_trips"], unit, "budget", 1.0, "1"),
        Ratio(
            f"no-op, {kind} hub of {many}: sent",
            large["noop"]["bytes_sent"],
            "bytes",
            f"hub of {few}",
            small["noop"]["bytes_sent"],
            "near 1",
        ),
        Ratio(
            f"one spoke more, {kind} hub of {many}",
            large["one_more_spoke"]["round_trips"],
            unit,
            f"hub of {few}",
            small["one_more_spoke"]["round_trips"],
            "1",
        ),
        Ratio(
            f"one spoke more, {kind} hub of {many}: sent",
            large["one_more_spoke"]["bytes_sent"],
            "bytes",
            f"hub of {few}",
            small["one_more_spoke"]["bytes_sent"],
            "near 1",
        ),
    ]
