"""Driver `edgeos`: contract on one side, scripts and the configuration backend on the other."""

from __future__ import annotations

import re
import shlex
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...driver import Ask, Driver, Limits, Observed, Probe, ProbeResult, RouterPlan, Script
from ...link import Exec, Link, Reply, Request
from ...model import Peer
from .. import shell
from . import quirks, read, scripts, write
from .frames import read_frames
from .kernel import peer_call


class Options(BaseModel):
    """`options:` of an EdgeRouter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wan_local: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,28}$",
        description="rule set for packets from the uplink to the router itself, where it is not WAN_LOCAL",
    )


class EdgeOsDriver(Driver):
    """EdgeOS 1.10 and 2.0 with the WireGuard package and 3.0 with its own, told apart by their templates."""

    name: ClassVar[str] = "edgeos"
    transport: ClassVar[str] = "ssh"
    port: ClassVar[int] = 22
    jump: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options
    limits: ClassVar[Limits] = Limits(
        unit="batch",
        guard="emulated",
        saves_on_confirm=True,
        makes_keys=True,
        stages_keys=True,
        empty_allowed_ips=True,
        routes="static",
    )

    def observe(self, link: Link) -> Observed:
        """One exec. Raises RouterError, Unparseable."""
        target = link.target
        wan_local = target.options.wan_local if isinstance(target.options, Options) else None
        reply = link.send(scripts.observe(target.overlay))
        return read.observed(read_frames(reply.text), self.limits, target.overlay, wan_local)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """One exec in one step that covers every change; under guard, one before it that arms the undo."""
        return write.render(plan, observed)

    def check(self, request: Request, reply: Reply) -> None:
        """Our scripts end with codes of their own and say when they are done."""
        if not isinstance(request, Exec) or request.accept != scripts.EXIT_CODES:
            return
        if (refused := shell.refusal(reply, quirks.SAYS)) is not None:
            raise refused
        shell.done(request, reply)

    def probe(self, probe: Probe, observed: Observed) -> Ask[ProbeResult]:
        """`ping` of iputils."""
        return shell.ping(probe, "-n")

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> tuple[Request, ...] | None:
        """Remove the peer from the kernel and bring it back as the configuration has it."""
        native = observed.native
        assert isinstance(native, read.Native)
        tree = native.active.at("interfaces", "wireguard", interface)
        if peer.preshared_key is not None and not (tree.value("peer", peer.public_key, "preshared-key") or "").startswith("/"):
            return None  # a key that stands in the configuration itself is not read
        calls = [f"kernel wg set {interface} peer {peer.public_key} remove\n", peer_call(interface, peer, tree)]
        return (scripts.beside(native.overlay, calls),)

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        """A file in memory, by the router's uptime; the router refuses it while another owner's stands."""
        assert isinstance(observed.native, read.Native)
        if not owner.isprintable():
            raise ValueError(f"not an owner's name: {owner[:60]!r}")
        call = f"marker {expires} {shlex.quote(' '.join(owner.split()))}\n"
        return (scripts.beside(observed.native.overlay, [call]),)

    def account(self, username: str) -> str:
        """An account of level admin: operators may neither read nor change the configuration (sheet 2.1)."""
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", username):
            raise ValueError(f"not a user name: {username[:40]!r}")
        return _ACCOUNT.format(name=username)


_ACCOUNT = """\
# in a file /tmp/{name}.pub: the public SSH key (a line of ssh-ed25519 or ssh-rsa, with a comment at its end)
configure
set system login user {name} level admin
set system login user {name} authentication encrypted-password '*'
loadkey {name} /tmp/{name}.pub
commit
save
exit
"""
