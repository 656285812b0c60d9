"""Transport rest: one login per endpoint, renewed when it is over, ended with the run; and the pace of an endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from rest_server import SECRET, TOKEN, Controller, access, one, says, talking

from fleet.dial import direct
from fleet.dialects import Call, Rest
from fleet.errors import ConnectionLost, LoginFailed, Rejected, RouterError, Unreachable
from fleet.link import Http, Reply
from fleet.model import Secret
from fleet.testing.https import HttpFaults, HttpReply, HttpRequest, HttpsServer, json_reply
from fleet.transports.rest import RestTransport
from fleet.transports.rest.pace import Pace

SITES = Http("GET", "/openapi/v1/{controller}/sites", reads=True)
WRITE = Http("POST", "/openapi/v1/{controller}/sites/1/vpn/wireguards", body={"name": "wg0"})


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def server(controller: Controller) -> Iterator[HttpsServer]:
    with HttpsServer(controller) as server:
        yield server


@pytest.fixture
def transport() -> Iterator[RestTransport]:
    transport = RestTransport(connect_timeout=5)
    yield transport
    transport.close()


def test_the_token_goes_with_every_request(server, controller, transport):
    session = transport.connect(access(server, TOKEN), direct)
    replies = session.send([SITES, WRITE])
    assert all(isinstance(reply, Reply) for reply in replies)
    assert server.seen[-1].header("Authorization") == "AccessToken=AT-000001"
    session.close()


def test_what_the_login_learned_stands_in_paths(server, transport):
    session = transport.connect(access(server, TOKEN), direct)
    one(session, SITES)
    assert server.seen[-1].path == "/openapi/v1/c0ffee/sites"
    session.close()


def test_no_name_but_the_declared_ones_is_filled_into_a_path(server, transport):
    session = transport.connect(access(server, TOKEN), direct)
    one(session, Http("GET", "/x/{token}/{api_secret}"))
    assert "AT-" not in server.seen[-1].target
    assert SECRET not in server.seen[-1].target
    session.close()


def test_many_routers_behind_one_controller_log_in_once(server, controller, transport):
    def router(number: int) -> bool:
        session = transport.connect(access(server, TOKEN), direct)
        try:
            return isinstance(one(session, SITES), Reply)
        finally:
            session.close()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(router, range(16)))
    assert controller.logins == 1


def test_another_account_logs_in_for_itself(server, controller, transport):
    transport.connect(access(server, TOKEN), direct).close()
    with pytest.raises(LoginFailed):
        transport.connect(access(server, TOKEN, api_secret=Secret("wrong")), direct)
    assert controller.logins == 2


def test_the_same_address_behind_another_jump_is_another_endpoint(server, controller, transport):
    transport.connect(access(server, TOKEN, via=("hq",)), direct).close()
    transport.connect(access(server, TOKEN, via=("lab",)), direct).close()
    assert controller.logins == 2


def test_a_token_that_is_over_is_renewed_and_the_request_repeated(server, controller, transport):
    session = transport.connect(access(server, TOKEN), direct)
    controller.expire()
    assert isinstance(one(session, WRITE), Reply)
    assert (controller.logins, controller.renewals) == (1, 1)
    session.close()


def test_where_renewing_is_refused_the_credentials_tell_again(server, controller, transport):
    session = transport.connect(access(server, TOKEN), direct)
    controller.expire()
    controller.refresh = None
    assert isinstance(one(session, WRITE), Reply)
    assert (controller.logins, controller.renewals) == (2, 1)
    session.close()


def test_many_who_meet_the_same_expired_token_renew_it_once(server, controller, transport):
    sessions = [transport.connect(access(server, TOKEN), direct) for _ in range(6)]
    controller.expire()
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda session: one(session, SITES), sessions))
    assert all(isinstance(reply, Reply) for reply in replies)
    assert controller.renewals == 1
    for session in sessions:
        session.close()


def test_a_login_that_is_over_at_once_is_repeated_only_once(transport):
    def never(request: HttpRequest) -> HttpReply:
        if "token" in request.path:
            return json_reply({"errorCode": 0, "result": {"accessToken": "AT-1", "refreshToken": "RT-1"}})
        known = {"errorCode": 0, "result": {"omadacId": "c0ffee"}}
        return json_reply(known if request.path == "/api/info" else {"errorCode": -44113, "msg": "The token is invalid."})

    with HttpsServer(never) as server:
        session = transport.connect(access(server, TOKEN), direct)
        reply = one(session, WRITE)
        asked = sum("wireguards" in request.path for request in server.seen)
        session.close()
    assert isinstance(reply, LoginFailed)
    assert asked == 2


def test_a_refused_login_names_the_reason_and_the_credentials(server, transport):
    with pytest.raises(LoginFailed) as refused:
        transport.connect(access(server, TOKEN, api_secret=Secret("wrong secret")), direct)
    assert "client secret is invalid" in refused.value.summary
    assert "credentials" in refused.value.hint
    assert "wrong secret" not in str(refused.value)


def test_a_refused_login_is_not_tried_again_for_every_router(server, controller, transport):
    for _ in range(3):
        with pytest.raises(LoginFailed):
            transport.connect(access(server, TOKEN, api_secret=Secret("wrong")), direct)
    assert controller.logins == 1


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_something_that_is_no_refusal_of_the_credentials_is_tried_again_for_the_next_router(transport, status: int):
    controller = Controller()
    with HttpsServer(controller, faults=HttpFaults(statuses=dict.fromkeys(range(1, 40), status))) as server:
        with pytest.raises(RouterError) as refused:
            transport.connect(access(server, replace(TOKEN, busy=frozenset())), direct)
        assert not isinstance(refused.value, LoginFailed)
        assert "port" in refused.value.hint
        server.faults.statuses = {}
        transport.connect(access(server, replace(TOKEN, busy=frozenset())), direct).close()


def test_a_missing_credential_is_named(server, transport):
    with pytest.raises(LoginFailed, match="no api_secret is given") as refused:
        transport.connect(access(server, TOKEN, api_secret=None), direct)
    assert "api_secret:" in refused.value.hint


def test_a_reply_without_the_token_is_no_login(transport):
    with HttpsServer(says({"errorCode": 0, "result": {}})) as server, pytest.raises(LoginFailed, match="omadacId"):
        transport.connect(access(server, TOKEN), direct)


def test_a_line_that_breaks_during_the_login_is_unreachable(transport):
    with HttpsServer(says({}), faults=HttpFaults(reset_before=1)) as server, pytest.raises(Unreachable):
        transport.connect(access(server, TOKEN), direct)


def test_closing_the_transport_logs_out_where_somebody_logged_in(server, controller, transport):
    transport.connect(access(server, TOKEN), direct).close()
    assert controller.logouts == 0
    transport.close()
    assert controller.logouts == 1
    assert controller.valid == set()


def test_closing_a_session_leaves_the_login_to_the_others(server, controller, transport):
    first, second = (transport.connect(access(server, TOKEN), direct) for _ in range(2))
    first.close()
    assert isinstance(one(second, SITES), Reply)
    second.close()


def test_closing_never_fails_where_the_controller_is_gone(server, transport):
    transport.connect(access(server, TOKEN), direct).close()
    server.close()
    transport.close()


def test_a_token_in_a_cookie_and_one_in_a_header_are_found(transport):
    dialect = Rest(
        login=(
            Call(
                "POST",
                "/login",
                body={"username": "{username}", "password": "{password}"},
                learns={"session": "cookie:TPOMADA_SESSIONID", "csrf": "header:X-Csrf", "token": "result.token"},
            ),
        ),
        headers=(("Cookie", "TPOMADA_SESSIONID={session}"), ("Csrf-Token", "{csrf}-{token}")),
    )

    def web(request: HttpRequest) -> HttpReply:
        cookies = (("Set-Cookie", "other=1; Path=/"), ("Set-Cookie", "TPOMADA_SESSIONID=abc; Path=/; Secure; HttpOnly"))
        return json_reply({"result": {"token": 7}}, 200, *cookies, ("X-CSRF", "def"))

    with HttpsServer(web) as server:
        session = transport.connect(access(server, dialect, username="fleet", password=Secret("pw")), direct)
        one(session, SITES)
        session.close()
    assert server.seen[0].json() == {"username": "fleet", "password": "pw"}
    assert server.seen[1].header("Cookie") == "TPOMADA_SESSIONID=abc"
    assert server.seen[1].header("Csrf-Token") == "def-7"


def test_an_application_code_is_a_refusal_with_its_words():
    with talking(says({"errorCode": -43204, "msg": "This port is already used."}), replace(TOKEN, login=(), headers=())) as (
        _,
        session,
    ):
        reply = one(session, WRITE)
    assert isinstance(reply, Rejected)
    assert reply.evidence == "This port is already used. (-43204)"


def test_an_application_code_that_the_request_accepts_is_an_answer():
    with talking(says({"errorCode": -1600, "msg": "Unsupported path."}), replace(TOKEN, login=(), headers=())) as (_, session):
        reply = one(session, Http("GET", "/x", accept=frozenset({-1600})))
    assert isinstance(reply, Reply)


# --- pace


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_no_second_sees_more_requests_than_the_rate():
    clock = Clock()
    pace = Pace(10, clock=clock, sleep=clock.sleep)
    times = []
    for _ in range(35):
        pace.turn()
        times.append(clock.now)
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[10:], strict=False))
    assert times[9] == times[0]


def test_a_pause_that_the_endpoint_asks_for_holds_for_everybody():
    clock = Clock()
    pace = Pace(None, clock=clock, sleep=clock.sleep)
    pace.rest(5)
    pace.turn()
    assert clock.now == 105.0


def test_all_sites_of_a_controller_share_its_rate():
    arrived: list[float] = []
    lock = threading.Lock()

    def noting(request: HttpRequest) -> HttpReply:
        with lock:
            arrived.append(time.monotonic())
        return json_reply({})

    dialect = Rest(rate=20)
    transport = RestTransport()
    with HttpsServer(noting) as server:
        sessions = [transport.connect(access(server, dialect), direct) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda session: session.send([SITES] * 6), sessions))
        for session in sessions:
            session.close()
    assert arrived[20] - arrived[0] > 0.95


def busy_once(status: int, *headers: tuple[str, str]):
    asked = iter(range(100))
    return lambda request: json_reply({}, status, *headers) if next(asked) == 0 else json_reply({"done": True})


@pytest.mark.parametrize("request_", [SITES, WRITE], ids=["read", "write"])
def test_too_many_requests_is_waited_out_because_nothing_was_done(request_: Http):
    with talking(busy_once(429, ("Retry-After", "0"))) as (server, session):
        assert isinstance(one(session, request_), Reply)
    assert server.requests == 2


def test_retry_after_is_honoured():
    with talking(busy_once(429, ("Retry-After", "1"))) as (_, session):
        began = time.monotonic()
        one(session, SITES)
    assert time.monotonic() - began >= 1


def test_a_pause_longer_than_the_timeout_is_a_refusal_at_once():
    with talking(busy_once(429, ("Retry-After", "3600"))) as (_, session):
        reply = one(session, SITES)
    assert isinstance(reply, Rejected)
    assert "429" in reply.summary


def test_writes_go_one_after_the_other_where_the_endpoint_wants_it():
    busy, most = 0, 0
    plain = Http("POST", "/x", body={})
    lock = threading.Lock()
    both = threading.Barrier(2)

    def counting(request: HttpRequest) -> HttpReply:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.05)
        with lock:
            busy -= 1
        return json_reply({})

    transport = RestTransport()
    with HttpsServer(counting) as server:
        sessions = [transport.connect(access(server, Rest(one_writer=True)), direct) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda session: one(session, plain), sessions))
        for session in sessions:
            session.close()
    assert all(isinstance(reply, Reply) for reply in replies)
    assert most == 1


def test_a_lost_write_is_not_repeated_by_the_login_logic(server, controller, transport):
    session = transport.connect(access(server, TOKEN), direct)
    server.faults.reset_after = server.requests + 1
    reply = one(session, WRITE)
    assert isinstance(reply, ConnectionLost)
    assert reply.sent
    assert sum("wireguards" in request.path for request in server.seen) == 1
