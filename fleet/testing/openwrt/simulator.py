"""A simulated OpenWrt router: fleet's real shell scripts run under busybox's `sh`, everything they call is a stand-in.

UCI, ubus, netifd with its WireGuard handler, fw4, procd's services and cron keep one state; the kernel, `wg`, `ip` and `nft`
are those of the simulated Linux host. Scripts find their files through `$FLEET_ROOT`, empty on a router, and commands on
PATH. Facts: sheet "Driving WireGuard on OpenWrt" and its captures; sections are named beside the code.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Unpack

from ...model import IPInterface
from .._nodes import Clock
from ..ether import Ether
from ..linux._kernel import Kernel
from ..linux._nftset import Ruleset
from ..linux.simulator import SshOptions
from ..sshd import Faults, SshServer
from . import _files, _fw4, _fw4rules, _init
from ._access import Keys, Passwords
from ._bench import Bench
from ._ifcmd import needs
from ._netifd import Netifd, listed
from ._router import Handler, release_of
from ._rpcd import Rpcd
from ._strangers import Strangers
from ._uci import store_of
from ._ucieditor import Editor
from ._ucistore import Store, Target, UciError

COMMAND_LIMIT: Final = 9000
"""Bytes of an exec command that dropbear takes (sheet 6)."""

DELAY: Final = 0.15
"""Seconds a setup takes: `ifup` returns before (capture 4a)."""

_LOG_LINES: Final = 1000


class OpenWrtSimulator(Bench):
    """One router, up from construction until `close`. Use it as a context manager.

    `version` as 23.05 or 23.05.5. `handler`: another generation of the proto handler than the release has. `packages`:
    optional ones that are installed. `lans`: prefixes behind it, the first on br-lan. `public_hosts`: names and addresses
    of endpoints, the first address is on wan; none: behind NAT with an address of RFC 6598. `services_off`: not enabled at
    boot (rpcd, firewall, cron). `online` False: no package can be fetched. `iproute2`: ip-full is installed, else `ip` is
    busybox's. `spy`: applets leave their arguments for `exposed` (slower). `hurry` scales procd's and netifd's delays.
    Beyond that as LinuxSimulator.

    To change while it runs: `psk_option`, what the handler reads a preshared key from (H2's first cut: `peer_psk`);
    `hangs_up`, whether a command dies with its connection (SIGHUP) unless it left its session or ignores that;
    `flash_full` and `flash_read_only`, faults.
    """

    wan: str

    def __init__(
        self,
        name: str,
        ether: Ether | None = None,
        clock: Clock | None = None,
        public_hosts: Sequence[str] = (),
        *,
        version: str = "23.05",
        handler: Handler | None = None,
        packages: Sequence[str] = ("wireguard-tools", "kmod-wireguard"),
        lans: Sequence[str] = ("192.168.1.0/24",),
        model: str = "GL.iNet GL-MT1300",
        wan_device: str = "wan",
        lan_device: str = "br-lan",
        services_off: Sequence[str] = (),
        online: bool = True,
        iproute2: bool = False,
        spy: bool = False,
        tools_version: str | None = None,
        names: Mapping[str, str] | None = None,
        missing: Sequence[str] = (),
        hurry: float = 1.0,
        directory: Path | None = None,
    ) -> None:
        self.release = release_of(version)
        self.handler: Handler = handler or self.release.handler
        self.hostname, self.model, self.machine, self.kernel_release = name, model, "mips", "5.15.167"
        self.wan, self.lan_device, self.hurry, self.online = wan_device, lan_device, hurry, online
        self.packages: dict[str, str] = {}
        self.asked_packages = packages
        self.package_lists = False
        self.netifd_2026 = self.handler == "H3"
        self.jsonfilter_reads_stdin = self.release.version < "25.12"
        self.psk_option = "preshared_key"
        self.iproute2, self.spy = iproute2, spy
        self._flash_full = self._flash_read_only = False
        self.flash_free = 6144
        self.root_password = ""
        self.services: dict[str, bool] = {}
        self.syslog: deque[str] = deque(maxlen=_LOG_LINES)
        self._off, self._pids = services_off, itertools.count(2000)
        self._lan_prefixes = tuple(lans)
        self._links = tuple(host for host in public_hosts if _is_address(host))
        self._prepare_shell()
        self._prepare_bench()
        self.strangers = Strangers(self)
        self.netifd, self.rpcd, self.cron = Netifd(self), Rpcd(self), _init.Crond(self)
        super().__init__(
            name,
            ether,
            clock,
            public_hosts,
            init="rc.local",
            lans=lans,
            username="root",
            tools_version=tools_version or self.release.tools_version,
            wireguard_module="kmod-wireguard" in packages,
            names=names,
            missing=missing,
            directory=directory,
        )
        self._seen_state = self.state()

    # --- what the parts ask --------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """UCI as a daemon or a command without options sees it."""
        return store_of(self)

    @property
    def networks(self) -> list[tuple[str, dict[str, str]]]:
        """Interfaces of the default configuration."""
        found = []
        for number, lan in enumerate(self._lan_prefixes):
            network = ipaddress.ip_network(lan)
            name = f"lan{number + 1}" if number else "lan"
            device = f"{self.lan_device}{number + 1}" if number else self.lan_device
            key = {"ipaddr": str(network[1]), "netmask": str(network.netmask)}
            options = key if network.version == 4 else {"ip6addr": f"{network[1]}/{network.prefixlen}"}
            found.append((name, {"device": device, "proto": "static", **options}))
        if not self._links:
            return [*found, ("wan", {"device": self.wan, "proto": "dhcp"})]
        addresses, gateway = self.lease()
        options = {"ipaddr": str(addresses[0].ip), "netmask": str(addresses[0].netmask), "gateway": gateway}
        return [*found, ("wan", {"device": self.wan, "proto": "static", **options})]

    def lease(self) -> tuple[list[IPInterface], str]:
        """What the network outside gives: address and gateway."""
        host = self._links[0] if self._links else "100.64.0.2"
        address = ipaddress.ip_interface(f"{host}/{24 if '.' in host else 64}")
        gateway = address.network[1] if address.network[1] != address.ip else address.network[2]
        return [address], str(gateway)

    @property
    def board(self) -> dict[str, object]:
        """What `ubus call system board` answers."""
        return {
            "kernel": self.kernel_release,
            "hostname": self.hostname,
            "system": "MediaTek MT7621 ver:1 eco:3",
            "model": self.model,
            "board_name": self.model.lower().replace(" ", ",", 1).replace(" ", "-"),
            "rootfs_type": "squashfs",
            "release": {
                "distribution": "OpenWrt",
                "version": self.release.version,
                "revision": "r24106-10cc5fcd00",
                "target": "ramips/mt7621",
                "description": f"OpenWrt {self.release.version} r24106-10cc5fcd00",
            },
        }

    def installed(self, package: str) -> bool:
        """True if a package is there."""
        return package in self.packages

    def install(self, package: str) -> None:
        """Install a package with what it needs, as the package manager does: netifd knows nothing of it yet."""
        for one in (*needs(package), package):
            if one not in self.packages:
                self.packages[one] = f"{self.release.tools_version}-2" if one == "wireguard-tools" else "2024.1-1"
                _files.install(self, one)
        if "kmod-wireguard" in self.packages:
            self._module = self.kernel.wireguard_module = True

    def log(self, priority: str, tag: str, text: str) -> None:
        """A line of the system log."""
        when = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(self.wall()))
        self.syslog.append(f"{when} {priority} {tag}: {text}")

    def next_pid(self) -> int:
        """A process number for a log line."""
        return next(self._pids)

    def locked(self) -> AbstractContextManager[None]:
        """Keep stand-ins out while a daemon changes something."""
        return self._locked()

    def after(self, what: str, name: str, action: Callable[[], None]) -> None:
        """Do what a daemon does a moment later."""

        def run() -> None:
            with self.locked():
                action()
            self.touched()

        self.agenda.at(f"{what} {name}", DELAY * self.hurry, run)

    @property
    def flash_full(self) -> bool:
        """A fault to switch: no block is left."""
        return self._flash_full

    @flash_full.setter
    def flash_full(self, full: bool) -> None:
        self._flash_full = full
        _files.watch_flash(self.root_path, faulty=bool(self.flash_fault()))

    @property
    def flash_read_only(self) -> bool:
        """A fault to switch: the overlay is mounted read-only."""
        return self._flash_read_only

    @flash_read_only.setter
    def flash_read_only(self, read_only: bool) -> None:
        self._flash_read_only = read_only
        _files.watch_flash(self.root_path, faulty=bool(self.flash_fault()))

    def flash_fault(self) -> str:
        """Why nothing can be written to the flash, or an empty text."""
        return "Read-only file system" if self.flash_read_only else "No space left on device" if self.flash_full else ""

    def flash_wrote(self, package: str) -> None:
        """A package was written to the flash."""
        self.flash_commits += 1

    def generate_key(self, interface: str, private_key: str) -> None:
        """What the handler does for `generate`: its commit takes along what others have staged (sheet 2.4, capture 4a)."""
        shared = self.store
        store = Store(shared.directory, self.root_path / "tmp/.uci-wg", [shared.save], shared.override,
                      writable=shared.writable, wrote=shared.wrote)  # fmt: skip
        try:
            Editor(store, "network").set(Target("network", interface, "private_key", private_key))
            store.commit("network")
        except UciError as error:
            self.log("daemon.notice", "netifd", f"{interface} ({self.next_pid()}): uci: {error.words}")

    def hotplug(self, action: str, interface: str, device: str) -> None:
        """Scripts of /etc/hotplug.d/iface; the firewall's own reloads the rules if the interface is in a zone."""
        if self._booting:
            return  # the firewall starts later, and scripts wait for the end of the boot
        folder = self.root_path / "etc/hotplug.d/iface"
        for script in sorted(folder.glob("*")):
            if script.name == "20-firewall":
                self._firewall_hotplug(action, interface, device)
                continue
            variables = f"ACTION={action} INTERFACE={interface} DEVICE={device}"
            threading.Thread(target=self.shell, args=(f'{variables} sh "{script}"',), name="hotplug", daemon=True).start()

    def _firewall_hotplug(self, action: str, interface: str, device: str) -> None:
        zones = _fw4rules.Renderer(self).zones.values()
        inside = any(interface in listed(zone.section.options.get("network")) for zone in zones)
        if inside and _init.enabled(self, "firewall") and _fw4.loaded(self):
            self.log("user.notice", "firewall", f"Reloading firewall due to {action} of {interface} ({device})")
            _fw4.load(self)

    def apply_system(self) -> None:
        """Host name out of /etc/config/system."""
        try:
            section = next(iter(self.store.load("system").of_type("system")), None)
        except UciError:
            section = None
        hostname = section.options.get("hostname") if section is not None else None
        if isinstance(hostname, str):
            self.hostname = hostname

    # --- boot ----------------------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        self.boots += 1
        self._up_since = self.clock.now()
        self.agenda.clear()
        with self._locked():
            self._forget_peers()
            self.nftables = Ruleset()
            self.kernel = Kernel(self.name, wireguard_module=self._module)
            self.kernel.forgotten = self.forget_peer
            self.netifd, self.rpcd, self.services = Netifd(self), Rpcd(self), {}
            self._connect()
        self._fresh_run()
        self.kernel.sysctls |= {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
        self.sysctl_changed("net.ipv4.ip_forward")
        self.capture(["sysctl", "-e", "-q", "-p", str(self.root_path / "etc/sysctl.conf")])
        self._booting = True
        _init.boot(self)
        self._booting = False
        if self.services.get("firewall"):
            with self._locked():
                _fw4.load(self)

    def _connect(self) -> None:
        """The hardware: loopback, the uplink, and a bridge per LAN."""
        self.kernel.add_device("lo", "loopback", 65536)
        self.kernel.add_device(self.wan, "ether")
        for number in range(len(self._lan_prefixes)):
            self.kernel.add_device(f"{self.lan_device}{number + 1}" if number else self.lan_device, "bridge")

    def _fresh_run(self) -> None:
        temporary = self.root_path / "tmp"
        _files.remove_tree(temporary)
        for path in ("run", "lock", "log", "state", "run/ubus"):
            (temporary / path).mkdir(parents=True, exist_ok=True)
        self.syslog.clear()
        boot_id = self.root_path / "proc/sys/kernel/random/boot_id"
        digest = os.urandom(16).hex()
        boot_id.write_text("-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:])) + "\n")
        (self.root_path / "proc/uptime").write_text("0.00 0.00\n")

    def _make_disk(self, distro: str, missing: Sequence[str], *, hardened: bool) -> None:
        _files.make_disk(self, missing)
        for name in self._off:
            for link in (self.root_path / "etc/rc.d").glob(f"S[0-9][0-9]{name}"):
                link.unlink()

    def reboot(self) -> None:
        """The power is cut and comes back: /tmp is lost, what is committed and enabled comes back. Settled on return."""
        super().reboot()
        self.settle()
        if self._planted:
            self.strangers.replant()

    def serve_ssh(self, **options: Unpack[SshOptions]) -> SshServer:
        """An SSH server that behaves like dropbear, closed with the router. A password for root becomes the router's."""
        faults = options.get("faults") or Faults()
        faults.command_limit = COMMAND_LIMIT
        faults.long_command_drops = True
        options["faults"] = faults
        server = super().serve_ssh(**options)
        self.root_password = server.passwords.get("root", self.root_password)
        server.passwords = Passwords(self, server.passwords)
        server.authorized = Keys(self, server.authorized)
        server.banner = f"dropbear_{self.release.dropbear}"
        return server


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
