"""A simulated EdgeRouter: scripts run under a real bash behind a real SSH server, the configuration backend is this package.

The kernel, `wg`, `ip` and `iptables` are those of the simulated Linux host. Scripts find the files of the router below
`$FLEET_ROOT`; one that does not know that variable has its absolute paths moved there, so that the very lines of the sheet run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, Unpack

from .._nodes import Clock
from ..ether import Ether
from ..linux import LinuxSimulator
from ..linux._call import Call
from ..linux._machine import Invocation
from ..linux._nftset import Ruleset
from ..linux._server import guarded
from ..linux._small import sleep
from ..linux.simulator import SshOptions
from ..sshd import SshServer, Stdin
from . import boot, disk
from .backend import Backend, Files, Session
from .calls import IN_GROUP, EdgeCall, User
from .device import EdgeOsDevice, processes
from .edit import Editor, Said
from .effects import RouterEffects
from .flash import BOUND, Flash
from .jobs import Jobs
from .management import Management
from .operational import operational
from .ownership import Owners
from .rooted import Rooted
from .routing import settle_routes
from .schema import schema
from .scripts import Asking, Scripts
from .shell import interactive
from .text import Style, braces, footer
from .tools import EDGE_TOOLS, UNLOCKED
from .tree import Node

Doubt: TypeAlias = Literal["old-iproute", "confirm-y", "nat-from-5000", "native-any-group", "no-kernel-module"]
"""What real routers may do and the recordings do not show: words of an older iproute (issue 35), `[confirm][y]`, NAT rules
below 5000 refused, native templates that do not ask for the group, a package whose module does not work (issue 144)."""

_VBASH: Final = """command_not_found_handle() { printf '\\n  Invalid command: [%s]\\n\\n' "$1" >&2; return 127; }
"""


class EdgeOsSimulator(LinuxSimulator):
    """One EdgeRouter, up from construction until `close`. Use it as a context manager.

    `version` is 1.10.11, 2.0.9 or 3.0.0; `board` decides what offloads; `package` False: WireGuard is not installed (3.0 has it
    always). `config`: the text of config.boot instead of the wizard's. `hardened`: the wizard's WAN_IN and WAN_LOCAL drop what
    is not accepted. `users` beside the login `username`. `otherwise`: where the sheet does not know, the other answer.

    `ran`: kernel commands of the templates in order. `lock_config()`: somebody else commits until `unlock_config()`. `acting`:
    the call on whose behalf the backend works. `as_device()` is what the contract suite needs. Faults: `break_flash`,
    `upgrade` (the package is gone), `lock_config`, `missing` tools, users without rights.
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
        otherwise: Collection[Doubt] = (),
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
        self._tasks = 0
        self.up_since = 0.0
        self._missing, self._given = tuple(missing), config
        self.otherwise = frozenset(otherwise)
        self._users = [User(username, 1000), *users]
        self.acting: EdgeCall | None = None
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
        self._flash = Flash(root, ".standin")
        self.management = Management(self)
        self.jobs = Jobs(self)
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
        editor = Editor(schema(self.board, wireguard=self.has_wireguard), Asking(self))
        self.backend = Backend(editor, Files(self._read_file, self._write_file), self.release)

    def _boot(self) -> None:
        self.boots += 1
        self.up_since = self.clock.now()
        self.ran.clear()
        self.acting = None
        self.jobs.clear()
        with self._locked():
            self._forget_peers()
            self.nftables, self.kernel = Ruleset(), boot.kernel(self)
            self.kernel.forgotten = self.forget_peer
            boot.forget_volatile(self.root_path, self.boots)
            self.sysctl_changed("")
        self._run_scripts("pre-config.d")
        with self._locked():
            self._make_backend()
            self.backend.boot(self._read_file("/config/config.boot"), self._effects)
            self._committed("root", "init")
        self._run_scripts("post-config.d")

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

    def break_flash(self, code: int) -> None:
        """From now on nothing can be written below /config: ENOSPC for a full flash, EROFS for one that went read-only."""
        self.failing_writes = code
        self._flash.break_it()

    def mend_flash(self) -> None:
        """It can be written again."""
        self.failing_writes = None
        self._flash.mend()

    def filter(self, command: str, text: str, env: Mapping[str, str] | None = None) -> str:
        """What a shell command makes of a text, which stays as it is."""
        out, error, _ = super().run(_VBASH + Rooted(str(self.root_path), command).text(command), text.encode(), env)
        return (out + error).decode("utf-8", "replace")

    def _spawn(self, argv: list[str], env: Mapping[str, str], *streams: int) -> subprocess.Popen[bytes]:
        argv = ["vbash", *argv[1:]] if argv[:2] == ["sh", "-c"] else argv
        if self.failing_writes is None or os.geteuid() != 0:
            return super()._spawn(argv, env, *streams)
        process = subprocess.Popen(
            [shutil.which(BOUND[0]) or BOUND[0], *BOUND[1:], str(self.which(argv[0]) or argv[0]), *argv[1:]],
            env=dict(env), cwd=self.root_path / "root", start_new_session=True,
            stdin=streams[0], stdout=streams[1], stderr=streams[2],
        )  # fmt: skip
        self._processes.add(process.pid)
        return process

    def serve_ssh(self, *, login: str = "", **options: Unpack[SshOptions]) -> SshServer:
        """An SSH server of this router: exec for the login user or another account, shells for whoever logs in."""
        user = next((one for one in self._users if one.name == login), self._users[0])

        def handler(command: str, stdin: Stdin, env: Mapping[str, str]) -> tuple[bytes, bytes, int]:
            with self.owners.made_by(user.name):
                return self.run(command, stdin, {**env, "FLEET_SIM_UID": str(user.uid), "USER": user.name})

        server = SshServer(handler, shell=interactive(self), **options)
        self._ssh.append(server)
        return server

    def make_call(self, name: str, argv: list[str], cwd: Path, uid: int, fds: tuple[int, int, int] = (0, 1, 2)) -> EdgeCall:
        """A call by a process whose FLEET_SIM_UID is `uid`."""
        call = EdgeCall(self, name, argv, cwd, uid % IN_GROUP, fds)
        call.in_group = uid >= IN_GROUP
        return call

    def run_tool(self, call: Call) -> int:
        """Run a stand-in; its exit status."""
        tool = EDGE_TOOLS.get(call.name)
        if tool is None or self.down.is_set():
            return 127
        with contextlib.nullcontext() if call.name in UNLOCKED else self._locked():
            code = guarded(tool, call)
            if call.name not in UNLOCKED:
                settle_routes(self.kernel, self.backend.active)
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

    def leave_no_traces(self, session: str) -> None:
        """It was ended."""
        shutil.rmtree(self.root_path / f"opt/vyatta/config/tmp/new_config_{session}", ignore_errors=True)

    def _effects(self, working: Node, call: EdgeCall | None = None) -> RouterEffects:
        return RouterEffects(Scripts(self, working, call), working)

    def commit(self, session: Session, call: EdgeCall | None = None) -> Said:
        """Commit a session for whoever calls; without a caller as the system itself."""
        said = self.backend.commit(session, lambda working: self._effects(working, call))
        self.backend_writes += said.changed or said.code != 0
        if said.code == 0 and said.changed:
            self._committed(call.user.name if call is not None else "root", "cli" if call is not None else "other")
        elif said.code:
            with contextlib.suppress(OSError), (self.root_path / "var/log/vyatta/vyatta-commit.log").open("a") as log:
                log.write(said.text)
        settle_routes(self.kernel, self.backend.active)
        return said

    def _committed(self, user: str, via: str) -> None:
        with contextlib.suppress(OSError), (self.root_path / "var/log/vyatta/vyatta-commit.log").open("a") as log:
            log.writelines(self.backend.log)
        self.backend.log.clear()
        self.management.record(user, via)
        settle_routes(self.kernel, self.backend.active)

    def as_device(self) -> EdgeOsDevice:
        """What the contract suite asks of a device."""
        return EdgeOsDevice(self)

    def is_quiet(self) -> bool:
        """True when nothing runs but what sleeps past now, and no timer is due."""
        if self._tasks or any((self.timers.fires_in(name) or 0.0) <= 0 for name in self.timers.names()):
            return False
        alive = processes(self.root_path)
        parents, now = set(alive.values()), self.clock.now()
        return all(pid in parents or self._asleep.get(pid, now) > now for pid in alive)

    def upgrade(self, version: str, *, installs_packages: bool = False) -> None:
        """Flash a firmware: /config stays, the root overlay is new: the package is gone unless it is installed on first boot.

        Raises ValueError for a firmware that is not known.
        """
        if version not in disk.RELEASES:
            raise ValueError(f"no such firmware: {version}; there are {', '.join(disk.RELEASES)}")
        self.version, self.release = version, disk.RELEASES[version]
        self.package = installs_packages
        disk.make_disk(self.root_path, self.name, self.board, version)
        disk.make_path(self.root_path, wireguard=self.has_wireguard, missing=self._missing)
        self.reboot()

    def lock_config(self) -> None:
        """Somebody else commits and does not come to an end."""
        self.backend.busy = True

    def unlock_config(self) -> None:
        """It came to an end."""
        self.backend.busy = False

    def ran_as_root(self, argv: Sequence[str], stdin: str = "") -> tuple[str, int]:
        """A command of the system itself: all it says, and its status."""
        call = _Script(self, argv[0], list(argv[1:]), self.root_path, 0)
        call.given = stdin.encode()
        code = guarded(EDGE_TOOLS[argv[0]], call)
        return call.everything(), code

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

    def run_task(self, line: str, number: int = 0) -> None:
        """A line of the task scheduler or of `at`, by root or by whoever has this number."""
        self._tasks += 1
        try:
            self.run(line, b"", {"FLEET_SIM_UID": str(number)})
        finally:
            self._tasks -= 1


class _Script(EdgeCall):
    """A command of a template: standard input is given, output kept."""

    given: bytes = b""

    def stdin(self) -> bytes:
        return self.given

    def everything(self) -> str:
        """All it said."""
        return "".join(text for _, text in self._said)


__all__ = ["EdgeOsSimulator", "User"]
