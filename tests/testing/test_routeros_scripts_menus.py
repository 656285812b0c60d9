"""Simulated RouterOS scripts: commands of menus, conditions of find, rights. Manual "Scripting", sheet sections 1.6, 3 to 6."""

from __future__ import annotations

import base64

import pytest
from routeros_scripts import log, output, put, run

from fleet.testing.ether import Clock, Handshake
from fleet.testing.routeros import RouterosSimulator

PEERS = "/interface/wireguard/peers"
KEYS = [base64.b64encode(bytes([n]) * 32).decode() for n in range(1, 9)]


@pytest.fixture
def router():
    router = RouterosSimulator("r1", "7.20", clock=Clock(frozen=True))
    router.insert("/interface/wireguard", name="wg0", listen_port=51820)
    for number, key in enumerate(KEYS[:3]):
        mark = f"fleet:acme:s{number}" if number else None
        address = f"10.0.0.{number + 2}/32,10.{number}.0.0/16"
        router.insert(PEERS, interface="wg0", public_key=key, allowed_address=address, comment=mark)
    return router


def comments(router: RouterosSimulator, menu: str = PEERS) -> list[str | None]:
    return [row.get("comment") for row in router.rows(menu)]


# --- paths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "/interface/wireguard/peers/remove [find]",
        "/interface wireguard peers remove [find]",
        "/interface/wireguard peers remove [/interface wireguard peers find]",
        "/interface wireguard peers\nremove [find]",
        "/interface wireguard\npeers remove [find]",
        "/interface/wireguard/peers\n:foreach i in=[find] do={ remove $i }",
        "/interface/wireguard/peers/remove numbers=[find interface=wg0]",
        "/\n/interface/wireguard/peers remove [find where interface = wg0]",
    ],
)
def test_paths_are_written_with_slashes_or_blanks_and_a_path_alone_is_kept(router: RouterosSimulator, source: str) -> None:
    """Manual, "Command-line"."""
    assert run(router, source) == "ok"
    assert router.rows(PEERS) == []


def test_the_menu_changes_back_at_the_end_of_the_block(router: RouterosSimulator) -> None:
    """Manual, "Command-line"."""
    assert output(router, "{\n/system identity\n}\n:put [/system/identity/get name]\nput [len abc]") == ["r1", "3"]


# --- find ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("", [0, 1, 2]),
        ("interface=wg0", [0, 1, 2]),
        ('comment="fleet:acme:s1"', [1]),
        ("comment=fleet:acme:s1", [1]),
        ('comment=""', [0]),
        ('comment!=""', [1, 2]),
        ("comment", [1, 2]),
        ("!comment", [0]),
        ('comment~"^fleet:"', [1, 2]),
        ('comment~"s[12]\\$"', [1, 2]),
        ("where comment~\"s1\" or comment~\"s2\"", [1, 2]),
        ("where (comment~\"s1\" || comment~\"s2\") && !disabled", [1, 2]),
        ('comment~"fleet" public-key="' + KEYS[1] + '"', [1]),
        ("disabled=no", [0, 1, 2]),
        ("disabled", []),
        ("!dynamic", [0, 1, 2]),
        ("where not disabled and dynamic=no", [0, 1, 2]),
        ("persistent-keepalive=25s", []),
        ("endpoint-port=0", [0, 1, 2]),
        ("where endpoint-port < 1", [0, 1, 2]),
        ("allowed-address~\"10.1.0.0/16\"", [1]),
        ("where 10.0.0.3 in allowed-address", None),
        ("where allowed-address in 10.1.0.0/16", [1]),
        (".id=*1", [0]),
        ("where \"public-key\"=\"" + KEYS[2] + "\"", [2]),
        ("name=peer2", [1]),
        ("last-handshake>1s", []),
        ("rx=0", [0, 1, 2]),
    ],
)  # fmt: skip
def test_find_selects_rows(router: RouterosSimulator, condition: str, found: list[int] | None) -> None:
    """Manual, "find", "where"; sheet 3.1. None: refused, a condition begins with a property."""
    source = f":foreach i in=[{PEERS}/find {condition}] do={{ :put $i }}"
    if found is None:
        assert "expected end of command" in run(router, source)
    else:
        assert output(router, source) == [f"*{number + 1:X}" for number in found]


def test_a_variable_named_like_a_property_is_the_property(router: RouterosSimulator) -> None:
    """Manual, tips and tricks: the trap that removes everything."""
    assert put(router, "[:len [/interface/wireguard/find]]") == "1"
    assert output(router, f":local comment none; :put [:len [{PEERS}/find comment=$comment]]") == ["3"]
    assert output(router, f":local mark none; :put [:len [{PEERS}/find comment=$mark]]") == ["0"]
    assert output(router, f':local name none; :put [:len [{PEERS}/find comment="$name"]]') == ["0"]


def test_an_unquoted_prefix_does_not_equal_an_address(router: RouterosSimulator) -> None:
    """Manual, tips and tricks: quote prefixes."""
    assert put(router, "[:len [/ip/address/find address=192.168.88.1/24]]") == "0"
    assert put(router, '[:len [/ip/address/find address="192.168.88.1/24"]]') == "1"
    assert output(router, ":local p 192.168.88.1/24; :put [:len [/ip/address/find address=[:tostr $p]]]") == ["1"]


def test_routes_are_found_by_prefix_and_by_string(router: RouterosSimulator) -> None:
    """Sheet 6."""
    router.insert("/ip/route", dst_address="10.20.0.0/16", gateway="wg0", comment="x")
    for written in ("10.20.0.0/16", '"10.20.0.0/16"'):
        assert put(router, f"[:len [/ip/route/find dst-address={written} comment=x]]") == "1"


# --- get -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "kind", "shown"),
    [
        (f"{PEERS}/get *1 disabled", "bool", "false"),
        (f"{PEERS}/get *1 responder", "bool", "false"),
        (f"{PEERS}/get [find public-key=\"{KEYS[1]}\"] comment", "str", "fleet:acme:s1"),
        (f"{PEERS}/get *1 comment", "str", ""),
        (f"{PEERS}/get number=*1 value-name=interface", "str", "wg0"),
        (f"{PEERS}/get *2 allowed-address", "array", "10.0.0.3/32;10.1.0.0/16"),
        (f"{PEERS}/get *1 last-handshake", "nil", ""),
        (f"{PEERS}/get *1 persistent-keepalive", "nil", ""),
        (f"{PEERS}/get value-name=endpoint-port *1", "num", "0"),
        ("/interface/wireguard/get wg0 listen-port", "num", "51820"),
        ("/interface/get wg0 running", "bool", "true"),
        ("/ip/address/get [find interface=bridge] address", "str", "192.168.88.1/24"),
        ("/system/identity/get name", "str", "r1"),
        ("/system/resource/get uptime", "time", "00:00:00"),
    ],
)  # fmt: skip
def test_get_gives_typed_values(router: RouterosSimulator, command: str, kind: str, shown: str) -> None:
    """Manual, "get"; sheet 3.1: what is not there is nil, text is empty."""
    assert output(router, f":put [:typeof [{command}]]; :put [{command}]") == [kind, shown]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"{PEERS}/get [find comment=none] comment", "no such item"),
        (f"{PEERS}/get [find] comment", "invalid internal item number"),
        (f"{PEERS}/get 0 comment", "no such item"),
        (f"{PEERS}/set 0 disabled=yes", "no such item"),
        (f"{PEERS}/set *FF disabled=yes", "no such item"),
        (f"{PEERS}/get *1 nonsense", "input does not match any value of value-name"),
        (f"{PEERS}/set disabled=yes", "missing value(s) of argument(s) numbers"),
        (f"{PEERS}/add interface=wg0", "missing value(s) of argument(s) public-key allowed-address"),
        (f"{PEERS}/add interface=wg9 public-key=x allowed-address=1.1.1.1", "input does not match any value of interface"),
        (f"{PEERS}/set *1 comment=[{PEERS}/get *1 last-handshake]", "got nil"),
        (f"{PEERS}/unset *1 comment", "bad command name unset"),
        ("/ip/service/add name=x", "bad command name add"),
        ("/interface/find where type=wg; /ip/address/remove nothing", "no such item"),
    ],
)  # fmt: skip
def test_commands_fail_as_over_the_api(router: RouterosSimulator, command: str, reason: str) -> None:
    """Sheet 1.6; numbers of a print are unknown to scripts (manual, tips and tricks)."""
    before = router.snapshot()
    assert reason in run(router, command)
    assert router.snapshot() == before


def test_secrets_are_masked_without_the_policy(router: RouterosSimulator) -> None:
    """Sheet 2."""
    source = ':if ([/interface/wireguard/get wg0 private-key] = "*****") do={ :log info masked }'
    assert run(router, source, policies=frozenset({"read", "write"})) == "ok"
    assert log(router)[-1] == ("script,info", "masked")


# --- writing -------------------------------------------------------------------------------------------------------------


def test_add_gives_the_id_and_set_changes_several_rows(router: RouterosSimulator) -> None:
    """Manual, "add", "set"."""
    source = f"""
    :local id [{PEERS}/add interface=wg0 public-key="{KEYS[5]}" allowed-address=10.9.0.1/32 comment="new"]
    {PEERS}/set [find comment~"^fleet"] disabled=yes persistent-keepalive=25s
    {PEERS}/set $id comment="newer" endpoint-address=hub.example.com endpoint-port=51820
    """
    assert run(router, source) == "ok"
    rows = router.rows(PEERS)
    assert [row["disabled"] for row in rows] == ["false", "true", "true", "false"]
    assert rows[1]["persistent-keepalive"] == "25s"
    assert (rows[3]["comment"], rows[3]["endpoint-address"]) == ("newer", "hub.example.com")


def test_values_of_variables_fit_arguments(router: RouterosSimulator) -> None:
    """Times, arrays, booleans, numbers."""
    source = f"""
    :local keep 00:00:25; :local off true; :local port (51820 + 1)
    {PEERS}/set *1 persistent-keepalive=$keep disabled=$off endpoint-port=$port allowed-address=(10.7.0.0/16,10.8.0.0/16)
    """
    assert run(router, source) == "ok"
    row = router.rows(PEERS)[0]
    assert (row["persistent-keepalive"], row["disabled"], row["endpoint-port"]) == ("25s", "true", "51821")
    assert row["allowed-address"] == "10.7.0.0/16,10.8.0.0/16"


def test_what_get_gives_can_be_set_again(router: RouterosSimulator) -> None:
    """Undo scripts keep values in variables."""
    before = router.rows(PEERS)
    source = f"""
    :local kept [{PEERS}/get *2 allowed-address]
    {PEERS}/set *2 allowed-address=1.1.1.1
    {PEERS}/set *2 allowed-address=$kept
    """
    assert run(router, source) == "ok"
    assert router.rows(PEERS) == before


def test_enable_disable_comment_remove_of_nothing_found_is_no_error(router: RouterosSimulator) -> None:
    """Undo scripts are run twice."""
    for verb in ("enable", "disable", "remove", "set"):
        assert run(router, f"{PEERS}/{verb} [find comment=none]{' disabled=yes' if verb == 'set' else ''}") == "ok"
    assert (
        run(router, f'{PEERS}/disable [find]; {PEERS}/enable *2; {PEERS}/comment *1 "x"; {PEERS}/comment *2 comment="y"')
        == "ok"
    )
    assert [(row["disabled"], row["comment"]) for row in router.rows(PEERS)][:2] == [("true", "x"), ("false", "y")]


def test_rules_are_placed_moved_and_freed_of_properties(router: RouterosSimulator) -> None:
    """Sheet 3.2, 4: place-before, move, unset and `!property`."""
    source = """
    /ip/firewall/filter
    :local drop [find where chain=input and action=drop and !dynamic]
    add chain=input action=accept protocol=udp dst-port=51820 comment=a place-before=($drop->0)
    add chain=input action=accept protocol=udp dst-port=51821 comment=b place-before=[find comment=a]
    move [find comment=a] [find comment=b]
    unset [find comment=a] dst-port
    set [find comment=b] !dst-port !protocol
    """
    assert run(router, source) == "ok"
    rows = router.rows("/ip/firewall/filter")
    place = [row.get("comment") for row in rows].index("a")
    assert rows[place + 1]["comment"] == "b"
    assert "dst-port" not in rows[place]
    assert not {"dst-port", "protocol"} & set(rows[place + 1])


def test_print_counts_and_gives_arrays(router: RouterosSimulator) -> None:
    """Manual, tips and tricks: an array of maps, even for one row."""
    assert put(router, f'[{PEERS}/print count-only where comment~"fleet"]') == "2"
    source = f':put ([:pick [{PEERS}/print as-value where comment="fleet:acme:s1"] 0]->"interface")'
    assert output(router, source) == ["wg0"]
    assert len(output(router, f"{PEERS}/print where comment")) == 2


def test_fields_of_other_versions_are_syntax_errors() -> None:
    """Sheet 3.3, import: the whole script does nothing on a version that lacks one word of it."""
    source = ":log info began\n/interface/wireguard/peers/set [find] responder=yes"
    assert run(RouterosSimulator("r", "7.17"), source) == "ok"
    old = RouterosSimulator("r", "7.14")
    assert run(old, source) == "expected end of command (line 2 column 39)"
    assert ("script,info", "began") not in log(old)


def test_resolve_asks_the_ether(router: RouterosSimulator) -> None:
    """Manual, "resolve"."""
    assert "dns name does not exist" in run(router, ":put [:resolve hub.example.com]")


# --- rights --------------------------------------------------------------------------------------------------------------


def test_what_the_policies_forbid_is_in_the_log_even_if_caught(router: RouterosSimulator) -> None:
    """Sheet 5.3."""
    before = router.snapshot()
    source = ":do { /system/identity/set name=x } on-error={ :log info caught }"
    assert run(router, source, policies=frozenset({"read"})) == "ok"
    assert log(router)[-2:] == [("script,error", "not enough permissions (9)"), ("script,info", "caught")]
    assert router.snapshot() == before


@pytest.mark.parametrize(
    ("policies", "source"),
    [
        ({"read"}, f"{PEERS}/remove [find]"),
        ({"write"}, f"{PEERS}/find"),
        ({"read", "write"}, "/ping 192.168.88.1 count=1"),
        ({"read", "write"}, "/system/reboot"),
        ({"read", "write"}, "/user/add name=x group=full"),
        ({"read", "write"}, '/system/scheduler/add name=x interval=1m on-event=":nothing" policy=read,write,policy'),
    ],
)
def test_every_command_needs_its_policy(router: RouterosSimulator, policies: set[str], source: str) -> None:
    """Sheet 5.3, 6."""
    before = router.snapshot()
    assert "not enough permissions (9)" in run(router, source, policies=frozenset(policies))
    assert router.snapshot() == before


# --- scripts an engineer writes ------------------------------------------------------------------------------------------


def test_a_disabled_peer_comes_back(router: RouterosSimulator) -> None:
    """Sheet 5.3, undo body A."""
    router.change(PEERS, "*2", disabled=True)
    source = """
    # put the old hub peer back
    :do {
      /interface wireguard peers enable [find where comment="fleet:acme:s1" and disabled]
    } on-error={ :log error "undo: peer" }
    """
    assert run(router, source) == "ok"
    assert router.rows(PEERS)[1]["disabled"] == "false"


def test_only_marked_objects_go(router: RouterosSimulator) -> None:
    """Sheet 5.3: exactly the objects with our tag."""
    router.insert("/ip/route", dst_address="10.1.0.0/16", gateway="wg0", comment="fleet:acme:s1")
    router.insert("/ip/route", dst_address="10.50.0.0/16", gateway="wg0", comment="by hand")
    source = r"""
    :local mark "^fleet:acme:"
    :foreach i in=[/interface/wireguard/peers/find where comment~$mark] do={
      :local who [/interface/wireguard/peers/get $i comment]
      :do { /interface/wireguard/peers/remove $i } on-error={ :log error "cannot remove $who" }
      :log warning ("removed " . $who)
    }
    /ip/route/remove [find where comment~$mark and !dynamic]
    """
    assert run(router, source) == "ok"
    assert comments(router) == [None]
    assert [row["comment"] for row in router.rows("/ip/route") if "comment" in row] == ["by hand"]
    assert log(router) == [("script,warning", f"removed fleet:acme:s{n}") for n in (1, 2)]


RERESOLVE = """
:foreach i in=[/interface/wireguard/peers/find where interface=wg0 and !disabled and endpoint-address!=""] do={
  :local host [/interface/wireguard/peers/get $i endpoint-address]
  :local age [/interface/wireguard/peers/get $i last-handshake]
  :local stale ([:typeof $age] = "nil")
  :if (!$stale) do={ :set stale ($age > 150s) }
  :if ($stale && ([:typeof [:toip $host]] = "nil")) do={
    /interface/wireguard/peers/set $i endpoint-address=$host
    :log info "resolved $host again"
  }
}
"""


@pytest.mark.parametrize(("age", "again"), [(None, True), (10, False), (150, False), (151, True), (90_000, True)])
def test_an_endpoint_is_set_again_when_its_handshake_is_old(router: RouterosSimulator, age: int | None, again: bool) -> None:
    """Design 5: older than 150 s; absent until the first handshake (sheet 3.1)."""
    router.change(PEERS, "*2", endpoint_address="hub.example.com", endpoint_port=51820)
    router.change(PEERS, "*3", endpoint_address="192.0.2.1", endpoint_port=51820)
    router.clock.advance(100_000)
    if age is not None:
        router.handshakes["wg0", KEYS[1]] = Handshake(router.clock.now() - age, ("192.0.2.9", 51820), 1, 1)
    writes = router.counters.writes
    assert run(router, RERESOLVE) == "ok"
    assert (log(router) == [("script,info", "resolved hub.example.com again")]) is again
    assert router.counters.writes - writes == again


def test_forgetting_that_there_may_be_no_handshake_fails(router: RouterosSimulator) -> None:
    """Sheet 3.1: the property is absent."""
    source = f":foreach i in=[{PEERS}/find] do={{ :if ([{PEERS}/get $i last-handshake] > 150s) do={{}} }}"
    assert "cannot compare" in run(router, source)


def test_the_one_paste_of_the_sheet_runs_twice(router: RouterosSimulator) -> None:
    """Sheet 6: the snippet's own constructs; the second time changes nothing."""
    source = r"""
    {
      :local wIf "wg-s2s"; :local wPort 51900; :local tag "mesh:a:b"
      :local own "10.255.0.1/30"; :local far "10.255.0.2/32"; :local farLan "10.20.0.0/16"
      :local rKey "KEY"; :local rHost "192.0.2.1"; :local rPort 51820
      :if ([:len [/interface/wireguard/find name=$wIf]] = 0) do={ /interface/wireguard/add name=$wIf listen-port=$wPort mtu=1420 comment=$tag }
      :if ([:len [/interface/wireguard/peers/find interface=$wIf public-key=$rKey]] = 0) do={ /interface/wireguard/peers/add interface=$wIf public-key=$rKey endpoint-address=$rHost endpoint-port=$rPort allowed-address="$far,$farLan" persistent-keepalive=25s comment=$tag }
      :if ([:len [/ip/address/find interface=$wIf comment=$tag]] = 0) do={ /ip/address/add address=$own interface=$wIf comment=$tag }
      :if ([:len [/ip/route/find dst-address=$farLan comment=$tag]] = 0) do={ /ip/route/add dst-address=$farLan gateway=$wIf distance=1 comment=$tag }
      :local fTag ($tag . ":udp")
      :local drops [/ip/firewall/filter/find where chain=input and action=drop and dynamic=no]
      :if ([:len [/ip/firewall/filter/find comment=$fTag]] = 0) do={
        :if ([:len $drops] > 0) do={ /ip/firewall/filter/add chain=input action=accept protocol=udp dst-port=$wPort comment=$fTag place-before=($drops->0) } else={ /ip/firewall/filter/add chain=input action=accept protocol=udp dst-port=$wPort comment=$fTag }
      }
      :if ([:len [/user/group/find name="wg-sync"]] = 0) do={ /user/group/add name="wg-sync" policy=read,write,api }
      :if ([:len [/user/find name="wgsync"]] = 0) do={ /user/add name="wgsync" group="wg-sync" password="LONG_RANDOM" address=192.0.2.7/32 }
      :put [/interface/wireguard/get [find name=$wIf] public-key]
    }
    """.replace("KEY", KEYS[6])  # noqa: E501  # one command per line, as it is pasted
    first = output(router, source)
    after = router.snapshot()
    assert output(router, source) == first
    assert router.snapshot() == after
    assert router.rows(PEERS)[-1]["allowed-address"] == "10.255.0.2/32,10.20.0.0/16"
