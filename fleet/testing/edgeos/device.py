"""What the contract suite asks of a simulated EdgeRouter: what was written, what is ours, what is not, what time does."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..linux import _files
from ..linux._kernel import clamped
from .backend import Session, set_lines
from .text import Unreadable, parse
from .tree import Node

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator

STRANGER: Final = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
OFFICE: Final = "wg99"
"""The WireGuard interface that somebody else made."""

_OFFICE_PEER: Final = "F8ljnavPD+lrVeEfXP4kZqC5ED0KYRj7+FjT3qGrYQU="
_PLANTED: Final = f"""\
interfaces wireguard {OFFICE} address 172.31.9.1/24
interfaces wireguard {OFFICE} description |the old office|
interfaces wireguard {OFFICE} listen-port 13999
interfaces wireguard {OFFICE} private-key /config/auth/office.key
interfaces wireguard {OFFICE} route-allowed-ips false
interfaces wireguard {OFFICE} peer {_OFFICE_PEER} allowed-ips 172.31.8.0/24
interfaces wireguard {OFFICE} peer {_OFFICE_PEER} description branch
protocols static interface-route 172.31.8.0/24 next-hop-interface {OFFICE}
firewall name WAN_LOCAL rule 40 action accept
firewall name WAN_LOCAL rule 40 description |Raj, do not touch|
firewall name WAN_LOCAL rule 40 destination port 13999
firewall name WAN_LOCAL rule 40 protocol udp
service nat rule 5005 description |no nat to the office|
service nat rule 5005 destination address 172.31.8.0/24
service nat rule 5005 exclude
service nat rule 5005 outbound-interface eth0
service nat rule 5005 type masquerade
system task-scheduler task nightly executable path /config/scripts/nightly.sh
system task-scheduler task nightly interval 1d"""
_SCRIPT: Final = "/config/scripts/post-config.d/raj.sh"
QUIET: Final = 10.0
"""Seconds of real time within which what is due must have run."""


class EdgeOsDevice:
    """Methods of `fleet.testing.subject.Device` but `link`, which belongs to who knows the driver."""

    def __init__(self, router: EdgeOsSimulator) -> None:
        self._router = router
        self._count = 0
        self._seen: object = None
        self._planted = ""
        self._began = False

    # --- what was written ----------------------------------------------------------------------------------------------

    def writes(self) -> int:
        """Commits, saves, and every other change that shows: files, kernel, firewall."""
        state = self._state()
        if self._began and state != self._seen:
            self._count += 1
        self._seen, self._began = state, True
        return self._count + self._router.backend_writes

    def _state(self) -> object:
        router = self._router
        files = {
            name: file
            for name, file in _files.files_below(router.root_path, ("config", "run", "etc")).items()
            if not name.startswith("config/archive")
        }
        return files, set_lines(router.backend.active, router.backend.schema, defaults=True), self._kernel()

    def _kernel(self, interface: str = "") -> list[str]:
        """Devices with their peers, routes and rules as text; of one interface if given."""
        kernel, lines = self._router.kernel, list[str]()
        for device in kernel.devices.values():
            if interface not in {"", device.name}:
                continue
            lines.append(f"{device.name} mtu {device.mtu} up {device.up} {' '.join(map(str, device.addresses))} {device.alias}")
            if device.wg is not None:
                lines.append(f"{device.name} port {device.wg.listen_port} mark {device.wg.fwmark}")
                lines += [_peer_line(device.name, str(peer)) for peer in device.wg.peers.values()]
        lines += [f"route {route}" for route in sorted(map(str, kernel.routes)) if not interface or f"'{interface}'" in route]
        if not interface:
            lines += self._rules()
        return lines

    def _rules(self) -> list[str]:
        router = self._router
        return [
            line
            for program in ("iptables", "ip6tables")
            for table in ("filter", "nat", "mangle")
            for line in router.ran_as_root([program, "-t", table, "-S"])[0].splitlines()
        ]

    # --- others --------------------------------------------------------------------------------------------------------

    def plant(self, interface: str) -> None:
        """Somebody else adds a peer to this interface, an interface of their own, rules, a route, a task, a script."""
        router = self._router
        router.write("/config/auth/office.key", clamped(b"o" * 32) + "\n", 0o640)
        router.write("/config/auth/raj.psk", base64.b64encode(b"p" * 32).decode() + "\n", 0o640)
        router.write(_SCRIPT, "#!/bin/sh\n: raj was here\n", 0o755)
        peer = f"interfaces wireguard {interface} peer {STRANGER}"
        lines = [
            f"{peer} allowed-ips 172.31.0.1/32",
            f"{peer} description |Raj's laptop|".replace("'", ""),
            f"{peer} preshared-key /config/auth/raj.psk",
            *_PLANTED.splitlines(),
        ]
        if not router.backend.active.has("firewall", "name", "WAN_LOCAL"):
            lines = [line for line in lines if not line.startswith("firewall")]
        self.by_hand(lines)
        self._planted = interface

    def by_hand(self, lines: list[str]) -> None:
        """An administrator sets, commits and saves. Raises AssertionError when the router refuses."""
        router, session = self._router, Session()
        for line in lines:
            words = [word for number, part in enumerate(line.split("|")) for word in ([part] if number % 2 else part.split())]
            verb = words.pop(0) if words[0] in {"set", "delete"} else "set"
            said = router.backend.edit(session, verb, tuple(words))
            assert said.code == 0, f"{line}: {said.text}"
        said = router.commit(session)
        assert said.code == 0, said.text
        router.backend.save(None)

    def foreign(self) -> object:
        """Configuration of others, active and saved, as set lines; their kernel peers, rules and files."""
        router = self._router
        kernel = sorted(line for line in self._kernel() if STRANGER in line or OFFICE in line)
        rules = sorted(line for line in self._rules() if _NOT_OURS.search(line))
        names = ("config/auth/office.key", "config/auth/raj.psk", _SCRIPT.lstrip("/"))
        files = {name: file for name, file in _files.files_below(router.root_path, ("config",)).items() if name in names}
        return (
            self._lines(_without_ours, router.backend.active),
            self._lines(_without_ours, self._saved()),
            kernel,
            rules,
            files,
        )

    def ours(self) -> object:
        """Configuration of ours, active and saved; our interfaces in the kernel; our files, of keys only the mode."""
        router = self._router
        trees = (router.backend.active, self._saved())
        mine = [sorted(set(self._lines(Node.copy, tree)) - set(self._lines(_without_ours, tree))) for tree in trees]
        interfaces = [name for name, one in router.kernel.devices.items() if one.wg is not None and name != OFFICE]
        kernel = sorted(line for name in interfaces for line in self._kernel(name) if STRANGER not in line)
        files = sorted(
            (f"{name.rpartition('/')[0]}/key", mode, "")
            if _is_key(raw)
            else (name, mode, raw.decode(errors="replace").replace(str(router.root_path), ""))
            for name, (mode, raw) in _files.files_below(router.root_path, ("config", "run")).items()
            if not name.startswith("config/archive") and name not in _OTHERS_FILES
        )
        mine = [[re.sub(r"(-key) /config/\S+$", r"\1 FILE", line) for line in lines] for lines in mine]
        return *mine, kernel, files

    def _saved(self) -> Node:
        try:
            return self._router.backend.valid(parse(self._router.read("/config/config.boot")))[0]
        except (OSError, Unreadable):
            return Node()

    def _lines(self, part: Callable[[Node], Node], tree: Node) -> list[str]:
        return set_lines(part(tree), self._router.backend.schema, defaults=True).splitlines()

    # --- time ----------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass: what is due in it has run when this returns."""
        self.settle()
        self._router.clock.advance(seconds)
        self.settle()

    def reboot(self) -> None:
        """Cut the power and start again."""
        self._router.reboot()
        self.settle()

    def settle(self) -> None:
        """Wait until every process of the router sleeps, and no timer is due."""
        until, quiet = time.monotonic() + QUIET, 0
        while time.monotonic() < until and quiet < 2:
            quiet = quiet + 1 if self._router.is_quiet() else 0
            time.sleep(0.03)

    def exposed(self) -> str:
        """Arguments of everything that ran, and the logs."""
        router = self._router
        logs = [path.read_text("utf-8", "replace") for path in (router.root_path / "var/log").rglob("*") if path.is_file()]
        return "\n".join([*(" ".join([run.name, *run.argv]) for run in router.invocations), *router.ran, *logs])

    def close(self) -> None:
        """Power off."""
        self._router.close()


_OTHERS_FILES: Final = frozenset({
    "config/config.boot", "config/auth/office.key", "config/auth/raj.psk", _SCRIPT.lstrip("/"),
})  # fmt: skip
_NOT_OURS: Final = re.compile(r"comment (\"?)(WAN_\w+-(10|20|40|10000)|NAT-(5005|5010))\b")


def _is_key(raw: bytes) -> bool:
    return re.fullmatch(rb"[0-9A-Za-z+/]{43}=\s*", raw) is not None


def _peer_line(name: str, text: str) -> str:
    return f"{name} " + re.sub(r"(endpoint_at=[\d.]+|preshared_key='[^']*')", "", text)


def _marked(node: Node) -> bool:
    return (node.value("description") or "").startswith("fleet:")


def _without_ours(tree: Node) -> Node:
    """What of a configuration is not fleet's: not marked, not in an interface of ours, not a route into one."""
    left = tree.copy()
    wireguard = left.at("interfaces", "wireguard").children
    interfaces = [name for name in wireguard if name != OFFICE]
    for name in interfaces:
        peers = wireguard[name].at("peer").children
        wireguard[name] = Node({"peer": Node({STRANGER: peers[STRANGER]})} if STRANGER in peers else {})
        if STRANGER not in peers:
            del wireguard[name]
    for kind in ("name", "ipv6-name"):
        _prune(left.at("firewall", kind), _marked)
        for rules in left.at("firewall", kind).children.values():
            _prune(rules.at("rule"), _marked)
    _prune(left.at("service", "nat", "rule"), _marked)
    for kind in ("interface-route", "interface-route6"):
        routes = left.at("protocols", "static", kind)
        for route in routes.children.values():
            _prune(route.at("next-hop-interface"), lambda _: True, interfaces)
        _prune(routes, lambda route: not route.at("next-hop-interface").children)
    _prune(left.at("system", "task-scheduler", "task"), lambda task: "fleet" in (task.value("executable", "path") or ""))
    with contextlib.suppress(KeyError):
        del left.children["firewall"].children["options"]
    return left


def _prune(holder: Node, gone: Callable[[Node], bool], names: list[str] | None = None) -> None:
    for name in [name for name, one in holder.children.items() if (names is None or name in names) and gone(one)]:
        del holder.children[name]


def processes(root: Path) -> dict[int, int]:
    """Living processes of a router and their parents."""
    mark, found = f"FLEET_ROOT={root}".encode(), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if mark in (path / "environ").read_bytes().split(b"\0"):
                stat = (path / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z":
                    found[int(path.name)] = int(stat[1])
    return found
