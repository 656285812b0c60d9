"""`ip` as busybox has it: fewer options than iproute2 (no JSON, no brief form), and routes without their protocol.

Not in the sheet: its captures were taken with iproute2 beside a busybox that lacks the applet. wireguard-tools pulls in the
applet, and routers print `192.168.1.0/24 dev br-lan scope link  src 192.168.1.1` (busybox, networking/libiproute).
"""

from __future__ import annotations

import re
from typing import Final

from ..linux import _ip
from ..linux._call import Call, Refused
from ._router import router_of

_OPTIONS: Final = frozenset({"-4", "-6", "-0", "-o", "-oneline", "-f", "-family"})
_USAGE: Final = """\
BusyBox v1.36.1 (2024-09-23 12:34:46 UTC) multi-call binary.

Usage: ip [OPTIONS] address|route|link|neigh|rule [ARGS]

OPTIONS := -f[amily] inet|inet6|link | -o[neline]"""


def ip(call: Call) -> int | None:
    """iproute2's on a router that has the package, else the applet."""
    if router_of(call).iproute2:
        return _ip.ip(call)
    words = list(call.argv)
    while words and words[0].startswith("-"):
        if words[0] not in _OPTIONS:
            raise Refused(_USAGE)
        words = words[2:] if words[0] in {"-f", "-family"} else words[1:]
    inner = Call(call.host, call.name, call.argv, call.cwd, call.uid, call.fds)
    code = _ip.ip(inner)
    if words and "route".startswith(words[0]):
        shown = "".join(_route(line) + "\n" for line in inner.said().splitlines())
    else:
        shown = re.sub(r" (?:mode DEFAULT|group default)", "", inner.said())
    call.out(shown, end="")
    return code


def _route(line: str) -> str:
    line = re.sub(r" proto \w+", "", line)
    for word in ("src", "metric"):
        line = re.sub(rf" {word} ", f"  {word} ", line)
    return line.replace(" pref medium", "")
