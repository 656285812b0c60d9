"""Where every effective value of one router comes from: `check --explain`. Pure.

Levels are those of the inventory (`router`, `group NAME`, `defaults`, `overlay`) and two of fleet's own: `built in`, and
`allocated` for an overlay address that the inventory does not give. Secrets are shown as their references.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic_core import PydanticUndefined

from .driver import Driver
from .inventory import Origin
from .inventory.schema import RouterKeys
from .model import Fleet, IPAddress, KeyPolicy, Router, Tls, Where

Value: TypeAlias = "str | int | float | bool | None | Sequence[Value] | Mapping[str, Value]"

BUILT_IN: Final = "built in"
ALLOCATED: Final = "allocated"
NOWHERE: Final = Where()
_ATTRIBUTE: Final = {"host": "hosts", "address": "addresses"}
"""Keys whose value the model calls otherwise."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One key of the reference, or one word of `labels.` and `options.`: its effective value and where that stands."""

    key: str
    value: Value
    level: str
    where: Where = NOWHERE

    def to_dict(self) -> dict[str, Value]:
        """JSON-ready; `file` and `line` are null where no file says it."""
        known = bool(self.where.file)
        return {
            "key": self.key,
            "value": self.value,
            "level": self.level,
            "file": self.where.file if known else None,
            "line": self.where.line if known else None,
        }

    def shown(self) -> str:
        """The value as an inventory would have it, `none` for nothing."""
        return _shown(self.value)


def explain(
    fleet: Fleet, name: str, origins: Mapping[str, Origin], driver: type[Driver], addresses: Iterable[IPAddress]
) -> list[Explained]:
    """Every value of router `name` in the order of the key reference.

    `origins` are those of `inventory.provenance`; `addresses` the overlay addresses it has or would be given. What nobody gives
    and what has no effective value is left out.
    """
    router = fleet.routers[name]
    built_in = _built_in(fleet, router, driver)
    lines: list[Explained] = []
    for key in RouterKeys.model_fields:
        if key == "labels":
            lines += _words(key, router.labels, origins)
        elif key == "options":
            lines += _words(key, {**_defaults(driver), **router.options}, origins)
        elif key in origins:
            lines.append(Explained(key, _value(getattr(router, _ATTRIBUTE.get(key, key))), *origins[key]))
        elif key in built_in:
            lines.append(Explained(key, built_in[key], BUILT_IN))
        if key == "address" and (rest := [str(address) for address in addresses if address not in router.addresses]):
            lines.append(Explained(key, rest, ALLOCATED))
    return lines


def _built_in(fleet: Fleet, router: Router, driver: type[Driver]) -> dict[str, Value]:
    """What holds where the inventory says nothing."""
    found: dict[str, Value] = {
        "role": router.role,
        "pin_endpoint": router.pin_endpoint,
        "interface": router.interface,
        "listen_port": router.listen_port,
        "mtu": router.mtu,
        "persistent_keepalive": router.persistent_keepalive,
        "manage": sorted(router.manage),
        "enabled": router.enabled,
    }
    if driver.transport:
        found |= {"host": "its overlay address", "port": driver.port}
    if router.role == "spoke" and fleet.overlay.topology == "hub-and-spoke":
        found["hubs"] = [hub.name for hub in fleet.hubs]
    return found


def _words(key: str, values: Mapping[str, object], origins: Mapping[str, Origin]) -> Iterable[Explained]:
    for word, value in values.items():
        yield Explained(f"{key}.{word}", _value(value), *origins.get(f"{key}.{word}", (BUILT_IN, NOWHERE)))


def _defaults(driver: type[Driver]) -> dict[str, object]:
    """What a driver's own options are when nobody gives them; those without a value are left out."""
    found = {word: option.get_default(call_default_factory=True) for word, option in driver.Options.model_fields.items()}
    return {word: value for word, value in found.items() if value not in (None, "", (), PydanticUndefined)}


def _value(value: object) -> Value:
    match value:
        case None | bool() | int() | float() | str():
            # A PublicKey is a str of a class of its own; what is shown is text.
            return str(value) if isinstance(value, str) else value
        case Tls():
            return {"fingerprint": value.fingerprint} if value.fingerprint else {"ca": value.ca}
        case KeyPolicy():
            age = f"{value.max_age_days}d" if value.max_age_days else None
            return {word: said for word, said in (("custody", value.custody), ("max_age", age)) if said}
        case frozenset():
            return sorted(map(str, value))
        case Mapping():
            return {str(word): _value(each) for word, each in value.items()}
        case list() | tuple():
            return [_value(each) for each in value]
        case _:
            return str(value)


def _shown(value: Value) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case Mapping():
            return ", ".join(f"{word}: {_shown(each)}" for word, each in value.items()) or "none"
        case _:
            return ", ".join(map(_shown, value)) or "none"
