"""Tunnels that come alive and pings that depend on routes, firewall and NAT. Sheet 1.4, 1.5, 4 and 7."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgeos_routers import MAKE_KEY, configure, scripted

from fleet.testing.edgeos import EdgeOsSimulator
from fleet.testing.ether import Clock, Ether

OPEN = """\
firewall name WAN_LOCAL rule 30 action accept
firewall name WAN_LOCAL rule 30 protocol udp
firewall name WAN_LOCAL rule 30 destination port 51820
firewall name WAN_LOCAL rule 30 description 'WireGuard wg0'
"""


class Pair:
    """A hub with a public address and a branch behind carrier NAT, both EdgeRouters; only the hub's port is to be opened."""

    def __init__(self) -> None:
        self.ether = Ether(Clock(frozen=True))
        self.hub = EdgeOsSimulator("hub", self.ether, public_hosts=("198.51.100.1",), lans=("192.168.1.0/24",))
        self.branch = EdgeOsSimulator("branch", self.ether, lans=("192.168.20.0/24",))
        self.keys = {name: one.ok(f"{MAKE_KEY}; sudo wg pubkey < /config/auth/wg0.key").strip() for name, one in self.named()}

    def named(self) -> list[tuple[str, EdgeOsSimulator]]:
        return [("hub", self.hub), ("branch", self.branch)]

    def tunnel(self) -> None:
        """Both ends, with routes; the hub's port stays shut."""
        self._end(self.hub, "10.77.0.1", f"peer {self.keys['branch']}", "10.77.0.2/32", "192.168.20.0/24")
        self._end(self.branch, "10.77.0.2", f"peer {self.keys['hub']}", "10.77.0.0/24", "192.168.1.0/24")
        wg0 = f"interfaces wireguard wg0 peer {self.keys['hub']}"
        configure(self.branch, f"{wg0} endpoint 198.51.100.1:51820\n{wg0} persistent-keepalive 25")

    def _end(self, router: EdgeOsSimulator, address: str, peer: str, overlay: str, lan: str) -> None:
        wg0 = "interfaces wireguard wg0"
        configure(
            router,
            f"{wg0} address {address}/24\n{wg0} listen-port 51820\n{wg0} private-key /config/auth/wg0.key\n"
            f"{wg0} route-allowed-ips false\n{wg0} {peer} allowed-ips {overlay}\n{wg0} {peer} allowed-ips {lan}\n"
            f"protocols static interface-route {lan} next-hop-interface wg0",
        )

    def lan_to_lan(self) -> bool:
        return self.ether.ping(self.branch, "192.168.20.10", "192.168.1.10")

    def close(self) -> None:
        self.hub.close()
        self.branch.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    pair.tunnel()
    yield pair
    pair.close()


def handshake(router: EdgeOsSimulator) -> int:
    return int(router.ok("sudo wg show wg0 latest-handshakes").split()[1])


def test_no_handshake_reaches_a_hub_whose_wan_local_drops_it(pair: Pair) -> None:
    assert handshake(pair.branch) == 0
    assert not pair.lan_to_lan()


def test_with_the_port_open_the_tunnel_comes_alive_and_lans_reach_each_other(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    assert pair.lan_to_lan()
    assert handshake(pair.branch) > 0


def test_the_opening_stands_before_the_drop_in_iptables(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    rules = [line for line in pair.hub.ok("sudo iptables -S WAN_LOCAL").replace('"', "").splitlines() if line.startswith("-A")]
    assert rules[2:] == [
        "-A WAN_LOCAL -p udp -m comment --comment WAN_LOCAL-30 -m udp --dport 51820 -j RETURN",
        "-A WAN_LOCAL -m comment --comment WAN_LOCAL-10000 default-action drop -j DROP",
    ]


def test_without_a_route_the_lan_behind_the_tunnel_is_not_reached(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    configure(pair.branch, "delete protocols static interface-route 192.168.1.0/24")
    assert not pair.lan_to_lan()


def test_route_allowed_ips_makes_the_routes_by_itself(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    configure(pair.branch, "delete protocols static interface-route 192.168.1.0/24")
    configure(pair.branch, "interfaces wireguard wg0 route-allowed-ips true")
    assert "192.168.1.0/24 dev wg0 scope link \n" in pair.branch.ok("ip route")
    assert pair.lan_to_lan()


def test_masquerade_of_the_wan_leaves_the_tunnel_alone(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    assert "-o eth0" in pair.branch.ok("sudo iptables -t nat -S UBNT_POSTROUTING")
    assert pair.lan_to_lan()


def test_masquerade_that_matches_the_tunnel_breaks_it_until_an_exclude_stands_before_it(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    rule = "service nat rule"
    configure(pair.branch, f"{rule} 5020 type masquerade\n{rule} 5020 outbound-interface wg0")
    assert not pair.lan_to_lan()
    configure(
        pair.branch,
        f"{rule} 5000 type masquerade\n{rule} 5000 outbound-interface wg0\n{rule} 5000 exclude\n"
        f"{rule} 5000 destination address 192.168.1.0/24",
    )
    assert pair.lan_to_lan()


def test_a_rule_set_on_wg0_in_decides_what_passes(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    configure(pair.hub, "firewall name WG_IN default-action drop\ninterfaces wireguard wg0 firewall in name WG_IN")
    assert not pair.lan_to_lan()
    configure(pair.hub, "firewall name WG_IN rule 10 action accept\nfirewall name WG_IN rule 10 source address 192.168.20.0/24")
    assert pair.lan_to_lan()


def test_without_a_local_rule_set_everything_from_the_tunnel_reaches_the_router(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    assert pair.ether.ping(pair.branch, None, "10.77.0.1")
    configure(pair.hub, "firewall name WG_LOCAL default-action drop\ninterfaces wireguard wg0 firewall local name WG_LOCAL")
    assert not pair.ether.ping(pair.branch, None, "10.77.0.1")


def test_a_static_route_into_a_disabled_interface_is_inactive_and_comes_back(pair: Pair) -> None:
    configure(pair.branch, "interfaces wireguard wg0 disable")
    assert "192.168.1.0/24" not in pair.branch.ok("ip route")
    configure(pair.branch, "delete interfaces wireguard wg0 disable")
    assert "192.168.1.0/24 dev wg0 proto zebra scope link" in pair.branch.ok("ip route")


def test_zone_policy_drops_what_no_zone_lets_in(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    zones = "zone-policy zone lan interface eth1\nzone-policy zone vpn interface wg0"
    configure(pair.hub, zones)
    assert not pair.lan_to_lan()
    configure(
        pair.hub,
        "firewall name ALLOW default-action accept\nzone-policy zone lan from vpn firewall name ALLOW\n"
        "zone-policy zone vpn from lan firewall name ALLOW",
    )
    assert pair.lan_to_lan()


def test_the_tunnel_is_back_after_a_power_cut_when_it_was_saved(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    assert pair.lan_to_lan()
    pair.branch.reboot()
    pair.ether.clock.advance(30)
    assert pair.lan_to_lan()


def test_deleting_an_endpoint_loses_the_session(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    assert pair.lan_to_lan()
    configure(pair.branch, f"delete interfaces wireguard wg0 peer {pair.keys['hub']} endpoint")
    assert handshake(pair.branch) == 0


# Sheet 7: the line to paste at a site that nobody reaches yet.
PASTE = (
    "sg vyattacfg -c 'W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; K=/config/auth/wg0.key; umask 027; "
    "[ -s $K ] || wg genkey >$K; "
    "$W begin && { $W set interfaces wireguard wg0 address 10.77.0.2/24; $W set interfaces wireguard wg0 private-key $K; "
    "$W set interfaces wireguard wg0 route-allowed-ips false; "
    "$W set interfaces wireguard wg0 peer HUBKEY endpoint 198.51.100.1:51820; "
    "$W set interfaces wireguard wg0 peer HUBKEY allowed-ips 10.77.0.0/24; "
    "$W set interfaces wireguard wg0 peer HUBKEY persistent-keepalive 25; $W commit && $W save; $W end; }; "
    "echo PUBKEY $(wg pubkey <$K)'"
)


def test_the_one_line_of_the_sheet_enrols_a_branch_and_may_be_pasted_twice(pair: Pair) -> None:
    configure(pair.hub, OPEN)
    with EdgeOsSimulator("new", pair.ether, lans=("192.168.30.0/24",)) as new:
        line = PASTE.replace("HUBKEY", pair.keys["hub"])
        first = new.ok(line).splitlines()[-1]
        again = new.ok(line).splitlines()[-1]
        assert first == again
        assert first.startswith("PUBKEY ")
        scripted(pair.hub, f"begin\nset interfaces wireguard wg0 peer {first.split()[1]} allowed-ips 10.77.0.3/32\ncommit\nend")
        configure(new, "delete interfaces wireguard wg0 address\ninterfaces wireguard wg0 address 10.77.0.3/24")
        assert pair.ether.ping(pair.hub, None, "10.77.0.3")
