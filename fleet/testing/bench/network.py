"""A simulated hub and MikroTik spokes on loopback, with counters of what the hub and a spoke were sent."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from ... import plugins
from ...control import Controller
from ...inventory import load_text
from ...model import Secret
from ...reach import Reach
from ...runner import LocalRunner
from ...secrets import Resolver
from ...selection import select
from ...state import open_state
from ...sync import Sync
from ..ether import Ether
from ..linux import LinuxSimulator
from ..routeros import Latency, RouterosSimulator
from ..sshd import SshServer, Stdin

PASSWORD: Final = "bench-password"
PARALLEL: Final = 20
"""What the command line uses by default."""

Kind = Literal["mikrotik", "wg-quick"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one router saw. `round_trips` after login; of SSH the commands run. Bytes before encryption."""

    round_trips: int
    sent: int
    received: int
    writes: int


class Network:
    """One hub of `kind` and `spokes`, on free ports. `round_trip` in seconds holds for every router."""

    def __init__(self, kind: Kind, spokes: int, folder: Path, *, round_trip: float = 0.0) -> None:
        self._kind = kind
        self._folder = folder
        self._round_trip = round_trip
        self._ether = Ether(recovery=0.0)
        self._open = ExitStack()
        self._answered = 0
        self.spokes = [self._mikrotik(n) for n in range(1, spokes + 1)]
        self.hub: RouterosSimulator | LinuxSimulator

    def __enter__(self) -> Network:
        with ExitStack() as opening:
            for spoke in self.spokes:
                opening.enter_context(spoke)
            host, port = self._start_hub(opening)
            registry = plugins.load({"FLEET_PLUGINS": ""})
            self.fleet = load_text(self._inventory(host, port), registry.drivers, folder=str(self._folder))
            self._registry = registry
            self._state = opening.enter_context(open_state(self._folder / "state.db"))
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def _start_hub(self, opening: ExitStack) -> tuple[str, int]:
        if self._kind == "mikrotik":
            self.hub = opening.enter_context(self._mikrotik(0))
            return self.hub.host, self.hub.port
        self.hub = opening.enter_context(
            LinuxSimulator("r0", self._ether, public_hosts=("192.0.2.1",), lans=(str(_lan(0)),), firewall="nftables")
        )
        self._ssh = opening.enter_context(SshServer(self._counted, passwords={"fleet": PASSWORD}))
        self._ssh.faults.latency = self._round_trip * 1000
        return self._ssh.host, self._ssh.port

    def _counted(self, command: str, stdin: Stdin, environment: Mapping[str, str]) -> tuple[bytes, bytes, int]:
        assert isinstance(self.hub, LinuxSimulator)
        out, error, code = self.hub.run(command, stdin, environment)
        self._answered += len(out) + len(error)
        return out, error, code

    def _mikrotik(self, number: int) -> RouterosSimulator:
        router = RouterosSimulator(
            f"r{number}",
            users={"fleet": (PASSWORD, "read,write,api,test")},
            ether=self._ether,
            public_hosts=("192.0.2.1",) if number == 0 else (),
            lan=f"{_lan(number)[1]}/24",
        )
        router.latency = Latency(self._round_trip)
        return router

    def _inventory(self, host: str, port: int) -> str:
        plain = "options: {tls: false}"
        hub = f"driver: {self._kind}, role: hub, endpoint: '192.0.2.1:51820', host: {host}, port: {port}, lans: [{_lan(0)}]"
        lines = [
            "overlay: {name: bench, ipv4: 10.0.0.0/16, lan_supernets: [172.16.0.0/12]}",
            "defaults: {username: fleet, password: 'env:BENCH_PASSWORD'}",
            "routers:",
            f"  r0: {{{hub}{', ' + plain if self._kind == 'mikrotik' else ''}}}",
        ]
        for number, spoke in enumerate(self.spokes, 1):
            reached = f"driver: mikrotik, host: {spoke.host}, port: {spoke.port}, {plain}"
            lines.append(f"  {spoke.name}: {{{reached}, lans: [{_lan(number)}]}}")
        return "\n".join(lines)

    # ------------------------------------------------------------------------------------------------- work
    def sync(self) -> None:
        """One whole sync, as the command line does it. What a journal on disk costs is the disk's business."""
        self._with_controller(lambda control: Sync(control, control.prepare(select(self.fleet)), _Forgetful(), "bench").run())

    def read(self) -> None:
        """Log in to every router and read it once."""
        self._with_controller(lambda control: control.survey(self.fleet.routers))

    def _with_controller(self, work: Callable[[Controller], object]) -> None:
        reach = Reach(
            self.fleet,
            registry=self._registry,
            state=self._state,
            resolver=Resolver(self._folder, environ={"BENCH_PASSWORD": PASSWORD}),
        )
        try:
            runner = LocalRunner(PARALLEL)
            work(Controller(self.fleet, state=self._state, reach=reach, runner=runner, secret=Secret("bench")))
        finally:
            reach.close()

    # --------------------------------------------------------------------------------------------- counters
    def reset(self) -> None:
        """Count from here."""
        for router in [*self.spokes, self.hub]:
            if isinstance(router, RouterosSimulator):
                router.counters.reset()
        if isinstance(self.hub, LinuxSimulator):
            self._ssh.execs = self._answered = 0
            self._ssh.commands.clear()
            self._ssh.stdins.clear()
            self._before = self.hub.snapshot()

    def at_hub(self) -> Traffic:
        """What the hub saw since the reset. `writes` of a Linux host: 1 if a file or the running state differs."""
        if isinstance(self.hub, RouterosSimulator):
            return _of(self.hub)
        sent = sum(map(len, self._ssh.commands)) + sum(map(len, self._ssh.stdins))
        return Traffic(self._ssh.execs, sent, self._answered, int(self.hub.snapshot() != self._before))

    def at_spoke(self) -> Traffic:
        """What the first spoke saw since the reset."""
        return _of(self.spokes[0])

    def writes(self) -> int:
        """Of all routers since the reset."""
        return self.at_hub().writes + sum(spoke.counters.writes for spoke in self.spokes)


class _Forgetful:
    """A journal for measuring."""

    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Forget it."""


def _of(router: RouterosSimulator) -> Traffic:
    counters = router.counters
    return Traffic(counters.round_trips, counters.bytes_in, counters.bytes_out, counters.writes)


def _lan(number: int) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network((int(ipaddress.IPv4Address("172.16.0.0")) + number * 256, 24))
