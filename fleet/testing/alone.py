"""A fleet of one device under test, managed through its own tunnel: what a whole sync does with it, and what it refuses.

The hub is of driver `manual`: nothing contacts it. The device is reached at its overlay address, so that whatever its tunnel
needs is what its management needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from .. import engine
from ..control import Controller
from ..driver import Driver, Observed, RouterPlan, Script
from ..drivers.manual import ManualDriver
from ..inventory import load_text
from ..link import Link, Target
from ..model import Fact, IPAddress
from ..report import FleetReport
from ..runner import LocalRunner
from ..safety import Safety
from ..selection import select
from ..state import State, open_state
from ..sync import Sync
from .cases import INTERFACE, OVERLAY, ROUTER, public_key
from .subject import Device

_INVENTORY: Final = """\
overlay: {{name: {overlay}, interface: {interface}, ipv4: 10.99.0.0/24, preshared_keys: false, listen_port: 51877}}
routers:
  hub: {{driver: manual, role: hub, endpoint: "{hub}:51820", address: 10.99.0.1, public_key: {key}}}
  {router}:
    driver: under-test
    host: 10.99.0.7
    address: 10.99.0.7
    manage: {{routes: false, forwarding: false, listen_port: false, masquerade: false, mss: false, management: false}}
"""


class _UnderTest(Driver):
    """The name that the inventory knows; the device is driven by the driver under test."""

    name: ClassVar[str] = "under-test"
    transport: ClassVar[str] = "under-test"

    def observe(self, link: Link) -> Observed:
        raise NotImplementedError

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        raise NotImplementedError


class _Reach:
    """One device, whatever its pins."""

    def __init__(self, driver: Driver, device: Device, options: object) -> None:
        self._driver, self._device = driver, device
        self._options = options or driver.Options()

    def driver(self, name: str) -> Driver:
        return self._driver if name == ROUTER else ManualDriver()

    def router(self, name: str, *, at: IPAddress | None = None) -> engine.Router:
        link = self._device.link(Target(name, OVERLAY, (INTERFACE,), self._options))
        return engine.Router(name, OVERLAY, self._driver, link)

    unpinned = router

    def moved(self, facts: Mapping[str, Fact]) -> None:
        """It stays where it is."""

    learned = moved

    def shown(self, name: str) -> Mapping[str, str]:
        return {}


class Alone:
    """The device, its fleet and its state; close it at the end. `hub` is the address of the hub's endpoint."""

    def __init__(self, driver: Driver, device: Device, folder: Path, options: object = None) -> None:
        self._reach = _Reach(driver, device, options)
        self._state: State = open_state(folder / "state.db")
        self._runs = 0

    def sync(self, hub: str, *, unguarded: bool = False) -> FleetReport:
        """A whole sync, as the command line does it."""
        drivers = {"manual": ManualDriver, "under-test": _UnderTest}
        key = public_key("hub")
        text = _INVENTORY.format(overlay=OVERLAY, interface=INTERFACE, router=ROUTER, hub=hub, key=key)
        fleet = load_text(text, drivers)
        control = Controller(fleet, state=self._state, reach=self._reach, runner=LocalRunner(1))
        self._runs += 1
        run = f"alone-{self._runs}"
        prepared = control.prepare(select(fleet))
        return Sync(control, prepared, _Forgetful(), run, safety=Safety(unguarded=unguarded), alive_within=0.0).run()

    def close(self) -> None:
        """Close the state; the device is the caller's."""
        self._state.close()


class _Forgetful:
    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        """Forget it."""
