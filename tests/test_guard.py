"""One guarded change to one router, by the engine: what is armed, proven, confirmed, and what is undone and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from toy_router import STRANGER, Call, ToyDriver, ToyRouter

from fleet import Observed, RouterPlan, Script, Step, engine, guard, rollback
from fleet.changes import AddPeer
from fleet.errors import ConnectionLost, NotConverged, Rejected, RolledBack, RouterError, Unreachable
from fleet.model import Interface, Mark, Peer
from fleet.testing.cases import AFTER, BEFORE, INTERFACE, OVERLAY, networks, public_key
from fleet.testing.disturbed import Kind, Wire
from fleet.testing.subject import WINDOW, Subject


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(rollback, "SETTLE_SECONDS", 0.02)


class Guarded(Subject):
    """A router in the state BEFORE, and what was said to it since."""

    device: ToyRouter

    def __init__(self, *, two_views: bool = False, router: str = "", driver: str = "") -> None:
        device = ToyRouter(two_views=two_views, faults=frozenset({router}))
        super().__init__(ToyDriver(two_views, frozenset({driver})), device)
        plain = Subject(ToyDriver(two_views), device)
        plain.converge(BEFORE)
        self.key = plain.key
        device.plant(INTERFACE)
        device.log.clear()
        self.before = dict(device.stored)

    def verbs(self) -> list[str]:
        return [call.verb for call in self.device.log if call.verb != "read"]

    def when(self, verb: str, nth: int, happens: Callable[[], None]) -> None:
        """Before the router does the nth of these."""
        seen = 0

        def watch(call: Call) -> None:
            nonlocal seen
            seen += call.verb == verb
            if call.verb == verb and seen == nth:
                happens()

        self.device.before.append(watch)

    def hit(self, kind: Kind, verb: str, nth: int = 1) -> Subject:
        """A process whose nth request of this verb is struck."""
        calm = Guarded(two_views=self.device.two_views)
        calm.guarded(AFTER)
        moments = [call.verb for call in calm.device.log]
        at = [number for number, each in enumerate(moments, 1) if each == verb][nth - 1]
        return self.again(Wire(kind, at, self.device.reboot))

    def unchanged(self) -> bool:
        return self.device.stored == self.before and self.device.guard is None


def lost(*_: object) -> None:
    raise ConnectionLost("connection closed by the router", sent=True)


# ------------------------------------------------------------------------------------------------------------- arming
def test_with_nothing_to_do_nothing_is_armed_and_nothing_written():
    router = Guarded()
    assert router.guarded(BEFORE) == ()
    assert router.verbs() == []


def test_the_undo_is_armed_first_and_confirmed_last():
    router = Guarded()
    router.guarded(AFTER)
    verbs = router.verbs()
    assert (verbs[0], verbs.count("arm")) == ("arm", 1)
    assert verbs.index("confirm") > max(number for number, verb in enumerate(verbs) if verb == "apply")


def test_where_arming_is_refused_nothing_is_written_and_it_is_said():
    router = Guarded()
    router.when("arm", 1, lambda: (_ for _ in ()).throw(Rejected("the router said no: no scheduler here")))
    with pytest.raises(Rejected) as refused:
        router.guarded(AFTER)
    assert "nothing was written" in refused.value.hint
    assert router.verbs() == ["arm"]


@pytest.mark.parametrize("kind", ["dropped before", "dropped after"])
def test_an_arming_whose_answer_was_lost_is_taken_back_and_done_again(kind):
    router = Guarded()
    run = router.hit(kind, "arm")
    run.guarded(AFTER)
    assert router.differences(AFTER) == ()
    verbs = router.verbs()
    armed = [number for number, verb in enumerate(verbs) if verb == "arm"]
    assert verbs.index("apply") > armed[-1], "no write before an acknowledged undo"
    assert router.device.guard is None


def test_an_arming_that_arrives_late_refuses_the_second_one_and_nothing_is_changed():
    router = Guarded()
    with pytest.raises(Rejected, match="an undo is armed"):
        router.hit("late", "arm").guarded(AFTER)
    assert router.unchanged()


def test_an_arming_that_is_lost_twice_is_given_up_with_nothing_written():
    router = Guarded()
    router.device.before.append(lambda call: lost() if call.verb == "arm" else None)
    with pytest.raises(ConnectionLost) as gave_up:
        router.guarded(AFTER)
    assert "nothing was written" in gave_up.value.hint
    assert router.unchanged()


def test_later_passes_do_not_arm_again():
    router = Guarded(driver="learns by another pass")
    router.guarded(AFTER)
    assert router.verbs().count("arm") == 1
    assert router.differences(AFTER) == ()


def test_passes_that_take_more_than_their_share_of_the_window_are_undone(monkeypatch):
    router = Guarded(driver="learns by another pass")
    monkeypatch.setattr(guard, "PASS_SHARE", 0.0)
    with pytest.raises(RolledBack, match=r"did not converge within half of the 120 s window; undone after"):
        router.guarded(AFTER)
    assert router.unchanged()


# -------------------------------------------------------------------------------------------------------------- writing
def test_a_refusal_is_undone_and_stays_the_routers_own_no():
    router = Guarded()
    router.when("apply", 3, lambda: (_ for _ in ()).throw(Rejected("the router said no: table full", "make room")))
    with pytest.raises(Rejected) as refused:
        router.guarded(AFTER)
    assert refused.value.hint.splitlines()[0] == "make room"
    assert "undone after 0 s" in refused.value.hint
    assert router.unchanged()


@pytest.mark.parametrize("kind", ["dropped before", "dropped after", "reset"])
def test_a_connection_lost_while_writing_is_read_again_and_gone_on_with(kind):
    router = Guarded()
    run = router.hit(kind, "apply", 2)
    assert run.guarded(AFTER)
    assert run.wire.struck
    assert router.differences(AFTER) == ()


def test_what_is_accepted_and_not_done_is_undone():
    router = Guarded(driver="learns by another pass")

    def forget() -> None:
        router.device.stored = dict(router.before)

    router.device.before.append(lambda call: forget() if call.verb == "read" and router.device.guard else None)
    with pytest.raises(NotConverged, match="accepted every request and still differs") as error:
        router.guarded(AFTER)
    assert "undone" in error.value.hint
    assert router.unchanged()


def test_a_router_that_goes_away_while_written_is_tripped_when_it_answers_again():
    router = Guarded()
    run = router.hit("away", "apply", 2)
    with pytest.raises(RolledBack, match=r"cannot be read after the change: .*; undone after"):
        run.guarded(AFTER)
    assert router.unchanged()


def test_an_undo_that_fired_while_a_slow_router_was_written_is_finished_from_what_is_there():
    router = Guarded(router="writes on after its undo")
    router.when("apply", 4, lambda: router.device.advance(WINDOW + 1))
    with pytest.raises(RolledBack, match=r"its undo fired before the change was written \(window: 120 s\); it undid itself"):
        router.guarded(AFTER)
    assert router.differences(BEFORE) == ()


def test_what_others_did_in_the_window_stays_when_the_way_back_is_finished_from_here():
    router = Guarded(router="writes on after its undo")

    def meanwhile() -> None:
        router.device.advance(WINDOW + 1)
        held = router.device.stored[INTERFACE]
        moved = replace(STRANGER, persistent_keepalive=9)
        router.device.stored[INTERFACE] = replace(held, peers={**held.peers, STRANGER.public_key: moved})

    router.when("apply", 4, meanwhile)
    with pytest.raises(RolledBack):
        router.guarded(AFTER)
    assert router.device.stored[INTERFACE].peers[STRANGER.public_key].persistent_keepalive == 9


# -------------------------------------------------------------------------------------------------------------- proving
def test_what_does_not_prove_itself_is_undone_and_the_reason_said_with_what_was_tried():
    router = Guarded()
    with pytest.raises(RolledBack) as undone:
        router.guarded(AFTER, lambda: "the tunnel to hub is dead")
    assert undone.value.summary == "subject: the tunnel to hub is dead; undone after 0 s"
    assert undone.value.hint.startswith("tried: ")
    assert "fleet plan subject" in undone.value.hint
    assert router.unchanged()


def test_a_proof_that_breaks_off_is_no_proof():
    router = Guarded()

    def gone() -> str:
        raise Unreachable("no answer from the branch behind it")

    with pytest.raises(RolledBack, match="cannot be proven: no answer from the branch behind it; undone"):
        router.guarded(AFTER, gone)
    assert router.unchanged()


# ------------------------------------------------------------------------------------------------------------ confirming
def test_a_confirm_that_arrived_and_whose_answer_was_lost_is_a_confirm():
    router = Guarded()
    run = router.hit("dropped after", "confirm")
    assert run.guarded(AFTER)
    assert router.differences(AFTER) == ()
    assert any(" confirm confirmed" in line for line in run.journal.lines)


def test_a_confirm_that_never_arrived_is_undone():
    router = Guarded()
    run = router.hit("dropped before", "confirm")
    with pytest.raises(RolledBack, match="the confirm did not arrive"):
        run.guarded(AFTER)
    assert router.unchanged()
    assert not any(" confirm confirmed" in line for line in run.journal.lines)


def test_a_confirm_after_the_undo_had_run_is_no_success():
    router = Guarded()

    def dawdle() -> str:
        router.device.advance(WINDOW + 1)
        return ""

    with pytest.raises(RolledBack, match=r"could not be confirmed: .*; it undid itself after"):
        router.guarded(AFTER, dawdle)
    assert router.unchanged()


def test_what_was_confirmed_is_not_undone_because_the_router_then_goes_away():
    router = Guarded()
    router.device.before.append(
        lambda call: lost() if call.verb == "read" and router.verbs()[-1:] in (["confirm"], ["tidy"]) else None
    )
    with pytest.raises(RouterError) as error:
        router.guarded(AFTER)
    assert not isinstance(error.value, RolledBack)
    assert "the change is confirmed" in error.value.hint
    router.device.before.clear()
    assert router.differences(AFTER) == ()


def test_what_goes_is_only_disabled_until_the_confirm_and_deleted_in_the_same_run():
    router = Guarded()
    seen: list[bool] = []

    def look() -> str:
        seen.append(any(peer.disabled for peer in router.device.stored[INTERFACE].peers.values()))
        return ""

    router.guarded(AFTER, look)
    assert seen == [True]
    assert not any(peer.disabled for peer in router.device.stored[INTERFACE].peers.values())


def test_a_cleanup_that_was_lost_is_repeated_by_the_next_run_guarded_or_not():
    for guarded in (True, False):
        router = Guarded()
        run = router.hit("killed before", "tidy")
        with pytest.raises(BaseException):  # noqa: B017, PT011 - Killed
            run.guarded(AFTER)
        assert router.observe().leftovers
        following = router.again()
        (following.guarded if guarded else following.converge)(AFTER)
        assert router.observe().leftovers == ()


def test_where_saving_is_the_confirm_nothing_is_stored_before_it():
    router = Guarded(two_views=True)
    stored: list[dict[str, Interface]] = []

    def look() -> str:
        stored.append(dict(router.device.stored))
        return ""

    router.guarded(AFTER, look)
    assert stored == [router.before]
    assert router.device.stored == router.device.running


class WholeFile(ToyDriver):
    """Writes the whole desired state, of new peers one a pass: as where a router must name something before the next."""

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        script = super().render(plan, observed)
        if not plan.changes:
            return script
        held = (observed.running or {})[INTERFACE].peers
        new = next((change.wanted.public_key for change in plan.changes if isinstance(change, AddPeer)), None)
        wanted = plan.desired[INTERFACE]
        file = replace(wanted, peers={key: peer for key, peer in wanted.peers.items() if key in held or key == new})
        step = Step("write the file", (Call("write", file),), plan.changes)
        return replace(script, guarded=(*script.guarded[: 1 if plan.arm else 0], (step,)))


def test_where_saving_is_the_confirm_a_part_of_the_intent_is_written_in_several_passes() -> None:
    device = ToyRouter(two_views=True)
    router = Subject(WholeFile(two_views=True), device)
    Subject(ToyDriver(two_views=True), device).converge(BEFORE)
    device.plant(INTERFACE)
    held = device.stored[INTERFACE]
    added = [
        Peer(public_key(name), networks(f"10.99.0.{n}/32"), mark=Mark(OVERLAY, name)) for n, name in ((7, "goa"), (8, "pune"))
    ]
    later = replace(held, mtu=1380, peers={**{peer.public_key: peer for peer in added}})  # peers of BEFORE go later
    router.observe()
    intent = engine.Intent({INTERFACE: later}, wanted=lambda change: isinstance(change, AddPeer))
    made = guard.Guarded(router.router, intent, "run-1", router.journal, WINDOW).converge()
    assert len(made) == 2
    expected = {**held.peers, **{peer.public_key: peer for peer in added}}
    for view in (device.running, device.stored):
        assert (view[INTERFACE].peers, view[INTERFACE].mtu) == (expected, held.mtu)


# ------------------------------------------------------------------------------------------------------ left-over guards
def left_over() -> tuple[Guarded, Subject]:
    router = Guarded()
    dead = router.again()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - Killed
        dead.guarded(AFTER, lambda: dead.wire.kill() or "")  # type: ignore[func-returns-value]  # it never returns
    return router, dead


def test_a_guard_of_a_dead_run_is_tripped_before_anything_else_is_done():
    router, dead = left_over()
    router.device.log.clear()
    following = router.again()
    following.guarded(AFTER)
    assert router.verbs()[:2] == ["trip", "arm"]
    assert f"a guard of run {dead.run} was left over" in following.journal.lines[0]


def test_a_guard_of_a_dead_run_is_resolved_although_the_answer_to_the_trip_is_lost():
    router, _ = left_over()
    run = router.again(Wire("dropped after", 3))
    run.guarded(AFTER)
    assert run.wire.struck
    assert router.differences(AFTER) == ()


def test_a_guard_that_cannot_be_tripped_stops_the_run_and_tells_when_it_fires(monkeypatch):
    monkeypatch.setattr(rollback, "GRACE_SECONDS", -4.9)
    router, dead = left_over()
    router.device.before.append(lambda call: lost() if call.verb == "trip" else None)
    with pytest.raises(RouterError, match=f"a guard of run {dead.run} is armed and cannot be tripped") as error:
        router.again().guarded(AFTER)
    assert "it fires by itself in 120 s" in error.value.hint


def test_a_run_without_a_guard_resolves_one_that_is_left_over_too():
    router, _ = left_over()
    router.again().converge(BEFORE)
    assert router.unchanged()


def test_an_interface_that_went_is_there_again_after_the_undo():
    router = Guarded()
    router.device.stored[INTERFACE] = replace(
        router.before[INTERFACE],
        peers={key: peer for key, peer in router.before[INTERFACE].peers.items() if peer.mark is not None},
    )
    router.before = dict(router.device.stored)
    run = router.again()
    run.observe()
    made = guard.Guarded(run.router, engine.Intent({}), run.run, run.journal, WINDOW, healthy=lambda *_: "the drill says so")
    with pytest.raises(RolledBack):
        made.converge()
    assert router.unchanged()
