"""Commands of operational mode, for `vyatta-op-cmd-wrapper` and the prompt. Sheet 1.6 and 2.3, captures 3, 8, 13."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from ..linux._kernel import clamped
from .backend import set_lines
from .calls import EdgeCall
from .text import Style, braces, footer

_FIELDS: Final = frozenset({
    "peers", "endpoints", "allowed-ips", "latest-handshakes", "transfer", "persistent-keepalive", "listen-port", "fwmark",
    "public-key", "private-key", "preshared-keys",
})  # fmt: skip


def invalid(words: list[str], word: str) -> str:
    """What the shell says of a word it does not know: those before it are repeated."""
    before = " ".join(words[: words.index(word)]) + " " if word in words and words.index(word) else ""
    return f"\n  Invalid command: {before}[{word}]\n\n"


def operational(call: EdgeCall, words: list[str]) -> int:
    """Run one command. Exit status 127 for a word that is not known."""
    user = call.user
    if not words:
        return 0
    if user.level != "admin" and user.uid != 0 and words[:1] != ["exit"]:
        call.out(invalid(words, words[0]), end="")
        return 127
    tree = _COMMANDS
    for position, word in enumerate(words):
        found = tree.get(word)
        if found is None:
            call.out(invalid(words, word), end="")
            return 127
        if callable(found):
            return found(call, words[position + 1 :])
        tree = found
    call.out("\n  Incomplete command: " + " ".join(words) + "\n\n", end="")
    return 1


# ------------------------------------------------------------------------------------------------------------- show
def _configuration(call: EdgeCall, words: list[str]) -> int:
    backend = call.edge.backend
    if words == ["commands"]:
        call.out(set_lines(backend.active, backend.schema, defaults=True), end="")
        return 0
    style = Style(defaults="all" in words, secrets=False)
    call.out(braces(backend.active, backend.schema, style) + (footer(backend.release) if not words else ""), end="")
    return 0


def _version(call: EdgeCall, words: list[str]) -> int:
    edge = call.edge
    stamp = edge.release.split(".")
    call.out(f"Version:      {edge.release.rsplit('.', 3)[0]}")
    call.out(f"Build ID:     {stamp[-3]}")
    call.out("Build on:     06/15/23 08:57")
    call.out("Copyright:    2012-2023 Ubiquiti Networks, Inc.")
    call.out(f"HW model:     {edge.model}")
    call.out("HW S/N:       0418D6000000")
    uptime = int(edge.clock.now() - edge.up_since)
    call.out(f"Uptime:       {time.strftime('%H:%M:%S', time.gmtime(edge.wall()))} up {uptime // 60} min,  1 user")
    return 0


def _wireguard(call: EdgeCall, words: list[str]) -> int:
    edge = call.edge
    if not words:
        return _table(call)
    name, *rest = words
    if name == "detail":
        for device in [one for one in edge.kernel.devices.values() if one.wg is not None]:
            call.out(edge.capture(["ip", "addr", "show", device.name]), end="")
        return 0
    if not rest:
        call.out(edge.capture(["ip", "addr", "show", name]), end="")
        return 0
    if rest[0] not in _FIELDS:
        call.out(invalid(["show", "interfaces", "wireguard", *words], rest[0]), end="")
        return 127
    argv = ["wg", "show", name, rest[0]]
    return edge.as_root(call, argv)


def _table(call: EdgeCall) -> int:
    """The brief table, with the padding it has (sheet 1.6)."""
    call.out("Codes: S - State, L - Link, u - Up, D - Down, A - Admin Down")
    call.out(f"{'Interface':<13}{'IP Address':<34}S/L  Description")
    call.out(f"{'---------':<13}{'----------':<34}---  -----------")
    for device in [one for one in call.edge.kernel.devices.values() if one.wg is not None]:
        addresses = [str(one) for one in device.addresses if not one.ip.is_link_local] or ["-"]
        state = "u/u" if device.up else "A/D"
        call.out(f"{device.name:<13}{addresses[0]:<34}{state}  {device.alias} " if device.alias else
                 f"{device.name:<13}{addresses[0]:<34}{state}  ")  # fmt: skip
        for address in addresses[1:]:
            call.out(f"{'':<13}{address}")
    return 0


def _interfaces(call: EdgeCall, words: list[str]) -> int:
    if words[:1] == ["wireguard"]:
        if not call.edge.has_wireguard:
            call.out(invalid(["show", "interfaces", *words], "wireguard"), end="")
            return 127
        return _wireguard(call, words[1:])
    return _table(call)


def _system_commit(call: EdgeCall, words: list[str]) -> int:
    call.out(call.edge.management.listing(), end="")
    return 0


def _route(call: EdgeCall, words: list[str]) -> int:
    call.out(call.edge.capture(["ip", "route"]), end="")
    return 0


def _date(call: EdgeCall, words: list[str]) -> int:
    call.out(time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(call.edge.wall())))
    return 0


# ------------------------------------------------------------------------------------------------------------ others
def _generate(call: EdgeCall, words: list[str]) -> int:
    if len(words) != 3 or words[0] != "wireguard" or words[1] not in {"private-key", "preshared-key"}:
        call.out(invalid(["generate", "vpn", *words], words[-1] if words else "vpn"), end="")
        return 127
    path = words[2] if words[2].startswith("/") else f"/config/auth/{words[2]}"
    what = words[1].replace("-", " ").replace("preshared key", "preshared-key")
    call.out(f"Generating WireGuard {what} to {path}")
    file = call.edge.write(path, clamped(os.urandom(32)) + "\n", 0o600)
    call.edge.owners.set(file, "root", "vyattacfg" if path.startswith("/config") else "root")
    call.out(f"Your new WireGuard {what} has been generated")
    return 0


def _clear(call: EdgeCall, words: list[str]) -> int:
    return 0


def _reboot(call: EdgeCall, words: list[str]) -> int:
    call.out("Proceed with reboot? [confirm]y" if words != ["now"] else "")
    call.edge.reboot_soon()
    return 0


def _terminal(call: EdgeCall, words: list[str]) -> int:
    return 0


_Command = Callable[[EdgeCall, list[str]], int]
_Tree = dict[str, "_Command | _Tree"]
_COMMANDS: Final[_Tree] = {
    "show": {
        "configuration": _configuration, "version": _version, "interfaces": _interfaces, "date": _date,
        "system": {"commit": _system_commit}, "ip": {"route": _route},
    },
    "generate": {"vpn": _generate},
    "clear": {"interfaces": _clear},
    "reboot": _reboot,
    "terminal": _terminal,
}  # fmt: skip
