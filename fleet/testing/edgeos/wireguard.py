"""What the WireGuard templates do to the kernel, check before they do it, and miss. Sheet 1.2 to 1.5, captures 3 to 6."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final, Protocol

from ..linux._call import Refused
from .commit import Action, CheckFailed, Unit
from .tree import Node, Path

ROOT: Final = ("interfaces", "wireguard")
PEER: Final = (*ROOT, "peer")


class Shell(Protocol):
    """How template scripts reach the router."""

    def script(self, *argv: str, stdin: str = "") -> str:
        """Run a command as root; its output. Raises Refused with everything it said."""

    def route_lines(self, *argv: str) -> str:
        """Output of `ip route ...`, not logged."""

    def allowed_ips(self, interface: str) -> list[str]:
        """Every CIDR of `wg show INTERFACE allowed-ips`."""

    def has_peer(self, interface: str, key: str) -> bool:
        """True if the kernel has the peer."""

    def resolves(self, endpoint: str) -> None:
        """Wait for the name of an endpoint as wg does. Raises Refused with what it said when it never resolves."""

    def readable_key(self, value: str) -> tuple[bool, str]:
        """Whether the committing user can read a key there."""

    def right_group(self) -> bool:
        """True if the committing process has vyattacfg as its primary group."""

    def firewall_rule_set(self, name: str, *, ipv6: bool) -> bool:
        """True if the rule set exists in what is being committed."""

    def snippet(self, command: str) -> None:
        """up-command and down-command, by bash."""


class WireGuard:
    """The scripts of one commit; `working` is what they read."""

    def __init__(self, shell: Shell, working: Node) -> None:
        self._shell = shell
        self._working = working
        self._acts: dict[str, Callable[[str, Path, Action], None]] = {
            "address": self._address, "listen-port": self._listen_port, "private-key": self._private_key, "mtu": self._mtu,
            "fwmark": self._fwmark, "route-allowed-ips": self._route_allowed_ips, "description": self._description,
            "peer": self._peer, "peer allowed-ips": self._allowed_ips, "peer endpoint": self._endpoint,
            "peer persistent-keepalive": self._keepalive, "peer preshared-key": self._preshared_key,
            "peer disable": self._peer_disable,
        }  # fmt: skip

    # --- checks --------------------------------------------------------------------------------------------------------

    def check(self, unit: Unit) -> None:
        """commit:expression of wgN and of a peer: only when these themselves are committed, not their children (sheet 1.3)."""
        if unit.verb == "delete" or len(unit.root) < 3:
            return
        name = unit.root[2]
        if unit.names == ROOT:
            if not self._at(name).values("private-key"):
                raise CheckFailed(f"Private key must be specified for {name}")
            self._no_prefix_twice(name)
        elif unit.names == PEER:
            self._check_peer(name, unit.root[4])

    def _no_prefix_twice(self, name: str) -> None:
        seen: set[str] = set()
        for key in self._at(name).values("peer"):
            for prefix in dict.fromkeys(self._prefixes(name, key)):
                if prefix in seen:
                    raise CheckFailed(
                        f"Error: Allowed IP {prefix} assigned to multiple peers on interface {name}", (*ROOT, name)
                    )
                seen.add(prefix)

    def _check_peer(self, name: str, key: str) -> None:
        path, prefixes = (*PEER[:2], name, "peer", key), self._prefixes(name, key)
        for prefix in prefixes:
            if prefixes.count(prefix) > 1:
                raise CheckFailed(f"Error: Allowed IP {prefix} appears multiple times on interface {name} peer {key}", path)
        if self._at(name).value("route-allowed-ips") != "true":
            return
        # Prefixes are compared as text with the lines of `ip route show`: host routes print without /32 and are missed.
        lines = [line for line in self._shell.route_lines("show").splitlines() if f"dev {name} " not in f"{line} "]
        taken = {line.split()[0] for line in lines if line.strip()}
        for prefix in prefixes:
            said = "default" if prefix in {"0.0.0.0/0", "::/0"} else prefix
            if said in taken:
                raise CheckFailed(
                    f"Error: Allowed IP {said} on interface {name} peer {key} conflicts with an existing route. "
                    "route-allowed-ips cannot be enabled.",
                    path,
                )

    # --- the interface -------------------------------------------------------------------------------------------------

    def begin(self, unit: Unit) -> None:
        """The interface comes: made and brought up before anything is set on it."""
        if unit.names == ROOT and unit.verb == "create":
            self._need_group()
            self._shell.script("ip", "link", "add", "dev", unit.root[2], "type", "wireguard")
            self._shell.script("ip", "link", "set", "up", "dev", unit.root[2])

    def act(self, unit: Unit, action: Action) -> None:
        """One node or value of an interface."""
        name = " ".join(action.names[2:])
        interface = action.path[2]
        if action.names == ROOT:
            if action.verb == "delete":
                self._need_group()
                self._shell.script("ip", "link", "del", "dev", interface)
            return
        if name.startswith("firewall "):
            self._bind(action)
        act = self._acts.get(name)
        if act is not None:
            self._need_group()
            act(interface, action.path, action)

    def end(self, unit: Unit) -> None:
        """The end script of wgN: an interface that was there goes down and up, and loses what a link loses when it is down."""
        if unit.names != ROOT or unit.verb == "delete":
            return
        name, settings = unit.root[2], self._at(unit.root[2])
        if settings.has("disable"):
            self._shell.script("ip", "link", "set", "down", "dev", name)
            self._command(settings, "down-command")
            return
        if unit.verb == "update":
            self._shell.script("ip", "link", "set", "down", "dev", name)
            self._command(settings, "down-command")
            self._shell.script("ip", "link", "set", "up", "dev", name)
            self._update_routes(name)
        self._command(settings, "up-command")

    def _command(self, settings: Node, which: str) -> None:
        command = settings.value(which)
        if command:
            self._shell.snippet(command)

    def _need_group(self) -> None:
        if not self._shell.right_group():
            raise Refused("This script must be executed from vyatta configuration system.")

    def _bind(self, action: Action) -> None:
        ipv6 = action.names[-1].startswith("ipv6")
        binds = action.verb != "delete" and action.names[-1].endswith("name") and len(action.names) > 4
        if binds and not self._shell.firewall_rule_set(action.value, ipv6=ipv6):
            raise Refused(f"Firewall config error: Rule set {action.value} is not configured")

    def _at(self, name: str) -> Node:
        return self._working.at(*ROOT, name)

    def _prefixes(self, name: str, key: str) -> list[str]:
        return [one for value in self._at(name).values("peer", key, "allowed-ips") for one in value.split(",") if one]

    def _wg(self, name: str, *words: str, stdin: str = "") -> None:
        self._shell.script("wg", "set", name, *words, stdin=stdin)

    def _address(self, name: str, path: Path, action: Action) -> None:
        six, delete = ":" in action.value, action.verb == "delete"
        if not delete:
            self._no_address_twice(name, action.value)
        words = ["ip", *(["-6"] if six else []), "addr", "del" if delete else "add", action.value]
        self._shell.script(*words, *([] if six or delete else ["broadcast", "+"]), "dev", name)

    def _no_address_twice(self, name: str, value: str) -> None:
        for kind in ("ethernet", "switch", "wireguard"):
            for other in self._working.values("interfaces", kind):
                held = self._working.values("interfaces", kind, other, "address")
                if (kind, other) != ("wireguard", name) and value in held:
                    raise Refused(f"Error: duplicate address {value} on interface {other}")

    def _listen_port(self, name: str, path: Path, action: Action) -> None:
        self._wg(name, "listen-port", "0" if action.verb == "delete" else action.value)

    def _fwmark(self, name: str, path: Path, action: Action) -> None:
        self._wg(name, "fwmark", "0" if action.verb == "delete" else action.value)

    def _mtu(self, name: str, path: Path, action: Action) -> None:
        if action.verb != "delete":
            self._shell.script("ip", "link", "set", name, "mtu", action.value)

    def _description(self, name: str, path: Path, action: Action) -> None:
        self._shell.script("ip", "link", "set", "dev", name, "alias", "" if action.verb == "delete" else action.value)

    def _private_key(self, name: str, path: Path, action: Action) -> None:
        if action.verb == "delete":
            self._wg(name, "private-key", "/dev/null")
        elif not self._shell.readable_key(action.value)[0]:
            raise Refused(f"Error: Private key {action.value} not found")
        elif action.value.startswith("/"):
            self._wg(name, "private-key", action.value)
        else:
            self._wg(name, "private-key", "/dev/stdin", stdin=action.value)

    def _route_allowed_ips(self, name: str, path: Path, action: Action) -> None:
        if action.verb != "delete":
            self._update_routes(name)

    # --- peers ---------------------------------------------------------------------------------------------------------

    def _peer(self, name: str, path: Path, action: Action) -> None:
        key = path[4]
        if action.verb != "delete":
            self._wg(name, "peer", key)
        elif self._shell.has_peer(name, key):
            self._wg(name, "peer", key, "remove")

    def _list(self, name: str, key: str) -> str:
        return ",".join(self._at(name).values("peer", key, "allowed-ips"))

    def _allowed_ips(self, name: str, path: Path, action: Action) -> None:
        # `disable` is not looked at: a disabled peer comes back to the kernel (sheet 1.4).
        self._wg(name, "peer", path[4], "allowed-ips", self._list(name, path[4]))
        self._update_routes(name)

    def _endpoint(self, name: str, path: Path, action: Action) -> None:
        key, peer = path[4], self._at(name).at("peer", path[4])
        if action.verb != "delete":
            if not peer.has("disable"):
                self._shell.resolves(action.value)
                self._wg(name, "peer", key, "endpoint", action.value)
            return
        self._wg(name, "peer", key, "remove")
        self._readd(name, key, peer, endpoint=False)

    def _keepalive(self, name: str, path: Path, action: Action) -> None:
        self._wg(name, "peer", path[4], "persistent-keepalive", "0" if action.verb == "delete" else action.value)

    def _preshared_key(self, name: str, path: Path, action: Action) -> None:
        if action.verb != "delete" and not self._shell.readable_key(action.value)[0]:
            raise Refused(f"Error: Preshared-key {action.value} not found")
        self._psk(name, path[4], None if action.verb == "delete" else action.value)

    def _psk(self, name: str, key: str, value: str | None) -> None:
        if value is None or value.startswith("/"):
            self._wg(name, "peer", key, "preshared-key", value or "/dev/null")
        else:
            self._wg(name, "peer", key, "preshared-key", "/dev/stdin", stdin=value)

    def _peer_disable(self, name: str, path: Path, action: Action) -> None:
        key = path[4]
        if action.verb == "delete":
            if self._at(name).has("peer", key):
                self._readd(name, key, self._at(name).at("peer", key), endpoint=True)
                self._update_routes(name)
            return
        self._wg(name, "peer", key, "remove")
        self._update_routes(name)

    def _readd(self, name: str, key: str, peer: Node, *, endpoint: bool) -> None:
        self._wg(name, "peer", key)
        self._wg(name, "peer", key, "allowed-ips", self._list(name, key))
        where = peer.value("endpoint")
        if endpoint and where:
            self._shell.resolves(where)
            self._wg(name, "peer", key, "endpoint", where)
        self._wg(name, "peer", key, "persistent-keepalive", peer.value("persistent-keepalive") or "0")
        self._psk(name, key, peer.value("preshared-key"))

    # --- update_routes.sh ----------------------------------------------------------------------------------------------

    def _update_routes(self, name: str) -> None:
        if not self._at(name).children and not self._working.has(*ROOT, name):
            wanted: list[str] = []
        else:
            wanted = self._shell.allowed_ips(name)
        if self._at(name).value("route-allowed-ips") != "true":
            wanted = []
        self._drop_routes(name, wanted)
        for prefix in sorted(wanted, key=lambda text: (int(text.partition("/")[2]), text), reverse=True):
            version = "-6" if ":" in prefix else "-4"
            covered = self._shell.route_lines(version, "show", "match", prefix, "dev", name).strip()
            default = prefix in {"0.0.0.0/0", "::/0"}
            if covered and not (default and "default" not in covered):
                continue
            words = ["ip", *(["-6"] if version == "-6" else []), "route", "add", prefix, "dev", name, "proto", "boot"]
            self._shell.script(*words)

    def _drop_routes(self, name: str, wanted: list[str]) -> None:
        networks = {ipaddress.ip_network(one) for one in wanted}
        for version in ("-4", "-6"):
            for line in self._shell.route_lines(version, "show", "dev", name, "proto", "boot").splitlines():
                shown = line.split()[0]
                shown = {"default": "0.0.0.0/0" if version == "-4" else "::/0"}.get(shown, shown)
                if ipaddress.ip_network(shown) in networks:
                    continue
                scope = ["scope", "link"] if version == "-4" else []
                six = ["-6"] if version == "-6" else []
                self._shell.script("ip", *six, "route", "del", line.split()[0], *scope, "dev", name, "proto", "boot")
