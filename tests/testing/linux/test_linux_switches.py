"""Forwarding is switched by a file under /proc/sys as well as by sysctl(8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.testing.ether import Packet
from fleet.testing.linux import LinuxSimulator

PASSING = Packet("192.168.20.10", "192.168.30.10", in_interface="wg0", out_interface="wg0")


@pytest.fixture
def host() -> Iterator[LinuxSimulator]:
    with LinuxSimulator("hq") as simulator:
        yield simulator


def test_a_host_forwards_nothing_before_somebody_says_so(host: LinuxSimulator) -> None:
    assert not host.forwards(PASSING)


def test_writing_the_file_switches_forwarding_on(host: LinuxSimulator) -> None:
    host.ok('echo 1 >"$FLEET_ROOT/proc/sys/net/ipv4/ip_forward"')
    assert host.forwards(PASSING)


def test_sysctl_shows_what_was_written_to_the_files(host: LinuxSimulator) -> None:
    host.ok('for f in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 >"$FLEET_ROOT/proc/sys/net/$f"; done')
    assert (
        host.ok("sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.forwarding net.ipv6.conf.all.forwarding").split() == ["1"] * 3
    )


def test_the_file_shows_what_sysctl_wrote(host: LinuxSimulator) -> None:
    host.ok("sysctl -q -w net.ipv4.ip_forward=1")
    assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"


def test_a_written_file_does_not_survive_a_reboot(host: LinuxSimulator) -> None:
    host.ok('echo 1 >"$FLEET_ROOT/proc/sys/net/ipv4/ip_forward"')
    host.reboot()
    assert not host.forwards(PASSING)
