"""The driver against simulated routers: releases, round trips, rights, faults, and pings from LAN to LAN."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from mikrotik_device import PASSWORD, SimulatedRouter, dial

from fleet import engine
from fleet.drivers.mikrotik import MikrotikDriver
from fleet.errors import ConnectionLost, LoginFailed, Rejected, Unsupported
from fleet.link import Access, Address, RouterLink, Target
from fleet.model import (
    ClampMss,
    Endpoint,
    Forward,
    Interface,
    KeyOf,
    ListenPort,
    Management,
    Mark,
    NoMasquerade,
    Opening,
    Peer,
    PublicKey,
    Route,
    Secret,
)
from fleet.testing.ether import Ether
from fleet.testing.routeros import RouterosSimulator
from fleet.transports.routeros import RouterosTransport

DRIVER = MikrotikDriver()
RELEASES = ["7.1.5", "7.9.2", "7.12.1", "7.15.3", "7.16.2", "7.17.2", "7.18", "7.20.8", "7.21.4", "7.24"]
FAR = PublicKey("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
PSK = Secret("aGlkZGVuIGhpZGRlbiBoaWRkZW4gaGlkZGVuIGhpZGQ=")
Make = Callable[..., SimulatedRouter]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SimulatedRouter] = []

    def one(*args: str, **given: object) -> SimulatedRouter:
        made.append(SimulatedRouter(*args, **given))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for each in made:
        each.close()


class _NoJournal:
    def record(self, router: str, phase: str, text: str, detail: object = None) -> None:
        pass


def subject(router: SimulatedRouter, name: str = "subject") -> engine.Router:
    return engine.Router(name, "acme", DRIVER, router.link(Target(name, "acme", ("wg0",))))


def bare(name: str = "subject") -> Interface:
    return Interface("wg0", KeyOf(name), 51820, 1420, mark=Mark("acme", name))


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def converge(router: engine.Router, wanted: Interface) -> None:
    engine.converge(router, engine.Intent({"wg0": wanted}), plan_id="test", journal=_NoJournal())


def full(name: str = "subject") -> Interface:
    """One of everything."""
    peer = Peer(
        FAR, frozenset({network("10.100.0.2/32"), network("192.168.20.0/24")}), preshared_key=PSK, mark=Mark("acme", "far")
    )
    openings: list[Opening] = [
        ListenPort(51820),
        Forward("lan", "tunnel", frozenset({network("192.168.88.0/24")})),
        Forward("tunnel", "lan", frozenset({network("192.168.88.0/24")})),
        Forward("tunnel", "tunnel"),
        NoMasquerade(),
        ClampMss(1420),
        Management(8729, frozenset({network("10.100.0.9/32")})),
    ]
    return replace(
        bare(name),
        addresses=frozenset({ipaddress.ip_interface("10.100.0.1/20")}),
        peers={FAR: replace(peer, endpoint=Endpoint("far.example.com", 51820), persistent_keepalive=25)},
        routes={network("192.168.20.0/24"): Route(network("192.168.20.0/24"), Mark("acme", "far"))},
        openings={opening.identity: opening for opening in openings},
        reresolve=True,
    )


# ---- releases and round trips
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("seed", [None, 1])
def test_every_release_converges_and_then_stays(make: Make, release: str, seed: int | None) -> None:
    router = make(release, seed=seed, firewall="hardened")
    at = subject(router)
    converge(at, full())
    writes = router.writes()
    converge(subject(router), full())
    assert router.writes() == writes


@pytest.mark.parametrize("release", RELEASES)
def test_reading_costs_one_round_trip_on_every_release(make: Make, release: str) -> None:
    router = make(release, firewall="hardened")
    link = router.link(Target("subject", "acme", ("wg0",)))
    link.session  # noqa: B018 - logs in
    router.simulator.counters.reset()
    DRIVER.observe(link)
    assert router.simulator.counters.round_trips == 1


def test_adding_a_peer_to_a_hub_of_500_sends_one_command_in_one_round_trip(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, bare())
    hub = replace(bare(), public_key=engine.observe(at).stored["wg0"].public_key)
    for number in range(500):
        key = PublicKey(f"{number:03}{FAR[3:]}")
        router.simulator.insert(
            "/interface/wireguard/peers",
            interface="wg0",
            public_key=str(key),
            allowed_address=f"10.100.{1 + number // 200}.{1 + number % 200}/32",
            comment=f"fleet:acme:site-{number}",
        )
    seen = engine.observe(at).stored["wg0"]
    assert len(seen.peers) == 500
    wanted = replace(hub, peers={**seen.peers, FAR: Peer(FAR, frozenset({network("10.100.9.9/32")}), mark=Mark("acme", "far"))})
    writes = router.writes()
    converge(at, wanted)
    assert router.writes() == writes + 1


def test_applying_one_batch_is_one_round_trip(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, bare())
    at.observed = None
    engine.observe(at)
    router.simulator.counters.reset()
    plain = replace(full(), openings={}, reresolve=False)  # address, peer and route are independent
    converge(at, plain)
    assert router.simulator.counters.round_trips == 2  # the batch, and the fresh read that proves it


# ---- drift
def test_drift_of_every_kind_heals(make: Make) -> None:
    router = make(firewall="hardened")
    at = subject(router)
    converge(at, full())
    sim = router.simulator
    for menu in ("/interface/wireguard", "/interface/wireguard/peers", "/ip/address", "/ip/route", "/ip/firewall/filter"):
        for row in sim.rows(menu):
            if "fleet:" in row.get("comment", ""):
                sim.change(menu, row[".id"], disabled="yes")
    for menu in ("/ip/firewall/nat", "/ip/firewall/mangle", "/system/scheduler"):
        for row in sim.rows(menu):
            if "fleet:" in row.get("comment", ""):
                sim.delete(menu, row[".id"])
    engine.observe(at)
    key = at.observed.stored["wg0"].public_key if at.observed else None
    converge(at, replace(full(), public_key=key))


def test_accepts_go_above_a_drop_that_somebody_put_on_top_of_everything(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, full())
    first = next(row[".id"] for row in router.simulator.rows("/ip/firewall/filter") if row.get("dynamic") != "true")
    router.simulator.insert("/ip/firewall/filter", before=first, chain="input", action="drop", comment="by hand")
    engine.observe(at)
    converge(at, replace(full(), public_key=at.observed.stored["wg0"].public_key if at.observed else None))


def test_a_peer_that_somebody_removed_comes_back(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, full())
    router.simulator.delete("/interface/wireguard/peers", router.simulator.rows("/interface/wireguard/peers")[0][".id"])
    converge(subject(router), full())
    assert [row["public-key"] for row in router.simulator.rows("/interface/wireguard/peers")] == [FAR]


def test_ids_are_read_anew_after_a_reboot(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, full())
    router.simulator.reboot()
    at.link.fresh()
    at.observed = None
    converge(at, replace(full(), mtu=1400))


# ---- rights, modes, faults
def test_read_only_rights_are_refused_with_the_next_action(make: Make) -> None:
    router = make(policies="read,api")
    with pytest.raises(Rejected, match="not enough permissions") as caught:
        converge(subject(router), bare())
    assert "policies" in caught.value.hint


def test_an_account_without_policy_api_cannot_log_in(make: Make) -> None:
    router = make(policies="read,write")
    with pytest.raises(LoginFailed, match="login as fleet") as caught:
        engine.observe(subject(router))
    assert "policy `api`" in caught.value.hint
    assert PASSWORD not in str(caught.value)


def test_device_mode_home_is_refused_before_anything_is_written(make: Make) -> None:
    router = make(device_mode="home")
    with pytest.raises(Unsupported, match="resolved again"):
        converge(subject(router), full())
    assert router.writes() == 0


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "reset_mid_reply"])
def test_a_lost_answer_is_not_repeated_and_the_next_run_makes_no_duplicate(make: Make, kind: str) -> None:
    router = make()
    at = subject(router)
    converge(at, bare())
    router.simulator.fault("/ip/address/add", kind)  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost):
        converge(at, replace(full(), public_key=at.observed.stored["wg0"].public_key if at.observed else None))
    converge(subject(router), full())
    ours = [row for row in router.simulator.rows("/ip/address") if row["interface"] == "wg0"]
    assert [row["address"] for row in ours] == ["10.100.0.1/20"]


def test_a_refusal_says_what_the_router_said(make: Make) -> None:
    router = make()
    at = subject(router)
    converge(at, bare())
    router.simulator.fault("/ip/route/add", "trap", message="failure: simulated")
    with pytest.raises(Rejected, match="failure: simulated"):
        converge(at, full())
    converge(at, full())


def test_tls_is_pinned_from_the_first_contact_on(make: Make) -> None:
    router = make(tls=True)

    def connect(pin: str | None) -> str:
        access = Access(
            "subject",
            (Address(router.host, router.port),),
            username="fleet",
            password=Secret(PASSWORD),
            tls_fingerprint=pin,
        )
        session = RouterosTransport(connect_timeout=5, login_timeout=5).connect(access, dial)
        RouterLink(Target("subject", "acme", ("wg0",)), lambda: session).close()
        session.close()
        return session.identity

    assert connect(connect(None)) == connect(None)


def test_a_ping_from_the_router(make: Make) -> None:
    from fleet.driver import Probe

    router = make(policies="read,write,api,test")
    at = subject(router)
    observed = engine.observe(at)
    ask = DRIVER.probe(Probe(ipaddress.ip_address("192.168.88.1"), count=2), observed)
    assert ask is not None
    result = ask.parse(tuple(at.link.send_all(ask.requests)))
    assert (result.sent, result.received) == (2, 2)
    assert result.milliseconds is not None


# ---- the network
@pytest.mark.parametrize("hub_firewall", ["empty", "defconf", "hardened"])
@pytest.mark.parametrize("spoke_firewall", ["defconf", "hardened"])
def test_lans_reach_each_other_through_every_firewall(make: Make, hub_firewall: str, spoke_firewall: str) -> None:
    ether = Ether()
    hub = _Site(make, ether, "hub", 1, hub_firewall, public_hosts=("198.51.100.1",))
    spokes = [_Site(make, ether, f"spoke{number}", number, spoke_firewall) for number in (2, 3)]
    for spoke in spokes:
        hub.peer(spoke, f"10.100.0.{spoke.number}/32", spoke.lan)
        spoke.peer(hub, "10.100.0.0/24", "192.168.0.0/16", endpoint=Endpoint("198.51.100.1", 51820))
    for site in (hub, *spokes):
        site.converge()
    ether.settle()
    hosts = {site.number: f"192.168.{site.number}.50" for site in (hub, *spokes)}
    for site in (hub, *spokes):
        for target in hosts.values():
            if target != hosts[site.number]:
                assert ether.trace(site.simulator, hosts[site.number], target).stopped == ""


class _Site:
    """One router of a small network, brought to what it needs."""

    def __init__(self, make: Make, ether: Ether, name: str, number: int, firewall: str, **given: object) -> None:
        self.name, self.number, self.lan = name, number, f"192.168.{number}.0/24"
        router = make(
            firewall=firewall, name=name, ether=ether, lan=f"192.168.{number}.1/24", wan=f"100.64.{number}.2/24", **given
        )
        self.simulator: RouterosSimulator = router.simulator
        self.router = subject(router, name)
        self.is_hub = name == "hub"
        converge(self.router, bare(name))
        key = engine.observe(self.router).stored["wg0"].public_key
        assert isinstance(key, PublicKey)
        self.key = key
        self.peers: list[Peer] = []

    def peer(self, other: _Site, *allowed: str, endpoint: Endpoint | None = None) -> None:
        self.peers.append(
            Peer(
                other.key,
                frozenset(map(network, allowed)),
                endpoint,
                25 if endpoint else 0,
                PSK,
                Mark("acme", other.name),
            )
        )

    def converge(self) -> None:
        lan = frozenset({network(self.lan)})
        openings: list[Opening] = [
            Forward("lan", "tunnel", lan),
            Forward("tunnel", "lan", lan),
            NoMasquerade(frozenset() if self.is_hub else lan),
            ClampMss(1420),
        ]
        if self.is_hub:
            openings += [ListenPort(51820), Forward("tunnel", "tunnel")]
        routes = {prefix: peer.mark for peer in self.peers for prefix in peer.allowed_ips if str(prefix).startswith("192.")}
        wanted = replace(
            bare(self.name),
            public_key=self.key,
            addresses=frozenset({ipaddress.ip_interface(f"10.100.0.{self.number}/24")}),
            peers={peer.public_key: peer for peer in self.peers},
            routes={prefix: Route(prefix, mark) for prefix, mark in routes.items()},
            openings={opening.identity: opening for opening in openings},
        )
        converge(self.router, wanted)
