"""Network namespaces, cables between them, and their certain end.

No namespace has a name. Each lives as long as one process that waits on its standard input, whose other end only the test
run holds: however the run ends, even by SIGKILL, the pipe closes, the process exits and the kernel takes the
namespace with everything in it. Nothing is left to clean up, and nothing outside is ever configured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

TOOLS = (
    *("wireguard-go", "wg", "wg-quick", "nft", "iptables", "ip", "sshd", "ping", "conntrack", "sysctl"),
    *("unshare", "nsenter", "bash", "pivot_root"),
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
"""What every process of the lab starts with; nothing of the test run's own environment gets into a namespace."""

THREADS = 8
"""Setting up is mostly waiting for forks; more threads than this gained nothing on two cores (measured)."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def missing() -> str | None:
    """Why the lab cannot run here, as a sentence; None if it can."""
    if os.uname().sysname != "Linux" or os.geteuid() != 0:
        return "the lab needs root on Linux"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if absent:
        return f"the lab needs {', '.join(absent)}: `make system` installs what is missing on Debian"
    if not Path("/dev/net/tun").exists():
        return "the lab needs /dev/net/tun"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"the lab cannot make namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Failed(AssertionError):
    """A command of the lab that must succeed did not."""


def everywhere(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`act` on every item, side by side, in order; the first error is raised when all are done."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(act, items))


class Node:
    """One network namespace; `pid` is the process that holds it."""

    namespaces: Sequence[str] = ("--net",)

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self._holder: subprocess.Popen[str] | None = None

    def hold(self, *command: str) -> subprocess.Popen[str]:
        """Start the process that holds the namespace: it must exit when its standard input closes."""
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env=ENVIRONMENT
        )
        self.pid = self._holder.pid
        return self._holder

    def start(self) -> None:
        """Make the namespace. Returns when it exists."""
        holder = self.hold("unshare", "--net", "sh", "-c", "echo ready; exec cat >/dev/null")
        self.expect(holder, "ready")
        self.run("ip", "link", "set", "lo", "up")

    def expect(self, holder: subprocess.Popen[str], word: str) -> None:
        """Wait until the holder says `word`. Raises Failed with what it said instead."""
        assert holder.stdout is not None
        said = holder.stdout.readline().strip()
        if said != word:
            raise Failed(f"{self.name}: expected {word!r} from its first process, got {said!r}")

    def stop(self) -> None:
        """End the namespace with everything in it. Returns when its processes are gone."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.close()
        holder.stdout.close()
        try:
            holder.wait(timeout=10)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in this namespace."""
        return ["nsenter", "--target", str(self.pid), *self.namespaces, "--", *command]

    def run(self, *command: str, check: bool = True, send: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command here. Raises Failed with its words if it must succeed and does not."""
        done = subprocess.run(
            self.inside(*command),
            input=send,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd="/",
            env=ENVIRONMENT,
        )
        if check and done.returncode:
            raise Failed(f"{self.name}: {' '.join(command)[:400]}: exit {done.returncode}\n{done.stderr}{done.stdout}")
        return done

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script here, given on standard input; its standard output."""
        return self.run("sh", "-e", check=check, send=script).stdout

    def popen(self, *command: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command here and do not wait."""
        return subprocess.Popen(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env=ENVIRONMENT,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@dataclass(frozen=True)
class Plug:
    """One end of a cable: the device `name` on `node`, its addresses with prefix length, the default gateway behind it.

    With `bridge` the device is a port of that bridge and has no address.
    """

    node: Node
    name: str
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    bridge: str | None = None

    @property
    def mac(self) -> str:
        """The same after every restart, as of a real card: neighbours keep the address they learned."""
        return "02:" + hashlib.sha256(f"{self.node.name}/{self.name}".encode()).digest()[:5].hex(":")

    def commands(self) -> list[str]:
        """Lines for `ip -batch` that configure the device once it exists."""
        lines = [f"address add {address} dev {self.name}" for address in self.addresses]
        if self.bridge:
            lines.append(f"link set dev {self.name} master {self.bridge}")
        lines.append(f"link set dev {self.name} up")
        if self.gateway:
            lines.append(f"route replace default via {self.gateway} dev {self.name}")
        return lines


@dataclass
class Cable:
    """A veth pair between two nodes. Plugged in again after an end was restarted, it is a new pair with the same names."""

    one: Plug
    other: Plug

    @property
    def plugs(self) -> tuple[Plug, Plug]:
        """Both ends."""
        return self.one, self.other


@dataclass
class Lab:
    """All nodes of one network, with a memory file system for the disks of its routers."""

    nodes: list[Node] = field(default_factory=list)
    cables: list[Cable] = field(default_factory=list)
    ground: Ground = field(init=False)

    def __post_init__(self) -> None:
        self.ground = Ground("ground")
        self.ground.start()

    @property
    def everything(self) -> list[Node]:
        """All nodes and the ground they stand on."""
        return [self.ground, *self.nodes]

    def add(self, *nodes: Node) -> None:
        """Start nodes side by side; they end with the lab."""
        self.nodes += nodes
        everywhere(lambda node: node.start(), nodes)

    def plug(self, *cables: Cable) -> None:
        """Make the cables and configure both ends."""
        self.cables += [cable for cable in cables if cable not in self.cables]
        made = [
            f"link add name {one.name} address {one.mac} netns {one.node.pid} type veth "
            f"peer name {other.name} address {other.mac} netns {other.node.pid}"
            for one, other in (cable.plugs for cable in cables)
        ]
        self.ground.run("ip", "-batch", "-", send="\n".join(made))
        lines: dict[Node, list[str]] = {}
        for cable in cables:
            for plug in cable.plugs:
                lines.setdefault(plug.node, []).extend(plug.commands())
        everywhere(lambda node: node.run("ip", "-batch", "-", send="\n".join(lines[node])), lines)

    def unplug(self, *cables: Cable) -> None:
        """Remove the cables; both ends vanish at once."""
        for cable in cables:
            cable.one.node.run("ip", "link", "delete", "dev", cable.one.name, check=False)
            self.cables.remove(cable)

    def cables_of(self, node: Node) -> list[Cable]:
        """Cables that end at this node."""
        return [cable for cable in self.cables if node in (cable.one.node, cable.other.node)]

    def close(self) -> None:
        """End everything."""
        everywhere(lambda node: node.stop(), self.nodes)
        self.ground.stop()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Ground(Node):
    """Where cables are made and disks are kept: a namespace of its own with a memory file system on `DISKS`."""

    DISKS = "/tmp"

    def start(self) -> None:
        """Make the namespaces and the memory file system."""
        script = f"mount -t tmpfs -o mode=755 fleet-lab {self.DISKS}; echo ready; exec cat >/dev/null"
        self.expect(self.hold("unshare", "--net", "--mount", "sh", "-ec", script), "ready")

    @property
    def disks(self) -> Path:
        """The memory file system as this process sees it."""
        return Path(f"/proc/{self.pid}/root{self.DISKS}")
