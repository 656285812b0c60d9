"""A checked document -> Fleet: build every router, judge them together, then either the fleet or all problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..driver import Driver
from ..model import Fleet, Jump, Overlay, Where
from .build import jump_of, overlay_of, router_of
from .claims import (
    Claim,
    Site,
    lan_claims,
    refuse_addresses,
    refuse_duplicates,
    refuse_lans,
    refuse_supernets,
    seen_from,
    supernet_warnings,
    usage_warnings,
)
from .document import Document
from .loops import refuse_loops
from .merge import merged
from .problems import Problems
from .reach import refuse_hubs, refuse_topology, refuse_via


def assemble(document: Document, drivers: Mapping[str, type[Driver]], problems: Problems) -> Fleet:
    """The fleet of a document. Raises InventoryError with every problem found in any stage."""
    overlay = overlay_of(document, problems)
    found = {name: jump_of(entry, problems) for name, entry in document.jumps.items()}
    jumps = {name: jump for name, jump in found.items() if jump is not None}
    sites: dict[str, Site] = {}
    for name, entry in document.routers.items():
        inherited = merged(entry, document, problems)
        sites[name] = Site(router_of(inherited, drivers, problems), inherited)
    if not document.routers:
        problems.add(document.where, "there are no routers", "add `routers:`; inventory/README.md shows how one looks")
    claims = lan_claims(sites.values())
    places = _overlay_places(document)
    _judge(document, overlay, sites, jumps, claims, drivers, places, problems)
    problems.raise_any()
    return Fleet(
        overlay=overlay,
        routers={name: site.router for name, site in sites.items()},
        jumps=jumps,
        warnings=tuple(_warnings(overlay, list(sites.values()), claims, drivers, places)),
        folder=document.folder,
    )


def _overlay_places(document: Document) -> dict[str, Where]:
    """Where each key of the overlay stands; its own place for those not given."""
    keys = ("ipv4", "ipv6", "topology", "links", "lan_supernets", "mtu")
    given = document.overlay.given
    return {key: given[key].node.where if key in given else document.overlay.where for key in keys}


def _judge(
    document: Document,
    overlay: Overlay,
    sites: Mapping[str, Site],
    jumps: Mapping[str, Jump],
    claims: Sequence[Claim],
    drivers: Mapping[str, type[Driver]],
    places: Mapping[str, Where],
    problems: Problems,
) -> None:
    _refuse_one_name(document, sites, problems)
    everyone = list(sites.values())
    refuse_duplicates(everyone, problems)
    refuse_addresses(overlay, everyone, problems)
    refuse_lans(overlay, claims, problems)
    refuse_supernets(overlay, places["lan_supernets"], problems)
    refuse_hubs(sites, problems)
    if document.routers and not document.overlay.broken & {"topology", "links"}:
        refuse_topology(overlay, places, sites, problems)
    refuse_via(sites, {**jumps, **dict.fromkeys(document.jumps.keys() - jumps.keys(), Jump("", ""))}, drivers, problems)
    refuse_loops(overlay, sites, jumps, claims, problems)
    for site in everyone:
        if site.router.pin_endpoint and site.router.endpoint is None and "endpoint" not in site.merged.broken:
            where = site.place("pin_endpoint")
            problems.add(
                where, f"router {site.name}: pin_endpoint without an endpoint", "add `endpoint:`, or remove `pin_endpoint`"
            )


def _refuse_one_name(document: Document, sites: Mapping[str, Site], problems: Problems) -> None:
    for name, entry in document.jumps.items():
        if name in sites:
            other = seen_from(entry.where, sites[name].router.where)
            cure = "`via:` could mean either: rename the jump, or use the router as the jump"
            problems.add(entry.where, f"jump {name} has the name of a router ({other})", cure)


def _warnings(
    overlay: Overlay,
    sites: Sequence[Site],
    claims: Sequence[Claim],
    drivers: Mapping[str, type[Driver]],
    places: Mapping[str, Where],
) -> Iterator[str]:
    """What `check` says although the inventory can be used."""
    key = "ipv4" if overlay.ipv4 is not None else "ipv6"
    yield from usage_warnings(overlay, sites, places[key])
    yield from supernet_warnings(overlay, claims, places["lan_supernets"])
    linked = {name for pair in overlay.links or () for name in pair}
    for site in sites:
        router = site.router
        if not router.enabled:
            continue
        if overlay.ipv6 is not None and router.mtu < 1280:
            yield f"{site.place('mtu')}: {site.name} has MTU {router.mtu}: IPv6 needs 1280 and will not work in its tunnel"
        if drivers[router.driver].transport == "" and router.public_key is None:
            yield f"{router.where}: {site.name} is never logged in to and has no public_key: it gets no peers until it has one"
        if router.endpoint is None and router.persistent_keepalive == 0:
            yield f"{site.place('persistent_keepalive')}: {site.name} only dials, with keepalive 0: not reached behind NAT"
        if overlay.links is not None and site.name not in linked:
            yield f"{router.where}: {site.name} is in no link and will have no peer"
