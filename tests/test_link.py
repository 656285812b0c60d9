"""The Link: retries only where repeating is safe, every error knows its router, nothing secret is shown."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet.errors import ConnectionLost, Rejected, RouterError, Unreachable
from fleet.link import Address, Exec, Http, Reply, Request, RouterLink, Target, Words
from fleet.model import Secret

TARGET = Target("mumbai", "acme", ("wg0",))
READ = Exec("wg show", reads=True)
WRITE = Exec("wg set")


class Scripted:
    """A session that answers from a list, one entry per send."""

    identity = ""
    address = Address("192.0.2.1", 22)

    def __init__(self, answers: list[list[Reply | RouterError]]) -> None:
        self.answers = answers
        self.sent: list[Sequence[Request]] = []
        self.closed = False

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        self.sent.append(list(requests))
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


def link_over(*sessions: Scripted | Exception, **options) -> RouterLink:
    supply = list(sessions)

    def connect():
        session = supply.pop(0)
        if isinstance(session, Exception):
            raise session
        return session

    return RouterLink(TARGET, connect, **options)


def test_a_read_lost_on_the_way_is_asked_again_on_a_new_connection():
    broken = Scripted([[ConnectionLost("reset", sent=True)]])
    link = link_over(broken, Scripted([[Reply("fine")]]))
    assert link.send(READ).text == "fine"
    assert broken.closed


def test_a_write_that_may_have_arrived_is_never_repeated():
    second = Scripted([[Reply("fine")]])
    link = link_over(Scripted([[ConnectionLost("reset", sent=True)]]), second)
    with pytest.raises(ConnectionLost):
        link.send(WRITE)
    assert second.sent == []


def test_a_write_that_certainly_never_left_is_sent_again():
    link = link_over(Scripted([[ConnectionLost("reset", sent=False)]]), Scripted([[Reply("fine")]]))
    assert link.send(WRITE).text == "fine"


def test_only_the_lost_request_of_a_burst_is_repeated():
    second = Scripted([[Reply("b")]])
    link = link_over(Scripted([[Reply("a"), ConnectionLost("reset", sent=False)]]), second)
    assert [reply.text for reply in link.send_all([READ, WRITE])] == ["a", "b"]
    assert second.sent == [[WRITE]]


def test_reads_are_not_repeated_for_ever():
    lost = [Scripted([[ConnectionLost("reset", sent=True)]]) for _ in range(RouterLink.READ_ATTEMPTS)]
    with pytest.raises(ConnectionLost):
        link_over(*lost, Scripted([[Reply("too late")]])).send(READ)


def test_an_unreachable_router_is_named():
    with pytest.raises(Unreachable) as caught:
        link_over(Unreachable("no TCP connection")).send(READ)
    assert caught.value.router == "mumbai"


def test_a_router_that_goes_away_in_the_middle_answers_with_its_error_for_what_is_left():
    link = link_over(Scripted([[Reply("a"), ConnectionLost("reset", sent=False)]]), Unreachable("gone"))
    first, second = link.attempt([READ, WRITE])
    assert isinstance(first, Reply)
    assert isinstance(second, RouterError)


def test_the_drivers_own_check_turns_a_yes_into_a_no():
    def check(request: Request, reply: Reply) -> None:
        if "failed" in reply.text:
            raise Rejected("it says failed")

    link = link_over(Scripted([[Reply('{"result": "failed"}')]]), check=check)
    with pytest.raises(Rejected) as caught:
        link.send(WRITE)
    assert caught.value.router == "mumbai"


def test_every_exchange_can_be_watched():
    seen: list[Request] = []
    link = link_over(Scripted([[Reply("a"), Reply("b")]]), observer=lambda request, reply, seconds: seen.append(request))
    link.send_all([READ, WRITE])
    assert seen == [READ, WRITE]


def test_fresh_closes_the_connection_and_the_next_request_opens_another():
    first, second = Scripted([[Reply("a")]]), Scripted([[Reply("b")]])
    link = link_over(first, second)
    link.send(READ)
    link.fresh()
    assert first.closed
    assert link.send(READ).text == "b"


@pytest.mark.parametrize(
    "request_",
    [
        Exec("sh -s", stdin=("psk ", Secret("hunter2"), "\n")),
        Words("/interface/wireguard/peers/add", (("preshared-key", Secret("hunter2")),)),
        Http("POST", "/api", body={"psk": Secret("hunter2"), "more": [Secret("hunter2"), 1, None]}),
    ],
)
def test_native_requests_show_secrets_as_stars(request_: Request):
    assert "hunter2" not in request_.native() + repr(request_)
    assert "***" in request_.native()


def test_a_reply_does_not_show_what_the_router_printed():
    assert "hunter2" not in repr(Reply("psk hunter2", error="hunter2"))
