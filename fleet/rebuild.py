"""Facts from the routers themselves: what an empty state reads back out of the marks. Pure.

A hub's peer marked with our overlay says which router it is, its public key, the epoch of that key and, in its allowed IPs, its
overlay address. A router's own marked interface says its key and addresses. The router's own word wins over a hub's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .driver import Observed
from .model import Fact, Fleet, Interface, IPAddress, IPNetwork, Peer, PublicKey


def own_interface(observed: Observed, fleet: Fleet, name: str) -> Interface | None:
    """The router's interface in this overlay: marked, or of the wanted name."""
    overlay, wanted = fleet.overlay.name, fleet.routers[name].interface if name in fleet.routers else fleet.overlay.interface
    for interface in observed.stored.values():
        if interface.mark is not None and interface.mark.overlay == overlay and interface.mark.name == name:
            return interface
    return observed.stored.get(wanted)


def recover(fleet: Fleet, observed: Mapping[str, Observed]) -> dict[str, Fact]:
    """What the marks on these routers say about every router, those that left the inventory included.

    Only marked objects are believed: an unmarked interface is somebody else's until the diff claims it.
    """
    facts: dict[str, Fact] = {}
    for read in observed.values():
        for interface in read.stored.values():
            if interface.mark is None or interface.mark.overlay != fleet.overlay.name:
                continue
            for peer in interface.peers.values():
                if peer.mark is not None and peer.mark.overlay == fleet.overlay.name:
                    facts[peer.mark.name] = _merged(facts.get(peer.mark.name), _from_peer(peer, fleet))
    for name, read in observed.items():
        for interface in read.stored.values():
            if interface.mark is not None and interface.mark.overlay == fleet.overlay.name and interface.mark.name == name:
                facts[name] = _merged(facts.get(name), _from_own(interface, fleet, facts.get(name)))
    return facts


def _from_peer(peer: Peer, fleet: Fleet) -> Fact:
    addresses = tuple(
        network.network_address
        for network in peer.allowed_ips
        if _is_host(network) and _in_overlay(network.network_address, fleet)
    )
    return Fact(peer.public_key, addresses, peer.mark.epoch if peer.mark else 0)


def _from_own(interface: Interface, fleet: Fleet, known: Fact | None) -> Fact:
    addresses = tuple(address.ip for address in interface.addresses if _in_overlay(address.ip, fleet))
    key = interface.public_key if isinstance(interface.public_key, PublicKey) else None
    same = known is not None and known.public_key == key
    return Fact(key, addresses, known.epoch if known is not None and same else interface.mark.epoch if interface.mark else 0)


def _merged(old: Fact | None, new: Fact) -> Fact:
    if old is None:
        return replace(new, addresses=tuple(sorted(new.addresses, key=lambda address: address.version)))
    families = {address.version: address for address in (*old.addresses, *new.addresses)}
    addresses = tuple(families[version] for version in sorted(families))
    return Fact(new.public_key or old.public_key, addresses, new.epoch if new.public_key else old.epoch)


def _is_host(network: IPNetwork) -> bool:
    return network.prefixlen == network.max_prefixlen


def _in_overlay(address: IPAddress, fleet: Fleet) -> bool:
    return any(address.version == prefix.version and address in prefix for prefix in fleet.overlay.prefixes)
