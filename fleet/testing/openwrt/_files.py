"""What is on the flash of a simulated router when it is new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..linux._server import install_client
from ._init import COMMON, SCRIPT, SERVICES
from ._router import Handler, Release
from ._tools import APPLETS, PLACES, TOOLS, WRITERS

if TYPE_CHECKING:
    from .simulator import OpenWrtSimulator

_TREE: Final = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/lib", "root", "tmp", "rom", "etc/config", "etc/rc.d", "etc/init.d",
                "etc/crontabs", "etc/hotplug.d/iface", "etc/dropbear", "etc/sysctl.d", "etc/uci-defaults", "etc/nftables.d",
                "lib/netifd/proto", "lib/upgrade/keep.d", "proc/sys/kernel/random", "overlay/upper", "sys/module",
                "dev")  # fmt: skip

SPIED: Final = ".arguments"
"""Where applets that are spied on leave their arguments, in the router's directory."""

_HOTPLUG: Final = """\
#!/bin/sh
# Reloads the firewall when an interface of a zone came up; the router does it itself when it sees this file.
[ "$ACTION" = ifup ] || exit 0
/etc/init.d/firewall enabled || exit 0
"""

_HANDLERS: Final[dict[Handler, str]] = {
    "H0": '#!/bin/sh\n# proto handler of 21.02: peers know no switch\nwg setconf "$config" "$file"\n',
    "H1": '#!/bin/sh\n# proto handler since 22.03\nconfig_get_bool disabled "$1" "disabled" 0\nwg setconf "$config" "$file"\n',
    "H2": '#!/bin/sh\n# proto handler of 25.12\nconfig_get_bool disabled "$1" "disabled" 0\nwg syncconf "$config" -\n'
    "renew_handler=1\n",
    "H3": "#!/usr/bin/env ucode\n// proto handler in ucode\n",
}

_FIREWALL: Final = """
config defaults
	option syn_flood '1'
	option input 'REJECT'
	option output 'ACCEPT'
	option forward 'REJECT'

config zone
	option name 'lan'
{lans}
	option input 'ACCEPT'
	option output 'ACCEPT'
	option forward 'ACCEPT'

config zone
	option name 'wan'
	list network 'wan'
	list network 'wan6'
	option input 'REJECT'
	option output 'ACCEPT'
	option forward '{drop}'
	option masq '1'
	option mtu_fix '1'

config forwarding
	option src 'lan'
	option dest 'wan'

config rule
	option name 'Allow-DHCP-Renew'
	option src 'wan'
	option proto 'udp'
	option dest_port '68'
	option target 'ACCEPT'
	option family 'ipv4'

config rule
	option name 'Allow-Ping'
	option src 'wan'
	option proto 'icmp'
	option family 'ipv4'
	option target 'ACCEPT'

"""


def make_disk(router: OpenWrtSimulator, missing: Iterable[str]) -> None:
    """Everything a fresh router has, packages that were asked for included."""
    root = router.root_path
    for path in _TREE:
        (root / path).mkdir(parents=True, exist_ok=True)
    (root / "var").symlink_to("tmp")
    (root / "dev/null").touch()  # what stand-ins read under that name; a shell's redirection is the machine's
    _commands(router, set(missing))
    _configuration(router)
    _release(root, router.release)
    for name, start in SERVICES.items():
        script = root / "etc/init.d" / name
        script.write_text(SCRIPT.format(start=start, name=name))
        script.chmod(0o755)
        os.symlink(f"../init.d/{name}", root / "etc/rc.d" / f"S{start:02d}{name}")
    (root / "etc/rc.common").write_text(COMMON)
    (root / "etc/rc.common").chmod(0o755)
    (root / "etc/rc.local").write_text(
        "# Put your custom commands here that should be executed once\n# the system init finished.\n\nexit 0\n"
    )
    (root / "etc/hotplug.d/iface/20-firewall").write_text(_HOTPLUG)
    for package in router.asked_packages:
        router.install(package)


def _commands(router: OpenWrtSimulator, missing: set[str]) -> None:
    root, release = router.root_path, router.release
    client = install_client(root / "bin", root)
    absent = missing | {"wg", "wireguard_watchdog", "apk" if release.manager == "opkg" else "opkg"}
    absent |= {"fw3"} if release.firewall == "fw4" else {"fw4", "nft"}
    for name in TOOLS:
        if name not in absent and name not in WRITERS:
            link(root, client, name)
    busybox = shutil.which("busybox")
    for name in APPLETS:
        real = busybox or shutil.which("sh" if name == "ash" else name)
        if real is None or name in missing:
            continue
        if router.spy and name not in {"sh", "ash", "[", "true", "false"}:
            _spied(root, name, real)
        else:
            (root / "bin" / name).symlink_to(os.path.realpath(real) if name in {"sh", "ash"} else real)
    _limited(root, "sort", "nru")
    flock = shutil.which("flock")
    if flock is not None:  # Debian's busybox has none; OpenWrt's knows -s -x -n -u and -c, and no -w
        script = root / "bin/flock"
        script.write_text(
            f"#!/bin/sh\ncase $1 in -w* | -E* | --*) echo \"flock: invalid option -- '${{1#-}}'\" >&2; exit 1 ;; esac\n"
            f'exec "{flock}" "$@"\n'
        )
        script.chmod(0o755)


def _limited(root: Path, name: str, letters: str) -> None:
    """An applet that knows fewer options than Debian's: `Usage: sort [-nru] [FILE]...` (FEATURE_SORT_BIG is off)."""
    real = os.readlink(root / "bin" / name) if (root / "bin" / name).is_symlink() else ""
    if not real:
        return
    (root / "bin" / name).unlink()
    applet = f'"{real}" {name}' if real.endswith("busybox") else f'"{real}"'
    (root / "bin" / name).write_text(
        f"#!/bin/sh\nfor word; do case $word in -) ;; -*[!{letters}-]* | --*) "
        f'echo "{name}: unrecognized option: ${{word#-}}" >&2; exit 1 ;; esac; done\n'
        f'exec {applet} "$@"\n'
    )
    (root / "bin" / name).chmod(0o755)


def _spied(root: Path, name: str, real: str) -> None:
    """An applet that says what it was called with before it runs."""
    applet = f'"{real}" {name}' if real.endswith("busybox") else f'"{real}"'
    script = root / "bin" / name
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>"{root / SPIED}"\nexec {applet} "$@"\n')
    script.chmod(0o755)


def link(root: Path, client: Path, name: str) -> None:
    """A stand-in on PATH and where a router has it."""
    (root / "bin" / name).symlink_to(client.name)
    place = PLACES.get(name, "bin")
    if place != "bin":
        depth = "../" * (place.count("/") + 1)
        (root / place / name).symlink_to(f"{depth}bin/{client.name}")


def install(router: OpenWrtSimulator, package: str) -> None:
    """Put the files of a package on the flash."""
    root, client = router.root_path, router.root_path / "bin/.standin"
    if package == "wireguard-tools":
        for name in ("wg", "wireguard_watchdog"):
            if not (root / "bin" / name).is_symlink():
                link(root, client, name)
        ending = "uc" if router.handler == "H3" else "sh"
        handler = root / f"lib/netifd/proto/wireguard.{ending}"
        handler.write_text(_HANDLERS[router.handler])
        handler.chmod(0o755)
    if package == "kmod-wireguard":
        (root / "sys/module/wireguard").mkdir(parents=True, exist_ok=True)
    lists = "usr/lib/opkg/info" if router.release.manager == "opkg" else "lib/apk/packages"
    (root / lists).mkdir(parents=True, exist_ok=True)
    (root / lists / f"{package}.list").write_text(f"/usr/share/{package}\n")


def _configuration(router: OpenWrtSimulator) -> None:
    etc = router.root_path / "etc"
    sections = [("loopback", {"device": "lo", "proto": "static", "ipaddr": "127.0.0.1", "netmask": "255.0.0.0"})]
    sections += router.networks
    lines = []
    for name, options in sections:
        lines += ["", f"config interface '{name}'", *(f"\toption {option} '{value}'" for option, value in options.items())]
        if name == "loopback":
            lines += ["", "config globals 'globals'", "\toption ula_prefix 'fd12:3456:789a::/48'"]
    (etc / "config/network").write_text("\n".join([*lines, "", ""]))
    names = [name for name, _ in sections if name.startswith("lan")]
    drop = "DROP" if router.release.firewall == "fw4" else "REJECT"
    lans = "\n".join(f"\tlist network '{name}'" for name in names)
    (etc / "config/firewall").write_text(_FIREWALL.format(lans=lans, drop=drop))
    (etc / "config/system").write_text(
        f"\nconfig system\n\toption hostname '{router.hostname}'\n\toption timezone 'UTC'\n\n"
        "config timeserver 'ntp'\n\toption enabled '1'\n\tlist server '0.openwrt.pool.ntp.org'\n\n"
    )
    (etc / "config/dropbear").write_text(
        "\nconfig dropbear 'main'\n\toption enable '1'\n\toption PasswordAuth 'on'\n\toption Port '22'\n\n"
    )
    (etc / "config/dhcp").write_text(
        "# Leases of the office. Ask Raj before you change anything.\n\nconfig dnsmasq\n\toption domain 'lan'\n\n"
    )
    for name in ("network", "firewall", "system", "dropbear", "dhcp"):
        (etc / "config" / name).chmod(0o600)
    (etc / "sysctl.conf").write_text("# Defaults are configured in /etc/sysctl.d/* and can be customized in this file\n")
    (etc / "sysctl.d/10-default.conf").write_text("net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\n")


def _release(root: Path, release: Release) -> None:
    lines = {
        "DISTRIB_ID": "OpenWrt",
        "DISTRIB_RELEASE": release.version,
        "DISTRIB_REVISION": "r24106-10cc5fcd00",
        "DISTRIB_TARGET": "ramips/mt7621",
        "DISTRIB_ARCH": "mipsel_24kc",
        "DISTRIB_DESCRIPTION": f"OpenWrt {release.version} r24106-10cc5fcd00",
        "DISTRIB_TAINTS": "",
    }
    (root / "etc/openwrt_release").write_text("".join(f"{key}='{value}'\n" for key, value in lines.items()))
    (root / "etc/openwrt_version").write_text(release.version + "\n")
    (root / "etc/os-release").write_text(
        f'NAME="OpenWrt"\nVERSION="{release.version}"\nID="openwrt"\nID_LIKE="lede openwrt"\n'
        f'PRETTY_NAME="OpenWrt {release.version}"\nVERSION_ID="{release.version}"\n'
    )


def watch_flash(root: Path, *, faulty: bool) -> None:
    """While the flash takes nothing, commands that write files are stand-ins that look where they write."""
    busybox = shutil.which("busybox")
    for name in WRITERS:
        path = root / "bin" / name
        real = busybox or shutil.which(name)
        if path.is_symlink() and real is not None:
            path.unlink()
            path.symlink_to(".standin" if faulty else real)


def remove_tree(path: Path) -> None:
    """Remove a folder although a process that is being killed still writes into it."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            break
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
