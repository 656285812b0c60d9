"""Simulated OpenWrt routers as the contract suite wants them, behind a real SSH server that behaves like dropbear."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from fleet import Reply, Request, Secret
from fleet.drivers.openwrt import OpenwrtDriver
from fleet.errors import RouterError
from fleet.link import Access, Address, RouterLink, Session, Target
from fleet.testing.openwrt import OpenWrtSimulator
from fleet.transports.ssh import SshTransport

DRIVER = OpenwrtDriver()
PASSWORD = "pass-word-of-root"
STRANGER = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
STRANGERS_SECRET = "6BYkIzIMxgUzsXVqzPzGDQ2f5pW7hB2nQZzRIYyqxHM="
PLANTED = (
    "add network wireguard_wg7",
    f"set network.@wireguard_wg7[-1].public_key='{STRANGER}'",
    f"set network.@wireguard_wg7[-1].preshared_key='{STRANGERS_SECRET}'",
    "set network.@wireguard_wg7[-1].description='Raj'\\''s \"laptop\", do not touch'",
    "add_list network.@wireguard_wg7[-1].allowed_ips='172.31.0.1/32'",
    "set network.office=interface",
    "set network.office.proto='wireguard'",
    "set network.office.private_key='CO7OC5Hd9t02MhvFDEjdZIdEuUzVJKfGxxJ5TCl5XlY='",
    "set network.office.listen_port='13999'",
    "add_list network.office.addresses='172.31.9.1/24'",
    "add firewall rule",
    "set firewall.@rule[-1].name='of others'",
    "set firewall.@rule[-1].src='wan'",
    "set firewall.@rule[-1].proto='tcp'",
    "set firewall.@rule[-1].dest_port='99'",
    "set firewall.@rule[-1].target='ACCEPT'",
    "set firewall.guests=zone",
    "set firewall.guests.name='guests'",
    "set firewall.guests.input='REJECT'",
)


def dial(address: Address, timeout: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout)


class SimulatedOpenwrt:
    """A Device of the contract suite."""

    def __init__(self, version: str = "23.05", **options: object) -> None:
        self.simulator = OpenWrtSimulator("subject", version=version, hurry=0.1, **options)  # type: ignore[arg-type]  # checked by the simulator
        self.server = self.simulator.serve_ssh(passwords={"root": PASSWORD})
        self._links: list[RouterLink] = []
        self._requests = 0

    def connect(self) -> Session:
        access = Access(
            "subject",
            (Address(self.server.host, self.server.port),),
            username="root",
            password=Secret(PASSWORD),
            host_keys=(self.server.host_key_line,),
        )
        return SshTransport(known_hosts=Path("/nonexistent"), connect_timeout=5).connect(access, dial)

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=DRIVER.check, observer=self._observe))
        return self._links[-1]

    def _observe(self, request: Request, reply: Reply | RouterError, seconds: float) -> None:
        self._requests += not request.reads

    def writes(self) -> int:
        return self._requests + self.simulator.writes()

    def plant(self, interface: str) -> None:
        lines = [line.replace("wg7", interface) for line in PLANTED]
        self.simulator.ok("uci batch", "".join(f"{line}\n" for line in lines).encode())
        self.simulator.ok("uci commit")
        self.simulator.ok(
            f"wg set {interface} peer {STRANGER} preshared-key /dev/stdin allowed-ips 172.31.0.1/32", STRANGERS_SECRET.encode()
        )
        self.simulator.ok('ubus -S call network reload; "$FLEET_ROOT/etc/init.d/firewall" reload')
        self.simulator.settle()

    def foreign(self) -> object:
        seen = self.simulator.snapshot()
        return (
            _sections(self.simulator.read("/etc/config/network"), foreign=True),
            _sections(self.simulator.read("/etc/config/firewall"), foreign=True),
            sorted(
                re.sub(r"endpoint_at=[\d.]+", "", device)
                for device in seen.devices
                if device.startswith("office") or STRANGER in device
            ),
            [line for line in seen.ruleset.split("\n") if "of others" in line],
        )

    def ours(self) -> object:
        seen = self.simulator.snapshot()
        devices = [
            re.sub(r" key \S+|endpoint_at=[\d.]+", "", device)
            for device in seen.devices
            if device.startswith("wg7") and STRANGER not in device
        ]
        left = sorted(path for path in seen.files if re.search(r"etc/fleet|fleet-guard|\.fleet$", path))
        return (
            _sections(self.simulator.read("/etc/config/network"), foreign=False),
            _sections(self.simulator.read("/etc/config/firewall"), foreign=False),
            sorted(devices),
            sorted(route for route in seen.routes if "wg7" in route and "172.31" not in route),
            sorted(line.strip() for line in seen.ruleset.split("\n") if "fleet:" in line or "wg_contract" in line),
            left,
        )

    def advance(self, seconds: float) -> None:
        self.simulator.advance(seconds)

    def reboot(self) -> None:
        self.simulator.reboot()

    def exposed(self) -> str:
        return self.simulator.exposed()

    def close(self) -> None:
        for link in self._links:
            link.close()
        self.server.close()
        self.simulator.close()


def _sections(text: str, *, foreign: bool) -> list[str]:
    """Sections of a configuration file, those of others or those of ours, without private keys of ours."""
    found = [section.strip() for section in re.split(r"\n(?=config )", "\n" + text) if section.strip()]
    ours = [section for section in found if re.match(r"config \S+ '(wg7|wgp_\w+|fleet_\w+)'", section)]
    if foreign:
        return [section for section in found if section not in ours]
    return sorted(re.sub(r"(private_key|fleet_\w+_key) '\S+'", r"\1", section) for section in ours)
