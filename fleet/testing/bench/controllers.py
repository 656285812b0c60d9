"""Many sites behind one controller: requests and seconds of a no-op, and of a change of one site.

The controller takes ten requests a second from all that speak to it (its sheet, 1.7), so that requests are seconds. Only the
first sync, which is not measured, is not held to that.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final

from ... import plugins
from ...control import Controller
from ...dialects import Rest
from ...drivers.omada import OmadaDriver
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
from ..omada import Gateway, OmadaSimulator, Site, Strictness
from .clock import Timed, timed
from .farms import FARM, PASSWORD, Place
from .network import PARALLEL, SPOKES, Forgetful

MANAGE: Final = "{forwarding: false, listen_port: false, masquerade: false, mss: false, management: false, resolve: false}"


class _Unhurried(OmadaDriver):
    """Without the pace, for the first sync."""

    dialect: ClassVar[Rest] = replace(OmadaDriver.dialect, rate=None)


class Shops:
    """A hub and `sites` gateways of one controller, on free ports; the first sync is over when it is entered."""

    def __init__(self, sites: int, folder: Path) -> None:
        ether = Ether(recovery=0.0)
        self._folder = folder
        self._open = ExitStack()
        self.hub = FARM[SPOKES].make(Place(0, ether))
        self.places = [Place(number, ether) for number in range(1, sites + 1)]
        made = [Site(place.name, Gateway(place.name, lans=(f"{place.lan[1]}/24",))) for place in self.places]
        self.simulator = OmadaSimulator("6.0", made, ether=ether, strictness=Strictness(budget=None))

    def __enter__(self) -> Shops:
        with ExitStack() as opening:
            opening.enter_context(self.hub)
            opening.enter_context(self.simulator)
            self._registry = plugins.load({"FLEET_PLUGINS": ""})
            self._state = opening.enter_context(open_state(self._folder / "state.db"))
            self._open = opening.pop_all()
        self._registry.drivers["omada"] = _Unhurried
        self.sync()
        self._registry.drivers["omada"] = OmadaDriver
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def _inventory(self, mtu: int) -> str:
        """`mtu` is that of the first site."""
        hub = self.hub.place
        lines = [
            "overlay: {name: bench, ipv4: 10.0.0.0/16, lan_supernets: [172.16.0.0/12]}",
            "defaults: {username: fleet, password: 'env:BENCH_PASSWORD'}",
            "groups:",
            f"  shops: {{driver: omada, host: 127.0.0.1, port: {self.simulator.port}, manage: {MANAGE},",
            "    api_key: 'env:BENCH_CLIENT', api_secret: 'env:BENCH_SECRET'}",
            "routers:",
            f"  {hub.name}: {{{self.hub.keys}, role: hub, endpoint: '192.0.2.1:51820', lans: [{hub.lan}]}}",
        ]
        for place in self.places:
            own = f", mtu: {mtu}" if place is self.places[0] else ""
            lines.append(f"  {place.name}: {{groups: [shops], lans: [{place.lan}]{own}}}")
        return "\n".join(lines)

    def sync(self, *names: str, mtu: int = 1420) -> None:
        """One sync, of all or of some, as the command line does it."""
        fleet = load_text(self._inventory(mtu), self._registry.drivers, folder=str(self._folder))
        secrets = {"BENCH_CLIENT": self.simulator.client_id, "BENCH_SECRET": self.simulator.client_secret}
        resolver = Resolver(self._folder, environ={"BENCH_PASSWORD": PASSWORD, **secrets})
        reach = Reach(fleet, registry=self._registry, state=self._state, resolver=resolver)
        try:
            runner = LocalRunner(PARALLEL)
            control = Controller(fleet, state=self._state, reach=reach, runner=runner, secret=Secret("bench"))
            prepared = control.prepare(select(fleet, names))
            self.report = Sync(control, prepared, Forgetful(), "bench", safety=Safety(), alive_within=0.0).run()
        finally:
            reach.close()

    def measured(self, *names: str, mtu: int) -> dict[str, float]:
        """Requests, writes and seconds of one sync."""
        self.simulator.counters.reset()
        took: Timed[None] = timed(lambda: self.sync(*names, mtu=mtu))
        counters = self.simulator.counters
        return {"requests": counters.requests, "writes": counters.writes, "seconds": took.wall}


def bench_controller(sites: int) -> dict[str, object]:
    """A controller of so many sites: a no-op, one site changed in a sync of all, one site changed in a sync of that site."""
    with tempfile.TemporaryDirectory() as folder, Shops(sites, Path(folder)) as shops:
        return {
            "driver": "omada",
            "sites": sites,
            "rate": OmadaDriver.dialect.rate,
            "noop": shops.measured(mtu=1420),
            "one_site": shops.measured(mtu=1400),
            "one_site_selected": shops.measured(shops.places[0].name, mtu=1420),
        }
