"""How one gets in, and what one is told (sheet 1)."""

from __future__ import annotations

import http.client
import json
import ssl
import time

import pytest
from omada_client import interface

from fleet.testing.omada import VIEWER, Application, Site, Strictness, self_signed

TOKEN = "/openapi/authorize/token"


# --------------------------------------------------------------------------------------------------- 1.1 where it lives
def test_the_controller_tells_its_id_and_version_to_anybody(client):
    one = client(version="6.0")
    info = json.loads(one.raw("GET", "/api/info")[1])
    assert info["errorCode"] == 0
    assert info["result"]["omadacId"] == one.simulator.omadac_id
    assert info["result"]["controllerVer"] == "6.0.0.36"
    assert info["result"]["apiVer"] == "3"


def test_every_controller_has_a_certificate_of_its_own(controller):
    assert controller().certificate.fingerprint != controller().certificate.fingerprint


def test_a_changed_certificate_is_seen_by_the_next_connection(client):
    simulator = client().simulator
    before = simulator.certificate
    simulator.present(self_signed("omada", expired=True))
    context = ssl.create_default_context(cadata=before.certificate_pem)
    wire = http.client.HTTPSConnection(simulator.host, simulator.port, context=context, timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.request("GET", "/api/info")
    wire.close()


# ---------------------------------------------------------------------------------------------------------- 1.3, tokens
def test_client_credentials_give_a_token_for_two_hours(client):
    given = client().login()
    assert given["accessToken"].startswith("AT-")
    assert given["refreshToken"].startswith("RT-")
    assert (given["tokenType"], given["expiresIn"]) == ("bearer", 7200)


def test_release_6_0_gives_no_refresh_token(client):
    assert "refreshToken" not in client(version="6.0").login()


def test_a_wrong_secret_is_44106(client):
    one = client()
    body = {"omadacId": one.simulator.omadac_id, "client_id": one.application.client_id, "client_secret": "no"}
    assert json.loads(one.raw("POST", f"{TOKEN}?grant_type=client_credentials", body)[1])["errorCode"] == -44106


def test_another_grant_type_is_44111(client):
    assert json.loads(client().raw("POST", f"{TOKEN}?grant_type=password", {})[1])["errorCode"] == -44111


def test_the_credentials_may_also_stand_in_the_query(client):
    one = client()
    who = f"omadacId={one.simulator.omadac_id}&client_id={one.application.client_id}"
    path = f"{TOKEN}?grant_type=client_credentials&{who}&client_secret={one.application.client_secret}"
    assert json.loads(one.raw("POST", path)[1])["errorCode"] == 0


def test_a_missing_header_and_a_wrong_token_are_44113_with_http_200(client):
    one = client()
    path = one.path("/capacity")
    assert one.raw("GET", path)[0] == 200
    assert json.loads(one.raw("GET", path)[1])["errorCode"] == -44113
    assert json.loads(one.raw("GET", path, Authorization="AccessToken=AT-0")[1])["errorCode"] == -44113


def test_bearer_is_not_how_the_token_is_sent(client):
    one = client()
    assert json.loads(one.raw("GET", one.path("/capacity"), Authorization=f"Bearer {one.token}")[1])["errorCode"] == -44113


def test_a_token_older_than_two_hours_is_44112(client):
    one = client()
    one.simulator.clock.advance(7199)
    assert one.code("GET", "/capacity") == 0
    one.simulator.clock.advance(1)
    assert one.code("GET", "/capacity") == -44112


def test_a_revoked_token_is_44113(client):
    one = client()
    one.simulator.controller.tokens.revoke()
    assert one.code("GET", "/capacity") == -44113


def test_a_second_login_ends_the_first_token_unless_tokens_coexist(client):
    for coexist, code in ((False, -44113), (True, 0)):
        first = client(tokens_coexist=coexist)
        client(first.simulator)
        assert first.code("GET", "/capacity") == code


# --------------------------------------------------------------------------------------------------------- 1.4, refresh
def refresh(one, token, body=None):
    who = f"client_id={one.application.client_id}&client_secret={one.application.client_secret}"
    query = f"&refresh_token={token}" + ("" if body else f"&{who}")
    return json.loads(one.raw("POST", f"{TOKEN}?grant_type=refresh_token{query}", body)[1])


def test_a_refresh_token_is_good_once(client):
    one = client()
    token = one.login()["refreshToken"]
    again = refresh(one, token)
    assert again["result"]["refreshToken"] != token
    assert refresh(one, token)["errorCode"] == -44114


def test_a_refresh_with_the_credentials_in_the_body_is_taken_too(client):
    one = client()
    who = {"client_id": one.application.client_id, "client_secret": one.application.client_secret}
    assert refresh(one, one.login()["refreshToken"], who)["errorCode"] == 0


def test_a_refresh_token_ends_after_14_days(client):
    one = client()
    token = one.login()["refreshToken"]
    one.simulator.clock.advance(14 * 86400)
    assert refresh(one, token)["errorCode"] == -44114


# ------------------------------------------------------------------------------------------------- 1.2, 1.7: who may what
def test_an_application_that_may_view_reads_and_cannot_write(controller, client):
    viewer = Application(rights=VIEWER)
    one = client(controller(applications=[viewer]), application=viewer)
    assert one.code("GET", "/vpn/wireguards?page=1&pageSize=10") == 0
    assert one.code("POST", "/vpn/wireguards", {}) == -1005


def test_one_of_the_alternative_rights_suffices(controller, client):
    page = Application(rights=frozenset({"Network Config Page Modify"}))
    one = client(controller(applications=[page]), application=page)
    assert one.code("POST", "/vpn/wireguards", {}) == -1001
    assert one.code("GET", "/devices?page=1&pageSize=10") == -1005


def test_a_site_that_the_application_was_not_given_is_1505_and_not_listed(controller, client):
    mine, other = Site("mine"), Site("other")
    app = Application(sites=frozenset({mine.id}))
    one = client(controller(sites=[mine, other], applications=[app]), application=app)
    assert one.code("GET", "/capacity", site="other") == -1505
    listed = one.call("GET", f"/openapi/v1/{one.simulator.omadac_id}/sites?page=1&pageSize=10")[1]["result"]["data"]
    assert [row["name"] for row in listed] == ["mine"]


def test_an_unknown_site_is_33000_and_an_unknown_controller_7131(client):
    one = client()
    assert one.call("GET", f"/openapi/v1/{one.simulator.omadac_id}/sites/{'0' * 24}/capacity")[1]["errorCode"] == -33000
    assert one.call("GET", f"/openapi/v1/{'0' * 32}/sites/{'0' * 24}/capacity")[1]["errorCode"] == -7131


def test_a_busy_site_is_33004(client):
    one = client()
    one.simulator.sites["site"].busy = True
    assert one.code("GET", "/capacity") == -33004


# ------------------------------------------------------------------------------------------- 1.7, envelope, paging, limits
def test_a_refusal_comes_with_http_200_and_json(client):
    one = client()
    status, reply = one.call("POST", one.path("/vpn/wireguards"), {})
    assert status == 200
    assert set(reply) == {"errorCode", "msg"}


def test_an_unknown_path_is_1600(client):
    assert client().code("GET", "/vpn/wireguard") == -1600


def test_a_wrong_verb_is_http_405(client):
    one = client()
    assert one.call("PUT", one.path("/vpn/wireguards"), {})[0] == 405


@pytest.mark.parametrize("query", ["", "?page=1", "?page=0&pageSize=10", "?page=1&pageSize=1001", "?page=x&pageSize=10"])
def test_a_list_needs_page_and_page_size(client, query):
    assert client().code("GET", f"/vpn/wireguards{query}") == -1001


def test_lists_come_in_pages_with_the_total(client):
    one = client()
    for number in range(5):
        one.result("POST", "/vpn/wireguards", interface(name=f"wg{number}", listenPort=51820 + number))
    page = one.result("GET", "/vpn/wireguards?page=2&pageSize=2")
    assert [row["name"] for row in page["data"]] == ["wg2", "wg3"]
    assert (page["totalRows"], page["currentPage"], page["currentSize"]) == (5, 2, 2)
    assert one.result("GET", "/vpn/wireguards?page=9&pageSize=2")["data"] == []


def test_a_body_that_is_no_json_object_is_1001(client):
    one = client()
    assert one.code("POST", "/vpn/wireguards", [1]) == -1001
    headers = {"Authorization": f"AccessToken={one.token}", "Content_Type": "text/plain"}
    assert json.loads(one.raw("POST", one.path("/vpn/wireguards"), {}, **headers)[1])["errorCode"] == -1001


def test_a_body_over_a_megabyte_is_http_413(client):
    one = client()
    assert one.raw("POST", one.path("/vpn/wireguards"), {"name": "x" * 1_000_001})[0] == 413


@pytest.mark.parametrize(("form", "status"), [("429", 429), ("-7132", 200)])
def test_the_eleventh_request_within_a_second_is_refused(controller, client, form, status):
    strictness = Strictness(budget=10, too_fast=form)
    one = client(controller(strictness=strictness, rate_clock=lambda: 0.0))  # the login was the first
    seen = [one.call("GET", one.path("/capacity")) for _ in range(10)]
    assert [reply["errorCode"] for _, reply in seen] == [0] * 9 + [-7132]
    assert seen[-1][0] == status


def test_the_budget_is_one_for_all_sites(controller, client):
    one = client(controller(sites=["a", "b"], strictness=Strictness(budget=3), rate_clock=lambda: 0.0))
    assert one.code("GET", "/capacity", site="a") == 0
    assert one.code("GET", "/capacity", site="b") == 0
    assert one.call("GET", one.path("/capacity", "b"))[0] == 429


def test_after_a_second_the_budget_is_there_again(controller, client):
    now = [100.0]
    one = client(controller(strictness=Strictness(budget=2), rate_clock=lambda: now[0]))
    assert one.call("GET", one.path("/capacity"))[0] == 200
    assert one.call("GET", one.path("/capacity"))[0] == 429
    now[0] += 1.0
    assert one.call("GET", one.path("/capacity"))[0] == 200


def test_hundreds_of_requests_a_second_for_50_sites(controller, client):
    one = client(controller(sites=[f"site-{number}" for number in range(50)]))
    began = time.monotonic()
    for number in range(50):
        for rest in ("/devices", "/vpn/wireguards", "/vpn/wireguard-peers", "/vpn/wireguards"):
            one.rows(rest, site=f"site-{number}")
    assert time.monotonic() - began < 5  # 200 requests; takes about 0.2 s
    assert one.simulator.connections == 1
