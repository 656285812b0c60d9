"""A simulated Linux host: fleet's real shell scripts run under a real `sh`, everything they call is a stand-in.

The stand-ins (`wg ip nft systemctl` and so on) share one simulated kernel, keep to the refusals of the real tools, and take
part in the ether: addresses, routes and firewall rules decide what a ping does. Scripts find their files through
`$FLEET_ROOT`, which is empty on a router and the host's own directory here; commands come from PATH, which holds stand-ins
and links to ordinary tools and nothing else. Nothing outside the host's directory is written.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, TypedDict, Unpack

import paramiko

from .._nodes import Clock
from ..ether import Ether
from ..sshd import Faults, Forward, SshServer
from . import _files, _firewalld, _ufw
from ._call import Call
from ._kernel import Kernel, parse_interface
from ._machine import Machine
from ._nft import Transaction
from ._nftset import Ruleset, lines_of_table
from ._node import LinuxNode
from ._server import StandInServer
from ._systemd import Systemd
from ._timers import Timers
from ._tools import Firewall

Init = Literal["systemd", "rc.local"]


class SshOptions(TypedDict, total=False):
    """Options of `serve_ssh`, as of SshServer."""

    passwords: Mapping[str, str] | None
    authorized: Iterable[str]
    host_key: paramiko.PKey | None
    forward: Forward
    faults: Faults | None
    port: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a driver must leave alone unless it is its own.

    `files`: mode and content of every file and link under etc, var/spool, var/lib and usr by path. `ruleset`:
    `nft list ruleset`. `devices`, `routes`, `sysctls`: the running state, WireGuard peers included, as text.
    """

    files: Mapping[str, tuple[int, bytes]]
    ruleset: str
    devices: tuple[str, ...]
    routes: tuple[str, ...]
    sysctls: tuple[str, ...]


class LinuxSimulator(Machine, LinuxNode):
    """One host, up from construction until `close`. Use it as a context manager.

    `public_hosts`: names and addresses under which endpoints reach it, the addresses are on eth0; none: behind NAT.
    `lans`: prefixes behind it, the first on eth1 and so on, the host is their first address. `firewall`: who rules, with
    that one's tools and no others. `hardened`: somebody else's chains drop what is not accepted. `root`: whether the
    login is root; if not, `sudo` (without password) tells whether it may become root. `tools_version` is that of
    wireguard-tools. `names` resolves endpoint names beside what the ether knows; change it to move a name.
    `wireguard_module` False: only the userspace implementation. `missing`: tools this host does not have.
    `boots` counts starts, `sleepers` the `sleep` commands that wait now.
    """

    def __init__(
        self,
        name: str,
        ether: Ether | None = None,
        clock: Clock | None = None,
        public_hosts: Sequence[str] = (),
        *,
        init: Init = "systemd",
        firewall: Firewall = "none",
        hardened: bool = False,
        lans: Sequence[str] = (),
        root: bool = True,
        sudo: bool = True,
        username: str = "fleet",
        distro: str = "debian",
        tools_version: str = "1.0.20210914",
        wireguard_module: bool = True,
        missing: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        if hardened and firewall == "none":
            raise ValueError("a hardened host has a firewall: say which (nftables, iptables, firewalld, ufw)")
        super().__init__()
        self.host = self
        self.name, self.ether = name, ether
        self.clock = clock or (ether.clock if ether is not None else Clock())
        self.public_hosts, self.lans = frozenset(public_hosts), tuple(lans)
        self.names, self.port_forwards = dict(names or {}), dict[int, int]()
        self.root, self.sudo, self.username = root, sudo, username
        self.tools_version = tools_version
        self.boots = self.sleepers = 0
        self._ssh: list[SshServer] = []
        self._public = [host for host in public_hosts if _is_address(host)]
        self._init, self._firewall, self._module = init, firewall, wireguard_module
        self._own_directory = directory is None
        self.root_path = Path(os.path.realpath(directory or tempfile.mkdtemp(prefix=f"fleet-{name[:20]}-")))
        self._booted_wall, self._booted_clock = time.time(), self.clock.now()
        self.timers, self.systemd = Timers(self.clock), Systemd(self)
        self.nftables, self.kernel = Ruleset(), Kernel(name)
        self.firewalld = _firewalld.Firewalld(self) if firewall == "firewalld" else None
        self.ufw = _ufw.Ufw(self, icmp_forward=not hardened) if firewall == "ufw" else None
        self._make_disk(distro, missing, hardened=hardened)
        self._server = StandInServer(self.root_path, self.run_tool, self.make_call)
        self._boot()
        if ether is not None:
            ether.attach(self)

    def __enter__(self) -> LinuxSimulator:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Power off for good: processes end, the directory goes if the simulator made it."""
        if self.ether is not None:
            self.ether.detach(self)
        self.down.set()
        for server in self._ssh:
            server.close()
        self.timers.close()
        self.kill_processes()
        self._server.close()
        if self._own_directory:
            shutil.rmtree(self.root_path, ignore_errors=True)

    def serve_ssh(self, **options: Unpack[SshOptions]) -> SshServer:
        """An SSH server of this host, closed with it. Options as of SshServer; a reboot breaks its connections."""
        server = SshServer(self.run, **options)
        self._ssh.append(server)
        return server

    # --- time ----------------------------------------------------------------------------------------------------------

    def wall(self, at: float | None = None) -> float:
        """Unix time on this host at a moment of its clock (default: now)."""
        return self._booted_wall + ((self.clock.now() if at is None else at) - self._booted_clock)

    def set_clock(self, unix: float) -> None:
        """Set the host's idea of the time wrong, or right."""
        self._booted_wall += unix - self.wall()

    def wait(self, seconds: float) -> bool:
        """Wait on the host's clock; False when the host went down meanwhile."""
        deadline = self.clock.now() + seconds
        self.sleepers += 1
        try:
            while (left := deadline - self.clock.now()) > 0:
                if self.down.wait(min(left, Timers.POLL)):
                    return False
        finally:
            self.sleepers -= 1
        return True

    # --- boot ----------------------------------------------------------------------------------------------------------

    def reboot(self) -> None:
        """Runtime state is lost; what is enabled on disk comes back."""
        self.down.set()
        self.timers.clear()
        for server in self._ssh:
            server.drop_connections()
        self.kill_processes()
        self.down.clear()
        self._boot()
        if self.ether is not None:
            self.ether.settle(self)

    def reboot_soon(self) -> None:
        """Reboot when the command that asked for it is over."""
        self._reboot_wanted = True

    def _boot(self) -> None:
        self.boots += 1
        with self._locked():
            self._forget_peers()
            self.nftables = Ruleset()
            self.kernel = Kernel(self.name, wireguard_module=self._module)
            self.kernel.forgotten = self.forget_peer
            self._connect()
        self._fresh_run()
        if self._init == "systemd":  # its own sysctl.d/50-default.conf
            self.kernel.sysctls["net.ipv4.conf.all.promote_secondaries"] = "1"
        self.shell("sysctl -q --system")
        if self.firewalld is not None:
            self.firewalld.start()
        if self.ufw is not None:
            self.ufw.load()
        if self._init == "systemd":
            self.systemd.boot()
        else:
            self._run_rc_local()

    def _forget_peers(self) -> None:
        for interface in self.wireguard():
            for peer in interface.peers:
                self.forget_peer(interface.name, peer.public_key)

    def _fresh_run(self) -> None:
        for path in ("run", "tmp"):
            shutil.rmtree(self.root_path / path, ignore_errors=True)
            (self.root_path / path).mkdir(exist_ok=True)
        if self._init == "systemd":
            (self.root_path / "run/systemd/system").mkdir(parents=True)
        boot_id = self.root_path / "proc/sys/kernel/random/boot_id"
        boot_id.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(f"{self.root_path} {self.boots}".encode()).hexdigest()
        boot_id.write_text("-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])) + "\n")
        self.sysctl_changed("")

    def _run_rc_local(self) -> None:
        # Without systemd the distribution's own init script loads the firewall before rc.local runs.
        if self._firewall == "nftables":
            self.shell('nft -f "$FLEET_ROOT/etc/nftables.conf"')
        if self._firewall == "iptables":
            self.shell(
                'iptables-restore "$FLEET_ROOT/etc/iptables/rules.v4"; ip6tables-restore "$FLEET_ROOT/etc/iptables/rules.v6"'
            )
        script = self.root_path / "etc/rc.local"
        if os.access(script, os.X_OK):
            self.shell(f'sh "{script}"')

    def _connect(self) -> None:
        """Loopback, the uplink with its default route, and the LANs."""
        kernel = self.kernel
        kernel.add_device("lo", "loopback", 65536)
        kernel.add_address("lo", parse_interface("127.0.0.1/8"))
        kernel.add_device("eth0", "ether")
        # Without a public address the host is in the carrier's shared space (RFC 6598).
        for host in self._public or ["100.64.0.2"]:
            kernel.add_address("eth0", parse_interface(f"{host}/{24 if '.' in host else 64}"))
        for number, lan in enumerate(self.lans, 1):
            network = ipaddress.ip_network(lan)
            kernel.add_device(f"eth{number}", "ether")
            kernel.add_address(f"eth{number}", parse_interface(f"{network[1]}/{network.prefixlen}"))
        for device in list(kernel.devices.values()):
            kernel.set_up(device.name, True)
        for version in (4, 6):
            mine = [one for one in kernel.devices["eth0"].addresses if one.version == version]
            for address in mine[:1]:
                gateway = address.network[1] if address.network[1] != address.ip else address.network[2]
                self.capture(["ip", f"-{version}", "route", "add", "default", "via", str(gateway), "dev", "eth0"])

    def _make_disk(self, distro: str, missing: Sequence[str], *, hardened: bool) -> None:
        root, systemd = self.root_path, self._init == "systemd"
        _files.make_tree(root, self.name, distro, module=self._module, systemd=systemd)
        _files.make_path(root, self._firewall, systemd=systemd, module=self._module, missing=missing)
        _files.make_firewall(root, self._firewall, hardened=hardened, systemd=systemd)
        if self.ufw is not None:
            self.ufw.rules = [_ufw.UfwRule("allow", version, port="22", protocol="tcp") for version in (4, 6)]
            self.ufw.enabled = True
            self.ufw.save()
        if self.firewalld is not None:
            zone = self.firewalld.permanent.zones["public"]
            zone.lists["interfaces"] = [f"eth{number}" for number in range(len(self.lans) + 1)]
            zone.forward = not hardened  # since firewalld 1.0 a zone forwards among its own interfaces unless told not to
            self.firewalld.save()

    # --- for tests -----------------------------------------------------------------------------------------------------

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Put a file on the host, as an administrator would: `path` as on a router, /etc/..."""
        file = self.root_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def read(self, path: str) -> str:
        """Content of a file of the host."""
        return (self.root_path / path.lstrip("/")).read_text("utf-8", "surrogateescape")

    def ok(self, script: str, stdin: bytes = b"") -> str:
        """Run a script as root that must succeed; its output. Raises AssertionError with both outputs."""
        out, error, code = self.run(script, stdin, {"FLEET_SIM_UID": "0"})
        if code != 0:
            raise AssertionError(f"{self.name}: exit {code}\n{script}\n{out.decode()}{error.decode()}")
        return out.decode()

    def plant_nftables(self, text: str) -> None:
        """Rules of somebody else, straight into the kernel: text as for `nft -f`. Raises NftError."""
        ruleset = self.nftables.clone()
        Transaction(Call(self, "nft", [], self.root_path), ruleset, handles=False, as_json=False).run(text)
        self.nftables = ruleset
        self.touched()

    def plant_wireguard(self, interface: str, conf: str, *, up: bool = True) -> None:
        """A WireGuard interface of somebody else: its file, enabled where systemd is, and running."""
        self.write(f"/etc/wireguard/{interface}.conf", conf, 0o600)
        if self._init == "systemd":
            self.systemd.enable(f"wg-quick@{interface}.service")
        if up:
            self.ok(f"systemctl start wg-quick@{interface}" if self._init == "systemd" else f"wg-quick up {interface}")

    def plant_peer(self, interface: str, public_key: str, *allowed_ips: str) -> None:
        """A peer of somebody else in a running interface, in the kernel only."""
        self.ok(f"wg set {interface} peer {public_key} allowed-ips {','.join(allowed_ips)}")

    def snapshot(self) -> Snapshot:
        """Files and running state, for comparison byte for byte."""
        kernel, devices = self.kernel, list[str]()
        for device in kernel.devices.values():
            state = "up" if device.up else "down"
            devices.append(f"{device.name} {device.kind} mtu {device.mtu} {state} {' '.join(map(str, device.addresses))}")
            if device.wg is not None:
                devices.append(
                    f"{device.name} key {device.wg.private_key} port {device.wg.listen_port} mark {device.wg.fwmark}"
                )
                devices += [f"{device.name} {peer}" for peer in device.wg.peers.values()]
        return Snapshot(
            _files.files_below(self.root_path, ("etc", "var/spool", "var/lib", "usr")),
            "\n".join(line for table in self.nftables.tables.values() for line in lines_of_table(table, False)),
            tuple(devices),
            tuple(sorted(map(str, kernel.routes))),
            tuple(f"{key}={value}" for key, value in sorted(kernel.sysctls.items())),
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
