"""The simulated Internet: which WireGuard interfaces find each other, and which pings arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from fleet.testing.ether import Clock, Ether, Node, Packet, SimInterface, SimPeer

HUB = ("198.51.100.1", 51820)


@dataclass
class Router:
    name: str
    interface: SimInterface
    public_hosts: frozenset[str] = frozenset()
    lans: tuple[str, ...] = ()
    refused: set[str] = field(default_factory=set)
    wan: str = "ether1"

    def wireguard(self) -> Sequence[SimInterface]:
        return [self.interface]

    def admits(self, packet: Packet) -> bool:
        return packet.protocol not in self.refused

    def forwards(self, packet: Packet) -> bool:
        return packet.established or "forward" not in self.refused

    def masquerades(self, packet: Packet) -> bool:
        return "masquerade" in self.refused


def spoke(name: str, number: int, *, keepalive: int = 25, endpoint: tuple[str, int] = HUB, psk: str | None = None) -> Router:
    peer = SimPeer("HUB", endpoint, keepalive, psk, ("10.0.0.0/24", "192.168.0.0/16"))
    interface = SimInterface("wg0", name, 51820, True, [peer], (f"10.0.0.{number}/24",))
    return Router(name, interface, lans=(f"192.168.{number}.0/24",))


def hub(*peers: SimPeer) -> Router:
    interface = SimInterface("wg0", "HUB", 51820, True, list(peers), ("10.0.0.1/24",))
    return Router("hub", interface, frozenset({"198.51.100.1", "vpn.example.com"}), ("192.168.1.0/24",))


def known(name: str, number: int, *, psk: str | None = None) -> SimPeer:
    return SimPeer(name, preshared_key=psk, allowed_ips=(f"10.0.0.{number}/32", f"192.168.{number}.0/24"))


def joined(*routers: Node, clock: Clock | None = None) -> Ether:
    ether = Ether(clock or Clock(frozen=True))
    for router in routers:
        ether.attach(router)
    return ether


def test_a_spoke_behind_nat_with_keepalive_shakes_hands_with_its_hub() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch)
    assert ether.handshake(centre, "wg0", "a") is not None
    seen = ether.handshake(branch, "wg0", "HUB")
    assert seen is not None
    assert seen.endpoint == HUB


def test_without_keepalive_or_traffic_nothing_happens() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2, keepalive=0)
    ether = joined(centre, branch)
    assert ether.handshake(centre, "wg0", "a") is None


def test_traffic_alone_makes_a_handshake() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2, keepalive=0)
    ether = joined(centre, branch)
    assert ether.ping(branch, None, "10.0.0.1")
    assert ether.handshake(centre, "wg0", "a") is not None


@pytest.mark.parametrize(
    "wrong",
    [
        spoke("a", 2, endpoint=("198.51.100.1", 51821)),
        spoke("a", 2, endpoint=("203.0.113.9", 51820)),
        spoke("a", 2, psk="other"),
        spoke("b", 2),
    ],
    ids=["port", "host", "preshared key", "unknown key"],
)
def test_a_wrong_parameter_means_no_handshake(wrong: Router) -> None:
    centre = hub(known("a", 2))
    ether = joined(centre, wrong)
    assert ether.handshake(wrong, "wg0", "HUB") is None


def test_a_hub_never_dials_a_spoke_behind_nat() -> None:
    branch = spoke("a", 2, keepalive=0)
    peer = known("a", 2)
    peer.keepalive, peer.endpoint = 25, ("100.64.0.1", 51820)
    centre = hub(peer)
    ether = joined(centre, branch)
    assert ether.handshake(centre, "wg0", "a") is None


def test_a_hub_whose_firewall_drops_udp_is_not_reached() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    centre.refused.add("udp")
    ether = joined(centre, branch)
    assert ether.handshake(branch, "wg0", "HUB") is None


def test_a_name_reaches_the_hub_that_answers_to_it_now() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2, endpoint=("vpn.example.com", 51820))
    ether = joined(centre, branch)
    seen = ether.handshake(branch, "wg0", "HUB")
    assert seen is not None
    assert seen.endpoint == HUB


def test_a_port_forward_in_front_of_the_hub_is_followed() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2, endpoint=("198.51.100.1", 443))
    centre.port_forwards = {443: 51820}  # type: ignore[attr-defined]
    ether = joined(centre, branch)
    assert ether.handshake(centre, "wg0", "a") is not None


def test_handshakes_renew_while_keepalive_runs_and_bytes_grow() -> None:
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    before = ether.handshake(centre, "wg0", "a")
    clock.advance(3600)
    after = ether.handshake(centre, "wg0", "a")
    assert before is not None
    assert after is not None
    assert clock.now() - after.at < 180
    assert after.received > before.received


def test_a_changed_preshared_key_on_one_end_lets_the_live_session_run_out() -> None:
    """Measured (design, section 6): about 180 s."""
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    branch.interface.peers[0].preshared_key = "new"
    ether.settle(branch)
    clock.advance(100)
    assert ether.ping(branch, None, "10.0.0.1")
    clock.advance(100)
    assert not ether.ping(branch, None, "10.0.0.1")


def test_a_removed_peer_loses_its_handshake_and_the_other_end_only_ages() -> None:
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    centre.interface.peers.clear()
    ether.settle(centre)
    clock.advance(500)
    left = ether.handshake(branch, "wg0", "HUB")
    assert ether.handshake(centre, "wg0", "a") is None
    assert left is not None
    assert clock.now() - left.at == 500


def test_a_peer_added_again_on_the_hub_waits_until_the_spoke_notices() -> None:
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    ether.forget(centre, "wg0", "a")
    ether.settle(centre)
    assert ether.handshake(centre, "wg0", "a") is None
    clock.advance(15)
    assert ether.handshake(centre, "wg0", "a") is not None


def test_a_peer_added_again_on_the_dialling_side_shakes_hands_at_once() -> None:
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    clock.advance(10)
    ether.forget(branch, "wg0", "HUB")
    ether.settle(branch)
    seen = ether.handshake(centre, "wg0", "a")
    assert seen is not None
    assert seen.at == clock.now()


def test_a_new_private_key_on_the_hub_ends_every_session() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch)
    centre.interface.public_key = "HUB2"
    ether.settle(centre)
    assert ether.handshake(centre, "wg0", "a") is None
    assert not ether.ping(branch, None, "10.0.0.1")


def test_branch_to_branch_goes_through_the_hub() -> None:
    centre, one, two = hub(known("a", 2), known("b", 3)), spoke("a", 2), spoke("b", 3)
    ether = joined(centre, one, two)
    trace = ether.trace(one, "192.168.2.10", "192.168.3.10")
    assert (trace.hops, trace.stopped) == (("a", "hub", "b"), "")


def test_a_source_outside_the_allowed_ips_is_dropped_by_the_far_end() -> None:
    centre, branch = hub(SimPeer("a", allowed_ips=("10.0.0.2/32",))), spoke("a", 2)
    ether = joined(centre, branch)
    assert ether.ping(branch, "10.0.0.2", "192.168.1.5")
    assert "not in the allowed IPs" in ether.trace(branch, "192.168.2.5", "192.168.1.5").stopped


def test_a_missing_route_on_the_far_side_breaks_the_reply() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    centre.routes = lambda target: "lan" if target.startswith("192.168.1.") else None  # type: ignore[attr-defined]
    ether = joined(centre, branch)
    assert ether.trace(branch, "192.168.2.5", "192.168.1.5").stopped.startswith("reply: hub: no route")


def test_a_closed_forward_chain_breaks_branch_to_branch_but_not_the_tunnel() -> None:
    centre, one, two = hub(known("a", 2), known("b", 3)), spoke("a", 2), spoke("b", 3)
    centre.refused.add("forward")
    ether = joined(centre, one, two)
    assert ether.ping(one, None, "10.0.0.1")
    assert not ether.ping(one, "192.168.2.10", "192.168.3.10")


def test_a_masqueraded_source_counts_as_unreachable() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    branch.refused.add("masquerade")
    ether = joined(centre, branch)
    assert not ether.ping(branch, "192.168.2.10", "192.168.1.10")


def test_a_detached_node_answers_nothing_and_comes_back() -> None:
    clock = Clock(frozen=True)
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch, clock=clock)
    ether.detach(centre)
    assert not ether.ping(branch, None, "10.0.0.1")
    ether.attach(centre)
    clock.advance(20)
    assert ether.ping(branch, None, "10.0.0.1")


def test_a_touched_node_is_read_when_somebody_asks() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    ether = joined(centre, branch)
    centre.interface.peers.clear()
    ether.touch(centre)
    assert ether.handshake(centre, "wg0", "a") is None


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        Clock(frozen=True).advance(-1)


def test_ipv6_inside_the_tunnel_goes_by_its_own_allowed_ips() -> None:
    centre, branch = hub(SimPeer("a", allowed_ips=("10.0.0.2/32", "fd00::2/128"))), spoke("a", 2)
    centre.interface.addresses = ("10.0.0.1/24", "fd00::1/64")
    branch.interface.addresses = ("10.0.0.2/24", "fd00::2/64")
    branch.interface.peers[0].allowed_ips = ("fd00::/64",)
    ether = joined(centre, branch)
    assert ether.ping(branch, None, "fd00::1")
    assert not ether.ping(branch, "10.0.0.2", "192.168.1.9")


def test_a_responder_never_dials() -> None:
    centre, branch = hub(known("a", 2)), spoke("a", 2)
    branch.interface.peers[0].dials = False
    ether = joined(centre, branch)
    assert ether.handshake(centre, "wg0", "a") is None
