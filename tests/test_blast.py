"""Removals so wide that they are more likely an error than an intention need --force, and the refusal says the numbers."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from dataclasses import replace

from fleet.blast import refusals
from fleet.changes import AddPeer, RemovePeer
from fleet.model import Fleet, Interface, Mark, Overlay, Peer, PublicKey, Router


def key(name: str) -> PublicKey:
    return PublicKey(base64.b64encode(hashlib.sha256(name.encode()).digest()).decode())


def peer(name: str) -> Peer:
    return Peer(key(name), mark=Mark("acme", name))


def fleet_of(spokes: int, gone: int = 0) -> Fleet:
    routers = {"hq": Router("hq", "wg-quick", "hub")}
    routers |= {f"s{n}": Router(f"s{n}", "mikrotik", enabled=n >= gone) for n in range(spokes)}
    return Fleet(Overlay("acme", ipv4=ipaddress.IPv4Network("10.0.0.0/16")), routers)


def holds(*names: str) -> dict[str, Interface]:
    return {"wg0": Interface("wg0", peers={key(name): peer(name) for name in names})}


def removes(*names: str) -> tuple[RemovePeer, ...]:
    return tuple(RemovePeer(interface="wg0", old=peer(name)) for name in names)


SPOKES = tuple(f"s{n}" for n in range(10))


def said(fleet: Fleet, changes, stored, **options) -> str:
    return "\n".join(map(str, refusals(fleet, changes, stored, **options)))


def test_more_than_thirty_percent_of_an_interfaces_peers_need_force():
    text = said(fleet_of(40), {"hq": removes(*SPOKES[:4])}, {"hq": holds(*SPOKES)})
    assert "hq: 4 of 10 peers of wg0 would be removed (40 %, limit 30 %)" in text
    assert "--force" in text


def test_two_peers_are_never_too_many():
    assert said(fleet_of(40), {"hq": removes("s0", "s1")}, {"hq": holds("s0", "s1", "s2")}) == ""


def test_three_of_ten_are_thirty_percent_and_not_more():
    assert said(fleet_of(40), {"hq": removes(*SPOKES[:3])}, {"hq": holds(*SPOKES)}) == ""


def test_more_than_ten_percent_of_the_fleet_leaving_needs_force():
    names = tuple(f"s{n}" for n in range(20))
    text = said(fleet_of(20, gone=3), {"hq": removes(*names[:3])}, {"hq": holds(*names)})
    assert "3 of 21 routers would leave the fleet (14 %, limit 10 %)" in text


def test_the_last_tunnel_of_an_enabled_router_needs_force():
    text = said(fleet_of(3), {"s1": removes("hq")}, {"s1": holds("hq")})
    assert "s1: its last tunnel on wg0 would be removed" in text


def test_a_tunnel_that_is_replaced_in_the_same_plan_is_not_the_last():
    both = (*removes("hq"), AddPeer(interface="wg0", wanted=peer("hq2")))
    assert "last tunnel" not in said(fleet_of(3), {"s1": both}, {"s1": holds("hq")})


def test_removing_a_hub_needs_force():
    assert "hub hq would be removed from 2 routers" in said(
        fleet_of(3), {"s1": removes("hq"), "s2": removes("hq")}, {"s1": holds("hq", "s2"), "s2": holds("hq", "s1")}
    )


def test_what_the_command_itself_asked_for_is_consent():
    assert said(fleet_of(40), {"hq": removes(*SPOKES[:4])}, {"hq": holds(*SPOKES)}, consented=frozenset(SPOKES)) == ""


def test_foreign_peers_do_not_make_the_last_path():
    stored = holds("hq")
    foreign = replace(stored["wg0"], peers={**stored["wg0"].peers, key("x"): Peer(key("x"))})
    assert "last tunnel" in said(fleet_of(3), {"s1": removes("hq")}, {"s1": {"wg0": foreign}})
