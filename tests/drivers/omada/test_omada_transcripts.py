"""Replies in the shapes that were captured, or that the sheet gives: read, and written back with nothing lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fleet.changes import SetPeer
from fleet.driver import Observed, RouterPlan
from fleet.drivers.omada import OmadaDriver, OmadaOptions
from fleet.link import Http, Link, Reply, Request, Target
from fleet.model import Endpoint, Mark, PublicKey, Secret

FIXTURES = Path(__file__).parents[2] / "fixtures" / "omada"
FOREIGN = PublicKey("gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=")
OURS = PublicKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
TARGET = Target("goa", "acme", ("wg0",), OmadaOptions())
EACH = pytest.mark.parametrize("name", ["read_v1", "read_v2"])


@dataclass
class Replayed(Link):
    """Answers by path; what nobody captured is no path of this controller."""

    name: str

    @property
    def target(self) -> Target:
        return TARGET

    def send(self, request: Request) -> Reply:
        assert isinstance(request, Http)
        replies = json.loads((FIXTURES / f"{self.name}.json").read_text())["replies"]
        said = {one["path"]: one["reply"] for one in replies}.get(request.path, {"errorCode": -1600, "msg": "Unsupported."})
        reply = Reply(text=json.dumps(said), code=200, data=said)
        OmadaDriver().check(request, reply)
        return reply

    def send_all(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.send(request) for request in requests]


def read(name: str) -> Observed:
    return OmadaDriver().observe(Replayed(name))


@EACH
def test_both_generations_mean_the_same(name):
    held = read(name).stored["wg0"]
    assert (held.listen_port, held.mtu, held.public_key) == (51820, 1420, FOREIGN)
    assert held.peers[FOREIGN].endpoint == Endpoint("203.0.113.5", 51820)
    assert held.peers[FOREIGN].preshared_key is None
    assert held.peers[OURS].mark == Mark("acme", "b")
    assert held.peers[OURS].endpoint is None


@EACH
def test_statistics_of_a_peer_are_joined_by_its_name(name):
    live = read(name).live["wg0"]
    assert list(live) == [OURS]
    assert (live[OURS].connected, live[OURS].received, live[OURS].sent) == (True, 184940, 114404)
    assert live[OURS].endpoint == Endpoint("192.0.2.2", 49384)


@EACH
def test_the_gateway_is_told_from_other_devices(name):
    seen = read(name)
    assert (seen.model, seen.version, seen.settled) == ("ER707-M2", "1.2.3", True)
    assert seen.limits.endpoint_names


def _write(name: str) -> Http:
    seen = read(name)
    old = seen.stored["wg0"].peers[OURS]
    change = SetPeer(interface="wg0", old=old, wanted=replace(old, persistent_keepalive=25))
    script = OmadaDriver().render(RouterPlan(TARGET, "p", ((change,),), seen.stored), seen)
    (step,) = [step for step in script.steps if step.covers]
    (request,) = step.requests
    assert isinstance(request, Http)
    return request


def test_a_peer_of_v1_is_written_back_with_its_nulls_and_without_what_the_controller_tells():
    request = _write("read_v1")
    assert (request.method, request.path[-len("0123456789abcdef0123456a") :]) == ("PUT", "0123456789abcdef0123456a")
    assert request.body == {
        "name": "b",
        "status": True,
        "interfaceId": "0123456789abcdef01234568",
        "publicKey": OURS,
        "endPoint": None,
        "endPointPort": None,
        "allowAddress": ["10.0.0.3/32"],
        "presharedKey": None,
        "keepAlive": 25,
        "comment": "fleet:acme:b",
    }


def test_a_tunnel_of_v2_is_written_back_whole():
    request = _write("read_v2")
    assert request.method == "PATCH"
    body = request.body
    assert isinstance(body, dict)
    (detail,) = [one["reply"]["result"] for one in _replies("read_v2") if one["path"].endswith("0123456789abcdef01234568")]
    told = {"id", "siteVpnType", "publicKey"}
    assert {name: value for name, value in body.items() if name not in ("peers", "privateKey")} == {
        name: value for name, value in detail.items() if name not in told | {"peers", "privateKey"}
    }
    assert body["privateKey"] == Secret(detail["privateKey"])
    stranger, ours = body["peers"]
    assert stranger == {name: value for name, value in detail["peers"][0].items() if value != ""} | {"comment": ""}
    assert ours == {**detail["peers"][1], "keepAlive": 25}


def _replies(name: str) -> list[dict[str, object]]:
    return list(json.loads((FIXTURES / f"{name}.json").read_text())["replies"])


def test_a_tunnel_that_the_controller_made_is_seen_and_not_read_further():
    seen = read("read_v2").stored["to-pune"]
    assert (seen.mark, dict(seen.peers)) == (None, {})
