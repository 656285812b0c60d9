"""Refusals about who reaches whom: hubs, links, jumps, and endpoints that the tunnel itself would swallow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..driver import Driver
from ..model import Jump, Overlay, Where
from .claims import Site, seen_from
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
