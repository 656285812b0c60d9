"""Reading and writing simulated routers: round trips, bytes, seconds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from .clock import Timed, timed
from .farms import Traffic
from .network import PARALLEL, Network

LOGIN: Final = 1
"""Round trips of a RouterOS login; the TCP connection before it costs nothing on loopback."""


def bench_many(spokes: int, round_trip: float) -> dict[str, object]:
    """A MikroTik hub and spokes: first sync, reading all of them, a no-op sync."""
    with tempfile.TemporaryDirectory() as folder, Network("mikrotik", spokes, Path(folder), round_trip=round_trip) as network:
        first = timed(network.sync)
        network.reset()
        read = _best(network)
        seen = network.at_spoke()
        network.reset()
        noop = timed(network.sync)
        writes = network.writes()
    routers = spokes + 1
    bound = (LOGIN + 1) * round_trip * routers / PARALLEL
    return {
        "routers": routers,
        "parallel": PARALLEL,
        "round_trip_ms": round_trip * 1000,
        "first_sync_seconds": first.wall,
        "read_seconds": read.wall,
        "read_cpu_ms_per_router": read.cpu / routers * 1000,
        "read_round_trips_per_router": seen.round_trips,
        "bound_seconds": bound,
        "noop_sync_seconds": noop.wall,
        "noop_cpu_ms_per_router": noop.cpu / routers * 1000,
        "noop_writes": writes,
    }


def _best(network: Network) -> Timed[None]:
    """The quicker of two reads: the first pays for imports and for the first use of everything."""
    once = timed(network.read)
    network.reset()
    return min(once, timed(network.read), key=lambda timing: timing.wall)


def bench_hub(kind: str, spokes: int) -> dict[str, object]:
    """A hub of one driver: what a no-op costs it, and what one more spoke does."""
    with tempfile.TemporaryDirectory() as folder, Network(kind, spokes, Path(folder)) as network:
        late = network.spokes[-1]
        late.set_offline()
        network.sync()
        network.reset()
        network.sync()
        idle, idle_writes = network.at_hub(), network.writes()
        late.set_offline(False)
        network.reset()
        network.sync()
        busy, others = network.at_hub(), sum(spoke.traffic().writes for spoke in network.spokes[:-1])
    return {
        "spokes": spokes,
        "noop": _figures(idle),
        "noop_writes_anywhere": idle_writes,
        "one_more_spoke": _figures(busy),
        "writes_on_other_spokes": others,
    }


def bench_guard(kind: str) -> dict[str, object]:
    """What the guard costs a hub of one driver: one peer more, without and with it."""
    costs: dict[str, object] = {}
    for name, unguarded in (("unguarded", True), ("guarded", False)):
        with tempfile.TemporaryDirectory() as folder, Network(kind, 2, Path(folder)) as network:
            late = network.spokes[-1]
            late.set_offline()
            network.sync()
            late.set_offline(False)
            network.reset()
            took = timed(lambda: network.sync(unguarded=unguarded))  # noqa: B023 - called at once
            costs[name] = {**_figures(network.at_hub()), "seconds": took.wall}
    return costs


def _figures(traffic: Traffic) -> dict[str, int]:
    return {"round_trips": traffic.round_trips, "bytes_sent": traffic.sent, "bytes_received": traffic.received}
