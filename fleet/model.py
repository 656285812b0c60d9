"""The nouns of fleet: pure, frozen, validated on construction, no I/O.

The first half is what an inventory says (`Fleet`, `Overlay`, `Router`, `Jump`), the second what a router holds or
should hold (`Interface`, `Peer`, `Route`, the openings). Observed and desired state use the same types, so that
`diff` compares values and never spellings.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NoReturn, TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IPInterface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

PARKING: Final = ipaddress.IPv4Network("198.18.0.0/15")
"""Where a parked peer gets its unique /32 on vendors that demand an allowed IP (RFC 2544 benchmarking range)."""

NAME_PATTERN: Final = r"[a-z][a-z0-9-]{0,30}[a-z0-9]|[a-z]"
"""Names of overlays and routers: what every vendor carries in a comment, section name and description unquoted."""


# ---------------------------------------------------------------------------------------------- keys and secrets
class Secret:
    """A value that only transports reveal. Prints `***`, compares in constant time, refuses to pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Called by transports, key derivation and the two commands whose result it is."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled: derive it again where it is needed")


class PublicKey(str):
    """A Curve25519 public key in its one spelling: 44 characters of base64 for 32 bytes. Raises ValueError."""

    __slots__ = ()

    def __new__(cls, text: str) -> PublicKey:
        if isinstance(text, PublicKey):
            return text
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        # A final character with stray bits decodes to the same 32 bytes; one key has one spelling.
        if len(raw) != 32 or base64.b64encode(raw).decode() != text:
            raise ValueError(f"not a WireGuard public key (44 characters of base64): {text[:60]!r}")
        return super().__new__(cls, text)


@dataclass(frozen=True, slots=True)
class KeyOf:
    """Stands for the key that router `name` will have: keys do not exist at the first plan."""

    name: str

    def __str__(self) -> str:
        return f"key of {self.name}"


class _Hidden:
    """The type of HIDDEN."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "HIDDEN"


HIDDEN: Final = _Hidden()
"""A secret that is set and that the device does not show. Equal to any wanted one while keys and mark match."""


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """A preshared key by its recipe (pair of public keys and `epoch`), until the core derives it to write or compare."""

    epoch: int = 0


Preshared: TypeAlias = Secret | DerivedKey | _Hidden | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Our ownership mark, `fleet:<overlay>:<name>[:<epoch>]`, as it stands in a comment, description or section name.

    On a peer and on a route `name` is the router at the other end (with the epoch of its key when over 0);
    on everything else it is the router itself.
    """

    overlay: str
    name: str
    epoch: int = 0

    _PATTERN = re.compile(rf"(?<![\w:-])fleet:({NAME_PATTERN}):({NAME_PATTERN})(?::(\d{{1,9}}))?(?![\w:-])")

    def __str__(self) -> str:
        return f"fleet:{self.overlay}:{self.name}" + (f":{self.epoch}" if self.epoch else "")

    @classmethod
    def find(cls, text: str) -> Mark | None:
        """The first mark inside a longer text (people extend comments), None if there is none."""
        found = cls._PATTERN.search(text)
        return cls(found[1], found[2], int(found[3] or 0)) if found else None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is dialled: `host` is a DNS name or a bare IP (IPv6 without brackets), `port` 1..65535."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is outside 1..65535")
        if not self.host or len(self.host) > 253 or re.search(r"[\s\[\]/'\"$`\\;|&<>(){}*?!#%]", self.host):
            raise ValueError(f"not a host name or address: {self.host[:60]!r}")
        if self.ip is None and not re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", self.host):
            raise ValueError(f"not a host name or address: {self.host[:60]!r}")

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
            raise ValueError(f"not host:port: {text[:60]!r}")
        if host.startswith("[") and host.endswith("]"):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif ":" in host:
            raise ValueError(f"an IPv6 endpoint needs brackets, [address]:port: {text[:60]!r}")
        return cls(host, int(port))

    @property
    def ip(self) -> IPAddress | None:
        """The host as an address, None for a name that must be resolved."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


# ------------------------------------------------------------------------------------------------------ openings
End: TypeAlias = Literal["tunnel", "lan"]


@dataclass(frozen=True, slots=True)
class ListenPort:
    """WireGuard's UDP port is open to `source` (None: everywhere)."""

    port: int
    source: IPNetwork | None = None

    @property
    def identity(self) -> str:
        """Stable name of the thing opened: the port, so that a new port opens beside the old one."""
        return f"listen-port/{self.port}"

    def __str__(self) -> str:
        return f"open udp/{self.port}" + (f" from {self.source}" if self.source else "")


@dataclass(frozen=True, slots=True)
class Forward:
    """Packets pass from one end to the other; `prefixes` are the LANs concerned, empty for tunnel to tunnel."""

    source: End
    target: End
    prefixes: frozenset[IPNetwork] = frozenset()

    @property
    def identity(self) -> str:
        """Stable name of the thing opened."""
        return f"forward/{self.source}-{self.target}"

    def __str__(self) -> str:
        lans = ", ".join(sorted(map(str, self.prefixes)))
        return f"forward {self.source} to {self.target}" + (f" ({lans})" if lans else "")


@dataclass(frozen=True, slots=True)
class NoMasquerade:
    """Packets into the tunnel keep their source; `prefixes` are the local LANs they come from, empty for all."""

    prefixes: frozenset[IPNetwork] = frozenset()

    @property
    def identity(self) -> str:
        """Stable name of the thing opened."""
        return "no-masquerade"

    def __str__(self) -> str:
        lans = ", ".join(map(str, sorted_networks(self.prefixes)))
        return "no masquerade into the tunnel" + (f" from {lans}" if lans else "")


@dataclass(frozen=True, slots=True)
class ClampMss:
    """TCP MSS of packets that leave through the tunnel fits `mtu`, the tunnel's own in bytes."""

    mtu: int

    @property
    def identity(self) -> str:
        """Stable name of the thing opened."""
        return "clamp-mss"

    def __str__(self) -> str:
        return f"clamp MSS to mtu {self.mtu}"


@dataclass(frozen=True, slots=True)
class Management:
    """The management TCP port is reachable through the tunnel from `sources` and from nobody else in it."""

    port: int
    sources: frozenset[IPNetwork]

    @property
    def identity(self) -> str:
        """Stable name of the thing opened."""
        return f"management/{self.port}"

    def __str__(self) -> str:
        return f"management tcp/{self.port} from {', '.join(sorted(map(str, self.sources))) or 'nobody'}"


Opening: TypeAlias = ListenPort | Forward | NoMasquerade | ClampMss | Management


# ------------------------------------------------------------------------------------- what a router holds
def _frozen(mapping: Mapping[object, object]) -> Mapping[object, object]:
    return mapping if isinstance(mapping, MappingProxyType) else MappingProxyType(dict(mapping))


_EMPTY: Final[Mapping[object, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of an interface.

    `allowed_ips` are networks without host bits; empty means parked. `endpoint` None: this side never dials first.
    `persistent_keepalive` is in seconds, 0 for off. `preshared_key` None: must be absent. Learned endpoints are not here.
    """

    public_key: PublicKey
    allowed_ips: frozenset[IPNetwork] = frozenset()
    endpoint: Endpoint | None = None
    persistent_keepalive: int = 0
    preshared_key: Preshared = None
    mark: Mark | None = None
    disabled: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.persistent_keepalive <= 65535:
            raise ValueError(f"persistent keepalive {self.persistent_keepalive} is outside 0..65535 seconds")

    @property
    def parked(self) -> bool:
        """True if no packet is routed to this peer: no allowed IPs, or only one out of the parking range."""
        return all(prefix.version == 4 and prefix.subnet_of(PARKING) for prefix in self.allowed_ips)

    @property
    def label(self) -> str:
        """What an operator calls it: the name in its mark, else the start of its key."""
        return self.mark.name if self.mark else f"{self.public_key[:8]}..."


@dataclass(frozen=True, slots=True)
class Route:
    """A route to `prefix` through the interface that holds it. `mark` names the router at the other end."""

    prefix: IPNetwork
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """One WireGuard interface with everything that belongs to it.

    `public_key` is a `KeyOf` while the key is not made, None for an observed interface that has none. `staged_key` is the
    public half of a key that waits on the router beside the one in use. `peers` are keyed by public key, `routes` by
    prefix, `openings` by identity. `reresolve`: the router itself resolves named endpoints again when a handshake is older than
    150 s. `unmanaged` (desired only) lists aspects that somebody else does: they are neither written nor compared.
    """

    name: str
    public_key: PublicKey | KeyOf | None = None
    listen_port: int | None = None
    mtu: int | None = None
    addresses: frozenset[IPInterface] = frozenset()
    peers: Mapping[PublicKey, Peer] = field(default_factory=dict)
    routes: Mapping[IPNetwork, Route] = field(default_factory=dict)
    openings: Mapping[str, Opening] = field(default_factory=dict)
    reresolve: bool = False
    staged_key: PublicKey | KeyOf | None = None
    disabled: bool = False
    mark: Mark | None = None
    unmanaged: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}", self.name):
            raise ValueError(f"not an interface name (1 to 15 of letters, digits, _ = + . -): {self.name[:40]!r}")
        for attribute in ("peers", "routes", "openings"):
            object.__setattr__(self, attribute, _frozen(getattr(self, attribute)))
        for key, peer in self.peers.items():
            if key != peer.public_key:
                raise ValueError(f"peer {peer.public_key} is filed under {key}")

    def __hash__(self) -> int:
        return hash((self.name, self.public_key, self.listen_port))


Configuration: TypeAlias = Mapping[str, Interface]
"""Interfaces of one router by name."""


# ------------------------------------------------------------------------------------- what an inventory says
MANAGED: Final = frozenset({"routes", "forwarding", "listen_port", "masquerade", "mss", "management", "resolve"})
"""Keys of `manage:`; all are ours by default."""

MANAGE_KEY: Final[Mapping[type[Opening], str]] = MappingProxyType(
    {
        ListenPort: "listen_port",
        Forward: "forwarding",
        NoMasquerade: "masquerade",
        ClampMss: "mss",
        Management: "management",
    }
)
"""Which key of `manage:` opts out of which opening."""

Role: TypeAlias = Literal["hub", "spoke"]
Topology: TypeAlias = Literal["hub-and-spoke", "full-mesh"]
Custody: TypeAlias = Literal["device", "escrow"]


@dataclass(frozen=True, slots=True)
class Where:
    """A place in an inventory: `file` as the operator named it, `line` 1-based (0: no line)."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Tls:
    """How a certificate is verified: by its SHA-256 `fingerprint` (64 hex digits) or by a `ca` file. Neither: pinned."""

    fingerprint: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Where the private key lives (None: device, escrow for the only hub) and how old it may grow, in days."""

    custody: Custody | None = None
    max_age_days: int | None = None


@dataclass(frozen=True, slots=True)
class Overlay:
    """The tunnel network. `links` are pairs of router names for partial meshes, None when the topology says it all."""

    name: str
    interface: str = "wg0"
    ipv4: ipaddress.IPv4Network | None = None
    ipv6: ipaddress.IPv6Network | None = None
    topology: Topology = "hub-and-spoke"
    links: tuple[tuple[str, str], ...] | None = None
    lan_supernets: tuple[IPNetwork, ...] = ()
    listen_port: int = 51820
    mtu: int = 1420
    persistent_keepalive: int = 25
    preshared_keys: bool = True
    secret_id: str | None = None

    @property
    def prefixes(self) -> tuple[IPNetwork, ...]:
        """The overlay's one or two prefixes, IPv4 first."""
        return tuple(prefix for prefix in (self.ipv4, self.ipv6) if prefix is not None)


@dataclass(frozen=True, slots=True)
class Jump:
    """An SSH host that connections may pass through. `password` is a secret reference, `ssh_key` a path or reference."""

    name: str
    host: str
    port: int = 22
    username: str | None = None
    ssh_key: str | None = None
    password: str | None = None
    host_key: str | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """One managed device, with group and default values already merged in.

    `hosts` are tried in order. `addresses` are those the inventory gives (at most one per family); allocation fills the rest.
    `password`, `ssh_key`, `api_key`, `api_secret` are secret references with `{name}` and `{labels.x}` already filled in.
    `interface`, `listen_port`, `mtu`, `persistent_keepalive` are effective values. `manage` holds what fleet manages.
    `options` is the driver's own, validated by its `Options` model, as a plain mapping.
    """

    name: str
    driver: str
    role: Role = "spoke"
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    port: int | None = None
    via: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = None
    ssh_key: str | None = None
    api_key: str | None = None
    api_secret: str | None = None
    tls: Tls | None = None
    host_key: str | None = None
    endpoint: Endpoint | None = None
    pin_endpoint: bool = False
    addresses: tuple[IPAddress, ...] = ()
    lans: tuple[IPNetwork, ...] = ()
    hubs: tuple[str, ...] = ()
    interface: str = "wg0"
    listen_port: int = 51820
    mtu: int = 1420
    persistent_keepalive: int = 25
    public_key: PublicKey | None = None
    keys: KeyPolicy = KeyPolicy()
    management_from: tuple[IPNetwork, ...] = ()
    manage: frozenset[str] = MANAGED
    enabled: bool = True
    formerly: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    options: Mapping[str, object] = field(default_factory=dict, hash=False)
    where: Where = Where()


@dataclass(frozen=True, slots=True)
class Fleet:
    """One inventory: one overlay, its routers in file order, jumps, and what `check` should warn about."""

    overlay: Overlay
    routers: Mapping[str, Router]
    jumps: Mapping[str, Jump] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    folder: str = "."

    @property
    def hubs(self) -> tuple[Router, ...]:
        """Enabled hubs in file order."""
        return tuple(router for router in self.routers.values() if router.role == "hub" and router.enabled)

    @property
    def enabled(self) -> tuple[Router, ...]:
        """Enabled routers in file order."""
        return tuple(router for router in self.routers.values() if router.enabled)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is pinned about a router: learned at first contact or allocated once, and never guessed again.

    `public_key` None: not enrolled. `epoch` counts its keys. `addresses` are overlay host addresses, one per family.
    """

    public_key: PublicKey | None = None
    addresses: tuple[IPAddress, ...] = ()
    epoch: int = 0
    staged_key: PublicKey | None = None


Facts: TypeAlias = Mapping[str, Fact]


def sorted_networks(networks: Sequence[IPNetwork] | frozenset[IPNetwork]) -> list[IPNetwork]:
    """Networks in the one order that people see: IPv4 first, then by address and length."""
    return sorted(networks, key=lambda network: (network.version, network.network_address.packed, network.prefixlen))
