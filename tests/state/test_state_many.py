"""Thousands of routers: a question about all of them is one query, a write of all of them one transaction."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.errors import UsageError
from fleet.model import Fact, PublicKey
from fleet.state import Confirmation, State
from fleet.state.journal import Run

from .shared import A, B, C, at, queries, until, writes

COUNT = 1000
NAMES = [f"branch-{number}" for number in range(COUNT)]
FIRST = ipaddress.ip_address("10.100.0.1")


@pytest.fixture
def many(state: State) -> State:
    """A thousand routers that were synced before."""
    state.pin_all("acme", {name: Fact(A, (FIRST + number,)) for number, name in enumerate(NAMES)})
    state.set_confirmed_all("acme", {name: Confirmation(name, {"interface wg0": name}, "7.18") for name in NAMES})
    for name in NAMES[:3]:
        state.pin_identity("acme", name, "ssh", f"ssh-ed25519 {name}")
    return state


def asked(sent: list[str]) -> int:
    return len([statement for statement in sent if statement.upper().startswith("SELECT")])


QUESTIONS: dict[str, Callable[[State], object]] = {
    "facts": lambda state: state.facts("acme"),
    "held": lambda state: state.held("acme"),
    "identities": lambda state: state.identities("acme"),
    "confirmed": lambda state: state.confirmed_all("acme"),
    "escrow": lambda state: state.escrows("acme"),
    "present": lambda state: state.note_present("acme", NAMES),
    "pins": lambda state: state.pin_all("acme", state.facts("acme")),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_all_routers_is_one_query(many: State, question: str) -> None:
    with queries() as sent:
        QUESTIONS[question](many)
    assert asked(sent) <= 2
    assert writes(sent) == []


def test_all_routers_are_confirmed_by_one_statement(many: State) -> None:
    with queries() as sent:
        many.set_confirmed_all("acme", {name: Confirmation("new", {"interface wg0": "2"}, "7.19") for name in NAMES})
    assert len(writes(sent)) == 1
    confirmed = many.confirmed_all("acme")
    assert {(one.fingerprint, one.objects["interface wg0"], one.version) for one in confirmed.values()} == {
        ("new", "2", "7.19")
    }
    assert set(confirmed) == set(NAMES)


def test_all_routers_are_pinned_by_one_statement(many: State) -> None:
    with queries() as sent:
        many.pin_all("acme", {name: Fact(B, (FIRST + number,)) for number, name in enumerate(NAMES)})
    assert len(writes(sent)) == 1
    assert {fact.public_key for fact in many.facts("acme").values()} == {B}


def test_asked_about_all_or_about_one_the_answers_are_the_same(many: State) -> None:
    many.put_escrow("acme", "branch-7", b"first", A)
    many.put_escrow("acme", "branch-7", b"second", B)
    assert many.facts("acme")["branch-7"] == many.fact("acme", "branch-7")
    assert many.confirmed_all("acme")["branch-7"] == many.confirmed("acme", "branch-7")
    assert many.identities("acme")["branch-2"] == many.identity("acme", "branch-2")
    assert many.escrows("acme")["branch-7"][0] == many.get_escrow("acme", "branch-7")
    assert [escrow.public_key for escrow in many.escrows("acme")["branch-7"]] == [B, A]


def test_questions_about_all_routers_keep_to_their_overlay(many: State) -> None:
    many.put_escrow("acme", "branch-7", b"first", A)
    assert (many.identities("other"), many.confirmed_all("other"), many.escrows("other")) == ({}, {}, {})


def test_nothing_to_confirm_is_nothing_written(state: State) -> None:
    with queries() as sent:
        state.set_confirmed_all("acme", {})
    assert sent == []


def test_routers_are_listed_by_name_on_every_database(state: State) -> None:
    state.pin_all("acme", {name: Fact(A) for name in ("b-1", "b1", "a2", "b-")})
    assert list(state.facts("acme")) == ["a2", "b-", "b-1", "b1"]


def test_the_routers_of_many_runs_are_one_question(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in range(20):
        at(state, monkeypatch, days)
        run = state.begin_run("acme", "sync", "asha@noc")
        run.record_all([(name, "apply", "changes", None) for name in NAMES[:50]])
    with queries() as sent:
        history = state.history("acme")
    assert asked(sent) == 2
    assert {record.routers for record in history} == {tuple(sorted(NAMES[:50]))}


# --------------------------------------------------------------------------------------------------------- threads
def test_many_threads_may_write_at_once(state: State) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: state.pin("acme", f"r{number}", public_key=A, epoch=number), range(100)))
    assert {name: fact.epoch for name, fact in state.facts("acme").items()} == {f"r{n}": n for n in range(100)}


def test_threads_that_pin_different_things_of_one_router_lose_nothing(state: State) -> None:
    acts: list[Callable[[], None]] = [
        lambda: state.pin("acme", "mumbai", public_key=A),
        lambda: state.pin("acme", "mumbai", staged_key=B),
        lambda: state.pin("acme", "mumbai", epoch=3),
        lambda: state.pin("acme", "mumbai", addresses=(FIRST,)),
    ]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda act: act(), acts))
    assert state.fact("acme", "mumbai") == Fact(A, (FIRST,), 3, B)


def test_an_identity_that_many_see_first_at_the_same_time_is_pinned_once(state: State) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: state.pin_identity("acme", "bastion", "ssh", "ssh-ed25519 AAAA"), range(16)))
    assert state.identity("acme", "bastion") == {"ssh": ("ssh-ed25519 AAAA",)}


# --------------------------------------------------------------------------------------------------------- journal
def test_a_batch_of_steps_is_written_by_one_statement_in_its_order(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    lines = [("mumbai", "apply", f"step {number}", {"interrupts": "nothing"}) for number in range(16)]
    with queries() as sent:
        run.record_all(lines)
    assert len(writes(sent)) == 1
    assert [entry.text for entry in state.journal(run.id)] == [f"step {number}" for number in range(16)]


def test_a_batch_with_a_detail_that_is_not_plain_is_not_written_at_all(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    with pytest.raises(TypeError):
        run.record_all([("mumbai", "apply", "one", None), ("mumbai", "apply", "two", {"key": object()})])
    assert state.journal(run.id) == []


def test_a_batch_of_nothing_is_nothing(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    with queries() as sent:
        run.record_all([])
    assert sent == []


def test_what_a_hostile_router_says_can_be_written_down(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    run.record("mumbai", "refused", "a\0b \udcff c " + "long" * 1000, {"said": "a\0b \udcff"})
    run.finish("failed: " + "x\0" * 1000, 1)
    (entry,) = state.journal(run.id)
    assert entry.text.startswith("a\ufffdb \ufffd c ")
    assert len(entry.text) > 4000
    assert state.history("acme")[0].outcome.startswith("failed: x\ufffdx")


def recording(run: Run, count: int) -> ThreadPoolExecutor:
    threads = ThreadPoolExecutor(count)
    for number in range(count):
        threads.submit(run.record, f"r{number}", "apply", "step")
    return threads


def test_what_many_routers_record_while_the_disk_is_busy_is_written_together(state: State) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    with queries() as sent:
        with state.writing():
            threads = recording(run, 20)
            until(lambda: len(run._group._next.rows) == 19)  # the first one waits for the disk with its own
        threads.shutdown(wait=True)
    assert len(writes(sent)) == 2
    assert {entry.router for entry in state.journal(run.id)} == {f"r{number}" for number in range(20)}


def test_everybody_whose_entry_could_not_be_written_is_told(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    run = state.begin_run("acme", "sync", "asha@noc")
    told: list[str] = []

    def record(number: int) -> None:
        try:
            run.record(f"r{number}", "apply", "step")
        except UsageError as error:
            told.append(error.summary)

    with state.writing():
        threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(run._group._next.rows) == 7)
        monkeypatch.setattr(type(state), "now", lambda *_: (_ for _ in ()).throw(UsageError("disk full")))
    for thread in threads:
        thread.join(20)
    assert told == ["disk full"] * 8
    monkeypatch.undo()
    run.record("later", "apply", "step")
    assert [entry.router for entry in state.journal(run.id)] == ["later"]


def test_a_revoked_key_among_a_thousand_is_found(many: State) -> None:
    many.tombstone("acme", C)
    with pytest.raises(Exception, match="revoked for ever"):
        many.pin_all("acme", {name: Fact(C if name == "branch-500" else PublicKey(B)) for name in NAMES})
    assert {fact.public_key for fact in many.facts("acme").values()} == {A}
