"""The contract as data: what a limit refuses, and the table that maps it onto vendors."""

from __future__ import annotations

from ipaddress import ip_interface

from fleet import driver
from fleet.driver import Limits
from fleet.model import Interface, Mark, Peer, PublicKey
from fleet.overlay import fitted

KEY = PublicKey("B" * 42 + "A=")
PLACE = Limits(mark_length=64)


def peering(overlay: str, name: str) -> Interface:
    return Interface("wg0", mark=Mark(overlay, "hq"), peers={KEY: Peer(KEY, mark=Mark(overlay, name))})


def test_a_mark_that_has_no_room_is_refused_and_the_cure_is_a_shorter_name():
    (said,) = PLACE.refusals(peering("o" * 30, "r" * 30))
    assert said.startswith(f"there is no room for the mark fleet:{'o' * 30}:{'r' * 30}: ")
    assert "may have 57 characters together" in said


def test_a_mark_that_just_fits_is_not_refused():
    assert PLACE.refusals(peering("o" * 27, "r" * 30)) == []


def test_more_addresses_than_an_interface_holds_are_refused():
    wanted = Interface("wg0", addresses=frozenset(map(ip_interface, ("10.0.0.1/24", "10.0.0.2/24"))))
    assert Limits(addresses=1).refusals(wanted) == ["an interface holds 1 address here, 2 are wanted"]
    assert Limits(addresses=2).refusals(wanted) == Limits().refusals(wanted) == []


def test_a_vendor_without_prefix_lengths_gets_hosts():
    wanted = {"wg0": Interface("wg0", addresses=frozenset({ip_interface("10.0.0.1/24")}))}
    assert fitted(wanted, Limits(address_lengths=False))["wg0"].addresses == {ip_interface("10.0.0.1/32")}


def test_a_vendor_with_room_enough_refuses_no_mark():
    assert Limits().refusals(peering("o" * 32, "r" * 32)) == []


def test_the_contract_says_how_it_maps_onto_every_vendor_to_come():
    head, _, *rows = (driver.__doc__ or "").partition("```\n")[2].partition("```")[0].splitlines()
    assert head.split() == ["openwrt", "opnsense", "edgeos", "omada", "NETCONF", "(Infix)"]
    named = " ".join(row[:9].strip() for row in rows)
    for phase in (
        *("stored", "running", "prepare", "guard", "apply", "verify", "confirm", "clean up", "trip"),
        *("stage key", "activate", "park", "probe", "marker", "enrol", "adopt"),
    ):
        assert phase in named
