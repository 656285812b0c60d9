"""Routing loops: endpoints and jump hosts that the tunnel itself would swallow."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from ..model import IPAddress, IPNetwork, Jump, Overlay
from .claims import Claim, Site
from .problems import Problems


class Inside:
    """Answers which LAN holds an address, by bisection over sorted claims (they do not overlap, or are refused)."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._claims = claims
        self._starts = [(claim.prefix.version, int(claim.prefix.network_address)) for claim in claims]

    def lan(self, address: IPAddress) -> Claim | None:
        """The claim that holds an address."""
        index = bisect_right(self._starts, (address.version, int(address))) - 1
        if index >= 0 and address in self._claims[index].prefix:
            return self._claims[index]
        return None


def refuse_loops(
    overlay: Overlay, sites: Mapping[str, Site], jumps: Mapping[str, Jump], claims: Sequence[Claim], problems: Problems
) -> None:
    """Endpoints and jump hosts that routers must reach outside the tunnel and would send into it."""
    inside = Inside(claims)
    diallers = _diallers(overlay, [site for site in sites.values() if site.router.enabled])
    for site in sites.values():
        address = site.router.endpoint.ip if site.router.endpoint else None
        if address is None or not site.router.enabled:
            continue
        dialling = [other for other in diallers(site) if other is not site]
        supernets = overlay.lan_supernets if _spokes_follow(overlay, dialling) else ()
        swallowed = _swallowed(address, overlay.prefixes, supernets, inside, dialling)
        if swallowed:
            problems.add(
                site.place("endpoint"),
                f"router {site.name}: endpoint {site.router.endpoint} lies in {swallowed}, which peers send into the tunnel",
                "routing loop: give the address that peers reach outside the tunnel, or correct the prefix",
            )
    _refuse_jump_hosts(overlay, sites, jumps, inside, problems)


def _diallers(overlay: Overlay, enabled: Sequence[Site]) -> Callable[[Site], Sequence[Site]]:
    """Who dials a router: of many only as many as it takes to judge, so that a full mesh of thousands stays quick."""
    hubs = [site for site in enabled if site.router.role == "hub"][:3]
    few = [*hubs, *[site for site in enabled if site.router.role != "hub"][:3]]
    beside: dict[str, list[Site]] = {}
    by_name = {site.name: site for site in enabled}
    for pair in overlay.links or ():
        for one, other in (pair, pair[::-1]):
            if other in by_name:
                beside.setdefault(one, []).append(by_name[other])

    def dialling(site: Site) -> Sequence[Site]:
        if site.router.role == "hub" or (overlay.links is None and overlay.topology == "full-mesh"):
            return few
        return hubs if overlay.links is None else [*beside.get(site.name, ()), *hubs]

    return dialling


def _spokes_follow(overlay: Overlay, dialling: Sequence[Site]) -> bool:
    """True if those who dial send whole supernets into the tunnel: spokes of hub-and-spoke do, hubs do not."""
    hub_and_spoke = overlay.links is None and overlay.topology == "hub-and-spoke"
    return hub_and_spoke and any(site.router.role == "spoke" for site in dialling)


def _swallowed(
    address: IPAddress, prefixes: Sequence[IPNetwork], supernets: Sequence[IPNetwork], inside: Inside, dialling: Sequence[Site]
) -> str:
    """What draws packets for an address into the tunnel, empty if nothing does for those who dial it."""
    if not dialling:
        return ""
    for prefix in prefixes:
        if address in prefix:
            return f"the overlay {prefix}"
    lan = inside.lan(address)
    if lan is not None and any(site is not lan.site for site in dialling):
        return f"LAN {lan.prefix} of {lan.site.name} ({lan.where})"
    if lan is None:
        for supernet in supernets:
            if address in supernet:
                return f"lan_supernets {supernet}"
    return ""


def _refuse_jump_hosts(
    overlay: Overlay,
    sites: Mapping[str, Site],
    jumps: Mapping[str, Jump],
    inside: Inside,
    problems: Problems,
) -> None:
    """A jump inside what is reached only through it, or inside what the router behind it sends into the tunnel."""
    users: dict[str, list[Site]] = {}
    for site in sites.values():
        for name in site.router.via:
            users.setdefault(name, []).append(site)
    for name, behind in users.items():
        jump = sites.get(name)
        if jump is not None and jump.router.via:
            continue  # it is reached through a jump itself: its host may lie in the overlay or in a LAN
        hosts = jump.router.hosts if jump is not None else (jumps[name].host,) if name in jumps else ()
        addresses = [address for address in map(_literal, hosts) if address is not None]
        if not addresses or len(addresses) < len(hosts):
            continue  # a name may be anywhere
        where = jump.place("host") if jump is not None else behind[0].place("via")
        # One user of a thousand is enough to refuse, and each is judged in constant time.
        for site in behind:
            reasons = [_jump_lost(address, site, jump, overlay, inside) for address in addresses]
            if all(reasons):
                problems.add(
                    where,
                    f"jump {name}: host {addresses[0]} lies in {reasons[0]}, which {site.name} behind it sends into the tunnel",
                    f"give {name} an address outside the tunnel, or reach {site.name} another way",
                )
                break


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _jump_lost(address: IPAddress, site: Site, jump: Site | None, overlay: Overlay, inside: Inside) -> str:
    """Why a router behind a jump at this address cannot be reached through it, empty if it can."""
    for prefix in overlay.prefixes:
        if address in prefix:
            return f"the overlay {prefix}"
    lan = inside.lan(address)
    if lan is not None and lan.site is site:
        return f"LAN {lan.prefix} of {site.name} ({lan.where})"
    if lan is not None and lan.site is jump:
        return ""  # people in its own LAN log in to it there; what it forwards leaves from its other addresses
    own = [host for host in map(_literal, site.router.hosts) if host is not None]
    underlay = any(inside.lan(host) is None and not any(host in prefix for prefix in overlay.prefixes) for host in own)
    supernets = overlay.lan_supernets if _spokes_follow(overlay, [site]) else ()
    return _swallowed(address, (), supernets, inside, [site]) if underlay else ""
