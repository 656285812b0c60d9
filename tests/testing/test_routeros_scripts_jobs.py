"""Simulated RouterOS scripts: who starts them and when. Manual "Scheduler", "Scripts"; sheet sections 5.2 and 5.3."""

from __future__ import annotations

import threading
import time

import pytest
from routeros_client import Client
from routeros_scripts import log

from fleet.testing.ether import Clock, Ether
from fleet.testing.routeros import RouterosSimulator

SCHEDULER, SCRIPT = "/system/scheduler", "/system/script"
LISTS = "/ip/firewall/address-list"
ONE_SHOT = """
:do { /system/scheduler/remove [find name="undo"] } on-error={}
:log warning "undone"
/ip/address/remove [find comment="new"]
"""


@pytest.fixture
def router():
    with RouterosSimulator("r1", "7.20", clock=Clock(frozen=True)) as started:
        yield started


@pytest.fixture
def client(router):
    with Client(router) as connected:
        yield connected


def until(condition) -> None:
    """Wait for another thread; fails after five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- scheduler -----------------------------------------------------------------------------------------------------------


def test_an_undo_fires_once_does_its_work_and_is_gone(router: RouterosSimulator, client: Client) -> None:
    """5.3: it deletes its own row first and runs on."""
    client.add("/ip/address", address="10.9.0.1/24", interface="bridge", comment="new")
    client.add(SCHEDULER, name="undo", interval="120s", on_event=ONE_SHOT, policy="read,write")
    router.clock.advance(119)
    assert len(router.rows("/ip/address")) == 3
    router.clock.advance(3600)
    assert [(one.name, one.outcome) for one in router.fired] == [("undo", "ok")]
    assert router.rows(SCHEDULER) == []
    assert len(router.rows("/ip/address")) == 2
    assert log(router) == [("script,warning", "undone")]


def test_an_undo_that_fails_before_it_removes_itself_fires_again_and_again(router: RouterosSimulator, client: Client) -> None:
    """5.3: reported, about 20 times."""
    client.add(SCHEDULER, name="undo", interval="180s", on_event="/ip/address/remove nothing\n" + ONE_SHOT)
    router.clock.advance(3600)
    assert [one.outcome for one in router.fired] == ["no such item (/ip/address/remove; line 1)"] * 20
    assert log(router)[0] == (
        "script,error",
        "executing script undo from scheduler failed, please check it manually (no such item (/ip/address/remove; line 1))",
    )


def test_a_disarmed_undo_never_fires(router: RouterosSimulator, client: Client) -> None:
    """5.3: confirm is removing the job."""
    client.add(SCHEDULER, name="undo", interval="120s", on_event=ONE_SHOT)
    router.clock.advance(100)
    client.talk(f"{SCHEDULER}/remove", "=.id=undo")
    router.clock.advance(1000)
    assert router.fired == []


def test_an_undo_with_a_syntax_error_does_nothing_at_all_and_stays(router: RouterosSimulator, client: Client) -> None:
    """5.2: found before any change."""
    client.add(SCHEDULER, name="undo", interval="120s", on_event=ONE_SHOT + "\n:put $undeclared")
    before = router.snapshot()
    router.clock.advance(120)
    assert router.snapshot() == before
    assert "undeclared variable" in router.fired[0].outcome
    assert [topics for topics, _ in log(router)] == ["script,error"]


def test_a_script_has_the_rights_of_its_entry_not_of_whoever_looks(router: RouterosSimulator, client: Client) -> None:
    """5.3."""
    client.add(SCHEDULER, name="a", interval="10s", policy="read", on_event="/system/identity/set name=x")
    router.clock.advance(10)
    assert "not enough permissions (9)" in router.fired[0].outcome
    assert (
        "script,error",
        "executing script a from scheduler failed, please check it manually (not enough permissions)",
    ) in log(router)
    assert router.rows("/system/identity") == [{"name": "r1"}]


def test_an_entry_may_name_a_stored_script(router: RouterosSimulator, client: Client) -> None:
    """Manual: on-event is a script's name or a script."""
    client.add(SCRIPT, name="hello", source=":log info hello", policy="read")
    client.add(SCHEDULER, name="a", interval="10s", on_event="hello", policy="read")
    router.clock.advance(20)
    assert log(router) == [("script,info", "hello")] * 2
    assert client.rows(f"{SCRIPT}/print")[0]["run-count"] == "2"


def test_next_run_and_run_count_are_shown(router: RouterosSimulator, client: Client) -> None:
    """5.3, 8.12."""
    client.add(SCHEDULER, name="a", interval="1m", on_event=":nothing")
    router.clock.advance(90)
    row = client.rows(f"{SCHEDULER}/print")[0]
    due = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(router.wall_time() + 30))
    assert (row["run-count"], row["next-run"]) == ("1", due)


def test_a_reboot_keeps_the_entry_its_schedule_and_resets_its_count(router: RouterosSimulator, client: Client) -> None:
    """5.3: the local clock goes on; run-count starts again."""
    client.add(SCHEDULER, name="a", interval="100s", on_event=":log info fired", policy="read")
    router.clock.advance(130)
    router.reboot()
    assert router.rows(SCHEDULER)[0]["run-count"] == "0"
    router.clock.advance(68)
    assert len(router.fired) == 1
    router.clock.advance(3)
    assert len(router.fired) == 2


def test_startup_entries_without_interval_run_after_every_boot(router: RouterosSimulator, client: Client) -> None:
    """Manual: three seconds after the console starts; never because they were added."""
    client.add(SCHEDULER, name="a", start_time="startup", on_event=":log info boot", policy="read")
    client.add(SCHEDULER, name="b", start_time="startup", interval="1m", on_event=":log info later", policy="read")
    router.clock.advance(50)
    assert log(router) == []
    for boots in (1, 2):
        router.reboot()
        router.clock.advance(2)
        assert [one.name for one in router.fired].count("a") == boots - 1
        router.clock.advance(1)
        assert [one.name for one in router.fired].count("a") == boots
    assert "b" not in [one.name for one in router.fired]
    router.clock.advance(60)
    assert [one.name for one in router.fired] == ["a", "a", "b"]


def test_an_entry_with_a_start_in_the_future_runs_then(router: RouterosSimulator, client: Client) -> None:
    """Manual: start-date, start-time; an interval of 0 runs once."""
    at = time.gmtime(router.wall_time() + 500)
    words = {"start_date": time.strftime("%Y-%m-%d", at), "start_time": time.strftime("%H:%M:%S", at)}
    client.add(SCHEDULER, name="once", on_event=":nothing", **words)
    client.add(SCHEDULER, name="again", interval="100s", on_event=":nothing", **words)
    router.clock.advance(498)
    assert router.fired == []
    router.clock.advance(202)
    assert [one.name for one in router.fired].count("once") == 1
    assert [one.name for one in router.fired].count("again") == 3


def test_entries_fire_in_order_of_time_even_if_the_clock_leaps(router: RouterosSimulator, client: Client) -> None:
    """10.11."""
    client.add(SCHEDULER, name="slow", interval="30s", on_event=":nothing")
    client.add(SCHEDULER, name="fast", interval="20s", on_event=":nothing")
    router.clock.advance(61)
    assert [(one.at, one.name) for one in router.fired if one.at < 60] == [(20.0, "fast"), (30.0, "slow"), (40.0, "fast")]
    assert {(one.at, one.name) for one in router.fired[3:]} == {(60.0, "fast"), (60.0, "slow")}


def test_a_script_may_add_an_entry_with_no_more_rights_than_its_own(router: RouterosSimulator, client: Client) -> None:
    """5.3."""
    inner = '/system/scheduler/add name=b interval=10s on-event={ :log info "from b" } policy=read'
    client.add(SCHEDULER, name="a", interval="10s", on_event=f"/system/scheduler/remove a\n{inner}", policy="read,write")
    router.clock.advance(25)
    assert router.fired[0].outcome == "ok"
    router.clock.advance(20)
    assert log(router)[-1] == ("script,info", "from b")
    assert [(row["name"], row["owner"], row["policy"]) for row in router.rows(SCHEDULER)] == [("b", "admin", "read")]


# --- delay ---------------------------------------------------------------------------------------------------------------


def test_a_delay_waits_on_the_virtual_clock(router: RouterosSimulator, client: Client) -> None:
    """Manual, "delay"."""
    source = ":log info before\n:foreach i in={1;2} do={ :delay 5s; :log info $i }"
    client.add(SCHEDULER, name="a", interval="1h", on_event=source, policy="read")
    router.clock.advance(3600)
    assert router.fired[0].outcome == "running"
    router.clock.advance(5)
    assert [message for _, message in log(router)] == ["before", "1"]
    router.clock.advance(5)
    assert [message for _, message in log(router)] == ["before", "1", "2"]
    assert router.fired[0].outcome == "ok"


def test_a_reboot_ends_what_waits(router: RouterosSimulator, client: Client) -> None:
    """A script lives in memory."""
    client.talk("/execute", "=script=:delay 10s; :log info never")
    router.reboot()
    router.clock.advance(20)
    assert log(router) == []


# --- over the API --------------------------------------------------------------------------------------------------------


def test_execute_runs_a_job_and_answers_its_id(router: RouterosSimulator, client: Client) -> None:
    """5.2."""
    replies = client.talk("/execute", '=script=/ip/address/add address=10.9.0.1/24 interface=bridge comment="a b"')
    assert replies[0][0] == "!done"
    assert replies[0][1].startswith("=ret=*")
    assert router.rows("/ip/address")[-1]["comment"] == "a b"


def test_execute_as_string_answers_the_output(router: RouterosSimulator, client: Client) -> None:
    """5.2: output in ret."""
    words = ("/execute", '=script=:put "one"; :put [/system/identity/get name]', "=as-string=")
    assert client.talk(*words) == [["!done", "=ret=one\nr1"]]
    assert client.talk("/execute", "=script=/nonsense", "=as-string=yes")[0][1].startswith(
        "=ret=Script Error: bad command name"
    )


def test_a_script_may_start_another_in_the_background(router: RouterosSimulator, client: Client) -> None:
    """Manual, "execute": a block or a string; its errors are not those of the script."""
    words = ("/execute", '=script=:execute { :log info "inner" }; :execute script=":error x"; :put "outer"', "=as-string=")
    assert client.talk(*words) == [["!done", "=ret=outer"]]
    assert ("script,info", "inner") in log(router)


def test_the_clock_is_a_time(client: Client) -> None:
    """Manual, data types."""
    words = ("/execute", "=script=:put [:typeof [/system/clock/get time]]", "=as-string=")
    assert client.talk(*words) == [["!done", "=ret=time"]]


def test_errors_of_a_background_job_are_only_in_the_log(router: RouterosSimulator, client: Client) -> None:
    """5.2: loses per-object errors."""
    assert client.talk("/execute", "=script=/ip/address/remove nothing")[0][0] == "!done"
    assert log(router)[-1][0] == "script,error"


def test_execute_has_the_rights_of_the_user() -> None:
    """6."""
    users = {"ops": ("pw", "read,api")}
    with RouterosSimulator("r", users=users) as router, Client(router, user="ops", password="pw") as client:
        reply = client.talk("/execute", "=script=/system/identity/set name=x", "=as-string=")
        assert "not enough permissions (9)" in reply[0][1]


def test_execute_refuses_what_it_does_not_know(client: Client) -> None:
    """1.6."""
    assert client.trap("/execute", "=script=:nothing", "=file=x") == "unknown parameter file"
    assert client.trap("/execute") == "missing value(s) of argument(s) script"
    assert client.trap("/execute", f"=script=#{'x' * 65_536}") == "failure: script too long"


def test_stored_scripts_are_added_run_and_removed(router: RouterosSimulator, client: Client) -> None:
    """Manual, "Scripts"."""
    number = client.add(SCRIPT, name="s", source=":log info ran")
    assert client.talk(f"{SCRIPT}/run", f"=.id={number}") == [["!done"]]
    assert client.talk(f"{SCRIPT}/run", "=number=s") == [["!done"]]
    row = client.rows(f"{SCRIPT}/print")[0]
    assert (row["run-count"], row["owner"], row["dont-require-permissions"]) == ("2", "admin", "false")
    client.talk(f"{SCRIPT}/remove", "=numbers=s")
    assert client.trap(f"{SCRIPT}/run", "=number=s") == "no such item"


def test_the_error_of_a_script_run_over_the_api_is_its_trap(router: RouterosSimulator, client: Client) -> None:
    """1.6, category 3; category 7 for a returned value."""
    client.add(SCRIPT, name="s", source=':error "no luck"')
    client.add(SCRIPT, name="t", source=":return 5")
    assert client.talk(f"{SCRIPT}/run", "=number=s") == [["!trap", "=category=3", "=message=no luck"], ["!done"]]
    assert client.talk(f"{SCRIPT}/run", "=number=t") == [["!trap", "=category=7", "=message=5"], ["!done"]]


def test_a_script_with_more_rights_than_its_caller_is_refused_unless_it_says_otherwise() -> None:
    """Manual, "Scripts": dont-require-permissions."""
    users = {"admin": ("", "full"), "ops": ("pw", "read,api")}
    with RouterosSimulator("r", users=users) as router, Client(router, user="ops", password="pw") as client:
        router.insert(SCRIPT, name="s", source="/system/identity/set name=x", policy="read,write")
        assert client.trap(f"{SCRIPT}/run", "=number=s") == "not enough permissions (9)"
        router.change(SCRIPT, "s", dont_require_permissions=True)
        assert client.talk(f"{SCRIPT}/run", "=number=s") == [["!done"]]
        assert router.rows("/system/identity") == [{"name": "x"}]


def test_a_script_that_waits_answers_when_it_is_done_and_others_go_on(router: RouterosSimulator, client: Client) -> None:
    """1.4: commands run concurrently."""
    client.send("/execute", "=script=:put a; :delay 30s; :put b", "=as-string=", ".tag=1")
    assert client.talk("/system/identity/print", ".tag=2")[0] == ["!re", "=name=r1", ".tag=2"]
    router.clock.advance(30)
    assert client.receive() == ["!done", "=ret=a\nb", ".tag=1"]
    assert client.talk("/system/identity/print", ".tag=1")[-1] == ["!done", ".tag=1"]


def test_a_waiting_command_can_be_cancelled(router: RouterosSimulator, client: Client) -> None:
    """1.4."""
    client.send("/execute", "=script=:delay 30s", "=as-string=", ".tag=1")
    replies = client.talk("/cancel", "=tag=1", ".tag=2")
    assert replies[0] == ["!trap", "=category=2", "=message=interrupted", ".tag=1"]
    assert client.receive() == ["!done", ".tag=1"]
    router.clock.advance(60)
    assert client.talk("/system/identity/print")[-1] == ["!done"]


def test_the_log_has_topics_and_takes_lines_over_the_api(router: RouterosSimulator, client: Client) -> None:
    """Manual, "Log"."""
    client.talk("/log/warning", "=message=careful")
    rows = client.rows("/log/print", "?topics=script,warning")
    assert [row["message"] for row in rows] == ["careful"]


def test_the_log_keeps_the_newest_thousand_lines(router: RouterosSimulator, client: Client) -> None:
    """A router's memory is small."""
    client.talk("/execute", "=script=:for i from=1 to=1200 do={ :log info $i }")
    assert [row["message"] for row in router.rows("/log")][::999] == ["201", "1200"]


# --- threads -------------------------------------------------------------------------------------------------------------


def test_the_clock_and_connections_do_not_block_each_other(router: RouterosSimulator) -> None:
    """Scripts run under the router's lock, in the thread that moves the clock."""
    with Client(router) as client:
        client.add(SCHEDULER, name="a", interval="1s", on_event=f"{LISTS}/remove [find]; :delay 200ms; :log info x")
    mover = threading.Thread(target=lambda: [router.clock.advance(1) for _ in range(100)])
    mover.start()
    with Client(router) as client:
        for number in range(100):
            client.add(LISTS, list="x", address=f"10.0.0.{number}")
    mover.join(10)
    assert not mover.is_alive()
    assert len(router.fired) == 100
    router.clock.advance(1)
    assert {one.outcome for one in router.fired[:-1]} == {"ok"}


def test_scripts_run_by_themselves_when_the_clock_runs() -> None:
    """The farm looks at timers a few times a second."""
    with RouterosSimulator("r", clock=Clock()) as router, Client(router) as client:
        client.add(SCHEDULER, name="a", interval="1s", on_event=":log info real")
        until(lambda: ("script,info", "real") in log(router))


def test_a_script_that_ends_its_own_connection_is_answered_or_cut_but_never_hangs(router: RouterosSimulator) -> None:
    """1.7: loss after send is an unknown outcome."""
    with Client(router) as client:
        client.send("/execute", "=script=/user/active/remove [find]")
        with pytest.raises(ConnectionError):
            client.until_done(99)


# --- two routers ---------------------------------------------------------------------------------------------------------


def test_resolve_knows_the_names_of_the_ether() -> None:
    """Manual, "resolve"."""
    ether = Ether(Clock(frozen=True))
    hub = RouterosSimulator("hub", ether=ether, public_hosts=["hub.example.com", "192.0.2.1"])
    with hub, RouterosSimulator("spoke", ether=ether) as spoke, Client(spoke) as client:
        words = ("/execute", '=script=:put [:resolve "hub.example.com"]', "=as-string=")
        assert client.talk(*words) == [["!done", "=ret=192.0.2.1"]]
        hub.public_hosts = frozenset({"hub.example.com", "192.0.2.2"})
        assert client.talk(*words) == [["!done", "=ret=192.0.2.2"]]


def test_safe_mode_brings_an_entry_back_that_still_runs(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.add(SCHEDULER, name="a", interval="10s", on_event=":log info x")
    client.talk("/safe-mode/take")
    client.talk(f"{SCHEDULER}/remove", "=.id=a")
    client.talk("/safe-mode/unroll")
    router.clock.advance(11)
    assert log(router) == [("script,info", "x")]


RERESOLVE = """
:foreach i in=[/interface/wireguard/peers/find where interface=wg0 and !disabled and endpoint-address!=""] do={
  :local age [/interface/wireguard/peers/get $i last-handshake]
  :local stale ([:typeof $age] = "nil")
  :if (!$stale) do={ :set stale ($age > 150s) }
  :if ($stale) do={ /interface/wireguard/peers/set $i endpoint-address=[/interface/wireguard/peers/get $i endpoint-address] }
}
"""


@pytest.mark.parametrize(("resolves", "entry", "back"), [("always", False, True), ("set", False, False), ("set", True, True)])
def test_a_hub_that_moves_is_found_again_by_an_entry_of_the_spoke(resolves: str, entry: bool, back: bool) -> None:
    """Design 5; when RouterOS itself looks names up is unverified (sheet 3.2), so both kinds exist here."""
    ether = Ether(Clock(frozen=True))
    hub = RouterosSimulator("hub", ether=ether, firewall="empty", public_hosts=["hub.example.com", "192.0.2.1"])
    spoke = RouterosSimulator("spoke", ether=ether)
    with hub, spoke:
        spoke.device.resolves = resolves  # type: ignore[assignment]
        for one in (hub, spoke):
            one.insert("/interface/wireguard", name="wg0", listen_port=51820)
        keys = {one.name: one.rows("/interface/wireguard")[0]["public-key"] for one in (hub, spoke)}
        peers = "/interface/wireguard/peers"
        hub.insert(peers, interface="wg0", public_key=keys["spoke"], allowed_address="10.0.0.2/32")
        words = {"endpoint_address": "hub.example.com", "endpoint_port": 51820, "persistent_keepalive": "25s"}
        spoke.insert(peers, interface="wg0", public_key=keys["hub"], allowed_address="10.0.0.1/32", **words)
        if entry:
            spoke.insert(SCHEDULER, name="resolve", interval="30s", on_event=RERESOLVE, policy="read,write")
        assert "last-handshake" in spoke.rows(peers)[0]
        hub.set_offline()
        hub.public_hosts = frozenset({"hub.example.com", "192.0.2.2"})
        ether.clock.advance(200)
        hub.set_offline(False)
        ether.clock.advance(100)
        age = spoke.rows(peers)[0]["last-handshake"]
        assert (age == "5m") is not back, age
        assert {one.outcome for one in spoke.fired} <= {"ok"}
