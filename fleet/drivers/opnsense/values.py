"""OPNsense's spelling of values, both ways (sheet 2)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from ... import Mark, Unparseable
from ...model import NAME_PATTERN, Endpoint, IPInterface, IPNetwork, Secret, sorted_networks
from ...ours import in_order

Record: TypeAlias = Mapping[str, Any]

LONGEST_NAME: Final = 64
"""Characters of the name of an instance or a peer (sheet 2.2)."""

DEFAULT_PORT: Final = 51820
"""What is dialled when a peer has an address and no port (sheet 2.3)."""

_DOTTED: Final = re.compile(rf"(?<![\w-])fleet\.({NAME_PATTERN})\.({NAME_PATTERN})(?:\.(\d{{1,9}}))?(?![\w-])")
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_OID, "fleet/opnsense")


def dotted(mark: Mark) -> str:
    """A mark as a name: names may hold no colon (sheet 2.2)."""
    return str(mark).replace(":", ".")


def mark_in(name: str) -> Mark | None:
    """The mark inside a name, with dots for the colons."""
    found = _DOTTED.search(name)
    return Mark(found[1], found[2], int(found[3] or 0)) if found else None


def named(mark: Mark, before: str = "") -> str:
    """A name with this mark; what a person wrote before it is kept where there is room."""
    if _DOTTED.search(before):
        kept = _DOTTED.sub(lambda _: dotted(mark), before, count=1)
    else:
        kept = f"{before}.{dotted(mark)}" if before else dotted(mark)
    return kept if len(kept) <= LONGEST_NAME else dotted(mark)


def own_uuid(*parts: str) -> str:
    """The uuid of a record that fleet makes: the same whenever it is made, so that making it twice is making it once."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def text(record: Record, name: str) -> str:
    """A scalar, empty where the release does not have it."""
    value = record.get(name, "")
    if not isinstance(value, str | int):
        raise Unparseable(f"{name} of a WireGuard record is no text", str(type(value).__name__))
    return str(value)


def chosen(value: object) -> tuple[str, ...]:
    """What is selected in an option object, in its order; an empty one is a list, and `selected` may be text (sheet 2.4)."""
    if isinstance(value, str):
        return tuple(part for part in value.split(",") if part)
    if not isinstance(value, Mapping):
        return ()
    return tuple(
        name for name, option in value.items() if name and isinstance(option, Mapping) and int(option.get("selected") or 0)
    )


def networks(names: Iterable[str]) -> frozenset[IPNetwork]:
    """AllowedIPs; host bits are allowed there, and a missing mask in old releases. Raises Unparseable."""
    try:
        return frozenset(ipaddress.ip_network(name, strict=False) for name in names)
    except ValueError as error:
        raise Unparseable("the addresses of a peer are none", str(error)) from None


def interfaces(names: Iterable[str]) -> frozenset[IPInterface]:
    """Tunnel addresses; what is none (`any` passes validation, sheet 2.2) is left out."""
    found = set()
    for name in names:
        try:
            found.add(ipaddress.ip_interface(name))
        except ValueError:
            continue
    return frozenset(found)


def endpoint(host: str, port: str) -> Endpoint | None:
    """Where a peer is dialled, None if it is not. Raises Unparseable."""
    if not host:
        return None
    try:
        return Endpoint(host, int(port) if port else DEFAULT_PORT)
    except ValueError as error:
        raise Unparseable("the endpoint of a peer is none", str(error)) from None


def joined(prefixes: Iterable[IPNetwork]) -> str:
    """A list as it is posted: commas, and no blanks, which would make it invalid (sheet 2.1)."""
    return ",".join(map(str, sorted_networks(frozenset(prefixes))))


def joined_addresses(addresses: Iterable[IPInterface]) -> str:
    """Tunnel addresses as they are posted, always with a mask (sheet 2.2)."""
    return ",".join(map(str, in_order(addresses)))


def whole_key(value: Secret) -> bool:
    """True for 32 bytes: any base64 is taken, and a short one keeps every change of the instance away (sheet 6)."""
    try:
        return len(base64.b64decode(value.reveal(), validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def number(value: object) -> int | None:
    """A whole number, None if there is none."""
    return int(str(value)) if str(value).isascii() and str(value).isdigit() else None
