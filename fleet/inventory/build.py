"""Merged values -> the model's Overlay, Router, Jump; what needs the driver is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from ..driver import Driver
from ..model import MANAGED, Endpoint, Jump, KeyPolicy, Overlay, Router, Tls, Where
from . import placeholders, values
from .document import Document, Entry
from .merge import Merged
from .problems import Problems, Refused, meant, named, shown
from .schema import ManageKeys, PrivateKeyKeys, RouterKeys, TlsKeys

_AFTER_FILLING: Final = {"host": values.host, "endpoint": values.endpoint, "username": values.username}

ALIKE: Final = {
    "debian": "wg-quick",
    "edgerouter": "edgeos",
    "linux": "wg-quick",
    "phone": "manual",
    "routeros": "mikrotik",
    "tp-link": "omada",
    "tplink": "omada",
    "ubiquiti": "edgeos",
    "ubuntu": "wg-quick",
    "wireguard": "wg-quick",
}
"""What people call the vendors, for cures and for spreadsheets."""


def overlay_of(document: Document, problems: Problems) -> Overlay:
    """The overlay; a stand-in name where it is missing, so that the routers are still judged."""
    entry = document.overlay
    given: dict[str, Any] = {key: found.value for key, found in entry.given.items() if found.value is not None}
    if "name" not in given and "name" not in entry.broken:
        problems.add(entry.where, "overlay: it has no name", "add `overlay: {name: acme, ipv4: 10.100.0.0/20}`")
    if not {"ipv4", "ipv6"} & (given.keys() | entry.broken):
        problems.add(
            entry.where, "overlay: it has no prefix for the tunnel addresses", "add `ipv4: 10.100.0.0/20`, `ipv6:` or both"
        )
    given.setdefault("name", "unnamed")
    return Overlay(**given)


def jump_of(entry: Entry, problems: Problems) -> Jump | None:
    """A jump host; None, with a problem remembered, if it cannot be one."""
    given: dict[str, Any] = {key: found.value for key, found in entry.given.items() if found.value is not None}
    if "host" not in given:
        if "host" not in entry.broken:
            problems.add(entry.where, f"jump {entry.name}: it has no host", "add `host:` with its DNS name or address")
        return None
    try:
        for key in given.keys() & {"host", "username", "ssh_key", "password"}:
            given[key] = placeholders.filled(given[key], entry.name, {})
        given["host"] = values.host(given["host"])
    except Refused as refusal:
        problems.refused(entry.where, refusal, f"jump {entry.name}")
        return None
    return Jump(name=entry.name, **given)


def router_of(merged: Merged, drivers: Mapping[str, type[Driver]], problems: Problems) -> Router:
    """One router. What could not be read is left at its default and is in `merged.broken`."""
    given = {key: value for key, value in merged.values.items() if value is not None}
    _judge_filled(merged, given, problems)
    driver = _driver(merged, given, drivers, problems)
    tls = given.get("tls")
    keys = given.get("keys")
    endpoint = given.get("endpoint")
    return Router(
        name=merged.name,
        driver=cast("str", given.get("driver", "")),
        endpoint=Endpoint.parse(endpoint) if isinstance(endpoint, str) else None,
        hosts=cast("Any", given.get("host", ())),
        addresses=_addresses(merged, given, problems),
        tls=_tls(tls, merged, problems) if isinstance(tls, TlsKeys) else None,
        keys=KeyPolicy(keys.custody, keys.max_age) if isinstance(keys, PrivateKeyKeys) else KeyPolicy(),
        manage=_managed(given.get("manage")),
        labels=cast("Any", given.get("labels", {})),
        options=_options(merged, given, driver, problems),
        where=merged.where,
        **_as_they_are(given),
    )


_READ_APART: Final = {"driver", "endpoint", "tls", "keys", "manage", "labels", "options"}
_SAME: Final = RouterKeys.model_fields.keys() & {each.name for each in fields(Router)} - _READ_APART
"""Keys whose checked value is what the model's attribute of that name holds."""


def _as_they_are(given: Mapping[str, object]) -> dict[str, Any]:
    return {key: given[key] for key in _SAME if key in given}


def _judge_filled(merged: Merged, given: dict[str, object], problems: Problems) -> None:
    for key, read in _AFTER_FILLING.items():
        value = given.get(key)
        try:
            if isinstance(value, tuple):
                given[key] = tuple(read(text) for text in value)
            elif value is not None:
                given[key] = read(value)
        except Refused as refusal:
            problems.refused(merged.place(key), refusal, f"router {merged.name}: {key}")
            merged.broken.add(key)
            del given[key]


def _driver(
    merged: Merged, given: Mapping[str, object], drivers: Mapping[str, type[Driver]], problems: Problems
) -> type[Driver] | None:
    name = given.get("driver")
    if not isinstance(name, str):
        if "driver" not in merged.broken:
            cure = f"add `driver:`, one of {named(sorted(drivers), 20)}"
            problems.add(merged.where, f"router {merged.name}: it has no driver", cure)
        return None
    if name not in drivers:
        merged.broken.add("driver")
        alike = ALIKE.get(name.lower())
        near = f"did you mean {alike}? " if alike in drivers else meant(name.lower(), drivers)
        cure = f"{near} installed: {named(sorted(drivers), 20)}; `fleet drivers` says more".strip()
        problems.add(
            merged.place("driver"), f"{merged.subject('driver')}: no driver {shown(name)} is installed", " ".join(cure.split())
        )
    return drivers.get(name)


def _addresses(merged: Merged, given: Mapping[str, object], problems: Problems) -> Any:
    addresses: Any = given.get("address", ())
    for version in (4, 6):
        if sum(address.version == version for address in addresses) > 1:
            problems.add(
                merged.place("address"),
                f"router {merged.name}: it has more than one IPv{version} address in the overlay",
                "keep one per family",
            )
    return addresses


def _tls(given: TlsKeys, merged: Merged, problems: Problems) -> Tls:
    if given.fingerprint and given.ca:
        problems.add(
            merged.place("tls"), f"router {merged.name}: tls: both fingerprint and ca are given", "keep one of the two"
        )
    return Tls(given.fingerprint, given.ca)


def _managed(given: object) -> frozenset[str]:
    if not isinstance(given, ManageKeys):
        return MANAGED
    return frozenset(key for key in MANAGED if getattr(given, key))


def _options(merged: Merged, given: Mapping[str, object], driver: type[Driver] | None, problems: Problems) -> dict[str, object]:
    found = given.get("options", {})
    options = dict(found) if isinstance(found, dict) else {}
    if driver is None or "options" in merged.broken:
        return options
    subject = f"router {merged.name}: options"
    model = driver.Options
    known = _option_names(model)
    unknown = [word for word in options if word not in known] if model.model_config.get("extra") != "allow" else []
    for word in unknown:
        takes = f"driver {driver.name} takes {named(known, 30)}" if known else f"driver {driver.name} takes none"
        problems.add(_option_place(merged, word), f"{subject}: unknown option {shown(word)}", meant(word, known) or takes)
    try:
        model.model_validate({word: value for word, value in options.items() if word not in unknown})
    except ValidationError as error:
        # Not the value: a driver's option may be a password typed in the wrong place.
        for detail in error.errors(include_url=False, include_input=False):
            words = ".".join(str(step) for step in detail["loc"])
            place = _option_place(merged, str(detail["loc"][0])) if detail["loc"] else merged.place("options")
            message = detail["msg"].removeprefix("Value error, ")
            message = message if message.isprintable() else shown(message, 200)
            problems.add(place, f"{subject}.{words}: {message}", f"see what driver {driver.name} takes")
    return options


def _option_names(model: type[BaseModel]) -> list[str]:
    return [name for key, information in model.model_fields.items() for name in {key, information.alias or key}]


def _option_place(merged: Merged, word: str) -> Where:
    return merged.place(f"options.{word}" if f"options.{word}" in merged.nodes else "options")
