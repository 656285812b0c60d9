"""Proof beyond a router's own state: tunnels that lived, and routers that are managed through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest
from toy_router import Call, ToyDriver, ToyRouter

from fleet import Endpoint, Interface, Limits, Live, Observed, Peer, PublicKey, Route, Target, engine
from fleet.changes import AddAddress, AddInterface, AddPeer, AddRoute, Change, Reapply, RemovePeer, SetInterface, SetPeer
from fleet.errors import IdentityChanged, Rejected, Unreachable
from fleet.proof import Before, Proof, breaking
from fleet.runner import LocalRunner
from fleet.testing.cases import HUB, INTERFACE, OVERLAY, A, public_key

OWN, FAR = public_key("subject"), HUB.public_key
FRESH, STALE = 30.0, 400.0


def interface(*peers: Peer, **attributes: Any) -> Interface:
    return Interface(INTERFACE, OWN, listen_port=51877, mtu=1420, peers={peer.public_key: peer for peer in peers}, **attributes)


@dataclass
class Seen(ToyDriver):
    """A driver whose reads are what the test says, one after the other, the last for ever."""

    reads: list[Observed] = field(default_factory=list)
    hurries: bool = True

    def observe(self, link: Any) -> Observed:
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> Any:
        return (Call("rehandshake", (interface, peer.public_key)),) if self.hurries else None


class Router(ToyRouter):
    def _rehandshake(self, about: object) -> None:
        """Counted by the log."""


def observed(peers: Iterable[Peer], ages: Mapping[PublicKey, float | None], **attributes: Any) -> Observed:
    held = interface(*peers)
    return Observed({INTERFACE: held}, live={INTERFACE: {key: Live(age) for key, age in ages.items()}}, **attributes)


def router(*reads: Observed, name: str = "subject", **given: Any) -> tuple[engine.Router, Router]:
    device = Router()
    made = engine.Router(name, OVERLAY, Seen(reads=list(reads), **given), device.link(_target(name)))
    engine.observe(made)
    return made, device


def _target(name: str) -> Any:
    return Target(name, OVERLAY, (INTERFACE,))


def proof(
    *lived: PublicKey,
    carried: Iterable[str] = (),
    answered: Iterable[str] = (),
    connect: Callable[[str], None] = lambda name: None,
    others: Mapping[str, engine.Router] | None = None,
    seconds: float = 0.0,
) -> Proof:
    return Proof(
        before=Before({"subject": frozenset(lived)}, frozenset(answered)),
        carried={"subject": frozenset(carried)},
        connect=connect,
        runner=LocalRunner(4),
        others=others or {},
        names={FAR: "hub", A.public_key: "alpha"},
        seconds=seconds,
    )


def forced(device: Router) -> list[PublicKey]:
    return [call.about[1] for call in device.log if call.verb == "rehandshake"]


# ------------------------------------------------------------------------------------------------------------- tunnels
def test_a_tunnel_that_lived_and_lives_is_proof_without_a_new_handshake():
    subject, device = router(observed([HUB], {FAR: FRESH}))
    assert proof(FAR).healthy(subject, (), time.monotonic()) == ""
    assert forced(device) == []


@pytest.mark.parametrize(("port", "good"), [(51820, False), (51999, True)])
def test_a_new_port_of_a_named_endpoint_is_proven_by_a_handshake_from_that_port(port: int, good: bool):
    """The other end dials back from its old port within seconds: that says nothing about the new one."""
    old, new = (replace(HUB, endpoint=Endpoint("vpn.example.com", number)) for number in (51820, 51999))
    seen = replace(observed([new], {}), live={INTERFACE: {FAR: Live(0.0, endpoint=Endpoint("198.51.100.10", port))}})
    subject, _ = router(seen)
    said = proof(FAR).healthy(subject, (SetPeer(interface=INTERFACE, old=old, wanted=new),), time.monotonic())
    assert (said == "") == good, said


def test_a_tunnel_that_was_dead_before_is_not_demanded():
    subject, _ = router(observed([HUB], {FAR: None}))
    assert proof().healthy(subject, (), time.monotonic()) == ""


def test_a_tunnel_that_lived_and_is_dead_is_named():
    subject, _ = router(observed([HUB], {FAR: STALE}))
    assert proof(FAR).healthy(subject, (), time.monotonic()) == (
        "the tunnel to hub lived before the change and does not shake hands after it"
    )


def test_of_several_dead_tunnels_one_is_named_and_the_others_counted():
    subject, _ = router(observed([HUB, A], {FAR: STALE, A.public_key: STALE}))
    assert "(and 1 more)" in proof(FAR, A.public_key).healthy(subject, (), time.monotonic())


def test_changed_allowed_ips_demand_no_new_handshake():
    change = SetPeer(interface=INTERFACE, old=replace(HUB, allowed_ips=frozenset()), wanted=HUB)
    subject, _ = router(observed([HUB], {FAR: FRESH}))
    assert proof(FAR).healthy(subject, (change,), time.monotonic()) == ""


def test_a_changed_preshared_key_demands_a_handshake_younger_than_the_change():
    change = SetPeer(interface=INTERFACE, old=replace(A, preshared_key=None), wanted=A)
    old, _ = router(observed([A], {A.public_key: 20.0}))
    assert "does not shake hands" in proof(A.public_key).healthy(old, (change,), time.monotonic() - 5)
    new, _ = router(observed([A], {A.public_key: 2.0}))
    assert proof(A.public_key).healthy(new, (change,), time.monotonic() - 5) == ""


def test_a_new_handshake_is_forced_where_this_end_dials():
    subject, device = router(observed([HUB], {FAR: STALE}), observed([HUB], {FAR: 0.0}))
    assert proof(FAR).healthy(subject, (), time.monotonic()) == ""
    assert forced(device) == [FAR]


def test_a_new_handshake_is_forced_on_the_other_end_where_that_one_dials():
    here, device = router(observed([A], {A.public_key: STALE}), observed([A], {A.public_key: 0.0}))
    own = Peer(OWN, endpoint=Endpoint("198.51.100.1", 51820))
    there, far = router(observed([own], {}), name="alpha")
    assert proof(A.public_key, others={"alpha": there}).healthy(here, (), time.monotonic()) == ""
    assert (forced(device), forced(far)) == ([], [OWN])


def test_a_handshake_that_cannot_be_forced_is_waited_for():
    subject, _ = router(observed([HUB], {FAR: STALE}), observed([HUB], {FAR: 0.0}), hurries=False)
    assert proof(FAR).healthy(subject, (), time.monotonic()) == ""


def test_a_refusal_to_force_a_handshake_is_no_reason_to_undo():
    subject, device = router(observed([HUB], {FAR: STALE}), observed([HUB], {FAR: 0.0}))

    def refuse(call: Call) -> None:
        if call.verb == "rehandshake":
            raise Rejected("the router said no: policy")

    device.before.append(refuse)
    assert proof(FAR).healthy(subject, (), time.monotonic()) == ""


def test_a_removed_or_disabled_peer_is_not_demanded():
    gone, _ = router(observed([], {}))
    assert proof(FAR).healthy(gone, (), time.monotonic()) == ""
    disabled, _ = router(observed([replace(HUB, disabled=True)], {FAR: STALE}))
    assert proof(FAR).healthy(disabled, (), time.monotonic()) == ""


def test_what_runs_is_judged_where_that_is_not_what_is_stored():
    stored = observed([], {FAR: STALE})
    subject, _ = router(replace(stored, running={INTERFACE: interface(HUB)}))
    assert "does not shake hands" in proof(FAR).healthy(subject, (), time.monotonic())


@pytest.mark.parametrize(
    ("change", "breaks"),
    [
        (AddInterface(interface=INTERFACE, wanted=interface()), True),
        (SetInterface(interface=INTERFACE, old=interface(), wanted=replace(interface(), listen_port=1)), True),
        (SetInterface(interface=INTERFACE, old=interface(), wanted=replace(interface(), mtu=1380)), False),
        (SetPeer(interface=INTERFACE, old=HUB, wanted=replace(HUB, persistent_keepalive=0)), False),
        (SetPeer(interface=INTERFACE, old=HUB, wanted=replace(HUB, endpoint=Endpoint("203.0.113.1", 1))), True),
        (AddPeer(interface=INTERFACE, wanted=A), False),
        (RemovePeer(interface=INTERFACE, old=A), False),
        (Reapply(interface=INTERFACE, what=("peer alpha missing",)), False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else str(value),
)
def test_which_changes_break_the_session_with_a_peer_that_stays(change: Change, breaks: bool):
    subject, _ = router(observed([HUB], {FAR: FRESH}))
    assert list(breaking((change,), subject)) == ([FAR] if breaks else [])


# --------------------------------------------------------------------------------------------------------------- loops
def loop(prefix: str, *, met: str = "198.51.100.10", connected: str = "10.0.0.0/24") -> str:
    """What is said when a route to `prefix` is new and the hub is met at `met`."""
    there = {INTERFACE: {FAR: Live(FRESH, endpoint=Endpoint(met, 51820))}}
    read = replace(observed([HUB], {}), live=there, connected=(ip_network(connected),))
    subject, _ = router(read)
    change = AddRoute(interface=INTERFACE, wanted=Route(ip_network(prefix)))
    return proof(FAR).healthy(subject, (change,), time.monotonic())


def test_a_route_that_leads_a_tunnel_into_itself_is_no_success_although_the_session_lives_on():
    assert loop("198.51.100.0/24") == (
        "the tunnel to hub would carry its own packets: its endpoint 198.51.100.10 lies inside 198.51.100.0/24"
    )


def test_a_route_to_somewhere_else_leads_no_tunnel_into_itself():
    assert loop("203.0.113.0/24") == ""
    assert loop("2001:db8::/32") == ""


def test_a_peer_on_the_same_link_is_met_there_whatever_wider_prefix_goes_into_the_tunnel():
    assert loop("198.51.0.0/16", connected="198.51.100.0/24") == ""


def test_where_routes_follow_allowed_ips_those_are_looked_at():
    there = {INTERFACE: {FAR: Live(FRESH, endpoint=Endpoint("198.51.100.10", 51820))}}
    subject, _ = router(replace(observed([HUB], {}), live=there, limits=Limits(routes="derived")))
    wider = replace(HUB, allowed_ips=HUB.allowed_ips | {ip_network("198.51.100.0/24")})
    change = SetPeer(interface=INTERFACE, old=HUB, wanted=wider)
    assert "its own packets" in proof(FAR).healthy(subject, (change,), time.monotonic())


# ---------------------------------------------------------------------------------------------------------- management
def test_routers_managed_through_it_must_answer_on_new_connections():
    asked: list[str] = []
    subject, _ = router(observed([HUB], {FAR: FRESH}))
    told = proof(FAR, carried=("pune", "delhi"), answered=("subject", "pune", "delhi"), connect=asked.append)
    assert told.healthy(subject, (), time.monotonic()) == ""
    assert sorted(asked) == ["delhi", "pune"]


def test_the_jump_on_the_way_is_connected_anew_too():
    renewed: list[bool] = []
    subject, _ = router(observed([HUB], {}))
    subject.renew = lambda: renewed.append(True)
    proof(carried=("pune",), answered=("pune",)).healthy(subject, (), time.monotonic())
    assert renewed == [True]


def test_one_that_answered_before_and_does_not_any_more_is_named_with_what_was_seen():
    subject, _ = router(observed([HUB], {FAR: FRESH}))

    def silent(name: str) -> None:
        raise Unreachable("no answer: 10.100.0.3:22: timed out")

    told = proof(FAR, carried=("pune",), answered=("pune",), connect=silent).healthy(subject, (), time.monotonic())
    assert told == "pune answered before the change and does not any more: no answer: 10.100.0.3:22: timed out"


def test_one_that_comes_back_within_its_time_is_waited_for():
    answers = iter([Unreachable("not yet"), None])
    subject, _ = router(observed([], {}))

    def slow(name: str) -> None:
        if (error := next(answers)) is not None:
            raise error

    told = proof(carried=("pune",), answered=("pune",), connect=slow, seconds=5.0)
    assert told.healthy(subject, (), time.monotonic()) == ""


def test_one_that_did_not_answer_before_is_not_asked():
    asked: list[str] = []
    subject, _ = router(observed([], {}))
    proof(carried=("pune",), answered=("subject",), connect=asked.append).healthy(subject, (), time.monotonic())
    assert asked == []


def test_who_was_not_read_is_asked_before_the_change_and_must_answer_after_it():
    answers = {"pune": True, "delhi": False}

    def connect(name: str) -> None:
        if not answers[name]:
            raise Unreachable("no answer")

    subject, _ = router(observed([], {}))
    told = proof(carried=("pune", "delhi", "subject"), answered=("subject",), connect=connect)
    told.look_before("subject")
    assert told.healthy(subject, (), time.monotonic()) == "", "delhi did not answer before either"
    answers["pune"] = False
    assert told.healthy(subject, (), time.monotonic()).startswith("pune answered before")


def test_who_was_read_or_failed_to_be_is_not_asked_again_before_the_change():
    asked: list[str] = []
    told = proof(carried=("pune", "delhi"), answered=("pune",), connect=asked.append)
    told.asked.add("delhi")
    told.look_before("subject")
    told.look_before("elsewhere")
    assert asked == []


def test_a_router_does_not_prove_its_own_management_twice():
    asked: list[str] = []
    subject, _ = router(observed([], {}))
    proof(carried=("subject",), answered=("subject",), connect=asked.append).healthy(subject, (), time.monotonic())
    assert asked == []


# -------------------------------------------------------------------------------------------------------- new addresses
def moved(
    connect_at: Callable[..., None], *, moving: Iterable[str] = ("subject",), carried: Iterable[str] = ("subject",)
) -> str:
    """What is said of a router that got 10.100.5.5 and is connected to there."""
    subject, _ = router(observed([], {}))
    told = proof(answered=("subject",), carried=carried)
    told.moving, told.connect_at = frozenset(moving), connect_at
    change = AddAddress(interface=INTERFACE, address=ip_interface("10.100.5.5/20"))
    return told.healthy(subject, (change,), time.monotonic())


def test_a_router_that_moves_must_answer_at_its_new_address():
    asked: list[str] = []
    assert moved(lambda name, address: asked.append(f"{name} {address}")) == ""
    assert asked == ["subject 10.100.5.5"]


def test_a_new_address_at_which_nobody_answers_is_no_success():
    def silent(name: str, *, address: Any) -> None:
        raise Unreachable("no answer: 10.100.5.5:22: timed out")

    assert moved(silent) == "does not answer at its new address 10.100.5.5: no answer: 10.100.5.5:22: timed out"


def test_a_new_address_at_which_somebody_else_answers_is_not_tried_again():
    asked: list[str] = []

    def other(name: str, *, address: Any) -> None:
        asked.append(name)
        raise IdentityChanged("subject: 10.100.5.5:22 shows another host key", "")

    assert "shows another host key" in moved(other)
    assert asked == ["subject"]


def test_a_first_address_is_not_asked_for_answers():
    asked: list[str] = []
    assert moved(lambda name, address: asked.append(name), moving=()) == ""
    assert asked == []


def test_a_router_that_is_not_managed_by_its_overlay_address_need_not_answer_there():
    asked: list[str] = []
    assert moved(lambda name, address: asked.append(name), carried=("pune",)) == ""
    assert asked == []


def test_what_lived_before_is_what_had_a_fresh_handshake_in_the_first_read():
    before = Before.of({"hq": observed([HUB, A], {FAR: FRESH, A.public_key: STALE})})
    assert before.alive == {"hq": frozenset({FAR})}
    assert before.answered == frozenset({"hq"})
