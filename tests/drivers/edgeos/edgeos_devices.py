"""Simulated EdgeRouters as the contract suite wants them, behind a real SSH server."""

from __future__ import annotations

import socket
from pathlib import Path

from fleet import Reply, Request, Secret
from fleet.drivers.edgeos import EdgeOsDriver
from fleet.errors import RouterError
from fleet.link import Access, Address, RouterLink, Session, Target
from fleet.testing.edgeos import EdgeOsDevice, EdgeOsSimulator
from fleet.transports.ssh import SshTransport

DRIVER = EdgeOsDriver()
PASSWORD = "pass-word-of-ubnt"


def dial(address: Address, timeout: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout)


class SimulatedEdgeRouter(EdgeOsDevice):
    """A Device of the contract suite."""

    def __init__(self, version: str = "2.0.9", **options: object) -> None:
        names = {"vpn.example.com": "198.51.100.1"}
        settings = {"lans": ("192.168.7.0/24",), "names": names, **options}
        self.simulator = EdgeOsSimulator("subject", version=version, **settings)  # type: ignore[arg-type]  # checked by the simulator
        super().__init__(self.simulator)
        self.server = self.simulator.serve_ssh(passwords={"ubnt": PASSWORD})
        self._links: list[RouterLink] = []
        self._sent = 0

    def connect(self) -> Session:
        access = Access(
            "subject",
            (Address(self.server.host, self.server.port),),
            username="ubnt",
            password=Secret(PASSWORD),
            host_keys=(self.server.host_key_line,),
        )
        return SshTransport(known_hosts=Path("/nonexistent"), connect_timeout=5).connect(access, dial)

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=DRIVER.check, observer=self._observe))
        return self._links[-1]

    def _observe(self, request: Request, reply: Reply | RouterError, seconds: float) -> None:
        self._sent += not request.reads

    def writes(self) -> int:
        return self._sent + super().writes()

    def close(self) -> None:
        for link in self._links:
            link.close()
        self.server.close()
        super().close()
