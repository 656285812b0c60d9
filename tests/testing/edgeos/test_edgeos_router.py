"""The router around its backend: versions, package, accounts, flash, configuration files, what the contract suite asks."""

from __future__ import annotations

import errno
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeos_routers import MAKE_KEY, PEER, TUNNEL, configure, recorded_router, scripted

from fleet import Secret
from fleet.link import Access, Address, Exec, Reply
from fleet.testing.edgeos import EdgeOsSimulator, User
from fleet.testing.ether import Clock
from fleet.transports.ssh import SshTransport

DETECT = (
    "test -d /opt/vyatta/share/vyatta-cfg/templates/interfaces/wireguard; echo $?; dpkg-query -W -f='${Version}' wireguard; "
    "cut -d . -f 2 /etc/version; cut -d ' ' -f 2 /opt/vyatta/etc/version | head -1; sudo wg --version"
)


@pytest.fixture
def router() -> Iterator[EdgeOsSimulator]:
    with EdgeOsSimulator("edge", clock=Clock(frozen=True), public_hosts=("203.0.113.5",), lans=("192.168.20.0/24",)) as router:
        router.ok(MAKE_KEY)
        yield router


def made(**options: object) -> EdgeOsSimulator:
    return EdgeOsSimulator("edge", clock=Clock(frozen=True), **options)  # type: ignore[arg-type]  # checked by the simulator


# ------------------------------------------------------------------------------------------------- versions, sheet 1.1, 1.7
def test_version_2_shows_package_board_and_firmware(router: EdgeOsSimulator) -> None:
    out = router.run(DETECT)[0].decode()
    assert out.split("\n")[:3] == ["0", "1.0.20220627-1ER-e300", "v2.0.9-hotfix.7"]
    assert "wireguard-tools v1.0.20210914" in out


def test_version_3_has_wireguard_without_a_package() -> None:
    with made(version="3.0.0", package=False) as router:
        out, error, _ = router.run(DETECT)
        assert out.startswith(b"0\nER-e300\nv3.0.0\n")
        assert error == b"dpkg-query: no packages found matching wireguard\n"
        router.ok(MAKE_KEY)
        configure(router, TUNNEL)


def test_version_1_has_its_kernel_and_takes_the_same_lines() -> None:
    with made(version="1.10.11") as router:
        assert router.ok("uname -r").startswith("3.10.")
        router.ok(MAKE_KEY)
        configure(router, TUNNEL)


def test_without_the_package_the_node_is_not_valid_and_wg_is_missing() -> None:
    with made(package=False) as router:
        said = scripted(router, "begin\nset interfaces wireguard wg0 listen-port 51820\nend")
        assert "The specified configuration node is not valid\nSet failed\n" in said
        assert router.run("sudo wg show")[2] == 1
        assert router.run(DETECT)[0].startswith(b"1\n")


def test_a_save_after_a_firmware_upgrade_erases_the_wireguard_configuration(router: EdgeOsSimulator) -> None:
    configure(router, TUNNEL)
    router.upgrade("2.0.9")
    assert "wireguard wg0 {" in router.read("/config/config.boot")
    assert "wireguard" not in router.ok("cli-shell-api showCfg --show-active-only interfaces")
    scripted(router, "begin\nsave\nend")
    assert "wireguard" not in router.read("/config/config.boot").replace("WireGuard", "")
    assert router.ok("ls /config/auth").split() == ["wg0.key"]


def test_hwnat_is_a_node_of_mediatek_boards_alone(router: EdgeOsSimulator) -> None:
    line = "set system offload hwnat enable"
    assert "rc=1 : set" in scripted(router, f"begin\n{line}\nend")
    with made(board="e50") as small:
        assert "rc=0 : set" in scripted(small, f"begin\n{line}\nend")
        assert small.ok("cut -d . -f 2 /etc/version") == "ER-e50\n"


def test_ip_prints_no_json_as_in_iproute_of_these_firmwares(router: EdgeOsSimulator) -> None:
    assert router.run("ip -j addr") == (b"", b'Option "-j" is unknown, try "ip -help".\n', 255)


def test_a_module_that_does_not_work_is_said_when_the_interface_is_made() -> None:
    with made(otherwise={"no-kernel-module"}) as router:
        router.ok(MAKE_KEY)
        said = scripted(router, "begin\n" + "".join(f"set {line}\n" for line in TUNNEL.splitlines()) + "commit\nend")
        assert "[ interfaces wireguard wg0 ]\n" in said
        assert said.endswith("Commit failed\nrc=1 : commit\nrc=0 : end\n")


def test_where_templates_enforce_it_source_rules_below_5000_are_refused() -> None:
    rule = "service nat rule 4000"
    lines = f"begin\nset {rule} type masquerade\nset {rule} outbound-interface eth0\ncommit\nend"
    with made(otherwise={"nat-from-5000"}) as strict, made() as lenient:
        assert "rc=1 : commit" in scripted(strict, lines)
        assert "rc=0 : commit" in scripted(lenient, lines)


def test_native_templates_may_not_ask_for_the_group() -> None:
    lines = (
        "begin\nset interfaces wireguard wg0 private-key /config/auth/wg0.key\nset interfaces wireguard wg0 mtu 1400\ncommit"
    )
    for otherwise, code in ((set[str](), 1), ({"native-any-group"}, 0)):
        with made(version="3.0.0", otherwise=otherwise) as router:
            router.ok(MAKE_KEY)
            assert f"rc={code} : commit" in scripted(router, lines, group=False)


# ---------------------------------------------------------------------------------------------------- accounts, sheet 2.4, 6
OPERATOR = User("oper", 1001, level="operator", member=False, sudo=False)


def test_an_operator_may_not_open_a_session_nor_take_the_group() -> None:
    with made(users=(OPERATOR,)) as router:
        environment = {"FLEET_SIM_UID": "1001"}
        wrapper = "/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper begin"
        assert router.run(wrapper, env=environment)[2] == 126
        assert router.run("sg vyattacfg -c id", env=environment)[1] == b"Invalid password.\n"
        assert router.run("sudo id", env=environment)[1] == b"sudo: a password is required\n"


def test_sg_changes_the_primary_group_and_keeps_the_user(router: EdgeOsSimulator) -> None:
    assert router.run("id -gn; sg vyattacfg -c 'id -un; id -gn'")[0].split() == [b"users", b"ubnt", b"vyattacfg"]


def test_a_key_that_only_its_maker_can_read_can_be_set_by_its_maker_alone() -> None:
    with made(users=(User("fleet", 1002),)) as router:
        server = router.serve_ssh(login="fleet", passwords={"fleet": "secret"})
        make = "sg vyattacfg -c 'umask 077; wg genkey > /config/auth/own.key'; stat -c '%a %U %G' /config/auth/own.key"
        assert server.handler(make, io.BytesIO(), {})[0] == b"600 fleet vyattacfg\n"
        line = "W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; "
        line += "$W set interfaces wireguard wg0 private-key /config/auth/own.key; $W end"
        assert b"Permission denied" in router.run(line)[0]
        assert server.handler(line, io.BytesIO(), {})[0] == b""


def test_as_root_without_the_group_a_wireguard_commit_fails_too(router: EdgeOsSimulator) -> None:
    lines = TUNNEL.strip().splitlines()[0]
    body = f"W=/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper; $W begin; $W set {lines}; "
    body += "$W set interfaces wireguard wg0 private-key /config/auth/wg0.key; $W commit; $W end"
    out = router.run(f"sudo bash -c '{body}'")[0]
    assert b"This script must be executed from vyatta configuration system." in out


def test_a_vbash_script_may_use_the_words_of_configuration_mode(router: EdgeOsSimulator) -> None:
    script = "source /opt/vyatta/etc/functions/script-template\nconfigure\nset system domain-name a.example\ncommit\nexit 0\n"
    router.run("sg vyattacfg -c 'vbash -s'", script.encode())
    assert router.ok("cli-shell-api returnActiveValue system domain-name") == "a.example"


def test_the_mss_is_one_value_for_every_kind_of_interface(router: EdgeOsSimulator) -> None:
    clamp = "firewall options mss-clamp"
    configure(router, f"{clamp} interface-type pppoe\n{clamp} interface-type wg\n{clamp} mss 1412")
    configure(router, f"{clamp} mss 1380")
    rules = [line for line in router.ok("sudo iptables -t mangle -S").splitlines() if "TCPMSS" in line]
    assert [rule.rpartition(" ")[2] for rule in rules] == ["1380", "1380"]
    assert ["-o pppoe+" in rules[0], "-o wg+" in rules[1]] == [True, True]


def test_vlans_and_pppoe_are_devices_with_bindings_of_their_own(router: EdgeOsSimulator) -> None:
    configure(
        router,
        "interfaces ethernet eth1 vif 20 address 192.168.99.1/24\ninterfaces ethernet eth0 pppoe 0 user-id me\n"
        "interfaces ethernet eth0 pppoe 0 firewall local name WAN_LOCAL",
    )
    assert "192.168.99.0/24 dev eth1.20" in router.ok("ip route")
    assert "-A VYATTA_FW_LOCAL_HOOK -i pppoe0 -j WAN_LOCAL" in router.ok("sudo iptables -S")


# ------------------------------------------------------------------------------------------------------- files, sheet 2.3
def test_save_refuses_a_file_that_is_no_configuration(router: EdgeOsSimulator) -> None:
    router.write("/config/notes", "shopping list\n")
    said = scripted(router, "begin\nsave /config/notes\nend")
    assert "File exists and is not a Vyatta configuration file, aborting save!\nrc=1 : save" in said
    assert router.read("/config/notes") == "shopping list\n"


def test_saving_elsewhere_says_so(router: EdgeOsSimulator) -> None:
    said = scripted(router, "begin\nsave /config/user-data/copy\nend")
    assert "Warning: saving configuration to non-default location '/config/user-data/copy'...\nDone\n" in said


def test_a_save_with_uncommitted_changes_warns_and_leaves_them_out(router: EdgeOsSimulator) -> None:
    said = scripted(router, "begin\nset system domain-name a.example\nsave\nend")
    assert "Warning: you have uncommitted changes that will not be saved.\n\nSaving configuration" in said
    assert "a.example" not in router.read("/config/config.boot")


def test_comments_of_config_boot_survive_a_boot_and_a_save(router: EdgeOsSimulator) -> None:
    text = router.read("/config/config.boot").replace("    ethernet eth1 {", "    /* the office */\n    ethernet eth1 {")
    router.write("/config/config.boot", text)
    router.reboot()
    scripted(router, "begin\nsave\nend")
    assert router.read("/config/config.boot") == text


def test_a_config_boot_that_was_saved_reads_back_the_same(router: EdgeOsSimulator) -> None:
    configure(router, TUNNEL)
    text = router.read("/config/config.boot")
    router.reboot()
    scripted(router, "begin\nsave\nend")
    assert router.read("/config/config.boot") == text


def test_a_full_flash_is_said_by_the_save_and_loses_nothing(router: EdgeOsSimulator) -> None:
    before = router.read("/config/config.boot")
    router.break_flash(errno.ENOSPC)
    said = scripted(router, "begin\nset system domain-name a.example\ncommit\nsave\nend")
    assert "No space left on device" in said
    assert "rc=1 : save" in said
    assert router.read("/config/config.boot") == before


@pytest.mark.parametrize("line", ["echo x > {}", "touch {}", "mkdir {}", "cp /etc/hostname {}", "wg genkey | tee {}"])
def test_nothing_is_written_to_a_flash_that_went_read_only_and_all_of_it_is_read(router: EdgeOsSimulator, line: str) -> None:
    router.break_flash(errno.EROFS)
    out, error, code = router.run(f"set -o pipefail; {line.format('/config/user-data/x')} && cat /config/user-data/x")
    assert (out.strip(), bool(error), code == 0) == (b"", True, False)
    assert router.run("cat /config/config.boot >/dev/null")[2] == 0
    assert router.run("mkdir -p /tmp/fine && touch /tmp/fine/too")[2] == 0
    router.mend_flash()
    router.ok("touch /config/user-data/x")


# ------------------------------------------------------------------------------------------------------ the simulator itself
def test_scripts_may_name_the_routers_root_themselves(router: EdgeOsSimulator) -> None:
    lines = 'W="$FLEET_ROOT/opt/vyatta/sbin/vyatta-cfg-cmd-wrapper"; $W begin; '
    lines += (
        '$W set interfaces wireguard wg0 private-key "$FLEET_ROOT/config/auth/wg0.key"; $W show interfaces wireguard; $W end'
    )
    out = router.run(f"sg vyattacfg -c '{lines}'")[0].decode()
    assert "    private-key /config/auth/wg0.key\n" in out


def test_a_script_arrives_by_ssh_and_runs_under_the_group(router: EdgeOsSimulator) -> None:
    server = router.serve_ssh(passwords={"ubnt": "secret"})
    access = Access(
        "edge",
        (Address(server.host, server.port),),
        username="ubnt",
        password=Secret("secret"),
        host_keys=(server.host_key_line,),
    )

    def dial(address: Address, timeout: float) -> socket.socket:
        return socket.create_connection((address.host, address.port), timeout)

    session = SshTransport(known_hosts=Path("/nonexistent"), connect_timeout=5).connect(access, dial)
    try:
        (reply,) = session.send(
            [Exec("sg vyattacfg -c 'bash -s'", stdin=("id -gn; cli-shell-api existsActive interfaces ethernet\n",))]
        )
    finally:
        session.close()
    assert isinstance(reply, Reply)
    assert reply.text == "vyattacfg\n"


def test_what_others_have_survives_and_is_told_apart_from_ours(router: EdgeOsSimulator) -> None:
    device = router.as_device()
    configure(router, TUNNEL)
    device.plant("wg0")
    before = device.foreign()
    mine = device.ours()
    opening = "firewall name WAN_LOCAL rule 30"
    configure(
        router,
        f"{opening} action accept\n{opening} protocol udp\n{opening} description 'fleet:acme:edge'\n"
        f"interfaces wireguard wg0 peer {PEER} persistent-keepalive 25\n"
        "protocols static interface-route 192.168.40.0/24 next-hop-interface wg0",
    )
    assert device.foreign() == before
    assert device.ours() != mine
    configure(router, "delete interfaces wireguard wg99 description")
    assert device.foreign() != before


def test_a_read_writes_nothing_and_a_commit_a_save_and_a_file_do(router: EdgeOsSimulator) -> None:
    device = router.as_device()
    before = device.writes()
    router.run("cli-shell-api showCfg; sudo wg show all dump; cat /config/config.boot", b"")
    scripted(router, "begin\nshow\nend")
    assert device.writes() == before
    for change in ("begin\nset system domain-name a.example\ncommit\nend", "begin\nsave\nend"):
        scripted(router, change)
        assert device.writes() > before
        before = device.writes()
    router.ok("touch /config/user-data/x")
    assert device.writes() > before


def test_arguments_are_exposed_and_standard_input_is_not(router: EdgeOsSimulator) -> None:
    router.ok("wg pubkey >/dev/null", router.ok("wg genkey").encode())
    device = router.as_device()
    scripted(router, "begin\nset system domain-name visible.example\nend")
    assert "visible.example" in device.exposed()


def test_closing_ends_every_process_and_removes_the_directory() -> None:
    router = recorded_router()
    root = router.root_path
    router.ok("setsid sleep 1000 </dev/null >/dev/null 2>&1 &")
    router.close()
    assert not root.exists()
    assert not any(str(root).encode() in path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
