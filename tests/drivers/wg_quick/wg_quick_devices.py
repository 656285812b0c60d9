"""Linux routers as the contract suite wants them: a namespace with the real tools, and a simulated host behind real SSH."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from test_wg_quick_host import DROPPING
from wg_quick_host import DRIVER, Host, host, wait_for

from fleet import Rejected, Reply, Request, Secret
from fleet.errors import RouterError
from fleet.link import Access, Address, Exec, RouterLink, Session, Target
from fleet.testing.linux import LinuxSimulator
from fleet.transports.ssh import SshTransport

STRANGER = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
STRANGERS_SECRET = "6BYkIzIMxgUzsXVqzPzGDQ2f5pW7hB2nQZzRIYyqxHM="
STRANGERS_PEER = f"""
[Peer]
# Raj's laptop, do not touch
PublicKey = {STRANGER}
PresharedKey = {STRANGERS_SECRET}
AllowedIPs = 172.31.0.1/32
"""
OFFICE = """# the old office
[Interface]
PrivateKey = CO7OC5Hd9t02MhvFDEjdZIdEuUzVJKfGxxJ5TCl5XlY=
ListenPort = 13999
Address = 172.31.9.1/24
"""
FOREIGN_TABLE = (
    'table inet mine {\n chain f {\n type filter hook forward priority 5;\n tcp dport 99 accept comment "mine"\n }\n}\n'
)


def _without_ours(ruleset: str) -> list[str]:
    """Rules of others: without the tables of ours, and without marked rules in theirs."""
    kept = re.sub(r"table inet fleet_\S+ \{.*?\n\}", "", ruleset, flags=re.DOTALL)
    return [line for line in kept.split("\n") if line.strip() and "fleet:" not in line]


class _Counted:
    """Counts what is sent that is not a read, and every change that shows."""

    def __init__(self) -> None:
        self.count = 0
        self._seen: object = None
        self._links: list[RouterLink] = []

    def connect(self) -> Session:
        raise NotImplementedError

    def state(self) -> object:
        raise NotImplementedError

    def link(self, target: Target) -> RouterLink:
        self._links.append(RouterLink(target, self.connect, check=DRIVER.check, observer=self._observe))
        return self._links[-1]

    def _observe(self, request: Request, reply: Reply | RouterError, seconds: float) -> None:
        self.count += not request.reads

    def writes(self) -> int:
        state = self.state()
        if self._seen != state:
            self.count += 1
            self._seen = state
        return self.count

    def close(self) -> None:
        for link in self._links:
            link.close()


class _Here:
    """A session that runs scripts in the namespace of a router of the tests."""

    identity = "ssh-ed25519 of-the-tests"
    address = Address("192.0.2.1", 22)

    def __init__(self, router: Host) -> None:
        self._router = router

    def send(self, requests: Sequence[Request]) -> list[Reply | RouterError]:
        return [self._run(request) for request in requests]

    def _run(self, request: Request) -> Reply | RouterError:
        assert isinstance(request, Exec)
        stdin = "".join(part.reveal() if isinstance(part, Secret) else part for part in request.stdin)
        done = self._router.execute(request.command, stdin.encode())
        reply = Reply(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), done.returncode)
        if reply.code not in request.accept:
            return Rejected(f"exit code {reply.code}", evidence=reply.error)
        return reply

    def close(self) -> None:
        """Nothing is open."""


# Time that the test moves: `sleep` of the timers waits for the uptime that /proc tells, and short ones just wait.
_SLEEP = """#!/bin/dash
case $1 in 0* | 1) exec /bin/sleep "$1" ;; esac
end=$(($(cut -d . -f 1 /proc/uptime) + $1))
: >/mnt/sleeping.$$
until [ "$(cut -d . -f 1 /proc/uptime)" -ge "$end" ]; do /bin/sleep 0.1; done
"""
_SPY = """#!/bin/dash
printf '%s\\n' "$0 $*" >>/mnt/spy/log
exec REAL "$@"
"""


class RealLinux(_Counted):
    """Namespaces with the real wg, ip, nft and wg-quick, behind somebody else's firewall that drops."""

    def __init__(self) -> None:
        super().__init__()
        self._context = host("subject")
        self.router = self._context.__enter__()
        self._planted = ""
        run = self.router.run
        run("nft -f -", DROPPING)
        run("mkdir -p /mnt/spy; echo 1000.00 >/mnt/uptime; mount --bind /mnt/uptime /proc/uptime")
        for tool in ("wg", "ip", "nft", "wg-quick", "setsid", "cp", "sed"):
            self.router.write(f"/mnt/spy/{tool}", _SPY.replace("REAL", run(f"command -v {tool}").strip()))
        self.router.write("/mnt/spy/sleep", _SLEEP)
        run("chmod 755 /mnt/spy/*")
        self.router.environment["PATH"] = "/mnt/spy:" + os.environ["PATH"]

    def connect(self) -> Session:
        return _Here(self.router)

    def state(self) -> object:
        return self.router.run(
            "find /etc/wireguard /etc/rc.local /etc/systemd /etc/cron.d -newer /etc/hostname -exec stat -c '%n %i %Y %s' {} +;"
            "wg showconf wg7 | sort; ip addr; ip route; nft list ruleset",
            check=False,
        )

    def plant(self, interface: str) -> None:
        run = self.router.run
        run(f"cat >>/etc/wireguard/{interface}.conf", STRANGERS_PEER)
        run(f"wg set {interface} peer {STRANGER} preshared-key /dev/stdin allowed-ips 172.31.0.1/32", STRANGERS_SECRET)
        self.router.write("/etc/wireguard/office.conf", OFFICE)
        self._planted = interface
        self._plant_what_runs()

    def _plant_what_runs(self) -> None:
        self.router.run("wg-quick up office 2>&1")
        self.router.run(f"ip route add 172.31.8.0/24 dev {self._planted}; nft -f -", FOREIGN_TABLE)

    def foreign(self) -> object:
        run = self.router.run
        return (
            STRANGERS_PEER.encode() in self.router.read("/etc/wireguard/wg7.conf"),
            self.router.read("/etc/wireguard/office.conf"),
            run(
                "stat -c '%i %Y %a' /etc/wireguard/office.conf; wg showconf office;"
                "ip -o -4 addr show dev office | cut -d ' ' -f 2-"
            ),
            run(f"wg showconf wg7 | grep -A 3 {STRANGER} | grep .; ip route show 172.31.8.0/24"),
            _without_ours(run("nft list ruleset")),
        )

    def ours(self) -> object:
        run = self.router.run
        files = [name for name in run("ls -A /etc/wireguard").split() if not name.startswith("office")]
        texts = [name for name in files if name.endswith((".conf", ".list", ".sh"))]
        return (
            files,
            {name: sorted(self.router.read(f"/etc/wireguard/{name}").decode().split("\n")) for name in texts},
            run("grep -h fleet: /etc/rc.local; ls /etc/systemd/system /etc/cron.d | grep fleet; true"),
            sorted(line for line in run("wg showconf wg7", check=False).split("\n") if "PrivateKey" not in line),
            sorted(
                run("ip -o addr show dev wg7 scope global | cut -d ' ' -f 2-; ip route show proto 87", check=False).split("\n")
            ),
            sorted(re.sub(r"^\s+", "", line) for line in run("nft list ruleset").split("\n") if "fleet" in line),
            len(self.router.processes("fleet-wg7.sh loop")),
        )

    def _asleep(self) -> bool:
        """True if every timer that is armed has begun to wait: who asks the time after it moved would wait too long."""
        sleepers = [name.rpartition(".")[2] for name in self.router.run("ls /mnt").split() if name.startswith("sleeping.")]
        return sum(Path(f"/proc/{pid}").exists() for pid in sleepers) >= len(self._dues())

    def advance(self, seconds: float) -> None:
        wait_for(self._asleep, "the timers wait")
        now = float(self.router.read("/mnt/uptime")) + seconds
        self.router.run(f"echo {now:.2f} >/mnt/uptime")
        wait_for(lambda: not any(due <= now for due in self._dues()), "what is due has run")

    def _dues(self) -> list[int]:
        return [int(text) for text in self.router.run("cat /run/fleet/guard-*/due", check=False).split()]

    def reboot(self) -> None:
        for pid in set(self.router.processes("")) - {self.router.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run = self.router.run
        run("for i in $(ls /sys/class/net); do [ $i = lo ] || ip link del $i 2>/dev/null; done; nft flush ruleset")
        run("umount /run; mount -t tmpfs tmpfs /run; echo 0 >/proc/sys/net/ipv4/ip_forward")
        run("nft -f -", DROPPING)
        run("[ ! -x /etc/rc.local ] || /etc/rc.local >/dev/null 2>&1 </dev/null")
        if "wg-quick up wg7" in run("cat /etc/rc.local 2>/dev/null; true"):
            wait_for(
                lambda: run("ip link show up dev wg7", check=False) and not self.router.processes("wg-quick up"), "wg7 is up"
            )
        if self._planted:
            self._plant_what_runs()

    def exposed(self) -> str:
        return self.router.read("/mnt/spy/log").decode(errors="replace")

    def close(self) -> None:
        super().close()
        self._context.__exit__(None, None, None)


PASSWORD = "seven-of-nine"


def dial(address: Address, timeout: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout)


class SimulatedLinux(_Counted):
    """A simulated host behind a real SSH server; the login is no root and becomes it by sudo."""

    def __init__(
        self,
        firewall: Literal["none", "nftables", "iptables", "firewalld", "ufw"] = "nftables",
        init: Literal["systemd", "rc.local"] = "systemd",
        *,
        root: bool = True,
    ) -> None:
        super().__init__()
        self.simulator = LinuxSimulator("subject", firewall=firewall, hardened=firewall != "none", init=init, root=root)
        self._planted = ""
        self.server = self.simulator.serve_ssh(passwords={"fleet": PASSWORD})

    def connect(self) -> Session:
        access = Access(
            "subject",
            (Address(self.server.host, self.server.port),),
            username="fleet",
            password=Secret(PASSWORD),
            host_keys=(self.server.host_key_line,),
        )
        return SshTransport(known_hosts=Path("/nonexistent"), connect_timeout=5).connect(access, dial)

    def state(self) -> object:
        return self.simulator.snapshot()

    def plant(self, interface: str) -> None:
        conf = f"/etc/wireguard/{interface}.conf"
        self.simulator.write(conf, self.simulator.read(conf) + STRANGERS_PEER, 0o600)
        self.simulator.ok(
            f"wg set {interface} peer {STRANGER} preshared-key /dev/stdin allowed-ips 172.31.0.1/32", STRANGERS_SECRET.encode()
        )
        self.simulator.plant_wireguard("office", OFFICE)
        self._planted = interface
        self.simulator.ok(f"ip route add 172.31.8.0/24 dev {interface}")

    def foreign(self) -> object:
        seen = self.simulator.snapshot()
        return (
            STRANGERS_PEER in self.simulator.read("/etc/wireguard/wg7.conf"),
            {path: file for path, file in seen.files.items() if "office" in path},
            sorted(
                re.sub(r"endpoint_at=[\d.]+", "", device)
                for device in seen.devices
                if device.startswith("office") or STRANGER in device
            ),
            sorted(route for route in seen.routes if "172.31" in route),
            _without_ours(seen.ruleset),
        )

    def ours(self) -> object:
        seen = self.simulator.snapshot()
        files = {
            path: sorted(raw.decode(errors="replace").replace(str(self.simulator.root_path), "").split("\n"))
            if not path.endswith((".key", ".next", ".prev"))
            else mode
            for path, (mode, raw) in seen.files.items()
            if re.search(r"etc/wireguard/(?!office)|fleet|wg7", path)
        }
        devices = [
            re.sub(r" key \S+|endpoint_at=[\d.]+", "", device)
            for device in seen.devices
            if device.startswith("wg7") and STRANGER not in device
        ]
        rules = sorted(line.strip() for line in seen.ruleset.split("\n") if "fleet" in line)
        return files, sorted(devices), [route for route in seen.routes if "87" in route], rules

    def advance(self, seconds: float) -> None:
        self.simulator.clock.advance(seconds)
        now = int(self.simulator.ok('cut -d . -f 1 "$FLEET_ROOT/proc/uptime" 2>/dev/null || date +%s'))
        folder = self.simulator.root_path / "run/fleet"
        wait_for(lambda: not any(int(due.read_text()) <= now for due in folder.glob("guard-*/due")), "what is due has run")

    def reboot(self) -> None:
        try:
            self.simulator.reboot()
        except FileExistsError:  # something wrote into /run while it was killed; by now it is dead
            self.simulator.reboot()
        seen: list[object] = [None]

        def settled() -> bool:
            seen.append(self.simulator.snapshot())
            time.sleep(0.2)
            return seen[-1] == seen[-2] and seen[-1] == self.simulator.snapshot()

        wait_for(settled, "everything has started")
        if self._planted and "172.31.8.0/24" not in self.simulator.ok("ip route"):
            self.simulator.ok(f"ip route add 172.31.8.0/24 dev {self._planted}")

    def exposed(self) -> str:
        return "\n".join(" ".join(run.argv) for run in self.simulator.invocations)

    def close(self) -> None:
        super().close()
        self.simulator.close()
