"""Requests that routers behind one endpoint share are sent once for a pass, and never answered from before a write."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.errors import ConnectionLost, Rejected, RouterError
from fleet.link import Address, Exec, Http, Reply, Request, RouterLink, Target
from fleet.shared import SharedAnswers

SITES = Http("GET", "/sites", reads=True, shared=True)
OWN = Http("GET", "/sites/1/peers", reads=True)
WRITE = Http("POST", "/sites/1/peers", body={"name": "pune"})


class Controller:
    """Answers every request with a number that grows; counts what was asked, and can hold answers back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.losses = 0
        self.lock = threading.Lock()
        self.open = threading.Event()
        self.open.set()
        self.busy = threading.Event()

    def session(self) -> Session:
        return Session(self)

    def count(self, request: Http) -> int:
        return self.asked.count(request.path)


class Session:
    """One connection to it."""

    identity = ""
    address = Address("192.0.2.1", 443)

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Reply | RouterError:
        assert isinstance(request, Http)
        with self.controller.lock:
            self.controller.asked.append(request.path)
            number = len(self.controller.asked)
            lost = self.controller.losses > 0
            self.controller.losses -= lost
        self.controller.busy.set()
        self.controller.open.wait(10)
        return ConnectionLost("reset", sent=True) if lost else Reply(str(number))

    def close(self) -> None:
        pass


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def links(controller: Controller) -> list[RouterLink]:
    shared = SharedAnswers()
    return [RouterLink(Target(f"site-{n}", "acme", ("wg0",)), controller.session, shared=shared) for n in range(4)]


def test_what_all_sites_ask_is_asked_once(controller, links):
    assert {link.send(SITES).text for link in links} == {"1"}


def test_what_a_site_asks_for_itself_is_asked_by_every_site(controller, links):
    for link in links:
        link.send_all([SITES, OWN])
    assert (controller.count(SITES), controller.count(OWN)) == (1, 4)


def test_answers_keep_the_order_of_the_requests(links):
    links[0].send(SITES)
    own, sites, other = links[1].send_all([OWN, SITES, OWN])
    assert (own.text, sites.text, other.text) == ("2", "1", "3")


def test_those_who_ask_at_the_same_time_wait_for_one_answer(controller, links):
    controller.open.clear()
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(link.send, SITES) for link in links]
        assert controller.busy.wait(10)
        controller.open.set()
        assert {future.result(10).text for future in asking} == {"1"}
    assert controller.count(SITES) == 1


def test_a_second_look_of_the_same_router_is_a_new_pass(links):
    assert [links[0].send(SITES).text for _ in range(2)] == ["1", "2"]


def test_the_new_pass_of_one_router_serves_the_others_too(controller, links):
    for _ in range(3):
        for link in links:
            link.send(SITES)
    assert controller.count(SITES) == 3


def test_after_fresh_no_answer_from_before_is_good_enough(links):
    links[0].send(SITES)
    links[1].fresh()
    assert links[1].send(SITES).text == "2"


def test_after_a_write_nobody_is_given_an_answer_from_before_it(links):
    links[0].send(SITES)
    links[1].send(WRITE)
    assert links[2].send(SITES).text == "3"


def test_an_answer_asked_for_before_a_write_ended_is_from_before_it(controller, links):
    controller.open.clear()
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(links[0].send, SITES)
        assert controller.busy.wait(10)
        controller.open.set()
        asking.result(10)
        links[1].send(WRITE)
    links[2].send(SITES)
    assert controller.count(SITES) == 2


def test_a_loss_of_the_one_who_asked_is_not_the_loss_of_those_who_waited(controller, links):
    controller.losses = 1
    assert {link.send(SITES).text for link in links} == {"2"}


def test_a_refusal_by_the_driver_s_check_is_not_handed_on(controller):
    shared = SharedAnswers()

    def check(request: Request, reply: Reply) -> None:
        if reply.text == "1":
            raise Rejected("too fast")

    first, second = (RouterLink(Target(n, "acme", ()), controller.session, check=check, shared=shared) for n in "ab")
    with pytest.raises(Rejected):
        first.send(SITES)
    assert second.send(SITES).text == "2"


def test_a_reconnection_within_a_pass_keeps_the_answers(controller, links):
    links[0].send(SITES)
    controller.losses = 1
    links[1].send(OWN)
    assert links[1].send(SITES).text == "1"


def test_a_write_is_never_shared(controller, links):
    shared = Http("POST", "/sites", shared=True)
    for link in links:
        link.send(shared)
    assert controller.count(shared) == 4


def test_a_link_alone_sends_everything(controller):
    link = RouterLink(Target("alone", "acme", ()), controller.session)
    assert [link.send(SITES).text for _ in range(2)] == ["1", "2"]


def test_requests_that_look_alike_are_not_the_same():
    shared = SharedAnswers()
    first = Exec("show", stdin=("a",), reads=True, shared=True)
    second = Exec("show", stdin=("b",), reads=True, shared=True)
    assert shared.ask(first, 0, lambda: Reply("a")) == Reply("a")
    assert shared.ask(second, 0, lambda: Reply("b")) == Reply("b")


def test_one_who_waits_longer_than_his_timeout_asks_for_himself(controller, links):
    quick = Http("GET", "/sites", reads=True, shared=True, timeout=0.05)
    shared = SharedAnswers()
    release = threading.Event()

    def slow() -> Reply:
        release.wait(10)
        return Reply("slow")

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(shared.ask, quick, 0, slow)
        while not shared._asked:
            pass
        assert shared.ask(quick, 0, lambda: Reply("own")) == Reply("own")
        release.set()
        assert asking.result(10) == Reply("slow")
