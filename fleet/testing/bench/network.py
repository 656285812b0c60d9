"""A simulated hub of any driver in `farms.FARM` and MikroTik spokes on loopback, with counters of what they were sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from ... import plugins
from ...control import Controller
from ...inventory import load_text
from ...model import Secret
from ...reach import Reach
from ...runner import LocalRunner
from ...safety import Safety
from ...secrets import Resolver
from ...selection import select
from ...state import open_state
from ...sync import Sync
from ..ether import Ether
from .farms import FARM, PASSWORD, Place, Simulated, Traffic

PARALLEL: Final = 20
"""What the command line uses by default."""

SPOKES: Final = "mikrotik"
"""The driver of the spokes: hundreds of them fit into one process."""


class Network:
    """One hub of driver `kind` and `spokes`, on free ports. `round_trip` in seconds holds for every router."""

    def __init__(self, kind: str, spokes: int, folder: Path, *, round_trip: float = 0.0) -> None:
        ether = Ether(recovery=0.0)
        self._folder = folder
        self._open = ExitStack()
        self.hub: Simulated = FARM[kind].make(Place(0, ether, round_trip))
        self.spokes = [FARM[SPOKES].make(Place(number, ether, round_trip)) for number in range(1, spokes + 1)]

    def __enter__(self) -> Network:
        with ExitStack() as opening:
            for router in (*self.spokes, self.hub):
                opening.enter_context(router)
            self._registry = plugins.load({"FLEET_PLUGINS": ""})
            self.fleet = load_text(self._inventory(), self._registry.drivers, folder=str(self._folder))
            self._state = opening.enter_context(open_state(self._folder / "state.db"))
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def _inventory(self) -> str:
        roles = {0: ", role: hub, endpoint: '192.0.2.1:51820'"}
        lines = [
            "overlay: {name: bench, ipv4: 10.0.0.0/16, lan_supernets: [172.16.0.0/12]}",
            "defaults: {username: fleet, password: 'env:BENCH_PASSWORD'}",
            "routers:",
        ]
        for router in (self.hub, *self.spokes):
            place = router.place
            lines.append(f"  {place.name}: {{{router.keys}{roles.get(place.number, '')}, lans: [{place.lan}]}}")
        return "\n".join(lines)

    # ------------------------------------------------------------------------------------------------- work
    def sync(self, *, unguarded: bool = False) -> None:
        """One whole sync, as the command line does it. What a journal on disk costs is the disk's business."""
        safety = Safety(unguarded=unguarded)
        self._with_controller(
            lambda control: Sync(control, control.prepare(select(self.fleet)), Forgetful(), "bench", safety=safety).run()
        )

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
        for router in (self.hub, *self.spokes):
            router.reset()

    def at_hub(self) -> Traffic:
        """What the hub saw since the reset."""
        return self.hub.traffic()

    def at_spoke(self) -> Traffic:
        """What the first spoke saw since the reset."""
        return self.spokes[0].traffic()

    def writes(self) -> int:
        """Of all routers since the reset."""
        return sum(router.traffic().writes for router in (self.hub, *self.spokes))


class Forgetful:
    """A journal for measuring."""

    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Forget it."""
