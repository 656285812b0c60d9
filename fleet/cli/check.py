"""`fleet check`: validate the inventory offline, show the network or one router's values on a page, or log in once."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from .. import inventory
from ..control import Controller, Survey
from ..errors import UsageError
from ..explain import Explained, explain
from ..model import Fleet
from ..offline import offline_addresses
from ..report import worst
from ..selection import nearest
from .context import Context, parse_at
from .options import At, Json, Parallel, of
from .output import add_row, progress, result, result_json, say

CLOCK_SECONDS = 60.0
"""WireGuard refuses handshakes whose time runs backwards, and logs are useless with a wrong clock."""


def command(
    context: typer.Context,
    table: Annotated[bool, typer.Option("--table", help="Show the network on one page.")] = False,
    login: Annotated[bool, typer.Option("--login", help="Log in to every router once and read it.")] = False,
    explained: Annotated[
        str | None,
        typer.Option("--explain", metavar="ROUTER", help="Show every value of one router and where it comes from."),
    ] = None,
    at: At = None,
    parallel: Parallel = 20,
    as_json: Json = False,
) -> None:
    """Validate the inventory. Without --login nothing is contacted; exit 3 with every problem at once."""
    fleet_context = of(context)
    fleet = fleet_context.fleet
    for warning in fleet.warnings:
        say(f"warning: {warning}")
    if explained is not None:
        _explain(fleet_context, fleet, explained, alone=not (table or login), as_json=as_json)
        return
    if login:
        raise typer.Exit(_login(fleet_context, fleet, at or [], parallel, as_json=as_json))
    rows = _rows(fleet_context, fleet)
    if as_json:
        result_json({"command": "check", "overlay": fleet.overlay.name, "routers": rows, "warnings": list(fleet.warnings)})
        return
    if table:
        result(_table(rows))
    hubs, spokes = len(fleet.hubs), len(fleet.enabled) - len(fleet.hubs)
    suspended = len(fleet.routers) - len(fleet.enabled)
    lans = sum(len(router.lans) for router in fleet.enabled)
    result(
        f"{fleet.overlay.name}: {fleet.overlay.topology}, {hubs} hub{'s' if hubs != 1 else ''}, {spokes} "
        f"spoke{'s' if spokes != 1 else ''}, {lans} LANs"
        + (f", {suspended} suspended" if suspended else "")
        + "; the inventory is valid"
    )


def _explain(context: Context, fleet: Fleet, name: str, *, alone: bool, as_json: bool) -> None:
    if not alone:
        raise UsageError("--explain is a page of its own", "leave --table and --login away")
    if name not in fleet.routers:
        raise UsageError(f"no router {name!r} in the inventory", nearest(name, fleet.routers))
    with context.open_state() as state:
        _, addresses = offline_addresses(fleet, state.facts(fleet.overlay.name))
    driver = context.registry.drivers[fleet.routers[name].driver]
    lines = explain(fleet, name, inventory.provenance(context.inventory, name), driver, addresses[name])
    if as_json:
        keys = [line.to_dict() for line in lines]
        result_json({"command": "check", "overlay": fleet.overlay.name, "router": name, "keys": keys})
    else:
        result(_page(lines))


def _page(lines: list[Explained]) -> Table:
    page = Table("key", "value", "from", "where", box=None, pad_edge=False)
    for line in lines:
        add_row(page, line.key, line.shown(), line.level, str(line.where))
    return page


def _rows(context: Context, fleet: Fleet) -> list[dict[str, object]]:
    with context.open_state() as state:
        facts, addresses = offline_addresses(fleet, state.facts(fleet.overlay.name))
    return [
        {
            "router": router.name,
            "driver": router.driver,
            "role": router.role,
            "enabled": router.enabled,
            "addresses": [str(address) for address in addresses[router.name]],
            "lans": [str(lan) for lan in router.lans],
            "endpoint": str(router.endpoint) if router.endpoint else None,
            "hosts": list(router.hosts),
            "via": list(router.via),
            "enrolled": facts[router.name].public_key is not None,
        }
        for router in fleet.routers.values()
    ]


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(
        "router", "driver", "role", "address", "LANs", "endpoint", "reached at", "via", "key", box=None, pad_edge=False
    )
    for row in rows:
        cells = [row["router"], row["driver"], row["role"], row["addresses"], row["lans"], row["endpoint"] or "dials only"]
        cells += [row["hosts"], row["via"], ("known" if row["enrolled"] else "not made yet") if row["enabled"] else "suspended"]
        add_row(table, *(", ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells))
    return table


def _login(context: Context, fleet: Fleet, at: list[str], parallel: int, *, as_json: bool) -> int:
    emitting = progress(len(fleet.routers), quiet=as_json, verbose=context.verbose)
    with (
        emitting as emit,
        context.controller(parallel=parallel, at=parse_at(at, fleet), emit=emit, need_secret=False) as controller,
    ):
        survey = controller.survey(fleet.routers, asks=("rights",))
        rows = [_read(controller, survey, name) for name in fleet.routers if controller.contactable(name)]
    if as_json:
        result_json({"command": "check", "overlay": fleet.overlay.name, "logins": rows})
    else:
        for row in rows:
            result(_shown(row))
    return worst(int(str(row["exit"])) for row in rows)


def _read(controller: Controller, survey: Survey, name: str) -> dict[str, object]:
    """One router's login: what answered, and what the account lacks with the commands that give it."""
    if name in survey.errors:
        error = survey.errors[name]
        pending = getattr(error, "outcome", "failed") == "pending"
        return {
            "router": name,
            "reached": False,
            "summary": error.summary.removeprefix(f"{name}: "),
            "hint": error.hint,
            "exit": 6 if pending else 1,
        }
    observed = survey.observed()[name]
    said = [*observed.rights, *observed.notes]
    if observed.clock is not None and abs(observed.clock - time.time()) > CLOCK_SECONDS:
        said.append(f"its clock is {observed.clock - time.time():+.0f} s off: set up NTP by address")
    escrow = controller.escrow_note(name, observed)
    if escrow:
        said.append(escrow)
    account = controller.reach.driver(name).account(controller.fleet.routers[name].username or "fleet")
    return {
        "router": name,
        "reached": True,
        "model": observed.model,
        "version": observed.version,
        "notes": said,
        "account": account.splitlines() if observed.rights and account else [],
        "exit": 1 if observed.rights else 0,
    }


def _shown(row: dict[str, object]) -> Text:
    text = Text(f"{row['router']}: ", style="bold")
    if not row["reached"]:
        text.append(str(row["summary"]), style="yellow")
        text.append(f"\n  {row['hint']}", style="dim")
        return text
    text.append(f"{row['model']} {row['version']}: logged in and read", style="green")
    for note in row["notes"]:  # type: ignore[attr-defined]  # a list, see _read
        text.append(f"\n  {note}")
    for command_line in row["account"]:  # type: ignore[attr-defined]  # a list, see _read
        text.append(f"\n    {command_line}", style="cyan")
    return text
