"""Mistakes that cut a router off, each on a network of its own, and a watch that tells how long the router took to undo it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .measure import eventually, reaches
from .net import Node
from .product import Noc, Run
from .router import LabRouter
from .topology import Branch, Hub, Topology, build

WINDOW_SECONDS = 20
HUB_ADDRESS, BRANCH_ADDRESS = "10.100.0.1", "10.100.0.11"
ADDRESSES: Mapping[str, Mapping[str, Any]] = {"hq": {"address": HUB_ADDRESS}, "branch-1": {"address": BRANCH_ADDRESS}}

STATE = """
wg show wg0 dump | cut -f 1-4,8 | sed "s/([0-9]*)//" ; wg show wg0 listen-port
ip -o address show dev wg0 | grep -w inet; ip route; nft -s list ruleset | grep fleet: ; cat /etc/wireguard/wg0.conf
"""
"""What runs and what is saved, without what moves by itself. Learned endpoints are left out on hubs, see `Watch`."""


def answers(source: Node, address: str, port: int = 22) -> bool:
    """True if SSH says its banner to a new connection within a second."""
    script = f"exec 3<>/dev/tcp/{address}/{port}; read -r -t 1 banner <&3; [[ $banner == SSH-* ]]"
    return source.run("timeout", "1", "bash", "-c", script, check=False).returncode == 0


@dataclass
class Recovery:
    """Seconds: `undone` from the first sign of a change on the router until it was as before, `cut` that the NOC was out."""

    undone: float | None = None
    cut: float = 0.0


class Watch:
    """Looks at a router and at its management several times a second while the block runs."""

    def __init__(self, topology: Topology, router: LabRouter) -> None:
        self.recovery = Recovery()
        self._topology = topology
        self._router = router
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def state(self) -> str:
        """The router now. A hub learns its peers' endpoints, so there the third column says nothing."""
        shown = self._router.sh(STATE, check=False)
        if self._router is not self._topology.hub.router:
            return shown
        return "\n".join("\t".join(line.split("\t")[:2] + line.split("\t")[3:]) for line in shown.splitlines())

    def managed(self) -> bool:
        """True if new connections get through to hub and branch."""
        return answers(self._topology.noc, self._topology.hub.address) and answers(self._topology.hub.router, BRANCH_ADDRESS)

    def _watch(self) -> None:
        before, changed, lost = self.state(), None, None
        while not self._over.is_set():
            same, now = self.state() == before, time.monotonic()
            if not same:
                changed, self.recovery.undone = changed or now, None
            elif changed is not None and self.recovery.undone is None:
                self.recovery.undone = now - changed
            managed, now = self.managed(), time.monotonic()
            if managed and lost is not None:
                self.recovery.cut, lost = self.recovery.cut + now - lost, None
            elif not managed:
                lost = lost or now
            self._over.wait(0.1)
        if lost is not None:
            self.recovery.cut += time.monotonic() - lost

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@dataclass
class Scene:
    """A shipped network of one hub and one branch that is managed through its tunnel, in sync."""

    topology: Topology
    noc: Noc

    @property
    def hub(self) -> Hub:
        """The hub."""
        return self.topology.hub

    @property
    def branch(self) -> Branch:
        """The only branch."""
        return self.topology.branches[0]

    def want(self, routers: Mapping[str, Mapping[str, Any]], overlay: Mapping[str, Any] | None = None) -> None:
        """Write the inventory with these keys over the addresses of the drills."""
        names = {*ADDRESSES, *routers}
        self.noc.routers = {name: {**ADDRESSES.get(name, {}), **routers.get(name, {})} for name in names}
        self.noc.overlay = dict(overlay or {})
        self.noc.write()

    def heals(self, within: float = 30) -> bool:
        """True once the two LANs reach each other."""
        return eventually(lambda: reaches(self.branch.host, self.hub.host_address), within=within) is not None


def _nothing(scene: Scene) -> None:
    """Nothing is planted, or nothing to take away."""


@dataclass(frozen=True)
class Mistake:
    """What the inventory says wrongly and on whom it falls; `right` is what it says before, `plant` what the field adds."""

    victim: str
    wrong: Mapping[str, Mapping[str, Any]]
    right: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plant: Callable[[Scene], None] = _nothing
    clear: Callable[[Scene], None] = _nothing
    arguments: tuple[str, ...] = ()


@dataclass
class Drill:
    """What became of one mistake. `plan` is what fleet shows when the inventory is right again."""

    run: Run
    recovery: Recovery
    healed: bool
    plan: Run
    seconds: float


def drill(folder: Path, mistake: Mistake) -> Drill:
    """Build a network, make the mistake, watch, put the inventory right, look."""
    began = time.monotonic()
    with build(folder, branches=1) as topology:
        scene = Scene(topology, Noc(topology, folder / "noc"))
        scene.noc.jumps = {
            "bastion": {"host": scene.hub.address, "username": "root", "ssh_key": f"file:{topology.client.path}"}
        }
        scene.want(mistake.right)
        first = scene.noc.sync()
        assert first.code == 0, first.said
        topology.ship()
        assert scene.heals()
        mistake.plant(scene)
        scene.want(mistake.wrong)
        victim = next(site.router for site in topology.sites if site.name == mistake.victim)
        with Watch(topology, victim) as watch:
            window = ("--confirm-within", str(WINDOW_SECONDS))
            run = scene.noc.fleet("sync", "--yes", "--json", *window, *mistake.arguments)
            mistake.clear(scene)
            healed = scene.heals() and eventually(lambda: watch.recovery.undone is not None, within=5) is not None
        scene.want(mistake.right)
        return Drill(run, watch.recovery, healed, scene.noc.fleet("plan", "--json"), time.monotonic() - began)
