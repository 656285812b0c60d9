"""The runner: many routers at once, each with its own fate."""

from __future__ import annotations

import threading

import pytest

from fleet.errors import RouterError
from fleet.runner import LocalRunner


def test_every_router_gets_its_own_answer_in_the_order_asked():
    answers = LocalRunner(4).run(str.upper, ["b", "a", "c"])
    assert [(name, answer.value) for name, answer in answers.items()] == [("b", "B"), ("a", "A"), ("c", "C")]


def test_a_failing_router_stops_no_other():
    def task(name: str) -> str:
        if name == "bad":
            raise RouterError("it said no", router=name)
        return name

    answers = LocalRunner(2).run(task, ["one", "bad", "two"])
    assert isinstance(answers["bad"].error, RouterError)
    assert answers["one"].value == "one"
    assert answers["two"].value == "two"


def test_parallel_routers_really_run_at_once():
    meeting = threading.Barrier(3, timeout=10)
    answers = LocalRunner(3).run(lambda name: meeting.wait() >= 0, ["a", "b", "c"])
    assert all(answer.value for answer in answers.values())


def test_never_more_than_the_limit_run_at_once():
    lock, running, most = threading.Lock(), 0, 0

    def task(name: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.005)
        with lock:
            running -= 1

    LocalRunner(3).run(task, [str(number) for number in range(20)])
    assert most <= 3


def test_routers_behind_one_endpoint_share_its_limit():
    lock, running, most = threading.Lock(), 0, 0

    def task(name: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.005)
        with lock:
            running -= 1

    LocalRunner(20, endpoint=lambda name: "controller", per_endpoint=2).run(task, [str(number) for number in range(20)])
    assert most <= 2


def test_ctrl_c_finishes_what_runs_and_starts_nothing_more():
    started: list[str] = []

    def task(name: str) -> None:
        started.append(name)
        if name == "0":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalRunner(1).run(task, [str(number) for number in range(50)])
    assert len(started) < 50


def test_no_routers_is_no_work():
    assert LocalRunner(5).run(str, []) == {}
