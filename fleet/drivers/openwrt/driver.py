"""Driver `openwrt`: contract on one side, scripts and UCI on the other."""

from __future__ import annotations

import shlex
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...driver import Ask, Driver, Limits, Observed, Probe, ProbeResult, RouterPlan, Script
from ...link import Exec, Link, Reply, Request
from ...model import Peer
from .. import shell
from . import quirks, read, scripts, write
from .frames import read_frames


class Options(BaseModel):
    """`options:` of an OpenWrt router."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wan_zone: str = Field(default="wan", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="firewall zone of the uplink")
    lan_zone: str = Field(default="lan", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="firewall zone of the LANs")


class OpenwrtDriver(Driver):
    """OpenWrt 21.02 to 25.12 by UCI and ubus over SSH. Its proto handler is probed, never inferred from the release."""

    name: ClassVar[str] = "openwrt"
    transport: ClassVar[str] = "ssh"
    port: ClassVar[int] = 22
    jump: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options
    limits: ClassVar[Limits] = Limits(
        unit="batch",
        guard="emulated",
        makes_keys=True,
        stages_keys=True,
        empty_allowed_ips=True,
        routes="derived",
    )

    def observe(self, link: Link) -> Observed:
        """One exec. Raises RouterError, Unparseable."""
        reply = link.send(scripts.observe(link.target.overlay))
        return read.observed(read_frames(reply.text), self.limits, link.target.overlay)

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
        """`ping` of busybox."""
        return shell.ping(probe)

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> tuple[Request, ...] | None:
        """Remove the peer from the kernel and bring it back as UCI has it."""
        assert isinstance(observed.native, read.Native)
        return (scripts.beside(observed.native.overlay, [f"rehandshake {interface} {peer.public_key}\n"]),)

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        """A file in memory, by the router's uptime; the router refuses it while another owner's stands."""
        assert isinstance(observed.native, read.Native)
        if not owner.isprintable():
            raise ValueError(f"not an owner's name: {owner[:60]!r}")
        call = f"marker {expires} {shlex.quote(' '.join(owner.split()))}\n"
        return (scripts.beside(observed.native.overlay, [call]),)

    def account(self, username: str) -> str:
        """OpenWrt's configuration is root's: a key for root is what there is to add."""
        return _ACCOUNT.format(name=username)


_ACCOUNT = """\
# as root ({name}); then `username: root` in the inventory
cat >>/etc/dropbear/authorized_keys   # paste the public SSH key, then Ctrl-D
chmod 600 /etc/dropbear/authorized_keys
"""
