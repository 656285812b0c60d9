"""Refusals about who owns what: addresses, prefixes, names and keys. Sorting, never every pair: 2,000 routers are usual."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ..model import IPAddress, IPNetwork, Overlay, Router, Where, sorted_networks
from .merge import Merged
from .problems import Problems

NEARLY_FULL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Site:
    """A router with the places of what was said about it."""

    router: Router
    merged: Merged

    @property
    def name(self) -> str:
        """The router's name."""
        return self.router.name

    def place(self, key: str, index: int | None = None) -> Where:
        """Where a key's value, or one item of it, stands."""
        return self.merged.place(key, index)


def seen_from(here: Where, there: Where) -> str:
    """A place as a message at another place says it: `line 28`, or `th.yaml:28` of another file."""
    return f"line {there.line}" if there.file == here.file else str(there)


# --------------------------------------------------------------------------------------------- given only once
_ONLY_ONE: Final = {
    "address": (
        "overlay address",
        "An overlay address belongs to one router: change one, or leave it out to have one allocated.",
    ),
    "public_key": ("public key", "Two routers with one key cannot both be peers: make a new key on one of them."),
    "endpoint": ("endpoint", "One address and port leads to one router: give one of them another port."),
    "formerly": ("former name", "A router was renamed into one router only: remove `formerly` from the other."),
}
"""Keys whose value one router has, what it is called, and what to do when two claim it."""


def refuse_duplicates(sites: Sequence[Site], problems: Problems) -> None:
    """Addresses, public keys, endpoints and former names that two routers claim."""
    for key in _ONLY_ONE:
        _once(key, ((value, site, where) for site in sites for value, where in _claimed(site, key)), problems)
    names = {site.name: site for site in sites}
    for site in sites:
        former = site.router.formerly
        if former in names:
            here = site.place("formerly")
            place = seen_from(here, names[former].router.where)
            other = "itself" if former == site.name else f"a router of this inventory ({place})"
            summary = f"router {site.name}: formerly {former}, which is {other}"
            problems.add(here, summary, "`formerly` is a name that no longer exists")


def _claimed(site: Site, key: str) -> Iterator[tuple[Hashable, Where]]:
    router = site.router
    if key == "address":
        yield from ((address, site.place(key, index)) for index, address in enumerate(router.addresses))
    elif key == "endpoint" and not router.enabled:
        return  # a suspended hub keeps its address and key, and leaves the port to the one that took over
    elif getattr(router, key) is not None:
        yield getattr(router, key), site.place(key)


def _once(key: str, claims: Iterable[tuple[Hashable, Site, Where]], problems: Problems) -> None:
    what, cure = _ONLY_ONE[key]
    first: dict[Hashable, tuple[Site, Where]] = {}
    for value, site, where in claims:
        if value not in first:
            first[value] = (site, where)
            continue
        other, there = first[value]
        whose = "itself" if other is site else f"{other.name} ({seen_from(where, there)})"
        shown_value = "" if key == "public_key" else f" {value}"
        problems.add(where, f"router {site.name} claims {what}{shown_value}, already claimed by {whose}", cure)


# ---------------------------------------------------------------------------------------------------- addresses
def refuse_addresses(overlay: Overlay, sites: Sequence[Site], problems: Problems) -> None:
    """Addresses that no router of this overlay can have, and overlays that are too small."""
    for site in sites:
        for index, address in enumerate(site.router.addresses):
            said = _wrong_address(address, overlay)
            if said:
                problems.add(site.place("address", index), f"router {site.name}: address {address} {said[0]}", said[1])
    for prefix in overlay.prefixes:
        room = capacity(prefix)
        if len(sites) > room:
            problems.add(
                sites[room].router.where,
                f"router {sites[room].name}: overlay {prefix} has {room} addresses for {len(sites)} routers",
                "use a larger prefix around the same addresses",
            )


def _wrong_address(address: IPAddress, overlay: Overlay) -> tuple[str, str] | None:
    prefix = overlay.ipv4 if address.version == 4 else overlay.ipv6
    if prefix is None:
        if not overlay.prefixes:
            return None
        return (
            f"is IPv{address.version}, and the overlay has no ipv{address.version}",
            f"add `ipv{address.version}:` to the overlay",
        )
    if address not in prefix:
        return f"is outside the overlay {prefix}", "choose one inside, or leave it out to have one allocated"
    if address == prefix.network_address:
        return f"is the network address of {prefix}", f"hosts start at {prefix.network_address + 1}"
    if address.version == 4 and address == prefix.broadcast_address:
        return f"is the broadcast address of {prefix}", f"hosts end at {prefix.broadcast_address - 1}"
    return None


def capacity(prefix: IPNetwork) -> int:
    """How many routers an overlay prefix has addresses for: without network and, in IPv4, broadcast address."""
    return prefix.num_addresses - (2 if prefix.version == 4 else 1)


def usage_warnings(overlay: Overlay, sites: Sequence[Site], where: Where) -> Iterator[str]:
    """A sentence for each overlay prefix that is 80 % used."""
    for prefix in overlay.prefixes:
        room = capacity(prefix)
        if len(sites) >= NEARLY_FULL * room:
            yield f"{where}: {len(sites)} of the {room} addresses of {prefix} are used: grow the prefix around them in time"


# ----------------------------------------------------------------------------------------------------- prefixes
@dataclass(frozen=True, slots=True)
class Claim:
    """A prefix that somebody claims, and where."""

    prefix: IPNetwork
    site: Site
    where: Where


def lan_claims(sites: Iterable[Site]) -> list[Claim]:
    """The LANs of all enabled routers, sorted so that what contains comes before what is contained."""
    claims = [
        Claim(prefix, site, site.place("lans", index))
        for site in sites
        if site.router.enabled
        for index, prefix in enumerate(site.router.lans)
    ]
    return sorted(claims, key=lambda claim: (claim.prefix.version, int(claim.prefix.network_address), claim.prefix.prefixlen))


def refuse_lans(overlay: Overlay, claims: Sequence[Claim], problems: Problems) -> None:
    """LANs that overlap each other, the overlay, or that have no address family to travel in."""
    families = {prefix.version for prefix in overlay.prefixes}
    for claim in claims:
        if families and claim.prefix.version not in families:
            problems.add(
                claim.where,
                f"router {claim.site.name}: LAN {claim.prefix} is IPv{claim.prefix.version}, the overlay has no such prefix",
                f"add `ipv{claim.prefix.version}:` to the overlay, or remove the LAN",
            )
        for prefix in overlay.prefixes:
            if _overlap(prefix, claim.prefix):
                problems.add(
                    claim.where,
                    f"router {claim.site.name}: LAN {claim.prefix} overlaps the overlay {prefix}",
                    "LANs and tunnel addresses need prefixes of their own: move the overlay, or correct the LAN",
                )
    for inner, outer in _nested(claims):
        _refuse_overlap(inner, outer, problems)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _nested(claims: Sequence[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Each claim that lies inside an earlier one, with the nearest; prefixes nest or are apart, so a stack will do."""
    stack: list[Claim] = []
    for claim in claims:
        while stack and not _overlap(stack[-1].prefix, claim.prefix):
            stack.pop()
        if stack:
            yield claim, stack[-1]
        stack.append(claim)


def _refuse_overlap(one: Claim, other: Claim, problems: Problems) -> None:
    first, second = sorted((one, other), key=lambda claim: (claim.where.file, claim.where.line, claim.prefix.prefixlen))
    place = seen_from(second.where, first.where)
    if one.site is other.site:
        summary = f"router {one.site.name} claims {second.prefix}, which overlaps its own {first.prefix} ({place})"
        cure = "Keep the larger one."
    elif one.prefix == other.prefix:
        summary = f"router {second.site.name} claims {second.prefix}, already claimed by {first.site.name} ({place})"
        cure = "One prefix has one owner per overlay. Remove it from one of the two."
    else:
        summary = (
            f"router {second.site.name} claims {second.prefix}, which overlaps {first.prefix} of {first.site.name} ({place})"
        )
        cure = "One prefix has one owner per overlay. Correct a length, or renumber one of the two."
    problems.add(second.where, summary, cure)


def refuse_supernets(overlay: Overlay, where: Where, problems: Problems) -> None:
    """Supernets that cannot hold LANs or say the same twice."""
    for supernet in overlay.lan_supernets:
        for prefix in overlay.prefixes:
            if supernet.version == prefix.version and supernet.subnet_of(prefix):  # type: ignore[arg-type]
                problems.add(
                    where,
                    f"overlay: lan_supernets {supernet} lies inside the overlay {prefix}",
                    "no LAN can be there: give the prefixes that hold the LANs",
                )
    ordered = sorted_networks(overlay.lan_supernets)
    for outer, inner in pairwise(ordered):
        if _overlap(outer, inner):
            problems.add(where, f"overlay: lan_supernets {inner} is already in {outer}", "keep the larger one")


def supernet_warnings(overlay: Overlay, claims: Iterable[Claim], where: Where) -> Iterator[str]:
    """Sentences about LANs that every spoke gets one by one because no supernet holds them, and about useless supernets."""
    if not overlay.lan_supernets:
        return
    if overlay.topology == "full-mesh" or overlay.links is not None:
        yield f"{where}: lan_supernets has no use without hub-and-spoke: every pair exchanges its own LANs"
        return
    for claim in claims:
        inside = any(
            claim.prefix.version == supernet.version and claim.prefix.subnet_of(supernet)  # type: ignore[arg-type]
            for supernet in overlay.lan_supernets
        )
        if not inside:
            yield f"{claim.where}: LAN {claim.prefix} of {claim.site.name} is in no lan_supernets: every spoke changes with it"
