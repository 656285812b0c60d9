"""The firewall of the simulated router: its default rules, what rules are refused, and what rules do to packets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from ..ether import Packet
from .device import Behaviour, Device
from .tables import Row
from .values import Refused, within

if TYPE_CHECKING:
    from .router import Router

Preset = Literal["defconf", "hardened", "empty"]

_NO_IN: Final = ("output", "postrouting", "srcnat")
_NO_OUT: Final = ("input", "prerouting", "dstnat")
_WITH_PORTS: Final = ("tcp", "udp", "udp-lite", "dccp", "sctp")


class Rules(Behaviour):
    """One of filter, nat, mangle of one family."""

    def __init__(self, router: Router, kind: str) -> None:
        self._router, self._kind = router, kind

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Combinations that make no sense are refused."""
        check(self._kind, fields)

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        check(self._kind, fields)

    def added(self, device: Device, row: Row) -> None:
        """It may open or close the way for a handshake."""
        self._router.changed()

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """As for a new one."""
        self._router.changed()

    def removed(self, device: Device, row: Row) -> None:
        """As for a new one."""
        self._router.changed()


def check(kind: str, fields: Mapping[str, str]) -> None:
    """Refuse what no chain or protocol can match. The texts are the console's."""
    chain, action = fields["chain"], fields["action"]
    if ("dst-port" in fields or "src-port" in fields) and fields.get("protocol") not in _WITH_PORTS:
        raise Refused("failure: ports can be specified if proto is tcp, udp, udp-lite, dccp or sctp", 4)
    if chain in _NO_IN and ("in-interface" in fields or "in-interface-list" in fields):
        raise Refused("failure: incoming interface matching not possible in output and postrouting chains", 4)
    if chain in _NO_OUT and ("out-interface" in fields or "out-interface-list" in fields):
        raise Refused("failure: outgoing interface matching not possible in input and prerouting chains", 4)
    if action == "jump" and "jump-target" not in fields:
        raise Refused("failure: jump-target must be specified", 4)
    if action == "change-mss" and fields.get("protocol") != "tcp":
        raise Refused("failure: tcp-mss change only possible for tcp", 4)
    if action in ("masquerade", "src-nat") and chain in ("dstnat", "output"):
        raise Refused(f"failure: {action} only possible in srcnat chain", 4)
    if action in ("dst-nat", "redirect") and chain in ("srcnat", "input"):
        raise Refused(f"failure: {action} only possible in dstnat chain", 4)


# --- what rules do to packets ------------------------------------------------------------------------------------------


def accepts(device: Device, packet: Packet) -> bool:
    """The verdict of filter: input, forward or output by where the packet starts and ends. Accept if no rule decides."""
    chain = "output" if packet.in_interface is None else "input" if packet.out_interface is None else "forward"
    return _walk(device, "filter", chain, packet) not in ("drop", "reject", "tarpit")


def rewrites_source(device: Device, packet: Packet) -> bool:
    """True if srcnat would change the source of a new connection."""
    return _walk(device, "nat", "srcnat", packet) in ("masquerade", "src-nat", "netmap", "same")


def _walk(device: Device, kind: str, chain: str, packet: Packet, depth: int = 0) -> str | None:
    family = "ipv6" if ":" in packet.target else "ip"
    for row in list(device.table(f"/{family}/firewall/{kind}").rows):
        if row.disabled or row.get("chain") != chain or not _matches(device, row, packet):
            continue
        action = row.get("action")
        if action == "jump" and depth < 8:
            verdict = _walk(device, kind, row.get("jump-target"), packet, depth + 1)
            if verdict is not None:
                return verdict
        elif action == "return":
            return None
        elif action not in (
            "jump",
            "log",
            "passthrough",
            "fasttrack-connection",
            "add-src-to-address-list",
            "add-dst-to-address-list",
        ):
            return action
    return None


def _matches(device: Device, row: Row, packet: Packet) -> bool:
    """True if every matcher of the rule holds; a matcher the simulator cannot judge never holds."""
    for name, value in row.fields.items():
        if name in _NOT_MATCHERS:
            continue
        wanted, plain = not value.startswith("!"), value.removeprefix("!")
        if _holds(device, name, plain, packet) is not wanted:
            return False
    return True


_NOT_MATCHERS: Final = frozenset(
    {
        "chain", "action", "comment", "disabled", "dynamic", "invalid", "log", "log-prefix", "bytes", "packets", "jump-target",
        "reject-with", "hw-offload", "to-addresses", "to-ports", "new-mss", "passthrough", "randomise-ports", "address-list",
        "new-connection-mark", "new-packet-mark", "new-routing-mark",
    }
)  # fmt: skip


def _holds(device: Device, name: str, value: str, packet: Packet) -> bool:
    if name in ("in-interface", "out-interface"):
        return value == (packet.in_interface if name == "in-interface" else packet.out_interface)
    if name in ("in-interface-list", "out-interface-list"):
        return _in_list(device, value, packet.in_interface if name == "in-interface-list" else packet.out_interface)
    if name in ("src-address", "dst-address"):
        return within(packet.source if name == "src-address" else packet.target, value)
    if name in ("src-address-list", "dst-address-list"):
        return _in_address_list(device, value, packet.source if name == "src-address-list" else packet.target)
    if name == "protocol":
        return value == ("icmpv6" if packet.protocol == "icmp" and ":" in packet.target else packet.protocol)
    if name == "dst-port":
        return packet.port is not None and any(_port(one, packet.port) for one in value.split(","))
    if name == "connection-state":
        return ("established" if packet.established else "new") in value.split(",")
    return False


def _port(wanted: str, port: int) -> bool:
    low, _, high = wanted.partition("-")
    return int(low) <= port <= int(high or low)


def _in_list(device: Device, name: str, interface: str | None) -> bool:
    if interface is None:
        return False
    if name == "all":
        return True
    members = [row for row in list(device.table("/interface/list/member").rows) if not row.disabled]
    return any(row.get("list") == name and row.get("interface") == interface for row in members)


def _in_address_list(device: Device, name: str, address: str) -> bool:
    family = "ipv6" if ":" in address else "ip"
    rows = list(device.table(f"/{family}/firewall/address-list").rows)
    return any(row.get("list") == name and not row.disabled and within(address, row.get("address")) for row in rows)


# --- presets -----------------------------------------------------------------------------------------------------------

_INPUT: Final = (
    {
        "chain": "input",
        "action": "accept",
        "connection-state": "established,related,untracked",
        "comment": "defconf: accept established,related,untracked",
    },
    {"chain": "input", "action": "drop", "connection-state": "invalid", "comment": "defconf: drop invalid"},
    {"chain": "input", "action": "accept", "protocol": "icmp", "comment": "defconf: accept ICMP"},
    {
        "chain": "input",
        "action": "accept",
        "dst-address": "127.0.0.1",
        "comment": "defconf: accept to local loopback (for CAPsMAN)",
    },
    {"chain": "input", "action": "drop", "in-interface-list": "!LAN", "comment": "defconf: drop all not coming from LAN"},
)
_FORWARD: Final = (
    {"chain": "forward", "action": "accept", "ipsec-policy": "in,ipsec", "comment": "defconf: accept in ipsec policy"},
    {"chain": "forward", "action": "accept", "ipsec-policy": "out,ipsec", "comment": "defconf: accept out ipsec policy"},
    {
        "chain": "forward",
        "action": "fasttrack-connection",
        "connection-state": "established,related",
        "hw-offload": "yes",
        "comment": "defconf: fasttrack",
    },
    {
        "chain": "forward",
        "action": "accept",
        "connection-state": "established,related,untracked",
        "comment": "defconf: accept established,related, untracked",
    },
    {"chain": "forward", "action": "drop", "connection-state": "invalid", "comment": "defconf: drop invalid"},
    {
        "chain": "forward",
        "action": "drop",
        "connection-nat-state": "!dstnat",
        "connection-state": "new",
        "in-interface-list": "WAN",
        "comment": "defconf: drop all from WAN not DSTNATed",
    },
)
_HARDENED: Final = (
    {"chain": "input", "action": "accept", "connection-state": "established,related", "comment": "keep"},
    {
        "chain": "input",
        "action": "accept",
        "in-interface-list": "LAN",
        "protocol": "tcp",
        "dst-port": "22,8291,8728,8729",
        "comment": "management",
    },
    {"chain": "input", "action": "accept", "protocol": "icmp", "in-interface-list": "LAN"},
    {"chain": "input", "action": "drop", "log": "yes", "log-prefix": "IN", "comment": "nothing else in"},
    {"chain": "forward", "action": "accept", "connection-state": "established,related"},
    {
        "chain": "forward",
        "action": "accept",
        "in-interface-list": "LAN",
        "out-interface-list": "WAN",
        "comment": "LAN to Internet",
    },
    {"chain": "forward", "action": "drop", "comment": "nothing else through"},
)
_MASQUERADE: Final = {"chain": "srcnat", "action": "masquerade", "out-interface-list": "WAN", "comment": "defconf: masquerade"}


def preset(device: Device, which: Preset) -> None:
    """Load the factory rules (`defconf`, sheet section 4), a closed box's (`hardened`), or none."""
    if which == "empty":
        return
    for kind in ("filter", "mangle"):
        # FastTrack shows its counters in rules the router makes itself; nothing can be placed before them.
        fasttrack = {"chain": "forward", "comment": "special dummy rule to show fasttrack counters"}
        if which == "defconf":
            device.add(f"/ip/firewall/{kind}", fasttrack, action="passthrough", dynamic="true")
    for rule in (*_INPUT, *_FORWARD) if which == "defconf" else _HARDENED:
        known = device.table("/ip/firewall/filter").settable  # `hw-offload` came with 7.2
        device.add("/ip/firewall/filter", {name: value for name, value in rule.items() if name in known})
    device.add("/ip/firewall/nat", _MASQUERADE)
