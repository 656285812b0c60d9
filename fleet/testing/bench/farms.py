"""Simulated routers by driver, as the benches need them: start one, say how the inventory names it, count what it saw.

A driver is added by one class and one line in `FARM`:

```python
class AcmeRouter(Simulated):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._router = AcmeSimulator(place.name, place.ether, lan=..., public_hosts=place.public_hosts)
    def __enter__(self): ...                      # start it
    def close(self): ...                          # stop it
    keys = property(...)                          # "driver: acme, host: 127.0.0.1, port: 4711"
    def reset(self): ...                          # count from here
    def traffic(self): ...                        # what it saw since

FARM["acme"] = Entry(AcmeRouter, "calls")
```

`place.round_trip` is to hold for every answer of the simulator. Everything else (network, inventory, figures, table) follows
from `FARM`: `make bench` then has a hub of that driver and the cost of its guard.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from ..ether import Ether
from ..linux import LinuxSimulator
from ..openwrt import OpenWrtSimulator
from ..routeros import Latency, RouterosSimulator
from ..sshd import SshServer, Stdin

PASSWORD: Final = "bench-password"
"""Of the account `fleet` on every simulated router."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one router saw. `round_trips` after login; of SSH the commands run. Bytes before encryption."""

    round_trips: int
    sent: int
    received: int
    writes: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a router stands: the first (number 0) is the hub. `round_trip` in seconds."""

    number: int
    ether: Ether
    round_trip: float = 0.0

    @property
    def name(self) -> str:
        """As the inventory calls it."""
        return f"r{self.number}"

    @property
    def lan(self) -> ipaddress.IPv4Network:
        """The network behind it."""
        return ipaddress.IPv4Network((int(ipaddress.IPv4Address("172.16.0.0")) + self.number * 256, 24))

    @property
    def public_hosts(self) -> tuple[str, ...]:
        """Addresses at which its UDP port is reached: the hub's."""
        return ("192.0.2.1",) if self.number == 0 else ()


class Simulated(ABC):
    """One simulated router, started by `with`."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def __enter__(self) -> Self:
        """Start it."""

    @abstractmethod
    def close(self) -> None:
        """Stop it."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    @abstractmethod
    def keys(self) -> str:
        """Its keys of the inventory besides role, endpoint and LANs: driver, host, port, options."""

    @abstractmethod
    def reset(self) -> None:
        """Count from here."""

    @abstractmethod
    def traffic(self) -> Traffic:
        """What it saw since the reset; `writes` 0 means that nothing changed."""

    def set_offline(self, offline: bool = True) -> None:
        """Take it off the network, or put it back. Only spokes are asked."""
        raise NotImplementedError


class MikrotikRouter(Simulated):
    """RouterOS over its API."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.simulator = RouterosSimulator(
            place.name,
            users={"fleet": (PASSWORD, "read,write,api,test")},
            ether=place.ether,
            public_hosts=place.public_hosts,
            lan=f"{place.lan[1]}/24",
        )
        self.simulator.latency = Latency(place.round_trip)

    def __enter__(self) -> Self:
        self.simulator.start()
        return self

    def close(self) -> None:
        """Stop it."""
        self.simulator.stop()

    @property
    def keys(self) -> str:
        """Plain API: what TLS costs is not what is measured."""
        return f"driver: mikrotik, host: {self.simulator.host}, port: {self.simulator.port}, options: {{tls: false}}"

    def reset(self) -> None:
        """Count from here."""
        self.simulator.counters.reset()

    def traffic(self) -> Traffic:
        """What it saw since the reset."""
        counters = self.simulator.counters
        return Traffic(counters.round_trips, counters.bytes_in, counters.bytes_out, counters.writes)

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        self.simulator.set_offline(offline)


class LinuxRouter(Simulated):
    """A Linux host with nftables, over SSH."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._open = ExitStack()
        self._answered = 0

    def __enter__(self) -> Self:
        place = self.place
        with ExitStack() as opening:
            self.host = opening.enter_context(
                LinuxSimulator(
                    place.name, place.ether, public_hosts=place.public_hosts, lans=(str(place.lan),), firewall="nftables"
                )
            )
            self._ssh = opening.enter_context(SshServer(self._counted, passwords={"fleet": PASSWORD}))
            self._ssh.faults.latency = place.round_trip * 1000
            self._open = opening.pop_all()
        return self

    def close(self) -> None:
        """Stop it."""
        self._open.close()

    @property
    def keys(self) -> str:
        """One port of this machine."""
        return f"driver: wg-quick, host: {self._ssh.host}, port: {self._ssh.port}"

    def reset(self) -> None:
        """Count from here."""
        self._ssh.execs = self._answered = 0
        self._ssh.commands.clear()
        self._ssh.stdins.clear()
        self._before = self.host.snapshot()

    def traffic(self) -> Traffic:
        """`writes` is 1 if a file or the running state differs."""
        sent = sum(map(len, self._ssh.commands)) + sum(map(len, self._ssh.stdins))
        return Traffic(self._ssh.execs, sent, self._answered, int(self.host.snapshot() != self._before))

    def _counted(self, command: str, stdin: Stdin, environment: Mapping[str, str]) -> tuple[bytes, bytes, int]:
        out, error, code = self.host.run(command, stdin, environment)
        self._answered += len(out) + len(error)
        return out, error, code


class OpenwrtRouter(Simulated):
    """OpenWrt 23.05, over SSH."""

    def __enter__(self) -> Self:
        place = self.place
        self.simulator = OpenWrtSimulator(
            place.name, place.ether, public_hosts=place.public_hosts, lans=(str(place.lan),), hurry=0.1
        )
        self._ssh = self.simulator.serve_ssh(passwords={"root": PASSWORD})
        self._ssh.faults.latency = place.round_trip * 1000
        self._answered = 0
        return self

    def close(self) -> None:
        """Stop it."""
        self._ssh.close()
        self.simulator.close()

    @property
    def keys(self) -> str:
        """One port of this machine."""
        return f"driver: openwrt, username: root, host: {self._ssh.host}, port: {self._ssh.port}"

    def reset(self) -> None:
        """Count from here."""
        self._ssh.execs = 0
        self._ssh.commands.clear()
        self._ssh.stdins.clear()
        self._before = self.simulator.state()

    def traffic(self) -> Traffic:
        """What came back is not counted: the server of the simulator does not tell. `writes` is 1 if anything differs."""
        sent = sum(map(len, self._ssh.commands)) + sum(map(len, self._ssh.stdins))
        return Traffic(self._ssh.execs, sent, 0, int(self.simulator.state() != self._before))

    def set_offline(self, offline: bool = True) -> None:
        """Nothing listens."""
        if offline:
            self._ssh.pause()
        else:
            self._ssh.resume()


@dataclass(frozen=True, slots=True)
class Entry:
    """How routers of one driver are made, and what their round trips are called in the table."""

    make: Callable[[Place], Simulated]
    unit: str = "round trips"


FARM: Final[dict[str, Entry]] = {
    "mikrotik": Entry(MikrotikRouter),
    "wg-quick": Entry(LinuxRouter, "commands"),
    "openwrt": Entry(OpenwrtRouter, "commands"),
}
"""By driver."""
