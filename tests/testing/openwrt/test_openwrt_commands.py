"""Commands of the base image on a simulated router (sheet 2, 3.1, 6, 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from openwrt_replay import exchanges, replay

from fleet.testing.openwrt import OpenWrtSimulator


@pytest.fixture
def router() -> Iterator[OpenWrtSimulator]:
    with OpenWrtSimulator("pune", hurry=0.5) as router:
        yield router


@pytest.fixture
def old() -> Iterator[OpenWrtSimulator]:
    with OpenWrtSimulator("old", version="21.02") as router:
        yield router


SHELL = {one.command.split(maxsplit=1)[0] + str(number): one for number, one in enumerate(exchanges("shell"))}
ODDS = [one for one in exchanges("odds") if "wait_for" in one.command or "-S list" in one.command or '"-S: $?"' in one.command]


def test_the_applets_are_those_of_the_default_busybox(router: OpenWrtSimulator) -> None:
    """Capture 6."""
    exchange = next(one for one in SHELL.values() if "hexdump" in one.command)
    assert replay(router, exchange.command) == (exchange.out, exchange.error, exchange.code)


def test_ubus_waits_lists_and_exits_as_recorded(router: OpenWrtSimulator) -> None:
    """Capture 8."""
    assert len(ODDS) == 3
    for exchange in ODDS:
        out, error, code = replay(router, exchange.command.replace("wg0", "lan").replace("-t 2 ", "-t 1 "))
        assert (out, error, code) == (exchange.out.replace("wg0", "lan"), exchange.error, exchange.code)


def test_sort_knows_three_options(router: OpenWrtSimulator) -> None:
    assert router.ok("sort -rn", b"1\n10\n2\n") == "10\n2\n1\n"
    assert router.run("sort -k 2", b"a b\n")[2] == 1


def test_a_failed_call_echoes_its_arguments_and_with_s_it_does_not(router: OpenWrtSimulator) -> None:
    """Sheet 3.1."""
    call = """call uci set '{"config":"network","section":"nope","values":{"private_key":"SECRET"}}'"""
    assert b"SECRET" in router.run(f"ubus {call}")[1]
    assert router.run(f"ubus -S {call}") == (b"", b"", 4)


def test_21_02_exits_with_the_status_itself(old: OpenWrtSimulator) -> None:
    """Sheet 3.1: before 2022-02."""
    assert old.run("""ubus call uci get '{"config":"nope"}'""")[2] == 4


def test_21_02_has_no_uci_t(old: OpenWrtSimulator) -> None:
    """Sheet 2."""
    assert old.run('uci -t "$FLEET_ROOT/tmp/mine" changes')[2] == 255


def test_a_file_in_var_run_uci_replaces_a_package_on_25_12_only(router: OpenWrtSimulator) -> None:
    """Sheet 2.4."""
    script = (
        'mkdir -p "$FLEET_ROOT/var/run/uci"; echo "config interface ovr" > "$FLEET_ROOT/var/run/uci/network"; uci show network'
    )
    assert "network.lan" in router.ok(script)
    with OpenWrtSimulator("new", version="25.12") as new:
        assert new.ok(script) == "network.ovr=interface\n"


def test_a_generated_name_changes_when_a_section_before_it_goes(router: OpenWrtSimulator) -> None:
    """Sheet 1.3."""
    router.ok("uci add network wireguard_wg0; uci add network wireguard_wg0; uci commit network")
    before = router.ok("uci -X show network | grep wireguard_wg0").split()
    router.ok("uci delete network.@wireguard_wg0[0]; uci commit network")
    after = router.ok("uci -X show network | grep wireguard_wg0").split()
    assert after == before[:1]


def test_a_commit_drops_the_comments_of_the_file(router: OpenWrtSimulator) -> None:
    """Libuci writes what it parsed (file.c): a comment is not part of it."""
    router.write("/etc/config/network", "# mine\n" + router.read("/etc/config/network"))
    router.ok("uci set network.lan.metric=1; uci commit network")
    assert "# mine" not in router.read("/etc/config/network")


def test_quotes_of_a_batch_may_span_lines_and_hold_the_other_kind(router: OpenWrtSimulator) -> None:
    """Sheet 2.3: words follow the syntax of the files."""
    router.ok("uci batch", b"set network.lan.a=\"it's\"\nset network.lan.b='one\ntwo'\n# Raj's\nset network.lan.c=3\n")
    assert router.ok("uci get network.lan.a; uci get network.lan.b; uci get network.lan.c") == "it's\none\ntwo\n3\n"


def test_export_and_import_round_trip(router: OpenWrtSimulator) -> None:
    router.ok('uci set network.lan.note="it\'s \\"so\\""; uci commit network')
    before = router.ok("uci show network")
    router.ok("uci export network > $FLEET_ROOT/tmp/x; uci import network < $FLEET_ROOT/tmp/x")
    assert router.ok("uci show network") == before


def test_the_default_ip_has_no_json(router: OpenWrtSimulator) -> None:
    """Busybox's applet."""
    assert router.run("ip -j addr")[2] == 1
    assert router.ok("ip route show dev br-lan") == "192.168.1.0/24 scope link  src 192.168.1.1 \n"


def test_ip_full_shows_the_protocol_of_routes() -> None:
    with OpenWrtSimulator("pune", iproute2=True) as router:
        assert "proto kernel" in router.ok("ip route")


def test_jsonfilter_reads_a_string_everywhere_and_standard_input_until_25_12(router: OpenWrtSimulator) -> None:
    """Sheet 6: jsonpath of 2026-02."""
    document = '{"a":[{"b":1},{"b":"x"}]}'
    assert router.ok(f"jsonfilter -s '{document}' -e '@.a[*].b'") == "1\nx\n"
    assert router.ok("jsonfilter -e '@.a[1].b'", document.encode()) == "x\n"
    with OpenWrtSimulator("new", version="25.12") as new:
        assert new.run("jsonfilter -e '@.a[1].b'", document.encode())[2] == 1


def test_packages_come_by_opkg_until_24_10_and_by_apk_from_25_12(router: OpenWrtSimulator) -> None:
    """Sheet 6."""
    assert router.ok("command -v opkg").endswith("/opkg\n")
    assert "wireguard-tools - " in router.ok("opkg list-installed")
    with OpenWrtSimulator("new", version="25.12") as new:
        assert new.run("command -v opkg")[2] == 127
        assert "[installed]" in new.ok("apk list -I")


def test_a_router_without_a_way_out_installs_nothing() -> None:
    with OpenWrtSimulator("lonely", packages=(), online=False) as router:
        assert router.run("opkg update")[2] == 1
        assert router.run("opkg install wireguard-tools")[2] == 255


def test_an_apply_of_a_session_is_rolled_back_unless_it_is_confirmed(router: OpenWrtSimulator) -> None:
    """Sheet 3.5."""
    session = json.loads(router.ok("ubus -S call session create"))["ubus_rpc_session"]
    grant = {"ubus_rpc_session": session, "scope": "uci", "objects": [["network", "read"], ["network", "write"]]}
    router.ok(f"ubus -S call session grant '{json.dumps(grant)}'")
    router.ok(f'uci -t "$FLEET_ROOT/var/run/rpcd/uci-{session}" set network.lan.metric=7')
    apply = {"ubus_rpc_session": session, "rollback": True, "timeout": 30}
    router.ok(f"ubus -S call uci apply '{json.dumps(apply)}'")
    assert router.ok("uci get network.lan.metric") == "7\n"
    router.advance(31)
    assert router.run("uci get network.lan.metric")[2] == 1


def test_nothing_is_rolled_back_when_rpcd_died_in_the_window(router: OpenWrtSimulator) -> None:
    """Sheet 3.5, capture 3.3: timer and sessions live in RAM, the originals stay in snapshot-files."""
    session = json.loads(router.ok("ubus -S call session create"))["ubus_rpc_session"]
    grant = {"ubus_rpc_session": session, "scope": "uci", "objects": [["*", "*"]]}
    router.ok(f"ubus -S call session grant '{json.dumps(grant)}'")
    router.ok(f'uci -t "$FLEET_ROOT/var/run/rpcd/uci-{session}" set network.lan.metric=7')
    router.ok(f"ubus -S call uci apply '{json.dumps({'ubus_rpc_session': session, 'rollback': True, 'timeout': 30})}'")
    router.ok('"$FLEET_ROOT/etc/init.d/rpcd" restart')
    router.advance(60)
    assert router.ok("uci get network.lan.metric") == "7\n"
    assert router.ok('ls "$FLEET_ROOT/var/run/rpcd/snapshot-files"') == "network\n"


def test_without_rpcd_its_objects_are_not_on_the_bus() -> None:
    """Sheet 3.1: missing object, code 4."""
    with OpenWrtSimulator("bare", services_off=("rpcd",)) as router:
        assert router.run("""ubus -S call uci get '{"config":"network"}'""") == (b"", b"", 4)


def test_the_firewall_reloads_a_second_after_an_rpcd_commit_and_not_after_one_of_uci(router: OpenWrtSimulator) -> None:
    """Sheet 3.4, capture 3.4."""
    router.ok("uci set network.lan.metric=7; uci commit network")
    router.advance(2)
    assert '"metric":0' in router.ok("ubus -S call network.interface.lan status")
    router.ok("""ubus call uci commit '{"config":"network"}'""")
    router.advance(2)
    assert '"metric":7' in router.ok("ubus -S call network.interface.lan status")
