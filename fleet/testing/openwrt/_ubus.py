"""The `ubus` command: exit codes, and what it prints when a call fails (sheet 3.1, captures 3.1 and 8)."""

from __future__ import annotations

import fnmatch
import json
from typing import Final

from ..linux._call import Call, Refused
from . import _json
from ._router import router_of
from ._ubusobjects import STATUS, UbusError, objects

_USAGE: Final = """\
Usage: ubus [<options>] <command> [arguments...]
Options:
 -s <socket>:		Set the unix domain socket to connect to
 -t <timeout>:		Set the timeout (in seconds) for a command to complete
 -S:			Use simplified output (for scripts)
 -v:			More verbose output
 -m <type>:		(for monitor): include a specific message type
			(can be used more than once)
 -M <r|t>		(for monitor): only capture received or transmitted traffic

Commands:
 - list [<path>]			List objects
 - call <path> <method> [<message>]	Call an object method
 - subscribe <path> [<path>...]	Subscribe to object(s) notifications
 - listen [<path>...]			Listen for events
 - send <type> [<message>]		Send an event
 - wait_for <object> [<object>...]	Wait for multiple objects to appear on ubus
 - monitor				Monitor ubus traffic
"""


def ubus(call: Call) -> int:
    """One run of the command."""
    words, simple, timeout, socket = list(call.argv), False, 30, ""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in {"-t", "-s", "-m", "-M"}:
            value = words.pop(0) if words else ""
            timeout, socket = (int(value) if word == "-t" and value.isdigit() else timeout), (value if word == "-s" else socket)
        simple = simple or "S" in word
    if not words:
        raise Refused(_USAGE, 1)
    if socket and socket != "/var/run/ubus/ubus.sock":
        raise Refused("Failed to connect to ubus", 255)
    command, *rest = words
    if command == "list":
        return _list(call, rest)
    if command == "call":
        return _call(call, rest, simple=simple)
    if command == "wait_for":
        return _wait_for(call, rest, timeout, simple=simple)
    if command == "send":
        return 0
    raise Refused(_USAGE, 1)


def _list(call: Call, rest: list[str]) -> int:
    found = [name for name in sorted(objects(router_of(call))) if not rest or fnmatch.fnmatchcase(name, rest[0])]
    for name in found:
        call.out(name)
    return 0 if found or not rest else 4


def _call(call: Call, rest: list[str], *, simple: bool) -> int:
    if not 2 <= len(rest) <= 3:
        return _failed(call, rest, 2, simple=simple)
    router = router_of(call)
    methods = objects(router).get(rest[0])
    if methods is None:
        if not simple:
            call.err("Command failed: Not found")
        return 4
    try:
        message = _message(rest[2]) if len(rest) > 2 else {}
        method = methods.get(rest[1])
        if method is None:
            raise UbusError(3)
        answer = method(message)
    except UbusError as error:
        for line in error.said:
            call.err(line)
        return _failed(call, rest, error.status, simple=simple)
    if answer is not None:
        call.out(_json.compact(answer) if simple else _json.pretty(answer))
    return 0


def _message(text: str) -> dict[str, object]:
    try:
        message = json.loads(text)
    except ValueError:
        raise UbusError(12) from None
    if not isinstance(message, dict):
        raise UbusError(12)
    return message


def _failed(call: Call, rest: list[str], status: int, *, simple: bool) -> int:
    """Without -S the arguments are echoed, secrets included; the exit status is 256 minus the status since 2022-02."""
    if simple:
        return status
    if not router_of(call).release.ubus_negative:
        call.err(f"Command failed: {STATUS[status]}")
        return status
    call.err(f"Command failed: ubus call {' '.join(rest)} ({STATUS[status]})")
    if status == 2:
        call.err(_USAGE)
    return 256 - status


def _wait_for(call: Call, rest: list[str], timeout: int, *, simple: bool) -> int:
    router = router_of(call)
    waited = 0.0
    while not all(name in objects(router) for name in rest):
        if waited >= timeout:
            if not simple:
                call.err("Command failed: Request timed out")
            return 7
        with router.unlocked():
            router.wait(0.1)
        waited += 0.1
    return 0
