"""An empty state is rebuilt from the marks on hubs and routers."""

from __future__ import annotations

import ipaddress

from fleet.driver import Observed
from fleet.model import Fleet, Interface, Mark, Overlay, Peer, PublicKey, Router
from fleet.rebuild import recover

HQ, MUMBAI, GONE = (PublicKey(letter * 42 + "A=") for letter in "ABC")
FLEET = Fleet(
    Overlay("acme", ipv4=ipaddress.IPv4Network("10.100.0.0/20"), ipv6=ipaddress.IPv6Network("fd10:100::/64")),
    {"hq": Router("hq", "wg-quick", "hub"), "mumbai": Router("mumbai", "mikrotik")},
)


def nets(*texts: str):
    return frozenset(ipaddress.ip_network(text) for text in texts)


def hub(*peers: Peer, mark: Mark | None = Mark("acme", "hq")) -> dict[str, Observed]:
    interface = Interface(
        "wg0",
        HQ,
        addresses=frozenset({ipaddress.ip_interface("10.100.0.1/20")}),
        peers={peer.public_key: peer for peer in peers},
        mark=mark,
    )
    return {"hq": Observed(stored={"wg0": interface})}


def test_a_hub_tells_keys_addresses_and_epochs_of_its_spokes():
    facts = recover(FLEET, hub(Peer(MUMBAI, nets("10.100.0.5/32", "192.168.20.0/24"), mark=Mark("acme", "mumbai", 3))))
    assert facts["mumbai"].public_key == MUMBAI
    assert facts["mumbai"].addresses == (ipaddress.ip_address("10.100.0.5"),)
    assert facts["mumbai"].epoch == 3


def test_both_families_are_told_ipv4_first():
    facts = recover(FLEET, hub(Peer(MUMBAI, nets("fd10:100::5/128", "10.100.0.5/32"), mark=Mark("acme", "mumbai"))))
    assert facts["mumbai"].addresses == (ipaddress.ip_address("10.100.0.5"), ipaddress.ip_address("fd10:100::5"))


def test_a_router_that_left_the_inventory_still_holds_its_address():
    facts = recover(FLEET, hub(Peer(GONE, nets("10.100.0.9/32"), mark=Mark("acme", "surat"))))
    assert facts["surat"].addresses == (ipaddress.ip_address("10.100.0.9"),)


def test_a_router_speaks_for_itself():
    assert recover(FLEET, hub())["hq"].public_key == HQ


def test_the_mark_of_another_fleet_is_not_believed():
    assert "mumbai" not in recover(FLEET, hub(Peer(MUMBAI, nets("10.100.0.5/32"), mark=Mark("other", "mumbai"))))


def test_an_unmarked_interface_is_not_believed():
    assert recover(FLEET, hub(Peer(MUMBAI, nets("10.100.0.5/32"), mark=Mark("acme", "mumbai")), mark=None)) == {}


def test_a_lan_of_one_host_is_not_an_overlay_address():
    facts = recover(FLEET, hub(Peer(MUMBAI, nets("10.100.0.5/32", "192.168.9.9/32"), mark=Mark("acme", "mumbai"))))
    assert facts["mumbai"].addresses == (ipaddress.ip_address("10.100.0.5"),)
