"""Simulated branch routers of the demo, by driver.

A driver comes into the demo by one class here, one line in `BY_DRIVER`, and a branch of it in `network.BRANCHES`:

```python
class AcmeBranch(BranchRouter):
    vendor = "Acme"
    group = "driver: acme, host: 127.0.0.1"       # what the inventory says once for all of them
    ...                                           # the methods of BranchRouter
```
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self

from ..ether import Ether, Node
from ..omada import Application, Firmware, Gateway, OmadaSimulator, Site
from ..openwrt import OpenWrtSimulator
from ..opnsense import OpnsenseSimulator, User
from ..routeros import RouterosSimulator

PASSWORD: Final = "simulated-router-password"
"""Of every simulated router. Never shown, like any password."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch: its driver, the release of its router's software, the third byte of its LAN."""

    name: str
    version: str
    lan: int
    driver: str = "mikrotik"

    @property
    def host(self) -> str:
        """An address in its LAN."""
        return f"192.168.{self.lan}.10"


class BranchRouter(ABC):
    """The simulated router of one branch, behind carrier NAT, started by `with`."""

    vendor: ClassVar[str]
    group: ClassVar[str]

    def __init__(self, branch: Branch, ether: Ether) -> None:
        self.branch, self.ether = branch, ether

    @abstractmethod
    def __enter__(self) -> Self:
        """Start it."""

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it."""

    @property
    @abstractmethod
    def node(self) -> Node:
        """It as the ether knows it: interfaces, and where a ping starts."""

    @property
    @abstractmethod
    def keys(self) -> str:
        """Its own keys of the inventory, `port: 4711` for one."""

    @property
    @abstractmethod
    def writes(self) -> int:
        """Write commands that it took so far."""

    @abstractmethod
    def set_offline(self, offline: bool = True) -> None:
        """Power cut, or power again."""

    @abstractmethod
    def secrets(self) -> set[str]:
        """Every private and preshared key that it holds now."""


class MikrotikBranch(BranchRouter):
    """RouterOS."""

    vendor = "MikroTik"
    group = "driver: mikrotik, host: 127.0.0.1, options: {tls: false}"

    def __init__(self, branch: Branch, ether: Ether) -> None:
        super().__init__(branch, ether)
        users = {"fleet": (PASSWORD, "read,write,api,test")}
        self.simulator = RouterosSimulator(
            branch.name, branch.version, users=users, ether=ether, lan=f"192.168.{branch.lan}.1/24", wan="100.64.0.2/24"
        )

    def __enter__(self) -> Self:
        self.simulator.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.simulator.stop()

    @property
    def node(self) -> Node:
        """The simulator itself."""
        return self.simulator

    @property
    def keys(self) -> str:
        """A port of this machine."""
        return f"port: {self.simulator.port}"

    @property
    def writes(self) -> int:
        """As the router counts them."""
        return self.simulator.counters.writes

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        self.simulator.set_offline(offline)

    def secrets(self) -> set[str]:
        """Unmasked, as no print shows them."""
        rows = [*self.simulator.rows("/interface/wireguard"), *self.simulator.rows("/interface/wireguard/peers")]
        return {row.get(name, "") for row in rows for name in ("private-key", "preshared-key")}


class OpenwrtBranch(BranchRouter):
    """OpenWrt behind an SSH server that behaves like dropbear."""

    vendor = "OpenWrt"
    group = "driver: openwrt, host: 127.0.0.1, username: root"

    def __enter__(self) -> Self:
        branch = self.branch
        self.simulator = OpenWrtSimulator(
            branch.name, self.ether, version=branch.version, lans=(f"192.168.{branch.lan}.0/24",), hurry=0.2
        )
        self._ssh = self.simulator.serve_ssh(passwords={"root": PASSWORD})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ssh.close()
        self.simulator.close()

    @property
    def node(self) -> Node:
        """The simulator itself."""
        return self.simulator

    @property
    def keys(self) -> str:
        """A port of this machine."""
        return f"port: {self._ssh.port}"

    @property
    def writes(self) -> int:
        """Commits to its flash."""
        return self.simulator.flash_commits

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        if offline:
            self._ssh.pause()
        else:
            self._ssh.resume()

    def secrets(self) -> set[str]:
        """Out of /etc/config/network."""
        shown = self.simulator.read("/etc/config/network")
        return set(re.findall(r"option (?:private_key|preshared_key|fleet_\w+_key) '([^']+)'", shown))


class OmadaBranch(BranchRouter):
    """A gateway behind an Omada controller of its own."""

    vendor = "Omada"
    group = (
        "driver: omada, host: 127.0.0.1, api_key: 'env:FLEET_PASSWORD', api_secret: 'env:FLEET_PASSWORD', manage: "
        "{forwarding: false, listen_port: false, masquerade: false, mss: false, management: false, resolve: false}"
    )

    def __init__(self, branch: Branch, ether: Ether) -> None:
        super().__init__(branch, ether)
        self._gateway = Gateway(branch.name, firmware=Firmware(domains=True), lans=(f"192.168.{branch.lan}.1/24",))
        self._site = Site(branch.name, self._gateway)
        application = Application(PASSWORD, PASSWORD)  # real ones have an id that is no secret
        self.simulator = OmadaSimulator(branch.version, [self._site], applications=[application], ether=ether)

    def __enter__(self) -> Self:
        self.simulator.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.simulator.stop()

    @property
    def node(self) -> Node:
        """The gateway."""
        return self._gateway

    @property
    def keys(self) -> str:
        """A port of this machine."""
        return f"port: {self.simulator.port}"

    @property
    def writes(self) -> int:
        """Settings of its site that were changed."""
        return self._site.writes

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        self.simulator.set_offline(offline)

    def secrets(self) -> set[str]:
        """Of every tunnel of its site."""
        peers = {peer.preshared_key or "" for tunnel in self._site.tunnels for peer in tunnel.peers}
        return peers | {tunnel.private_key for tunnel in self._site.tunnels}


class OpnsenseBranch(BranchRouter):
    """OPNsense over its REST API, by an account that may do what the README lists."""

    vendor = "OPNsense"
    group = (
        "driver: opnsense, host: 127.0.0.1, api_key: 'env:FLEET_PASSWORD', api_secret: 'env:FLEET_PASSWORD', "
        "manage: {mss: false}"
    )
    rights = ("page-wireguard-config", "page-filter-api", "page-system-settings-cron")

    def __init__(self, branch: Branch, ether: Ether) -> None:
        super().__init__(branch, ether)
        users = [User("fleet", self.rights, keys={PASSWORD: PASSWORD})]  # real keys are no secret by themselves
        self.simulator = OpnsenseSimulator(
            branch.name,
            branch.version,
            users=users,
            ether=ether,
            names={"vpn.example.com": "198.51.100.10"},
            lan=f"192.168.{branch.lan}.1/24",
        )

    def __enter__(self) -> Self:
        self.simulator.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.simulator.stop()

    @property
    def node(self) -> Node:
        """The simulator itself."""
        return self.simulator

    @property
    def keys(self) -> str:
        """A port of this machine."""
        return f"port: {self.simulator.port}"

    @property
    def writes(self) -> int:
        """Revisions of its configuration."""
        return self.simulator.writes()

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        self.simulator.set_offline(offline)

    def secrets(self) -> set[str]:
        """Of instances and peers, as they are stored."""
        private = {record["privkey"] for record in self.simulator.server_records.values()}
        return private | {record["psk"] for record in self.simulator.client_records.values()}


BY_DRIVER: Final[dict[str, type[BranchRouter]]] = {
    "mikrotik": MikrotikBranch,
    "openwrt": OpenwrtBranch,
    "omada": OmadaBranch,
    "opnsense": OpnsenseBranch,
}
"""By the inventory's `driver:`."""
