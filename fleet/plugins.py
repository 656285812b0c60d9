"""Finding drivers and transports: built-in ones through the same hooks as anyone's, each plugin loaded alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

import pluggy

from . import hookspecs
from .driver import CONTRACT, Driver
from .errors import PluginError
from .transports import Transport

ENTRY_POINT_GROUP = "fleet"


@dataclass(slots=True)
class Registry:
    """What is installed. `broken` maps a plugin's name to the sentence that says why it does not load."""

    drivers: dict[str, type[Driver]] = field(default_factory=dict)
    transports: dict[str, type[Transport]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def driver(self, name: str) -> Driver:
        """A driver by its inventory name. Raises PluginError naming what is installed, or why it does not load."""
        if name in self.drivers:
            return self.drivers[name]()
        known = ", ".join(sorted(self.drivers))
        because = "".join(f"; plugin {plugin} did not load: {why}" for plugin, why in self.broken.items())
        raise PluginError(f"no driver {name!r} is installed{because}", f"installed: {known}; see `fleet drivers`")

    def transport(self, name: str) -> Transport:
        """A transport by name. Raises PluginError."""
        if name in self.transports:
            return self.transports[name]()
        raise PluginError(f"no transport {name!r} is installed", f"installed: {', '.join(sorted(self.transports))}")


def load(environ: Mapping[str, str] = os.environ) -> Registry:
    """All drivers and transports. `FLEET_PLUGINS` limits entry points to a comma list of names; empty: built-in only."""
    from . import builtin

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    manager.register(builtin, "fleet")
    _register(manager, "fleet", registry)
    wanted = environ.get("FLEET_PLUGINS")
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        if wanted is None or point.name in wanted.split(","):
            _load_one(manager, point, registry)
    return registry


def _load_one(manager: pluggy.PluginManager, point: EntryPoint, registry: Registry) -> None:
    try:
        module = point.load()
        manager.register(module, point.name)
        manager.check_pending()
        _register(manager, point.name, registry)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may do anything at import; it must not take the tool with it
        registry.broken[point.name] = f"{type(error).__name__}: {error}"
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)


def _register(manager: pluggy.PluginManager, plugin: str, registry: Registry) -> None:
    module = manager.get_plugin(plugin)
    others = [other for name, other in manager.list_name_plugin() if name != plugin]
    for drivers in manager.subset_hook_caller("fleet_drivers", others)():
        for driver in drivers:
            if driver.contract not in (CONTRACT, CONTRACT - 1):
                registry.broken[plugin] = (
                    f"driver {driver.name} is written for contract {driver.contract}, this fleet speaks {CONTRACT}"
                )
                continue
            registry.drivers[driver.name] = driver
            registry.origins[driver.name] = (
                "built in" if plugin == "fleet" else f"{plugin} ({getattr(module, '__name__', plugin)})"
            )
    for transports in manager.subset_hook_caller("fleet_transports", others)():
        for transport in transports:
            registry.transports[transport.name] = transport
