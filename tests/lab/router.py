"""A lab router: a machine with a disk of its own, real OpenSSH, and an init that can be restarted.

The disk is an overlay over the host's root file system, kept in the lab's memory file system: whatever is written on the
router lands there and nowhere else, and it is what survives a restart. Everything else of the machine (processes,
network devices, rules, /run, /tmp) lives in namespaces that a restart destroys and makes anew, so that nothing
comes back but what the router's own files bring back.
"""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from .net import Failed, Ground, Lab, Node

Init = Literal["systemd", "rc.local"]
SUPPORT = "/usr/local/lib/fleet-lab"

# Runs as the first process. /proc/sys is read-only where it is not per network namespace: the host's own stay as they are.
MACHINE = """
set -eu
disk=$1 name=$2
mkdir -p $disk/upper $disk/work $disk/root
mount -t overlay overlay -o lowerdir=/,upperdir=$disk/upper,workdir=$disk/work $disk/root
cd $disk/root
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
for part in kernel vm fs; do mount --bind proc/sys/$part proc/sys/$part; mount -o remount,bind,ro proc/sys/$part; done
pivot_root . mnt
umount -l /mnt
cd /
mkdir -p /run/sshd /run/lock
touch /run/lab-router
hostname $name
ip link set lo up
echo mounted
while read -r order; do
  /bin/sh $order </dev/null >&2 || :
  echo done
done
"""

# A host's own services, units, keys, rules and tunnels are not the lab's.
BLANK = f"""
test -e /run/lab-router || exit 1
rm -rf /etc/systemd/system /etc/wireguard /etc/nftables.conf /etc/iptables /etc/rc.local /etc/sysctl.d /etc/sysctl.conf
rm -rf /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d /root/.ssh /etc/cron.d /var/spool/cron /etc/resolv.conf {SUPPORT}
mkdir -p /etc/systemd/system /etc/sysctl.d /root/.ssh {SUPPORT}
install -d -m 700 /etc/wireguard
"""

BOOT = f"""
sysctl -q -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 \\
  net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
cat /etc/sysctl.conf /etc/sysctl.d/*.conf 2>/dev/null | grep -E '^ *net[./]' | sysctl -q -e -p - >>/run/boot.log 2>&1
/usr/sbin/sshd >>/run/boot.log 2>&1
if [ -x {SUPPORT}/systemctl ]; then mkdir -p /run/systemd/system; {SUPPORT}/systemctl --boot >>/run/boot.log 2>&1; fi
if [ -x /etc/rc.local ]; then /etc/rc.local </dev/null >>/run/boot.log 2>&1; fi
"""

SSHD = """
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
UseDNS no
PasswordAuthentication no
PrintMotd no
Subsystem sftp /usr/lib/openssh/sftp-server
"""

SYSTEMCTL = """#!/bin/sh
exec {python} -I -S {support}/systemctl.py {mode} "$@"
"""


SYSTEMD = {
    f"{SUPPORT}/systemctl": "",
    "/usr/local/sbin/systemctl": "",
    "/usr/local/sbin/systemd-run": "--as-systemd-run",
}
"""Where the stand-in is found, and as what."""


def ssh_key(private: Ed25519PrivateKey) -> tuple[str, str]:
    """A key pair in OpenSSH's two spellings: private file, public line."""
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return secret, private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@dataclass
class Client:
    """The SSH key that every router of a lab accepts for root; `path` is its private file."""

    path: Path
    public: str

    @classmethod
    def make(cls, folder: Path) -> Client:
        """A fresh key in `folder`."""
        private, public = ssh_key(Ed25519PrivateKey.generate())
        path = folder / "id_ed25519"
        path.touch(mode=0o600)
        path.write_text(private)
        return cls(path, public)


@dataclass
class Disk:
    """What a router is made with: its init, the name server it asks, who may log in, and files by path."""

    init: Init = "systemd"
    nameserver: str = ""
    authorized: str = ""
    files: dict[str, str] = field(default_factory=dict)


class LabRouter(Node):
    """A router of the lab. `restart` is a power cycle."""

    namespaces = ("--net", "--mount", "--pid", "--uts", "--root", "--wd")

    def __init__(self, name: str, lab: Lab, disk: Disk) -> None:
        super().__init__(name)
        self.host_key = ""
        self._lab = lab
        self._disk = disk
        self._blank = True

    @property
    def init(self) -> Init:
        """Which init it was made with."""
        return self._disk.init

    def start(self) -> None:
        """Power on: everything but `boot`, which follows when the cables are in."""
        ground: Ground = self._lab.ground
        folder = f"{ground.DISKS}/{self.name}"
        enter = ["nsenter", "--target", str(ground.pid), "--mount", "--wd=/", "--"]
        apart = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        (ground.disks / self.name).mkdir(exist_ok=True)
        holder = self.hold(*enter, *apart, "bash", "-c", MACHINE, "machine", folder, self.name)
        self.expect(holder, "mounted")
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        self.pid = int(children[0])
        if not self.path("/run/lab-router").exists():
            raise Failed(f"{self.name}: process {self.pid} is not inside the router's own file system")
        if self._blank:
            self._provision()

    def boot(self) -> None:
        """Start what is enabled. Returns when the units that end have ended and rc.local returned."""
        self._order(f"{SUPPORT}/boot")

    def restart(self) -> None:
        """Power off without warning and on again: only the disk survives."""
        cables = self._lab.cables_of(self)
        for cable in cables:
            far = cable.other if cable.one.node is self else cable.one
            far.node.run("ip", "link", "delete", "dev", far.name)
        self.stop()
        self.start()
        self._lab.plug(*cables)
        self.boot()

    def _order(self, script: str) -> None:
        assert self._holder is not None
        assert self._holder.stdin is not None
        self._holder.stdin.write(f"{script}\n")
        self._holder.stdin.flush()
        self.expect(self._holder, "done")

    def _provision(self) -> None:
        self._blank = False
        self.write("/tmp/blank", BLANK)
        self._order("/tmp/blank")
        private, self.host_key = ssh_key(Ed25519PrivateKey.generate())
        self.write("/etc/ssh/ssh_host_ed25519_key", private, mode=0o600)
        self.write("/etc/ssh/sshd_config", SSHD)
        self.write("/root/.ssh/authorized_keys", self._disk.authorized + "\n", mode=0o600)
        self.write("/etc/hostname", self.name + "\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        self.write("/etc/resolv.conf", f"nameserver {self._disk.nameserver}\noptions timeout:1 attempts:2\n")
        self.write(f"{SUPPORT}/boot", BOOT)
        if self._disk.init == "systemd":
            self.write(f"{SUPPORT}/systemctl.py", (Path(__file__).parent / "systemctl.py").read_text())
            python = self._python()
            for place, mode in SYSTEMD.items():
                self.write(place, SYSTEMCTL.format(python=python, support=SUPPORT, mode=mode), mode=0o755)
        for path, text in self._disk.files.items():
            self.write(path, text, mode=0o755 if text.startswith("#!") else 0o644)

    def _python(self) -> str:
        """An interpreter that the router sees too: on the root file system, not on a mount of its own."""
        for place in (str(Path(sys.executable).resolve()), "/usr/bin/python3"):
            if self.path(place).exists():
                return place
        raise Failed(f"{self.name}: no Python on the root file system; install python3")

    # ------------------------------------------------------------------------------------------------- its files
    def path(self, path: str) -> Path:
        """A file of the router as this process reaches it; absolute links on the way lead astray."""
        return Path(f"/proc/{self.pid}/root{path}")

    def read(self, path: str) -> str:
        """The text of a file on the router."""
        return self.path(path).read_text()

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Put a file on the router, whole."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.touch(mode=mode)
        target.chmod(mode)
        target.write_text(text)

    def times(self, *folders: str) -> dict[str, tuple[int, int]]:
        """Inode and change time (ns) of every file below the folders: equal twice means nobody wrote."""
        return {
            str(file.relative_to(self.path("/"))): (file.lstat().st_ino, file.lstat().st_ctime_ns)
            for folder in folders
            for file in sorted(self.path(folder).rglob("*"))
        }

    def processes(self) -> list[str]:
        """Command lines of everything that runs on the router."""
        return self.sh("ps -eo args=").splitlines()

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """Run systemctl as an administrator would."""
        return self.run("/usr/local/sbin/systemctl", *arguments, check=check).stdout.strip()

    # --------------------------------------------------------------------------------------------- its WireGuard
    def private_key(self, interface: str = "wg0") -> str:
        """The interface's private key, for tests that prove where it is not."""
        return self.run("wg", "show", interface, "private-key").stdout.strip()

    def log(self) -> str:
        """What units and rc.local said since the last boot."""
        return self.sh("cat /run/boot.log /run/fleet-lab/journal 2>/dev/null", check=False)


def random_key() -> str:
    """A WireGuard public key that belongs to nobody."""
    return base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
