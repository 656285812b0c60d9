"""What ships beside the inventories is what the models say.

`PYTHONPATH=tests/inventory python tests/inventory/test_inventory_reference.py` writes it anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from inventory_drivers import WITH_CONTROLLERS as DRIVERS

from fleet.inventory import json_schema, key_reference, load
from fleet.inventory.schema import SECTIONS, JumpKeys, ManageKeys, OverlayKeys, RouterKeys, SharedKeys

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "inventory"
BEGIN, END = "<!-- keys: generated from fleet/inventory/schema.py, do not edit -->\n", "<!-- end of keys -->"
EXAMPLES = sorted(FOLDER.glob("example-*.yaml"))
ROUTER_KEYS = (
    "driver role groups host port via username password ssh_key api_key api_secret tls host_key endpoint pin_endpoint address "
    "lans hubs interface listen_port mtu persistent_keepalive public_key keys management_from manage enabled formerly labels "
    "options"
)
OVERLAY_KEYS = (
    "name interface ipv4 ipv6 topology links lan_supernets listen_port mtu persistent_keepalive preshared_keys secret_id"
)


def readme_as_it_should_be() -> str:
    text = (FOLDER / "README.md").read_text()
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n" + key_reference() + "\n" + text[text.index(END) :]


def schema_as_it_should_be() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def test_the_key_reference_in_the_readme_is_the_generated_one() -> None:
    assert (FOLDER / "README.md").read_text() == readme_as_it_should_be()


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert (FOLDER / "schema.json").read_text() == schema_as_it_should_be()


def test_routers_take_the_keys_of_the_design_and_no_others() -> None:
    assert set(RouterKeys.model_fields) == set(ROUTER_KEYS.split())


def test_the_overlay_takes_the_keys_of_the_design_and_no_others() -> None:
    assert set(OverlayKeys.model_fields) == set(OVERLAY_KEYS.split())


@pytest.mark.parametrize("model", [OverlayKeys, SharedKeys, RouterKeys, JumpKeys, ManageKeys], ids=lambda model: model.__name__)
def test_every_key_is_described_with_an_example(model: Any) -> None:
    for key, information in model.model_fields.items():
        assert information.description, key
        assert information.examples, key


def test_every_key_is_in_the_reference() -> None:
    for model in SECTIONS.values():
        for key in model.model_fields:
            assert f"| `{key}` |" in key_reference()


# ----------------------------------------------------------------------------------------------------- examples
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_without_a_warning(path: Path) -> None:
    assert load(path, DRIVERS).warnings == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_with_the_drivers_that_fleet_ships(path: Path) -> None:
    from fleet import plugins

    assert load(path, plugins.load({"FLEET_PLUGINS": ""}).drivers).routers


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_by_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(path.read_text()))


def test_there_are_five_examples_and_the_readme_names_each() -> None:
    named = re.findall(r"\((example-[a-z0-9-]+\.yaml)\)", (FOLDER / "README.md").read_text())
    assert sorted(named) == [path.name for path in EXAMPLES]
    assert len(EXAMPLES) == 5


def test_the_example_of_twenty_sites_has_twenty_and_uses_groups() -> None:
    fleet = load(FOLDER / "example-20-sites.yaml", DRIVERS)
    gear = {"director-laptop", "kiosk"}
    assert len(fleet.routers.keys() - gear) == 18
    assert fleet.routers["agra"].password == "cmd:pass fleet/north/agra"


def test_the_example_of_a_controller_has_fifty_sites_that_name_neither_host_nor_credentials() -> None:
    fleet = load(FOLDER / "example-omada.yaml", DRIVERS)
    shops = [router for router in fleet.routers.values() if router.driver == "omada"]
    assert len(shops) == 50
    assert {(shop.hosts, shop.api_key) for shop in shops} == {(("omada.example.com",), "env:OMADA_CLIENT_ID")}
    assert fleet.routers["goa"].options == {"site": "Goa, Panaji"}


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("wrong", [
    {"routers": {"a": {"adress": "10.0.0.1"}}},
    {"routers": {"Bad Name": {}}},
    {"overlay": {"topology": "star"}},
    {"routers": {"a": {"port": 70000}}},
    {"routers": {"a": {"password": "hunter2"}}},
    {"router": {}},
    {"groups": {"g": {"address": "10.0.0.1"}}},
])  # fmt: skip
def test_an_editor_marks_what_fleet_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(wrong)


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(readme_as_it_should_be())
    (FOLDER / "schema.json").write_text(schema_as_it_should_be())
