"""Which command is which stand-in on an EdgeRouter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..linux._call import Call, Refused
from ..linux._tools import TOOLS
from . import calls, disk, flash, jobs, ownership, wrapper


def _reboot(call: Call) -> int:
    call.need_root("reboot: must be superuser.")
    call.host.reboot_soon()
    return 0


def _ip(call: Call) -> int | None:
    """No JSON on any of these firmwares; sheet 8."""
    first = next((word for word in call.argv if word in {"-j", "-json", "-p", "-pretty"}), None)
    if (first is not None and not call.argv[: call.argv.index(first)]) or first in {"-j", "-json"}:
        raise Refused(f'Option "{first}" is unknown, try "ip -help".', 255)
    return TOOLS["ip"](call)


def _hostname(call: Call) -> int:
    call.out(call.host.kernel.sysctls["kernel.hostname"])
    return 0


def _groups(call: Call) -> int:
    call.argv = ["-Gn"]
    return calls.ident(call)


def _writer(call: Call) -> int:
    return flash.writer(call, calls.edge(call).edge.failing_writes)


def _sleep(call: Call) -> int:
    return calls.edge(call).edge.put_to_sleep(call)


EDGE_TOOLS: Final[dict[str, Callable[[Call], int | None]]] = {
    **{name: tool for name, tool in TOOLS.items() if name in disk.STAND_INS or name == "wg"},
    **dict.fromkeys(flash.WRITERS, _writer),
    "ip": _ip,
    "sudo": calls.sudo, "sg": calls.sg, "newgrp": calls.sg, "id": calls.ident, "uname": calls.uname,
    "hostname": _hostname, "groups": _groups,
    "dpkg-query": calls.dpkg_query, "dpkg": calls.dpkg_query,
    "install": ownership.install, "chown": ownership.chown, "chgrp": ownership.chown, "stat": ownership.stat,
    "ls": ownership.ls,
    "reboot": _reboot, "sleep": _sleep, "at": jobs.at, "atq": jobs.atq, "atrm": jobs.atrm,
    "vyatta-cfg-cmd-wrapper": wrapper.cfg_wrapper, "vyatta-op-cmd-wrapper": wrapper.op_wrapper,
    "cli-shell-api": wrapper.shell_api, "vyatta_current_conf_ver.pl": wrapper.current_version,
}  # fmt: skip
UNLOCKED: Final = frozenset({"sleep", "sudo", "sg", "newgrp", "ls", "ping", "reboot", *flash.WRITERS})
"""Stand-ins that wait for others, and so must not keep them out."""
