"""`fleet trust NAME`: accept that a router shows another identity or key than the one that is pinned."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import UsageError
from ..state import Owner, actor, inventory_commit
from ..trust import accept, differences
from .context import parse_at
from .options import At, Json, of
from .output import result, result_json, say


def command(
    context: typer.Context,
    router: Annotated[str, typer.Argument(metavar="ROUTER", help="The router (or jump) that changed.")],
    at: At = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Show the pinned and the present host key, certificate and public key of a router, and pin the present ones."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    if router not in fleet.routers and router not in fleet.jumps:
        raise UsageError(f"no router or jump {router!r} in the inventory", "see `fleet check --table` for the names")
    with fleet_context.controller(at=parse_at(at or [], fleet)) as controller:
        found = differences(controller, router)
        if as_json and not yes:
            result_json({"command": "trust", "router": router, "differences": [difference.to_dict() for difference in found]})
            return
        if not found:
            say(f"{router}: shows exactly what is pinned; nothing to accept")
            return
        if not as_json:
            for difference in found:
                result(f"{router}: {difference.what}\n  pinned {difference.old}\n  now    {difference.new}")
        if not yes and not _agreed(router):
            say("nothing was changed")
            raise typer.Exit(4)
        with controller.state.lock(fleet.overlay.name, Owner.current("trust")):
            run = controller.state.begin_run(fleet.overlay.name, "trust", actor(), inventory_commit(fleet_context.folder), "")
            with run:
                accept(controller, router, found, run)
                run.finish("done", 0)
    if as_json:
        result_json({"command": "trust", "router": router, "differences": [difference.to_dict() for difference in found]})
    say(f"{router}: pinned; run `fleet plan {router}` to see what that means for the others")


def _agreed(router: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody to ask here: standard input is not a terminal", f"review, then `fleet trust {router} --yes`")
    return typer.confirm("Is that the same router, and do you trust what it shows now?", err=True)
