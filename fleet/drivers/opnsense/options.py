"""`options:` of an OPNsense firewall."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-zA-Z0-9_]{1,32}$"


class OpnsenseOptions(BaseModel):
    """What the inventory may say.

    wan_interface     where WireGuard's port is opened, as rules name it (`wan`, `opt3`)
    lan_interface     where the LANs are
    tunnel_interface  where what comes out of the tunnel is let through: the group `wireguard`, or the `optN` it is assigned to
    disable_routes    the instance makes no routes: changes of peers then interrupt nobody, and somebody else routes
    bulk              many changes of peers in one write (`client/set`, not documented by the vendor); False: one by one
    watchdog          the configd action, by its command, that an administrator installed to undo a change; empty: none
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wan_interface: str = Field(default="wan", pattern=NAME)
    lan_interface: str = Field(default="lan", pattern=NAME)
    tunnel_interface: str = Field(default="wireguard", pattern=NAME)
    disable_routes: bool = False
    bulk: bool = True
    watchdog: str = Field(default="", pattern=r"^([a-z0-9_.-]+( [a-z0-9_.-]+)*)?$")
