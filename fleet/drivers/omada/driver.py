"""Driver `omada`: contract on one side, the controller's Open API on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from pydantic import BaseModel

from ... import Driver, Http, Limit, Limits, Link, Observed, Reply, Request, Rest, RouterPlan, Script
from . import refused, write
from .api import DIALECT
from .meaning import Native, observed_from
from .options import OmadaOptions
from .read import read
from .unchanged import Unchanged, compare

CANNOT_STAGE: Final = "a gateway holds one key per interface: the next one cannot wait beside it"


class OmadaDriver(Driver):
    """Gateways of a controller: generation 1 object by object, generation 2 a tunnel with all of its peers at once."""

    name: ClassVar[str] = "omada"
    transport: ClassVar[str] = "rest"
    port: ClassVar[int] = 8043
    dialect: ClassVar[Rest] = DIALECT
    Options: ClassVar[type[BaseModel]] = OmadaOptions
    limits: ClassVar[Limits] = Limits(
        unit="item",
        guard="none",  # no candidate, no timed undo (sheet 6)
        makes_keys=False,  # privateKey is required from whoever creates an interface (sheet 7)
        stages_keys=False,
        empty_allowed_ips=False,  # allowAddress is required (sheet 2.1)
        batch=1,  # written serially (sheet 1.7)
        routes="derived",  # from allowed addresses; a static route cannot name a tunnel (sheet 4)
        openings=frozenset(),  # no operation of the API is known to be about WireGuard's traffic (sheet 4, ACL)
        reresolve=False,  # whether the gateway looks a name up again is not known (sheet 4)
        ipv6=False,  # not known (sheet 4)
        addresses=1,
        address_lengths=False,
        mark_length=61,
        cannot=(Limit(frozenset({"StageKey", "DropStagedKey"}), CANNOT_STAGE),),
    )

    def observe(self, link: Link) -> Observed:
        """Four requests of its own, two that all sites share. Raises RouterError, Unparseable.

        Unreachable for a gateway that its controller shows as off: pending, and picked up by a later run.
        """
        return observed_from(read(link), link.target, self.limits)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """Whole objects, echoed with what differs. Raises Unsupported for what cannot be sent."""
        assert isinstance(observed.native, Native)
        return write.script(plan, observed.native)

    def check(self, request: Request, reply: Reply) -> None:
        """Codes in words; and an object that somebody else changed meanwhile is not written over."""
        if isinstance(request, Http) and isinstance(reply.data, Mapping):
            refused.judge(reply.data.get("errorCode"), reply.data.get("msg"))
        if isinstance(request, Unchanged):
            compare(request, reply)

    def account(self, username: str) -> str | None:
        """There is no command: the application is made in the controller's web page."""
        return _ACCOUNT.format(name=username)


_ACCOUNT = """\
# in the controller's web page, as its owner: Settings > Platform Integration > Open API > Add New App
#   name {name}, mode Client, role with 'Site Settings Manager Modify' and 'Site Device Manager Modify', the sites to manage
# the client id is `api_key:`, the client secret `api_secret:` of the group; both as secret references
"""
