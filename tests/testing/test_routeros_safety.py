"""Simulated RouterOS: safe mode, scheduler, reboot, faults, latency, TLS, counters. Sheet sections 5, 7 and 10."""

from __future__ import annotations

import ssl
import threading
import time

import pytest
from routeros_client import Client

from fleet.testing.ether import Clock
from fleet.testing.routeros import Latency, RouterosSimulator

LISTS = "/ip/firewall/address-list"


@pytest.fixture
def router():
    with RouterosSimulator("r1", "7.20", clock=Clock(frozen=True)) as started:
        yield started


@pytest.fixture
def client(router):
    with Client(router) as connected:
        yield connected


def entry(client: Client, number: int = 1) -> str:
    return client.add(LISTS, list="x", address=f"10.0.{number // 250}.{number % 250}")


def until(condition) -> None:
    """Wait for the farm's thread; fails after five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def hung_up(router: RouterosSimulator) -> None:
    until(lambda: not router.connections and not router.rows("/user/active"))


@pytest.mark.parametrize(("version", "known"), [("7.17.2", False), ("7.18", True)])
def test_safe_mode_is_reachable_from_7_18(version: str, known: bool) -> None:
    """5.1."""
    with RouterosSimulator("r", version) as router, Client(router) as client:
        assert (client.talk("/safe-mode/take") == [["!done"]]) is known


def test_taken_and_released_changes_stay(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.talk("/safe-mode/take")
    entry(client)
    client.talk("/safe-mode/release")
    client.close()
    hung_up(router)
    assert len(router.rows(LISTS)) == 1


def test_unroll_discards_in_place(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.talk("/safe-mode/take")
    entry(client)
    assert client.talk("/safe-mode/unroll") == [["!done"]]
    assert router.rows(LISTS) == []


def test_closing_without_release_rolls_back_after_a_delay(router: RouterosSimulator, client: Client) -> None:
    """5.1, 10.10."""
    router.safe_mode_delay = 20
    client.talk("/safe-mode/take")
    entry(client)
    client.close()
    hung_up(router)
    assert len(router.rows(LISTS)) == 1
    router.clock.advance(21)
    assert router.rows(LISTS) == []


def test_a_silently_cut_owner_is_noticed_after_nine_minutes(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.talk("/safe-mode/take")
    entry(client)
    router.cut()
    router.clock.advance(500)
    assert len(router.rows(LISTS)) == 1
    router.clock.advance(41)
    assert router.rows(LISTS) == []


def test_changes_of_other_sessions_are_undone_too(router: RouterosSimulator, client: Client) -> None:
    """5.1: covers changes by all sessions."""
    client.talk("/safe-mode/take")
    with Client(router) as other:
        entry(other)
    client.talk("/safe-mode/unroll")
    assert router.rows(LISTS) == []


def test_more_than_a_hundred_actions_end_safe_mode_and_nothing_is_undone(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.talk("/safe-mode/take")
    for number in range(101):
        entry(client, number)
    client.close()
    hung_up(router)
    assert len(router.rows(LISTS)) == 101


def test_safe_mode_has_one_owner(router: RouterosSimulator, client: Client) -> None:
    """5.1."""
    client.talk("/safe-mode/take")
    with Client(router) as other:
        assert "taken by another user" in other.trap("/safe-mode/take")
    assert client.talk("/safe-mode/release") == [["!done"]]
    assert "has not been taken" in client.trap("/safe-mode/release")


def test_a_scheduler_entry_fires_first_one_interval_after_adding(router: RouterosSimulator, client: Client) -> None:
    """5.3, 10.11."""
    client.add("/system/scheduler", name="wg-rollback", interval="180s", on_event=":log info x", policy="read,write")
    assert client.rows("/system/scheduler/print")[0]["interval"] == "3m"
    router.clock.advance(179)
    assert router.fired == []
    router.clock.advance(1)
    assert [(one.name, one.on_event) for one in router.fired] == [("wg-rollback", ":log info x")]


def test_an_entry_that_is_not_removed_fires_again_and_again(router: RouterosSimulator, client: Client) -> None:
    """5.3: reported, about 20 times."""
    client.add("/system/scheduler", name="wg-rollback", interval="180s", on_event="x")
    router.clock.advance(3600)
    assert len(router.fired) == 20
    assert client.rows("/system/scheduler/print")[0]["run-count"] == "20"


def test_a_removed_or_disabled_entry_does_not_fire(router: RouterosSimulator, client: Client) -> None:
    """5.3."""
    client.add("/system/scheduler", name="a", interval="10s", on_event="x")
    client.add("/system/scheduler", name="b", interval="10s", on_event="x")
    client.talk("/system/scheduler/remove", "=.id=a")
    client.talk("/system/scheduler/disable", "=numbers=b")
    router.clock.advance(100)
    assert router.fired == []


def test_missing_policies_of_a_script_are_logged_not_trapped(router: RouterosSimulator, client: Client) -> None:
    """5.3, 10.11."""
    client.add("/system/scheduler", name="a", interval="10s", on_event="/system/identity/set name=x", policy="read")
    router.clock.advance(10)
    assert "not enough permissions (9)" in [row["message"] for row in client.rows("/log/print")]


def test_an_entry_cannot_have_more_rights_than_its_maker() -> None:
    """5.3."""
    users = {"ops": ("pw", "read,write,api")}
    with RouterosSimulator("r", users=users) as router, Client(router, user="ops", password="pw") as client:
        words = ("=name=a", "=interval=10s", "=on-event=x")
        assert client.trap("/system/scheduler/add", *words, "=policy=read,write,policy") == "not enough permissions (9)"
        assert client.talk("/system/scheduler/add", *words)[0][0] == "!done"
        row = client.rows("/system/scheduler/print")[0]
        assert (row["owner"], row["policy"]) == ("ops", "read,write,api")


def test_device_mode_home_has_no_scheduler() -> None:
    """5.3."""
    with RouterosSimulator("r", device_mode="home") as router, Client(router) as client:
        client.trap("/system/scheduler/add", "=name=a", "=interval=10s", "=on-event=x")
        assert client.rows("/system/device-mode/print")[0]["scheduler"] == "false"


def test_a_reboot_keeps_configuration_and_jobs_and_gives_new_ids(router: RouterosSimulator, client: Client) -> None:
    """4, 5.3."""
    client.add("/system/scheduler", name="a", interval="1m", on_event="x")
    number, before = entry(client), router.snapshot()
    router.clock.advance(60)
    router.reboot()
    hung_up(router)
    assert router.snapshot() == before
    assert router.rows("/system/scheduler")[0]["run-count"] == "0"
    with Client(router) as again:
        assert again.trap(f"{LISTS}/remove", f"=.id={number}") == "no such item"


def test_the_reboot_command_drops_the_link_without_done(router: RouterosSimulator, client: Client) -> None:
    """1.7."""
    client.send("/system/reboot")
    with pytest.raises(ConnectionError):
        client.receive()


def test_uptime_counts_from_the_boot_in_letters(router: RouterosSimulator, client: Client) -> None:
    """3.1."""
    router.clock.advance(93784)
    assert client.rows("/system/resource/print", "=.proplist=uptime") == [{"uptime": "1d2h3m4s"}]


def test_the_clock_prints_iso_dates_from_7_10() -> None:
    """5.3: schedules follow the local clock."""
    for version, dashes in (("7.9", False), ("7.10", True)):
        with RouterosSimulator("r", version) as router, Client(router) as client:
            assert ("-" in client.rows("/system/clock/print")[0]["date"]) is dashes


def test_drop_before_leaves_nothing_done(router: RouterosSimulator, client: Client) -> None:
    """10.9."""
    router.fault(f"{LISTS}/add", "drop_before")
    with pytest.raises(ConnectionError):
        entry(client)
    assert router.rows(LISTS) == []


def test_drop_after_leaves_it_done_without_a_reply(router: RouterosSimulator, client: Client) -> None:
    """10.9: loss after send is an unknown outcome."""
    router.fault(f"{LISTS}/add", "drop_after")
    with pytest.raises(ConnectionError):
        entry(client)
    assert len(router.rows(LISTS)) == 1


def test_a_reset_in_the_middle_of_a_reply(router: RouterosSimulator, client: Client) -> None:
    """10.9."""
    router.fault(1, "reset_mid_reply")
    with pytest.raises(ConnectionError):
        client.talk("/ip/service/print")


def test_a_stall_says_nothing_more(router: RouterosSimulator, client: Client) -> None:
    """10.9."""
    router.fault(2, "stall")
    assert len(client.rows("/ip/service/print")) == 8
    client.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        client.talk("/ip/service/print")


def test_a_planned_trap_refuses_one_command_of_a_burst(router: RouterosSimulator, client: Client) -> None:
    """7: partial failure in a wave; other tags still run."""
    router.fault(lambda command: command.attributes.get("address") == "10.0.0.2", "trap", message="failure: no")
    client.burst(*((f"{LISTS}/add", "=list=x", f"=address=10.0.0.{n}", f".tag={n}") for n in (1, 2, 3)))
    replies = client.until_done(3)
    assert [reply for reply in replies if reply[0] == "!trap"] == [["!trap", "=message=failure: no", ".tag=2"]]
    assert [row["address"] for row in router.rows(LISTS)] == ["10.0.0.1", "10.0.0.3"]


def test_offline_refuses_connections_and_comes_back_on_its_port(router: RouterosSimulator) -> None:
    """10.9."""
    port = router.port
    router.set_offline()
    with pytest.raises(ConnectionError):
        Client(router)
    router.set_offline(False)
    with Client(router):
        assert router.port == port


def test_a_burst_costs_one_round_trip_however_many_commands(router: RouterosSimulator, client: Client) -> None:
    """7: read everything in one."""
    client.burst(*((f"{menu}/print", f".tag={menu}") for menu in ("/interface", "/ip/address", "/ip/route", "/ip/service")))
    client.until_done(4)
    assert (router.counters.round_trips, router.counters.commands, router.counters.writes) == (1, 5, 0)
    client.talk("/system/identity/set", "=name=x")
    assert (router.counters.round_trips, router.counters.writes) == (2, 1)


def test_latency_is_paid_per_burst(router: RouterosSimulator, client: Client) -> None:
    """10: artificial distance."""
    router.latency = Latency(0.05)
    began = time.monotonic()
    client.burst(*(("/interface/print", f".tag={n}") for n in range(10)))
    client.until_done(10)
    assert 0.05 <= time.monotonic() - began < 0.4


def test_beyond_the_knee_every_command_costs_more(router: RouterosSimulator, client: Client) -> None:
    """10.13."""
    router.latency = Latency(knee=5, slow=0.02)
    began = time.monotonic()
    client.burst(*(("/system/identity/print", f".tag={n}") for n in range(10)))
    client.until_done(10)
    assert time.monotonic() - began >= 0.1


def test_tls_presents_the_routers_own_certificate() -> None:
    """1.7."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with RouterosSimulator("r", tls=True) as router:
        assert router.certificate is not None
        context.load_verify_locations(cadata=router.certificate.certificate_pem)
        context.check_hostname = False
        with Client(router, context=context) as client:
            assert client.rows("/system/identity/print") == [{"name": "r"}]


def test_a_snapshot_differs_exactly_when_configuration_does(router: RouterosSimulator, client: Client) -> None:
    """10."""
    before = router.snapshot()
    number = entry(client)
    assert router.snapshot() != before
    client.talk(f"{LISTS}/remove", f"=.id={number}")
    assert router.snapshot() == before


def test_a_hundred_routers_share_one_thread() -> None:
    """Hundreds in one process."""
    routers = [RouterosSimulator(f"r{n}") for n in range(100)]
    try:
        for router in routers:
            router.start()
        clients = [Client(router) for router in routers]
        assert [thread.name for thread in threading.enumerate()].count("routeros-farm") == 1
        assert [one.rows("/system/identity/print")[0]["name"] for one in clients] == [router.name for router in routers]
        for one in clients:
            one.close()
    finally:
        for router in routers:
            router.stop()


def test_stopping_the_last_router_leaves_no_thread_behind() -> None:
    """A process that ends has nothing to wait for."""
    with RouterosSimulator("r"):
        pass
    assert "routeros-farm" not in [thread.name for thread in threading.enumerate()]
