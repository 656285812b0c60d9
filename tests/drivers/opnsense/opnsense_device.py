"""A simulated OPNsense firewall as the contract suite and the driver's own tests want it."""

from __future__ import annotations

from typing import Any

from fleet.dial import direct
from fleet.drivers.opnsense import OpnsenseDriver, OpnsenseOptions
from fleet.link import Access, Address, RouterLink, Session, Target
from fleet.model import Secret
from fleet.testing.certificates import self_signed
from fleet.testing.ether import Clock
from fleet.testing.opnsense import KEY, SECRET, ConfigdAction, OpnsenseSimulator, restore
from fleet.transports.rest import RestTransport

OPTIONS = OpnsenseOptions()
WATCHDOG = "fleetundo restore"
GUARDED = OpnsenseOptions(watchdog=WATCHDOG)
CERTIFICATE = self_signed("subject")
TARGET = Target("subject", "contract", ("wg7",), OPTIONS)


class SimulatedFirewall(OpnsenseSimulator):
    """Listens, and knows which instance is ours. Keywords go to the simulator."""

    def __init__(self, version: str = "25.1", *, watchdog: bool = False, **given: Any) -> None:
        given.setdefault("clock", Clock(frozen=True))
        given.setdefault("certificate", CERTIFICATE)
        super().__init__("subject", version, public_hosts=("198.51.100.1", "203.0.113.9"), names=NAMES, **given)
        self.own_interfaces = {"wg7"}
        self.watchdog = ConfigdAction("Restore a revision", restore()) if watchdog else None
        if self.watchdog is not None:
            self.cron.install(WATCHDOG, self.watchdog)
        self.start()
        self.login = (KEY, SECRET)
        self.transport = RestTransport(connect_timeout=5)
        self._links: list[RouterLink] = []

    def connect(self) -> Session:
        key, secret = self.login
        access = Access(
            "subject",
            (Address(self.host, self.port),),
            api_key=Secret(key),
            api_secret=Secret(secret),
            tls_fingerprint=self.certificate.fingerprint,
            dialect=OpnsenseDriver.dialect,
        )
        return self.transport.connect(access, direct)

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=OpnsenseDriver().check))
        return self._links[-1]

    def plant(self, interface: str) -> None:
        """And somebody presses Apply."""
        super().plant(interface)
        with self.lock:
            for part in (self.service.apply, self.filter.reload, self.routing.apply, self.cron.apply):
                part()

    def reboot(self) -> None:
        """What is installed with the action runs jobs that are due by it at boot, too."""
        super().reboot()
        for job in list(self.records("cron").values()) if self.watchdog is not None else ():
            if job["command"] == WATCHDOG and " guard " in job["description"]:
                self.watchdog.run(self, job["parameters"])

    def close(self) -> None:
        for link in self._links:
            link.close()
        self.transport.close()
        super().close()


NAMES = {"vpn.example.com": "198.51.100.1"}
