"""What a start finds: a fresh kernel, and a disk without what was only in memory."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..linux._kernel import Kernel, parse_interface

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator


def kernel(router: EdgeOsSimulator) -> Kernel:
    """Loopback and Ethernet devices, up; addresses come from the configuration."""
    works = router.has_wireguard and "no-kernel-module" not in router.otherwise
    found = Kernel(router.name, wireguard_module=works)
    octeon = "3.10.107-UBNT" if router.version.startswith("1.") else "4.9.79-UBNT"
    mediatek = "3.10.107-UBNT" if router.version.startswith("1.") else "4.14.54-UBNT"
    found.sysctls |= {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.all.forwarding": "1",
        "net.ipv6.conf.all.forwarding": "1",
        "net.ipv4.conf.all.promote_secondaries": "1",
        "kernel.osrelease": mediatek if router.board == "e50" else octeon,
    }
    found.add_device("lo", "loopback", 65536)
    found.add_address("lo", parse_interface("127.0.0.1/8"))
    for number in range(max(3, len(router.lans) + 1)):
        found.add_device(f"eth{number}", "ether")
    for device in list(found.devices.values()):
        found.set_up(device.name, True)
    return found


def forget_volatile(root: Path, boots: int) -> None:
    """Sessions, /run and /tmp; a new boot id."""
    for path in ("run", "tmp", "opt/vyatta/config"):
        shutil.rmtree(root / path, ignore_errors=True)
        (root / path).mkdir(parents=True, exist_ok=True)
    (root / "opt/vyatta/config/tmp").mkdir()
    boot_id = root / "proc/sys/kernel/random/boot_id"
    boot_id.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{root} {boots}".encode()).hexdigest()
    boot_id.write_text("-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])) + "\n")
