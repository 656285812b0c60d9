"""Every `--json` is what its schema file says, in every state of a fleet, and every schema is strict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from simulated import Result, SimulatedFleet, three_sites

SCHEMAS: dict[str, Any] = {
    entry.name.removesuffix(".json"): json.loads(entry.read_text())
    for entry in files("fleet").joinpath("schemas").iterdir()
    if entry.name.endswith(".json")
}

COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "check-login": ("check", "--login"),
    "check-explain": ("check", "--explain", "hq"),
    "plan": ("plan", "--native"),
    "plan-offline": ("plan", "--offline"),
    "sync": ("sync", "--yes"),
    "status": ("status", "--deep"),
    "show": ("show", "hq"),
    "trust": ("trust", "pune"),
    "history": ("history",),
    "drivers": ("drivers",),
}


@pytest.fixture(scope="module", params=["blank", "in sync", "in trouble"])
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedFleet]:
    """A fleet before its first sync, one in sync, and one with something of everything."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("fleet.sync.ALIVE_WITHIN", 0.1)
    net = three_sites(tmp_path_factory.mktemp("schemas"), ipv6="fd10:100::/64")
    if request.param != "blank":
        assert net.sync().code == 0
    if request.param == "in trouble":
        _trouble(net)
    yield net
    net.close()
    monkeypatch.undo()


def _trouble(net: SimulatedFleet) -> None:
    net.add("surat", 60)
    net["surat"].set_offline()
    net.routers["kiosk"] = {"driver": "manual", "lans": ["192.168.70.0/24"]}
    net.routers["mumbai"]["enabled"] = False
    net["pune"].change("/interface/wireguard", "wg0", private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
    net["hq"].insert("/interface/wireguard", name="vendor", listen_port=13231)
    net["hq"].insert(
        "/interface/wireguard/peers",
        interface="wg0",
        public_key="GZ1ApjXIfnWr5rVLNKpWV5lFKJyNGbMjL1WiFeDZqSI=",
        allowed_address="172.31.0.7/32",
    )


def valid(found: Result, name: str) -> None:
    jsonschema.validate(found.json, SCHEMAS[name], cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_json_prints_is_what_its_schema_says(net, name):
    valid(net.run(*COMMANDS[name], "--json"), name)


def test_the_steps_of_a_run_are_what_their_schema_says(net):
    done = net.sync("--json")
    valid(done, "sync")
    valid(net.run("history", done.json["run"], "--json"), "history-run")


def test_every_command_with_json_has_a_schema_and_every_schema_a_command():
    assert set(SCHEMAS) == {*COMMANDS, "history-run"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_names_every_key(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    loose = [place for place, part in _objects(SCHEMAS[name], name) if "additionalProperties" not in part]
    assert loose == []
    optional = [
        place
        for place, part in _objects(SCHEMAS[name], name)
        if set(part.get("properties", ())) != set(part.get("required", ()))
    ]
    assert optional == [], "a key that is sometimes there is a key that pipelines forget"


def _objects(part: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield place, part
        for key, value in part.items():
            yield from _objects(value, f"{place}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _objects(value, f"{place}.{number}")


def test_json_of_a_command_that_could_not_begin_is_nothing_at_all(tmp_path):
    net = SimulatedFleet(Path(tmp_path))
    done = net.run("plan", "--json")
    assert done.code == 3
    assert done.out == ""
