"""Plugins are loaded one by one: a broken one is reported and breaks nothing but what needs it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from simulated import SimulatedFleet, three_sites

from fleet import plugins
from fleet.errors import PluginError

GOOD = """
from fleet import Driver, Limits, Observed, Script, hookimpl

class AcmeDriver(Driver):
    name = "acmeos"
    transport = "ssh"
    def observe(self, link): return Observed({})
    def render(self, plan, observed): return Script(())

@hookimpl
def fleet_drivers(): return [AcmeDriver]
"""
BROKEN = {
    "does not import": "import a_library_that_nobody_has\n",
    "raises": "raise RuntimeError('boom')\n",
    "exits": "raise SystemExit(3)\n",
    "misspells a hook": "from fleet import hookimpl\n@hookimpl\ndef fleet_divers(): return []\n",
    "returns nonsense": "from fleet import hookimpl\n@hookimpl\ndef fleet_drivers(): return [42]\n",
    "raises in its hook": "from fleet import hookimpl\n@hookimpl\ndef fleet_drivers(): raise KeyError('x')\n",
    "is for another contract": GOOD.replace('name = "acmeos"', 'name = "acmeos"\n    contract = 99'),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pretend that modules with these sources are installed as plugins of these names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    points: list[EntryPoint] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "fleet" else [])
    made: list[str] = []

    def one(name: str, source: str) -> None:
        module = f"fleet_plugin_{name}"
        (tmp_path / f"{module}.py").write_text(source)
        points.append(EntryPoint(name, module, "fleet"))
        made.append(module)

    yield one
    for module in made:
        sys.modules.pop(module, None)


def test_a_driver_of_a_plugin_is_there_beside_the_built_in_ones(install):
    install("acme", GOOD)
    registry = plugins.load({})
    assert {"mikrotik", "wg-quick", "manual", "acmeos"} <= set(registry.drivers)
    assert registry.origins["acmeos"] == "acme (fleet_plugin_acme)"
    assert registry.broken == {}


@pytest.mark.parametrize("how", BROKEN)
def test_a_plugin_that_is_broken_is_reported_and_the_others_load(install, how):
    install("bad", BROKEN[how])
    install("good", GOOD)
    registry = plugins.load({})
    assert list(registry.broken) == ["bad"]
    assert registry.broken["bad"]
    assert "mikrotik" in registry.drivers
    assert registry.origins["acmeos"].startswith("good")


def test_fleet_plugins_limits_what_is_loaded(install):
    install("acme", GOOD)
    assert "acmeos" not in plugins.load({"FLEET_PLUGINS": ""}).drivers
    assert "acmeos" not in plugins.load({"FLEET_PLUGINS": "other"}).drivers
    assert "acmeos" in plugins.load({"FLEET_PLUGINS": "other,acme"}).drivers


def test_a_driver_that_is_not_installed_is_an_error_that_names_what_is(install):
    install("bad", BROKEN["raises"])
    with pytest.raises(PluginError) as refused:
        plugins.load({}).driver("acmeos")
    assert "plugin bad did not load: RuntimeError: boom" in refused.value.summary
    assert "mikrotik" in refused.value.hint
    assert refused.value.exit_code == 3


@pytest.fixture
def net(tmp_path: Path):
    net = three_sites(tmp_path / "net")
    net.environ["FLEET_PLUGINS"] = "bad"
    yield net
    net.close()


def test_a_broken_plugin_does_not_stop_a_fleet_that_does_not_need_it(install, net: SimulatedFleet):
    install("bad", BROKEN["raises"])
    assert net.run("plan").code == 2


def test_the_list_of_drivers_says_what_does_not_load_and_why(install, net: SimulatedFleet):
    install("bad", BROKEN["raises"])
    done = net.run("drivers")
    assert done.code == 0
    assert "plugin bad did not load: RuntimeError: boom" in done.err
    assert net.run("drivers", "--json").json["broken"] == {"bad": "RuntimeError: boom"}


def test_an_inventory_that_needs_it_says_so_with_its_line(install, net: SimulatedFleet):
    install("bad", BROKEN["raises"])
    net.routers["pune"]["driver"] = "acmeos"
    done = net.run("plan")
    assert done.code == 3
    assert "acmeos" in done.err
    assert "acme.yaml:" in done.err
