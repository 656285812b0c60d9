"""What goes wrong on the way to a controller, and what it does besides WireGuard (sheet 6, 8, 10)."""

from __future__ import annotations

import http.client
import threading

import pytest
from omada_client import interface, peer, s2s, until

from fleet.testing.omada import Application, Site

INTERFACES, PEERS = "/vpn/wireguards", "/vpn/wireguard-peers"
LOST = (ConnectionError, http.client.HTTPException, OSError)


# ---------------------------------------------------------------------------------------------------------------- faults
def test_a_request_dropped_before_is_not_done(client):
    one = client()
    one.simulator.fault(1, "drop_before")
    with pytest.raises(LOST):
        one.code("POST", INTERFACES, interface())
    assert one.simulator.sites["site"].tunnels == ()


@pytest.mark.parametrize("kind", ["drop_after", "half"])
def test_a_reply_that_is_lost_leaves_the_work_done(client, kind):
    one = client()
    one.simulator.fault("POST /vpn/wireguards", kind)
    with pytest.raises(LOST):
        one.code("POST", INTERFACES, interface())
    assert len(one.simulator.sites["site"].tunnels) == 1


def test_a_stalled_reply_never_comes(client):
    one = client()
    one.simulator.fault(1, "stall")
    one._wire.timeout = 0.2
    one._wire.close()
    with pytest.raises(TimeoutError):
        one.code("POST", INTERFACES, interface())
    assert len(one.simulator.sites["site"].tunnels) == 1


def test_http_500_at_the_third_request(client):
    one = client()
    one.simulator.fault(3, "500")
    assert [one.raw("GET", "/api/info")[0] for _ in range(4)] == [200, 200, 500, 200]


def test_a_login_page_instead_of_json(client):
    one = client()
    one.simulator.fault(1, "html")
    status, text = one.raw("GET", "/api/info")
    assert status == 200
    assert text.startswith(b"<!DOCTYPE html>")


def test_any_code_can_be_refused_at_any_request(client):
    one = client()
    one.simulator.fault("DELETE /vpn/wireguards/1", "refuse", code=-33004)
    assert one.code("GET", "/capacity") == 0
    assert one.code("DELETE", f"{INTERFACES}/1") == -33004
    assert one.code("DELETE", f"{INTERFACES}/1") == 0


def test_a_token_ends_or_is_revoked_in_the_middle(client):
    for kind, code in (("expire_token", -44112), ("revoke_token", -44113)):
        one = client()
        one.simulator.fault(2, kind)
        assert [one.code("GET", "/capacity") for _ in range(2)] == [0, code]


def test_a_create_may_answer_minus_1_and_have_worked(client):
    one = client()
    one.simulator.fault(1, "lost_reply")
    assert one.code("POST", INTERFACES, interface()) == -1
    assert len(one.rows(INTERFACES)) == 1


def test_a_put_may_be_accepted_with_its_endpoint_dropped(client):
    one = client()
    body = peer(one.result("POST", INTERFACES, interface())["id"], endPoint="192.0.2.1", endPointPort=51820)
    one.simulator.fault(1, "drop_endpoint")
    one.result("POST", PEERS, body)
    assert "endPoint" not in one.rows(PEERS)[0]


def test_a_controller_that_is_off_refuses_connections_and_is_back_on_its_port(client):
    one = client()
    one.simulator.set_offline()
    with pytest.raises(LOST):
        one.raw("GET", "/api/info")
    one.close()
    one.simulator.set_offline(False)
    assert one.raw("GET", "/api/info")[0] == 200


def test_two_writes_of_a_kind_at_once_at_one_site_are_too_many(controller, client):
    simulator = controller(sites=["a", "b"], applications=[Application()])
    one, other = client(simulator), client(simulator, application=simulator.controller.applications[1])
    simulator.latency = 0.3
    seen = []
    slow = threading.Thread(target=lambda: seen.append(one.code("POST", INTERFACES, interface(), site="a")))
    slow.start()
    until(lambda: bool(simulator.controller._writing))
    assert other.call("POST", other.path(INTERFACES, "a"), interface(name="wg1", listenPort=1))[0] == 429
    assert other.code("POST", INTERFACES, interface(), site="b") == 0
    slow.join()
    assert seen == [0]


# ----------------------------------------------------------------------------------------------------------------- batch
def action(one, method, rest, body=None):
    return {"method": method, "path": one.path(rest), "body": body or {}}


def batch(one, *actions, **beside):
    path = f"/openapi/v1/{one.simulator.omadac_id}/batch"
    return one.call("POST", path, {"actions": list(actions), **beside})[1]


def codes(reply):
    return [one["errorCode"] for one in reply["result"]["response"]]


def test_a_batch_answers_every_action_in_order(client):
    one = client()
    reply = batch(one, action(one, "POST", INTERFACES, interface()), action(one, "DELETE", f"{PEERS}/0"))
    assert codes(reply) == [0, 0]
    assert reply["result"]["response"][0]["result"]["id"] == one.rows(INTERFACES)[0]["id"]


def test_a_refusal_interrupts_the_rest_and_leaves_what_was_done(client):
    one = client()
    actions = [
        action(one, "POST", INTERFACES, interface(name=name, listenPort=port)) for name, port in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert codes(batch(one, *actions)) == [0, -43204, -1619]
    assert [row["name"] for row in one.rows(INTERFACES)] == ["a"]


def test_a_batch_that_is_not_to_be_interrupted_goes_on(client):
    one = client()
    actions = [
        action(one, "POST", INTERFACES, interface(name=name, listenPort=port)) for name, port in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert codes(batch(one, *actions, interrupt=False)) == [0, -43204, 0]


@pytest.mark.parametrize("wrong", ["none", "too many", "get", "text"])
def test_a_batch_takes_1_to_20_writes_with_objects(client, wrong):
    one = client()
    delete = action(one, "DELETE", f"{PEERS}/0")
    actions = {
        "none": [],
        "too many": [delete] * 21,
        "get": [action(one, "GET", "/capacity")],
        "text": [{**delete, "body": '{"a":1}'}],
    }[wrong]
    assert batch(one, *actions)["errorCode"] == -1001


def test_rights_and_sites_hold_inside_a_batch(controller, client):
    mine = Site("mine")
    app = Application(sites=frozenset({mine.id}))
    one = client(controller(sites=[mine, "other"], applications=[app]), application=app)
    path = one.path(INTERFACES, "other")
    assert codes(batch(one, {"method": "POST", "path": path, "body": interface()})) == [-1505]


# ------------------------------------------------------------------------------------------------- backup, restore, audit
def test_a_restore_brings_a_site_back_and_voids_the_token(client):
    one = client()
    site = one.simulator.sites["site"]
    one.result("POST", INTERFACES, interface())
    maintenance = f"/openapi/v1/{one.simulator.omadac_id}/sites/maintenance"
    assert one.call("POST", f"{maintenance}/multi-backup/self-server", {"siteIds": [site.id]})[1]["errorCode"] == 0
    assert one.result("GET", "/backup/result") == {"status": 0}
    (file,) = one.result("GET", "/maintenance/backup/files")["fileList"]
    one.result("DELETE", f"{INTERFACES}/{one.rows(INTERFACES)[0]['id']}")
    infos = {"siteRestoreInfos": [{"siteId": site.id, "fileName": file["fileName"]}]}
    assert one.call("POST", f"{maintenance}/multi-restore/self-server", infos)[1]["errorCode"] == 0
    assert one.code("GET", "/maintenance/restore/result") == -44113
    one.login()
    assert [row["name"] for row in one.rows(INTERFACES)] == ["wg0"]


def test_a_site_is_busy_while_it_is_backed_up_and_so_is_the_controller(controller, client):
    one = client(controller(sites=["a", "b"]))
    one.simulator.controller.maintenance_seconds = 30.0
    path = f"/openapi/v1/{one.simulator.omadac_id}/sites/maintenance/multi-backup/self-server"
    first, second = ({"siteIds": [one.simulator.sites[name].id]} for name in ("a", "b"))
    assert one.call("POST", path, first)[1]["errorCode"] == 0
    assert one.call("POST", path, second)[1]["errorCode"] == -30028
    assert one.result("GET", "/backup/result", site="a") == {"status": 1}
    assert one.code("POST", INTERFACES, interface(), site="a") == -33004
    assert one.code("POST", INTERFACES, interface(), site="b") == 0
    one.simulator.clock.advance(30)
    assert one.code("POST", INTERFACES, interface(), site="a") == 0


def test_results_of_backups_may_come_without_envelope(client):
    one = client(bare_results=True)
    assert one.call("GET", one.path("/backup/result"))[1] == {"status": 0}


def test_the_audit_log_has_a_row_for_each_write_and_no_secret(client):
    one = client()
    body = interface()
    one.result("POST", INTERFACES, body)
    one.rows(INTERFACES)
    (row,) = one.result("GET", "/audit-logs?page=1&pageSize=10")["data"]
    assert (row["resource"], row["result"]) == ("Open API", "Succeed")
    assert body["privateKey"] not in str(row)
    assert one.code("GET", "/audit-logs?page=1&pageSize=11") == -1001


def test_writes_are_counted_and_reads_are_not(client):
    one = client()
    one.result("POST", INTERFACES, interface())
    one.rows(INTERFACES)
    one.code("POST", INTERFACES, interface())
    assert (one.simulator.counters.writes, one.simulator.counters.reads, one.simulator.counters.refused) == (1, 1, 1)
    assert one.simulator.counters.logins == 1


def test_a_lost_v2_create_is_found_by_its_name(client):
    one = client()
    one.simulator.fault(1, "drop_after")
    with pytest.raises(LOST):
        one.code("POST", "/vpn/site-to-site-vpns", s2s(), version=2)
    assert [row["name"] for row in one.rows("/vpn/site-to-site-vpns", version=2)] == ["wg0"]
