"""Which changes can cut off whom is computed from the paths that routers are managed by."""

from __future__ import annotations

import base64
import hashlib
import ipaddress

import pytest

from fleet.changes import AddOpening, AddPeer, AddRoute, RemoveAddress, RemovePeer, RemoveRoute, SetInterface, SetPeer
from fleet.danger import cutting, managed_through, sentence
from fleet.model import Endpoint, Fleet, Interface, Management, Mark, Overlay, Peer, PublicKey, Route, Router


def key(name: str) -> PublicKey:
    return PublicKey(base64.b64encode(hashlib.sha256(name.encode()).digest()).decode())


def peer(name: str, **attributes) -> Peer:
    return Peer(key(name), mark=Mark("acme", name), **attributes)


LAN = ipaddress.ip_network("192.168.9.0/24")
FLEET = Fleet(
    Overlay("acme", ipv4=ipaddress.IPv4Network("10.0.0.0/16")),
    {
        "hq": Router("hq", "wg-quick", "hub", hosts=("198.51.100.1",)),
        "mumbai": Router("mumbai", "mikrotik", via=("hq",)),
        "pune": Router("pune", "mikrotik", hosts=("203.0.113.7",)),
        "surat": Router("surat", "mikrotik", hosts=("10.0.0.9",)),
    },
)


def cuts(router: str, change) -> set[str]:
    return {name for whose in cutting(FLEET, router, [change]).values() for name in whose}


def test_a_router_reached_from_outside_is_not_cut_off_by_its_own_tunnel():
    assert cuts("pune", RemovePeer(interface="wg0", old=peer("hq"))) == set()


def test_a_router_behind_the_hub_is_cut_off_by_losing_the_hub():
    assert cuts("mumbai", RemovePeer(interface="wg0", old=peer("hq"))) == {"mumbai"}


def test_a_router_whose_host_lies_in_the_overlay_is_managed_through_the_tunnel():
    assert cuts("surat", RemovePeer(interface="wg0", old=peer("hq"))) == {"surat"}


def test_the_hub_cuts_off_the_one_whose_peer_it_removes_and_nobody_else():
    assert cuts("hq", RemovePeer(interface="wg0", old=peer("mumbai"))) == {"mumbai"}
    assert cuts("hq", RemovePeer(interface="wg0", old=peer("pune"))) == set()


def test_the_hubs_port_cuts_off_everybody_behind_it():
    old, new = Interface("wg0", listen_port=51820), Interface("wg0", listen_port=51821)
    assert cuts("hq", SetInterface(interface="wg0", old=old, wanted=new)) == {"mumbai", "surat"}


@pytest.mark.parametrize(
    "change",
    [
        AddPeer(interface="wg0", wanted=peer("new")),
        AddRoute(interface="wg0", wanted=Route(LAN)),
        SetPeer(interface="wg0", old=peer("mumbai"), wanted=Peer(key("mumbai"), mark=Mark("acme", "mumbai", 1))),
        RemoveRoute(interface="wg0", old=Route(LAN, Mark("acme", "pune"))),
    ],
    ids=lambda change: type(change).__name__,
)
def test_what_is_only_added_or_concerns_others_cuts_nobody_off(change):
    assert cuts("hq", change) == set()


@pytest.mark.parametrize(
    "change",
    [
        SetPeer(interface="wg0", old=peer("hq"), wanted=peer("hq", endpoint=Endpoint("192.0.2.9", 51820))),
        RemoveAddress(interface="wg0", address=ipaddress.ip_interface("10.0.0.2/16")),
        RemoveRoute(interface="wg0", old=Route(LAN, Mark("acme", "hq"))),
        AddOpening(interface="wg0", wanted=Management(22, frozenset())),
    ],
    ids=lambda change: type(change).__name__,
)
def test_what_the_own_path_crosses_cuts_off(change):
    assert cuts("mumbai", change) == {"mumbai"}


def test_both_ends_of_the_tunnel_carry_a_routers_management():
    assert managed_through(FLEET)["hq"] == {"mumbai", "surat"}
    assert managed_through(FLEET)["mumbai"] == {"mumbai"}


def test_the_sentence_names_the_change_and_whose_management_it_is():
    found = cutting(FLEET, "hq", [RemovePeer(interface="wg0", old=peer("mumbai"))])
    assert sentence(found) == "peer mumbai: remove can cut off the management of mumbai"
