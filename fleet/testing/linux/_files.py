"""What is on the disk of a simulated host when it is new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ._server import install_client
from ._tools import LINKS, Firewall, present

_HARDENED_NFT: Final = """\
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname "lo" accept
		tcp dport 22 accept comment "ssh by admins"
		icmp type echo-request accept
		meta l4proto ipv6-icmp accept
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "eth1" oifname "eth0" accept comment "lan to internet"
	}

	chain output {
		type filter hook output priority filter; policy accept;
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" masquerade comment "internet for the lan"
	}
}
"""

_HARDENED_IPTABLES: Final = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "ssh by admins" -j ACCEPT
-A INPUT -p {icmp} -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth1 -o eth0 -m comment --comment "lan to internet" -j ACCEPT
COMMIT
"""

_OS_RELEASE: Final = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
    "rocky": 'NAME="Rocky Linux"\nVERSION="9.4 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
    "alpine": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n',
}


_TREE: Final = ("bin", "root", "tmp", "run", "etc/systemd/system/multi-user.target.wants", "etc/sysctl.d", "etc/iptables",
                "etc/cron.d", "var/lib", "proc/sys", "usr/local/lib", "usr/local/sbin")  # fmt: skip


def make_tree(root: Path, hostname: str, distro: str, *, module: bool, systemd: bool) -> None:
    """Directories and the files that tell what this host is."""
    for path in _TREE:
        (root / path).mkdir(parents=True, exist_ok=True)
    (root / "etc/wireguard").mkdir(mode=0o700, exist_ok=True)
    (root / "etc/os-release").write_text(_OS_RELEASE.get(distro, f"ID={distro}\n"))
    (root / "etc/hostname").write_text(hostname + "\n")
    if module:
        (root / "sys/module/wireguard").mkdir(parents=True, exist_ok=True)
    if not systemd:
        (root / "etc/rc.local").write_text("#!/bin/sh -e\n# started at the end of boot\nexit 0\n")
        (root / "etc/rc.local").chmod(0o755)


def make_path(root: Path, firewall: Firewall, *, systemd: bool, module: bool, missing: Iterable[str]) -> None:
    """The bin directory: stand-ins and links, nothing else."""
    client = install_client(root / "bin", root)
    absent = set(missing)
    for name in present(firewall, systemd=systemd, module=module):
        if name not in absent:
            (root / "bin" / name).symlink_to(client.name)
    for name in LINKS:
        real = shutil.which(name)
        if real is not None and name not in absent:
            # `sh` itself may be a link; its target decides how it behaves, not its name.
            (root / "bin" / name).symlink_to(os.path.realpath(real) if name == "sh" else real)


def make_firewall(root: Path, firewall: Firewall, *, hardened: bool, systemd: bool) -> None:
    """The files of nftables and iptables, loaded at boot."""
    etc = root / "etc"
    if firewall == "nftables":
        (etc / "nftables.conf").write_text(_HARDENED_NFT if hardened else "#!/usr/sbin/nft -f\nflush ruleset\n")
    elif firewall == "iptables":
        accepting = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
        for version, icmp in ((4, "icmp"), (6, "ipv6-icmp")):
            (etc / f"iptables/rules.v{version}").write_text(_HARDENED_IPTABLES.format(icmp=icmp) if hardened else accepting)
    unit = {"nftables": "nftables.service", "iptables": "netfilter-persistent.service"}.get(firewall)
    if unit and systemd:
        (etc / "systemd/system/multi-user.target.wants" / unit).symlink_to(f"/lib/systemd/system/{unit}")


def files_below(root: Path, tops: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file by its path; links have mode 0 and their target as content."""
    found: dict[str, tuple[int, bytes]] = {}
    for top in tops:
        for path in sorted((root / top).rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                found[name] = (0, os.readlink(path).encode())
            elif path.is_file():
                found[name] = (path.stat().st_mode & 0o7777, path.read_bytes())
    return found
