"""People: the authorization-code flow, and the internal API of the web page (sheet 1.5, 3)."""

from __future__ import annotations

import json

import pytest
from omada_client import interface, peer

from fleet.testing.omada import VIEWER, Application, Strictness

AUTHORIZE = "/openapi/authorize"
INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"
RAJ = {"username": "raj", "password": "correct horse"}


@pytest.fixture
def one(controller, client):
    users = {"raj": ("correct horse", Application()), "asha": ("battery", Application(rights=VIEWER))}
    return client(controller(users=users))


def ask(one, method, path, body=None, **headers):
    return json.loads(one.raw(method, path, body, **headers)[1])


def who(one):
    return f"client_id={one.application.client_id}&omadac_id={one.simulator.omadac_id}"


def session(one, body=RAJ):
    return ask(one, "POST", f"{AUTHORIZE}/login?{who(one)}", body)


def code(one, **changes):
    held = session(one)["result"]
    headers = {"Csrf_Token": held["csrfToken"], "Cookie": f"TPOMADA_SESSIONID={held['sessionId']}", **changes}
    kind = headers.pop("response_type", "code")
    return ask(one, "POST", f"{AUTHORIZE}/code?{who(one)}&response_type={kind}", **headers)


def redeem(one, text):
    body = {"client_id": one.application.client_id, "client_secret": one.application.client_secret}
    return ask(one, "POST", f"{AUTHORIZE}/token?grant_type=authorization_code&code={text}", body)


def test_a_person_logs_in_gets_a_code_and_a_token_that_acts_as_them(one):
    given = redeem(one, code(one)["result"])
    one.token = given["result"]["accessToken"]
    assert one.code("POST", INTERFACES, interface()) == 0


def test_a_wrong_password_is_30109(one):
    assert session(one, {**RAJ, "password": "no"})["errorCode"] == -30109


@pytest.mark.parametrize(
    ("wrong", "number"),
    [({"response_type": "token"}, -44107), ({"Csrf_Token": "no"}, -44108), ({"Cookie": "TPOMADA_SESSIONID=no"}, -44109)],
    ids=str,
)
def test_what_is_wrong_about_a_code_request_has_its_own_number(one, wrong, number):
    assert code(one, **wrong)["errorCode"] == number


def test_a_code_is_good_for_two_minutes_and_once(one):
    text = code(one)["result"]
    assert redeem(one, text)["errorCode"] == 0
    assert redeem(one, text)["errorCode"] == -44110
    late = code(one)["result"]
    one.simulator.clock.advance(120)
    assert redeem(one, late)["errorCode"] == -44110


# ---------------------------------------------------------------------------------------------------------- the web page
class Page:
    """A browser at the web page."""

    def __init__(self, one, body=RAJ):
        self.one = one
        self.root = f"/{one.simulator.omadac_id}/api/v2"
        self.site = f"{self.root}/sites/{one.simulator.sites['site'].id}"
        one.raw("GET", "/api/info")
        one._wire.request("POST", f"{self.root}/login", json.dumps(body), {"Content-Type": "application/json"})
        reply = one._wire.getresponse()
        self.csrf = json.loads(reply.read())["result"]["token"]
        self.cookie = reply.getheader("Set-Cookie").partition(";")[0]

    def call(self, method, path, body=None):
        return ask(self.one, method, path, body, Cookie=self.cookie, Csrf_Token=self.csrf)


def test_the_web_page_has_the_same_objects_in_the_words_of_generation_1(one):
    page = Page(one)
    key = page.call("POST", f"{page.site}/setting/wireguard", interface())["result"]["id"]
    page.call("POST", f"{page.site}/setting/wireguard/peer", peer(key))
    assert page.call("GET", f"{page.site}/setting/wireguard?currentPage=1&currentPageSize=10")["result"]["data"] == one.rows(
        INTERFACES
    )
    assert page.call("GET", f"{page.site}/setting/wireguard/peer?currentPage=1&currentPageSize=10")["result"][
        "data"
    ] == one.rows(PEERS)


def test_only_the_web_page_knows_the_last_handshake(one):
    page = Page(one)
    key = one.result("POST", INTERFACES, interface())["id"]
    one.result("POST", PEERS, peer(key))
    (row,) = page.call("GET", f"{page.site}/insight/wireguard?currentPage=1&currentPageSize=10")["result"]["data"]
    assert row["lastHandshake"] == 0


def test_a_wrong_verb_at_the_web_page_is_1600(one):
    page = Page(one)
    assert page.call("PATCH", f"{page.site}/setting/wireguard", {})["errorCode"] == -1600


def test_a_lost_session_is_1200(one):
    page = Page(one)
    one.simulator.controller.people.log_out()
    assert page.call("GET", f"{page.site}/setting/capacity")["errorCode"] == -1200


def test_a_person_who_may_only_view_cannot_write_at_the_web_page(one):
    page = Page(one, {"username": "asha", "password": "battery"})
    assert page.call("POST", f"{page.site}/setting/wireguard", interface())["errorCode"] == -1005


def test_what_a_person_does_is_in_the_audit_log_as_web(one):
    page = Page(one)
    page.call("POST", f"{page.site}/setting/wireguard", interface())
    assert one.result("GET", "/audit-logs?page=1&pageSize=10")["data"][0]["resource"] == "WEB"


def test_a_session_of_the_web_page_is_44116_at_the_open_api_unless_the_controller_takes_it(controller, client):
    for taken, number in ((False, -44116), (True, 0)):
        strictness = Strictness(budget=None, web_sessions=taken)
        one = client(controller(users={"raj": ("correct horse", Application())}, strictness=strictness))
        assert Page(one).call("GET", one.path("/capacity"))["errorCode"] == number
