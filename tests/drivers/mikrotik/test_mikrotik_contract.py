"""The contract suite against simulated routers of several releases, firewalls and orders of execution."""

from __future__ import annotations

from mikrotik_device import SimulatedRouter

from fleet.drivers.mikrotik import MikrotikDriver
from fleet.testing.contract import DriverContract


class TestMikrotik(DriverContract):
    """7.20 with the default firewall, least rights."""

    driver = MikrotikDriver()

    def device(self) -> SimulatedRouter:
        return SimulatedRouter()


class TestOldestRouterosWithoutFirewall(DriverContract):
    """7.1: no !empty, no names of peers, nothing masked by default."""

    driver = MikrotikDriver()

    def device(self) -> SimulatedRouter:
        return SimulatedRouter("7.1.5", firewall="empty")


class TestNewestRouterosHardenedAndOutOfOrder(DriverContract):
    """7.24: secrets masked, firewall closed, tagged commands executed and answered in any order."""

    driver = MikrotikDriver()

    def device(self) -> SimulatedRouter:
        return SimulatedRouter("7.24", firewall="hardened", seed=7)
