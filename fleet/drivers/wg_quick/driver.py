"""Driver `wg-quick`: contract on one side, scripts and files on the other."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ...driver import Ask, Driver, Limits, Observed, Probe, ProbeResult, RouterPlan, Script
from ...link import Exec, Link, Reply, Request
from ...model import Peer
from .. import shell
from . import quirks, read, scripts, write
from .frames import read_frames


class Options(BaseModel):
    """`options:` of a wg-quick router."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sudo: bool = Field(default=False, description="run as root by `sudo -n`, for an account that is not root itself")


class WgQuickDriver(Driver):
    """Any Linux with wireguard-tools: the file in /etc/wireguard is what is stored, the kernel what runs."""

    name: ClassVar[str] = "wg-quick"
    transport: ClassVar[str] = "ssh"
    port: ClassVar[int] = 22
    jump: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options
    limits: ClassVar[Limits] = Limits(
        unit="file",
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
        sudo = isinstance(target.options, Options) and target.options.sudo
        reply = link.send(scripts.observe(target.overlay, sudo))
        return read.observed(read_frames(reply.text), self.limits, target.overlay, target.interfaces, sudo)

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """One exec in one step that covers every change; under guard, one before it that arms the undo."""
        return write.render(plan, observed)

    def check(self, request: Request, reply: Reply) -> None:
        """Our scripts end with codes of their own and say when they are done."""
        if not isinstance(request, Exec) or request.accept != scripts.EXIT_CODES:
            return
        if (refused := quirks.refusal(reply)) is not None:
            raise refused
        shell.done(request, reply)

    def probe(self, probe: Probe, observed: Observed) -> Ask[ProbeResult]:
        """`ping` of iputils or busybox."""
        return shell.ping(probe, "-n")

    def rehandshake(self, interface: str, peer: Peer, observed: Observed) -> tuple[Request, ...] | None:
        """Remove and add in one `wg set`, with the peer's endpoint; allowed IPs and preshared key are the kernel's own."""
        assert isinstance(observed.native, read.Native)
        return write.rehandshake(interface, peer, observed.native)

    def mark(self, owner: str, expires: int, observed: Observed) -> tuple[Request, ...] | None:
        """A file in memory, by the router's uptime; the router refuses it while another owner's stands."""
        assert isinstance(observed.native, read.Native)
        return write.marker(owner, expires, observed.native)

    def account(self, username: str) -> str:
        """An account with a key and the one sudo command fleet uses; `options: {sudo: true}` goes with it.

        A shell as root is root: the account is as trusted as the tunnel it makes, and has no password.
        """
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", username):
            raise ValueError(f"not a user name of Linux: {username[:40]!r}")
        return _ACCOUNT.format(name=username)


_ACCOUNT = """\
# as root; then `username: {name}` and `options: {{sudo: true}}` in the inventory
useradd --create-home --shell /bin/sh {name}
passwd --lock {name}
install -d -m 700 -o {name} -g {name} ~{name}/.ssh
install -m 600 -o {name} -g {name} /dev/stdin ~{name}/.ssh/authorized_keys   # paste the public SSH key, then Ctrl-D
echo '{name} ALL=(root) NOPASSWD: /bin/sh -s, /usr/bin/sh -s' >/etc/sudoers.d/{name}
chmod 440 /etc/sudoers.d/{name}
visudo -c
"""
