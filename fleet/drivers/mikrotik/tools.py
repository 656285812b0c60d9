"""What is done with a router besides its configuration: ping, forced handshake, the management account."""

from __future__ import annotations

from typing import Final

from ... import Ask, Probe, ProbeResult, Reply, Words
from ...model import PublicKey
from .values import parse_duration, parse_number

GROUP: Final = "fleet"
POLICIES: Final = ("read", "write", "api", "test")
"""`test` is for ping alone; without it everything else works."""

# RouterOS counts the whole IP packet as `size`: 20 or 40 bytes of IP and 8 of ICMP more than a ping's payload.
_HEADERS: Final = {4: 28, 6: 48}


def ping(probe: Probe) -> Ask[ProbeResult]:
    """`/ping` as the manual has it: a row per packet, each with the totals so far."""
    words = [("address", str(probe.target))]
    if probe.source is not None:
        words.append(("src-address", str(probe.source)))
    words += [("size", str(probe.size + _HEADERS[probe.target.version])), ("count", str(probe.count))]
    return Ask((Words("/ping", tuple(words), reads=True, timeout=10.0 + 2.0 * probe.count),), _totals)


def _totals(replies: tuple[Reply, ...]) -> ProbeResult:
    rows = replies[0].rows
    if not rows:
        return ProbeResult(0, 0)
    last = rows[-1]
    answered = sum("time" in row for row in rows)
    average = last.get("avg-rtt")
    return ProbeResult(
        sent=parse_number(last["sent"]) if "sent" in last else len(rows),
        received=parse_number(last["received"]) if "received" in last else answered,
        milliseconds=parse_duration(average) * 1000 if average else None,
    )


def bounce(interface: str, public_key: PublicKey) -> Words:
    """Disable and enable a peer in one script: two tagged commands have no order (sheet 1.4), and the connection may need it.

    Keys and interface names hold nothing that a RouterOS string would interpret.
    """
    found = f'[/interface/wireguard/peers/find where interface="{interface}" and public-key="{public_key}"]'
    script = (
        f":local peer {found}; "
        ":do {/interface/wireguard/peers/disable $peer} on-error={}; "
        "/interface/wireguard/peers/enable $peer"
    )
    return Words("/execute", (("script", script),))


def account(username: str) -> str:
    """Commands for an administrator's terminal. Ends in the middle of a line, where the password is typed."""
    return "\n".join(
        (
            f':if ([:len [/user/group/find name="{GROUP}"]] = 0) do={{/user/group/add name="{GROUP}"}}',
            f'/user/group/set [find name="{GROUP}"] policy={",".join(POLICIES)}',
            f':if ([:len [/user/find name="{username}"]] = 0) do={{/user/add name="{username}" group="{GROUP}" disabled=yes}}',
            "# type the password after the equals sign; restrict the user to your NOC with address=PREFIX if you can",
            f'/user/set [find name="{username}"] group="{GROUP}" disabled=no password=',
        )
    )
