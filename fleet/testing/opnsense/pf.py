"""What the packet filter decides with the rules that were loaded (sheet 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal, TypeAlias

from ..ether import Packet
from .store import Record

Way: TypeAlias = Literal["in", "out"]


@dataclass(frozen=True)
class PacketFilter:
    """Loaded rules in order, source NAT rules, lists of aliases; `ports` are the interfaces by key, `devices` their keys.

    `open_wan`: the uplink lets everything in, as without a rule set.
    """

    rules: tuple[Record, ...] = ()
    nat: tuple[Record, ...] = ()
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ports: dict[str, Record] = field(default_factory=dict)
    open_wan: bool = False

    def passes(self, packet: Packet, *, to_self: bool) -> bool:
        """Looked at where a packet comes in and, passing through, where it leaves. States let replies through."""
        if packet.established or packet.in_interface is None:
            return True
        came = self._verdict(packet, "in", packet.in_interface, to_self=to_self)
        if came is None:
            # The installer's rule lets the LAN go anywhere; everything else is closed.
            came = packet.in_interface == "lan" or (packet.in_interface == "wan" and self.open_wan)
        if not came or packet.out_interface is None:
            return came
        return self._verdict(packet, "out", packet.out_interface, to_self=False) is not False

    def excluded(self, packet: Packet) -> bool:
        """True if a source NAT rule says not to rewrite this packet."""
        return any(rule.get("nonat") == "1" and self._ends(rule, packet, to_self=False) for rule in self.nat)

    def _verdict(self, packet: Packet, way: Way, name: str, *, to_self: bool) -> bool | None:
        """A quick rule decides at once, else the last one that matches; None when none does."""
        verdict: bool | None = None
        for rule in self.rules:
            if rule["direction"] in (way, "any") and self._matches(rule, packet, name, to_self=to_self):
                verdict = rule["action"] == "pass"
                if rule["quick"] == "1":
                    break
        return verdict

    def _matches(self, rule: Record, packet: Packet, name: str, *, to_self: bool) -> bool:
        if not self._on_interface(rule, name):
            return False
        family = "inet6" if ":" in packet.target else "inet"
        if rule["ipprotocol"] not in (family, "inet46"):
            return False
        protocol = rule["protocol"].lower()
        if protocol != "any" and packet.protocol.lower() not in protocol.replace("ipv6-icmp", "icmp").split("/"):
            return False
        return self._ends(rule, packet, to_self=to_self)

    def _on_interface(self, rule: Record, name: str) -> bool:
        chosen = [one for one in rule["interface"].split(",") if one]
        key = next((key for key, port in self.ports.items() if port["if"] == name), name)
        hit = not chosen or key in chosen or (name.startswith("wg") and "wireguard" in chosen)
        return hit != (rule.get("interfacenot") == "1")

    def _ends(self, rule: Record, packet: Packet, *, to_self: bool) -> bool:
        source = self._covers(rule["source_net"], packet.source, to_self=False) != (rule["source_not"] == "1")
        target = self._covers(rule["destination_net"], packet.target, to_self=to_self) != (rule["destination_not"] == "1")
        wanted = rule["destination_port"]
        return source and target and (not wanted or packet.port is None or self._port(wanted, packet.port))

    def _port(self, wanted: str, port: int) -> bool:
        for entry in self.lists.get(wanted, (wanted,)):
            low, _, high = entry.replace(":", "-").partition("-")
            if low.isdigit() and int(low) <= port <= int(high or low):
                return True
        return False

    def _covers(self, net: str, address: str, *, to_self: bool) -> bool:
        return any(self._entry_covers(entry, address, to_self=to_self) for entry in net.split(","))

    def _entry_covers(self, entry: str, address: str, *, to_self: bool) -> bool:
        if entry == "any":
            return True
        if entry == "(self)" or (entry.removesuffix("ip") in self.ports and entry not in self.ports):
            # The public address may stand on something in front of the box: what is for the box is for its address here.
            return to_self
        if entry in self.ports:
            return _in(address, self.ports[entry].get("ipaddr", ""))
        if entry in self.lists:
            return any(_in(address, one) for one in self.lists[entry])
        return _in(address, entry)


def _in(address: str, prefix: str) -> bool:
    try:
        return ip_address(address) in ip_network(prefix, strict=False)
    except ValueError:
        return False
