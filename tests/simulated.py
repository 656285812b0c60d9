"""A fleet of simulated RouterOS routers on one ether, its inventory in a folder, and the command line run against it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fleet.cli
from fleet.state import State, open_state
from fleet.testing.ether import Ether
from fleet.testing.routeros import RouterosSimulator

# Tests that run in the background of a shell inherit that Ctrl-C is ignored: not so the command.
_MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fleet.cli import main; main()"
FLEET = (sys.executable, "-W", "error", "-c", _MAIN)
PASSWORD = "pass-word-of-the-management-account"


@dataclass(frozen=True)
class Result:
    """What a command line left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def said(self) -> str:
        return self.out + self.err

    def router(self, name: str) -> Any:
        """One router's part of a JSON report."""
        return next(router for router in self.json["routers"] if router["router"] == name)

    def outcomes(self) -> dict[str, str]:
        return {router["router"]: router["outcome"] for router in self.json["routers"]}

    def block(self, name: str) -> list[str]:
        """The lines of a text report that are about one router."""
        lines = self.out.splitlines()
        begin = next(number for number, line in enumerate(lines) if line.split()[:1] == [name])
        end = next((n for n in range(begin + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
        return lines[begin:end]


class SimulatedFleet:
    """Routers, their inventory as plain mappings by section, and where it is written."""

    def __init__(self, folder: Path, **overlay: object) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ether = Ether(recovery=0.0)
        self.simulators: dict[str, RouterosSimulator] = {}
        self.overlay: dict[str, object] = {
            "name": "acme",
            "ipv4": "10.100.0.0/20",
            "lan_supernets": ["192.168.0.0/16"],
            **overlay,
        }
        self.defaults: dict[str, object] = {"username": "fleet", "password": "env:FLEET_TEST_PASSWORD"}
        self.groups: dict[str, object] = {}
        self.jumps: dict[str, object] = {}
        self.routers: dict[str, dict[str, object]] = {}
        self.environ: dict[str, str] = {"FLEET_TEST_PASSWORD": PASSWORD, "FLEET_PLUGINS": "", "FLEET_ACTOR": "noc@desk"}

    # ---------------------------------------------------------------------------------------------------- routers
    def add(
        self, name: str, number: int, *, hub: bool = False, host: str = "", tls: Any = None, **sim: Any
    ) -> RouterosSimulator:
        """A router with LAN 192.168.NUMBER.0/24; `host` is the name under which its UDP port is reached."""
        host = host or ("vpn.example.com" if hub else "")
        simulator = RouterosSimulator(
            name,
            sim.pop("version", "7.16.2"),
            users={"fleet": (PASSWORD, "full")},
            ether=self.ether,
            public_hosts=(host,) if host else (),
            lan=f"192.168.{number}.1/24",
            tls=tls,
            **sim,
        )
        address, port = simulator.start()
        self.simulators[name] = simulator
        self.routers[name] = {
            "driver": "mikrotik",
            "host": address,
            "port": port,
            "lans": [f"192.168.{number}.0/24"],
            "options": {"tls": bool(tls)},
        }
        if hub:
            self.routers[name]["role"] = "hub"
        if host:
            self.routers[name]["endpoint"] = f"{host}:51820"
        return simulator

    def __getitem__(self, name: str) -> RouterosSimulator:
        return self.simulators[name]

    def close(self) -> None:
        for simulator in self.simulators.values():
            simulator.stop()

    def peers(self, name: str) -> dict[str, dict[str, str]]:
        """Peers of a router by comment."""
        return {row.get("comment", ""): row for row in self[name].rows("/interface/wireguard/peers")}

    def interface(self, name: str) -> dict[str, str]:
        """The one WireGuard interface of a router."""
        (row,) = self[name].rows("/interface/wireguard")
        return row

    def writes(self) -> dict[str, int]:
        return {name: simulator.counters.writes for name, simulator in self.simulators.items()}

    def reset_counters(self) -> None:
        for simulator in self.simulators.values():
            simulator.counters.reset()
            simulator.log.clear()

    def snapshots(self) -> dict[str, Any]:
        return {name: simulator.snapshot() for name, simulator in self.simulators.items()}

    # -------------------------------------------------------------------------------------------------- inventory
    @property
    def inventory(self) -> Path:
        return self.folder / "acme.yaml"

    def write(self) -> None:
        """One line a section: JSON is YAML."""
        sections = ("overlay", "defaults", "groups", "jumps", "routers")
        lines = [f"{name}: {json.dumps(getattr(self, name))}\n" for name in sections if getattr(self, name)]
        self.inventory.write_text("".join(lines))

    def state(self) -> State:
        return open_state(self.folder / ".fleet" / "state.db")

    def lose_state(self) -> None:
        """Everything in `.fleet` but the secret."""
        for path in (self.folder / ".fleet").iterdir():
            if path.name not in ("secret", ".gitignore"):
                path.unlink()

    def listing(self) -> dict[str, tuple[int, int]]:
        """Every file and folder with size and time of change."""
        return {
            str(path.relative_to(self.folder)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(self.folder.rglob("*"))
        }

    # ----------------------------------------------------------------------------------------------- command line
    def run(self, *arguments: str, **environ: str) -> Result:
        """`fleet -i INVENTORY ...` in this process, streams captured, no terminal."""
        self.write()
        with _environment({**self.environ, **environ}):
            return fleet_command("-i", str(self.inventory), *arguments)

    def sync(self, *arguments: str) -> Result:
        return self.run("sync", "--yes", *arguments)

    def spawn(
        self, *arguments: str, environ: Mapping[str, str] = MappingProxyType({}), **streams: Any
    ) -> subprocess.Popen[str]:
        """The same as a process of its own; streams are pipes unless said otherwise."""
        self.write()
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI", "FORCE_COLOR")}
        return subprocess.Popen(
            [*FLEET, "-i", str(self.inventory), *arguments],
            env={**inherited, **self.environ, **environ},
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    def process(self, *arguments: str, **environ: str) -> Result:
        """Run it to its end."""
        with self.spawn(*arguments, environ=environ) as process:
            out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)


def fleet_command(*arguments: str) -> Result:
    """`fleet ...` in this process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["fleet", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _exit_code()
    finally:
        sys.argv = before
    return Result(code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    try:
        fleet.cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("the command line ends with an exit code")


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def three_sites(folder: Path, **overlay: object) -> SimulatedFleet:
    """Hub hq and spokes mumbai and pune, all blank."""
    fleet = SimulatedFleet(folder, **overlay)
    fleet.add("hq", 1, hub=True)
    fleet.add("mumbai", 20)
    fleet.add("pune", 30)
    return fleet
