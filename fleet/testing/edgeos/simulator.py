"""A simulated EdgeRouter: scripts run under a real bash behind a real SSH server, the configuration backend is this package.

The kernel, `wg`, `ip` and `iptables` are those of the simulated Linux host. Scripts find the files of the router below
`$FLEET_ROOT`; one that does not know that variable has its absolute paths moved there, so that the very lines of the sheet run.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Unpack

from .._nodes import Clock
from ..ether import Ether
from ..linux import LinuxSimulator
from ..linux._call import Call, Refused
from ..linux._kernel import Device, RouteEntry, is_key, parse_interface
from ..linux._machine import Invocation
from ..linux._server import guarded
from ..linux._small import sleep
from ..linux._tools import TOOLS
from ..linux.simulator import SshOptions
from ..sshd import SshServer, Stdin
from . import calls, disk, wrapper
from .backend import Backend, Files, Session
from .calls import IN_GROUP, EdgeCall, Owners, User
from .device import EdgeOsDevice, processes
from .edit import Editor, Said
from .effects import RouterEffects, static_routes
from .management import Management
from .operational import operational
from .rooted import Rooted
from .schema import schema
from .text import Style, braces, footer
from .tree import Node

DNS_PATIENCE: Final = 15
"""How often wg(8) asks for a name that does not resolve before it gives up: 72 s in all."""

_VBASH: Final = """command_not_found_handle() { printf '\\n  Invalid command: [%s]\\n\\n' "$1" >&2; return 127; }
"""


def _reboot(call: Call) -> int:
    call.need_root("reboot: must be superuser.")
    call.host.reboot_soon()
    return 0


def _sleep(call: Call) -> int:
    return calls.edge(call).edge.put_to_sleep(call)


def _atq(call: Call) -> int:
    call.out(calls.edge(call).edge.management.queue(), end="")
    return 0


EDGE_TOOLS: Final[dict[str, Callable[[Call], int | None]]] = {
    **{name: tool for name, tool in TOOLS.items() if name in disk.STAND_INS or name == "wg"},
    "sudo": calls.sudo, "sg": calls.sg, "newgrp": calls.sg, "id": calls.ident, "install": calls.install, "chown": calls.chown,
    "chgrp": calls.chown, "stat": calls.stat, "ls": calls.ls, "uname": calls.uname, "dpkg-query": calls.dpkg_query,
    "dpkg": calls.dpkg_query, "reboot": _reboot, "sleep": _sleep, "atq": _atq, "vyatta-cfg-cmd-wrapper": wrapper.cfg_wrapper,
    "vyatta-op-cmd-wrapper": wrapper.op_wrapper, "cli-shell-api": wrapper.shell_api,
    "vyatta_current_conf_ver.pl": wrapper.current_version,
}  # fmt: skip
_UNLOCKED: Final = frozenset({"sleep", "sudo", "sg", "newgrp", "ls", "ping", "reboot"})


class EdgeOsSimulator(LinuxSimulator):
    """One EdgeRouter, up from construction until `close`. Use it as a context manager.

    `version` is 1.10.11, 2.0.9 or 3.0.0; `board` decides what offloads; `package` False: WireGuard is not installed (3.0 has it
    always). `config`: the text of config.boot instead of the wizard's. `hardened`: the wizard's WAN_IN and WAN_LOCAL drop what
    is not accepted. `users` beside the login `username`.

    `ran`: kernel commands of the templates in order. `lock_config()`: somebody else commits until `unlock_config()`. `acting`:
    the call on whose behalf the backend works. `failing_writes`: the errno with which writes of the backend fail (ENOSPC,
    EROFS), None for a healthy flash. `as_device()` is what the contract suite needs.
    """

    def __init__(
        self,
        name: str,
        ether: Ether | None = None,
        clock: Clock | None = None,
        public_hosts: Sequence[str] = (),
        *,
        version: str = "2.0.9",
        board: str = "e300",
        package: bool = True,
        hardened: bool = True,
        lans: Sequence[str] = (),
        username: str = "ubnt",
        users: Sequence[User] = (),
        names: Mapping[str, str] | None = None,
        missing: Sequence[str] = (),
        config: str = "",
        directory: Path | None = None,
    ) -> None:
        if version not in disk.RELEASES:
            raise ValueError(f"no such firmware: {version}; there are {', '.join(disk.RELEASES)}")
        self.version, self.board, self.release = version, board, disk.RELEASES[version]
        self.model = disk.MODELS[board]
        self.package = package
        self.ran: list[str] = []
        self.rule_sets_made: set[str] = set()
        self.failing_writes: int | None = None
        self.backend_writes = 0
        self._asleep: dict[int, float] = {}
        self.up_since = 0.0
        self._hardened, self._missing, self._given = hardened, tuple(missing), config
        self._users = [User(username, 1000), *users]
        self.acting: EdgeCall | None = None
        self._working = Node()
        super().__init__(
            name, ether, clock, public_hosts, init="rc.local", firewall="iptables", hardened=hardened, lans=lans, root=False,
            username=username, names=names, directory=directory, tools_version="1.0.20210914",
        )  # fmt: skip

    # --- what it is ----------------------------------------------------------------------------------------------------

    @property
    def has_wireguard(self) -> bool:
        """True with the package, and on 3.0 always."""
        return self.package or self.version.startswith("3.")

    @property
    def package_version(self) -> str | None:
        """What dpkg says; native WireGuard is no package."""
        return "1.0.20220627-1" if self.package and not self.version.startswith("3.") else None

    @property
    def machine(self) -> str:
        """The processor as uname says it."""
        return "mips" if self.board == "e50" else "mips64"

    def user_of(self, uid: int) -> User:
        """The account of a process."""
        uid %= IN_GROUP
        if uid == 0:
            return User("root", 0)
        return next((user for user in self._users if user.uid == uid), self._users[0])

    def uid_of(self, name: str) -> int:
        """The number of an account."""
        return next((user.uid for user in self._users if user.name == name), 0)

    @property
    def environment(self) -> dict[str, str]:
        """What the login shell has."""
        found = super().environment
        return {**found, "HOME": str(self.root_path / "home"), "USER": self.username, "vyatta_sbindir": "/opt/vyatta/sbin"}

    # --- making and starting -------------------------------------------------------------------------------------------

    def _make_disk(self, distro: str, missing: Sequence[str], *, hardened: bool) -> None:
        root = self.root_path
        disk.make_disk(root, self.name, self.board, self.version)
        disk.make_path(root, wireguard=self.has_wireguard, missing=self._missing)
        self.owners = Owners(root, self.username)
        self.management = Management(self)
        self._make_backend()
        if self._given:
            self.write("/config/config.boot", self._given + footer(self.release))
        elif not (root / "config/config.boot").exists():
            tree = Node()
            text = disk.wizard(self.name, self._public, self.lans, self.username, hardened=hardened)
            for line in text.splitlines():
                self.backend.editor.set(tree, tuple(shlex.split(line)))
            self.write("/config/config.boot", braces(tree, self.backend.schema, Style(defaults=True)) + footer(self.release))

    def _make_backend(self) -> None:
        editor = Editor(schema(self.board, wireguard=self.has_wireguard), self)
        self.backend = Backend(editor, Files(self._read_file, self._write_file), self.release)

    def _boot(self) -> None:
        self.boots += 1
        self.up_since = self.clock.now()
        self.ran.clear()
        self.acting = None
        with self._locked():
            self._forget_peers()
            self._fresh_kernel()
            shutil.rmtree(self.root_path / "opt/vyatta/config", ignore_errors=True)
            (self.root_path / "opt/vyatta/config/tmp").mkdir(parents=True)
            self._fresh_run()
        self._run_scripts("pre-config.d")
        with self._locked():
            self._make_backend()
            self.backend.boot(self._read_file("/config/config.boot"), self._effects)
            self._committed("root", "init")
        self._run_scripts("post-config.d")

    def _fresh_kernel(self) -> None:
        kernel_class, ruleset_class = type(self.kernel), type(self.nftables)
        self.nftables = ruleset_class()
        self.kernel = kernel_class(self.name, wireguard_module=self.has_wireguard)
        self.kernel.forgotten = self.forget_peer
        kernel = self.kernel
        kernel.sysctls |= {
            "net.ipv4.ip_forward": "1", "net.ipv4.conf.all.forwarding": "1", "net.ipv6.conf.all.forwarding": "1",
            "kernel.osrelease": "3.10.107-UBNT" if self.version.startswith("1.") else "4.14.54-UBNT" if self.board == "e50"
            else "4.9.79-UBNT", "net.ipv4.conf.all.promote_secondaries": "1",
        }  # fmt: skip
        kernel.add_device("lo", "loopback", 65536)
        kernel.add_address("lo", parse_interface("127.0.0.1/8"))
        for number in range(max(3, len(self.lans) + 1)):
            kernel.add_device(f"eth{number}", "ether")
        for device in list(kernel.devices.values()):
            kernel.set_up(device.name, True)

    def _fresh_run(self) -> None:
        for path in ("run", "tmp"):
            shutil.rmtree(self.root_path / path, ignore_errors=True)
            (self.root_path / path).mkdir()
        boot_id = self.root_path / "proc/sys/kernel/random/boot_id"
        boot_id.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(f"{self.root_path} {self.boots}".encode()).hexdigest()
        boot_id.write_text("-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])) + "\n")
        (self.root_path / "proc/uptime").unlink(missing_ok=True)
        self.sysctl_changed("")

    def _run_scripts(self, folder: str) -> None:
        """Scripts of /config/scripts that are executable and have a plain name (sheet 2.5), as root."""
        for path in sorted((self.root_path / "config/scripts" / folder).glob("*")):
            if os.access(path, os.X_OK) and path.stat().st_mode & 0o111 and re.fullmatch(r"[a-zA-Z0-9._-]+", path.name):
                self._wait(["vbash", str(path)])

    # --- processes -----------------------------------------------------------------------------------------------------

    def run(self, command: str, stdin: bytes | Stdin = b"", env: Mapping[str, str] | None = None) -> tuple[bytes, bytes, int]:
        """Run a command as sshd does, by vbash: output, error output, exit status. A handler for SshServer."""
        rooted = Rooted(str(self.root_path), command)
        return super().run(_VBASH + rooted.text(command), rooted.stream(stdin), env)

    def filter(self, command: str, text: str, env: Mapping[str, str] | None = None) -> str:
        """What a shell command makes of a text, which stays as it is."""
        out, error, _ = super().run(_VBASH + Rooted(str(self.root_path), command).text(command), text.encode(), env)
        return (out + error).decode("utf-8", "replace")

    def _spawn(self, argv: list[str], env: Mapping[str, str], *streams: int) -> Any:
        return super()._spawn(["vbash", *argv[1:]] if argv[:2] == ["sh", "-c"] else argv, env, *streams)

    def serve_ssh(self, *, login: str = "", **options: Unpack[SshOptions]) -> SshServer:
        """An SSH server of this router, for the login user or for another account."""
        user = next((one for one in self._users if one.name == login), self._users[0])

        def handler(command: str, stdin: Stdin, env: Mapping[str, str]) -> tuple[bytes, bytes, int]:
            return self.run(command, stdin, {**env, "FLEET_SIM_UID": str(user.uid), "USER": user.name})

        server = SshServer(handler, **options)
        self._ssh.append(server)
        return server

    def make_call(self, name: str, argv: list[str], cwd: Path, uid: int, fds: tuple[int, int, int]) -> Call:
        return EdgeCall(self, name, argv, cwd, uid, fds)

    def run_tool(self, call: Call) -> int:
        tool = EDGE_TOOLS.get(call.name)
        if tool is None or self.down.is_set():
            return 127
        with contextlib.nullcontext() if call.name in _UNLOCKED else self._locked():
            code = guarded(tool, call)
            if call.name not in _UNLOCKED:
                self._settle_routes()
        self.invocations.append(Invocation(call.name, tuple(call.argv), code))
        self.touched()
        return code

    def as_root(self, parent: Call, argv: list[str], stdin: bytes = b"") -> int:
        """Run a stand-in with root's rights; it speaks through the parent."""
        call = _Script(self, argv[0], argv[1:], parent.cwd, 0, parent.fds)
        call.given = stdin
        code = guarded(EDGE_TOOLS[argv[0]], call) if self.has(argv[0]) else 127
        parent.adopt(call)
        return code

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Nothing else runs meanwhile, as for a stand-in."""
        return self._locked()

    def operational(self, call: EdgeCall, words: list[str]) -> int:
        """A command of operational mode."""
        return operational(call, words)

    # --- the backend's view of the router ------------------------------------------------------------------------------

    def _read_file(self, path: str) -> str:
        text = (self.root_path / path.lstrip("/")).read_text("utf-8", "surrogateescape")
        return text.replace(f"{self.root_path}/", "/")  # a script that came with moved paths wrote it

    def _write_file(self, path: str, text: str) -> None:
        if self.failing_writes is not None:
            raise OSError(self.failing_writes, os.strerror(self.failing_writes))
        target = self.root_path / path.lstrip("/")
        target.write_text(text, "utf-8", "surrogateescape")
        self.backend_writes += 1

    def copy(self, source: str, target: str) -> None:
        """cp, by the management scripts."""
        with contextlib.suppress(OSError):
            self._write_file(target, self._read_file(source))

    def as_said(self, word: str) -> str:
        """A word of the configuration as the router would have it: a script's `$FLEET_ROOT/config/...` is `/config/...`."""
        root = str(self.root_path)
        return word.removeprefix(root) if word.startswith(f"{root}/") else word

    def leave_traces(self, session: str) -> None:
        """A session's directory stays until the reboot if nobody ends it (sheet 2.5)."""
        (self.root_path / f"opt/vyatta/config/tmp/new_config_{session}").mkdir(parents=True, exist_ok=True)

    def _effects(self, working: Node) -> RouterEffects:
        self._working = working
        return RouterEffects(self, working)

    def commit(self, session: Session, call: EdgeCall | None = None) -> Said:
        """Commit a session for whoever calls; without a caller as the system itself."""
        self.acting = call
        said = self.backend.commit(session, self._effects)
        self.backend_writes += said.changed or said.code != 0
        if said.code == 0 and said.changed:
            self._committed(call.user.name if call is not None else "root", "cli" if call is not None else "other")
        elif said.code:
            with contextlib.suppress(OSError), (self.root_path / "var/log/vyatta/vyatta-commit.log").open("a") as log:
                log.write(said.text)
        self._settle_routes()
        return said

    def _committed(self, user: str, via: str) -> None:
        with contextlib.suppress(OSError), (self.root_path / "var/log/vyatta/vyatta-commit.log").open("a") as log:
            log.writelines(self.backend.log)
        self.backend.log.clear()
        self.management.record(user, via)
        self._settle_routes()

    def as_device(self) -> EdgeOsDevice:
        """What the contract suite asks of a device."""
        return EdgeOsDevice(self)

    def is_quiet(self) -> bool:
        """True when nothing runs but what sleeps past now, and no timer is due."""
        if any((self.timers.fires_in(name) or 0.0) <= 0 for name in self.timers.names()):
            return False
        alive = processes(self.root_path)
        parents, now = set(alive.values()), self.clock.now()
        return all(pid in parents or self._asleep.get(pid, now) > now for pid in alive)

    def lock_config(self) -> None:
        """Somebody else commits and does not come to an end."""
        self.backend.busy = True

    def unlock_config(self) -> None:
        """It came to an end."""
        self.backend.busy = False

    # --- what templates ask and do -------------------------------------------------------------------------------------

    def readable_key(self, value: str) -> tuple[bool, str]:
        """is_valid_key.sh: an inline key, or a file with one that the committing user may read."""
        if not value.startswith("/"):
            return is_key(value), ""
        path = self.root_path / value.lstrip("/")
        if not path.is_file():
            return False, ""
        user = self.acting.user if self.acting is not None else User("root", 0)
        if not self.owners.readable(path, user):
            return False, f"cat: {value}: Permission denied"
        return is_key(path.read_text("ascii", "replace").strip()), ""

    def max_mtu(self) -> int:
        """As ubnt-hal says (captures 5)."""
        return 2018

    def right_group(self) -> bool:
        """True at boot and under `sg vyattacfg`."""
        return self.acting is None or self.acting.in_group

    def firewall_rule_set(self, name: str, *, ipv6: bool) -> bool:
        """True if the rule set is in what is being committed."""
        return self._working.has("firewall", "ipv6-name" if ipv6 else "name", name)

    def ran_as_root(self, argv: Sequence[str], stdin: str = "") -> tuple[str, int]:
        """A command of a template: all it says, and its status."""
        call = _Script(self, argv[0], list(argv[1:]), self.root_path, 0)
        call.given = stdin.encode()
        tool = EDGE_TOOLS[argv[0]]
        code = guarded(tool, call)
        return call.everything(), code

    def script(self, *argv: str, stdin: str = "") -> str:
        """Run and log a command of a template. Raises Refused with what it said."""
        self.ran.append(" ".join(argv))
        said, code = self.ran_as_root(argv, stdin)
        if code:
            raise Refused(said.rstrip("\n"))
        return said

    def snippet(self, command: str) -> None:
        """up-command, down-command."""
        self.ran.append(command)
        with self.unlocked():
            self.shell(command)

    def route_lines(self, *argv: str) -> str:
        """`ip route`, not logged."""
        flags = [word for word in argv if word in {"-4", "-6"}]
        words = [word for word in argv if word not in {"-4", "-6"}]
        return self.ran_as_root(["ip", *flags, "route", *words])[0]

    def _wg(self, interface: str) -> Device | None:
        device = self.kernel.devices.get(interface)
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
            if self.resolve(host) is not None:
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
        """Wait without the host's lock; False when the router goes down or the committing process is gone."""
        deadline = self.clock.now() + seconds
        with self.unlocked():
            while self.clock.now() < deadline:
                if self.down.wait(self.timers.POLL) or (self.acting is not None and not self.acting.alive()):
                    return False
        return True

    def restore(self, text: str, *, ipv6: bool = False) -> None:
        """iptables-restore --noflush."""
        said, code = self.ran_as_root(["ip6tables-restore" if ipv6 else "iptables-restore", "--noflush"], text)
        if code:
            raise Refused(said.rstrip("\n"))

    def chains(self, table: str, *, ipv6: bool = False) -> list[str]:
        """Names of its chains."""
        found = self.nftables.tables.get(("ip6" if ipv6 else "ip", table))
        return list(found.chains) if found is not None else []

    def device(self, name: str) -> bool:
        """True if the kernel has the device."""
        return name in self.kernel.devices

    def rename(self, name: str) -> None:
        """The host name as the kernel has it."""
        self.kernel.sysctls["kernel.hostname"] = name

    def put_to_sleep(self, call: Call) -> int:
        """sleep(1), known to `is_quiet` by its process."""
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        with contextlib.suppress(ValueError, IndexError):
            seconds = sum(float(word[:-1]) * units[word[-1]] if word[-1] in units else float(word) for word in call.argv)
            self._asleep[call.pid] = self.clock.now() + seconds
        try:
            return sleep(call)
        finally:
            self._asleep.pop(call.pid, None)

    # --- time ----------------------------------------------------------------------------------------------------------

    def schedule(self, tasks: Node) -> None:
        """The task scheduler: `interval` in minutes unless it says h or d, as root."""
        for name in [name for name in self.timers.names() if name.startswith("task ")]:
            self.timers.cancel(name)
        for name, task in tasks.children.items():
            interval, path = task.value("interval"), task.value("executable", "path")
            if interval is None or path is None:
                continue
            number, unit = (interval[:-1], interval[-1]) if interval[-1].isalpha() else (interval, "m")
            seconds = int(number) * {"m": 60, "h": 3600, "d": 86400}[unit]
            line = f"{path} {task.value('executable', 'arguments') or ''}"
            self.timers.at(f"task {name}", seconds, lambda line=line: self._run_task(line), seconds)  # type: ignore[misc]

    def _run_task(self, line: str) -> None:
        self.shell(Rooted(str(self.root_path), "").text(line))

    def _settle_routes(self) -> None:
        """The routing daemon: static routes whose device is up are in the kernel, others are not."""
        wanted = dict[object, RouteEntry]()
        for prefix, word, where, _distance in sorted(static_routes(self.backend.active), key=lambda one: one[3]):
            entry = self._static(prefix, word, where)
            if entry is not None:
                wanted.setdefault(entry.prefix, entry)
        kept = [one for one in self.kernel.routes if one.protocol != "zebra"]
        held = [one for one in self.kernel.routes if one.protocol == "zebra"]
        if held != list(wanted.values()):
            self.kernel.routes = [*kept, *wanted.values()]

    def _static(self, prefix: str, word: str, where: str) -> RouteEntry | None:
        network = ipaddress.ip_network(prefix)
        metric = 0 if network.version == 4 else 1024
        if word == "blackhole":
            return RouteEntry(network, protocol="zebra", kind="blackhole", metric=metric)
        if word == "dev":
            device = self.kernel.devices.get(where)
            if device is None or not device.up:
                return None
            return RouteEntry(network, where, protocol="zebra", scope="link" if network.version == 4 else "", metric=metric)
        gateway = ipaddress.ip_address(where)
        out = self.kernel.reaches(gateway, None)
        return None if out is None else RouteEntry(network, out, gateway, "zebra", metric)


class _Script(EdgeCall):
    """A command of a template: standard input is given, output kept."""

    given: bytes = b""

    def stdin(self) -> bytes:
        return self.given

    def everything(self) -> str:
        """All it said."""
        return "".join(text for _, text in self._said)


__all__ = ["EdgeOsSimulator", "User"]
