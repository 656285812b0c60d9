"""The contract suite: over the real tools in namespaces, and over simulated hosts behind a real SSH server."""

from __future__ import annotations

import os

import pytest
from wg_quick_devices import RealLinux, SimulatedLinux

from fleet.drivers.wg_quick import WgQuickDriver
from fleet.testing.contract import DriverContract


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
class TestRealTools(DriverContract):
    """The kernel's own words: wg, ip, nft, wg-quick, behind a firewall that drops."""

    driver = WgQuickDriver()

    def device(self) -> RealLinux:
        return RealLinux()


class TestSimulatedSystemd(DriverContract):
    """systemd, nftables that drop, root."""

    driver = WgQuickDriver()

    def device(self) -> SimulatedLinux:
        return SimulatedLinux()
