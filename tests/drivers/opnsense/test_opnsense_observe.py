"""What a read says: pitfalls of the sheet, one fact each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opnsense_device import OPTIONS, SimulatedFirewall

from fleet import Mark, Observed, RouterError, Target
from fleet.drivers.opnsense import OpnsenseDriver, OpnsenseOptions
from fleet.errors import LoginFailed
from fleet.testing.cases import CASES, HUB, INTERFACE, A, State
from fleet.testing.opnsense import User
from fleet.testing.subject import Subject

VERSIONS = ("23.7", "24.7", "25.1", "25.7", "26.1", "26.7")


@pytest.fixture
def box() -> Iterator[SimulatedFirewall]:
    made = SimulatedFirewall("26.7")
    yield made
    made.close()


@pytest.fixture
def subject(box: SimulatedFirewall) -> Subject:
    return Subject(OpnsenseDriver(), box)


def observe(box: SimulatedFirewall, *, asks: tuple[Any, ...] = (), options: OpnsenseOptions = OPTIONS) -> Observed:
    target = Target("subject", "contract", (INTERFACE,), options, asks=frozenset(asks))
    return OpnsenseDriver().observe(box.link(target))


def requests_of(box: SimulatedFirewall) -> list[str]:
    """What is asked from now on."""
    seen: list[str] = []
    box.before = lambda request: seen.append(f"{request.method} {request.path}")
    return seen


def test_a_read_is_four_requests_whatever_the_number_of_peers(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((A, HUB)))
    seen = requests_of(box)
    subject.observe()
    assert seen == [
        "GET /api/wireguard/server/get",
        "GET /api/wireguard/client/get",
        "GET /api/wireguard/service/show",
        "GET /api/firewall/filter/searchRule",
    ]


def test_a_sync_of_what_is_right_reads_and_writes_nothing(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((A, HUB)))
    seen = requests_of(box)
    subject.again().converge(State((A, HUB)))
    assert len(seen) == 4
    assert not [one for one in seen if one.startswith("POST")]


def test_no_private_key_of_the_box_is_kept(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 6: every read shows it."""
    subject.converge(State((A,)))
    (private,) = {one["privkey"] for one in box.server_records.values()}
    assert private not in repr(subject.observe())
    assert private not in str(subject.observe().native)


def test_with_wireguard_off_what_is_stored_is_seen_not_to_run(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((A,)))
    box.insert("wireguard/general/set", {"general": {"enabled": "0"}})
    box.service.apply()
    assert [str(change) for change in subject.differences(State((A,)))] == [
        "interface wg7: stored but not running: the interface is not up"
    ]
    subject.again().converge(State((A,)))
    assert subject.differences(State((A,))) == ()


def test_a_name_that_does_not_resolve_is_named_as_the_likely_cause(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 3.1: the API says ok, nothing of the file is loaded, nothing is tried again."""
    subject.converge(State((A,)))
    named = {"name": "fleet.contract.lost", "pubkey": HUB.public_key, "tunneladdress": "10.99.0.1/32"}
    (uuid,) = [key for key, one in box.server_records.items() if one["instance"] == "7"]
    client = {**named, "serveraddress": "nosuch.invalid", "servers": uuid}
    box.insert("wireguard/client/add_client", {"client": client})
    box.service.apply()
    (note,) = observe(box).notes
    assert "nosuch.invalid" in note


def test_a_load_that_failed_is_loaded_again_once_its_cause_is_gone(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 3.1: the same file again is no change, so reconfigure alone would do nothing."""
    subject.converge(State((A,)))
    name = next(iter(box.names), "vpn.example.com")
    kept = dict(box.names)
    box.names.clear()
    case = next(one for one in CASES if one.name == "endpoint name")
    with pytest.raises(RouterError):
        subject.again().converge(case.states[0])
    box.names.update(kept)
    assert name in box.names
    subject.again().converge(case.states[0])
    assert subject.differences(case.states[0]) == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_release_is_told_by_the_endpoints_it_has(version: str) -> None:
    box = SimulatedFirewall(version)
    try:
        seen = observe(box, asks=("rights",)).version
        # Port forwards came to the API with 26.1 and are not simulated.
        assert seen == {"24.7": "24.1", "25.7": "25.1", "26.1": "25.1"}.get(version, version) + " or later"
    finally:
        box.close()


def test_wrong_credentials_are_said_as_such(box: SimulatedFirewall) -> None:
    box.login = ("k" * 80, "wrong")
    with pytest.raises(LoginFailed, match="Authentication Failed"):
        observe(box)


def test_a_missing_plugin_is_said_with_its_name() -> None:
    box = SimulatedFirewall("23.7", plugins=())
    try:
        with pytest.raises(RouterError) as said:
            observe(box)
        assert "os-wireguard" in said.value.hint
    finally:
        box.close()


def test_without_the_right_to_rules_openings_are_a_limit_and_the_privilege_is_named() -> None:
    box = SimulatedFirewall("26.1", users=[User("wgapi", ("page-wireguard-config",), keys={"k" * 80: "s" * 80})])
    try:
        observed = observe(box)
        assert observed.rights == ("the account lacks the privilege 'Firewall: Rules [new]'",)
        assert {one.__name__ for one in observed.limits.openings} == {"NoMasquerade"}
    finally:
        box.close()


def test_without_the_right_to_wireguard_the_path_is_named() -> None:
    box = SimulatedFirewall("26.1", users=[User("wgapi", ("page-filter-api",), keys={"k" * 80: "s" * 80})])
    try:
        with pytest.raises(LoginFailed, match="may not GET /wireguard"):
            observe(box)
    finally:
        box.close()


def test_a_peer_that_is_linked_nowhere_counts_as_disabled(box: SimulatedFirewall, subject: Subject) -> None:
    """It has no effect, and linking it is what enables it."""
    subject.converge(State((A,)))
    box.insert(
        "wireguard/client/add_client",
        {"client": {"name": "fleet.contract.hub", "pubkey": HUB.public_key, "tunneladdress": "10.99.0.1/32"}},
    )
    peer = observe(box).stored[INTERFACE].peers[HUB.public_key]
    assert (peer.disabled, peer.mark) == (True, Mark("contract", "hub"))


def test_two_instances_of_one_number_are_said() -> None:
    """Sheet 2.2: accepted."""
    box = SimulatedFirewall("26.7")
    try:
        for name in ("a", "b"):
            key = box.new_key()
            box.insert("wireguard/server/add_server", {"server": {"name": name, "instance": "3", "privkey": key}})
        assert "two WireGuard instances have the number of wg3" in observe(box).notes[0]
    finally:
        box.close()


def test_a_tunnel_with_another_name_than_wg_and_a_number_is_refused_before_anything_is_written(box: SimulatedFirewall) -> None:
    target = Target("subject", "contract", ("acme0",), OPTIONS)
    limits = OpnsenseDriver().observe(box.link(target)).limits
    assert any("AddInterface" in limit.forbids and "wg0" in limit.sentence for limit in limits.cannot)


def test_the_routers_clock_is_read(box: SimulatedFirewall) -> None:
    clock = observe(box).clock
    assert clock is not None
    assert abs(clock - box.wall_time()) < 2
