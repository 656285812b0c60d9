"""netifd and the generations of its WireGuard handler on a simulated router (sheet 1, 3.2, 3.6, 10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleet.keys import new_private_key
from fleet.testing.ether import Clock
from fleet.testing.openwrt import OpenWrtSimulator

PEER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "boFyStY0WKZIw+b9yes/7oqPBnl5n8tgdZKNuKmhrkk="
PSK = "6BYkIzIMxgUzsXVqzPzGDQ2f5pW7hB2nQZzRIYyqxHM="
TUNNEL = (
    "set network.wg0=interface",
    "set network.wg0.proto=wireguard",
    "set network.wg0.private_key=2J8iET/Yjy0X+7p6C7u/SKPckrgy4Kqr6i0/6C4ex3o=",
    "set network.wg0.listen_port=51820",
    "add_list network.wg0.addresses=10.200.0.1/24",
    "set network.a=wireguard_wg0",
    f"set network.a.public_key={PEER}",
    "add_list network.a.allowed_ips=10.200.0.2/32",
)
VERSIONS = {"H0": "21.02", "H1": "23.05", "H2": "25.12", "H3": "25.12"}


@contextmanager
def router_with(handler: str, *staged: str, **options: str) -> Iterator[OpenWrtSimulator]:
    """A router of that generation with the tunnel up."""
    with OpenWrtSimulator("pune", version=VERSIONS[handler], handler=handler, hurry=0.2) as router:  # type: ignore[arg-type]  # a literal
        for name, value in options.items():
            setattr(router, name, value)
        router.stage(*TUNNEL, *staged, "commit network")
        router.ok("ubus -S call network reload")
        router.settle()
        yield router


def index_of(router: OpenWrtSimulator) -> str:
    return router.ok("ip -o link show wg0").partition(":")[0]


# Sheet 3.6, the table of what a reload really does: True where the device is made anew.
RELOADS = {
    "private_key": ("set network.wg0.private_key=6BYkIzIMxgUzsXVqzPzGDQ2f5pW7hB2nQZzRIYyqxHM=", "H0 H1 H2 H3"),
    "listen_port": ("set network.wg0.listen_port=51999", "H0 H1 H2 H3"),
    "mtu": ("set network.wg0.mtu=1400", "H0 H1 H2 H3"),
    "fwmark": ("set network.wg0.fwmark=0x1", "H0 H1 H2 H3"),
    "addresses as a list": ("add_list network.wg0.addresses=10.201.0.1/24", "H3"),
    "addresses as a scalar": ("set network.wg0.addresses=10.201.0.1/24", "H2 H3"),
    "nohostroute": ("set network.wg0.nohostroute=1", "H3"),
    "a peer": ("set network.a.persistent_keepalive=25", "H3"),
    "metric": ("set network.wg0.metric=5", ""),
}


@pytest.mark.parametrize("handler", list(VERSIONS))
def test_a_reload_makes_the_device_anew_exactly_for_what_the_handler_declares(handler: str) -> None:
    """Sheet 3.6."""
    restarted = []
    with router_with(handler) as router:
        for edit, (line, _) in RELOADS.items():
            before = index_of(router)
            router.stage(line, "commit network")
            router.ok('"$FLEET_ROOT/etc/init.d/network" reload')
            router.settle()
            restarted += [edit] if index_of(router) != before else []
    assert restarted == [edit for edit, (_, handlers) in RELOADS.items() if handler in handlers.split()]


@pytest.mark.parametrize(("handler", "active"), [("H0", True), ("H1", False), ("H2", False)])
def test_a_disabled_peer_stays_active_on_21_02(handler: str, active: bool) -> None:
    """Sheet 1.2."""
    with router_with(handler, "set network.a.disabled=1") as router:
        assert (PEER in router.ok("wg show wg0 peers")) == active


@pytest.mark.parametrize(("handler", "follows"), [("H0", False), ("H1", False), ("H2", True)])
def test_renew_runs_the_setup_in_place_on_h2_only(handler: str, follows: bool) -> None:
    """Sheet 3.6, captures 4a and 4b."""
    with router_with(handler) as router:
        before = index_of(router)
        router.stage("set network.b=wireguard_wg0", f"set network.b.public_key={OTHER}", "commit network")
        router.ok("ubus -S call network.interface.wg0 renew")
        router.settle()
        assert (OTHER in router.ok("wg show wg0 peers"), index_of(router)) == (follows, before)


def test_renew_does_not_clear_a_preshared_key_that_vanished() -> None:
    """Sheet 3.6: wg syncconf before 1.0.20260223."""
    with router_with("H2", f"set network.a.preshared_key={PSK}") as router:
        router.stage("delete network.a.preshared_key", "commit network")
        router.ok("ubus -S call network.interface.wg0 renew")
        router.settle()
        assert PSK in router.ok("wg show wg0 preshared-keys")


def test_the_first_cut_of_h2_drops_preshared_keys() -> None:
    """Sheet 1.2: it read peer_psk."""
    with router_with("H2", f"set network.a.preshared_key={PSK}", psk_option="peer_psk") as router:
        assert router.ok("wg show wg0 preshared-keys").split()[1] == "(none)"


def test_generate_is_replaced_by_a_key_and_takes_along_what_others_staged() -> None:
    """Sheet 2.4 and 8, capture 4a."""
    with router_with("H1", "set network.wg0.private_key=generate") as router:
        assert len(router.ok("uci get network.wg0.private_key")) == 45
        router.stage("set network.wg0.private_key=generate", "commit network", "set network.lan.metric=3")
        router.ok("ifup wg0")
        router.settle()
        assert "metric" in router.read("/etc/config/network")
        assert router.ok("uci changes") == "network.lan.metric='3'\n"


def test_generate_is_taken_literally_on_21_02() -> None:
    """Sheet 8."""
    with router_with("H0", "set network.wg0.private_key=generate") as router:
        assert "Key is not the correct length or format: `generate'" in router.ok("logread -e wg0")
        assert '"up":false,"pending":true' in router.ok("ubus -S call network.interface.wg0 status")


def test_an_endpoint_without_a_port_gets_51820() -> None:
    """Sheet 1.2."""
    with router_with("H1", "set network.a.endpoint_host=100.64.0.9") as router:
        assert router.ok("wg show wg0 endpoints").split()[1] == "100.64.0.9:51820"


def test_an_ipv6_endpoint_gets_its_brackets() -> None:
    """Sheet 1.2."""
    with router_with("H1", "set network.a.endpoint_host=2001:db8::1", "set network.wg0.nohostroute=1") as router:
        assert router.ok("wg show wg0 endpoints").split()[1] == "[2001:db8::1]:51820"


def test_bare_addresses_become_host_prefixes() -> None:
    """Sheet 1.1."""
    with router_with("H1", "set network.wg0.addresses='10.200.0.7 fd00::7'") as router:
        assert [line.split()[3] for line in router.ok("ip -o addr show wg0").splitlines()] == ["10.200.0.7/32", "fd00::7/128"]


def test_routes_come_only_with_route_allowed_ips() -> None:
    """Sheet 10."""
    with router_with("H1") as router:
        assert "10.200.0.2 " not in router.ok("ip route")
    with router_with("H1", "set network.a.route_allowed_ips=1") as router:
        assert "10.200.0.2 dev wg0" in router.ok("ip route")


def test_a_route_equal_to_one_of_another_interface_loses() -> None:
    """Sheet 10."""
    staged = ("add_list network.a.allowed_ips=192.168.1.0/24", "set network.a.route_allowed_ips=1")
    with router_with("H1", *staged) as router:
        assert router.ok("ip route").count("192.168.1.0/24") == 1
        assert "192.168.1.0/24 dev br-lan" in router.ok("ip route")


def test_overlapping_allowed_ips_leave_the_earlier_peer_without_an_error() -> None:
    """Sheet 1.3."""
    staged = (
        "set network.b=wireguard_wg0",
        f"set network.b.public_key={OTHER}",
        "add_list network.b.allowed_ips=10.200.0.2/32",
    )
    with router_with("H1", *staged) as router:
        allowed = dict(line.split("\t") for line in router.ok("wg show wg0 allowed-ips").splitlines())
        assert allowed == {PEER: "(none)", OTHER: "10.200.0.2/32"}


def test_ifdown_is_not_undone_by_a_reload() -> None:
    """Sheet 3.6."""
    with router_with("H1") as router:
        router.ok("ifdown wg0; ubus -S call network reload")
        router.settle()
        assert '"up":false' in router.ok("ubus -S call network.interface.wg0 status")


def test_an_interface_with_auto_off_is_not_brought_up() -> None:
    """Sheet 1.1."""
    with router_with("H1", "set network.wg0.auto=0") as router:
        status = router.ok("ubus -S call network.interface.wg0 status")
        assert '"up":false,"pending":false,"available":true,"autostart":false' in status


def test_a_failed_setup_is_tried_again_and_succeeds_when_the_cause_is_gone() -> None:
    """Sheet 3.2: retry every 5 s."""
    with router_with("H1", f"set network.b=wireguard_wg0\nset network.b.public_key={OTHER[:-3]}") as router:
        assert '"pending":true' in router.ok("ubus -S call network.interface.wg0 status")
        router.stage("delete network.b", "commit network")
        router.advance(5)
        assert '"up":true' in router.ok("ubus -S call network.interface.wg0 status")


def test_a_name_that_does_not_resolve_keeps_the_interface_down_until_it_does() -> None:
    """Sheet 3.2."""
    with router_with("H1", "set network.a.endpoint_host=vpn.example.com", "set network.wg0.nohostroute=1") as router:
        assert "Trying again in 1.00 seconds" in router.ok("logread -e wg0")
        router.names["vpn.example.com"] = "198.51.100.10"
        router.advance(2)
        assert router.ok("wg show wg0 endpoints").split()[1] == "198.51.100.10:51820"


def test_a_tunnel_is_withdrawn_while_its_uplink_is_down_and_comes_back_with_it() -> None:
    """Sheet 10: while nohostroute is 0."""
    with router_with("H1", "set network.a.endpoint_host=198.51.100.10") as router:
        assert "198.51.100.10 via 100.64.0.1 dev wan" in router.ok("ip route")
        router.ok("ifdown wan")
        router.settle()
        assert '"up":false,"pending":false,"available":false' in router.ok("ubus -S call network.interface.wg0 status")
        router.ok("ifup wan")
        router.settle()
        assert '"up":true' in router.ok("ubus -S call network.interface.wg0 status")


def test_the_watchdog_resolves_a_name_again_when_a_peer_with_keepalive_fell_silent() -> None:
    """Sheet 10."""
    staged = ("set network.a.endpoint_host=vpn.example.com", "set network.a.persistent_keepalive=25")
    clock = Clock()
    names = {"vpn.example.com": "198.51.100.10"}
    with OpenWrtSimulator("pune", clock=clock, names=names, hurry=0.2) as router:
        router.stage(*TUNNEL, *staged, "commit network")
        router.ok("ubus -S call network reload")
        router.settle()
        router.names["vpn.example.com"] = "198.51.100.77"
        router.ok("wireguard_watchdog")
        assert router.ok("wg show wg0 endpoints").split()[1] == "198.51.100.77:51820"


def test_netifd_acts_on_edits_that_are_only_staged() -> None:
    """Libuci merges what is staged for every reader unless told not to; the sheet says it of fw4 (5) and rpcd (3.3)."""
    with router_with("H1") as router:
        router.stage("set network.wg0.listen_port=51999")
        router.ok("ubus -S call network reload")
        router.settle()
        assert router.ok("wg show wg0 listen-port") == "51999\n"


def test_the_handler_is_told_by_its_file_and_by_what_it_declares() -> None:
    """Sheet 9: how a driver probes."""
    seen = {}
    for handler in VERSIONS:
        with router_with(handler) as router:
            files = router.ok('ls "$FLEET_ROOT/lib/netifd/proto"').split()
            words = router.run('grep -c syncconf "$FLEET_ROOT/lib/netifd/proto/wireguard.sh" 2>/dev/null')[0].decode().strip()
            handlers = router.ok("ubus -S call network get_proto_handlers")
            wireguard = handlers.partition('"wireguard":')[2]
            seen[handler] = (files, words, '"addresses":"string"' in wireguard, '"renew_available":true' in wireguard)
    assert seen == {
        "H0": (["wireguard.sh"], "0", False, False),
        "H1": (["wireguard.sh"], "0", False, False),
        "H2": (["wireguard.sh"], "1", True, True),
        "H3": (["wireguard.uc"], "", False, True),
    }


def test_without_the_kernel_module_nothing_comes_up() -> None:
    """Sheet 4: `Protocol not supported`."""
    with OpenWrtSimulator("bare", packages=("kmod-wireguard",), hurry=0.2) as router:
        router.install("wireguard-tools")
        router.kernel.wireguard_module = False
        _, error, code = router.run("wg show wg0")
        assert (error, code) == (b"Unable to access interface: Protocol not supported\n", 1)


def test_two_interfaces_do_not_share_a_port() -> None:
    key = new_private_key().reveal()
    staged = ("set network.wg1=interface", "set network.wg1.proto=wireguard", f"set network.wg1.private_key={key}")
    with router_with("H1", *staged, "set network.wg1.listen_port=51820") as router:
        ups = [router.ok(f"ubus -S call network.interface.{name} status").startswith('{"up":true') for name in ("wg0", "wg1")]
        assert sorted(ups) == [False, True]
