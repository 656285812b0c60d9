"""Which command is which stand-in, and which ordinary tools are real."""

from __future__ import annotations

from typing import Final, Literal

from . import _firewalld, _ip, _iptables, _nft, _small, _systemd, _ufw, _wg, _wg_quick
from ._call import Tool

Firewall = Literal["none", "nftables", "iptables", "firewalld", "ufw"]

TOOLS: Final[dict[str, Tool]] = {
    "wg": _wg.wg,
    "wg-quick": _wg_quick.wg_quick,
    "wireguard-go": _small.wireguard_go,
    "ip": _ip.ip,
    "nft": _nft.nft,
    "iptables": _iptables.iptables,
    "ip6tables": _iptables.iptables,
    "iptables-save": _iptables.save,
    "ip6tables-save": _iptables.save,
    "iptables-restore": _iptables.restore,
    "ip6tables-restore": _iptables.restore,
    "firewall-cmd": _firewalld.firewall_cmd,
    "ufw": _ufw.ufw,
    "systemctl": _systemd.systemctl,
    "systemd-run": _systemd.systemd_run,
    "sysctl": _small.sysctl,
    "ping": _small.ping,
    "sudo": _small.sudo,
    "id": _small.ident,
    "date": _small.date,
    "sleep": _small.sleep,
    "crontab": _small.crontab,
    "resolvconf": _small.resolvconf,
    "modprobe": _small.modprobe,
    "logger": _small.logger,
    "uname": _small.uname,
    "reboot": _small.reboot,
}

UNLOCKED: Final = frozenset({"sleep", "wg-quick", "systemctl", "systemd-run", "sudo", "ping", "reboot"})
"""Stand-ins that wait for others, and so must not keep them out."""

LINKS: Final[tuple[str, ...]] = tuple(
    """
    sh bash cat sed awk grep egrep fgrep mktemp mv cp ln rm mkdir rmdir chmod touch install sync dd
    sort uniq tr cut head tail wc tee cmp diff comm paste od seq base64 sha256sum md5sum printf echo
    ls find xargs dirname basename readlink stat test [ true false env expr nohup setsid kill timeout flock nproc
    """.split()  # noqa: SIM905 - forty quoted words would hide the list
)
"""Ordinary tools that are safe to run for real: they act on the files they are given."""

_FIREWALL_TOOLS: Final[dict[Firewall, frozenset[str]]] = {
    "none": frozenset({"nft", "iptables"}),
    "nftables": frozenset({"nft"}),
    "iptables": frozenset({"iptables"}),
    "firewalld": frozenset({"nft", "iptables", "firewall-cmd"}),
    "ufw": frozenset({"nft", "iptables", "ufw"}),
}


def present(firewall: Firewall, *, systemd: bool, module: bool) -> list[str]:
    """The stand-ins that a host of this kind has."""
    found = []
    for name in TOOLS:
        base = name.replace("ip6tables", "iptables").removesuffix("-save").removesuffix("-restore")
        if base in {"nft", "iptables", "firewall-cmd", "ufw"} and base not in _FIREWALL_TOOLS[firewall]:
            continue
        if (name.startswith("system") and not systemd) or (name == "wireguard-go" and module):
            continue
        found.append(name)
    return found
