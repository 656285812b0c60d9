"""`fleet render`: the wg-quick file of any router, offline."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import overlay
from ..errors import UsageError
from ..model import Secret
from ..offline import offline_addresses, ports
from ..secrets import FleetSecret
from ..wgconf import render_wg_quick
from .context import Context
from .options import of
from .output import say


def command(
    context: typer.Context,
    router: Annotated[str, typer.Argument(metavar="ROUTER", help="The router whose configuration is printed.")],
) -> None:
    """Print a router's configuration as a wg-quick file. Contacts nothing; a private key is never in it."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    if router not in fleet.routers:
        raise UsageError(f"no router {router!r} in the inventory", "see `fleet check --table` for the names")
    with fleet_context.open_state() as state:
        facts = state.facts(fleet.overlay.name)
    facts, addresses = offline_addresses(fleet, facts)
    desired = overlay.desired_state(fleet, facts, addresses, ports(fleet, fleet_context.registry))
    configuration = desired.configuration(router)
    secret = _secret(fleet_context)
    if secret is not None:
        configuration = overlay.resolve_preshared(configuration, secret)
    unknown = desired.missing_peers(router)
    typer.echo(
        "\n".join(render_wg_quick(interface, unknown, preshared=secret is not None) for interface in configuration.values()),
        nl=False,
    )
    for name in (name for name in unknown if name != router):
        say(f"{router}: {name} is not enrolled yet and has no peer in this file; run `fleet sync` first")


def _secret(context: Context) -> Secret | None:
    """The fleet secret if it is at hand and the right one; a rendered file does not need it."""
    secret, wanted = FleetSecret.locate(context.folder), context.fleet.overlay.secret_id
    return secret if secret is not None and (wanted is None or FleetSecret.matches(secret, wanted)) else None
