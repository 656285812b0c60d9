"""What the rows of a router mean: normalised configuration, live facts, and the ids that rendering needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ... import (
    HIDDEN,
    Interface,
    Limits,
    Live,
    Observed,
    Opening,
    Peer,
    PublicKey,
    Route,
    Secret,
    Target,
    sorted_networks,
)
from ...model import IPInterface, IPNetwork, Preshared
from . import guard, leftover, marker, resolve, rights, rules
from .read import ADDRESSES, CLOCK, DEVICE_MODE, INTERFACES, PEERS, RESOURCE, ROUTES, Rows, refuse_old
from .rules import Families, Owned
from .table import Table
from .values import (
    Row,
    is_yes,
    mark_of,
    parse_address,
    parse_clock,
    parse_duration,
    parse_endpoint,
    parse_networks,
    parse_number,
)

HIDDEN_VALUE: Final = "*****"
"""What a secret reads as without policy `sensitive`, and from 7.21 on perhaps with it (sheet 2)."""


UNGUARDED: Final = (
    "the scheduler is not allowed here (/system/device-mode), so the router cannot undo a change by itself: "
    "set a device mode that has `scheduler`"
)


@dataclass(frozen=True, slots=True)
class Native:
    """What rendering needs from the read: rows with their ids, valid until the router reboots (sheet 4), no secrets."""

    overlay: str
    version: tuple[int, ...]
    interfaces: Mapping[str, Row]
    peers: Mapping[tuple[str, str], Row]
    addresses: Mapping[str, tuple[tuple[IPInterface, Row], ...]]
    routes: Mapping[str, tuple[tuple[IPNetwork, Row], ...]]
    tables: Mapping[str, Table]
    owned: Mapping[tuple[str, str], tuple[Owned, ...]]
    schedulers: Mapping[str, Row]
    guards: Mapping[str, tuple[Row, ...]]
    menus: frozenset[str]
    marker: tuple[Row, ...] = ()
    underlay: Families = frozenset({4})

    def allowed(self, interface: str) -> frozenset[IPNetwork]:
        """Every allowed IP of every peer of an interface, parking places and disabled peers included."""
        rows = (row for (name, _key), row in self.peers.items() if name == interface)
        return frozenset(prefix for row in rows for prefix in parse_networks(row.get("allowed-address", "")))


def observed_from(
    rows: Rows, missing: frozenset[str], target: Target, limits: Limits, asked: Rows = MappingProxyType({})
) -> Observed:
    """The normalised configuration, and what the answers `asked` for besides say.

    RouterOS has one view: what is stored is what runs, so `running` is None.

    Objects that are disabled or invalid do not work and are reported as absent (addresses, routes, rules) or disabled
    (interfaces, peers); dynamic ones belong to the router (sheet 4) and are left out. Disabled ones of ours are `leftovers`.
    """
    version = refuse_old(rows[RESOURCE])
    resource = rows[RESOURCE][0]
    native = _native(rows, version, missing, target, rows[marker.MENU])
    stored, notes = {}, []
    for name, row in native.interfaces.items():
        if is_yes(row, "dynamic"):
            continue  # Back To Home's, the router's own
        try:
            stored[name] = _interface(name, native, rows[PEERS])
        except ValueError:
            # Nothing fleet could have made; its neighbours must stay readable.
            notes.append(f"WireGuard interface {name!r} has a name or key that fleet does not use: left alone")
    narrowed = _narrowed(limits, rows, missing)
    if narrowed.guard == "none":
        notes.append(UNGUARDED)
    may = rights.found(target.username, asked) if "rights" in target.asks else rights.Rights()
    return Observed(
        stored=stored,
        live={name: _live(name, interface, rows[PEERS]) for name, interface in stored.items()},
        version=resource.get("version", ""),
        model=resource.get("board-name", ""),
        limits=narrowed,
        marker=marker.seen(native.marker),
        guard=guard.seen(native.guards, rows[CLOCK][0] if rows[CLOCK] else {}),
        connected=_connected(rows, native.interfaces),
        clock=parse_clock(rows[CLOCK][0]) if rows[CLOCK] else None,
        leftovers=tuple(each.says for each in leftover.found(native, target.overlay)),
        rights=may.lacks,
        notes=(*notes, *may.notes),
        native=native,
    )


def _narrowed(limits: Limits, rows: Rows, missing: frozenset[str]) -> Limits:
    # Device mode `home` has no scheduler (sheet 5.3): an entry could neither be added nor run. Safe mode is no substitute: it
    # ends with the session that took it, and a change is proven, and confirmed, on another one (sheet 5.1).
    unscheduled = any(row.get("scheduler") in ("false", "no") for row in rows[DEVICE_MODE])
    if unscheduled or resolve.MENU in missing:
        limits = replace(limits, reresolve=False, guard="none")
    if missing & {ADDRESSES[6], ROUTES[6], rules.FILTER[6]}:
        limits = replace(limits, ipv6=False)
    return limits


def _native(rows: Rows, version: tuple[int, ...], missing: frozenset[str], target: Target, markers: tuple[Row, ...]) -> Native:
    interfaces = {row["name"]: row for row in rows[INTERFACES] if "name" in row}
    tables = {menu: Table(menu, rows[menu], target.overlay) for menu in rules.MENUS}
    owned: dict[tuple[str, str], list[Owned]] = {}
    for table in tables.values():
        for interface, identity, rule in table.owned():
            owned.setdefault((interface, identity), []).append(rule)
    served = ((resolve.ours(row, target.overlay), row) for row in rows[resolve.MENU])
    outside = {4, *(network.version for network in _connected(rows, interfaces))}
    return Native(
        overlay=target.overlay,
        version=version,
        interfaces=interfaces,
        peers=_peer_rows(rows[PEERS]),
        addresses=_address_rows(rows),
        routes=_route_rows(rows),
        tables=tables,
        owned={claim: tuple(each) for claim, each in owned.items()},
        schedulers={interface: row for interface, row in served if interface is not None},
        guards=guard.armed_in(rows[resolve.MENU], target.overlay),
        menus=frozenset(rows) - missing,
        marker=markers,
        underlay=frozenset(outside - ({6} if rules.FILTER[6] in missing else set())),
    )


def _peer_rows(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """By (interface, public key): a key may stand on two interfaces (sheet 3.2). Without the secrets."""
    kept = (".id", "comment", "disabled", "allowed-address", "endpoint-address", "endpoint-port", "persistent-keepalive")
    return {
        (row.get("interface", ""), row.get("public-key", "")): {name: row[name] for name in kept if name in row}
        for row in rows
        if not is_yes(row, "dynamic")
    }


def _address_rows(rows: Rows) -> dict[str, tuple[tuple[IPInterface, Row], ...]]:
    found: dict[str, list[tuple[IPInterface, Row]]] = {}
    for menu in ADDRESSES.values():
        for row in rows[menu]:
            if not is_yes(row, "dynamic") and "address" in row:
                found.setdefault(row.get("interface", ""), []).append((parse_address(row["address"]), row))
    return {name: tuple(each) for name, each in found.items()}


def _route_rows(rows: Rows) -> dict[str, tuple[tuple[IPNetwork, Row], ...]]:
    """Static routes of the main table by gateway: through an interface, the gateway is its name (sheet 4)."""
    found: dict[str, list[tuple[IPNetwork, Row]]] = {}
    for menu in ROUTES.values():
        for row in rows[menu]:
            if is_yes(row, "dynamic") or row.get("routing-table", "main") != "main" or "dst-address" not in row:
                continue
            there = found.setdefault(row.get("gateway", ""), [])
            there += [(prefix, row) for prefix in parse_networks(row["dst-address"])]
    return {name: tuple(each) for name, each in found.items()}


def _connected(rows: Rows, interfaces: Mapping[str, Row]) -> tuple[IPNetwork, ...]:
    """Prefixes outside WireGuard, dynamic ones too (DHCP); not link-local, which every interface has."""
    found = set()
    for menu in ADDRESSES.values():
        for row in rows[menu]:
            if row.get("interface") in interfaces or is_yes(row, "disabled") or is_yes(row, "invalid"):
                continue
            address = parse_address(row.get("address", ""))
            if not address.is_link_local and not address.is_loopback:
                found.add(address.network)
    return tuple(sorted_networks(frozenset(found)))


def _interface(name: str, native: Native, peers: Sequence[Row]) -> Interface:
    """Raises ValueError for a name or key that fleet's model does not hold."""
    row = native.interfaces[name]
    addresses = frozenset(address for address, each in native.addresses.get(name, ()) if _works(each))
    scheduler = native.schedulers.get(name)
    held = [_peer(each) for each in peers if each.get("interface") == name and not is_yes(each, "dynamic")]
    return Interface(
        name,
        public_key=PublicKey(row["public-key"]) if row.get("public-key") else None,
        listen_port=parse_number(row["listen-port"]) if row.get("listen-port") else None,
        mtu=parse_number(row["mtu"]) if row.get("mtu", "auto") != "auto" else None,
        addresses=addresses,
        peers={peer.public_key: peer for peer in held if peer is not None},
        routes={prefix: Route(prefix, mark_of(each)) for prefix, each in reversed(native.routes.get(name, ())) if _works(each)},
        openings=_openings(name, native, rules.own_families(addresses)),
        reresolve=scheduler is not None and resolve.works(scheduler, name),
        disabled=is_yes(row, "disabled"),
        mark=mark_of(row),
    )


def _routes(rows: Sequence[tuple[IPNetwork, Row]]) -> dict[IPNetwork, Route]:
    """By prefix; of two routes to one prefix the marked one, which is the one that may be changed."""
    working = [Route(prefix, mark_of(row)) for prefix, row in rows if _works(row)]
    return {route.prefix: route for route in sorted(working, key=lambda route: route.mark is not None)}


def _works(row: Row) -> bool:
    return not is_yes(row, "disabled") and not is_yes(row, "invalid")


def _openings(name: str, native: Native, families: Families) -> dict[str, Opening]:
    found = {}
    for (interface, identity), owned in native.owned.items():
        if interface == name:
            opening = rules.openings_of(owned, name, identity, families, native.underlay)
            if opening is not None:
                found[identity] = opening
    return found


def _peer(row: Row) -> Peer | None:
    """A peer, None for one whose key is none (RouterOS lets a person save that)."""
    try:
        public_key = PublicKey(row.get("public-key", ""))
    except ValueError:
        return None
    return Peer(
        public_key,
        allowed_ips=parse_networks(row.get("allowed-address", "")),
        endpoint=parse_endpoint(row.get("endpoint-address", ""), row.get("endpoint-port", "")),
        persistent_keepalive=round(parse_duration(row.get("persistent-keepalive") or "0")),
        preshared_key=_preshared(row.get("preshared-key", "")),
        mark=mark_of(row),
        disabled=is_yes(row, "disabled"),
    )


def _preshared(value: str) -> Preshared:
    if value == HIDDEN_VALUE:
        return HIDDEN
    return Secret(value) if value else None


def _live(name: str, interface: Interface, rows: Sequence[Row]) -> dict[PublicKey, Live]:
    found = {}
    for row in rows:
        key = row.get("public-key", "")
        if row.get("interface") == name and key in interface.peers:
            age = row.get("last-handshake")  # absent until the first handshake
            found[PublicKey(key)] = Live(
                handshake_age=parse_duration(age) if age else None,
                received=parse_number(row.get("rx", "0")),
                sent=parse_number(row.get("tx", "0")),
                endpoint=parse_endpoint(row.get("current-endpoint-address", ""), row.get("current-endpoint-port", "")),
            )
    return found
