"""Gear that nothing can log in to: phones, consumer routers, appliances without an API.

fleet computes and renders its configuration and never contacts it; proof of life comes from the other end.
"""

from __future__ import annotations

from typing import ClassVar

from ..driver import Driver, Limits, Observed, RouterPlan, Script
from ..errors import Unsupported
from ..link import Link


class ManualDriver(Driver):
    """Never observed, never written: `transport` is empty, which the engine reads as "do not contact"."""

    name: ClassVar[str] = "manual"
    transport: ClassVar[str] = ""
    limits: ClassVar[Limits] = Limits(unit="file", makes_keys=False, openings=frozenset(), routes="derived", reresolve=False)

    def observe(self, link: Link) -> Observed:
        """Always refused: there is nothing to read."""
        raise Unsupported(f"{link.target.router}: driver manual is never contacted", "use `fleet render` for its file")

    def render(self, plan: RouterPlan, observed: Observed) -> Script:
        """Always refused: there is nothing to write to."""
        raise Unsupported(f"{plan.target.router}: driver manual is never contacted", "use `fleet render` for its file")
