"""Offline planning: a full mesh and a hub, computed by the pure core, beside wg-meshconf."""

from __future__ import annotations

import csv
import ipaddress
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ... import keys, overlay
from ...control import symbol
from ...model import Endpoint, Fact, Fleet, Overlay, Router
from ...wgconf import render_wg_quick
from .clock import timed

MESHCONF_COLUMNS = [
    *("Name", "Address", "Endpoint", "AllowedIPs", "ListenPort", "PersistentKeepalive", "FwMark", "PrivateKey", "DNS"),
    *("MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig"),
]


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


def plan_all(fleet: Fleet, *, folder: Path | None = None) -> int:
    """Every router's desired state, as wg-quick files if a folder is given; the number of peers."""
    facts = {name: Fact(symbol(name)) for name in fleet.routers}
    desired = overlay.desired_state(fleet, facts, overlay.allocate(fleet, facts), {})
    peers = 0
    for name in fleet.routers:
        for interface in desired.configuration(name).values():
            peers += len(interface.peers)
            if folder is not None:
                (folder / f"{name}.conf").write_text(render_wg_quick(interface, (), preshared=False))
    return peers


def wg_meshconf(count: int, folder: Path) -> float | None:
    """Processor seconds that wg-meshconf takes to write the same mesh; None if not installed. Raises SystemExit if it fails."""
    program = shutil.which("wg-meshconf", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        return None
    database = folder / "mesh.csv"
    with database.open("w", newline="") as file:
        writer = csv.DictWriter(file, MESHCONF_COLUMNS, restval="")
        writer.writeheader()
        for router in mesh(count).routers.values():
            assert router.endpoint is not None
            address = ipaddress.IPv4Address("10.0.0.1") + int(router.name[1:])
            writer.writerow(
                {
                    "Name": router.name,
                    "Address": f"{address}/16",
                    "Endpoint": router.endpoint.host,
                    "AllowedIPs": str(router.lans[0]),
                    "ListenPort": "51820",
                    "PrivateKey": keys.new_private_key().reveal(),
                }
            )
    command = [program, "-d", str(database), "genconfig", "-o", str(folder / "out")]
    before = _children()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"wg-meshconf failed: {done.stderr.strip().splitlines()[-1:]}")
    return _children() - before


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bench_planning(mesh_size: int, star_size: int) -> dict[str, object]:
    """Figures of both: processor seconds, because somebody else may use the machine too, and MiB."""
    full, hub_and_spokes = mesh(mesh_size), star(star_size)
    planned = timed(lambda: plan_all(full))
    hub = timed(lambda: plan_all(hub_and_spokes))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ours").mkdir()
        files = timed(lambda: plan_all(full, folder=folder / "ours"))
        other = wg_meshconf(mesh_size, folder)
    return {
        "mesh_routers": mesh_size,
        "mesh_peers": planned.value,
        "mesh_cpu_seconds": planned.cpu,
        "mesh_with_files_cpu_seconds": files.cpu,
        "wg_meshconf_cpu_seconds": other,
        "hub_spokes": star_size,
        "hub_peers": hub.value,
        "hub_cpu_seconds": hub.cpu,
        "peak_memory_mib": memory,
    }
