"""The configuration language of wg(8): words of `wg set` and sections of a file become edits of a device."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...model import IPNetwork
from ._call import Refused
from ._kernel import WgPeer, clamped, is_key

Resolve = Callable[[str], "str | None"]


@dataclass
class PeerEdit:
    """What is said about one peer; None is not said. `plus` and `minus` edit allowed IPs, else they are replaced."""

    public_key: str = ""
    remove: bool = False
    preshared_key: str | None = None
    endpoint: tuple[str, int] | None = None
    keepalive: int | None = None
    replace_allowed: bool = False
    allowed: list[tuple[str, IPNetwork]] = field(default_factory=list)


@dataclass
class DeviceEdit:
    """What is said about a device; an empty `private_key` clears it."""

    private_key: str | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    peers: list[PeerEdit] = field(default_factory=list)


ZERO_KEY = base64.b64encode(bytes(32)).decode()


def key_of(text: str) -> str:
    """A key argument. Raises Refused in wg's words."""
    if not is_key(text):
        raise Refused(f"Key is not the correct length or format: `{text}'")
    return text


def port_of(text: str) -> int:
    """A listen port; larger numbers wrap, as getaddrinfo takes them (seen with wireguard-tools 1.0.20210914)."""
    if not text.isdigit():
        raise Refused(f"Servname not supported for ai_socktype: `{text}'")
    return int(text) & 0xFFFF


def fwmark_of(text: str) -> int:
    """A firewall mark, `off` for none."""
    if text == "off":
        return 0
    if not re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+", text):
        raise Refused(f"Fwmark is neither 0/off nor 0-0xffffffff: `{text}'")
    return int(text, 0)


def keepalive_of(text: str) -> int:
    """Seconds, `off` for 0."""
    if text == "off":
        return 0
    if not text.isdigit() or int(text) > 65535:
        raise Refused(f"Persistent keepalive interval is neither 0/off nor 1-65535: `{text}'")
    return int(text)


def endpoint_of(text: str, resolve: Resolve) -> tuple[str, int]:
    """host:port with the host resolved, as wg does once, when it is set."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]:")
        if not bracket:
            raise Refused(f"Unable to find matching brace of endpoint: `{text}'")
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            raise Refused(f"Unable to find port of endpoint: `{text}'")
    try:
        address: str | None = str(ipaddress.ip_address(host))
    except ValueError:
        address = resolve(host)
    if address is None:
        raise Refused(f"Name or service not known: `{text}'")
    if not port.isdigit():
        raise Refused(f"Servname not supported for ai_socktype: `{text}'")
    return address, int(port) & 0xFFFF


def allowed_of(text: str, warn: Callable[[str], None], *, signs: bool = False) -> list[tuple[str, IPNetwork]]:
    """`a/b,c/d`; an empty list is legal. `signs`: + or - may stand before each (wireguard-tools 1.0.20250521 and later)."""
    found: list[tuple[str, IPNetwork]] = []
    stripped = "".join(text.split())
    for word in stripped.split(",") if stripped else ():
        sign = word[0] if signs and word[:1] in {"+", "-"} else ""
        bare = word[len(sign) :]
        address, _, length = bare.partition("/")
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            raise Refused(f"Unable to parse IP address: `{address}'") from None
        if "/" in bare and (not length.isdigit() or int(length) > ip.max_prefixlen):
            raise Refused(f"AllowedIP is not in the correct format: `{bare}'")
        network = ipaddress.ip_network(f"{ip}/{length or ip.max_prefixlen}", strict=False)
        if network.network_address != ip:
            warn(f"Warning: AllowedIP has nonzero host part: {bare}")
        found.append((sign, network))
    return found


def key_in(content: bytes) -> str:
    """The key in a key file, empty when the file is empty: then the device, or peer, loses its key."""
    text = content.decode("ascii", "replace")
    if not text:
        return ""
    if len(text) < 44:
        raise Refused("Invalid length key in key file")
    trailing = text[44:].lstrip()
    if trailing:
        raise Refused(f"Found trailing character in key file: `{trailing[0]}'")
    return key_of(text[:44])


def private_key_in(content: bytes) -> str:
    """As key_in, with the bits cleared that every private key has clear."""
    key = key_in(content)
    return clamped(base64.b64decode(key)) if key else ""


class FileParser:
    """A file for setconf, addconf and syncconf. Raises Refused with the two lines wg prints."""

    _INTERFACE = frozenset({"listenport", "fwmark", "privatekey"})
    _PEER = frozenset({"publickey", "presharedkey", "endpoint", "allowedips", "persistentkeepalive"})

    def __init__(self, resolve: Resolve, warn: Callable[[str], None]) -> None:
        self._resolve = resolve
        self._warn = warn
        self._edit = DeviceEdit()
        self._peer: PeerEdit | None = None
        self._section = ""

    def parse(self, text: str, *, append: bool) -> DeviceEdit:
        """The edits a file asks for.

        Without `append` an interface line that is left out is cleared: also by syncconf, which takes the private key away
        when the file has none. A peer line that is left out is not touched (both measured, 1.0.20210914).
        """
        if not append:
            self._edit.private_key, self._edit.listen_port, self._edit.fwmark = "", 0, 0
        for line in self._lines(text):
            try:
                self._line(line)
            except Refused as refused:
                raise Refused(f"{refused.words}\nConfiguration parsing error") from None
        if any(not peer.public_key for peer in self._edit.peers):
            raise Refused("A peer is missing a public key\nInvalid configuration")
        return self._edit

    @staticmethod
    def _lines(text: str) -> Iterator[str]:
        for raw in text.splitlines():
            line = "".join(raw.partition("#")[0].split())
            if line:
                yield line

    def _line(self, line: str) -> None:
        key, equals, value = line.partition("=")
        name = key.lower()
        if equals and not value:
            raise Refused(f"Line unrecognized: `{line}'")
        if name in {"[interface]", "[peer]"} and not equals:
            self._section = name
            if name == "[peer]":
                self._peer = PeerEdit(replace_allowed=True)
                self._edit.peers.append(self._peer)
        elif self._section == "[interface]" and name in self._INTERFACE and equals:
            self._interface(name, value)
        elif self._section == "[peer]" and name in self._PEER and equals and self._peer is not None:
            self._peer_line(self._peer, name, value)
        else:
            raise Refused(f"Line unrecognized: `{line}'")

    def _interface(self, name: str, value: str) -> None:
        if name == "listenport":
            self._edit.listen_port = port_of(value)
        elif name == "fwmark":
            self._edit.fwmark = fwmark_of(value)
        else:
            self._edit.private_key = clamped(base64.b64decode(key_of(value)))

    def _peer_line(self, peer: PeerEdit, name: str, value: str) -> None:
        if name == "publickey":
            peer.public_key = key_of(value)
        elif name == "presharedkey":
            peer.preshared_key = key_of(value)
        elif name == "endpoint":
            peer.endpoint = endpoint_of(value, self._resolve)
        elif name == "persistentkeepalive":
            peer.keepalive = keepalive_of(value)
        else:
            peer.allowed += allowed_of(value, self._warn)


def showconf(private_key: str | None, listen_port: int, fwmark: int, peers: list[WgPeer]) -> str:
    """What `wg showconf` prints."""
    lines = ["[Interface]"]
    if listen_port:
        lines.append(f"ListenPort = {listen_port}")
    if fwmark:
        lines.append(f"FwMark = 0x{fwmark:x}")
    if private_key:
        lines.append(f"PrivateKey = {private_key}")
    for peer in peers:
        lines += ["", "[Peer]", f"PublicKey = {peer.public_key}"]
        if peer.preshared_key:
            lines.append(f"PresharedKey = {peer.preshared_key}")
        if peer.allowed_ips:
            lines.append("AllowedIPs = " + ", ".join(map(str, peer.allowed_ips)))
        if peer.endpoint:
            lines.append(f"Endpoint = {shown_endpoint(peer.endpoint)}")
        if peer.keepalive:
            lines.append(f"PersistentKeepalive = {peer.keepalive}")
    return "\n".join(lines)


def shown_endpoint(endpoint: tuple[str, int]) -> str:
    """`address:port`, IPv6 in brackets."""
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
