"""Transport rest: requests, replies, refusals, losses and limits on one keep-alive connection."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from rest_server import BASIC, KEY, SECRET, connect, one, says, talking

from fleet.dialects import Rest
from fleet.errors import ConnectionLost, LoginFailed, Rejected, Unparseable
from fleet.link import Http, Reply
from fleet.model import Secret
from fleet.testing.https import HttpFaults, HttpReply, HttpRequest, HttpsServer, json_reply

READ = Http("GET", "/wireguard/server/get", reads=True)
WRITE = Http("POST", "/wireguard/server/set", body={"server": {"privkey": Secret("wHk/+A1=")}})


def echo(request: HttpRequest) -> HttpReply:
    return json_reply({"method": request.method, "target": request.target, "body": request.body.decode()})


def test_a_reply_has_status_text_and_decoded_json():
    with talking(says({"rows": [1, 2]})) as (_, session):
        reply = one(session, READ)
    assert reply == Reply(text='{"rows": [1, 2]}', code=200, data={"rows": [1, 2]})


def test_path_and_query_follow_the_base_of_the_vendor():
    with talking(echo) as (server, session):
        one(session, Http("GET", "/firewall/filter/search_rule", (("searchPhrase", "a b&c"), ("rowCount", "-1"))))
    assert server.seen[0].path == "/api/firewall/filter/search_rule"
    assert server.seen[0].query == (("searchPhrase", "a b&c"), ("rowCount", "-1"))


def test_secrets_in_a_body_are_revealed_on_the_wire_only():
    with talking(echo) as (server, session):
        one(session, WRITE)
    assert server.seen[0].json() == {"server": {"privkey": "wHk/+A1="}}
    assert "wHk" not in repr(WRITE)
    assert "wHk" not in WRITE.native()


def test_a_body_is_json_with_its_content_type():
    with talking(echo) as (server, session):
        one(session, WRITE)
    assert server.seen[0].header("Content-Type") == "application/json"


def test_an_empty_json_object_is_a_body():
    with talking(echo) as (server, session):
        one(session, Http("POST", "/wireguard/service/reconfigure", body={}))
    assert server.seen[0].body == b"{}"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_body_there_is_no_content_type(method: str):
    with talking(echo) as (server, session):
        one(session, Http(method, "/wireguard/service/reconfigure"))
    assert server.seen[0].header("Content-Type") == ""
    assert server.seen[0].body == b""


def test_a_form_is_sent_as_a_form():
    with talking(echo) as (server, session):
        one(session, Http("POST", "/login", body={"user": "a&b", "password": Secret("p=1")}, form=True))
    assert server.seen[0].header("Content-Type") == "application/x-www-form-urlencoded"
    assert server.seen[0].body == b"user=a%26b&password=p%3D1"


def test_basic_authentication_sends_key_and_secret_as_they_are():
    with talking(echo) as (server, session):
        one(session, READ)
    kind, _, words = server.seen[0].header("Authorization").partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(words).decode() == f"{KEY}:{SECRET}"


def test_requests_of_a_session_share_one_connection():
    with talking(echo) as (server, session):
        replies = session.send([READ, WRITE, READ])
    assert all(isinstance(reply, Reply) for reply in replies)
    assert (server.connections, server.requests) == (1, 3)


def test_a_packed_reply_is_unpacked():
    with talking(lambda request: json_reply({"rows": list(range(1000))}).packed()) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, Reply)
    assert reply.data == {"rows": list(range(1000))}


def test_the_connection_is_opened_anew_when_the_router_closes_it_after_every_reply():
    with talking(echo, faults=HttpFaults(requests_each=1)) as (server, session):
        replies = session.send([READ, WRITE, READ, WRITE, READ])
    assert all(isinstance(reply, Reply) for reply in replies)
    assert server.connections == 5


def test_a_connection_that_was_closed_while_idle_loses_no_write():
    with talking(echo, faults=HttpFaults(requests_each=1, announced=False)) as (server, session):
        one(session, READ)
        while server.open_connections:
            pass
        reply = one(session, WRITE)
    assert isinstance(reply, Reply)


def test_libraries_for_sessions_are_loaded_when_one_is_opened():
    program = (
        "import sys, fleet.builtin; list(fleet.builtin.fleet_transports()); print({'requests', 'netmiko'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_a_request_of_another_kind_is_a_mistake_of_the_driver():
    from fleet.link import Exec

    with talking(echo) as (_, session), pytest.raises(TypeError, match="carries Http"):
        session.send([Exec("wg show")])


# --- refusals


def test_a_status_of_400_or_more_is_rejected_with_the_words_of_the_router():
    with talking(says({"errorMessage": "Endpoint not found"}, 404)) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, Rejected)
    assert "Endpoint not found" in reply.evidence
    assert "404" in str(reply)


def test_a_status_that_the_request_accepts_is_an_answer():
    with talking(says({"errorMessage": "Endpoint not found"}, 404)) as (_, session):
        reply = one(session, Http("GET", "/interfaces/assignment/search_item", accept=frozenset({404})))
    assert isinstance(reply, Reply)
    assert reply.code == 404


@pytest.mark.parametrize("secret", ["abc/def+ghi=", 'quo"te&<tag>', "späte-stunde"])
def test_a_secret_that_the_router_repeats_is_not_in_the_evidence(secret: str):
    request = Http("POST", "/x", body={"psk": Secret(secret)})

    def repeats(seen: HttpRequest) -> HttpReply:
        words = json.dumps({"said": f"bad {secret} and {SECRET}"}).replace("/", "\\/")
        return HttpReply(400, words.encode(), (("Content-Type", "application/json"),))

    with talking(repeats) as (_, session):
        reply = one(session, request)
    assert isinstance(reply, Rejected)
    shown = f"{reply!r} {reply} {reply.evidence}"
    assert "***" in shown
    for part in (secret, SECRET, json.dumps(secret)[1:-1], secret.replace("/", "\\/"), SECRET.replace("/", "\\/")):
        assert part not in shown


def test_an_unauthorised_request_is_a_failed_login():
    with talking(says({"status": 401, "message": "Authentication Failed"}, 401)) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, LoginFailed)
    assert "Authentication Failed" in reply.summary


def test_a_forbidden_path_is_named_and_the_rights_are_the_cure():
    with talking(says({"status": 403, "message": "Forbidden"}, 403)) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, LoginFailed)
    assert "/wireguard/server/get" in reply.summary
    assert "rights" in reply.hint


def test_a_redirect_is_never_followed():
    def away(request: HttpRequest) -> HttpReply:
        return HttpReply(302, b"", (("Location", "/?url=/api/secret"),))

    with talking(away) as (server, session):
        reply = one(session, READ)
    assert isinstance(reply, Rejected)
    assert "redirect" in reply.summary
    assert server.requests == 1


def test_a_redirect_can_be_declared_to_mean_a_failed_login():
    def away(request: HttpRequest) -> HttpReply:
        return HttpReply(302, b"", (("Location", "/?url=/api/x"),))

    with talking(away, Rest(denied=frozenset({302, 401, 403}))) as (_, session):
        assert isinstance(one(session, READ), LoginFailed)


def test_a_write_that_ends_in_an_internal_error_says_that_the_next_read_tells():
    with talking(says({"errorMessage": "Unexpected error, check log for details"}, 500)) as (_, session):
        reply = one(session, WRITE)
    assert isinstance(reply, Rejected)
    assert "carried out" in reply.hint


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_gave_up_leaves_it_open_whether_a_write_was_carried_out(status: int):
    with talking(echo, faults=HttpFaults(statuses={1: status})) as (_, session):
        reply = one(session, WRITE)
    assert isinstance(reply, ConnectionLost)
    assert reply.sent


def test_a_reply_that_says_json_and_is_not_cannot_be_parsed():
    with talking(lambda request: HttpReply(200, b'{"a": ', (("Content-Type", "application/json"),))) as (_, session):
        assert isinstance(one(session, READ), Unparseable)


def test_text_is_no_json():
    with talking(lambda request: HttpReply(200, b"[general]\n", (("Content-Type", "text/plain"),))) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.data) == ("[general]\n", None)


# --- losses


def test_a_connection_reset_before_an_answer_may_have_delivered_the_write():
    with talking(echo, faults=HttpFaults(reset_after=1)) as (_, session):
        reply = one(session, WRITE)
    assert isinstance(reply, ConnectionLost)
    assert reply.sent


def test_after_a_loss_the_rest_was_certainly_not_sent():
    with talking(echo, faults=HttpFaults(reset_before=2)) as (server, session):
        replies = session.send([WRITE, WRITE, WRITE])
    assert isinstance(replies[0], Reply)
    assert [reply.sent for reply in replies[1:] if isinstance(reply, ConnectionLost)] == [True, False]
    assert server.requests == 2


def test_a_request_that_finds_the_router_off_was_certainly_not_sent():
    with talking(echo) as (server, session):
        server.pause()
        reply = one(session, WRITE)
    assert isinstance(reply, ConnectionLost)
    assert not reply.sent


def test_half_a_reply_is_a_loss_and_not_an_answer():
    with talking(echo, faults=HttpFaults(truncate=1)) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, ConnectionLost)
    assert "breaks off" in reply.summary


def test_a_router_that_never_answers_is_given_up_in_time():
    with talking(echo, faults=HttpFaults(stall=1)) as (_, session):
        reply = one(session, Http("GET", "/x", timeout=0.3))
    assert isinstance(reply, ConnectionLost)
    assert "no answer in time" in reply.summary


def test_the_timeout_covers_a_reply_that_comes_byte_by_byte():
    with talking(echo, faults=HttpFaults(trickle=1, spacing=0.02)) as (_, session):
        reply = one(session, Http("GET", "/x", timeout=0.3))
    assert isinstance(reply, ConnectionLost)
    assert "no answer in time" in reply.summary


def test_a_reply_larger_than_any_reply_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fleet.transports.rest.wire.MOST", 1 << 16)
    large = HttpReply(200, b" " * (1 << 20)).packed()
    with talking(lambda request: large) as (_, session):
        reply = one(session, READ)
    assert isinstance(reply, Unparseable)
    assert "larger" in reply.summary


def test_a_reply_without_length_ends_with_the_connection():
    # The blank line ends the headers early, so that no Content-Length is among them.
    with talking(lambda request: HttpReply(200, b"", (("X", "y\r\n\r\nthe rest"),)), faults=HttpFaults(requests_each=1)) as (
        _,
        session,
    ):
        replies = session.send([READ, READ])
    assert ["the rest" in reply.text for reply in replies if isinstance(reply, Reply)] == [True, True]


def test_a_closed_session_sends_nothing():
    with HttpsServer(echo) as server:
        session = connect(server, BASIC)
        session.close()
        reply = one(session, WRITE)
    assert isinstance(reply, ConnectionLost)
    assert not reply.sent
    assert server.requests == 0
