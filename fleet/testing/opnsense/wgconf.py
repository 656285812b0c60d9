"""wgN.conf as the template renders it (captures 9); its text is what the control script compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .checks import is_address
from .store import Config, Record
from .wgmodels import CLIENTS

HEADER: Final = """\
####################################################
# Interface settings, not used by `wg`             #
# Only used for reference and detection of changes #
# in the configuration                             #
####################################################
"""


@dataclass(frozen=True, slots=True)
class PeerSection:
    """One [Peer]. `endpoint`: host and port, not resolved yet."""

    name: str
    public_key: str
    psk: str
    endpoint: tuple[str, int] | None
    allowed_ips: tuple[str, ...]
    keepalive: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """The file of one instance, its text and what `wg` reads in it."""

    uuid: str
    device: str
    name: str
    text: str
    private_key: str
    port: int | None
    peers: tuple[PeerSection, ...]
    addresses: tuple[str, ...]
    mtu: str
    gateway: str
    routes: bool
    debug: bool

    @property
    def reload_key(self) -> str:
        """What may not differ for a reload without a flush, beside disableroutes (sheet 3.1)."""
        return "|".join((",".join(self.addresses), self.mtu, self.gateway))


def rendered(config: Config, uuid: str, server: Record) -> Rendered:
    """One instance as it is stored now. Peers in the order of the instance's list; dangling and disabled ones are left out."""
    peers = tuple(
        _peer(record)
        for key in server["peers"].split(",")
        if (record := config[CLIENTS].get(key)) is not None and record["enabled"] == "1"
    )
    addresses = tuple(entry for entry in server["tunneladdress"].split(",") if entry)
    head = {
        "Address": " " + ",".join(addresses),
        "DNS": server["dns"],
        "MTU": server["mtu"],
        "disableroutes": server["disableroutes"],
        "gateway": server["gateway"],
        "debug": server.get("debug", "0"),
    }
    lines = [HEADER + "\n".join(f"# {name} = {value}" for name, value in head.items()), "", "[Interface]"]
    lines.append(f"PrivateKey = {server['privkey']}")
    if server["port"]:
        lines.append(f"ListenPort = {server['port']}")
    for peer in peers:
        lines += ["", *_written(peer)]
    return Rendered(
        uuid,
        f"wg{server['instance']}",
        server["name"],
        "\n".join([*lines, ""]),
        server["privkey"],
        int(server["port"]) if server["port"] else None,
        peers,
        addresses,
        server["mtu"],
        server["gateway"],
        server["disableroutes"] == "0",
        server.get("debug", "0") == "1",
    )


def _peer(record: Record) -> PeerSection:
    endpoint = (record["serveraddress"], int(record["serverport"] or 51820)) if record["serveraddress"] else None
    allowed = tuple(entry for entry in record["tunneladdress"].split(",") if entry)
    return PeerSection(record["name"], record["pubkey"], record["psk"], endpoint, allowed, int(record["keepalive"] or 0))


def _written(peer: PeerSection) -> list[str]:
    lines = ["[Peer]", f"# friendly_name = {peer.name}", f"PublicKey = {peer.public_key}"]
    if peer.psk:
        lines.append(f"PresharedKey = {peer.psk}")
    if peer.endpoint is None:
        lines.append("")
    else:
        host, port = peer.endpoint
        lines.append(f"Endpoint = {f'[{host}]' if is_address(host) and ':' in host else host}:{port}")
    lines.append(f"AllowedIPs = {','.join(peer.allowed_ips)}")
    if peer.keepalive:
        lines.append(f"PersistentKeepalive = {peer.keepalive}")
    return lines
