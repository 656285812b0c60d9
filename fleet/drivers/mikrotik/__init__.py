"""MikroTik RouterOS 7.1 to 7.24 over its binary API.

read.py     one burst of prints
meaning.py  what their rows mean
write.py    changes as commands (commands.py: set and remove; parting.py: what goes, under a guard)
guard.py    the armed undo: two scheduler entries (undo/: their script; script.py: its language)
leftover.py what a lost cleanup left disabled
guarded.py  one pass with its guard, confirm, cleanup and trip
peer.py     peers as commands
opening.py  openings as commands
rules.py    openings as firewall rules, both ways
table.py    where rules stand
resolve.py  the scheduler entry that resolves named endpoints again
marker.py   the writer's marker on a hub
rights.py   what the account may do
tools.py    ping, forced handshake, the account
values.py   RouterOS' spelling of values
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from ... import Ask, Driver, Limit, Limits, Link, Observed, Peer, Probe, ProbeResult, Request, RouterPlan, Script
from . import guarded, marker, tools
from .meaning import Native, observed_from
from .read import read_rights, read_rows
from .write import CANNOT_STAGE


class MikrotikOptions(BaseModel):
    """`options:` of a MikroTik router. `tls`: whether the API is spoken with TLS; by default all ports but 8728 are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tls: bool | None = None


class MikrotikDriver(Driver):
    """RouterOS: item by item, keys made on the router, one view of what is stored and what runs."""

    name: ClassVar[str] = "mikrotik"
    transport: ClassVar[str] = "routeros"
    port: ClassVar[int] = 8729
    Options: ClassVar[type[BaseModel]] = MikrotikOptions
    limits: ClassVar[Limits] = Limits(
        unit="item",
        guard="emulated",
        makes_keys=True,
        stages_keys=False,
        empty_allowed_ips=False,  # allowed-address is mandatory (sheet 3.1)
        batch=16,
        routes="static",
        cannot=(Limit(frozenset({"StageKey", "DropStagedKey", "Reapply"}), CANNOT_STAGE),),
    )

    def observe(self, link: Link) -> Observed:
        """One round trip; one more where rights are asked for. Raises RouterError (RouterOS before 7.1 too), Unparseable."""
        rows, missing = read_rows(link)
        return observed_from(rows, missing, link.target, self.limits, read_rights(link))

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """One step per change, by the ids of `observed`. Raises Unsupported for what `limits` forbid, or too long an undo."""
        assert isinstance(observed.native, Native)
        return guarded.script(plan, observed.native)

    def probe(self, probe: Probe, observed: Observed) -> Ask[ProbeResult] | None:
        """`/ping`, which needs policy `test`."""
        return tools.ping(probe)

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> tuple[Request, ...] | None:
        """The peer disabled and enabled by one script on the router, so that losing the connection cannot leave it off."""
        return (tools.bounce(interface, peer.public_key),)

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        """An entry of an address list with a timeout; the router refuses it while another owner's stands."""
        assert isinstance(observed.native, Native)
        return marker.requests(owner, expires, observed.native.overlay, observed.native.marker)

    def account(self, username: str) -> str | None:
        """Terminal commands for group and user; the last line waits for a password to be typed."""
        return tools.account(username)
