"""A Linux router of the tests: network and mount namespaces of its own, with the real wg, ip, nft, iptables and wg-quick."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet import Interface, KeyOf, Link, Mark, Observed, PublicKey, Reply, Request, RouterPlan, Script, Secret, Target
from fleet.changes import Change
from fleet.drivers.wg_quick import Options, WgQuickDriver
from fleet.link import Exec

OVERLAY = "acme"
DRIVER = WgQuickDriver()

# /etc is the machine's own with a layer above it, so that rc.local and units are this router's; /run is empty.
_PREPARE = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
mount -t tmpfs tmpfs /run
rm -rf /etc/wireguard; mkdir -m 700 /etc/wireguard
ip link set up dev lo
echo ready
exec sleep 600
"""
_numbers = itertools.count()


@dataclass
class Host:
    """One router. `run` executes in its namespaces; `link` is what the driver sees."""

    pid: int
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    shell: Sequence[str] = ("sh",)

    def run(self, command: str, stdin: str = "", *, check: bool = True) -> str:
        """Standard output of a shell command on the router; a failure fails the test with what was said."""
        done = self.execute(command, stdin.encode())
        assert not check or done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode(errors="replace")

    def execute(self, command: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        """Run a command as an SSH server would."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--", *self.shell, "-c", command]
        return subprocess.run(
            enter, input=stdin, capture_output=True, timeout=60, check=False, env={**os.environ, **self.environment}
        )

    def write(self, path: str, text: bytes | str) -> None:
        """Put a file on the router, mode 0600."""
        raw = text if isinstance(text, bytes) else text.encode()
        assert self.execute(f"umask 077; cat >{path}", raw).returncode == 0

    def read(self, path: str) -> bytes:
        """Bytes of a file on the router."""
        return self.execute(f"cat {path}", b"").stdout

    def send(self, request: Request) -> Reply:
        """A Link's send: the transport's rules about exit codes, then the driver's own check."""
        assert isinstance(request, Exec)
        stdin = "".join(part.reveal() if isinstance(part, Secret) else part for part in request.stdin)
        done = self.execute(request.command, stdin.encode())
        reply = Reply(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), done.returncode)
        self.said.append(reply.text + reply.error)
        assert reply.code in request.accept, reply.error
        DRIVER.check(request, reply)
        return reply

    def send_all(self, requests: Sequence[Request]) -> list[Reply]:
        """A Link's send_all."""
        return [self.send(request) for request in requests]

    @property
    def target(self) -> Target:
        """What the driver may know."""
        return Target(self.name, OVERLAY, ("wg0",), Options())

    def observe(self) -> Observed:
        """What the driver reads here."""
        link: Link = self
        return DRIVER.observe(link)

    def apply(self, *changes: Change, desired: Interface | None = None, keys: dict[str, Secret] | None = None) -> Script:
        """Observe, render these changes, send the script, cleanup included."""
        observed = self.observe()
        script = DRIVER.render(plan(*changes, desired=desired, keys=keys, target=self.target), observed)
        for batch in (*script.guarded, *script.cleanup):
            for step in batch:
                self.send_all(step.requests)
        return script

    def processes(self, pattern: str) -> list[int]:
        """Pids of this network namespace whose command line holds `pattern`."""
        mine = os.readlink(f"/proc/{self.pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                same = os.readlink(entry / "ns/net") == mine
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if same and pattern in line:
                found.append(int(entry.name))
        return found


@contextmanager
def host(name: str = "hq") -> Iterator[Host]:
    """A router that exists inside the block; everything in its namespaces is gone afterwards."""
    namespace = f"fq{os.getpid()}x{next(_numbers)}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    keeper = subprocess.Popen(
        ["ip", "netns", "exec", namespace, "unshare", "--mount", "--propagation", "private", "sh", "-c", _PREPARE],
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    router = Host(keeper.pid, name)
    try:
        assert keeper.stdout.readline() == b"ready\n"
        yield router
    finally:
        for pid in router.processes(""):
            if pid != keeper.pid:
                subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
        subprocess.run(["ip", "netns", "del", namespace], check=True)


def plan(
    *changes: Change,
    desired: Interface | None = None,
    keys: dict[str, Secret] | None = None,
    target: Target | None = None,
) -> RouterPlan:
    """A plan of one batch."""
    return RouterPlan(
        target=target or Target("hq", OVERLAY, ("wg0",), Options()),
        plan_id="p1",
        batches=(changes,),
        desired={desired.name: desired} if desired else {},
        private_keys=keys or {},
    )


def created(wanted: Interface) -> tuple[Change, ...]:
    """The changes that make an interface from nothing, as `diff` gives them."""
    from fleet import AddAddress, AddInterface, AddOpening, AddPeer, AddRoute, SetInterface

    bare = replace(wanted, addresses=frozenset(), peers={}, routes={}, openings={}, reresolve=False)
    name = wanted.name
    return (
        AddInterface(interface=name, wanted=bare),
        *([SetInterface(interface=name, old=bare, wanted=wanted)] if wanted.reresolve else []),
        *(AddAddress(interface=name, address=address) for address in sorted(wanted.addresses, key=str)),
        *(AddPeer(interface=name, wanted=peer) for peer in wanted.peers.values()),
        *(AddRoute(interface=name, wanted=route) for route in wanted.routes.values()),
        *(AddOpening(interface=name, wanted=opening) for opening in wanted.openings.values()),
    )


def wait_for(condition, what: str, seconds: float = 10.0) -> None:
    """Poll a condition; fails the test with `what` when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def mark(name: str = "hq") -> Mark:
    """A mark of the tests' overlay."""
    return Mark(OVERLAY, name)


def own_key() -> KeyOf:
    """The key that the router makes itself."""
    return KeyOf("hq")


def key(number: int) -> PublicKey:
    """A public key, the same for the same number."""
    from fleet.keys import public_key_of

    return public_key_of(private_key(number))


def private_key(number: int) -> Secret:
    """The private half of `key(number)`."""
    import base64

    return Secret(base64.b64encode(bytes([number]) * 32).decode())
