"""What the scripts of one commit see and do: whose commit it is, keys, `wg`, `ip` and iptables as root, names, tasks."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Final

from ..linux._call import Refused
from ..linux._kernel import Device, is_key
from .calls import EdgeCall, User
from .tree import Node

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator

DNS_PATIENCE: Final = 15
"""How often wg(8) asks for a name that does not resolve before it gives up: 72 s in all."""


def readable_key(router: EdgeOsSimulator, value: str, user: User) -> tuple[bool, str]:
    """is_valid_key.sh: an inline key, or a file with one that this user may read; and what `cat` said if not."""
    if not value.startswith("/"):
        return is_key(value), ""
    path = router.root_path / value.lstrip("/")
    if not path.is_file():
        return False, ""
    if not router.owners.readable(path, user):
        return False, f"cat: {value}: Permission denied"
    return is_key(path.read_text("ascii", "replace").strip()), ""


class Asking:
    """What checks of `set` ask, on behalf of whoever sets."""

    def __init__(self, router: EdgeOsSimulator) -> None:
        self._router = router

    def readable_key(self, value: str) -> tuple[bool, str]:
        """For the user who sets."""
        acting = self._router.acting
        return readable_key(self._router, value, acting.user if acting is not None else User("root", 0))

    def max_mtu(self) -> int:
        """As ubnt-hal says (captures 5)."""
        return 2018


class Scripts:
    """The scripts of one commit. `call` is the committing process, None for the system itself."""

    def __init__(self, router: EdgeOsSimulator, working: Node, call: EdgeCall | None) -> None:
        self._router = router
        self._working = working
        self._call = call
        self._boot = router.boots
        self.rule_sets_made = router.rule_sets_made

    def readable_key(self, value: str) -> tuple[bool, str]:
        """For the user who commits."""
        return readable_key(self._router, value, self._call.user if self._call is not None else User("root", 0))

    def right_group(self) -> bool:
        """True at boot and under `sg vyattacfg`."""
        native = self._router.version.startswith("3.") and "native-any-group" in self._router.otherwise
        return self._call is None or self._call.in_group or native

    def firewall_rule_set(self, name: str, *, ipv6: bool) -> bool:
        """True if the rule set is in what is being committed."""
        return self._working.has("firewall", "ipv6-name" if ipv6 else "name", name)

    # --- commands ------------------------------------------------------------------------------------------------------

    def script(self, *argv: str, stdin: str = "") -> str:
        """Run and log a command of a template. Raises Refused with what it said."""
        self._still_here()
        self._router.ran.append(" ".join(argv))
        said, code = self._router.ran_as_root(argv, stdin)
        if code:
            old = "old-iproute" in self._router.otherwise and said.endswith("ddress not found.\n")
            raise Refused("RTNETLINK answers: Cannot assign requested address" if old else said.rstrip("\n"))
        return said

    def nat_from_5000(self) -> bool:
        """True where the template enforces the numbers of source rules."""
        return "nat-from-5000" in self._router.otherwise

    def _still_here(self) -> None:
        """A commit does not outlive a power cut."""
        if self._router.down.is_set() or self._router.boots != self._boot:
            raise Refused("")

    def snippet(self, command: str) -> None:
        """up-command, down-command."""
        self._router.ran.append(command)
        with self._router.unlocked():
            self._router.shell(command)

    def route_lines(self, *argv: str) -> str:
        """`ip route`, not logged."""
        flags = [word for word in argv if word in {"-4", "-6"}]
        words = [word for word in argv if word not in {"-4", "-6"}]
        return self._router.ran_as_root(["ip", *flags, "route", *words])[0]

    def restore(self, text: str, *, ipv6: bool = False) -> None:
        """iptables-restore --noflush. Raises Refused."""
        self._still_here()
        said, code = self._router.ran_as_root(["ip6tables-restore" if ipv6 else "iptables-restore", "--noflush"], text)
        if code:
            raise Refused(said.rstrip("\n"))

    # --- the kernel ----------------------------------------------------------------------------------------------------

    def _wg(self, interface: str) -> Device | None:
        device = self._router.kernel.devices.get(interface)
        return device if device is not None and device.wg is not None else None

    def allowed_ips(self, interface: str) -> list[str]:
        """Every CIDR the kernel has for peers of the interface."""
        device = self._wg(interface)
        peers = device.wg.peers.values() if device is not None and device.wg is not None else ()
        return [str(prefix) for peer in peers for prefix in peer.allowed_ips]

    def has_peer(self, interface: str, key: str) -> bool:
        """True if the kernel has the peer."""
        device = self._wg(interface)
        return device is not None and device.wg is not None and key in device.wg.peers

    def chains(self, table: str, *, ipv6: bool = False) -> list[str]:
        """Names of its chains."""
        found = self._router.nftables.tables.get(("ip6" if ipv6 else "ip", table))
        return list(found.chains) if found is not None else []

    def device(self, name: str) -> bool:
        """True if the kernel has the device."""
        return name in self._router.kernel.devices

    def make_device(self, name: str) -> None:
        """A device like an Ethernet one, up, if it is not there."""
        if not self.device(name):
            self._router.kernel.add_device(name, "ether")
            self._router.kernel.set_up(name, True)

    def rename(self, name: str) -> None:
        """The host name as the kernel has it."""
        self._router.kernel.sysctls["kernel.hostname"] = name

    # --- names ---------------------------------------------------------------------------------------------------------

    def resolves(self, endpoint: str) -> None:
        """Wait as wg does for a name, holding the commit lock. Raises Refused when it gives up, or is interrupted."""
        host = endpoint[1:].partition("]")[0] if endpoint.startswith("[") else endpoint.rpartition(":")[0]
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return
        if ":" not in endpoint:
            return
        said, delay = list[str](), 1.0
        for attempt in range(DNS_PATIENCE + 1):
            if self._router.resolve(host) is not None:
                return
            words = f"Temporary failure in name resolution: `{endpoint}'"
            if attempt == DNS_PATIENCE:
                said.append(words)
                break
            said.append(f"{words}. Trying again in {delay:.2f} seconds...")
            if not self._patient(delay):
                break
            delay = min(delay * 1.2, 20.0)
        raise Refused("\n".join(said))

    def _patient(self, seconds: float) -> bool:
        """Wait without the router's lock; False when it goes down or the committing process is gone."""
        router = self._router
        deadline = router.clock.now() + seconds
        with router.unlocked():
            while router.clock.now() < deadline:
                if router.down.wait(router.timers.POLL) or (self._call is not None and not self._call.alive()):
                    return False
        return True

    # --- tasks ---------------------------------------------------------------------------------------------------------

    def schedule(self, tasks: Node) -> None:
        """The task scheduler: `interval` in minutes unless it says h or d, as root."""
        router = self._router
        for name in [name for name in router.timers.names() if name.startswith("task ")]:
            router.timers.cancel(name)
        for name, task in tasks.children.items():
            interval, path = task.value("interval"), task.value("executable", "path")
            if interval is not None and path is not None:
                seconds = _seconds(interval)
                router.timers.at(f"task {name}", seconds, self._task(path, task.value("executable", "arguments")), seconds)

    def _task(self, path: str, arguments: str | None) -> _Task:
        return _Task(self._router, f"{path} {arguments or ''}")


class _Task:
    def __init__(self, router: EdgeOsSimulator, line: str) -> None:
        self._router = router
        self._line = line

    def __call__(self) -> None:
        self._router.run_task(self._line)


def _seconds(interval: str) -> int:
    number, unit = (interval[:-1], interval[-1]) if interval[-1].isalpha() else (interval, "m")
    return int(number) * {"m": 60, "h": 3600, "d": 86400}[unit]
