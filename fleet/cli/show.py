"""`fleet show NAME`: what one read of one router says."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from ..driver import Live, Observed
from ..errors import UsageError
from ..model import Interface, sorted_networks
from .context import parse_at
from .options import At, Json, of
from .output import add_row, result, result_json
from .status import ago, size


def command(
    context: typer.Context,
    router: Annotated[str, typer.Argument(metavar="ROUTER", help="The router to read.")],
    at: At = None,
    as_json: Json = False,
) -> None:
    """Show a router's interfaces, peers, routes and openings as it holds them, ours and others'."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    if router not in fleet.routers:
        raise UsageError(f"no router {router!r} in the inventory", "see `fleet check --table` for the names")
    with fleet_context.controller(at=parse_at(at or [], fleet)) as controller:
        if not controller.contactable(router):
            raise UsageError(f"{router} is never contacted: it is suspended or its driver is manual", "see `fleet render`")
        survey = controller.survey([router])
    if router in survey.errors:
        raise survey.errors[router]
    observed = survey.observed()[router]
    if as_json:
        result_json(_json(router, observed))
        return
    result(f"{router}: {observed.model or 'unknown model'}, {observed.version or 'unknown version'}")
    for interface in observed.stored.values():
        running = observed.running.get(interface.name) if observed.running is not None else interface
        _show(interface, observed, live="running" if running is not None else "not running")
    for sentence in (*observed.rights, *observed.notes):
        result(f"note: {sentence}")


def _show(interface: Interface, observed: Observed, *, live: str) -> None:
    owner = f"ours ({interface.mark})" if interface.mark else "not ours"
    addresses = ", ".join(sorted(map(str, interface.addresses))) or "no address"
    result(f"\ninterface {interface.name}: {owner}, {live}")
    result(f"  public key {interface.public_key or 'none'}")
    result(f"  {addresses}, port {interface.listen_port or 'random'}, mtu {interface.mtu or 'default'}")
    table = Table("peer", "allowed IPs", "endpoint", "keepalive", "handshake", "received", "sent", box=None, pad_edge=False)
    for peer in interface.peers.values():
        fact = observed.live.get(interface.name, {}).get(peer.public_key, Live())
        add_row(
            table,
            peer.label + ("" if peer.mark else " (not ours)"),
            ", ".join(map(str, sorted_networks(peer.allowed_ips))) or "none",
            str(peer.endpoint or fact.endpoint or ""),
            f"{peer.persistent_keepalive} s" if peer.persistent_keepalive else "off",
            ago(fact.handshake_age) or "never",
            size(fact.received),
            size(fact.sent),
        )
    result(table)
    if interface.routes:
        result(f"  routes   {', '.join(map(str, sorted_networks(frozenset(interface.routes))))}")
    for _, opening in sorted(interface.openings.items()):
        result(f"  opening  {opening}")


def _json(name: str, observed: Observed) -> dict[str, object]:
    return {
        "command": "show",
        "router": name,
        "model": observed.model,
        "version": observed.version,
        "interfaces": [
            {
                "name": interface.name,
                "mark": str(interface.mark) if interface.mark else None,
                "public_key": str(interface.public_key) if interface.public_key else None,
                "addresses": sorted(map(str, interface.addresses)),
                "listen_port": interface.listen_port,
                "mtu": interface.mtu,
                "running": observed.running is None or interface.name in observed.running,
                "peers": [
                    {
                        "public_key": str(peer.public_key),
                        "mark": str(peer.mark) if peer.mark else None,
                        "allowed_ips": [str(prefix) for prefix in sorted_networks(peer.allowed_ips)],
                        "endpoint": str(peer.endpoint) if peer.endpoint else None,
                        "persistent_keepalive": peer.persistent_keepalive,
                        "preshared_key": peer.preshared_key is not None,
                        **_live(observed.live.get(interface.name, {}).get(peer.public_key, Live())),
                    }
                    for peer in interface.peers.values()
                ],
                "routes": [str(prefix) for prefix in sorted_networks(frozenset(interface.routes))],
                "openings": [str(opening) for _, opening in sorted(interface.openings.items())],
            }
            for interface in observed.stored.values()
        ],
        "notes": [*observed.rights, *observed.notes],
    }


def _live(live: Live) -> dict[str, object]:
    return {
        "handshake_age": live.handshake_age,
        "received": live.received,
        "sent": live.sent,
        "learned_endpoint": str(live.endpoint) if live.endpoint else None,
    }
