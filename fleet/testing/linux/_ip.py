"""The stand-in for ip(8): link, address, route, rule. Words, JSON and exit codes as iproute2 6.1 prints them."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ...model import IPInterface
from . import _iproute
from ._call import Call, Refused, refuse
from ._kernel import Denied, Device, NoSuchDevice

_INCOMPLETE: Final = 'Command line is not complete. Try option "help"'


@dataclass
class Options:
    """Global options before the object."""

    family: int = 0
    oneline: bool = False
    brief: bool = False
    json: bool = False
    details: bool = False
    words: list[str] = field(default_factory=list)


def ip(call: Call) -> int | None:
    """Dispatch `ip [options] object command`; names may be shortened as the real ones are."""
    options = _options(call)
    if options is None:
        return 0
    if not options.words:
        raise Refused("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }", 255)
    name, *words = options.words
    wanted = next((known for known in _OBJECTS if known.startswith(name)), None) if name else None
    if wanted is None:
        raise Refused(f'Object "{name}" is unknown, try "ip help".')
    try:
        return _OBJECTS[wanted](call, options, words)
    except NoSuchDevice as missing:
        raise Refused(f'Cannot find device "{missing}"') from None
    except Denied as denied:
        raise Refused(str(denied), 2) from None


def _options(call: Call) -> Options | None:
    options, words = Options(), list(call.argv)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in {"-V", "-Version"}:
            call.out("ip utility, iproute2-6.1.0, libbpf 1.1.2")
            return None
        if word in {"-4", "-6"}:
            options.family = int(word[1])
        elif word in {"-o", "-oneline"}:
            options.oneline = True
        elif word in {"-br", "-brief"}:
            options.brief = True
        elif word in {"-j", "-json"}:
            options.json = True
        elif word in {"-d", "-details"}:
            options.details = True
        elif word in {"-f", "-family"}:
            options.family = {"inet": 4, "inet6": 6}[words.pop(0)]
        elif word not in {"-s", "-stats", "-all", "-a", "-p", "-pretty", "-n", "-N", "-c", "-color=never", "-c=never"}:
            raise Refused(f'Option "{word}" is unknown, try "ip -help".', 255)
    options.words = words
    return options


def verb(words: list[str], known: tuple[str, ...], default: str, obj: str) -> tuple[str, list[str]]:
    """The command of an object, shortened or not, and what follows."""
    if not words:
        return default, []
    for command in known:
        if command.startswith(words[0]):
            return command, words[1:]
    raise Refused(f'Command "{words[0]}" is unknown, try "ip {obj} help".', 255)


class Words:
    """Arguments taken one by one."""

    def __init__(self, words: list[str]) -> None:
        self._words = list(words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def take(self) -> str:
        """The next word. Refuses when there is none."""
        if not self._words:
            raise Refused(_INCOMPLETE, 255)
        return self._words.pop(0)


# -------------------------------------------------------------------------------------------------------------- link
def _link(call: Call, options: Options, words: list[str]) -> int | None:
    command, rest = verb(words, ("show", "list", "lst", "set", "add", "delete"), "show", "link")
    if command in {"show", "list", "lst"}:
        return _show(call, options, rest, addresses=False)
    call.need_root("RTNETLINK answers: Operation not permitted", 2)
    {"set": _link_set, "add": _link_add, "delete": _link_delete}[command](call, Words(rest))
    return 0


def _link_add(call: Call, words: Words) -> None:
    name, kind, mtu = "", "", 0
    while words:
        word = words.take()
        if word in {"dev", "name"}:
            name = words.take()
        elif word == "type":
            kind = words.take()
        elif word == "mtu":
            mtu = _mtu(words.take())
        elif not name:
            name = word
        else:
            refuse(f'Error: either "dev" is duplicate, or "{word}" is a garbage.', 255)
    if not kind:
        raise Refused('Not enough information: "type" argument is required')
    if name and not re.fullmatch(r"[^/\s]{1,15}", name):
        raise Refused(f'Error: argument "{name}" is wrong: "name" not a valid ifname', 255)
    kernel = call.host.kernel
    if kind not in {"dummy", "bridge", "wireguard"} or (kind == "wireguard" and not kernel.wireguard_module):
        raise Denied("Error: Unknown device type.")
    device = kernel.add_device(name or f"{kind[:2]}{len(kernel.devices)}", kind)
    device.mtu = mtu or device.mtu


def _link_delete(call: Call, words: Words) -> None:
    name = words.take()
    name = words.take() if name == "dev" else name
    if call.host.kernel.device(name).kind in {"loopback", "ether"}:
        raise Denied("RTNETLINK answers: Operation not supported")
    call.host.kernel.delete_device(name)


def _mtu(text: str) -> int:
    if not text.isdigit():
        raise Refused(f'Error: argument "{text}" is wrong: Invalid "mtu" value\n', 255)
    return int(text)


def _link_set(call: Call, words: Words) -> None:
    name, mtu, up, alias = "", None, None, None
    while words:
        word = words.take()
        if word == "dev":
            name = words.take()
        elif word in {"up", "down"}:
            up = word == "up"
        elif word == "mtu":
            mtu = _mtu(words.take())
        elif word == "alias":
            alias = words.take()
        elif not name:
            name = word
        else:
            refuse(f'Error: either "dev" is duplicate, or "{word}" is a garbage.', 255)
    device = call.host.kernel.device(name)
    if mtu is not None and mtu > 65535:
        raise Denied("Error: mtu greater than device maximum.")
    if mtu is not None and mtu < 68:
        raise Denied("Error: mtu less than device minimum.")
    device.mtu = device.mtu if mtu is None else mtu
    device.alias = device.alias if alias is None else alias
    if up is not None:
        port = device.wg.listen_port if device.wg is not None and not device.up else 0
        if up and port and call.host.kernel.listening(port):
            raise Denied("RTNETLINK answers: Address already in use")
        call.host.kernel.set_up(name, up)


# ------------------------------------------------------------------------------------------------------- link show
def _flags(device: Device) -> list[str]:
    first = {"loopback": ["LOOPBACK"], "wireguard": ["POINTOPOINT", "NOARP"], "dummy": ["BROADCAST", "NOARP"]}
    return first.get(device.kind, ["BROADCAST", "MULTICAST"]) + (["UP", "LOWER_UP"] if device.up else [])


def _state(device: Device) -> str:
    if not device.up:
        return "DOWN"
    return "UP" if device.kind in {"ether", "bridge"} else "UNKNOWN"


def _head(device: Device, *, addresses: bool) -> str:
    qdisc = "fq_codel" if device.kind == "ether" else "noqueue" if device.up else "noop"
    mode = "" if addresses else "mode DEFAULT "
    return (
        f"{device.index}: {device.name}: <{','.join(_flags(device))}> mtu {device.mtu} qdisc {qdisc} "
        f"state {_state(device)} {mode}group default qlen 1000"
    )


def _mac(device: Device) -> str:
    if device.kind == "wireguard":
        return "link/none "
    if device.kind == "loopback":
        return "link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00"
    return f"link/ether {device.mac} brd ff:ff:ff:ff:ff:ff"


def _scope(device: Device, address: IPInterface) -> str:
    if device.kind == "loopback":
        return "host"
    return "link" if address.ip.is_link_local else "global"


def _address_lines(device: Device, options: Options) -> list[tuple[str, str]]:
    lines, primary = [], set()
    for address in sorted(device.addresses, key=lambda address: address.version):
        if options.family not in {0, address.version}:
            continue
        scope = _scope(device, address)
        if address.version == 4:
            secondary = " secondary" if address.network in primary else ""
            primary.add(address.network)
            lines.append((f"inet {address} scope {scope}{secondary} {device.name}", "valid_lft forever preferred_lft forever"))
        else:
            lines.append((f"inet6 {address} scope {scope} ", "valid_lft forever preferred_lft forever"))
    return lines


def _chosen(call: Call, words: list[str]) -> tuple[list[Device], str]:
    """Devices a show command asks for, and the scope wanted."""
    kernel, rest, name, scope = call.host.kernel, Words(words), "", ""
    devices = list(kernel.devices.values())
    while rest:
        word = rest.take()
        if word == "dev":
            name = rest.take()
        elif word == "up":
            devices = [device for device in devices if device.up]
        elif word == "type":
            kind = rest.take()
            devices = [device for device in devices if device.kind == kind]
        elif word == "scope":
            scope = rest.take()
        elif word == "to":
            rest.take()
        elif word in {"permanent", "primary"}:
            continue
        else:
            name = word
    if name:
        if name not in kernel.devices:
            raise Refused(f'Device "{name}" does not exist.')
        devices = [device for device in devices if device.name == name]
    return devices, scope


def _show(call: Call, options: Options, words: list[str], *, addresses: bool) -> int:
    devices, scope = _chosen(call, words)
    if options.json:
        call.out(json.dumps([_json(device, options, scope, addresses=addresses) for device in devices], separators=(",", ":")))
        return 0
    for device in devices:
        wanted = [line for line in _address_lines(device, options) if f"scope {scope}" in line[0]] if addresses else []
        if options.brief:
            call.out(_brief(device, options, addresses=addresses))
        elif options.oneline and addresses:
            for line, life in wanted:
                call.out(f"{device.index}: {device.name}    {line}\\       {life}")
        elif options.oneline:
            call.out(
                f"{_head(device, addresses=False)}\\    {_mac(device)}" + (f"\\    alias {device.alias}" * bool(device.alias))
            )
        elif not (addresses and (options.family or scope) and not wanted):
            _long(call, device, options, wanted, addresses=addresses)
    return 0


def _long(call: Call, device: Device, options: Options, wanted: list[tuple[str, str]], *, addresses: bool) -> None:
    call.out(_head(device, addresses=addresses))
    if not (addresses and options.family):
        call.out(f"    {_mac(device)}")
    if options.details and device.kind == "wireguard":
        call.out("    wireguard numtxqueues 1 numrxqueues 1 ")
    if device.alias:
        call.out(f"    alias {device.alias}")
    for line, life in wanted:
        call.out(f"    {line}\n       {life}")


def _brief(device: Device, options: Options, *, addresses: bool) -> str:
    if addresses:
        tail = " ".join(str(one) for one in device.addresses if options.family in {0, one.version})
    elif device.kind == "wireguard":
        tail = f"<{','.join(_flags(device))}>"
    else:
        mac = "00:00:00:00:00:00" if device.kind == "loopback" else device.mac
        tail = f"{mac} <{','.join(_flags(device))}>"
    return f"{device.name:<16} {_state(device):<14} {tail}" + (" " if tail else "")


def _json(device: Device, options: Options, scope: str, *, addresses: bool) -> dict[str, object]:
    shown: dict[str, object] = {
        "ifindex": device.index,
        "ifname": device.name,
        "flags": _flags(device),
        "mtu": device.mtu,
        "qdisc": "noqueue" if device.up else "noop",
        "operstate": _state(device),
    }
    if not addresses:
        shown["linkmode"] = "DEFAULT"
    shown |= {"group": "default", "txqlen": 1000}
    if options.family == 0:
        shown["link_type"] = {"wireguard": "none", "loopback": "loopback"}.get(device.kind, "ether")
        if device.kind != "wireguard":
            shown["address"] = "00:00:00:00:00:00" if device.kind == "loopback" else device.mac
            shown["broadcast"] = "00:00:00:00:00:00" if device.kind == "loopback" else "ff:ff:ff:ff:ff:ff"
    if options.details:
        shown["linkinfo"] = {"info_kind": device.kind}
    if device.alias:
        shown["ifalias"] = device.alias
    if addresses:
        shown["addr_info"] = [
            {
                "family": "inet" if one.version == 4 else "inet6",
                "local": str(one.ip),
                "prefixlen": one.network.prefixlen,
                "scope": _scope(device, one),
                **({"label": device.name} if one.version == 4 else {}),
                "valid_life_time": 4294967295,
                "preferred_life_time": 4294967295,
            }
            for one in sorted(device.addresses, key=lambda one: one.version)
            if options.family in {0, one.version} and scope in {"", _scope(device, one)}
        ]
    return shown


# ---------------------------------------------------------------------------------------------------------- address
def _address(call: Call, options: Options, words: list[str]) -> int | None:
    known = ("show", "list", "lst", "add", "delete", "flush", "replace", "change")
    command, rest = verb(words, known, "show", "address")
    if command in {"show", "list", "lst"}:
        return _show(call, options, rest, addresses=True)
    call.need_root("RTNETLINK answers: Operation not permitted", 2)
    if command == "flush":
        _flush(call, options, rest)
        return 0
    address, name = _address_words(options, Words(rest))
    kernel = call.host.kernel
    if command == "delete":
        kernel.delete_address(name, address)
    elif command == "add" or address not in kernel.device(name).addresses:
        kernel.add_address(name, address)
    return 0


def _address_words(options: Options, words: Words) -> tuple[IPInterface, str]:
    address: IPInterface | None = None
    name = ""
    while words:
        word = words.take()
        if word == "dev":
            name = words.take()
        elif word in {"scope", "label", "broadcast", "brd", "proto", "valid_lft", "preferred_lft", "metric"}:
            words.take()
        elif word in {"noprefixroute", "nodad"}:
            continue
        else:
            address = _prefix(options, words.take() if word == "local" else word)
    if not name or address is None:
        raise Refused('Not enough information: "dev" argument is required.')
    return address, name


def _prefix(options: Options, text: str) -> IPInterface:
    family = {0: "any valid", 4: "inet", 6: "inet6"}[options.family]
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise Refused(f'Error: {family} prefix is expected rather than "{text}".') from None
    if options.family not in {0, address.version}:
        raise Refused(f'Error: {family} prefix is expected rather than "{text}".')
    return address


def _flush(call: Call, options: Options, words: list[str]) -> None:
    if not words:
        raise Refused("Flush requires arguments.")
    devices, scope = _chosen(call, words)
    for device in devices:
        for address in list(device.addresses):
            if options.family in {0, address.version} and scope in {"", _scope(device, address)}:
                call.host.kernel.delete_address(device.name, address)


_OBJECTS: Final[dict[str, Callable[[Call, Options, list[str]], int | None]]] = {
    "address": _address,
    "link": _link,
    "route": lambda call, options, words: _iproute.route(call, options.family, options.json, words),
    "rule": lambda call, options, words: _iproute.rule(call, options.family, words),
}
