"""Interfaces that are not WireGuard, interface lists, addresses and routes of the simulated router (sheet section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .device import Behaviour, Device
from .paths import gateway_interface, network
from .tables import Row
from .values import Refused

if TYPE_CHECKING:
    from .router import Router


class Hardware(Behaviour):
    """`/interface/ethernet` and `/interface/bridge`."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """One name per interface of any kind."""
        if device.interface_row(fields.setdefault("name", "bridge1")) is not None:
            raise Refused("failure: already have interface with such name", 4)

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """References follow a new name."""
        device.rename_references(old["name"], row.fields["name"])


class InterfaceLists(Behaviour):
    """`/interface/list`."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Names are unique."""
        if device.table("/interface/list").named(fields["name"]) is not None:
            raise Refused("failure: already have interface list with such name", 4)


class ListMembers(Behaviour):
    """`/interface/list/member`."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """An interface is in a list once."""
        for row in device.table("/interface/list/member").rows:
            if (row.get("list"), row.get("interface")) == (fields["list"], fields["interface"]):
                raise Refused("failure: already have such entry", 4)


class Addresses(Behaviour):
    """`/ip/address` and `/ipv6/address`."""

    def __init__(self, router: Router, path: str) -> None:
        self._router, self._path = router, path

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """The network is computed; the same address twice on an interface is refused."""
        self._check(device, fields, None)

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        self._check(device, fields, row)

    def _check(self, device: Device, fields: dict[str, str], own: Row | None) -> None:
        for row in device.table(self._path).rows:
            same = (row.get("address"), row.get("interface")) == (fields["address"], fields["interface"])
            if same and row is not own and not row.dynamic:
                raise Refused("failure: already have such address", 4)
        if self._path == "/ip/address" and (own is None or own.get("address") != fields["address"]):
            fields["network"] = str(network(fields["address"]).network_address)
        fields["actual-interface"] = fields["interface"]

    def added(self, device: Device, row: Row) -> None:
        """It has a new source address."""
        self._router.changed()

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """As for a new one."""
        self._router.changed()

    def removed(self, device: Device, row: Row) -> None:
        """As for a new one."""
        self._router.changed()

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Invalid on an interface that is gone."""
        return {"invalid": "true"} if row.get("interface").startswith("*") else {}


class Routes(Behaviour):
    """`/ip/route` and `/ipv6/route`: what is stored here; connected routes are computed by `paths`."""

    def __init__(self, path: str) -> None:
        self._version = 4 if path == "/ip/route" else 6

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """A gateway, or a blackhole; never both."""
        if "gateway" not in fields and "blackhole" not in fields:
            raise Refused("missing value(s) of argument(s) gateway", 1)
        if "blackhole" in fields:
            fields.pop("gateway", None)

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Active when the gateway is usable and no shorter distance wins."""
        words: dict[str, str | None] = {} if row.dynamic else {"static": "true"}
        out = None if row.disabled else gateway_interface(device, row.get("gateway"), self._version)
        usable = out is not None or ("blackhole" in row.fields and not row.disabled)
        if usable:
            words["active"] = "true"
            words["immediate-gw"] = _immediate(row.get("gateway"), out)
        elif not row.disabled:
            words["inactive"] = "true"
        return words


def _immediate(gateway: str, out: str | None) -> str | None:
    if out is None:
        return None
    return out if gateway == out else f"{gateway}%{out}"
