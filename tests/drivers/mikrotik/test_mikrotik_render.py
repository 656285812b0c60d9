"""Changes as RouterOS commands. Sections are of the vendor sheet."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from mikrotik_rows import DRIVER, HQ, MUMBAI, PUNE, TARGET, bare, hub, observe, render, sent, wg0

from fleet import (
    HIDDEN,
    ActivateKey,
    AddAddress,
    AddInterface,
    AddOpening,
    AddPeer,
    AddRoute,
    Endpoint,
    Management,
    Mark,
    Peer,
    Probe,
    Reply,
    Route,
    Secret,
    SetInterface,
    SetPeer,
    SetRoute,
    StageKey,
    Words,
)
from fleet.changes import Change, RemoveAddress, RemoveInterface, RemovePeer, RemoveRoute
from fleet.drivers.mikrotik.resolve import entry_for
from fleet.errors import Unsupported
from fleet.keys import new_private_key, public_key_of

SUBNET = ipaddress.ip_network("192.168.20.0/24")
ADDRESS = ipaddress.ip_interface("10.100.0.1/20")
NEW = public_key_of(new_private_key())
PSK = Secret("aGlkZGVuIGhpZGRlbiBoaWRkZW4gaGlkZGVuIGhpZGQ=")


def set_peer(**wanted: object) -> Change:
    """A change of the peer of pune."""
    old = wg0(hub()).peers[PUNE]
    return SetPeer(interface="wg0", old=old, wanted=replace(old, **wanted))  # type: ignore[arg-type]


# ---- interfaces
def test_a_new_interface_makes_its_own_key_and_always_gets_a_port() -> None:
    assert sent(observe(hub()), AddInterface(interface="wg1", wanted=bare("wg1"))) == [
        "/interface/wireguard/add name=wg1 listen-port=51820 mtu=1420 comment=fleet:acme:hq"
    ]


def test_a_key_from_escrow_is_sent_as_a_secret() -> None:
    change = AddInterface(interface="wg1", wanted=bare("wg1"))
    private_key = new_private_key()
    script = render(observe(hub()), (change,), private_keys={"wg1": private_key})
    (request,) = script.steps[0].requests
    assert isinstance(request, Words)
    assert dict(request.attributes)["private-key"] == private_key
    assert private_key.reveal() not in f"{script!r} {request.native()}"


def test_only_words_that_differ_are_set() -> None:
    old = wg0(hub())
    change = SetInterface(interface="wg0", old=old, wanted=replace(old, mtu=1412))
    assert sent(observe(hub()), change) == ["/interface/wireguard/set .id=*55 mtu=1412"]


def test_a_disabled_interface_is_enabled() -> None:
    menus = hub()
    menus["/interface/wireguard"][0]["disabled"] = "true"
    old = wg0(menus)
    change = SetInterface(interface="wg0", old=old, wanted=replace(old, disabled=False))
    assert sent(observe(menus), change) == ["/interface/wireguard/set .id=*55 disabled=no"]


def test_an_interface_that_is_claimed_keeps_its_comment() -> None:
    menus = hub()
    menus["/interface/wireguard"][0]["comment"] = "made by Raj"
    old = wg0(menus)
    change = SetInterface(interface="wg0", old=old, wanted=replace(old, mark=HQ))
    assert sent(observe(menus), change) == ['/interface/wireguard/set .id=*55 comment="made by Raj fleet:acme:hq"']


def test_a_new_key_goes_to_the_interface_by_name_before_it_has_an_id() -> None:
    script = render(observe(hub()), (ActivateKey(interface="wg9", key=NEW),), private_keys={"wg9": new_private_key()})
    assert script.steps[0].requests[0].native() == "/interface/wireguard/set .id=wg9 private-key=***"
    assert script.steps[0].interrupts == "interface"


def test_a_key_cannot_wait_beside_another() -> None:
    with pytest.raises(Unsupported, match="not possible"):
        sent(observe(hub()), StageKey(interface="wg0", key=NEW))


def test_the_contents_of_an_interface_leave_in_a_batch_before_it() -> None:
    observed = observe(hub())
    script = render(observed, (RemoveInterface(interface="wg0", old=observed.stored["wg0"]),))
    batches = [[request.native() for step in batch for request in step.requests] for batch in script.guarded]
    assert batches == [
        [
            "/interface/wireguard/peers/remove .id=*1,*2",
            "/ip/address/remove .id=*18",
            "/ip/route/remove .id=*4",
            "/ip/firewall/filter/remove .id=*A",
        ],
        ["/interface/wireguard/remove .id=*55"],
    ]


def test_a_foreign_route_through_our_interface_survives_it() -> None:
    menus = hub()
    menus["/ip/route"][1]["comment"] = "by hand"
    observed = observe(menus)
    script = render(observed, (RemoveInterface(interface="wg0", old=observed.stored["wg0"]),))
    assert not any("/ip/route" in request.native() for step in script.steps for request in step.requests)


# ---- addresses and routes
def test_addresses_are_added_with_our_mark() -> None:
    menus = hub()
    menus["/ip/address"].pop()
    assert sent(observe(menus), AddAddress(interface="wg0", address=ADDRESS)) == [
        "/ip/address/add address=10.100.0.1/20 interface=wg0 comment=fleet:acme:hq"
    ]


def test_an_ipv6_address_is_not_advertised_into_the_tunnel() -> None:
    change = AddAddress(interface="wg0", address=ipaddress.ip_interface("fd10:100::1/64"))
    assert sent(observe(hub()), change) == [
        "/ipv6/address/add address=fd10:100::1/64 interface=wg0 advertise=no comment=fleet:acme:hq"
    ]


def test_a_disabled_address_is_enabled_and_not_added_twice() -> None:
    menus = hub()
    menus["/ip/address"][2]["disabled"] = "true"
    assert sent(observe(menus), AddAddress(interface="wg0", address=ADDRESS)) == [
        "/ip/address/set .id=*18 disabled=no comment=fleet:acme:hq"
    ]


def test_addresses_are_removed_by_the_id_of_this_read() -> None:
    assert sent(observe(hub()), RemoveAddress(interface="wg0", address=ADDRESS)) == ["/ip/address/remove .id=*18"]


def test_routes_go_through_the_interface_and_name_the_other_end() -> None:
    route = Route(ipaddress.ip_network("192.168.30.0/24"), Mark("acme", "pune", 2))
    assert sent(observe(hub()), AddRoute(interface="wg0", wanted=route)) == [
        "/ip/route/add dst-address=192.168.30.0/24 gateway=wg0 comment=fleet:acme:pune:2"
    ]


def test_a_disabled_route_of_ours_is_enabled() -> None:
    menus = hub()
    menus["/ip/route"][1]["disabled"] = "true"
    route = Route(SUBNET, Mark("acme", "mumbai"))
    assert sent(observe(menus), AddRoute(interface="wg0", wanted=route)) == [
        "/ip/route/set .id=*4 disabled=no comment=fleet:acme:mumbai"
    ]


def test_a_route_that_moves_to_another_router_only_changes_its_mark() -> None:
    change = SetRoute(interface="wg0", old=Route(SUBNET, Mark("acme", "mumbai")), wanted=Route(SUBNET, Mark("acme", "pune")))
    assert sent(observe(hub()), change) == ["/ip/route/set .id=*4 comment=fleet:acme:pune"]


def test_removing_our_route_leaves_a_second_one_by_hand() -> None:
    menus = hub()
    menus["/ip/route"].append({".id": "*9", "dst-address": "192.168.20.0/24", "gateway": "wg0", "comment": "by hand"})
    change = RemoveRoute(interface="wg0", old=Route(SUBNET, Mark("acme", "mumbai")))
    assert sent(observe(menus), change) == ["/ip/route/remove .id=*4"]


# ---- peers
def test_a_new_peer_gets_everything_at_once() -> None:
    peer = Peer(NEW, frozenset({SUBNET}), Endpoint("2001:db8::7", 51820), 25, PSK, Mark("acme", "nagpur"))
    script = render(observe(hub()), (AddPeer(interface="wg0", wanted=peer),))
    assert script.steps[0].requests[0].native() == (
        f"/interface/wireguard/peers/add interface=wg0 public-key={NEW} allowed-address=192.168.20.0/24 "
        "endpoint-address=2001:db8::7 endpoint-port=51820 persistent-keepalive=25s preshared-key=*** comment=fleet:acme:nagpur"
    )
    assert PSK.reveal() not in repr(script)


def test_a_roaming_peer_gets_no_endpoint_and_no_keepalive() -> None:
    peer = Peer(NEW, frozenset({SUBNET}), mark=Mark("acme", "nagpur"))
    (line,) = sent(observe(hub()), AddPeer(interface="wg0", wanted=peer))
    assert line.endswith(f" interface=wg0 public-key={NEW} allowed-address=192.168.20.0/24 comment=fleet:acme:nagpur")


@pytest.mark.parametrize(
    ("wanted", "words", "interrupts"),
    [
        ({"endpoint": None}, "endpoint-address= endpoint-port=0", "peer"),
        ({"endpoint": Endpoint("198.51.100.7", 443)}, "endpoint-address=198.51.100.7 endpoint-port=443", "peer"),
        ({"persistent_keepalive": 0}, "persistent-keepalive=0", "nothing"),
        ({"persistent_keepalive": 15}, "persistent-keepalive=15s", "nothing"),
        ({"preshared_key": PSK}, "preshared-key=***", "peer"),
        ({"allowed_ips": frozenset({SUBNET})}, "allowed-address=192.168.20.0/24", "nothing"),
        ({"mark": Mark("acme", "pune", 3)}, "comment=fleet:acme:pune:3", "nothing"),
        ({"disabled": True}, "disabled=yes", "peer"),
    ],
)
def test_a_peer_is_set_word_by_word(wanted: dict[str, object], words: str, interrupts: str) -> None:
    script = render(observe(hub()), (set_peer(**wanted),))
    assert [request.native() for request in script.steps[0].requests] == [f"/interface/wireguard/peers/set .id=*2 {words}"]
    assert script.steps[0].interrupts == interrupts


def test_a_preshared_key_is_cleared_with_the_empty_word() -> None:
    old = wg0(hub()).peers[MUMBAI]
    change = SetPeer(interface="wg0", old=old, wanted=replace(old, preshared_key=None))
    assert sent(observe(hub()), change) == ["/interface/wireguard/peers/set .id=*1 preshared-key="]


def test_a_hidden_preshared_key_is_not_touched_when_something_else_changes() -> None:
    old = wg0(hub()).peers[MUMBAI]
    assert old.preshared_key is HIDDEN
    change = SetPeer(interface="wg0", old=old, wanted=replace(old, preshared_key=PSK, persistent_keepalive=25))
    assert sent(observe(hub()), change) == ["/interface/wireguard/peers/set .id=*1 persistent-keepalive=25s"]


def test_peers_are_removed_by_interface_and_key() -> None:
    old = wg0(hub()).peers[MUMBAI]
    assert sent(observe(hub()), RemovePeer(interface="wg0", old=old)) == ["/interface/wireguard/peers/remove .id=*1"]


def test_a_peer_that_has_no_id_yet_is_left_to_the_next_pass() -> None:
    old = Peer(NEW, frozenset({SUBNET}))
    change = SetPeer(interface="wg0", old=old, wanted=replace(old, persistent_keepalive=25))
    (step,) = render(observe(hub()), (change,)).steps
    assert (step.requests, step.covers) == ((), (change,))
    assert "next pass" in step.summary


# ---- the whole script
def test_every_change_is_in_exactly_one_step_and_the_order_of_batches_is_kept() -> None:
    observed = observe(hub())
    peer = Peer(NEW, frozenset({SUBNET}), mark=Mark("acme", "nagpur"))
    first: tuple[Change, ...] = (
        set_peer(allowed_ips=frozenset()),
        RemoveInterface(interface="wg0", old=observed.stored["wg0"]),
    )
    second: tuple[Change, ...] = (
        AddPeer(interface="wg0", wanted=peer),
        AddOpening(interface="wg0", wanted=Management(8729, frozenset({ipaddress.ip_network("10.100.0.9/32")}))),
    )
    script = render(observed, first, second)
    assert [change for step in script.steps for change in step.covers] == [*first, *second]
    assert len(script.guarded) == 4


def test_rendering_is_pure() -> None:
    observed = observe(hub())
    changes = (set_peer(persistent_keepalive=0), AddRoute(interface="wg0", wanted=Route(SUBNET, Mark("acme", "pune"))))
    assert render(observed, changes) == render(observed, changes)


# ---- named endpoints
def test_named_endpoints_are_resolved_again_by_a_scheduler_entry_of_ours() -> None:
    menus = hub()
    old = wg0(menus)
    assert not old.reresolve
    (line,) = sent(observe(menus), SetInterface(interface="wg0", old=old, wanted=replace(old, reresolve=True)))
    assert line.startswith('/system/scheduler/add name=fleet-acme-wg0-reresolve interval=30s on-event="')
    assert line.endswith('policy=read,write comment="fleet:acme:hq wg0 reresolve"')


def test_the_entry_reads_back_as_re_resolution() -> None:
    menus = hub()
    menus["/system/scheduler"].append({**dict(entry_for(HQ, "wg0")), ".id": "*2", "disabled": "false", "interval": "00:00:30"})
    assert wg0(menus).reresolve


@pytest.mark.parametrize("changed", [{"disabled": "true"}, {"on-event": ":log info x"}, {"policy": "read"}, {"interval": "1d"}])
def test_an_entry_that_somebody_changed_is_repaired(changed: dict[str, str]) -> None:
    menus = hub()
    menus["/system/scheduler"].append({**dict(entry_for(HQ, "wg0")), ".id": "*2", **changed})
    old = wg0(menus)
    assert not old.reresolve
    (line,) = sent(observe(menus), SetInterface(interface="wg0", old=old, wanted=replace(old, reresolve=True)))
    assert line.startswith("/system/scheduler/set .id=*2 interval=30s on-event=")
    assert line.endswith("disabled=no")


def test_the_entry_goes_when_no_endpoint_is_a_name_any_more() -> None:
    menus = hub()
    menus["/system/scheduler"].append({**dict(entry_for(HQ, "wg0")), ".id": "*2"})
    old = wg0(menus)
    change = SetInterface(interface="wg0", old=old, wanted=replace(old, reresolve=False))
    assert sent(observe(menus), change) == ["/system/scheduler/remove .id=*2"]


def test_a_foreign_scheduler_entry_is_not_ours() -> None:
    menus = hub()
    old = wg0(menus)
    change = SetInterface(interface="wg0", old=replace(old, reresolve=True), wanted=replace(old, reresolve=False))
    assert sent(observe(menus), change) == []


def test_the_braces_of_the_script_are_balanced() -> None:
    script = dict(entry_for(HQ, "wg0"))["on-event"]
    assert [script.count(each) for each in "{[("] == [script.count(each) for each in "}])"]


# ---- tools
def test_a_ping_counts_headers_in_its_size() -> None:
    ask = DRIVER.probe(
        Probe(ipaddress.ip_address("192.168.20.1"), ipaddress.ip_address("192.168.1.1"), 1392, 2), observe(hub())
    )
    assert ask is not None
    assert ask.requests[0].native() == "/ping address=192.168.20.1 src-address=192.168.1.1 size=1420 count=2"


def test_a_ping_is_read_from_its_last_row() -> None:
    ask = DRIVER.probe(Probe(ipaddress.ip_address("192.168.20.1")), observe(hub()))
    assert ask is not None
    rows = (
        {"seq": "0", "time": "12ms345us", "sent": "1", "received": "1", "avg-rtt": "12ms345us"},
        {"seq": "1", "status": "timeout", "sent": "2", "received": "1", "packet-loss": "50", "avg-rtt": "12ms345us"},
    )
    result = ask.parse((Reply(rows=rows),))
    assert (result.sent, result.received, result.milliseconds) == (2, 1, pytest.approx(12.345))


def test_a_ping_that_nobody_answers_has_no_round_trip() -> None:
    ask = DRIVER.probe(Probe(ipaddress.ip_address("192.168.20.1"), count=1), observe(hub()))
    assert ask is not None
    result = ask.parse((Reply(rows=({"seq": "0", "status": "timeout", "sent": "1", "received": "0"},)),))
    assert (result.sent, result.received, result.milliseconds) == (1, 0, None)


def test_a_handshake_is_forced_by_one_command_so_that_a_lost_connection_leaves_no_disabled_peer() -> None:
    requests = DRIVER.rehandshake("wg0", wg0(hub()).peers[MUMBAI], observe(hub()))
    assert requests is not None
    (request,) = requests
    assert str(MUMBAI) in request.native()
    assert request.native().index("disable") < request.native().rindex("enable")


def test_the_account_commands_hold_no_password() -> None:
    text = DRIVER.account("fleet")
    assert text is not None
    assert "policy=read,write,api,test" in text
    assert text.endswith("password=")


def test_the_driver_says_what_it_cannot_do() -> None:
    limits = DRIVER.limits
    assert (limits.unit, limits.guard, limits.stages_keys, limits.empty_allowed_ips) == ("item", "emulated", False, False)
    assert limits.forbidden(StageKey(interface="wg0", key=NEW)) is not None
    assert TARGET.overlay == "acme"
