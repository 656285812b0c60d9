"""The stand-in for wg(8). Words and exit codes as wireguard-tools 1.0.20210914 prints them on Debian 12."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ._call import Call, Refused, refuse
from ._kernel import Device, WgDevice, WgPeer, clamped, is_key, public_half
from ._wgconf import (
    ZERO_KEY,
    DeviceEdit,
    FileParser,
    PeerEdit,
    allowed_of,
    endpoint_of,
    fwmark_of,
    keepalive_of,
    key_in,
    key_of,
    port_of,
    private_key_in,
    showconf,
    shown_endpoint,
)

_SHOW_USAGE: Final = (
    "Usage: wg show { <interface> | all | interfaces } [public-key | private-key | listen-port | fwmark | peers | "
    "preshared-keys | endpoints | allowed-ips | latest-handshakes | transfer | persistent-keepalive | dump]"
)
_SET_USAGE: Final = (
    "Usage: wg set <interface> [listen-port <port>] [fwmark <mark>] [private-key <file path>] [peer <base64 public key> "
    "[remove] [preshared-key <file path>] [endpoint <ip>:<port>] [persistent-keepalive <interval seconds>] "
    "[allowed-ips <ip1>/<cidr1>[,<ip2>/<cidr2>]...] ]..."
)
_USAGE: Final = """\
Usage: wg <cmd> [<args>]

Available subcommands:
  show: Shows the current configuration and device information
  showconf: Shows the current configuration of a given WireGuard interface, for use with `setconf'
  set: Change the current configuration, add peers, remove peers, or change peers
  setconf: Applies a configuration file to a WireGuard interface
  addconf: Appends a configuration file to a WireGuard interface
  syncconf: Synchronizes a configuration file to a WireGuard interface
  genkey: Generates a new private key and writes it to stdout
  genpsk: Generates a new preshared key and writes it to stdout
  pubkey: Reads a private key from stdin and writes a public key to stdout
You may pass `--help' to any of these subcommands to view usage."""


def wg(call: Call) -> int | None:
    """Dispatch a subcommand; none is `show`."""
    command, *rest = call.argv or ["show"]
    if command in {"--help", "-h", "help"}:
        call.out(_USAGE)
        return 0
    if command in {"--version", "-v", "version"}:
        call.out(f"wireguard-tools v{call.host.tools_version} - https://git.zx2c4.com/wireguard-tools/")
        return 0
    tool = _COMMANDS.get(command)
    if tool is None:
        raise Refused(f"Invalid subcommand: `{command}'\n{_USAGE}")
    return tool(call, rest)


# ------------------------------------------------------------------------------------------------------------- keys
def _genkey(call: Call, rest: list[str]) -> None:
    if rest:
        raise Refused("Usage: wg genkey")
    call.out(clamped(os.urandom(32)))


def _genpsk(call: Call, rest: list[str]) -> None:
    if rest:
        raise Refused("Usage: wg genpsk")
    call.out(base64.b64encode(os.urandom(32)).decode())


def _pubkey(call: Call, rest: list[str]) -> None:
    if rest:
        raise Refused("Usage: wg pubkey")
    text = call.stdin().decode("ascii", "replace")
    if not is_key(text[:44]) or text[44:].strip():
        raise Refused("wg: Key is not the correct length or format")
    call.out(public_half(text[:44]))


# ------------------------------------------------------------------------------------------------------------- show
def _device(call: Call, name: str, verb: str = "access") -> tuple[Device, WgDevice]:
    device = call.host.kernel.devices.get(name)
    if not call.host.kernel.wireguard_module and (device is None or device.wg is None):
        raise Refused(f"Unable to {verb} interface: Protocol not supported")
    if device is None:
        raise Refused(f"Unable to {verb} interface: No such device")
    if device.wg is None:
        raise Refused(f"Unable to {verb} interface: Operation not supported")
    call.need_root(f"Unable to {verb} interface: Operation not permitted")
    return device, device.wg


def _show(call: Call, rest: list[str]) -> int | None:
    devices = [device for device in call.host.kernel.devices.values() if device.wg is not None]
    if rest[:1] in (["--help"], ["-h"], ["help"]):
        call.out(_SHOW_USAGE)
        return 0
    if rest[:1] == ["interfaces"]:
        if len(rest) > 1:
            raise Refused(_SHOW_USAGE)
        call.out(" ".join(device.name for device in devices)) if devices else None
        return 0
    if len(rest) > 2:
        raise Refused(_SHOW_USAGE)
    every = not rest or rest[0] == "all"
    shown = [_device(call, device.name) for device in devices] if every else [_device(call, rest[0])]
    if len(rest) < 2:
        call.out("\n\n".join(_pretty(call, *one) for one in shown)) if shown else None
        return 0
    field = _FIELDS.get(rest[1])
    if field is None:
        raise Refused(f"Invalid parameter: `{rest[1]}'\n{_SHOW_USAGE}")
    for device, wireguard in shown:
        for line in field(call, device, wireguard):
            call.out(f"{device.name}\t{line}" if every else line)
    return 0


def _handshake_second(call: Call, device: Device, peer: WgPeer) -> int:
    seen = call.host.handshake(device.name, peer.public_key)
    return 0 if seen is None else int(call.host.wall(seen.at))


def _current_endpoint(call: Call, device: Device, peer: WgPeer) -> tuple[str, int] | None:
    # The kernel moves a peer's endpoint to wherever authenticated packets come from (roaming).
    seen = call.host.handshake(device.name, peer.public_key)
    if seen is None or (peer.endpoint is not None and peer.endpoint_at > seen.at):
        return peer.endpoint
    return seen.endpoint


def _endpoint(call: Call, device: Device, peer: WgPeer) -> str:
    endpoint = _current_endpoint(call, device, peer)
    return shown_endpoint(endpoint) if endpoint else "(none)"


def _transfer(call: Call, device: Device, peer: WgPeer) -> str:
    seen = call.host.handshake(device.name, peer.public_key)
    return f"{seen.received}\t{seen.sent}" if seen else "0\t0"


def _allowed(peer: WgPeer, separator: str) -> str:
    return separator.join(map(str, peer.allowed_ips)) or "(none)"


def _mark(wireguard: WgDevice) -> str:
    return f"0x{wireguard.fwmark:x}" if wireguard.fwmark else "off"


def _dump(call: Call, device: Device, wireguard: WgDevice) -> list[str]:
    keys = (wireguard.private_key or "(none)", wireguard.public_key or "(none)")
    lines = ["\t".join([*keys, str(wireguard.listen_port), _mark(wireguard)])]
    for peer in list(wireguard.peers.values()):
        fields = (
            peer.public_key,
            peer.preshared_key or "(none)",
            _endpoint(call, device, peer),
            _allowed(peer, ","),
            str(_handshake_second(call, device, peer)),
            _transfer(call, device, peer),
            str(peer.keepalive or "off"),
        )
        lines.append("\t".join(fields))
    return lines


_Field = Callable[[Call, Device, WgDevice], list[str]]


def _per_peer(value: Callable[[Call, Device, WgPeer], str]) -> _Field:
    return lambda call, device, wireguard: [
        f"{peer.public_key}\t{value(call, device, peer)}" for peer in list(wireguard.peers.values())
    ]


_FIELDS: Final[dict[str, _Field]] = {
    "public-key": lambda call, device, wireguard: [wireguard.public_key or "(none)"],
    "private-key": lambda call, device, wireguard: [wireguard.private_key or "(none)"],
    "listen-port": lambda call, device, wireguard: [str(wireguard.listen_port)],
    "fwmark": lambda call, device, wireguard: [_mark(wireguard)],
    "peers": lambda call, device, wireguard: list(wireguard.peers),
    "preshared-keys": _per_peer(lambda call, device, peer: peer.preshared_key or "(none)"),
    "endpoints": _per_peer(_endpoint),
    "allowed-ips": _per_peer(lambda call, device, peer: _allowed(peer, " ")),
    "latest-handshakes": _per_peer(lambda call, device, peer: str(_handshake_second(call, device, peer))),
    "transfer": _per_peer(_transfer),
    "persistent-keepalive": _per_peer(lambda call, device, peer: str(peer.keepalive or "off")),
    "dump": _dump,
}


def _pretty(call: Call, device: Device, wireguard: WgDevice) -> str:
    lines = [f"interface: {device.name}"]
    if wireguard.private_key:
        lines += [f"  public key: {wireguard.public_key}", "  private key: (hidden)"]
    if wireguard.listen_port:
        lines.append(f"  listening port: {wireguard.listen_port}")
    if wireguard.fwmark:
        lines.append(f"  fwmark: {_mark(wireguard)}")
    # The pretty form alone sorts by the newest handshake.
    for peer in sorted(wireguard.peers.values(), key=lambda peer: -_handshake_second(call, device, peer)):
        lines += ["", f"peer: {peer.public_key}"]
        if peer.preshared_key:
            lines.append("  preshared key: (hidden)")
        endpoint = _endpoint(call, device, peer)
        if endpoint != "(none)":
            lines.append(f"  endpoint: {endpoint}")
        lines.append(f"  allowed ips: {_allowed(peer, ', ')}")
        lines += _pretty_live(call, device, peer)
        if peer.keepalive:
            lines.append(f"  persistent keepalive: every {_span(peer.keepalive)}")
    return "\n".join(lines)


def _pretty_live(call: Call, device: Device, peer: WgPeer) -> list[str]:
    seen = call.host.handshake(device.name, peer.public_key)
    if seen is None:
        return []
    age = int(call.host.clock.now() - seen.at)
    ago = f"{_span(age)} ago" if age else "Now"
    return [f"  latest handshake: {ago}", f"  transfer: {_size(seen.received)} received, {_size(seen.sent)} sent"]


def _span(seconds: int) -> str:
    parts = []
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {word}{'s' if count > 1 else ''}")
    return ", ".join(parts)


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.2f} {units[0]}"


def _showconf(call: Call, rest: list[str]) -> None:
    if len(rest) != 1:
        raise Refused("Usage: wg showconf <interface>")
    device, wireguard = _device(call, rest[0])
    peers = [replace(peer, endpoint=_current_endpoint(call, device, peer)) for peer in wireguard.peers.values()]
    call.out(showconf(wireguard.private_key, wireguard.listen_port, wireguard.fwmark, peers))


# -------------------------------------------------------------------------------------------------------------- set
def _file(call: Call, name: str) -> bytes:
    try:
        return call.read(name)
    except OSError as error:
        raise Refused(f"fopen: {error.strerror}") from None


def _set(call: Call, rest: list[str]) -> None:
    if len(rest) < 2:
        raise Refused(_SET_USAGE)
    name, *words = rest
    edit = _words(call, words)
    device, _ = _device(call, name, "modify")
    apply(call, device, edit)


def _words(call: Call, words: list[str]) -> DeviceEdit:
    """The words of `wg set`; the first wrong one is named."""
    edit, peer, index = DeviceEdit(), None, 0
    while index < len(words):
        word, value = words[index], words[index + 1] if index + 1 < len(words) else None
        index += 2
        if word == "remove" and peer is not None:
            peer.remove, index = True, index - 1
        elif value is None:
            refuse(f"Invalid argument: {word}")
        elif word == "peer":
            peer = PeerEdit(key_of(value))
            edit.peers.append(peer)
        elif peer is None:
            _device_word(call, edit, word, value)
        else:
            _peer_word(call, peer, word, value)
    return edit


def _device_word(call: Call, edit: DeviceEdit, word: str, value: str) -> None:
    if word == "listen-port":
        edit.listen_port = port_of(value)
    elif word == "fwmark":
        edit.fwmark = fwmark_of(value)
    elif word == "private-key":
        edit.private_key = private_key_in(_file(call, value))
    else:
        refuse(f"Invalid argument: {word}")


def _peer_word(call: Call, peer: PeerEdit, word: str, value: str) -> None:
    if word == "preshared-key":
        peer.preshared_key = key_in(_file(call, value)) or ZERO_KEY
    elif word == "endpoint":
        peer.endpoint = endpoint_of(value, call.host.resolve)
    elif word == "persistent-keepalive":
        peer.keepalive = keepalive_of(value)
    elif word == "allowed-ips":
        peer.allowed += allowed_of(value, call.err, signs=call.host.tools_version >= "1.0.20250521")
        peer.replace_allowed = not any(sign for sign, _ in peer.allowed)
    else:
        refuse(f"Invalid argument: {word}")


def _conf(call: Call, rest: list[str], command: str) -> None:
    if len(rest) != 2:
        raise Refused(f"Usage: wg {command} <interface> <configuration filename>")
    text = _file(call, rest[1]).decode("utf-8", "replace")
    edit = FileParser(call.host.resolve, call.err).parse(text, append=command == "addconf")
    device, wireguard = _device(call, rest[0], "modify" if command != "syncconf" else "access")
    named = {peer.public_key for peer in edit.peers}
    if command == "setconf":
        for key in list(wireguard.peers):
            _remove(call, device, wireguard, key)
    elif command == "syncconf":
        for key in [key for key in wireguard.peers if key not in named]:
            _remove(call, device, wireguard, key)
    apply(call, device, edit)


def apply(call: Call, device: Device, edit: DeviceEdit) -> None:
    """Let the kernel take an edit, in order."""
    wireguard = device.wg
    assert wireguard is not None
    if edit.listen_port is not None:
        _listen(call, device, wireguard, edit.listen_port)
    if edit.fwmark is not None:
        wireguard.fwmark = edit.fwmark
    if edit.private_key is not None:
        wireguard.private_key = edit.private_key or None
        if wireguard.public_key in wireguard.peers:  # an interface is never its own peer
            _remove(call, device, wireguard, wireguard.public_key or "")
    for peer in edit.peers:
        _apply_peer(call, device, wireguard, peer)


def _listen(call: Call, device: Device, wireguard: WgDevice, port: int) -> None:
    if device.up and port:
        holder = call.host.kernel.listening(port)
        if holder is not None and holder is not device:
            raise Refused("Unable to modify interface: Address already in use")
    wireguard.listen_port = port or (call.host.kernel.free_port() if device.up else 0)


def _remove(call: Call, device: Device, wireguard: WgDevice, key: str) -> None:
    wireguard.peers = {name: peer for name, peer in wireguard.peers.items() if name != key}
    call.host.kernel.forgotten(device.name, key)


def _apply_peer(call: Call, device: Device, wireguard: WgDevice, edit: PeerEdit) -> None:
    if edit.remove:
        _remove(call, device, wireguard, edit.public_key)
        return
    if edit.public_key == wireguard.public_key:
        return
    peer = wireguard.peers.get(edit.public_key)
    if peer is None:
        peer = WgPeer(edit.public_key)
        wireguard.peers = {**wireguard.peers, edit.public_key: peer}
    if edit.preshared_key is not None:
        peer.preshared_key = None if edit.preshared_key == ZERO_KEY else edit.preshared_key
    if edit.endpoint is not None:
        peer.endpoint, peer.endpoint_at = edit.endpoint, call.host.clock.now()
    if edit.keepalive is not None:
        peer.keepalive = edit.keepalive
    if edit.replace_allowed:
        peer.allowed_ips = ()
    for sign, prefix in edit.allowed:
        if sign == "-":
            peer.allowed_ips = tuple(one for one in peer.allowed_ips if one != prefix)
        else:
            wireguard.claim(peer, prefix)


_COMMANDS: Final[dict[str, Callable[[Call, list[str]], int | None]]] = {
    "show": _show,
    "showconf": _showconf,
    "set": _set,
    "setconf": lambda call, rest: _conf(call, rest, "setconf"),
    "addconf": lambda call, rest: _conf(call, rest, "addconf"),
    "syncconf": lambda call, rest: _conf(call, rest, "syncconf"),
    "genkey": _genkey,
    "genpsk": _genpsk,
    "pubkey": _pubkey,
}
