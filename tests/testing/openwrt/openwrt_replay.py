"""Exchanges recorded from real OpenWrt software, and a simulated router they are replayed on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.testing.ether import Clock, Ether, SimInterface, SimPeer
from fleet.testing.openwrt import OpenWrtSimulator

FIXTURES = Path(__file__).parents[2] / "fixtures" / "openwrt"

NETWORK = """
config interface 'loopback'
	option device 'lo'
	option proto 'static'
	option ipaddr '127.0.0.1'
	option netmask '255.0.0.0'

config globals 'globals'
	option ula_prefix 'fd12:3456:789a::/48'

config interface 'lan'
	option device 'lan0'
	option proto 'static'
	option ipaddr '192.168.1.1'
	option netmask '255.255.255.0'

config interface 'wan'
	option device 'wan0'
	option proto 'static'
	option ipaddr '192.0.2.1'
	option netmask '255.255.255.0'
	option gateway '192.0.2.2'

"""
"""The configuration the recordings began with (capture 2)."""


@dataclass(frozen=True)
class Exchange:
    """One command with what it said. `error` is apart from `out`; `notes` are the lines of prose before it."""

    command: str
    out: str
    error: str
    code: int
    notes: str


def exchanges(name: str) -> list[Exchange]:
    """The exchanges of a fixture in order."""
    return list(_read((FIXTURES / f"{name}.txt").read_text().split("\n")[3:]))


def _read(lines: list[str]) -> Iterator[Exchange]:
    notes: list[str] = []
    while lines:
        line = lines.pop(0)
        if line.startswith("## "):
            notes.append(line[3:])
        elif line.startswith("# "):
            command = [line[2:]]
            if "<<'STDIN'" in line:
                while command[-1] != "STDIN":
                    command.append(lines.pop(0))
            while lines[0].startswith("> "):
                command.append(lines.pop(0)[2:])
            out, error = list[str](), list[str]()
            while not (end := re.match(r"\[rc=(-?\d+)\]$", lines[0])):
                line = lines.pop(0)
                (error if line.startswith("2> ") else out).append(line.removeprefix("2> "))
            yield Exchange("\n".join(command), "\n".join(out), "\n".join(error), int(end[1]), "\n".join(notes))
            notes = []


STEP = 0.25
"""Seconds of the clock that go by at once."""

SITE2 = "boFyStY0WKZIw+b9yes/7oqPBnl5n8tgdZKNuKmhrkk="
PRIVATE = "2J8iET/Yjy0X+7p6C7u/SKPckrgy4Kqr6i0/6C4ex3o="
PUBLIC = "pUXv1PZzES3gxeZtASpiMxuBHvP05baBLa6iJOXaK24="

TUNNEL = (
    "set network.wg0=interface",
    "set network.wg0.proto=wireguard",
    f"set network.wg0.private_key={PRIVATE}",
    "set network.wg0.listen_port=51820",
    "add_list network.wg0.addresses=10.200.0.1/24",
)
PEER = (
    "set network.wgp_site2=wireguard_wg0",
    f"set network.wgp_site2.public_key={SITE2}",
    "set network.wgp_site2.description='site two'",
    "set network.wgp_site2.endpoint_host=192.0.2.2",
    "set network.wgp_site2.endpoint_port=51820",
    "set network.wgp_site2.persistent_keepalive=5",
    "set network.wgp_site2.route_allowed_ips=1",
    "add_list network.wgp_site2.allowed_ips=10.200.0.2/32",
    "add_list network.wgp_site2.allowed_ips=192.168.20.0/24",
)
"""The tunnel of the recordings, as far as they show it."""


class FarEnd:
    """The other end of the recorded tunnel: it answers and forwards nothing."""

    name = "owrt-peer"
    public_hosts = frozenset({"192.0.2.2"})
    lans = ("192.168.20.0/24",)

    def wireguard(self) -> list[SimInterface]:
        mine = SimPeer(PUBLIC, allowed_ips=("10.200.0.1/32", "192.168.1.0/24"))
        return [SimInterface("wg0", SITE2, 51820, peers=[mine], addresses=("10.200.0.2/24",))]


class Recorded(OpenWrtSimulator):
    """A router on which waiting takes no time: the clock moves with it, step by step, and not otherwise. `session`: of rpcd."""

    session = ""

    def wait(self, seconds: float) -> bool:
        for _ in range(int(seconds / STEP)):
            self.clock.advance(STEP)
            self._until_done()
        return not self.down.is_set()

    def settle(self, seconds: float = 30.0) -> None:
        while not self._is_quiet():
            self.wait(STEP)

    def _until_done(self) -> None:
        while self.agenda.busy() and not self.down.wait(0.005):
            pass


PACKAGES = ("wireguard-tools", "kmod-wireguard", "luci-proto-wireguard")


def recorded(version: str, *staged: str) -> Recorded:
    """A router with the configuration the recordings began with, `staged` committed on top, and the far end."""
    ether = Ether(Clock(frozen=True), recovery=0.0)
    ether.attach(FarEnd())
    router = Recorded(
        "recorded",
        ether,
        version=version,
        lan_device="lan0",
        wan_device="wan0",
        public_hosts=("192.0.2.1",),
        packages=PACKAGES,
        iproute2=True,
    )
    router.write("/etc/config/network", NETWORK, 0o600)
    if staged:
        router.stage(*staged, "commit network")
    router.reboot()
    return router


def replay(router: OpenWrtSimulator, command: str) -> tuple[str, str, int]:
    """Run a command whose absolute paths are those of a router; output and error as the recordings have them."""
    root = str(router.root_path)
    inside = re.sub(r"(?<![\w/}\"$.])/(etc|tmp|var|lib|sbin|bin|usr|dev/null2)(?=/|\b)", r"$FLEET_ROOT/\1", command)
    out, error, code = router.run(inside)
    return _plain(out.decode(), root), _plain(error.decode(), root), code


def _plain(text: str, root: str) -> str:
    """Without the directory of the simulation, and with the usage texts cut as in the recordings."""
    text = text.replace(root, "")
    text = re.sub(
        r"^(Usage: (?:uci|ubus|wg show) .*)\n(?:(?!Usage).*\n?)*", r"\1\n(usage text cut)\n", text, flags=re.MULTILINE
    )
    return text.rstrip("\n")
