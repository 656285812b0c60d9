"""What a command on the whole fleet concludes from its reads, and what it never concludes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated import SimulatedFleet

from fleet.control import Controller, symbol
from fleet.errors import PlanRefused, Unreachable, UsageError
from fleet.model import Fleet, Overlay, Router


@pytest.fixture
def net(tmp_path: Path) -> Iterator[SimulatedFleet]:
    net = SimulatedFleet(tmp_path)
    yield net
    net.close()


# -------------------------------------------------------------------------------------------------------------- notes
@pytest.mark.parametrize(
    ("wan", "inside"),
    [
        ("192.168.20.9/24", "192.168.20.0/24"),
        ("192.168.20.200/25", "192.168.20.128/25"),
        ("192.168.21.9/24", ""),
        ("192.168.0.9/16", ""),
        ("100.64.0.2/24", ""),
    ],
)
def test_a_wan_side_inside_somebody_elses_lan_is_said(net, wan, inside):
    net.add("hq", 1, hub=True)
    net.add("mumbai", 20)
    net.add("pune", 30, wan=wan)
    notes = [note for note in net.run("plan", "--json").json["notes"] if "WAN side" in note]
    expected = f"pune: its WAN side {inside} lies inside mumbai's LAN 192.168.20.0/24"
    assert [note.partition(":")[0] + ":" + note.split(":")[1] for note in notes] == ([expected] if inside else [])


def test_a_wan_side_inside_a_routers_own_lan_is_its_own_business(net):
    net.add("hq", 1, hub=True)
    net.add("pune", 30, wan="192.168.30.200/24")
    assert not [note for note in net.run("plan", "--json").json["notes"] if "WAN side" in note]


# --------------------------------------------------------------------------------------------------------- addresses
def test_an_address_in_the_inventory_wins_over_a_pinned_one(net):
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    assert net.sync("--unguarded").code == 0
    net.routers["pune"]["address"] = "10.100.0.77"
    assert net.sync("--unguarded").code == 0
    assert net.peers("hq")["fleet:acme:pune"]["allowed-address"].startswith("10.100.0.77/32")
    assert net.run("plan").code == 0


def test_an_overlay_that_is_full_is_refused_before_anybody_is_contacted_or_written(net):
    net.overlay["ipv4"] = "10.100.0.0/30"
    for number, name in enumerate(("hq", "mumbai", "pune", "delhi")):
        net.add(name, 20 + number, hub=name == "hq")
    done = net.sync()
    assert done.code in (3, 4)
    assert "10.100.0.0/30" in done.err
    assert set(net.writes().values()) == {0}


# -------------------------------------------------------------------------------------------------------------- claims
def test_a_peer_made_by_hand_that_equals_the_intent_is_claimed_and_that_is_said(net):
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    assert net.sync().code == 0
    peer = net.peers("hq")["fleet:acme:pune"]
    net["hq"].change("/interface/wireguard/peers", peer[".id"], comment="made by hand")
    seen = net.run("plan", "--json")
    assert seen.code == 2
    assert any("taken over by its public key" in note for note in seen.router("hq")["notes"])
    assert net.sync().code == 0
    assert any("fleet:acme:pune" in comment and "made by hand" in comment for comment in net.peers("hq"))


def test_an_interface_of_somebody_else_with_the_wanted_name_is_refused_and_left(net):
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    net["pune"].insert("/interface/wireguard", name="wg0", listen_port=13231, comment="the vendor's")
    before = net["pune"].snapshot()
    done = net.sync("--json")
    assert done.code == 4
    assert done.router("pune")["outcome"] == "refused"
    assert "set another `interface:` in the inventory" in done.router("pune")["summary"]
    assert net["pune"].snapshot() == before
    assert done.router("hq")["outcome"] == "changed"
    net.routers["pune"]["interface"] = "wg1"
    assert net.sync().code == 0


def test_two_fleets_share_a_router(net, tmp_path):
    net.add("hq", 1, hub=True)
    net.add("pune", 30)
    assert net.sync().code == 0
    other = SimulatedFleet(tmp_path / "other", name="zoo", ipv4="10.200.0.0/24", interface="wg1", listen_port=51999)
    other.simulators = net.simulators
    for name, router in net.routers.items():
        other.routers[name] = {**router, "lans": []}
    other.routers["hq"]["endpoint"] = "vpn.example.com:51999"
    assert other.sync("--unguarded").code == 0
    assert net.run("plan").code == 0
    assert other.run("plan").code == 0


# ---------------------------------------------------------------------------------------------------------- one error
def test_an_expected_error_is_excused_as_it_is_and_a_bug_becomes_its_routers_failure():
    fleet = Fleet(Overlay("acme", ipv4=ipaddress.IPv4Network("10.100.0.0/20")), {"pune": Router("pune", "mikrotik")})
    control = Controller(fleet, state=None, reach=None, runner=None)  # type: ignore[arg-type]  # nothing of them is used
    for error in (Unreachable("x"), UsageError("x"), PlanRefused("x")):
        assert control.excused("pune", error) is error
    bug = KeyError("x")
    assert "internal error with driver mikrotik: KeyError" in control.excused("pune", bug).summary
    assert control.bugs == [bug]


def test_a_stand_in_for_a_key_is_the_same_each_time_and_nobodys_else():
    assert symbol("pune") == symbol("pune")
    assert symbol("pune") != symbol("mumbai")
