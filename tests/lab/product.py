"""fleet as NOC staff use it: the installed command, run on the NOC's host, against the routers of the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .handmade import PORT
from .measure import public_key, reaches
from .net import everywhere
from .topology import ENDPOINT, Branch, Site, Topology

FLEET = Path(sys.executable).with_name("fleet")


@dataclass(frozen=True)
class Run:
    """One command line's end: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that was printed, for the message of a failed assertion."""
        return f"exit {self.code}\n{self.out}\n{self.err}"

    def json(self) -> dict[str, Any]:
        """The result of a `--json` run."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed

    def router(self, name: str) -> dict[str, Any]:
        """What a `--json` run says about one router."""
        return next(router for router in self.json()["routers"] if router["router"] == name)

    def outcomes(self) -> dict[str, str]:
        """Outcome by router name of a `--json` run."""
        return {router["router"]: router["outcome"] for router in self.json()["routers"]}


@dataclass
class Noc:
    """The NOC's working folder with inventory, fleet secret and state."""

    topology: Topology
    folder: Path
    overlay: dict[str, Any] = field(default_factory=dict)
    routers: dict[str, dict[str, Any]] = field(default_factory=dict)
    jumps: dict[str, dict[str, Any]] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write()

    @property
    def inventory(self) -> Path:
        """The inventory file."""
        return self.folder / "fleet.yaml"

    def write(self) -> None:
        """Write the inventory of the lab but `without`, with `overlay` and `routers` merged over it; JSON is YAML."""
        routers = {site.name: self._router(site) for site in self.topology.sites if site.name not in self.without}
        document = {
            "overlay": {"name": "acme", "ipv4": "10.100.0.0/20", "lan_supernets": ["192.168.0.0/16"], **self.overlay},
            "defaults": {"driver": "wg-quick", "username": "root", "ssh_key": f"file:{self.topology.client.path}"},
            "jumps": self.jumps,
            "routers": {name: router | self.routers.get(name, {}) for name, router in routers.items()},
        }
        self.inventory.write_text(json.dumps(document, indent=1))

    def _router(self, site: Site) -> dict[str, Any]:
        if isinstance(site, Branch):
            return {"role": "spoke", "via": self.topology.hub.name, "lans": [site.lan]}
        endpoint = f"{ENDPOINT}:{PORT}" if site is self.topology.hub else f"{self.address_of(site)}:{PORT}"
        return {"role": "hub", "host": self.address_of(site), "endpoint": endpoint, "lans": [site.lan]}

    def address_of(self, hub: Site) -> str:
        """The public address of a hub."""
        return next(one.address for one in self.topology.hubs if one.name == hub.name)

    def bench(self) -> list[str]:
        """`--at` options for every branch that is on the bench and in the inventory."""
        cables = self.topology.lab.cables
        on = [branch for branch in self.topology.branches if branch.bench in cables and branch.name not in self.without]
        return [word for branch in on for word in ("--at", f"{branch.name}={branch.bench_address}")]

    def command(self, *arguments: str) -> list[str]:
        """The command line on the NOC's host."""
        return self.topology.noc.inside(str(FLEET), "-i", str(self.inventory), *arguments)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean one: nothing of the host's own SSH agent, known hosts or fleet settings."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "FLEET_ACTOR": "noc@lab", "NO_COLOR": "1"} | dict(
            extra or {}
        )

    def fleet(self, *arguments: str, extra: Mapping[str, str] | None = None, timeout: float = 240) -> Run:
        """Run `fleet` and wait."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(extra),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.folder,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def _begin(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def killed(self, *arguments: str) -> Iterator[None]:
        """`fleet` runs while the block does, and is killed without warning at its end."""
        with self._begin(arguments) as process:
            try:
                yield
            finally:
                process.kill()

    @contextmanager
    def meanwhile(self, *arguments: str) -> Iterator[Callable[[], Run]]:
        """`fleet` runs while the block does; what is yielded waits for its end. A run not waited for is killed."""
        with self._begin(arguments) as process:
            try:
                yield lambda: self._end(process)
            finally:
                process.kill()

    def _end(self, process: subprocess.Popen[str]) -> Run:
        out, err = process.communicate(timeout=240)
        return Run(process.returncode, out, err)

    def sync(self, *arguments: str) -> Run:
        """`fleet sync --yes`, with `--at` for what is on the bench."""
        return self.fleet("sync", "--yes", *self.bench(), *arguments)


def keys(topology: Topology) -> dict[str, str]:
    """Public keys of all routers by name."""
    return dict(zip((site.name for site in topology.sites), everywhere(_key, topology.sites), strict=True))


def _key(site: Site) -> str:
    return public_key(site.router)


def unreachable_lans(topology: Topology, pairs: Sequence[tuple[Site, Site]] | None = None) -> list[str]:
    """Pairs of LANs (default all) between whose hosts no ping comes back."""
    asked = pairs or [(one, other) for one in topology.sites for other in topology.sites if one is not other]
    answers = everywhere(lambda pair: reaches(pair[0].host, pair[1].host_address), asked)
    return [f"{one.name} -> {other.name}" for (one, other), answered in zip(asked, answers, strict=True) if not answered]


class ProcessWatch:
    """Every command line and environment seen on NOC and routers while the block runs, sampled without pause."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for part in ("cmdline", "environ"):
                    try:
                        self.seen.add((process / part).read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
                    except OSError:
                        continue
            time.sleep(0.002)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
