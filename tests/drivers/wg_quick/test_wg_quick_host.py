"""The scripts against the real wg, ip, nft, iptables and wg-quick, each test on a router of its own."""

from __future__ import annotations

import ipaddress
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from wg_quick_host import DRIVER, Host, created, host, key, mark, own_key, plan, private_key, wait_for

from fleet import (
    ActivateKey,
    AddPeer,
    ClampMss,
    DropStagedKey,
    Endpoint,
    Forward,
    Interface,
    KeyOf,
    ListenPort,
    Management,
    NoMasquerade,
    Opening,
    Peer,
    Probe,
    Reapply,
    Rejected,
    RemoveAddress,
    RemoveInterface,
    RemoveOpening,
    RemovePeer,
    RemoveRoute,
    Route,
    SetInterface,
    SetOpening,
    SetPeer,
    StageKey,
)
from fleet.changes import AddAddress, AddRoute
from fleet.link import Exec

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

LAN = ipaddress.ip_network("192.168.1.0/24")
FAR = ipaddress.ip_network("192.168.20.0/24")

DROPPING = """
table inet firewall {
 chain input {
  type filter hook input priority 0; policy drop;
  iif lo accept
 }
 chain forward {
  type filter hook forward priority 0; policy accept;
  ct state established,related accept
  counter reject with icmpx admin-prohibited
 }
}
table ip nat {
 chain post {
  type nat hook postrouting priority 100;
  oifname "eth0" masquerade
 }
}
"""


@pytest.fixture
def hq() -> Iterator[Host]:
    with host() as router:
        yield router


def openings(*more: Opening) -> dict[str, Opening]:
    every = (
        ListenPort(51820),
        Forward("lan", "tunnel", frozenset({LAN})),
        Forward("tunnel", "lan", frozenset({LAN})),
        Forward("tunnel", "tunnel"),
        NoMasquerade(),
        ClampMss(1420),
        *more,
    )
    return {opening.identity: opening for opening in every}


def mumbai(**attributes: object) -> Peer:
    allowed = frozenset({ipaddress.ip_network("10.100.0.2/32"), FAR})
    return replace(Peer(key(1), allowed, preshared_key=private_key(9), mark=mark("mumbai")), **attributes)  # type: ignore[arg-type]


def hub(*peers: Peer, **attributes: object) -> Interface:
    wanted = Interface(
        "wg0",
        public_key=own_key(),
        listen_port=51820,
        mtu=1420,
        addresses=frozenset({ipaddress.ip_interface("10.100.0.1/20")}),
        peers={peer.public_key: peer for peer in peers or (mumbai(),)},
        routes={FAR: Route(FAR, mark("mumbai"))},
        mark=mark(),
    )
    return replace(wanted, **attributes)  # type: ignore[arg-type]


def build(router: Host, wanted: Interface) -> Interface:
    """Make the interface; the intent with the key that the router made."""
    router.apply(*created(wanted), desired=wanted)
    return replace(wanted, public_key=router.observe().stored["wg0"].public_key)


def both(router: Host) -> tuple[Interface, Interface]:
    seen = router.observe()
    assert seen.running is not None
    return seen.stored["wg0"], seen.running["wg0"]


def connect(router: Host, *, preshared: bool = False) -> Peer:
    """A second WireGuard on the same machine, dialled over loopback; the peer that wg0 is to have for it."""
    router.run("wireguard-go far; ip addr add 10.100.0.5/32 dev far; ip link set up dev far")
    secret = private_key(5).reveal()
    router.run("wg set far listen-port 5555 private-key /dev/stdin", secret + "\n")
    return Peer(
        key(5),
        frozenset({ipaddress.ip_network("10.100.0.5/32")}),
        Endpoint("127.0.0.1", 5555),
        1,
        private_key(9) if preshared else None,
        mark("far"),
    )


def build_known(router: Host, wanted: Interface) -> Interface:
    """Make the interface with a key that the other end knows before: the first handshake needs no second try."""
    wanted = replace(wanted, public_key=key(3))
    router.run(f"wg set far peer {key(3)} allowed-ips 10.100.0.1/32")
    router.apply(*created(wanted), desired=wanted, keys={"wg0": private_key(3)})
    wait_for(lambda: handshake(router), "first handshake")
    return wanted


def handshake(router: Host) -> int:
    """Time of the latest handshake of the peer `far`, 0 for none."""
    return int(router.run(f"wg show wg0 latest-handshakes | sed -n 's#^{key(5)}.##p'").strip() or 0)


# ------------------------------------------------------------------------------------------------- convergence
def test_a_blank_router_is_empty_and_says_what_it_is(hq: Host) -> None:
    seen = hq.observe()
    assert (seen.stored, seen.running, seen.rights) == ({}, {}, ())
    assert "wireguard-tools v1" in seen.version
    assert seen.clock is not None


def test_one_apply_makes_everything_and_both_views_equal_the_intent(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings(Management(22, frozenset({ipaddress.ip_network("10.100.0.9/32")})))))
    assert both(hq) == (wanted, wanted)


def test_dual_stack_converges_too(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    six = ipaddress.ip_network("fd20::/64")
    wanted = hub(
        mumbai(allowed_ips=frozenset({FAR, six, ipaddress.ip_network("fd10:100::2/128")})),
        addresses=frozenset({ipaddress.ip_interface("10.100.0.1/20"), ipaddress.ip_interface("fd10:100::1/64")}),
        routes={FAR: Route(FAR, mark("mumbai")), six: Route(six, mark("mumbai"))},
        openings={
            "forward/tunnel-lan": Forward("tunnel", "lan", frozenset({LAN, ipaddress.ip_network("fd01::/64")})),
            "no-masquerade": NoMasquerade(frozenset({LAN, ipaddress.ip_network("fd01::/64")})),
        },
    )
    wanted = build(hq, wanted)
    assert both(hq) == (wanted, wanted)


def test_the_private_key_is_made_on_the_router_and_never_leaves_it(hq: Host) -> None:
    build(hq, hub())
    secret = hq.read("/etc/wireguard/wg0.key").decode().strip()
    assert len(secret) == 44
    assert not any(secret in said for said in hq.said)


def test_files_with_secrets_are_for_root_alone(hq: Host) -> None:
    build(hq, hub())
    modes = hq.run("stat -c '%a %n' /etc/wireguard/wg0.conf /etc/wireguard/wg0.key").split()
    assert modes[::2] == ["600", "600"]


def test_a_key_that_is_given_is_the_one_in_use(hq: Host) -> None:
    wanted = hub(public_key=key(3))
    hq.apply(*created(wanted), desired=wanted, keys={"wg0": private_key(3)})
    assert both(hq) == (wanted, wanted)


def test_no_secret_is_ever_an_argument_of_a_command(hq: Host) -> None:
    hq.run("mkdir /run/spy")
    for tool in ("wg", "awk", "ip", "nft", "sed", "cut", "cp", "mv", "wg-quick", "cat", "grep", "sh", "bash"):
        real = hq.run(f"command -v {tool}").strip()
        hq.write(f"/run/spy/{tool}", f'#!/bin/dash\nprintf \'%s\\n\' "$0 $*" >>/run/spy/log\nexec {real} "$@"\n')
    hq.run("chmod 755 /run/spy/*")
    hq.environment["PATH"] = "/run/spy:" + os.environ["PATH"]
    wanted = hub(public_key=key(3))
    hq.apply(*created(wanted), desired=wanted, keys={"wg0": private_key(3)})
    log = hq.read("/run/spy/log").decode()
    assert "syncconf" in log
    assert private_key(3).reveal() not in log
    assert private_key(9).reveal() not in log


def test_a_script_that_breaks_off_on_the_way_changes_nothing(hq: Host) -> None:
    script = DRIVER.render(plan(*created(hub()), desired=hub()), hq.observe())
    request = script.steps[0].requests[0]
    assert isinstance(request, Exec)
    whole = "".join(part if isinstance(part, str) else part.reveal() for part in request.stdin)
    for length in (len(whole) - 1, len(whole) - 20, len(whole) - 400, len(whole) // 2):
        hq.execute(request.command, whole[: length - 15].encode())
    assert hq.run("ls -A /etc/wireguard; ls /sys/class/net") == "lo\n"


# ------------------------------------------------------------------------------------------------ foreign things
INLINE = b"""# our first tunnel, Caf\xe9
[Interface]
PrivateKey = %s
Address = 10.100.0.1/20
ListenPort = 51820
PostUp = echo up >>/run/hand; true # by hand
DNS\t=  \t

[Peer]
# laptop \xff\xfe
PublicKey = %s
PresharedKey = %s
AllowedIPs = 10.100.9.9/32

"""


def by_hand(router: Host) -> bytes:
    """A file as somebody wrote it before fleet came, in use."""
    text = INLINE.replace(b"DNS\t=  \t", b"Table = auto\t")
    text = text % (private_key(3).reveal().encode(), key(7).encode(), private_key(7).reveal().encode())
    router.write("/etc/wireguard/wg0.conf", text)
    router.run("wg-quick up wg0")
    return text


def claim(router: Host, *peers: Peer) -> Interface:
    """Take over the hand-written interface, as `diff` would: scalars and peers of ours on top."""
    seen = router.observe().stored["wg0"]
    marked = replace(seen, mark=mark(), mtu=1420, disabled=False)
    router.apply(
        SetInterface(interface="wg0", old=seen, wanted=marked),
        *(AddPeer(interface="wg0", wanted=peer) for peer in peers),
        desired=marked,
    )
    return marked


def test_secrets_of_others_never_leave_the_router(hq: Host) -> None:
    by_hand(hq)
    claim(hq, mumbai())
    hq.observe()
    for number in (3, 7):
        assert not any(private_key(number).reveal() in said for said in hq.said)


def test_a_secret_in_a_comment_or_a_hand_written_command_never_leaves_the_router(hq: Host) -> None:
    old, hook = private_key(11).reveal(), private_key(12).reveal()
    lines = f"[Interface]\n# PrivateKey = {old}\nPostUp = wg set %i private-key <(echo {hook})\nListenPort = 51820\n"
    hq.write("/etc/wireguard/wg0.conf", lines)
    seen = hq.observe()
    assert seen.stored["wg0"].listen_port == 51820
    assert old not in hq.said[-1]
    assert hook not in hq.said[-1]


def test_a_hand_written_file_is_claimed_without_touching_a_byte_of_it(hq: Host) -> None:
    before = by_hand(hq)
    claim(hq, mumbai())
    after = hq.read("/etc/wireguard/wg0.conf")
    rest = iter(after.split(b"\n"))
    assert all(line in rest for line in before.rstrip(b"\n").split(b"\n"))


def test_the_key_of_a_claimed_interface_stays_where_it_is(hq: Host) -> None:
    by_hand(hq)
    claim(hq, mumbai())
    stored, running = both(hq)
    assert (stored.public_key, running.public_key) == (key(3), key(3))


def test_a_foreign_peer_of_the_file_keeps_running(hq: Host) -> None:
    by_hand(hq)
    claim(hq, mumbai())
    _, running = both(hq)
    assert set(running.peers) == {key(1), key(7)}


def test_a_peer_that_somebody_added_to_the_kernel_only_survives_an_apply(hq: Host) -> None:
    build(hq, hub())
    hq.run(f"wg set wg0 peer {key(8)} allowed-ips 10.100.7.7/32 persistent-keepalive 9")
    hq.apply(AddPeer(interface="wg0", wanted=Peer(key(2), mark=mark("pune"))), desired=hub())
    assert both(hq)[1].peers[key(8)] == Peer(key(8), frozenset({ipaddress.ip_network("10.100.7.7/32")}), None, 9)


def test_a_route_that_somebody_added_through_the_tunnel_survives_and_is_not_reported(hq: Host) -> None:
    build(hq, hub())
    hq.run("ip route add 172.16.0.0/12 dev wg0")
    hq.apply(RemoveRoute(interface="wg0", old=Route(FAR)), desired=hub())
    assert "172.16.0.0/12" in hq.run("ip route")
    assert both(hq)[1].routes == {}


def test_other_interfaces_and_their_files_are_not_touched(hq: Host) -> None:
    text = f"[Interface]\nPrivateKey = {private_key(3).reveal()}\nListenPort = 7777\n"
    hq.write("/etc/wireguard/office.conf", text)
    hq.run("wg-quick up office")
    before = hq.run("wg showconf office; stat -c %Y%i /etc/wireguard/office.conf")
    build(hq, hub())
    assert hq.run("wg showconf office; stat -c %Y%i /etc/wireguard/office.conf") == before


def test_a_file_that_wg_would_not_read_is_noted_and_left_alone(hq: Host) -> None:
    hq.write("/etc/wireguard/old.conf", "[Interface]\nAddress = nonsense\n")
    seen = hq.observe()
    assert "old" not in seen.stored
    assert "old.conf" in seen.notes[0]


def test_saveconfig_is_a_limit_because_it_rewrites_the_file(hq: Host) -> None:
    hq.write("/etc/wireguard/wg0.conf", "[Interface]\nSaveConfig = true\n")
    limits = hq.observe().limits
    assert "SaveConfig" in (limits.forbidden(AddPeer(interface="wg0", wanted=mumbai())) or "")


# --------------------------------------------------------------------------------------------- sessions and keys
def test_a_change_of_one_peer_keeps_the_handshake_of_the_others(hq: Host) -> None:
    far = connect(hq)
    wanted = build_known(hq, hub(mumbai(), far))
    before = handshake(hq)
    changed = mumbai(allowed_ips=frozenset({ipaddress.ip_network("10.100.0.2/32")}))
    hq.apply(SetPeer(interface="wg0", old=mumbai(), wanted=changed), desired=wanted)
    assert handshake(hq) == before
    assert both(hq)[1].peers[key(1)] == changed


def test_live_facts_are_measured_by_the_routers_own_clock(hq: Host) -> None:
    build_known(hq, hub(connect(hq)))
    live = hq.observe().live["wg0"][key(5)]
    assert live.handshake_age is not None
    assert live.handshake_age < 10
    assert live.endpoint == Endpoint("127.0.0.1", 5555)


def test_a_learned_endpoint_is_not_reset_by_an_apply(hq: Host) -> None:
    wanted = build(hq, hub(mumbai(endpoint=Endpoint("192.0.2.1", 51820))))
    hq.run(f"wg set wg0 peer {key(1)} endpoint 192.0.2.77:4444")
    stored, running = both(hq)
    assert stored == wanted
    assert running.peers[key(1)].endpoint == Endpoint("192.0.2.77", 4444)
    hq.apply(AddPeer(interface="wg0", wanted=Peer(key(2), mark=mark("pune"))), desired=wanted)
    assert "192.0.2.77:4444" in hq.run("wg show wg0 endpoints")


def test_a_changed_endpoint_is_dialled_at_once(hq: Host) -> None:
    old = mumbai(endpoint=Endpoint("192.0.2.1", 51820))
    build(hq, hub(old))
    hq.apply(SetPeer(interface="wg0", old=old, wanted=replace(old, endpoint=Endpoint("192.0.2.2", 1))), desired=hub())
    assert "192.0.2.2:1" in hq.run("wg show wg0 endpoints")


def test_a_name_that_does_not_resolve_stops_nothing_else(hq: Host) -> None:
    pune = Peer(key(2), endpoint=Endpoint("no-such-host.invalid", 51820), mark=mark("pune"))
    wanted = hub(mumbai(), pune)
    build(hq, hub())
    hq.apply(AddPeer(interface="wg0", wanted=pune), desired=wanted)
    assert set(both(hq)[1].peers) == {key(1), key(2)}


def test_rehandshake_makes_a_new_handshake_and_leaves_the_configuration(hq: Host) -> None:
    far = connect(hq, preshared=True)
    hq.run(f"wg set far peer {key(3)} preshared-key /dev/stdin", private_key(9).reveal())
    wanted = build_known(hq, hub(far))
    first = handshake(hq)
    seen = hq.observe()
    wait_for(lambda: int(hq.run("date +%s")) > first, "the next second")
    requests = DRIVER.rehandshake("wg0", far, seen)
    assert requests is not None
    hq.send_all(requests)
    wait_for(lambda: handshake(hq) > first, "a new handshake")
    assert both(hq) == (wanted, wanted)


def test_a_staged_key_waits_beside_the_one_in_use(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.apply(StageKey(interface="wg0", key=KeyOf("hq")), desired=wanted)
    stored, running = both(hq)
    assert stored.public_key == wanted.public_key
    assert stored.staged_key is not None
    assert stored == running


def test_the_staged_key_takes_over_and_the_previous_one_goes_with_the_cleanup(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.apply(StageKey(interface="wg0", key=key(4)), desired=wanted, keys={"wg0": private_key(4)})
    hq.apply(ActivateKey(interface="wg0", key=key(4)), desired=wanted)
    after = replace(wanted, public_key=key(4))
    assert both(hq) == (after, after)
    assert hq.run("ls /etc/wireguard").split() == ["fleet-wg0.list", "fleet-wg0.sh", "wg0.conf", "wg0.key"]


def test_the_previous_key_stays_until_the_cleanup(hq: Host) -> None:
    wanted = build(hq, hub())
    before = hq.read("/etc/wireguard/wg0.key")
    hq.apply(StageKey(interface="wg0", key=KeyOf("hq")), desired=wanted)
    seen = hq.observe()
    staged = seen.stored["wg0"].staged_key
    assert not isinstance(staged, KeyOf)
    assert staged is not None
    script = DRIVER.render(plan(ActivateKey(interface="wg0", key=staged), desired=wanted), seen)
    hq.send_all(script.guarded[0][0].requests)
    assert hq.read("/etc/wireguard/wg0.key.prev") == before


def test_a_key_that_stood_in_the_file_moves_to_its_own_when_it_is_switched(hq: Host) -> None:
    by_hand(hq)
    wanted = claim(hq)
    hq.apply(StageKey(interface="wg0", key=key(4)), desired=wanted, keys={"wg0": private_key(4)})
    hq.apply(ActivateKey(interface="wg0", key=key(4)), desired=wanted)
    assert b"PrivateKey" not in hq.read("/etc/wireguard/wg0.conf")
    hq.run("wg-quick down wg0; wg-quick up wg0")
    assert both(hq)[1].public_key == key(4)


def test_a_staged_key_that_is_dropped_is_gone(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.apply(StageKey(interface="wg0", key=KeyOf("hq")), desired=wanted)
    hq.apply(DropStagedKey(interface="wg0"), desired=wanted)
    assert both(hq)[0].staged_key is None


# ----------------------------------------------------------------------------------------- interface and addresses
def test_an_address_changes_without_losing_the_others_of_its_prefix(hq: Host) -> None:
    one, two, three = (ipaddress.ip_interface(f"10.100.0.{n}/20") for n in (1, 2, 3))
    wanted = build(hq, hub(addresses=frozenset({one, two})))
    after = replace(wanted, addresses=frozenset({two, three}))
    hq.apply(AddAddress(interface="wg0", address=three), RemoveAddress(interface="wg0", address=one), desired=after)
    assert both(hq) == (after, after)


def test_port_and_mtu_change_in_place(hq: Host) -> None:
    wanted = build(hq, hub())
    after = replace(wanted, listen_port=51999, mtu=1300)
    hq.apply(SetInterface(interface="wg0", old=wanted, wanted=after), desired=after)
    assert both(hq) == (after, after)


def test_a_removed_interface_leaves_nothing_of_ours(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    before = hq.run("nft list ruleset")
    wanted = build(hq, hub(openings=openings(), reresolve=True))
    hq.apply(RemoveInterface(interface="wg0", old=wanted))
    assert hq.run("ls -A /etc/wireguard; ls /sys/class/net; grep wg0 /etc/rc.local; true") == "lo\n"
    assert hq.run("nft list ruleset") == before
    wait_for(lambda: not hq.processes("fleet-wg0"), "the loop ends")


def test_a_disabled_interface_is_down_and_stays_so_at_boot(hq: Host) -> None:
    wanted = build(hq, hub())
    after = replace(wanted, disabled=True)
    hq.apply(SetInterface(interface="wg0", old=wanted, wanted=after), desired=after)
    seen = hq.observe()
    assert seen.stored["wg0"].disabled
    assert seen.running == {}
    hq.apply(SetInterface(interface="wg0", old=after, wanted=wanted), desired=wanted)
    assert both(hq) == (wanted, wanted)


def test_an_interface_that_went_away_comes_back_with_everything(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings(), reresolve=True))
    hq.run("ip link del wg0")
    assert hq.observe().running == {}
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert both(hq) == (wanted, wanted)


def test_everything_comes_back_when_wg_quick_starts_it_at_boot(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings(), reresolve=True))
    hq.run("wg-quick down wg0; nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward")
    hq.run("nft -f -", DROPPING)
    hq.run("sh /etc/rc.local </dev/null >/dev/null 2>&1")
    wait_for(lambda: hq.observe().running == {"wg0": wanted}, "all is back")


def test_wg_quick_down_takes_our_rules_and_our_loop_along(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    before = hq.run("nft list ruleset")
    build(hq, hub(openings=openings(), reresolve=True))
    hq.run("wg-quick down wg0")
    assert hq.run("nft list ruleset") == before
    wait_for(lambda: not hq.processes("fleet-wg0"), "the loop ends")


def test_an_rc_local_that_ends_with_exit_starts_the_tunnel_before_it(hq: Host) -> None:
    hq.write("/etc/rc.local", "#!/bin/sh\n# mine\necho hello\nexit 0\n")
    build(hq, hub())
    lines = hq.read("/etc/rc.local").decode().split("\n")
    assert lines[:3] == ["#!/bin/sh", "# mine", "echo hello"]
    assert "wg-quick up wg0" in lines[3]
    assert lines[4:] == ["exit 0", ""]


# ------------------------------------------------------------------------------------------------------ openings
def test_accepts_go_to_the_head_of_the_foreign_chain_that_drops(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    build(hq, hub(openings=openings()))
    forward = hq.run("nft list chain inet firewall forward").split("policy accept;\n")[1]
    assert 'oifname "wg0"' in forward.split("\n")[0]
    assert forward.index("reject") > forward.rindex("accept comment")


def test_nothing_is_written_into_chains_that_drop_nothing(hq: Host) -> None:
    hq.run("nft -f -", "table inet calm {\n chain f {\n type filter hook forward priority 0;\n }\n}\n")
    before = hq.run("nft list table inet calm")
    wanted = build(hq, hub(openings=openings()))
    assert hq.run("nft list table inet calm") == before
    assert both(hq)[1] == wanted


def test_packets_into_the_tunnel_pass_before_the_masquerade_of_others(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    build(hq, hub(openings=openings()))
    rules = hq.run("nft list chain ip nat post")
    assert rules.index('oifname "wg0" accept') < rules.index("masquerade")


def test_a_reloaded_firewall_is_drift_of_what_runs_and_heals(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings()))
    hq.run("nft -f -", "flush ruleset\n" + DROPPING)
    stored, running = both(hq)
    assert stored == wanted
    assert set(running.openings) == set()
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert both(hq) == (wanted, wanted)


def test_a_changed_opening_replaces_its_rules_and_leaves_no_second_one(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings()))
    old, new = Forward("tunnel", "lan", frozenset({LAN})), Forward("tunnel", "lan", frozenset({FAR}))
    after = replace(wanted, openings={**wanted.openings, new.identity: new})
    hq.apply(SetOpening(interface="wg0", old=old, wanted=new), desired=after)
    assert both(hq) == (after, after)
    assert hq.run("nft list ruleset").count("tunnel-lan") == 1


def test_a_removed_opening_is_closed_again(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings()))
    hq.apply(RemoveOpening(interface="wg0", old=ListenPort(51820)), desired=wanted)
    assert "51820" not in hq.run("nft list ruleset")


def test_a_rule_of_ours_that_nobody_wants_shows_as_drift_and_goes(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings()))
    hq.run('nft insert rule inet firewall input udp dport 99 accept comment \\"fleet:acme:hq wg0 listen-port/99 abcdef\\"')
    assert both(hq)[1].openings["listen-port/99"] == ListenPort(99)
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert both(hq) == (wanted, wanted)


def test_forwarding_that_was_switched_off_is_drift_and_heals(hq: Host) -> None:
    wanted = build(hq, hub(openings=openings()))
    hq.run("echo 0 >/proc/sys/net/ipv4/ip_forward")
    assert "forward/tunnel-lan" not in both(hq)[1].openings
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert both(hq) == (wanted, wanted)


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_iptables_that_drops_gets_the_accepts_in_its_own_chains(hq: Host, kind: str) -> None:
    for tool in ("iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore"):
        hq.run(f"mkdir -p /run/bin; ln -s /usr/sbin/{tool.replace('tables', f'tables-{kind}', 1)} /run/bin/{tool}")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    if hq.execute("iptables -P FORWARD DROP", b"").returncode != 0:
        pytest.skip("this kernel has no legacy iptables")
    hq.run("iptables -A INPUT -j REJECT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE; ip6tables -P FORWARD DROP")
    wanted = build(hq, hub(openings=openings(Management(22, frozenset({ipaddress.ip_network("10.100.0.9/32")})))))
    assert both(hq) == (wanted, wanted)
    saved = hq.run("iptables-save")
    assert saved.index("--dport 51820") < saved.index("-j REJECT")
    assert saved.index("-o wg0 -m comment") < saved.index("MASQUERADE")
    hq.apply(RemoveInterface(interface="wg0", old=wanted))
    assert "fleet" not in hq.run("iptables-save; ip6tables-save; nft list ruleset")


def test_without_nftables_clamp_and_management_go_to_iptables(hq: Host) -> None:
    hq.write("/run/nft", "#!/bin/sh\nexit 1\n")
    hq.run("chmod 755 /run/nft; mkdir /run/bin; mv /run/nft /run/bin/nft")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    wanted = build(hq, hub(openings=openings(Management(22, frozenset({ipaddress.ip_network("10.100.0.9/32")})))))
    assert both(hq) == (wanted, wanted)
    rules = [line for line in hq.run("iptables-save").split("\n") if "--dport 22" in line]
    assert ["-j ACCEPT" in rules[0], "-j DROP" in rules[1], len(rules)] == [True, True, 2]


def test_without_any_firewall_what_needs_one_is_a_limit(hq: Host) -> None:
    hq.run("touch /run/none")
    for tool in ("nft", "iptables"):
        hq.run(f"mount --bind /run/none $(readlink -f $(command -v {tool}))")
    assert hq.observe().limits.openings == {ListenPort, Forward, NoMasquerade}


def test_a_hub_forwards_between_all_its_tunnels(hq: Host) -> None:
    hq.run("nft -f -", DROPPING)
    first = hub(openings={"forward/tunnel-tunnel": Forward("tunnel", "tunnel")})
    build(hq, first)
    second = replace(first, name="wg1", listen_port=51821, addresses=frozenset(), routes={}, peers={})
    seen = hq.observe()
    both_wanted = replace(plan(*created(second), target=hq.target), desired={"wg0": first, "wg1": second})
    for step in DRIVER.render(both_wanted, seen).steps:
        hq.send_all(step.requests)
    rules = hq.run("nft list chain inet firewall forward")
    for iif in ("wg0", "wg1"):
        for oif in ("wg0", "wg1"):
            assert f'iifname "{iif}" oifname "{oif}" accept' in rules


# -------------------------------------------------------------------------------------------------- re-resolution
def test_a_hub_name_that_moves_is_followed_by_the_router_itself(hq: Host) -> None:
    hq.environment |= {"FLEET_STALE_AFTER": "0", "FLEET_RESOLVE_EVERY": "0.2"}
    hq.write("/etc/hosts", "127.0.0.1 vpn.example.com\n")
    build(hq, hub(mumbai(endpoint=Endpoint("vpn.example.com", 51820)), reresolve=True))
    assert "127.0.0.1:51820" in hq.run("wg show wg0 endpoints")
    hq.write("/etc/hosts", "127.0.0.9 vpn.example.com\n")
    wait_for(lambda: "127.0.0.9:51820" in hq.run("wg show wg0 endpoints"), "the new address")


def test_a_loop_that_was_killed_is_drift_and_starts_again(hq: Host) -> None:
    wanted = build(hq, hub(mumbai(endpoint=Endpoint("192.0.2.1", 51820)), reresolve=True))
    (pid,) = hq.processes("fleet-wg0.sh loop")
    subprocess.run(["kill", "-9", str(pid)], check=True)
    wait_for(lambda: not both(hq)[1].reresolve, "the loop is missed")
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert both(hq) == (wanted, wanted)


def test_a_second_apply_starts_no_second_loop(hq: Host) -> None:
    wanted = build(hq, hub(reresolve=True))
    hq.apply(Reapply(interface="wg0"), desired=wanted)
    assert len(hq.processes("fleet-wg0.sh loop")) == 1


def test_an_address_is_never_resolved_again(hq: Host) -> None:
    hq.environment |= {"FLEET_STALE_AFTER": "0", "FLEET_RESOLVE_EVERY": "60"}
    build(hq, hub(mumbai(endpoint=Endpoint("192.0.2.1", 51820)), reresolve=True))
    hq.run(f"wg set wg0 peer {key(1)} endpoint 192.0.2.77:4444; sh /etc/wireguard/fleet-wg0.sh resolve")
    assert "192.0.2.77:4444" in hq.run("wg show wg0 endpoints")


# ------------------------------------------------------------------------------------------------------- refusals
def test_a_file_that_changed_after_the_read_is_not_overwritten(hq: Host) -> None:
    build(hq, hub())
    seen = hq.observe()
    script = DRIVER.render(plan(RemovePeer(interface="wg0", old=mumbai()), desired=hub()), seen)
    hq.run("echo '# somebody was here' >>/etc/wireguard/wg0.conf")
    with pytest.raises(Rejected, match="changed while we looked"):
        hq.send_all(script.steps[0].requests)
    assert hq.read("/etc/wireguard/wg0.conf").endswith(b"# somebody was here\n")
    assert key(1) in both(hq)[1].peers


def test_a_read_only_disk_is_one_line_with_the_next_action(hq: Host) -> None:
    hq.run("mount -t tmpfs -o ro,mode=700 tmpfs /etc/wireguard")
    seen = hq.observe()
    assert "read-only" in seen.rights[0]
    with pytest.raises(Rejected, match="remount"):
        hq.apply(*created(hub()), desired=hub())


def test_a_full_disk_changes_nothing_and_says_so(hq: Host) -> None:
    hq.run("mount -t tmpfs -o size=8k,mode=700 tmpfs /etc/wireguard; head -c 4096 /dev/zero >/etc/wireguard/ballast")
    with pytest.raises(Rejected, match="disk is full"):
        hq.apply(*created(hub()), desired=hub())
    assert hq.run("ls /etc/wireguard; ls /sys/class/net") == "ballast\nlo\n"


def test_a_missing_wireguard_tools_is_one_line_with_the_next_action(hq: Host) -> None:
    hq.run(
        "mount -t tmpfs tmpfs /usr/local; mkdir /usr/local/bin; touch /usr/local/none; mount --bind /usr/local/none /usr/bin/wg"
    )
    with pytest.raises(Rejected, match="install the package wireguard-tools"):
        hq.observe()


def test_an_account_without_rights_is_told_about_sudo(hq: Host) -> None:
    hq.shell = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh")
    with pytest.raises(Rejected, match="sudo: true"):
        hq.observe()


def test_an_interface_that_does_not_come_up_leaves_no_file_behind(hq: Host) -> None:
    hq.write("/run/wg-quick", "#!/bin/sh\necho 'RTNETLINK answers: Operation not supported' >&2\nexit 1\n")
    hq.run("chmod 755 /run/wg-quick; mkdir /run/bin; mv /run/wg-quick /run/bin")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    with pytest.raises(Rejected, match="Operation not supported"):
        hq.apply(*created(hub()), desired=hub())
    assert hq.run("ls /etc/wireguard") == "wg0.key\n"


def test_a_firewall_that_refuses_leaves_the_previous_configuration(hq: Host) -> None:
    wanted = build(hq, hub())
    hq.write("/run/nft", '#!/bin/sh\n[ "$1" != -f ] || { echo "Error: no such thing" >&2; exit 1; }\nexec /usr/sbin/nft "$@"\n')
    hq.run("chmod 755 /run/nft; mkdir /run/bin; mv /run/nft /run/bin")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    before = hq.read("/etc/wireguard/fleet-wg0.list")
    with pytest.raises(Rejected, match="no such thing"):
        hq.apply(AddRoute(interface="wg0", wanted=Route(LAN)), *_opened(ClampMss(1420)), desired=wanted)
    assert hq.read("/etc/wireguard/fleet-wg0.list") == before
    assert both(hq) == (wanted, wanted)


def _opened(*wanted: Opening) -> list[object]:
    from fleet import AddOpening

    return [AddOpening(interface="wg0", wanted=opening) for opening in wanted]


# ---------------------------------------------------------------------------------------------------- other shells
def test_the_scripts_run_on_busybox_with_its_own_tools(hq: Host) -> None:
    hq.run("mkdir /run/bin; busybox --install -s /run/bin; rm -f /run/bin/ip /run/bin/bash")
    hq.environment["PATH"] = "/run/bin:" + os.environ["PATH"]
    hq.run("nft -f -", DROPPING)
    wanted = build(hq, hub(openings=openings(), reresolve=True))
    assert both(hq) == (wanted, wanted)


# ----------------------------------------------------------------------------------------------------------- probe
def test_a_probe_counts_what_comes_back(hq: Host) -> None:
    build(hq, hub())
    ask = DRIVER.probe(Probe(ipaddress.ip_address("10.100.0.1"), ipaddress.ip_address("10.100.0.1"), 100, 2), hq.observe())
    result = ask.parse(tuple(hq.send_all(ask.requests)))
    assert (result.sent, result.received) == (2, 2)
    assert result.milliseconds is not None


def test_modes_of_the_helper_let_root_alone_run_it(hq: Host) -> None:
    build(hq, hub())
    mode = int(hq.run("stat -c %a /etc/wireguard/fleet-wg0.sh"), 8)
    assert mode == stat.S_IRWXU
