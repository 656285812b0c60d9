"""A simulated RouterOS router as the contract suite and the drills want it."""

from __future__ import annotations

import re
import socket
from collections import Counter

from fleet.drivers.mikrotik import MikrotikDriver
from fleet.link import Access, Address, RouterLink, Session, Target
from fleet.model import Secret
from fleet.testing.routeros import RouterosSimulator
from fleet.transports.routeros import RouterosTransport

PASSWORD = "seven-of-nine"
MINIMAL = "read,write,api"
UNLIKE = {"private-key", "public-key", "start-date", "start-time", "owner"}
"""What two routers in the same state do not share; nor do they share `peer5`, the name a router gives by order of arrival."""


def dial(address: Address, timeout: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout)


class SimulatedRouter:
    """`given` goes to the simulator. Logs in with the least rights that the driver promises to need."""

    def __init__(self, version: str = "7.20.8", policies: str = MINIMAL, name: str = "subject", **given: object) -> None:
        self.simulator = RouterosSimulator(name, version, users={"fleet": (PASSWORD, policies)}, **given)  # type: ignore[arg-type]
        self.host, self.port = self.simulator.start()
        self._links: list[RouterLink] = []

    def connect(self) -> Session:
        access = Access(
            "subject",
            (Address(self.host, self.port),),
            username="fleet",
            password=Secret(PASSWORD),
            plain_ok="loopback",
            options={"tls": False},
        )
        return RouterosTransport(connect_timeout=5, login_timeout=5).connect(access, dial)

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=MikrotikDriver().check))
        return self._links[-1]

    def writes(self) -> int:
        return self.simulator.counters.writes

    def plant(self, interface: str) -> None:
        """One foreign object of every kind that fleet writes, some on our own interface."""
        put = self.simulator.insert
        key = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
        put(
            "/interface/wireguard/peers",
            interface=interface,
            public_key=key,
            allowed_address="172.31.0.1/32",
            comment="Raj's phone",
        )
        put("/interface/wireguard", name="road-warriors", listen_port=13999)
        put("/ip/address", address="172.31.9.1/24", interface="road-warriors")
        put("/ip/route", dst_address="172.31.8.0/24", gateway=interface, comment="by hand")
        put("/ip/firewall/filter", chain="forward", action="accept", in_interface=interface, comment="by hand")
        put("/ip/firewall/nat", chain="srcnat", action="masquerade", out_interface="ether2", comment="by hand")
        put("/ip/firewall/mangle", chain="forward", action="passthrough", comment="by hand")
        put("/system/scheduler", name="nightly", interval="1d", on_event=":log info night", policy="read,write")

    def foreign(self) -> object:
        """Every row without our mark, in order; counters and clocks left out."""
        return {
            menu: kept
            for menu, rows in self.simulator.snapshot().items()
            if isinstance(rows, list) and (kept := [row for row in rows if "fleet:" not in str(row)])
        }

    def ours(self) -> object:
        """Every row with our mark, as often as it is there."""
        return Counter(
            (menu, re.sub(r" run:[\w.-]+|\('name', 'peer\d+'\)", "", str(sorted(row.items()))))
            for menu, rows in self.simulator.snapshot().items()
            if isinstance(rows, list)
            for row in ({name: value for name, value in row.items() if name not in UNLIKE} for row in rows)
            if "fleet:" in str(row)
        )

    def advance(self, seconds: float) -> None:
        self.simulator.clock.advance(seconds)

    def reboot(self) -> None:
        self.simulator.reboot()
        self.simulator.clock.advance(self.simulator.boot_delay + 1)

    def exposed(self) -> str:
        return str(self.simulator.rows("/log"))

    def close(self) -> None:
        for link in self._links:
            link.close()
        self.simulator.stop()
