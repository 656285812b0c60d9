"""What is on the disk of an EdgeRouter, and the configuration it leaves the wizard with."""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..linux._server import install_client
from ..linux._tools import LINKS

RELEASES: Final = {
    "1.10.11": "v1.10.11.5274269.200221.1028",
    "2.0.9": "v2.0.9-hotfix.7.5622731.230615.0857",
    "3.0.0": "v3.0.0.5845128.250618.1105",
}
"""The release line of config.boot by version; the last one's build is made up in the form of 3.0.1's (sheet 1.7)."""

MODELS: Final = {
    "e50": "EdgeRouter X 5-Port", "e100": "EdgeRouter Lite 3-Port", "e200": "EdgeRouter 8-Port", "e300": "EdgeRouter 4",
    "e1000": "EdgeRouter Infinity",
}  # fmt: skip

STAND_INS: Final = tuple(
    """
    ip iptables ip6tables iptables-save ip6tables-save iptables-restore ip6tables-restore sysctl ping sudo sg id date sleep
    modprobe logger uname reboot install chown chgrp stat ls dpkg-query dpkg at atq atrm newgrp hostname groups
    vyatta-cfg-cmd-wrapper vyatta-op-cmd-wrapper cli-shell-api vyatta_current_conf_ver.pl
    """.split()  # noqa: SIM905 - forty quoted words would hide the list
)

_SCRIPT_TEMPLATE: Final = """\
# words of configuration mode for scripts
for verb in set delete commit save load discard show comment; do
    eval "$verb() { vyatta-cfg-cmd-wrapper $verb \\"\\$@\\"; }"
done
configure() { vyatta-cfg-cmd-wrapper begin; }
run() { vyatta-op-cmd-wrapper "$@"; }
exit() { vyatta-cfg-cmd-wrapper end 2>/dev/null; builtin exit "$@"; }
"""

_OWN: Final = frozenset({"install", "stat", "ls", "chown", "chgrp"})
_TREE: Final = (
    "bin", "root", "tmp", "run", "home", "etc", "proc/sys", "var/log/vyatta", "opt/vyatta/etc", "opt/vyatta/config/tmp",
    "opt/vyatta/share/vyatta-cfg/templates/interfaces/ethernet", "config/auth", "config/user-data", "config/archive",
    "config/scripts/firstboot.d", "config/scripts/pre-config.d", "config/scripts/post-config.d",
    "config/data/firstboot/install-packages",
)  # fmt: skip


def make_disk(root: Path, name: str, board: str, version: str) -> None:
    """Directories, and the files that tell what this router is."""
    for path in _TREE:
        (root / path).mkdir(parents=True, exist_ok=True)
    for link in ("sbin", "usr/bin", "usr/sbin", "opt/vyatta/sbin", "opt/vyatta/bin"):
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        if not (root / link).is_symlink():
            (root / link).symlink_to(root / "bin")
    release = RELEASES[version]
    (root / "etc/version").write_text(f"EdgeRouter.ER-{board}.{release}\n")
    (root / "opt/vyatta/etc/version").write_text(f"Version: {release.rsplit('.', 3)[0]}\nBuild ID: {release.split('.')[-3]}\n")
    (root / "opt/vyatta/etc/functions").mkdir(parents=True, exist_ok=True)
    (root / "opt/vyatta/etc/functions/script-template").write_text(_SCRIPT_TEMPLATE)
    (root / "etc/hostname").write_text(name + "\n")
    (root / "config/auth").chmod(0o770)


def make_path(root: Path, *, wireguard: bool, missing: Sequence[str] = ()) -> None:
    """The bin directory: stand-ins and links, nothing else."""
    folder = root / "bin"
    client = install_client(folder, root)
    names = [*STAND_INS, *(["wg"] if wireguard else [])]
    for name in names:
        place(folder / name, client.name, wanted=name not in missing)
    for name in LINKS:
        real = shutil.which(name)
        if real is not None and name not in _OWN:
            place(folder / name, os.path.realpath(real) if name == "sh" else real, wanted=name not in missing)
    bash = shutil.which("bash") or "/bin/bash"
    place(folder / "vbash", bash, wanted=True)
    templates = root / "opt/vyatta/share/vyatta-cfg/templates/interfaces/wireguard"
    if wireguard:
        templates.mkdir(parents=True, exist_ok=True)
    else:
        shutil.rmtree(templates, ignore_errors=True)
        (folder / "wg").unlink(missing_ok=True)


def place(link: Path, target: str, *, wanted: bool) -> None:
    """A command that is there, or not."""
    link.unlink(missing_ok=True)
    if wanted:
        link.symlink_to(target)


def wizard(name: str, public: Sequence[str], lans: Sequence[str], user: str, *, hardened: bool) -> str:
    """config.boot after the wizard: WAN on eth0, LANs behind it, masquerade, and firewall rule sets on the WAN if hardened."""
    wan = [f"{host}/{24 if '.' in host else 64}" for host in public] or ["100.64.0.2/24"]
    lines = list[str]()
    if hardened:
        lines += _rule_set("WAN_IN", "WAN to internal") + _rule_set("WAN_LOCAL", "WAN to router")
    lines += [f"interfaces ethernet eth0 address {one}" for one in wan]
    lines += ["interfaces ethernet eth0 description Internet"]
    if hardened:
        lines += ["interfaces ethernet eth0 firewall in name WAN_IN", "interfaces ethernet eth0 firewall local name WAN_LOCAL"]
    for number, lan in enumerate(lans, 1):
        network = ipaddress.ip_network(lan)
        lines += [f"interfaces ethernet eth{number} address {network[1]}/{network.prefixlen}"]
        lines += [f"interfaces ethernet eth{number} description Local"]
    lines += ["interfaces loopback lo"]
    for one in wan:
        interface = ipaddress.ip_interface(one)
        gateway = interface.network[1] if interface.network[1] != interface.ip else interface.network[2]
        kind, everywhere = ("route", "0.0.0.0/0") if interface.version == 4 else ("route6", "::/0")
        lines += [f"protocols static {kind} {everywhere} next-hop {gateway}"]
    for words in ("outbound-interface eth0", "type masquerade", 'description "masquerade for WAN"'):
        lines += [f"service nat rule 5010 {words}"]
    lines += ["service gui https-port 443", "service ssh port 22", "service ssh protocol-version v2"]
    lines += [f"system host-name {name}", f"system login user {user} level admin", "system time-zone UTC"]
    lines += ["system config-management commit-revisions 50"]
    return "\n".join(lines)


def _rule_set(name: str, description: str) -> list[str]:
    start = f"firewall name {name}"
    return [
        f"{start} default-action drop",
        f'{start} description "{description}"',
        f"{start} rule 10 action accept",
        f'{start} rule 10 description "Allow established/related"',
        f"{start} rule 10 state established enable",
        f"{start} rule 10 state related enable",
        f"{start} rule 20 action drop",
        f'{start} rule 20 description "Drop invalid state"',
        f"{start} rule 20 state invalid enable",
    ]
