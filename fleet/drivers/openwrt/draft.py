"""What one script is going to write: lines for `uci batch`, what they touch, and what must be done to make them run."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ...driver import Observed, RouterPlan
from ...link import Part
from ...model import Mark
from . import uci
from .read import Native
from .uci import Section

Restart: TypeAlias = Literal["no", "reload", "ifup"]
"""How netifd is told: not at all (it would not look), by a reload that sees the difference, or by taking it down and up."""

_STRONGER: tuple[Restart, ...] = ("no", "reload", "ifup")


class Draft:
    """Collects the effects of the changes of one plan.

    `lines` are for `uci batch`; `key_calls` are shell calls that add lines with keys which only the router knows.
    `touched` are sections as `package.section`. `restarts` says for every interface how what runs is brought along,
    `dialled` which peers' endpoints are to be dialled anew. `watchdog` is the call that turns re-resolving on or off.
    """

    def __init__(self, plan: RouterPlan, observed: Observed, native: Native) -> None:
        self.plan, self.observed, self.native = plan, observed, native
        self.lines: list[Part] = []
        self.key_calls: list[str] = []
        self.touched: set[str] = set()
        self.restarts: dict[str, Restart] = {}
        self.dialled: dict[str, set[str]] = {}
        self.firewall = False
        self.watchdog: str | None = None

    @property
    def overlay(self) -> str:
        """The overlay's name."""
        return self.plan.target.overlay

    @property
    def mark(self) -> Mark:
        """The mark of this router, on everything but peers."""
        return Mark(self.overlay, self.plan.target.router)

    def section(self, name: str) -> Section | None:
        """A section of the package network as it was read."""
        return self.native.frames.network.get(name)

    def add(self, *parts: Part) -> None:
        """Lines of the batch."""
        self.lines += parts

    def set(self, section: str, option: str, value: str) -> None:
        """Set an option of a network section, unless it has that value."""
        held = self.section(section)
        if held is None or held.options.get(option) != [value]:
            self.touch(section)
            self.add(*uci.set_(f"network.{section}.{option}", value))

    def delete(self, section: str, option: str) -> None:
        """Delete an option of a network section, if it is there."""
        held = self.section(section)
        secret = option.endswith("_key") and option in self.native.frames.keys.get(section, {})
        if secret or (held is not None and option in held.options):
            self.touch(section)
            self.add(*uci.delete(f"network.{section}.{option}"))

    def touch(self, section: str, package: str = "network") -> None:
        """Remember a section that is written."""
        self.touched.add(f"{package}.{section}")

    def run(self, interface: str, how: Restart = "no") -> None:
        """Bring what runs of this interface along."""
        self.restarts[interface] = max(self.restarts.get(interface, "no"), how, key=_STRONGER.index)

    def dial(self, interface: str, key: str) -> None:
        """The endpoint of this peer is to be dialled anew."""
        self.dialled.setdefault(interface, set()).add(key)

    def reapply(self, interface: str) -> None:
        """What is stored is right and does not run."""
        stored, running = self.observed.stored.get(interface), (self.observed.running or {}).get(interface)
        if stored is None:
            return
        if running is None or running.disabled != stored.disabled:
            self.run(interface, "ifup")
            return
        scalars = ("public_key", "listen_port", "mtu")
        moved = any(getattr(running, name) not in (None, getattr(stored, name)) for name in scalars)
        self.run(interface, "ifup" if moved else "no")
        self.firewall = self.firewall or running.openings != stored.openings
        for key, peer in stored.peers.items():
            runs = running.peers.get(key)
            if (
                runs is not None
                and peer.endpoint is not None
                and peer.endpoint.ip is not None
                and runs.endpoint != peer.endpoint
            ):
                self.dial(interface, key)
        if stored.reresolve and not running.reresolve:
            self.watchdog = self.watchdog or "cron_again\n"
