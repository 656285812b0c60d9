"""A gateway of a simulated controller as the contract suite and the driver's own tests want it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fleet.dial import direct
from fleet.drivers.omada import OmadaDriver, OmadaOptions
from fleet.link import Access, Address, RouterLink, Session, Target
from fleet.model import Secret
from fleet.shared import SharedAnswers
from fleet.testing.omada import Application, OmadaGateway, OmadaSimulator, Site, Strictness
from fleet.transports.rest import RestTransport

OPTIONS = OmadaOptions(site="site")
UNHURRIED = replace(OmadaDriver.dialect, rate=None)
TARGET = Target("subject", "contract", ("wg7",), OPTIONS)


class SimulatedGateway(OmadaGateway):
    """The site `site`; without the budget of requests unless `strictness` says so, and without the pace that goes with it.

    Keywords go to the simulator.
    """

    def __init__(
        self,
        version: str = "6.0",
        sites: Iterable[str | Site] = ("site",),
        *,
        application: Application | None = None,
        strictness: Strictness | None = None,
        **given: Any,
    ) -> None:
        applications = [application] if application is not None else []
        simulator = OmadaSimulator(
            version, sites, applications=applications, strictness=strictness or Strictness(budget=None), **given
        )
        simulator.start()
        super().__init__(simulator, "site")
        self.application = application or simulator.application
        self.transport = RestTransport(connect_timeout=5)
        self.shared = SharedAnswers()
        self._links: list[RouterLink] = []

    def access(self) -> Access:
        simulator = self.simulator
        return Access(
            "subject",
            (Address(simulator.host, simulator.port),),
            api_key=Secret(self.application.client_id),
            api_secret=Secret(self.application.client_secret),
            tls_fingerprint=simulator.certificate.fingerprint,
            dialect=OmadaDriver.dialect if self.simulator.strictness.budget else UNHURRIED,
        )

    def connect(self) -> Session:
        return self.transport.connect(self.access(), direct)

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=OmadaDriver().check, shared=self.shared))
        return self._links[-1]

    def close(self) -> None:
        for link in self._links:
            link.close()
        self.transport.close()
        super().close()
