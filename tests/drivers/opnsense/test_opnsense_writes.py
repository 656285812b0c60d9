"""What is sent: pitfalls of the sheet, one fact each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opnsense_device import GUARDED, SimulatedFirewall

from fleet.drivers.opnsense import OpnsenseDriver, OpnsenseOptions
from fleet.engine import Intent, NoJournal, converge
from fleet.errors import Rejected, RouterError, Unsupported
from fleet.model import Endpoint, Forward, ListenPort, Management
from fleet.testing.cases import CASES, HUB, INTERFACE, A, B, State, networks, peer
from fleet.testing.opnsense import Refusal
from fleet.testing.subject import Subject

FORTY = next(case for case in CASES if case.name == "forty peers").states[0]


@pytest.fixture
def box() -> Iterator[SimulatedFirewall]:
    made = SimulatedFirewall("26.1")
    yield made
    made.close()


@pytest.fixture
def subject(box: SimulatedFirewall) -> Subject:
    return Subject(OpnsenseDriver(), box)


def posts_of(box: SimulatedFirewall) -> list[tuple[str, Any]]:
    """Path and body of what is posted from now on."""
    seen: list[tuple[str, Any]] = []

    def keep(request: Any) -> None:
        if request.method == "POST":
            seen.append((request.path.removeprefix("/api"), json.loads(request.body)))

    box.before = keep
    return seen


def paths(posts: list[tuple[str, Any]]) -> list[str]:
    return ["/".join(path.split("/")[:4]) for path, _ in posts]


def test_a_changed_peer_keeps_its_instances_because_servers_is_sent(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 0.1."""
    subject.converge(State((HUB,)))
    posts = posts_of(box)
    subject.again().converge(State((replace(HUB, persistent_keepalive=30),)))
    ((_, body), _) = posts
    assert set(body["client"]) == {"keepalive", "servers"}
    assert body["client"]["servers"]


def test_a_few_changes_are_one_write_each_and_one_reconfigure(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((HUB,)))
    posts = posts_of(box)
    subject.again().converge(State((HUB, A, B)))
    assert paths(posts) == ["/wireguard/client/setClient"] * 2 + ["/wireguard/service/reconfigure"]


def test_forty_new_peers_are_two_writes_and_one_reconfigure(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 7."""
    subject.converge(State())
    posts = posts_of(box)
    subject.again().converge(FORTY)
    assert paths(posts) == [
        "/wireguard/client/set",
        "/wireguard/server/setServer",
        "/wireguard/service/reconfigure",
    ]


def test_without_bulk_forty_new_peers_are_written_one_by_one(box: SimulatedFirewall) -> None:
    subject = Subject(OpnsenseDriver(), box, OpnsenseOptions(bulk=False))
    subject.converge(State())
    posts = posts_of(box)
    subject.again().converge(FORTY)
    assert paths(posts) == ["/wireguard/client/setClient"] * 40 + ["/wireguard/service/reconfigure"]


def test_every_value_that_is_posted_is_a_text(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 2.1: false becomes empty, lists break the PHP."""
    posts = posts_of(box)
    subject.converge(State((A, HUB), openings=(ListenPort(51877),)))
    records = [record for _, body in posts for record in body.values()]
    assert records
    assert all(isinstance(value, str) for record in records for value in record.values())


def test_somebody_elses_edit_between_read_and_write_stops_the_write(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((HUB,)))
    run = subject.again()
    run.observe()
    phone = {"name": "rajs-phone", "pubkey": B.public_key, "tunneladdress": "172.31.0.1/32"}
    (uuid,) = box.server_records
    reads = [0]

    def meddle(request: Any) -> None:
        if request.path.endswith("/server/get"):
            reads[0] += 1
            if reads[0] == 2:
                box.before = None
                box.insert("wireguard/client/add_client", {"client": {**phone, "servers": uuid}})

    box.before = meddle
    with pytest.raises(Rejected, match="changed by somebody else"):
        run.converge(State((HUB, A)))
    run.again().converge(State((HUB, A)))
    assert "rajs-phone" in {one["name"] for one in box.client_records.values()}
    assert len(box.server_records[uuid]["peers"].split(",")) == 3


def test_an_endpoint_with_an_underscore_is_refused_before_it_is_sent(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 2.3."""
    subject.converge(State((A,)))
    before = box.writes()
    bad = replace(HUB, endpoint=Endpoint("under_score.example", 51820))
    with pytest.raises(Unsupported, match="underscore"):
        subject.again().converge(State((A, bad), reresolve=True))
    assert box.writes() == before


def test_a_validation_that_comes_as_200_is_a_no_in_the_firewalls_words(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((HUB,)))
    box.refusals.append(Refusal("client/setClient", message="Public keys should be unique."))
    with pytest.raises(Rejected, match="Public keys should be unique"):
        subject.again().converge(State((HUB, A)))


def test_a_full_disk_is_said_and_nothing_is_half_done(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((HUB,)))
    box.store.full_disk = True
    with pytest.raises(RouterError, match="HTTP 500"):
        subject.again().converge(State((HUB, A)))
    box.store.full_disk = False
    subject.again().converge(State((HUB, A)))
    assert subject.differences(State((HUB, A))) == ()


def test_the_interruption_is_declared_where_it_happens_and_once(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 3.1: with routes of its own the instance makes addresses and routes anew at any change."""
    subject.converge(State((HUB,)))
    run = subject.again()
    run.converge(State((HUB, A, B)))
    steps = [step for script in run.scripts for step in script.steps if step.interrupts != "nothing"]
    assert [(step.interrupts, "waits some seconds" in step.summary) for step in steps] == [("interface", True)]


def test_with_disable_routes_a_new_peer_interrupts_nobody(box: SimulatedFirewall) -> None:
    subject = Subject(OpnsenseDriver(), box, OpnsenseOptions(disable_routes=True))
    subject.converge(State((HUB,)))
    run = subject.again()
    run.converge(State((HUB, A)))
    assert {step.interrupts for script in run.scripts for step in script.steps} == {"nothing"}
    assert {one["disableroutes"] for one in box.server_records.values()} == {"1"}


def test_with_disable_routes_wanted_routes_are_refused(box: SimulatedFirewall) -> None:
    subject = Subject(OpnsenseDriver(), box, OpnsenseOptions(disable_routes=True))
    subject.converge(State((A,)))
    with pytest.raises(Unsupported, match="routes cannot be written"):
        subject.again().converge(State((A,), routes={"192.168.2.0/24": "alpha"}))


def test_disable_routes_ticked_by_hand_is_put_right(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State((A,)))
    (uuid,) = box.server_records
    box.insert("wireguard/server/set_server", {"server": {"disableroutes": "1"}}, uuid)
    subject.again().converge(State((A,)))
    assert box.server_records[uuid]["disableroutes"] == "0"


def test_the_group_of_tunnels_exists_before_rules_on_it_are_made(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 4: before the first reconfigure with the service on the rule is refused."""
    through = Forward("tunnel", "lan", networks("192.168.7.0/24"))
    subject.converge(State((A,), openings=(through,)))
    assert subject.differences(State((A,), openings=(through,))) == ()


def test_forwards_follow_what_peers_reach(box: SimulatedFirewall, subject: Subject) -> None:
    openings = (Forward("tunnel", "tunnel"), Forward("lan", "tunnel", networks("192.168.7.0/24")))
    subject.converge(State((A,), openings=openings))
    subject.again().converge(State((A, B), openings=openings))
    targets = _targets(box)
    assert targets == {"10.99.0.0/24", "192.168.2.0/23"}
    subject.again().converge(State((B,), openings=openings))
    assert _targets(box) == {"10.99.0.0/24", "192.168.3.0/24"}


def _rules(box: SimulatedFirewall) -> list[dict[str, str]]:
    sections = [box.records(section) for section in box.store.current]
    found = [dict(one) for records in sections for one in records.values() if "destination_net" in one]
    return [one for one in found if "fleet:" in one["description"]]


def _targets(box: SimulatedFirewall) -> set[str]:
    return {rule["destination_net"] for rule in _rules(box)}


def test_a_rule_that_somebody_switched_off_is_made_anew(box: SimulatedFirewall, subject: Subject) -> None:
    state = State((A,), openings=(ListenPort(51877),))
    subject.converge(state)
    (row,) = _search(box)
    box.insert("firewall/filter/set_rule", {"rule": {"enabled": "0"}}, row)
    assert subject.differences(state)
    subject.again().converge(state)
    assert [rule["enabled"] for rule in _rules(box)] == ["1"]


def _search(box: SimulatedFirewall) -> list[str]:
    sections = [box.records(section) for section in box.store.current]
    return [key for records in sections for key, one in records.items() if "fleet:" in one.get("description", "")]


def test_management_is_open_to_its_sources_and_closed_to_others_before_anything_wider(
    box: SimulatedFirewall, subject: Subject
) -> None:
    subject.converge(State((A,), openings=(Management(443, networks("10.99.0.1/32")), Forward("tunnel", "tunnel"))))
    order = sorted(_rules(box), key=lambda rule: int(rule["sequence"]))
    assert [rule["action"] for rule in order][:3] == ["pass", "block", "block"]
    assert {rule["action"] for rule in order[3:]} == {"pass"}


def test_one_key_on_two_tunnels_is_told_apart_by_a_port_that_nobody_dials(box: SimulatedFirewall, subject: Subject) -> None:
    """Sheet 2.3: (key, address, port) must be unique, and a hub in rotation has its spokes on two."""
    twin = {"name": "elsewhere", "pubkey": A.public_key, "tunneladdress": "10.1.0.1/32"}
    box.insert("wireguard/client/add_client", {"client": twin})
    subject.converge(State((A,)))
    assert subject.differences(State((A,))) == ()


@pytest.mark.parametrize("version", ["24.7", "26.7"])
def test_a_parked_peer_is_linked_and_reaches_nothing_of_ours(version: str) -> None:
    box = SimulatedFirewall(version)
    try:
        subject = Subject(OpnsenseDriver(), box)
        subject.converge(State((A, peer("parked"))))
        (record,) = [one for one in box.client_records.values() if one["name"].endswith("parked")]
        assert record["tunneladdress"].startswith("198.1")
    finally:
        box.close()


def test_an_undo_for_an_action_that_is_not_installed_is_refused_and_nothing_is_written(box: SimulatedFirewall) -> None:
    subject = Subject(OpnsenseDriver(), box, GUARDED)
    subject.converge(State((HUB,)))
    before = box.writes()
    with pytest.raises(RouterError) as said:
        subject.again().guarded(State((HUB, A)))
    assert "nothing was written" in said.value.hint
    assert box.writes() == before


def test_stock_firewalls_declare_no_guard(box: SimulatedFirewall, subject: Subject) -> None:
    assert subject.observe().limits.guard == "none"
    assert Subject(OpnsenseDriver(), box, GUARDED).observe().limits.guard == "emulated"


def test_a_person_keeps_the_name_of_a_peer_that_is_taken_over(box: SimulatedFirewall, subject: Subject) -> None:
    subject.converge(State())
    (uuid,) = box.server_records
    record = {"name": "site-b", "pubkey": A.public_key, "tunneladdress": "10.99.0.2/32", "servers": uuid}
    box.insert("wireguard/client/add_client", {"client": record})
    subject.again().converge(State((A,)))
    assert {one["name"] for one in box.client_records.values()} == {"site-b.fleet.contract.alpha"}
    assert subject.observe().stored[INTERFACE].peers[A.public_key].mark == A.mark


def test_with_two_tunnels_of_ours_new_peers_are_linked_as_they_are_made(box: SimulatedFirewall, subject: Subject) -> None:
    """Nobody could tell which of the two an unlinked peer is meant for."""
    other = {"name": "fleet.contract.subject", "instance": "8", "privkey": box.new_key(), "tunneladdress": "10.98.0.1/24"}
    subject.converge(State())
    run = subject.again()
    run.observe()
    box.insert("wireguard/server/add_server", {"server": other})
    observed = run.observe()
    desired = {**run.wanted(FORTY), "wg8": observed.stored["wg8"]}
    converge(run.router, Intent(desired), plan_id="two", journal=NoJournal())
    assert len(box.client_records) == 40
    assert {one["instance"]: len(one["peers"].split(",")) for one in box.server_records.values()}["7"] == 40
