"""The contract suite: over the real tools in namespaces, and over simulated hosts behind a real SSH server.

Every law runs with every case on every device when FLEET_DRILLS=all. Other runs share laws and cases out: what a kernel may
spoil is tried on the kernel, what a transport may show on the simulated host, each law with every sixth case.
"""

from __future__ import annotations

import os

import pytest
from wg_quick_devices import RealLinux, SimulatedLinux

from fleet.drivers.wg_quick import Options, WgQuickDriver
from fleet.testing.cases import Case
from fleet.testing.contract import DriverContract, Subject


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
class TestRealTools(DriverContract):
    """wg, ip, nft and wg-quick themselves, behind a firewall that drops."""

    driver = WgQuickDriver()
    sampled = True

    def device(self) -> RealLinux:
        return RealLinux()

    @pytest.mark.exhaustive
    def test_every_change_is_in_exactly_one_step(self, subject: Subject, case: Case) -> None:
        super().test_every_change_is_in_exactly_one_step(subject, case)

    @pytest.mark.exhaustive
    def test_going_back_restores_what_was(self, subject: Subject, case: Case) -> None:
        super().test_going_back_restores_what_was(subject, case)

    @pytest.mark.exhaustive
    def test_no_secret_is_shown_anywhere(self, subject: Subject, case: Case) -> None:
        super().test_no_secret_is_shown_anywhere(subject, case)


class TestSimulatedSystemd(DriverContract):
    """systemd and an nftables firewall that drops; the login becomes root by sudo."""

    driver = WgQuickDriver()
    sampled = 3
    drill_stride = 6
    options = Options(sudo=True)

    def device(self) -> SimulatedLinux:
        return SimulatedLinux("nftables", root=False)

    @pytest.mark.exhaustive
    def test_every_state_is_reached_and_read_back(self, subject: Subject, case: Case) -> None:
        super().test_every_state_is_reached_and_read_back(subject, case)

    @pytest.mark.exhaustive
    def test_a_second_sync_writes_nothing(self, subject: Subject, case: Case) -> None:
        super().test_a_second_sync_writes_nothing(subject, case)

    @pytest.mark.exhaustive
    def test_every_change_is_in_exactly_one_step(self, subject: Subject, case: Case) -> None:
        super().test_every_change_is_in_exactly_one_step(subject, case)

    @pytest.mark.exhaustive
    def test_going_back_restores_what_was(self, subject: Subject, case: Case) -> None:
        super().test_going_back_restores_what_was(subject, case)

    @pytest.mark.exhaustive
    def test_foreign_objects_survive_unchanged(self, subject: Subject, case: Case) -> None:
        super().test_foreign_objects_survive_unchanged(subject, case)


@pytest.mark.exhaustive
class TestSimulatedRcLocal(DriverContract):
    """No systemd, iptables that drop, root."""

    driver = WgQuickDriver()
    sampled = 3

    def device(self) -> SimulatedLinux:
        return SimulatedLinux("iptables", "rc.local")


@pytest.mark.exhaustive
class TestSimulatedFirewalld(DriverContract):
    """firewalld rules."""

    driver = WgQuickDriver()
    sampled = 3

    def device(self) -> SimulatedLinux:
        return SimulatedLinux("firewalld")


@pytest.mark.exhaustive
class TestSimulatedUfw(DriverContract):
    """ufw rules."""

    driver = WgQuickDriver()
    sampled = 3

    def device(self) -> SimulatedLinux:
        return SimulatedLinux("ufw")
