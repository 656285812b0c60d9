"""What the inventory says about a gateway behind a controller."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class OmadaOptions(BaseModel):
    """`options:` of a gateway. `host`, `api_key` (client id) and `api_secret` are the controller's and belong in a group.

    `site`: name or id of its site, the router's own name by default. `gateway`: MAC address or name of the gateway, where
    the site has several, or to be sure that it is this one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = Field(default="", max_length=64)
    gateway: str = Field(default="", max_length=128)
