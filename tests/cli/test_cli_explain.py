"""`check --explain ROUTER`: every value of one router, the level it comes from, and the line to edit."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from simulated import Result, SimulatedFleet, fleet_command

INVENTORY = """\
overlay: {name: acme, ipv4: 10.100.0.0/24, ipv6: "fd10:100::/64", mtu: 1410}
defaults: {username: fleet, labels: {country: india}}
groups:
  branches: {driver: mikrotik, via: hq, password: "cmd:pass fleet/{name}", labels: {tier: "2"}, manage: {mss: false}}
routers:
  hq:
    driver: wg-quick
    role: hub
    host: 198.51.100.10
    endpoint: "vpn.example.com:51820"
    address: 10.100.0.1
    options: {sudo: true}
  pune:
    groups: [branches]
    username: own
    via: null
    lans: [192.168.30.0/24, 192.168.31.0/24]
    keys: {max_age: 90d}
    tls: {ca: ca.pem}
  kiosk: {driver: manual}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(INVENTORY)
    return path


def explained(file: Path, router: str, *more: str) -> Result:
    return fleet_command("-i", str(file), "check", "--explain", router, *more)


def rows(file: Path, router: str) -> dict[str, tuple[Any, str, int | None]]:
    """Value, level and line by key."""
    found = explained(file, router, "--json")
    assert found.code == 0
    return {row["key"]: (row["value"], row["level"], row["line"]) for row in found.json["keys"]}


@pytest.mark.parametrize(
    ("key", "value", "level", "line"),
    [
        ("username", "own", "router", 15),
        ("driver", "mikrotik", "group branches", 4),
        ("labels.country", "india", "defaults", 2),
        ("labels.tier", "2", "group branches", 4),
        ("mtu", 1410, "overlay", 1),
        ("listen_port", 51820, "built in", None),
        ("port", 8729, "built in", None),
        ("hubs", ["hq"], "built in", None),
        ("enabled", True, "built in", None),
        ("lans", ["192.168.30.0/24", "192.168.31.0/24"], "router", 17),
        ("keys", {"max_age": "90d"}, "router", 18),
        ("tls", {"ca": "ca.pem"}, "router", 19),
        ("address", ["10.100.0.2", "fd10:100::2"], "allocated", None),
    ],
)
def test_a_value_is_told_with_its_level_and_line(file, key, value, level, line):
    assert rows(file, "pune")[key] == (value, level, line)


def test_what_a_router_is_managed_for_is_the_effective_list(file):
    value, level, _ = rows(file, "pune")["manage"]
    assert "mss" not in value
    assert "routes" in value
    assert level == "group branches"


def test_a_secret_is_shown_as_its_reference_for_this_router(file):
    assert rows(file, "pune")["password"] == ("cmd:pass fleet/pune", "group branches", 4)


def test_a_null_that_hides_what_a_group_gives_is_shown_with_its_line(file):
    assert rows(file, "pune")["via"] == ([], "router", 16)
    (line,) = [line for line in explained(file, "pune").out.splitlines() if line.startswith("via ")]
    assert line.split() == ["via", "none", "router", f"{file}:16"]


def test_an_address_given_for_one_family_is_told_apart_from_the_one_allocated(file):
    found = [row for row in explained(file, "hq", "--json").json["keys"] if row["key"] == "address"]
    assert [(row["value"], row["level"], row["line"]) for row in found] == [
        (["10.100.0.1"], "router", 11),
        (["fd10:100::1"], "allocated", None),
    ]


def test_options_of_the_driver_are_told_with_those_it_has_by_itself(file, tmp_path):
    assert rows(file, "hq")["options.sudo"] == (True, "router", 12)
    file.write_text(INVENTORY.replace("    options: {sudo: true}\n", ""))
    assert rows(file, "hq")["options.sudo"] == (False, "built in", None)


def test_what_nobody_gives_and_nothing_follows_from_is_left_out(file):
    assert {"endpoint", "host_key", "ssh_key", "api_key", "public_key", "formerly"} & rows(file, "pune").keys() == set()


def test_gear_that_is_never_logged_in_to_has_no_host_and_no_port(file):
    assert {"host", "port"} & rows(file, "kiosk").keys() == set()


def test_the_table_has_one_line_a_key_with_file_and_line(file):
    shown = explained(file, "pune")
    assert shown.code == 0
    header, *lines = shown.out.splitlines()
    assert header.split() == ["key", "value", "from", "where"]
    assert len({line.split()[0] for line in lines}) == len(lines)
    (username,) = [line for line in lines if line.startswith("username")]
    assert username.split() == ["username", "own", "router", f"{file}:15"]


def test_in_a_directory_the_file_is_the_one_that_says_it(tmp_path):
    (tmp_path / "a.yaml").write_text("overlay: {name: acme, ipv4: 10.100.0.0/24}\ndefaults: {mtu: 1400}\n")
    (tmp_path / "b.yaml").write_text(
        'routers:\n  hq: {driver: wg-quick, role: hub, host: 192.0.2.1, endpoint: "192.0.2.1:51820"}\n'
    )
    found = {row["key"]: (row["file"], row["line"]) for row in explained(tmp_path, "hq", "--json").json["keys"]}
    assert found["mtu"] == (str(tmp_path / "a.yaml"), 2)
    assert found["role"] == (str(tmp_path / "b.yaml"), 2)


def test_a_value_that_was_pinned_is_told_as_it_is_kept(synced: SimulatedFleet):
    kept = synced.state().facts("acme")["pune"].addresses
    found = {row["key"]: row["value"] for row in synced.run("check", "--explain", "pune", "--json").json["keys"]}
    assert found["address"] == [str(address) for address in kept]


def test_nobody_is_contacted_and_nothing_is_written(synced: SimulatedFleet):
    before = synced.listing()
    assert synced.run("check", "--explain", "pune").code == 0
    assert {simulator.counters.connections for simulator in synced.simulators.values()} == {0}
    assert {name: size for name, (size, _) in synced.listing().items()} == {name: size for name, (size, _) in before.items()}


def test_json_is_what_its_schema_says_for_every_router(file):
    schema = json.loads(files("fleet").joinpath("schemas/check-explain.json").read_text())
    for router in ("hq", "pune", "kiosk"):
        jsonschema.validate(explained(file, router, "--json").json, schema, cls=jsonschema.Draft202012Validator)


def test_an_unknown_router_is_a_usage_error_with_the_nearest_name(file):
    done = explained(file, "pume")
    assert done.code == 3
    assert "no router 'pume' in the inventory" in done.err
    assert "did you mean pune?" in done.err


@pytest.mark.parametrize("other", ["--table", "--login"])
def test_it_is_a_page_of_its_own(file, other):
    done = explained(file, "pune", other)
    assert done.code == 3
    assert "--explain" in done.err


def test_an_inventory_with_problems_shows_them_first(file):
    file.write_text(INVENTORY.replace("role: hub", "role: hup"))
    done = explained(file, "pune")
    assert done.code == 3
    assert "did you mean hub?" in done.err
