"""Fields of instances ("server") and peers ("client") as each release has them (sheet 2.2 and 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from . import checks
from .fields import Field
from .release import Release
from .store import Config

SERVERS, CLIENTS, GENERAL = "wireguard.server", "wireguard.client", "wireguard.general"


def flag(name: str, default: str) -> Field:
    """A required boolean: JSON false becomes empty and fails (sheet 2.1)."""
    return Field(name, checks.boolean, default, required=True)


def named(section: str) -> Callable[[object, Config], Mapping[str, str]]:
    """Every record of a section by uuid."""
    return lambda _box, config: {key: record["name"] for key, record in config[section].items()}


def _name() -> Field:
    return Field("name", checks.masked(r"[0-9a-zA-Z._\-]{1,64}", checks.NAME), required=True)


def option_message(value: str, release: Release) -> str:
    """A relation to something that is not there."""
    return f"Option [{value}] not in list." if release.since(26, 1) else "Option not in list."


def _no_vip(value: str, release: Release) -> str:
    return option_message("", release)


def _no_peer(value: str, release: Release) -> str:
    return "Choose a peer." if release.since(24, 7) else "Choose an Peer."


def _file(suffix: str) -> Callable[[str, Mapping[str, str]], str]:
    return lambda key, record: f"/usr/local/etc/wireguard/wg{record['instance']}{suffix}" if key else ""


def _device(key: str, record: Mapping[str, str]) -> str:
    return f"wg{record['instance']}" if key else ""


@lru_cache(maxsize=64)
def server_fields(release: Release) -> tuple[Field, ...]:
    """An instance."""
    base64 = checks.encoded("Invalid Base64-encoded string.")
    private = "A private key is required." if release.since(25, 7) else "A private key is required"
    fields = [
        flag("enabled", "1"),
        _name(),
        Field("instance", checks.integer(0, None), required=True),
        Field("pubkey", base64, required=(23, 7) <= release.number < (24, 1, 3)),
        Field("privkey", checks.encoded(private), required=release.since(23, 7)),
        Field("port", checks.port),
        Field("mtu", checks.integer(1, 9300)),
        Field("dns", checks.addresses("Please use valid IPv4 or IPv6 addresses."), shape="list"),
        Field("tunneladdress", checks.networks(mask=False, wildcard=True), shape="list", lower=True),
        flag("disableroutes", "0"),
        Field("gateway", checks.networks(mask=False)),
    ]
    if release.since(23, 7, 5):
        none: Callable[[object, Config], Mapping[str, str]] = lambda _box, _config: {}  # noqa: E731  # no virtual IPs here
        fields.append(Field("carp_depend_on", shape="options", choices=none, unknown=_no_vip, blank="None"))
    fields.append(Field("peers", shape="options", choices=named(CLIENTS), unknown=_no_peer))
    if release.since(25, 7, 6):
        fields.append(flag("debug", "0"))
    fields += [
        Field("cnfFilename", volatile=True, read=_file(".conf")),
        Field("statFilename", volatile=True, read=_file(".stat")),
        Field("interface", volatile=True, read=_device),
    ]
    if release.since(24, 1, 6):
        fields += [Field("endpoint"), Field("peer_dns")]
    return tuple(fields)


@lru_cache(maxsize=64)
def client_fields(release: Release) -> tuple[Field, ...]:
    """A peer, with `servers`, which is a view of the instances' `peers` and stored there."""
    base64 = checks.encoded("Invalid Base64-encoded string.")
    highest = 65535 if release.since(25, 7, 8) else 86400
    names_value = release.since(26, 1)
    fields = [
        flag("enabled", "1"),
        _name(),
        Field("pubkey", base64, required=True),
        Field("psk", base64),
        Field("tunneladdress", checks.networks(mask=release.since(24, 1, 4)), required=True, shape="list", lower=True),
        Field("serveraddress", lambda value: checks.host(value, names_value=names_value)),
        Field("serverport", checks.port),
        Field("keepalive", checks.integer(1, highest, f"Please specify a value between 1 and {highest}.")),
    ]
    if release.since(24, 1, 7):
        fields.insert(-1, Field("endpoint", checks.host_port, volatile=True))
    if release.since(23, 7, 8):
        fields.append(Field("servers", shape="options", choices=named(SERVERS), unknown=option_message, volatile=True))
    return tuple(fields)
