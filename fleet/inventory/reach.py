"""Refusals about who reaches whom: hubs, links, jumps, and endpoints that the tunnel itself would swallow."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..driver import Driver
from ..model import IPAddress, IPNetwork, Jump, Overlay, Where
from .claims import Claim, Site, seen_from
from .problems import Problems, meant, named


# ---------------------------------------------------------------------------------------------------- topology
def refuse_hubs(sites: Mapping[str, Site], problems: Problems) -> None:
    """`hubs:` that name something that is no hub, or only suspended ones."""
    hubs = [name for name, site in sites.items() if site.router.role == "hub"]
    judged: set[tuple[Where, str]] = set()
    for site in sites.values():
        for index, name in enumerate(site.router.hubs):
            where = site.place("hubs", index)
            subject = site.merged.subject("hubs")
            if (where, name) in judged:
                continue  # a group's value is one problem, not one per member
            judged.add((where, name))
            if name not in sites:
                problems.add(where, f"{subject}: hubs: no router is called {name}", meant(name, hubs) or _hubs_are(hubs))
            elif sites[name].router.role != "hub" and "role" not in sites[name].merged.broken:
                problems.add(
                    where,
                    f"{subject}: hubs: {name} ({seen_from(where, sites[name].router.where)}) is not a hub",
                    f"set `role: hub` on {name}; {_hubs_are(hubs)}",
                )
        known = [sites[name].router for name in site.router.hubs if name in sites]
        if site.router.enabled and known and not any(hub.enabled for hub in known):
            problems.add(
                site.place("hubs"),
                f"router {site.name}: none of its hubs is enabled",
                "name an enabled hub, or leave `hubs` out",
            )


def _hubs_are(hubs: Sequence[str]) -> str:
    return f"hubs are {named(hubs)}" if hubs else "no router has `role: hub`"


def refuse_topology(overlay: Overlay, places: Mapping[str, Where], sites: Mapping[str, Site], problems: Problems) -> None:
    """Pairs that must be peers although neither can dial, and hub-and-spoke without a hub."""
    enabled = [site for site in sites.values() if site.router.enabled]
    if any(site.merged.broken & {"role", "endpoint", "enabled"} for site in sites.values()):
        return  # what could not be read would only look like a missing hub or endpoint
    hubs = [site for site in enabled if site.router.role == "hub"]
    relayed = any(hub.router.endpoint for hub in hubs)
    if overlay.links is not None:
        _refuse_links(overlay.links, places["links"], sites, relayed, problems)
    elif overlay.topology == "full-mesh":
        _refuse_mesh(enabled, relayed, problems)
    elif not hubs:
        suspended = [site.name for site in sites.values() if site.router.role == "hub"]
        also = f" ({named(suspended)} is suspended)" if suspended else ""
        cure = "set `enabled: true` on it" if suspended else "set `role: hub` and `endpoint:` on the router that others dial"
        problems.add(places["topology"], f"overlay: hub-and-spoke without a hub{also}", cure)
    else:
        _refuse_silent_hubs(hubs, enabled, problems)


def _refuse_silent_hubs(hubs: Sequence[Site], enabled: Sequence[Site], problems: Problems) -> None:
    silent = [site for site in enabled if site.router.endpoint is None]
    for hub in hubs:
        others = [site.name for site in silent if site is not hub and _peers_with(site, hub.name)]
        if hub.router.endpoint is None and others:
            problems.add(
                hub.router.where,
                f"hub {hub.name} has no endpoint, and neither has {named(others)}: nobody can dial the other",
                f"add `endpoint: host:port` to {hub.name}, where its routers reach it from outside",
            )


def _peers_with(site: Site, hub: str) -> bool:
    """A hub peers with every hub, a spoke with those under its `hubs:`, which are all of them if it names none."""
    return site.router.role == "hub" or not site.router.hubs or hub in site.router.hubs


def _refuse_mesh(enabled: Sequence[Site], relayed: bool, problems: Problems) -> None:
    silent = [site for site in enabled if site.router.endpoint is None]
    if len(silent) < 2 or relayed:
        return
    pairs = [f"{one.name} and {other.name}" for i, one in enumerate(silent[:9]) for other in silent[i + 1 : 9]]
    pairs += [""] * (len(silent) * (len(silent) - 1) // 2 - len(pairs))
    problems.add(
        silent[1].router.where,
        f"full mesh: neither side of a pair has an endpoint: {named(pairs)}",
        "give one of each pair `endpoint: host:port`, or give a router with an endpoint `role: hub` to relay them",
    )


def _refuse_links(
    links: Sequence[tuple[str, str]], where: Where, sites: Mapping[str, Site], relayed: bool, problems: Problems
) -> None:
    seen: set[frozenset[str]] = set()
    for one, other in links:
        unknown = [name for name in (one, other) if name not in sites]
        for name in unknown:
            problems.add(
                where, f"overlay: links: no router is called {name}", meant(name, sites) or "name routers of this inventory"
            )
        if one == other:
            problems.add(where, f"overlay: links: {one} is linked with itself", "a link joins two routers")
        elif frozenset((one, other)) in seen:
            problems.add(where, f"overlay: links: {one} and {other} are linked twice", "remove one of the two")
        elif not unknown and not relayed and _neither_dials(sites[one], sites[other]):
            problems.add(
                where,
                f"overlay: links: neither {one} nor {other} has an endpoint: nobody can dial the other",
                "give one of them `endpoint: host:port`, or give a router with an endpoint `role: hub` to relay them",
            )
        seen.add(frozenset((one, other)))


def _neither_dials(one: Site, other: Site) -> bool:
    both = (one.router, other.router)
    return all(router.enabled and router.endpoint is None for router in both)


# ------------------------------------------------------------------------------------------------------- jumps
def refuse_via(
    sites: Mapping[str, Site], jumps: Mapping[str, Jump], drivers: Mapping[str, type[Driver]], problems: Problems
) -> None:
    """`via:` that names nothing, a router that cannot forward connections, or leads back to itself."""
    judged: set[tuple[Where, str]] = set()
    for site in sites.values():
        for index, name in enumerate(site.router.via):
            where = site.place("via", index)
            if name in jumps or (name != site.name and (where, name) in judged):
                continue
            judged.add((where, name))
            if name not in sites:
                known = [*jumps, *sites]
                cure = meant(name, known) or "name a router of this inventory, or add it under `jumps:`"
                problems.add(where, f"{site.merged.subject('via')}: via: no router or jump is called {name}", cure)
            elif name == site.name:
                cure = "leave `via` out on the jump itself (`via: []` if a group gives it)"
                problems.add(where, f"router {site.name} is reached via itself", cure)
            else:
                _refuse_no_jump(site, sites[name], where, drivers, problems)
    for circle in _circles(sites):
        where = sites[circle[0]].place("via")
        problems.add(
            where, f"via leads in a circle: {' -> '.join(circle)}", "one of them must be reached directly: remove its `via`"
        )


def _refuse_no_jump(site: Site, jump: Site, where: Where, drivers: Mapping[str, type[Driver]], problems: Problems) -> None:
    driver = drivers.get(jump.router.driver)
    if driver is not None and not driver.jump:
        able = sorted(name for name, each in drivers.items() if each.jump)
        problems.add(
            where,
            f"{site.merged.subject('via')}: via: {jump.name} has driver {driver.name}, which cannot forward connections",
            f"go through a router with driver {' or '.join(able) or '(none installed)'}, or an SSH host under `jumps:`",
        )


def _circles(sites: Mapping[str, Site]) -> Iterator[list[str]]:
    """Each circle of `via` once, as names that begin and end with the same one. Without recursion: chains may be long."""
    done: set[str] = set()
    for start in sites:
        path: list[str] = []
        position: dict[str, int] = {}
        pending: list[tuple[str, Iterator[str]]] = []
        if start not in done:
            pending.append((start, iter(sites[start].router.via)))
            path, position = [start], {start: 0}
        while pending:
            name, rest = pending[-1]
            following = next(rest, None)
            if following is None:
                pending.pop()
                done.add(name)
                path.pop()
                del position[name]
            elif following in position:
                if following != name:  # via itself has a message of its own
                    yield [*path[position[following] :], following]
            elif following in sites and following not in done:
                pending.append((following, iter(sites[following].router.via)))
                position[following] = len(path)
                path.append(following)


# ------------------------------------------------------------------------------------------------ routing loops
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
