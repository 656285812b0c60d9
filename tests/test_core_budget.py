"""What keeps planning of large fleets cheap, as facts that can be counted: sharing, laziness, constant cost."""

from __future__ import annotations

import ipaddress

from strategies import OVERLAY, desired_of, fleet_of, key, net

from fleet.changes import AddPeer, AddRoute
from fleet.diff import batches, diff
from fleet.driver import Limits
from fleet.model import Endpoint, Fleet, Router
from fleet.overlay import resolve_preshared

SITES = 60


def lan(number: int) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network((int(ipaddress.ip_address("172.16.0.0")) + number * 256, 24))


def mesh() -> Fleet:
    routers = (
        Router(f"r{i}", "wg-quick", endpoint=Endpoint(f"192.0.2.{i}", 51820), lans=(lan(i),)) for i in range(1, SITES + 1)
    )
    return fleet_of(*routers, topology="full-mesh")


def star(spokes: int) -> Fleet:
    hub = Router("hq", "wg-quick", role="hub", endpoint=Endpoint("hq.example.com", 51820))
    branches = (Router(f"r{i}", "mikrotik", lans=(lan(i),)) for i in range(spokes))
    return fleet_of(hub, *branches, ipv4=net("10.100.0.0/16"), lan_supernets=(net("172.16.0.0/12"),))


def test_a_mesh_holds_one_peer_object_per_router_and_not_one_per_pair() -> None:
    desired = desired_of(mesh())
    peers = [peer for name in desired.names for peer in desired.configuration(name)["wg0"].peers.values()]
    assert len(peers) == SITES * (SITES - 1)
    assert len(set(map(id, peers))) == SITES


def test_a_mesh_holds_one_route_object_per_lan() -> None:
    desired = desired_of(mesh())
    routes = [route for name in desired.names for route in desired.configuration(name)["wg0"].routes.values()]
    assert len(set(map(id, routes))) == SITES


def test_spokes_under_a_supernet_share_one_peer_for_their_hub() -> None:
    desired = desired_of(star(SITES))
    hubs = {id(desired.configuration(name)["wg0"].peers[key("hq")]) for name in desired.names if name != "hq"}
    assert len(hubs) == 1


def test_adding_a_spoke_is_the_same_two_changes_on_a_hub_of_ten_and_of_five_hundred() -> None:
    for size in (10, 500):
        before, after = (desired_of(star(spokes)).configuration("hq") for spokes in (size, size + 1))
        found = diff(before, None, after, OVERLAY, limits=Limits()).changes
        assert [type(change) for change in found] == [AddPeer, AddRoute]
        assert len(batches(found, Limits())) == 1


def test_preshared_keys_are_derived_for_the_configuration_that_is_asked_for_and_for_no_other(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from fleet import overlay
    from fleet.model import Secret

    asked = []
    monkeypatch.setattr(overlay, "derive_preshared_key", lambda *which: asked.append(which) or Secret("derived"))
    desired = desired_of(star(20))
    assert asked == []
    resolve_preshared(desired.configuration("r3"), Secret("fleet secret"))
    assert len(asked) == 1
