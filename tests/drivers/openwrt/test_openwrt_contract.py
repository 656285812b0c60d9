"""The contract suite against simulated OpenWrt routers of every generation of the proto handler."""

from __future__ import annotations

from openwrt_devices import DRIVER, SimulatedOpenwrt

from fleet.testing.contract import DriverContract


class TestOpenwrt2305(DriverContract):
    """23.05: fw4, disabled peers known, peers not seen by a reload."""

    driver = DRIVER
    sampled = True
    drill_stride = 7

    def device(self) -> SimulatedOpenwrt:
        return SimulatedOpenwrt("23.05")


class TestOldestOpenwrt(DriverContract):
    """21.02: fw3, no disabled peers."""

    driver = DRIVER
    sampled = 3
    drill_stride = 25

    def device(self) -> SimulatedOpenwrt:
        return SimulatedOpenwrt("21.02")


class TestNewestOpenwrt(DriverContract):
    """25.12: apk, a handler that reloads by `wg syncconf`."""

    driver = DRIVER
    sampled = 3
    drill_stride = 25

    def device(self) -> SimulatedOpenwrt:
        return SimulatedOpenwrt("25.12")
