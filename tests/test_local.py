"""Directly connected prefixes out of the kernel's tables."""

from __future__ import annotations

import ipaddress

import pytest

from fleet import local

ROUTES4 = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t0000000A\t0200A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
"""
_NOBODY = "0" * 32
ROUTES6 = (
    f"fd000001000000000000000000000000 40 {_NOBODY} 00 {_NOBODY} 00000100 1 0 00000001 eth0\n"
    f"{_NOBODY} 00 {_NOBODY} 00 fe800000000000000000000000000001 00000100 1 0 00000003 eth0\n"
)


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    (tmp_path / "route").write_text(ROUTES4)
    (tmp_path / "ipv6_route").write_text(ROUTES6)
    monkeypatch.setattr(local, "_ROUTES4", tmp_path / "route")
    monkeypatch.setattr(local, "_ROUTES6", tmp_path / "ipv6_route")


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("192.168.0.7", "192.168.0.0/24"),
        ("192.168.1.7", None),
        ("10.1.2.3", None),
        ("fd00:1::7", "fd00:1::/64"),
        ("fd00:2::7", None),
    ],
)
def test_only_prefixes_without_a_gateway_are_directly_connected(address, prefix):
    found = local.connected_prefix(ipaddress.ip_address(address))
    assert found == (ipaddress.ip_network(prefix) if prefix else None)


def test_elsewhere_than_on_linux_nothing_counts_as_directly_connected(monkeypatch, tmp_path):
    monkeypatch.setattr(local, "_ROUTES4", tmp_path / "absent")
    assert local.connected_prefix(ipaddress.ip_address("192.168.0.7")) is None
