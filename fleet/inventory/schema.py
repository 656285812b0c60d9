"""What an inventory may say: one pydantic model per section. Descriptions here are the key reference and the JSON Schema.

Every key is optional in the models: what is required is known only after defaults and groups are merged in.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ..model import MANAGED, IPAddress, IPNetwork, PublicKey
from . import identities, values


def _text(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


def _number(low: int, high: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": low, "maximum": high})


def _several(**more: Any) -> WithJsonSchema:
    one = {"type": "string", **more}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}]})


_NAME_SCHEMA: Final = {"pattern": "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"}
_PREFIX_SCHEMA: Final = {"pattern": "^[0-9a-fA-F:.]+/[0-9]{1,3}$"}
_REFERENCE_SCHEMA: Final = {"pattern": "^[a-z][a-z0-9+-]+:.+"}

Name = Annotated[str, BeforeValidator(values.name), _text(**_NAME_SCHEMA)]
Names = Annotated[
    tuple[Annotated[str, BeforeValidator(values.name)], ...], BeforeValidator(values.as_list), _several(**_NAME_SCHEMA)
]
Text = Annotated[str, BeforeValidator(values.text_of), _text()]
InterfaceName = Annotated[str, BeforeValidator(values.interface_name), _text(maxLength=15)]
Username = Annotated[str, BeforeValidator(values.username), _text()]
Hosts = Annotated[tuple[Annotated[str, BeforeValidator(values.host)], ...], BeforeValidator(values.as_list), _several()]
OneHost = Annotated[str, BeforeValidator(values.host), _text()]
Port = Annotated[int, BeforeValidator(values.whole(1, 65535, "port")), _number(1, 65535)]
Mtu = Annotated[int, BeforeValidator(values.whole(576, 9200, "MTU in bytes")), _number(576, 9200)]
Keepalive = Annotated[int, BeforeValidator(values.whole(0, 65535, "keepalive in seconds")), _number(0, 65535)]
Switch = Annotated[bool, BeforeValidator(values.switch)]
HostAddresses = Annotated[
    tuple[Annotated[IPAddress, BeforeValidator(values.address)], ...], BeforeValidator(values.as_list), _several()
]
Prefixes = Annotated[
    tuple[Annotated[IPNetwork, BeforeValidator(values.prefix)], ...],
    BeforeValidator(values.as_list),
    _several(**_PREFIX_SCHEMA),
]
TunnelPrefixes = Annotated[
    tuple[Annotated[IPNetwork, BeforeValidator(values.tunnel_prefix)], ...],
    BeforeValidator(values.as_list),
    _several(**_PREFIX_SCHEMA),
]
OverlayV4 = Annotated[IPNetwork, BeforeValidator(values.overlay_prefix(4)), _text(**_PREFIX_SCHEMA)]
OverlayV6 = Annotated[IPNetwork, BeforeValidator(values.overlay_prefix(6)), _text(**_PREFIX_SCHEMA)]
EndpointText = Annotated[str, BeforeValidator(values.endpoint), _text(pattern="^.+:([0-9]{1,5}|\\{.*)$")]
Reference = Annotated[str, BeforeValidator(identities.secret_reference), _text(**_REFERENCE_SCHEMA)]
KeyReference = Annotated[str, BeforeValidator(identities.key_reference), _text(pattern="^([a-z][a-z0-9+-]+:.+|[~./].+)")]
HostKey = Annotated[str, BeforeValidator(identities.host_key), _text()]
Fingerprint = Annotated[str, BeforeValidator(identities.fingerprint), _text()]
WireGuardKey = Annotated[PublicKey, BeforeValidator(identities.public_key), _text(pattern="^[A-Za-z0-9+/]{43}=$")]
Days = Annotated[int, BeforeValidator(values.days), _text(pattern="^[1-9][0-9]{0,3}[dw]$")]
SecretId = Annotated[str, BeforeValidator(values.secret_id), _text(pattern="^[0-9a-f]{16}$")]
Labels = Annotated[
    dict[Annotated[str, BeforeValidator(values.label_key)], Annotated[str, BeforeValidator(values.label_text)]],
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]


class Section(BaseModel):
    """A part of an inventory: no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class OverlayKeys(Section):
    """The tunnel network that all routers of this inventory belong to."""

    name: Name | None = Field(None, description="Name of the overlay; part of every mark on a router.", examples=["acme"])
    interface: InterfaceName | None = Field(None, description="WireGuard interface name. Default wg0.", examples=["wg0"])
    ipv4: OverlayV4 | None = Field(None, description="IPv4 prefix of the tunnel addresses.", examples=["10.100.0.0/20"])
    ipv6: OverlayV6 | None = Field(None, description="IPv6 prefix of the tunnel addresses.", examples=["fd10:100::/64"])
    topology: (
        Annotated[Literal["hub-and-spoke", "full-mesh"], BeforeValidator(values.choice("hub-and-spoke", "full-mesh"))] | None
    ) = Field(None, description="`hub-and-spoke` (default) or `full-mesh`.", examples=["full-mesh"])
    links: tuple[tuple[Name, Name], ...] | None = Field(
        None, description="Pairs of routers that are peers, for a partial mesh.", examples=["[[a, b], [b, c]]"]
    )
    lan_supernets: TunnelPrefixes | None = Field(
        None,
        description="Prefixes that hold all LANs, now and later: with them a new branch changes the hubs and no other spoke.",
        examples=["[192.168.0.0/16]"],
    )
    listen_port: Port | None = Field(None, description="UDP port of WireGuard. Default 51820.", examples=["51820"])
    mtu: Mtu | None = Field(None, description="MTU of the tunnel in bytes. Default 1420.", examples=["1412"])
    persistent_keepalive: Keepalive | None = Field(
        None, description="Seconds between keepalives of a router that only dials; 0 is off. Default 25.", examples=["25"]
    )
    preshared_keys: Switch | None = Field(
        None,
        description="Every pair of peers gets a preshared key, derived from the fleet secret. Default true.",
        examples=["true"],
    )
    secret_id: SecretId | None = Field(
        None, description="Fingerprint of the fleet secret, written by `fleet init`; reveals nothing.", examples=['"0f3a..."']
    )


class TlsKeys(Section):
    """How the certificate of a router is verified; pinned at first contact if neither key is given."""

    fingerprint: Fingerprint | None = Field(
        None, description="SHA-256 of the certificate in hex, with or without colons.", examples=['"SHA256:9f86..."']
    )
    ca: Annotated[str, BeforeValidator(identities.path), _text()] | None = Field(
        None, description="Path of the CA certificate that signed it.", examples=["~/.config/acme-ca.pem"]
    )


class PrivateKeyKeys(Section):
    """Where the private key lives and how old it may become."""

    custody: Annotated[Literal["device", "escrow"], BeforeValidator(values.choice("device", "escrow"))] | None = Field(
        None,
        description="`device`: made on the router and stays there (default). "
        "`escrow`: also sealed in the state (default of the only hub).",
        examples=["escrow"],
    )
    max_age: Days | None = Field(
        None, description="Age at which `status` asks for a new key, in days or weeks.", examples=["90d"]
    )


class ManageKeys(Section):
    """What fleet does beside interface and peers; false means somebody else does it: neither written nor compared."""

    routes: Switch = Field(True, description="Routes to the LANs behind other routers.", examples=["false"])
    forwarding: Switch = Field(True, description="Forwarding between tunnel and LAN, and through hubs.", examples=["false"])
    listen_port: Switch = Field(True, description="The open UDP port on hubs.", examples=["false"])
    masquerade: Switch = Field(True, description="No source NAT into the tunnel.", examples=["false"])
    mss: Switch = Field(True, description="TCP MSS clamp to the tunnel's MTU.", examples=["false"])
    management: Switch = Field(True, description="The management port reachable through the tunnel.", examples=["false"])
    resolve: Switch = Field(True, description="Resolving a named endpoint again when it has moved.", examples=["false"])


assert frozenset(ManageKeys.model_fields) == MANAGED


class SharedKeys(Section):
    """What `defaults:`, a group and a router may say."""

    driver: Text | None = Field(
        None, description="Vendor driver; `fleet drivers` lists those installed.", examples=["mikrotik"]
    )
    role: Annotated[Literal["hub", "spoke"], BeforeValidator(values.choice("hub", "spoke"))] | None = Field(
        None, description="`hub` or `spoke` (default).", examples=["hub"]
    )
    host: Hosts | None = Field(
        None,
        description="Where it is logged in to, one or a list tried in order. Default: its overlay address. May hold `{name}`.",
        examples=["198.51.100.10"],
    )
    port: Port | None = Field(None, description="TCP port of management. Default: the driver's.", examples=["22"])
    via: Names | None = Field(
        None, description="Routers or `jumps:` that connections to it pass through, one or a list.", examples=["hq"]
    )
    username: Username | None = Field(None, description="Login name. May hold `{name}`.", examples=["fleet"])
    password: Reference | None = Field(
        None, description="Secret reference of the password.", examples=['"cmd:pass fleet/{name}"']
    )
    ssh_key: KeyReference | None = Field(
        None,
        description="Private SSH key, a path or secret reference; the agent is used without it.",
        examples=['"file:~/.ssh/fleet"'],
    )
    api_key: Reference | None = Field(None, description="Secret reference of an API key.", examples=['"env:OPNSENSE_KEY"'])
    api_secret: Reference | None = Field(
        None, description="Secret reference of the API key's secret.", examples=['"env:OPNSENSE_SECRET"']
    )
    tls: TlsKeys | None = Field(None, description="How its certificate is verified; see `tls.`", examples=["{ca: acme-ca.pem}"])
    endpoint: EndpointText | None = Field(
        None,
        description="`host:port` where others dial it; without it, it only dials. The port may differ from `listen_port`.",
        examples=['"vpn.example.com:51820"'],
    )
    pin_endpoint: Switch | None = Field(
        None, description="An endpoint learned by a peer counts as drift. Default false.", examples=["true"]
    )
    hubs: Names | None = Field(
        None,
        description="Hubs of a spoke in order of preference; the first is its home. Default: all in file order.",
        examples=["[hq, dr]"],
    )
    interface: InterfaceName | None = Field(None, description="As under `overlay:`, for this router.", examples=["wg1"])
    listen_port: Port | None = Field(None, description="As under `overlay:`, for this router.", examples=["51821"])
    mtu: Mtu | None = Field(None, description="As under `overlay:`, for this router (PPPoE: 1412).", examples=["1412"])
    persistent_keepalive: Keepalive | None = Field(None, description="As under `overlay:`, for this router.", examples=["15"])
    keys: PrivateKeyKeys | None = Field(
        None, description="Custody and age of the private key; see `keys.`", examples=["{max_age: 90d}"]
    )
    management_from: Prefixes | None = Field(
        None,
        description="Prefixes, beside the `via` routers, that reach its management port through the tunnel.",
        examples=["[10.9.0.0/24]"],
    )
    manage: ManageKeys | None = Field(None, description="What fleet leaves to others; see `manage.`", examples=["{mss: false}"])
    enabled: Switch | None = Field(
        None,
        description="false suspends: it is removed everywhere, its key and address are kept. Default true.",
        examples=["false"],
    )
    labels: Labels | None = Field(
        None, description="Words of your own, for `{labels.word}`; merged key by key.", examples=["{city: pune}"]
    )
    options: dict[str, Any] | None = Field(
        None, description="The driver's own settings; merged key by key.", examples=["{wan_zone: wan}"]
    )


class RouterKeys(SharedKeys):
    """One managed device."""

    groups: Names | None = Field(
        None, description="Groups it belongs to; the first that gives a key wins.", examples=["[branches]"]
    )
    host_key: HostKey | None = Field(
        None,
        description="SSH host key, an OpenSSH line or `SHA256:...`; else known_hosts, else pinned at first contact.",
        examples=['"ssh-ed25519 AAAA..."'],
    )
    address: HostAddresses | None = Field(
        None, description="Overlay address, at most one per family; else allocated once.", examples=["10.100.0.1"]
    )
    lans: TunnelPrefixes | None = Field(None, description="Prefixes behind it.", examples=["[192.168.1.0/24]"])
    public_key: WireGuardKey | None = Field(
        None, description="Key of gear that makes its own and is never logged in to.", examples=['"8Vx4...="']
    )
    formerly: Name | None = Field(None, description="Its name before it was renamed.", examples=["bombay"])


class JumpKeys(Section):
    """An SSH host that connections pass through and that fleet does not manage."""

    host: OneHost | None = Field(None, description="DNS name or address.", examples=["bastion.example.com"])
    port: Port | None = Field(None, description="TCP port. Default 22.", examples=["22"])
    username: Username | None = Field(None, description="Login name.", examples=["noc"])
    ssh_key: KeyReference | None = Field(
        None, description="Private SSH key, a path or secret reference.", examples=["~/.ssh/noc"]
    )
    password: Reference | None = Field(
        None, description="Secret reference of the password.", examples=['"keyring:bastion/noc"']
    )
    host_key: HostKey | None = Field(
        None, description="SSH host key, an OpenSSH line or `SHA256:...`.", examples=['"SHA256:..."']
    )


SECTIONS: Final[dict[str, type[Section]]] = {
    "overlay": OverlayKeys,
    "defaults": SharedKeys,
    "groups": SharedKeys,
    "jumps": JumpKeys,
    "routers": RouterKeys,
}
"""Top level keys in the order a file has them, with the model of the section or of each entry in it."""

NAMED: Final = ("groups", "jumps", "routers")
"""Sections that are mappings of names."""
TEMPLATED: Final = ("host", "username", "password", "ssh_key", "api_key", "api_secret", "endpoint")
"""Keys whose texts may hold `{name}` and `{labels.x}`."""
MERGED: Final = ("labels", "options")
"""Keys that merge key by key; of all others the nearer level replaces the farther."""
FROM_OVERLAY: Final = ("interface", "listen_port", "mtu", "persistent_keepalive")
"""Keys for which the overlay is the last level."""
