"""`make bench`: what planning, reading and writing cost. Prints ratios, writes bench.json, asserts nothing.

Planning is measured beside wg-meshconf making the same mesh in the same run; talking is measured on simulated MikroTik
routers on loopback, whose own work is in the same process and therefore in the figures.
"""

from __future__ import annotations

import argparse
import csv
import ipaddress
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from .. import keys, overlay, plugins
from ..control import Controller, symbol
from ..inventory import load_text
from ..model import Endpoint, Fact, Fleet, Overlay, Router, Secret
from ..reach import Reach
from ..runner import LocalRunner
from ..secrets import Resolver
from ..selection import select
from ..state import open_state
from ..sync import Sync
from ..wgconf import render_wg_quick
from .ether import Ether
from .routeros import Latency, RouterosSimulator

T = TypeVar("T")
PASSWORD = "bench-password"
PARALLEL = 50


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds and result."""
    began = time.perf_counter()
    value = work()
    return time.perf_counter() - began, value


# ------------------------------------------------------------------------------------------------------ planning
def mesh(count: int) -> Fleet:
    """A full mesh in which every router has an endpoint and a LAN."""
    routers = {
        f"r{n}": Router(
            f"r{n}",
            "wg-quick",
            endpoint=Endpoint(str(ipaddress.IPv4Address("198.18.0.1") + n), 51820),
            lans=(ipaddress.IPv4Network((int(ipaddress.IPv4Address("172.16.0.0")) + n * 256, 24)),),
        )
        for n in range(count)
    }
    return Fleet(Overlay("bench", ipv4=ipaddress.IPv4Network("10.0.0.0/16"), topology="full-mesh"), routers)


def star(count: int) -> Fleet:
    """One hub and `count` spokes that only dial, each with a LAN."""
    routers = {"hub": Router("hub", "wg-quick", "hub", endpoint=Endpoint("192.0.2.1", 51820))}
    for n in range(count):
        lan = ipaddress.IPv4Network((int(ipaddress.IPv4Address("172.16.0.0")) + n * 64, 26))
        routers[f"s{n}"] = Router(f"s{n}", "wg-quick", lans=(lan,))
    supernets = (ipaddress.ip_network("172.16.0.0/12"),)
    return Fleet(Overlay("bench", ipv4=ipaddress.IPv4Network("10.0.0.0/16"), lan_supernets=supernets), routers)


def plan_all(fleet: Fleet, *, render: bool = False) -> int:
    """Compute every router's desired state (and its wg-quick text); the number of peers."""
    facts = {name: Fact(symbol(name)) for name in fleet.routers}
    desired = overlay.desired_state(fleet, facts, overlay.allocate(fleet, facts), {})
    peers = 0
    for name in fleet.routers:
        for interface in desired.configuration(name).values():
            peers += len(interface.peers)
            if render:
                render_wg_quick(interface, (), preshared=False)
    return peers


def wg_meshconf(count: int, folder: Path) -> float | None:
    """Seconds that wg-meshconf takes to write the same mesh; None if it is not installed."""
    program = shutil.which("wg-meshconf", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        return None
    database = folder / "mesh.csv"
    columns = [
        *("Name", "Address", "Endpoint", "AllowedIPs", "ListenPort", "PersistentKeepalive", "FwMark", "PrivateKey", "DNS"),
        *("MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"),
    ]
    with database.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for router in mesh(count).routers.values():
            assert router.endpoint is not None
            row = dict.fromkeys(columns, "")
            row |= {
                "Name": router.name,
                "Address": str(ipaddress.IPv4Address("10.0.0.1") + int(router.name[1:])) + "/16",
                "Endpoint": router.endpoint.host,
                "AllowedIPs": str(router.lans[0]),
                "ListenPort": "51820",
                "PrivateKey": keys.new_private_key().reveal(),
            }
            writer.writerow(row)
    command = [program, "-d", str(database), "genconfig", "-o", str(folder / "out")]
    seconds, done = timed(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    if done.returncode:
        raise SystemExit(f"wg-meshconf failed: {done.stderr.strip().splitlines()[-1:]}")
    return seconds


def bench_planning(mesh_size: int, star_size: int) -> dict[str, object]:
    """Offline planning of a mesh and of a hub, the mesh beside wg-meshconf."""
    seconds, peers = timed(lambda: plan_all(mesh(mesh_size)))
    with_text, _ = timed(lambda: plan_all(mesh(mesh_size), render=True))
    star_seconds, star_peers = timed(lambda: plan_all(star(star_size)))
    with tempfile.TemporaryDirectory() as folder:
        other = wg_meshconf(mesh_size, Path(folder))
    return {
        "mesh_routers": mesh_size,
        "mesh_peers": peers,
        "mesh_seconds": seconds,
        "mesh_with_files_seconds": with_text,
        "wg_meshconf_seconds": other,
        "ratio_to_wg_meshconf": other / with_text if other else None,
        "hub_spokes": star_size,
        "hub_peers": star_peers,
        "hub_seconds": star_seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


# ------------------------------------------------------------------------------------------------------- talking
@contextmanager
def simulated(
    count: int, folder: Path, round_trip: float
) -> Iterator[tuple[Fleet, list[RouterosSimulator], Callable[[], Controller]]]:
    """A hub and spokes, all simulated MikroTik routers with this round-trip time in seconds."""
    ether = Ether()
    routers = []
    lines = ["overlay: {name: bench, ipv4: 10.0.0.0/16, lan_supernets: [172.16.0.0/12]}", "routers:"]
    for n in range(count):
        lan = ipaddress.IPv4Network((int(ipaddress.IPv4Address("172.16.0.0")) + n * 256, 24))
        router = RouterosSimulator(
            f"r{n}",
            users={"fleet": (PASSWORD, "full")},
            ether=ether,
            public_hosts=("192.0.2.1",) if n == 0 else (),
            lan=f"{lan[1]}/24",
        )
        router.latency = Latency(round_trip)
        host, port = router.start()
        role = "role: hub, endpoint: '192.0.2.1:51820', " if n == 0 else ""
        lines.append(
            f"  r{n}: {{driver: mikrotik, {role}host: {host}, port: {port}, lans: [{lan}], username: fleet, "
            "password: 'env:BENCH_PASSWORD', options: {tls: false}}"
        )
        routers.append(router)
    registry = plugins.load({"FLEET_PLUGINS": ""})
    fleet = load_text("\n".join(lines), registry.drivers, folder=str(folder))
    resolver = Resolver(folder, environ={"BENCH_PASSWORD": PASSWORD})
    with open_state(folder / f"state-{round_trip}.db") as state:
        reaches: list[Reach] = []

        def controller() -> Controller:
            reach = Reach(fleet, registry=registry, state=state, resolver=resolver)
            reaches.append(reach)
            return Controller(fleet, state=state, reach=reach, runner=LocalRunner(PARALLEL), secret=Secret("bench"))

        try:
            yield fleet, routers, controller
        finally:
            for reach in reaches:
                reach.close()
            for router in routers:
                router.stop()


class _Forgetful:
    """A journal for measuring: what it costs is SQLite's business."""

    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Forget it."""


def sync(fleet: Fleet, controller: Controller) -> None:
    """One whole sync."""
    Sync(controller, controller.prepare(select(fleet)), _Forgetful(), "bench").run()


def bench_talking(count: int, round_trip: float, folder: Path) -> dict[str, object]:
    """First sync, no-op sync and one changed peer over `count` routers."""
    with simulated(count, folder, round_trip) as (fleet, routers, controller):
        first, _ = timed(lambda: sync(fleet, controller()))
        for router in routers:
            router.counters.reset()
        noop, _ = timed(lambda: sync(fleet, controller()))
        counted = [router.counters for router in routers]
        spoke = counted[-1]
        result: dict[str, object] = {
            "routers": count,
            "round_trip_ms": round_trip * 1000,
            "first_sync_seconds": first,
            "noop_seconds": noop,
            "noop_round_trips_per_router": spoke.round_trips,
            "noop_commands_per_router": spoke.commands,
            "noop_bytes_per_router": spoke.bytes_in + spoke.bytes_out,
            "noop_writes": sum(counter.writes for counter in counted),
        }
        bound = (spoke.round_trips + 2) * round_trip * max(1, count / PARALLEL)  # 2: TCP and login
        result["noop_over_bound"] = noop / bound if bound else None
        peers = routers[0].rows("/interface/wireguard/peers")
        routers[0].delete("/interface/wireguard/peers", peers[0][".id"])
        for router in routers:
            router.counters.reset()
        heal, _ = timed(lambda: sync(fleet, controller()))
        result |= {
            "one_peer_seconds": heal,
            "one_peer_round_trips_on_hub": routers[0].counters.round_trips,
            "one_peer_writes": sum(router.counters.writes for router in routers),
        }
        return result


def show(found: dict[str, dict[str, object]]) -> None:
    """The figures as a table on standard output."""
    table = Table("what", "figure", box=None, pad_edge=False)
    for group, figures in found.items():
        for name, value in figures.items():
            shown = f"{value:.3g}" if isinstance(value, float) else "not installed" if value is None else str(value)
            table.add_row(f"{group}: {name.replace('_', ' ')}", shown)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    """Run all benchmarks; `--quick` for small sizes."""
    parser = argparse.ArgumentParser(description="What planning, reading and writing cost.")
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds instead of minutes")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    options = parser.parse_args()
    sizes = (100, 500, 20) if options.quick else (1000, 10000, 200)
    found = {"planning": bench_planning(sizes[0], sizes[1])}
    with tempfile.TemporaryDirectory() as folder:
        for round_trip in (0.0, 0.05):
            found[f"mikrotik at {round_trip * 1000:.0f} ms"] = bench_talking(sizes[2], round_trip, Path(folder))
    show(found)
    options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
