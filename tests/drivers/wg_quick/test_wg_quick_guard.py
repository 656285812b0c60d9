"""The guard against the real wg, ip, nft and wg-quick: what is not confirmed is undone by the router itself."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from test_wg_quick_host import (
    DROPPING,
    FAR,
    LAN,
    both,
    build,
    build_known,
    connect,
    handshake,
    hub,
    mumbai,
    openings,
)
from wg_quick_guard import confirm, files, guarded, running, trip, write
from wg_quick_host import DRIVER, Host, created, host, key, mark, plan, private_key, wait_for

from fleet import (
    ActivateKey,
    AddOpening,
    AddPeer,
    ClampMss,
    Endpoint,
    Interface,
    KeyOf,
    ListenPort,
    Peer,
    Rejected,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    Route,
    SetInterface,
    SetPeer,
    StageKey,
)
from fleet.changes import AddAddress, AddRoute, Change, RemoveAddress
from fleet.link import Exec

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ONE, TWO = ipaddress.ip_interface("10.100.0.1/20"), ipaddress.ip_interface("10.100.0.2/20")


@pytest.fixture
def hq() -> Iterator[Host]:
    with host() as router:
        router.run("nft -f -", DROPPING)
        yield router


def pune() -> Peer:
    allowed = frozenset({ipaddress.ip_network("10.100.0.3/32")})
    return Peer(key(2), allowed, Endpoint("192.0.2.7", 51820), 25, private_key(8), mark("pune"))


def everything(old: Interface) -> tuple[tuple[Change, ...], Interface]:
    """Changes of every kind that an interface can bear while it stays, and what they make of it."""
    kept = {identity: opening for identity, opening in old.openings.items() if identity != "forward/tunnel-tunnel"}
    new_port = ListenPort(51999)
    moved = mumbai(endpoint=Endpoint("192.0.2.9", 1), allowed_ips=frozenset({FAR}))
    wanted = replace(
        old,
        mtu=1300,
        listen_port=51999,
        addresses=frozenset({TWO}),
        peers={**old.peers, key(1): moved, key(2): pune()},
        routes={LAN: Route(LAN, mark("pune"))},
        openings={**kept, new_port.identity: new_port},
    )
    changes = (
        SetInterface(interface="wg0", old=old, wanted=wanted),
        AddAddress(interface="wg0", address=TWO),
        RemoveAddress(interface="wg0", address=ONE),
        SetPeer(interface="wg0", old=old.peers[key(1)], wanted=moved),
        AddPeer(interface="wg0", wanted=pune()),
        RemoveRoute(interface="wg0", old=old.routes[FAR]),
        AddRoute(interface="wg0", wanted=Route(LAN, mark("pune"))),
        AddOpening(interface="wg0", wanted=new_port),
        RemoveOpening(interface="wg0", old=old.openings["forward/tunnel-tunnel"]),
    )
    return changes, wanted


def built(router: Host) -> Interface:
    """A hub with openings and a peer that somebody else put into its kernel."""
    wanted = build(router, hub(openings=openings()))
    router.run(f"wg set wg0 peer {key(8)} allowed-ips 10.100.7.7/32 persistent-keepalive 9")
    return wanted


def armed(router: Host) -> bool:
    return router.observe().guard is not None


# ------------------------------------------------------------------------------------------------------- the window
def test_under_guard_only_what_runs_changes_and_no_saved_file(hq: Host) -> None:
    old = built(hq)
    before = files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    assert "fleet-next-acme" in files(hq)
    hq.run("mkdir /run/aside; mv /etc/wireguard/fleet-next-acme /run/aside")
    assert files(hq) == before
    hq.run("mv /run/aside/fleet-next-acme /etc/wireguard")
    stored, runs = both(hq)
    assert stored == old
    assert replace(runs, peers={name: peer for name, peer in runs.peers.items() if name != key(8)}) == wanted


def test_what_waits_to_be_saved_is_for_root_alone(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    modes = hq.run(
        "stat -c %a /etc/wireguard/fleet-next-acme /etc/wireguard/fleet-next-acme/wg0.conf /run/fleet /run/fleet/guard-acme"
    )
    assert modes.split() == ["700", "600", "700", "700"]


def test_the_armed_undo_is_seen_with_its_plan_and_the_seconds_left(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted, window=60))
    guard = hq.observe().guard
    assert guard is not None
    assert guard.plan_id == "p1"
    assert guard.fires_in is not None
    assert 50 <= guard.fires_in <= 60


def test_unconfirmed_everything_is_as_it_was_by_itself(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted, window=2))
    assert running(hq) != before
    wait_for(lambda: not armed(hq), "the guard fires")
    assert (running(hq), files(hq)) == (before, saved)


def test_tripped_everything_is_as_it_was_at_once(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    trip(hq)
    assert (running(hq), files(hq), armed(hq)) == (before, saved, False)


def test_confirmed_the_change_is_saved_and_starts_again_with_the_router(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    hq.run(f"wg set wg0 peer {key(8)} remove")
    write(hq, guarded(hq, *changes, desired=wanted))
    confirm(hq)
    assert (both(hq), armed(hq), hq.observe().leftovers) == ((wanted, wanted), False, ())
    hq.run("wg-quick down wg0; wg-quick up wg0")
    assert both(hq) == (wanted, wanted)


def test_confirmed_nothing_waits_on_the_router_any_more(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted, window=60))
    confirm(hq)
    assert "next" not in hq.run("ls /etc/wireguard; ls /run/fleet")
    wait_for(lambda: not hq.processes("fire.sh"), "the timer is gone")


def test_a_power_cut_in_the_window_reverts(hq: Host) -> None:
    old = built(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    for pid in hq.processes("fire.sh") + hq.processes("sleep 60 "):
        os.kill(pid, signal.SIGKILL)
    hq.run("ip link del wg0; nft flush ruleset; umount /run; mount -t tmpfs tmpfs /run")
    hq.run("nft -f -", DROPPING)
    hq.run("sh /etc/rc.local; for n in 1 2 3 4 5 6 7 8 9; do ip link show wg0 >/dev/null 2>&1 && break; sleep 0.2; done")
    wait_for(lambda: both(hq) == (old, old), "the old configuration")
    assert hq.observe().guard is None


def test_what_a_power_cut_left_on_the_disk_is_told_and_goes_with_the_cleanup(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    for pid in hq.processes("fire.sh") + hq.processes("sleep 60 "):
        os.kill(pid, signal.SIGKILL)
    hq.run("umount /run; mount -t tmpfs tmpfs /run")
    seen = hq.observe()
    assert "fleet-next-acme" in seen.leftovers[0]
    (batch,) = DRIVER.render(plan(target=hq.target), seen).cleanup
    hq.send_all(batch[0].requests)
    assert hq.observe().leftovers == ()


# ----------------------------------------------------------------------------------------------- sessions and others
def test_a_session_that_the_change_does_not_concern_lives_through_change_and_undo(hq: Host) -> None:
    wanted = build_known(hq, hub(connect(hq), mumbai(), openings=openings()))
    first = handshake(hq)
    after = replace(wanted, peers={**wanted.peers, key(2): pune()})
    changes = (AddPeer(interface="wg0", wanted=pune()), RemovePeer(interface="wg0", old=mumbai()))
    write(hq, guarded(hq, *changes, desired=after))
    trip(hq)
    assert handshake(hq) == first
    assert set(both(hq)[1].peers) == {key(1), key(5)}


def test_a_peer_that_comes_back_has_the_endpoint_it_had_learned(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.run(f"wg set wg0 peer {key(1)} endpoint 192.0.2.77:4444")
    write(hq, guarded(hq, RemovePeer(interface="wg0", old=mumbai()), desired=wanted))
    trip(hq)
    assert "192.0.2.77:4444" in hq.run("wg show wg0 endpoints")


def test_a_peer_that_was_dialled_elsewhere_is_dialled_where_it_was(hq: Host) -> None:
    old = mumbai(endpoint=Endpoint("192.0.2.1", 51820))
    wanted = build(hq, hub(old))
    hq.run(f"wg set wg0 peer {key(1)} endpoint 192.0.2.77:4444")
    moved = replace(old, endpoint=Endpoint("192.0.2.2", 1))
    write(hq, guarded(hq, SetPeer(interface="wg0", old=old, wanted=moved), desired=wanted))
    assert "192.0.2.2:1" in hq.run("wg show wg0 endpoints")
    trip(hq)
    assert "192.0.2.77:4444" in hq.run("wg show wg0 endpoints")


def test_a_keepalive_and_a_preshared_key_that_came_with_the_plan_go_again(hq: Host) -> None:
    old = mumbai(preshared_key=None)
    wanted = build(hq, hub(old))
    changed = replace(old, persistent_keepalive=25, preshared_key=private_key(6))
    write(hq, guarded(hq, SetPeer(interface="wg0", old=old, wanted=changed), desired=wanted))
    assert both(hq)[1].peers[key(1)] == changed
    trip(hq)
    assert both(hq)[1].peers[key(1)] == old


def test_what_others_do_in_the_window_survives_the_undo(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    hq.run(f"wg set wg0 peer {key(9)} allowed-ips 10.100.8.8/32; wg set wg0 peer {key(8)} persistent-keepalive 11")
    hq.run("ip addr add 10.100.5.5/32 dev wg0; ip route add 172.16.0.0/12 dev wg0")
    hq.run('nft add rule inet firewall input udp dport 99 accept comment \\"mine\\"')
    trip(hq)
    runs = both(hq)[1]
    assert runs.peers[key(9)].allowed_ips == {ipaddress.ip_network("10.100.8.8/32")}
    assert runs.peers[key(8)].persistent_keepalive == 11
    assert ipaddress.ip_interface("10.100.5.5/32") in runs.addresses
    assert "172.16.0.0/12" in hq.run("ip route")
    assert '"mine"' in hq.run("nft list ruleset")


def test_a_route_of_others_that_the_plan_replaced_comes_back(hq: Host) -> None:
    wanted = build(hq, hub(routes={}))
    hq.run("ip tuntap add lan0 mode tun; ip addr add 172.20.0.1/24 dev lan0; ip link set up dev lan0")
    hq.run(f"ip route add {FAR} via 172.20.0.9 dev lan0")
    before = hq.run("ip route")
    write(hq, guarded(hq, AddRoute(interface="wg0", wanted=Route(FAR, mark("mumbai"))), desired=wanted))
    assert hq.run("ip route") != before
    trip(hq)
    assert hq.run("ip route") == before


def test_forwarding_that_the_plan_switched_on_is_off_again(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.run("echo 0 >/proc/sys/net/ipv4/ip_forward")
    forward = openings()["forward/tunnel-tunnel"]
    write(hq, guarded(hq, AddOpening(interface="wg0", wanted=forward), desired=wanted))
    assert hq.read("/proc/sys/net/ipv4/ip_forward") == b"1\n"
    trip(hq)
    assert hq.read("/proc/sys/net/ipv4/ip_forward") == b"0\n"


# ------------------------------------------------------------------------------------------- keys and interfaces
def test_a_key_that_was_switched_under_guard_is_the_previous_one_again(hq: Host) -> None:
    old = build(hq, hub())
    hq.apply(StageKey(interface="wg0", key=key(4)), desired=old, keys={"wg0": private_key(4)})
    before, saved = running(hq), files(hq)
    write(hq, guarded(hq, ActivateKey(interface="wg0", key=key(4)), desired=replace(old, public_key=key(4))))
    stored, runs = both(hq)
    assert (stored.public_key, stored.staged_key, runs.public_key, runs.staged_key) == (old.public_key, key(4), key(4), None)
    trip(hq)
    assert (running(hq), files(hq)) == (before, saved)


def test_a_key_that_was_switched_and_confirmed_stays_without_its_predecessor(hq: Host) -> None:
    old = build(hq, hub())
    hq.apply(StageKey(interface="wg0", key=key(4)), desired=old, keys={"wg0": private_key(4)})
    wanted = replace(old, public_key=key(4))
    write(hq, guarded(hq, ActivateKey(interface="wg0", key=key(4)), desired=wanted))
    confirm(hq)
    assert (both(hq), hq.observe().leftovers) == ((wanted, wanted), ())
    assert hq.run("ls /etc/wireguard").split() == ["fleet-wg0.list", "fleet-wg0.sh", "wg0.conf", "wg0.key"]


def test_a_key_staged_in_one_pass_is_switched_in_the_next_under_the_same_guard(hq: Host) -> None:
    old = build(hq, hub())
    saved = files(hq)
    write(hq, guarded(hq, StageKey(interface="wg0", key=KeyOf("hq")), desired=old))
    staged = both(hq)[1].staged_key
    assert staged is not None
    assert not isinstance(staged, KeyOf)
    write(hq, guarded(hq, ActivateKey(interface="wg0", key=staged), desired=old, arm=False))
    assert both(hq)[1].public_key == staged
    trip(hq)
    assert files(hq) == saved
    assert both(hq) == (old, old)


def test_an_interface_that_came_with_the_plan_goes_with_the_undo(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    second = hub(name="wg1", listen_port=51821, addresses=frozenset({TWO}), routes={LAN: Route(LAN)}, openings=openings())
    made = replace(plan(*created(second), target=hq.target), desired={"wg0": old, "wg1": second}, confirm_within=60, arm=True)
    write(hq, DRIVER.render(made, hq.observe()))
    seen = hq.observe()
    assert seen.running is not None
    assert "wg1" not in seen.stored
    assert replace(seen.running["wg1"], public_key=second.public_key) == second
    trip(hq)
    assert (running(hq), files(hq)) == (before, saved)


def test_an_interface_that_came_with_the_plan_and_was_confirmed_starts_with_the_router(hq: Host) -> None:
    second = hub(name="wg1", listen_port=51821, addresses=frozenset({TWO}), routes={LAN: Route(LAN)}, openings=openings())
    write(hq, guarded(hq, *created(second), desired=second))
    confirm(hq)
    hq.run("wg-quick down wg1; wg-quick up wg1")
    seen = hq.observe()
    assert seen.running is not None
    assert seen.stored["wg1"] == seen.running["wg1"] == replace(second, public_key=seen.stored["wg1"].public_key)
    assert "wg-quick up wg1" in hq.run("cat /etc/rc.local")


def test_an_interface_removed_under_guard_comes_back(hq: Host) -> None:
    old = built(hq)
    saved = files(hq)
    write(hq, guarded(hq, RemoveInterface(interface="wg0", old=old)))
    assert hq.observe().running == {}
    assert files(hq) == saved
    trip(hq)
    assert both(hq) == (old, old)


def test_an_interface_removed_and_confirmed_leaves_nothing(hq: Host) -> None:
    before = hq.run("nft list ruleset")
    old = build(hq, hub(openings=openings(), reresolve=True))
    write(hq, guarded(hq, RemoveInterface(interface="wg0", old=old)))
    confirm(hq)
    assert hq.run("ls -A /etc/wireguard; ls /sys/class/net; grep wg0 /etc/rc.local; true") == "lo\n"
    assert hq.run("nft list ruleset") == before


def test_a_disabled_interface_comes_back_up(hq: Host) -> None:
    old = build(hq, hub())
    after = replace(old, disabled=True)
    write(hq, guarded(hq, SetInterface(interface="wg0", old=old, wanted=after), desired=after))
    stored, runs = both(hq)
    assert (stored.disabled, runs.disabled, hq.run("ls /sys/class/net")) == (False, True, "lo\n")
    trip(hq)
    assert both(hq) == (old, old)


def test_several_interfaces_are_undone_together(hq: Host) -> None:
    first = build(hq, hub())
    second = hub(name="wg1", listen_port=51821, addresses=frozenset({TWO}), routes={}, peers={})
    hq.apply(*created(second), desired=second)
    before, saved = running(hq), files(hq)
    changes = (
        RemovePeer(interface="wg0", old=mumbai()),
        AddPeer(interface="wg1", wanted=pune()),
        AddOpening(interface="wg1", wanted=ListenPort(51821)),
    )
    made = replace(plan(*changes, target=hq.target), desired={"wg0": first, "wg1": second}, confirm_within=60, arm=True)
    write(hq, DRIVER.render(made, hq.observe()))
    assert running(hq) != before
    trip(hq)
    assert (running(hq), files(hq)) == (before, saved)


def test_a_second_pass_adds_to_what_waits_and_one_confirm_saves_both(hq: Host) -> None:
    old = build(hq, hub())
    write(hq, guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=old))
    route = Route(LAN, mark("pune"))
    write(hq, guarded(hq, AddRoute(interface="wg0", wanted=route), desired=old, arm=False))
    confirm(hq)
    wanted = replace(old, peers={**old.peers, key(2): pune()}, routes={**old.routes, LAN: route})
    assert both(hq) == (wanted, wanted)


def test_re_resolving_starts_with_the_confirm(hq: Host) -> None:
    old = build(hq, hub())
    wanted = replace(old, reresolve=True)
    write(hq, guarded(hq, SetInterface(interface="wg0", old=old, wanted=wanted), desired=wanted))
    assert both(hq)[1].reresolve
    assert hq.processes("fleet-wg0.sh loop") == []
    confirm(hq)
    assert hq.processes("fleet-wg0.sh loop") != []
    assert both(hq) == (wanted, wanted)


# ------------------------------------------------------------------------------------------------------ who wins
def test_a_confirm_after_the_guard_fired_is_refused_and_saves_nothing(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted, window=3))
    wait_for(lambda: not armed(hq), "the guard fires")
    with pytest.raises(Rejected, match="nothing was saved"):
        confirm(hq)
    assert (running(hq), files(hq)) == (before, saved)


def test_a_confirm_repeated_because_its_answer_was_lost_is_done(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    confirm(hq)
    saved = files(hq)
    confirm(hq)
    assert files(hq) == saved


def test_what_was_confirmed_cannot_be_tripped(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    confirm(hq)
    saved, runs = files(hq), running(hq)
    with pytest.raises(Rejected, match="nothing was undone"):
        trip(hq)
    assert (files(hq), running(hq)) == (saved, runs)


def test_a_trip_of_what_was_undone_already_is_done(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    write(hq, guarded(hq, *changes, desired=wanted))
    trip(hq)
    trip(hq)


def test_a_second_plan_is_refused_while_a_guard_is_armed(hq: Host) -> None:
    old = built(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    runs = running(hq)
    with pytest.raises(Rejected, match=r"guard of another run is armed.*plan p1"):
        write(hq, guarded(hq, RemovePeer(interface="wg0", old=mumbai()), desired=wanted, plan_id="p2"))
    assert running(hq) == runs


def test_an_unguarded_write_is_refused_while_a_guard_is_armed(hq: Host) -> None:
    old = built(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    with pytest.raises(Rejected, match="guard of another run is armed"):
        hq.apply(RemovePeer(interface="wg0", old=mumbai()), desired=wanted)


def test_a_later_pass_after_the_guard_fired_is_refused_and_changes_nothing(hq: Host) -> None:
    old = built(hq)
    before = running(hq)
    write(hq, guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=old, window=3))
    late = guarded(hq, RemovePeer(interface="wg0", old=mumbai()), desired=old, arm=False)
    wait_for(lambda: not armed(hq), "the guard fires")
    with pytest.raises(Rejected, match="fired"):
        write(hq, late)
    assert running(hq) == before


def test_a_new_handshake_can_be_forced_while_the_guard_is_armed(hq: Host) -> None:
    far = connect(hq)
    wanted = build_known(hq, hub(far))
    write(hq, guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=wanted))
    seen = hq.observe()
    requests = DRIVER.rehandshake("wg0", far, seen)
    assert requests is not None
    hq.send_all(requests)
    assert armed(hq)


def test_a_left_over_guard_is_tripped_by_the_name_of_its_own_plan(hq: Host) -> None:
    old = built(hq)
    before = running(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted, plan_id="dead-run"))
    hq.send_all(DRIVER.render(replace(plan(target=hq.target), plan_id="p2"), hq.observe()).trip)
    assert (running(hq), armed(hq)) == (before, False)


def test_a_file_that_somebody_edited_in_the_window_is_not_overwritten(hq: Host) -> None:
    old = built(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    hq.run("echo '# somebody was here' >>/etc/wireguard/wg0.conf")
    edited = hq.read("/etc/wireguard/wg0.conf")
    with pytest.raises(Rejected, match="changed while we looked"):
        confirm(hq)
    trip(hq)
    assert hq.read("/etc/wireguard/wg0.conf") == edited
    assert both(hq)[0] == old


# ------------------------------------------------------------------------------------------- refusals and accidents
def test_a_change_that_is_refused_half_way_is_undone_at_once(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    hq.write(
        "/run/nft",
        '#!/bin/sh\n[ "$1" != -f ] || [ -e /run/well ] || { echo "no such thing" >&2; exit 1; }\nexec /usr/sbin/nft "$@"\n',
    )
    hq.run("chmod 755 /run/nft; mkdir /run/bin; mv /run/nft /run/bin")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    with pytest.raises(Rejected, match="no such thing"):
        write(hq, guarded(hq, *changes, desired=wanted))
    hq.run("touch /run/well")
    assert (running(hq), files(hq), armed(hq)) == (before, saved, False)


def test_a_full_disk_is_noticed_before_anything_runs(hq: Host) -> None:
    old = build(hq, hub())
    hq.run(
        "cp -a /etc/wireguard /run/saved; mount -t tmpfs -o size=80k,mode=700 tmpfs /etc/wireguard;"
        "cp -a /run/saved/. /etc/wireguard"
    )
    hq.run("dd if=/dev/zero of=/etc/wireguard/ballast bs=1k 2>/dev/null; true")
    before = running(hq)
    with pytest.raises(Rejected, match="disk is full"):
        write(hq, guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=old))
    assert (running(hq), armed(hq)) == (before, False)


def text_of(request: object) -> str:
    assert isinstance(request, Exec)
    return "".join(part if isinstance(part, str) else part.reveal() for part in request.stdin)


@pytest.mark.parametrize("call", ["stage", "run", "save", "finish"])
def test_a_writer_that_dies_before_any_of_its_calls_is_undone(hq: Host, call: str) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    script = guarded(hq, *changes, desired=wanted, window=2)
    hq.send_all(script.guarded[0][0].requests)
    text = text_of(script.guarded[1][0].requests[0])
    start = text.rindex(f"\n{call}") + 1
    hq.execute("sh -s", (text[:start] + "kill -9 $$\n" + text[start:]).encode())
    wait_for(lambda: not armed(hq), "the guard fires")
    assert (running(hq), files(hq)) == (before, saved)


@pytest.mark.parametrize("milliseconds", [50, 150, 300, 500])
def test_a_session_that_is_killed_with_all_its_processes_is_undone(hq: Host, milliseconds: int) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    script = guarded(hq, *changes, desired=wanted, window=2)
    hq.send_all(script.guarded[0][0].requests)
    enter = ["nsenter", f"--target={hq.pid}", "--mount", "--net", "--", "sh", "-s"]
    with subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as session:
        assert session.stdin is not None
        session.stdin.write(text_of(script.guarded[1][0].requests[0]).encode())
        session.stdin.close()
        try:
            session.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            os.killpg(session.pid, signal.SIGKILL)
    wait_for(lambda: not armed(hq), "the guard fires")
    assert (running(hq), files(hq)) == (before, saved)


def test_the_timer_outlives_the_session_that_armed_it(hq: Host) -> None:
    old = built(hq)
    before = running(hq)
    script = guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=old, window=3)
    enter = ["nsenter", f"--target={hq.pid}", "--mount", "--net", "--", "sh", "-c", "sh -s; sleep 60"]
    with subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as session:
        assert session.stdin is not None
        session.stdin.write(text_of(script.guarded[0][0].requests[0]).encode())
        session.stdin.close()
        wait_for(lambda: armed(hq), "armed")
        os.killpg(session.pid, signal.SIGKILL)
    hq.send_all(script.guarded[1][0].requests)
    wait_for(lambda: not armed(hq), "the guard fires")
    assert running(hq) == before


def test_a_guard_that_fires_while_the_writer_hangs_ends_it_and_leaves_no_half(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    hq.write(
        "/run/ip", '#!/bin/sh\n[ "$1 $2" != "addr replace" ] || [ ! -e /run/hang ] || exec sleep 50\nexec /usr/sbin/ip "$@"\n'
    )
    hq.run("chmod 755 /run/ip; mkdir /run/bin; mv /run/ip /run/bin; touch /run/hang")
    hq.environment |= {"PATH": "/run/bin:" + os.environ["PATH"], "FLEET_GUARD_GRACE": "1"}
    script = guarded(hq, *changes, desired=wanted, window=2)
    hq.send_all(script.guarded[0][0].requests)
    enter = ["nsenter", f"--target={hq.pid}", "--mount", "--net", "--", "sh", "-s"]
    with subprocess.Popen(enter, stdin=subprocess.PIPE, env={**os.environ, **hq.environment}) as session:
        assert session.stdin is not None
        session.stdin.write(text_of(script.guarded[1][0].requests[0]).encode())
        session.stdin.close()
        wait_for(lambda: hq.processes("sleep 50"), "the writer hangs")
        assert not hq.observe().settled
        hq.run("rm /run/hang")
        assert session.wait(20) == -signal.SIGKILL
    wait_for(lambda: not armed(hq), "the undo ends")
    assert (running(hq), files(hq)) == (before, saved)
    assert hq.processes("sleep 50") == []


def test_an_undo_that_was_cut_off_is_repeated_by_a_trip(hq: Host) -> None:
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted))
    hq.run("mv /run/fleet/guard-acme /run/fleet/guard-acme.undoing")
    guard = hq.observe().guard
    assert guard is not None
    assert guard.fires_in == 0
    trip(hq)
    assert (running(hq), files(hq), armed(hq)) == (before, saved, False)


def test_a_confirm_that_was_cut_off_is_finished_by_the_timer(hq: Host) -> None:
    changes, wanted = everything(built(hq))
    hq.run(f"wg set wg0 peer {key(8)} remove")
    write(hq, guarded(hq, *changes, desired=wanted, window=3))
    hq.run("cd /etc/wireguard; mv /run/fleet/guard-acme /run/fleet/guard-acme.confirming; mv fleet-next-acme/wg0.conf .")
    wait_for(lambda: not armed(hq), "the timer ends it")
    assert both(hq) == (wanted, wanted)


def test_the_temporary_folder_of_a_killed_writer_goes_with_the_next_one(hq: Host) -> None:
    old = built(hq)
    changes, wanted = everything(old)
    script = guarded(hq, *changes, desired=wanted)
    hq.send_all(script.guarded[0][0].requests)
    text = text_of(script.guarded[1][0].requests[0])
    hq.execute("sh -s", text.replace("\nfinish\n", "\nkill -9 $$\nfinish\n").encode())
    assert "fleet." in hq.run("ls /run")
    trip(hq)
    assert "fleet." not in hq.run("ls /run")


def test_without_flock_there_is_no_guard_and_the_limit_says_so(hq: Host) -> None:
    hq.run("touch /run/none; mount --bind /run/none $(readlink -f $(command -v flock))")
    limits = hq.observe().limits
    assert (limits.guard, limits.saves_on_confirm) == ("none", False)


def test_the_guard_runs_on_busybox_with_its_own_tools(hq: Host) -> None:
    hq.run("mkdir /run/bin; busybox --install -s /run/bin; rm -f /run/bin/ip /run/bin/bash")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    old = built(hq)
    before, saved = running(hq), files(hq)
    changes, wanted = everything(old)
    write(hq, guarded(hq, *changes, desired=wanted, window=3))
    wait_for(lambda: not armed(hq), "the guard fires")
    assert (running(hq), files(hq)) == (before, saved)


def test_no_secret_of_a_guarded_change_is_an_argument_or_readable_by_others(hq: Host) -> None:
    old = built(hq)
    hq.run("mkdir /run/spy")
    for tool in ("wg", "awk", "ip", "nft", "sed", "cut", "cp", "mv", "cat", "grep", "sh", "setsid", "sort"):
        real = hq.run(f"command -v {tool}").strip()
        hq.write(f"/run/spy/{tool}", f'#!/bin/dash\nprintf \'%s\\n\' "$0 $*" >>/run/spy/log\nexec {real} "$@"\n')
    hq.run("chmod 755 /run/spy/*")
    hq.environment["PATH"] = "/run/spy:" + os.environ["PATH"]
    write(hq, guarded(hq, AddPeer(interface="wg0", wanted=pune()), desired=old))
    trip(hq)
    log = hq.read("/run/spy/log").decode()
    assert "syncconf" in log
    assert private_key(8).reveal() not in log
    assert private_key(9).reveal() not in log


def test_an_opening_that_stays_is_not_touched_by_the_undo(hq: Host) -> None:
    old = built(hq)
    handles = hq.run("nft -a list chain inet firewall input")
    write(hq, guarded(hq, AddOpening(interface="wg0", wanted=ClampMss(1300)), desired=old))
    trip(hq)
    assert hq.run("nft -a list chain inet firewall input") == handles


# --------------------------------------------------------------------------------------------------- the writer's marker
def mark_as(router: Host, owner: str, seconds: int = 120) -> None:
    requests = DRIVER.mark(owner, seconds, router.observe())
    assert requests is not None
    router.send_all(requests)


def test_the_writers_marker_is_read_back_with_the_time_it_has_left(hq: Host) -> None:
    mark_as(hq, "raj@noc desk 2")
    marker = hq.observe().marker
    assert marker is not None
    assert marker.owner == "raj@noc desk 2"
    assert 110 < marker.expires_in <= 120


def test_another_writers_marker_is_refused_by_the_router_until_it_is_over(hq: Host) -> None:
    mark_as(hq, "raj@noc", 2)
    with pytest.raises(Rejected, match=r"another sync is writing.*raj@noc"):
        mark_as(hq, "mei@noc")
    wait_for(lambda: hq.observe().marker.expires_in == 0, "over")  # type: ignore[union-attr]
    mark_as(hq, "mei@noc")
    mark_as(hq, "mei@noc")
    assert hq.observe().marker.owner == "mei@noc"  # type: ignore[union-attr]


def test_a_released_marker_is_gone_and_changes_no_configuration(hq: Host) -> None:
    before = files(hq)
    mark_as(hq, "raj@noc; reboot $(id)")
    mark_as(hq, "")
    assert (hq.observe().marker, files(hq)) == (None, before)


def test_an_undo_brings_back_which_address_the_router_speaks_from(hq: Host) -> None:
    """The first address of a prefix is the source of what the hub sends; a branch may let in nobody else's."""
    old = built(hq)
    hq.run(f"ip addr add {TWO} dev wg0")
    three = ipaddress.ip_interface("10.100.0.3/20")
    changes = (AddAddress(interface="wg0", address=three), RemoveAddress(interface="wg0", address=ONE))
    before = hq.run("ip -o -4 addr show dev wg0")
    write(hq, guarded(hq, *changes, desired=replace(old, addresses=frozenset({three}))))
    assert hq.run("ip -4 route get 10.100.0.9").split("src ")[1].split()[0] == str(TWO.ip)
    trip(hq)
    assert hq.run("ip -o -4 addr show dev wg0") == before
    assert hq.run("ip -4 route get 10.100.0.9").split("src ")[1].split()[0] == str(ONE.ip)
