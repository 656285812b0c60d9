"""Drivers that only an inventory looks at: names, options, whether they are jumps. And a short way to load a text."""

from __future__ import annotations

import textwrap
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field

from fleet import Driver, Link, NoOptions, Observed, RouterPlan, Script
from fleet.errors import InventoryError
from fleet.inventory import load_text
from fleet.model import Fleet


class _Paper(Driver):
    def observe(self, link: Link) -> Observed:
        raise NotImplementedError

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        raise NotImplementedError


class Linux(_Paper):
    name: ClassVar[str] = "wg-quick"
    transport: ClassVar[str] = "ssh"
    jump: ClassVar[bool] = True


class MikrotikOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    wan_list: str = "WAN"
    burst: int = Field(16, ge=1, le=16)


class Mikrotik(_Paper):
    name: ClassVar[str] = "mikrotik"
    transport: ClassVar[str] = "routeros"
    Options: ClassVar[type[BaseModel]] = MikrotikOptions


class OmadaOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    site: str = ""
    gateway: str = ""


class Omada(_Paper):
    name: ClassVar[str] = "omada"
    transport: ClassVar[str] = "rest"
    Options: ClassVar[type[BaseModel]] = OmadaOptions


class Manual(_Paper):
    name: ClassVar[str] = "manual"
    transport: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]] = NoOptions


DRIVERS: dict[str, type[Driver]] = {driver.name: driver for driver in (Linux, Mikrotik, Manual)}
WITH_CONTROLLERS: dict[str, type[Driver]] = {**DRIVERS, Omada.name: Omada}

SMALL = """\
overlay: {name: acme, ipv4: 10.100.0.0/24}
routers:
  hq: {driver: wg-quick, role: hub, host: 198.51.100.10, endpoint: "vpn.example.com:51820", lans: [192.168.1.0/24]}
"""
"""Three lines that load; a test adds what it is about."""


def fleet_of(text: str) -> Fleet:
    """Load an indented text."""
    return load_text(textwrap.dedent(text), DRIVERS, "fleet.yaml")


def with_routers(*lines: str) -> Fleet:
    """The small inventory with more routers, each a line of YAML."""
    return load_text(SMALL + "".join(f"  {line}\n" for line in lines), DRIVERS, "fleet.yaml")


def refused(text: str) -> str:
    """Everything an operator reads about a text that does not load."""
    with pytest.raises(InventoryError) as caught:
        load_text(textwrap.dedent(text), DRIVERS, "fleet.yaml")
    return str(caught.value)
