"""`ping` as busybox has it."""

from __future__ import annotations

import ipaddress
from typing import Final

from ..linux._call import Call, Refused

_PING_VALUES: Final = frozenset({"-c", "-s", "-i", "-A", "-t", "-w", "-W", "-I", "-p"})


def ping(call: Call) -> int:
    """Of busybox: ping: -4 -6 -c -s -I -W -w -q -i -t; its words (capture 4a)."""
    options, target, words = {"-c": "3", "-s": "56"}, "", list(call.argv)
    while words:
        word = words.pop(0)
        if word[:2] in _PING_VALUES and word[:2] != "-A":
            options[word[:2]] = word[2:] or (words.pop(0) if words else "")
        elif word.startswith("-"):
            if set(word[1:]) - set("q46A"):
                raise Refused(f"ping: invalid option -- '{word[1]}'")
            options[word] = ""
        else:
            target = word
    if not target:
        raise Refused("BusyBox v1.36.1 multi-call binary.\n\nUsage: ping [OPTIONS] HOST")
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        resolved = call.host.resolve(target)
        if resolved is None:
            raise Refused(f"ping: bad address '{target}'") from None
        address = ipaddress.ip_address(resolved)
    return _ping(call, options, target, address)


def _ping(call: Call, options: dict[str, str], target: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    kernel, source, bound = call.host.kernel, None, options.get("-I", "")
    if bound in kernel.devices:
        mine = [one.ip for one in kernel.devices[bound].addresses if one.version == address.version]
        source = str(mine[0]) if mine else None
    elif bound:
        try:
            source = str(ipaddress.ip_address(bound))
        except ValueError:
            raise Refused(f"ping: bad address '{bound}'") from None
        if kernel.owner(ipaddress.ip_address(bound)) is None:
            raise Refused("ping: bind: Address not available")
    size, count = int(options["-s"]), int(options["-c"])
    call.out(f"PING {target} ({address}): {size} data bytes")
    route = kernel.lookup(address)
    if route is None and kernel.owner(address) is None:
        raise Refused("ping: sendto: Network unreachable")
    received = sum(call.host.pings(source, str(address)) for _ in range(count))
    if "-q" not in options:
        for number in range(received):
            call.out(f"{size + 8} bytes from {address}: seq={number} ttl=64 time=0.887 ms")
    loss = round(100 * (count - received) / count) if count else 0
    call.out(f"\n--- {target} ping statistics ---")
    call.out(f"{count} packets transmitted, {received} packets received, {loss}% packet loss")
    if received:
        call.out("round-trip min/avg/max = 0.887/0.887/0.887 ms")
    return 0 if received else 1
