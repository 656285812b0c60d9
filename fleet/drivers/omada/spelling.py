"""The two generations of the API: what they call a thing, and which fields are the controller's own (sheet 2.1, 2.2)."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import Mark, Peer, PublicKey, Secret
from ...model import HIDDEN, PARKING, Endpoint, IPInterface, IPNetwork, Preshared
from ...parking import parking_place
from .api import Row

NAME_MOST: Final = 63
"""Characters of a tunnel's name: 64 in generation 1, 63 in generation 2."""

COMMENT_MOST: Final = 128

_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=")

SECRETS: Final = frozenset({"privateKey", "presharedKey", "preSharedKey"})


@dataclass(frozen=True, slots=True)
class Spelling:
    """Field names. `own` and `own_of_peers`: told by the controller, not to be sent back."""

    generation: int
    listen_port: str
    address: str
    peer_key: str
    allowed_ips: str
    endpoint: str
    endpoint_port: str
    preshared_key: str
    own: frozenset[str]
    own_of_peers: frozenset[str]


V1: Final = Spelling(
    generation=1,
    listen_port="listenPort",
    address="localIp",
    peer_key="publicKey",
    allowed_ips="allowAddress",
    endpoint="endPoint",
    endpoint_port="endPointPort",
    preshared_key="presharedKey",
    own=frozenset({"id", "publicKey"}),
    own_of_peers=frozenset({"id", "interfaceName", "existDomain"}),
)
V2: Final = Spelling(
    generation=2,
    listen_port="servicePort",
    address="tunnelIp",
    peer_key="serverPublicKey",
    allowed_ips="remoteSubnet",
    endpoint="remoteIp",
    endpoint_port="servicePort",
    preshared_key="preSharedKey",
    own=frozenset({"id", "siteVpnType", "publicKey", "featureDescription"}),
    own_of_peers=frozenset({"id"}),
)


def sealed(value: Any) -> Any:
    """JSON with every secret in it as Secret."""
    if isinstance(value, Mapping):
        return {
            name: Secret(inner) if name in SECRETS and isinstance(inner, str) and inner else sealed(inner)
            for name, inner in value.items()
        }
    return [sealed(inner) for inner in value] if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------------------------ read
def address_of(row: Row, spelling: Spelling) -> frozenset[IPInterface]:
    """The tunnel address, as a host: a bare address is what is sure to be stored (sheet 2.1). A parked one is none."""
    try:
        host = ipaddress.ip_interface(str(row.get(spelling.address) or "")).ip
    except ValueError:
        return frozenset()
    if host.version == 4 and host in PARKING:
        return frozenset()
    return frozenset({ipaddress.ip_interface(host)})


def peer_of(row: Row, spelling: Spelling) -> Peer:
    """Raises ValueError for one that fleet's model does not hold."""
    comment, name = str(row.get("comment") or ""), str(row.get("name") or "")
    return Peer(
        PublicKey(str(row.get(spelling.peer_key) or "")),
        allowed_ips=frozenset(_networks(row.get(spelling.allowed_ips))),
        endpoint=_endpoint(row, spelling),
        persistent_keepalive=number(row.get("keepAlive")) or 0,
        preshared_key=_preshared(row.get(spelling.preshared_key)),
        mark=Mark.find(comment) or Mark.find(name),
        disabled=row.get("status") is False,
    )


def number(value: object) -> int | None:
    """A number, also one that is spelt as text."""
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def shown_key(value: object) -> bool:
    """True for a secret key as such, False for none and for a mask (`******`)."""
    return isinstance(value, Secret) and _KEY.fullmatch(value.reveal()) is not None


def _networks(value: object) -> Iterable[IPNetwork]:
    texts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return (ipaddress.ip_network(str(text).strip(), strict=False) for text in texts if str(text).strip())


def _endpoint(row: Row, spelling: Spelling) -> Endpoint | None:
    host, port = str(row.get(spelling.endpoint) or ""), number(row.get(spelling.endpoint_port))
    return Endpoint(host, port) if host and port else None


def _preshared(value: object) -> Preshared:
    if not isinstance(value, Secret):
        return None
    return value if shown_key(value) else HIDDEN


# ----------------------------------------------------------------------------------------------------------- write
def tunnel_name(interface: str, mark: Mark | None, now: str = "") -> str:
    """A tunnel has no comment: its mark stands in its name, behind that of the interface. `now`: what people call it."""
    return marked(now if interface in now.split() else f"{interface} {now}".strip(), mark, NAME_MOST)


def peer_name(interface: str, peer: Peer) -> str:
    """A name that no other peer of the site has: two keys of one router, and one key on two interfaces, each get their own."""
    digest = hashlib.sha256(f"{interface} {peer.public_key}".encode()).hexdigest()[:6]
    return f"{peer.mark.name if peer.mark else 'peer'}-{digest}"


def marked(text: str, mark: Mark | None, most: int) -> str:
    """A text with this mark instead of the one it has, or behind it; what people wrote stays as far as there is room."""
    if mark is None:
        return text
    old = Mark.find(text)
    if old is not None:
        return text.replace(str(old), str(mark), 1)[:most]
    kept = text[: max(0, most - len(str(mark)) - 1)].rstrip()
    return f"{kept} {mark}".strip()


def nowhere(key: PublicKey) -> str:
    """The address of a tunnel that is to have none, which the controller does not allow: one that nothing is routed to."""
    return str(parking_place(key).network_address)
