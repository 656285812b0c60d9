"""Where peers are parked on vendors that demand an allowed IP. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Set as AbstractSet

from .model import PARKING, IPNetwork, PublicKey


def parking_place(key: PublicKey, taken: AbstractSet[IPNetwork] = frozenset()) -> IPNetwork:
    """The /32 of 198.18.0.0/15 where the peer with this key is parked: by its hash, the next one that is not `taken`."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    while True:
        place = ipaddress.ip_network((int(PARKING.network_address) + number % PARKING.num_addresses, 32))
        if place not in taken:
            return place
        number += 1
