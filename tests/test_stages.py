"""The union state of a move: whatever led to the old overlay addresses leads there until all have the new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from types import SimpleNamespace
from typing import Any

from fleet import Endpoint, Interface, Management, Peer
from fleet.changes import AddPeer, Change, RemovePeer, SetInterface, SetPeer
from fleet.model import Configuration
from fleet.stages import Moves, moves, unbridged, union
from fleet.testing.cases import public_key

HUB, SPOKE, OTHER = (public_key(name) for name in ("hq", "pune", "delhi"))
KEYS = {"hq": HUB, "pune": SPOKE, "delhi": OTHER}


def interface(owner: str, addresses: str, peers: Mapping[Any, str], **attributes: Any) -> Configuration:
    """wg0 of `owner`; `peers` are allowed IPs by key."""
    held = {key: Peer(key, allowed_ips=frozenset(map(ip_network, allowed.split()))) for key, allowed in peers.items()}
    return {
        "wg0": Interface(
            "wg0", KEYS[owner], 51820, 1420, addresses=frozenset(map(ip_interface, addresses.split())), peers=held, **attributes
        )
    }


def moving(**old: str) -> Moves:
    """Routers by name that leave these addresses."""
    before = {name: tuple(map(ip_address, addresses.split())) for name, addresses in old.items()}
    return moves(before, dict.fromkeys(KEYS, (ip_address("10.101.0.9"),)), KEYS)


def allowed(configuration: Configuration, key: Any) -> set[str]:
    return set(map(str, configuration["wg0"].peers[key].allowed_ips))


def test_a_router_that_moves_has_both_addresses():
    stored = interface("pune", "10.100.0.2/20", {})
    both = union(interface("pune", "10.100.0.99/20", {}), "pune", moving(pune="10.100.0.2"), stored)
    assert set(map(str, both["wg0"].addresses)) == {"10.100.0.2/20", "10.100.0.99/20"}


def test_its_hub_accepts_both_hosts():
    stored = interface("hq", "10.100.0.1/20", {SPOKE: "10.100.0.2/32 192.168.11.0/24"})
    wanted = interface("hq", "10.100.0.1/20", {SPOKE: "10.100.0.99/32 192.168.11.0/24"})
    both = union(wanted, "hq", moving(pune="10.100.0.2"), stored)
    assert allowed(both, SPOKE) == {"10.100.0.2/32", "10.100.0.99/32", "192.168.11.0/24"}


def test_a_spoke_keeps_the_old_overlay_prefix_while_the_overlay_is_renumbered():
    stored = interface("pune", "10.100.0.2/20", {HUB: "10.100.0.0/20 192.168.0.0/16"})
    wanted = interface("pune", "10.101.0.2/20", {HUB: "10.101.0.0/20 192.168.0.0/16"})
    both = union(wanted, "pune", moving(hq="10.100.0.1", pune="10.100.0.2"), stored)
    assert allowed(both, HUB) == {"10.100.0.0/20", "10.101.0.0/20", "192.168.0.0/16"}


def test_an_old_prefix_that_leads_nowhere_any_more_is_not_kept():
    stored = interface("pune", "10.100.0.2/20", {HUB: "10.100.0.0/20 172.16.0.0/12"})
    wanted = interface("pune", "10.101.0.2/20", {HUB: "10.101.0.0/20"})
    both = union(wanted, "pune", moving(hq="10.100.0.1", pune="10.100.0.2"), stored)
    assert allowed(both, HUB) == {"10.100.0.0/20", "10.101.0.0/20"}


def test_an_old_host_that_another_peer_gets_is_that_peers():
    stored = interface("hq", "10.100.0.1/20", {SPOKE: "10.100.0.2/32", OTHER: "10.100.0.3/32"})
    wanted = interface("hq", "10.100.0.1/20", {SPOKE: "10.100.0.99/32", OTHER: "10.100.0.2/32"})
    both = union(wanted, "hq", moving(pune="10.100.0.2", delhi="10.100.0.3"), stored)
    assert allowed(both, SPOKE) == {"10.100.0.99/32"}
    assert allowed(both, OTHER) == {"10.100.0.2/32", "10.100.0.3/32"}


def test_management_stays_open_to_the_jumps_old_address():
    def opened(source: str) -> Any:
        one = Management(22, frozenset({ip_network(source)}))
        return {one.identity: one}

    stored = interface("pune", "10.100.0.2/20", {}, openings=opened("10.100.0.1/32"))
    wanted = interface("pune", "10.100.0.2/20", {}, openings=opened("10.101.0.1/32"))
    both = union(wanted, "pune", moving(hq="10.100.0.1"), stored)
    (opening,) = both["wg0"].openings.values()
    assert isinstance(opening, Management)
    assert set(map(str, opening.sources)) == {"10.100.0.1/32", "10.101.0.1/32"}


def port_change(owner: str, old: int, new: int) -> dict[str, list[Change]]:
    one = interface(owner, "10.100.0.1/20", {})["wg0"]
    return {owner: [SetInterface(interface="wg0", old=replace(one, listen_port=old), wanted=replace(one, listen_port=new))]}


def fleet() -> Any:
    endpoint = Endpoint("198.51.100.10", 51820)
    return SimpleNamespace(routers={"hq": SimpleNamespace(endpoint=endpoint), "pune": SimpleNamespace(endpoint=None)})


def test_a_plan_says_that_no_two_ports_can_be_listened_on_and_what_to_do_instead():
    (said,) = unbridged(fleet(), port_change("hq", 51820, 51999))
    assert "a UDP socket has one port" in said
    assert "forward UDP 51999 to 51820" in said


def test_the_port_of_a_router_that_only_dials_is_nobodys_business():
    assert list(unbridged(fleet(), port_change("pune", 51820, 51999))) == []


def test_another_mtu_is_bridged_by_itself():
    assert list(unbridged(fleet(), port_change("hq", 51820, 51820))) == []


def test_a_first_address_is_no_move():
    assert not moves({"pune": ()}, {"pune": (ip_address("10.100.0.2"),)}, KEYS)
    assert not moves({"new": (ip_address("10.100.0.9"),)}, {"new": (ip_address("10.100.0.2"),)}, KEYS)


def turned(wanted: Mapping[Any, str], old: Mapping[Any, str]) -> dict[str, list[Change]]:
    """The changes of pune whose peers had these allowed IPs and shall have those."""
    before, after = (interface("pune", "10.100.0.2/20", peers)["wg0"].peers for peers in (old, wanted))
    gone: list[Change] = [RemovePeer(interface="wg0", old=before[key]) for key in before.keys() - after.keys()]
    new: list[Change] = [AddPeer(interface="wg0", wanted=after[key]) for key in after.keys() - before.keys()]
    kept = [SetPeer(interface="wg0", old=before[key], wanted=after[key]) for key in before.keys() & after.keys()]
    return {"pune": [*gone, *new, *kept]}


def test_a_plan_says_that_a_lan_which_changes_its_way_is_cut_until_both_ends_are_written():
    star = {HUB: "10.100.0.0/20 192.168.0.0/16"}
    mesh = {HUB: "10.100.0.1/32 192.168.1.0/24", OTHER: "10.100.0.3/32 192.168.30.0/24"}
    (said,) = unbridged(fleet(), turned(mesh, star))
    assert "pune: the way to 10.100.0.3/32 goes from peer" in said
    assert "and 1 more" in said


def test_so_it_says_on_the_way_back_where_one_prefix_covers_what_others_had():
    star = {HUB: "10.100.0.0/20 192.168.0.0/16"}
    mesh = {HUB: "10.100.0.1/32 192.168.1.0/24", OTHER: "10.100.0.3/32 192.168.30.0/24"}
    (said,) = unbridged(fleet(), turned(star, mesh))
    assert "pune: the way to 10.100.0.3/32 goes from peer" in said


def test_a_peer_that_gains_what_nobody_had_cuts_nothing():
    assert list(unbridged(fleet(), turned({HUB: "10.100.0.1/32 192.168.9.0/24"}, {HUB: "10.100.0.1/32"}))) == []
