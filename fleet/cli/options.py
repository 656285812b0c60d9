"""Options that several commands share, spelled once."""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

import typer

from .context import Context

Names: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ROUTER]...", help="Routers to make work; their peers are included. Default: all."),
]
Limit: TypeAlias = Annotated[
    str | None, typer.Option("--limit", help="Selection such as 'mumbai,group:branches,!lab', instead of names.")
]
Only: TypeAlias = Annotated[bool, typer.Option("--only", help="Write to the named routers and to no other.")]
BackTo: TypeAlias = Annotated[
    str | None,
    typer.Option("--back-to", metavar="RUN", help="What that run confirmed (`fleet history`), instead of the inventory."),
]
Parallel: TypeAlias = Annotated[int, typer.Option("--parallel", min=1, max=500, help="Routers worked on at once.")]
At: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="NAME=HOST[:PORT]", help="Reach a router there in this run, without its via."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
PendingOk: TypeAlias = Annotated[
    bool, typer.Option("--pending-ok", help="Exit 0 although routers are pending, waiting or not enrolled.")
]


def of(context: typer.Context) -> Context:
    """The command line's own context out of typer's."""
    return cast("Context", context.obj)
