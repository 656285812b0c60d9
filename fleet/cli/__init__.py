"""`fleet`: one module per command; arguments, output and exit codes here, logic elsewhere."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from ..errors import FleetError
from .context import INTERRUPTED, Context, report_error

COMMANDS = ("init", "check", "plan", "sync", "status", "show", "render", "trust", "history", "drivers")

app = typer.Typer(
    name="fleet",
    help="Agentless control plane for WireGuard site-to-site networks of mixed routers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


@app.callback()
def root(
    context: typer.Context,
    inventory: Annotated[
        Path, typer.Option("-i", "--inventory", envvar="FLEET_INVENTORY", help="Inventory: a file, or a directory of YAML.")
    ] = Path("inventory"),
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            envvar="FLEET_STATE",
            help="SQLite file or postgresql:// URL; default in .fleet/ beside the inventory.",
        ),
    ] = None,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv adds tracebacks.")] = 0,
) -> None:
    """Options that come before the command."""
    context.obj = Context(inventory=inventory, state_url=state, verbose=verbose)


for _name in COMMANDS:
    app.command(name=_name)(import_module(f".{_name}", __name__).command)


def main() -> None:
    """Run the command line; every expected error is two lines and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show must not end the run
    try:
        # Without standalone mode an Exit comes back as the return value.
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            code = report_error(KeyboardInterrupt())  # typer made an exit of it, without a word
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the outermost frame decides what a person sees of any error
        code = report_error(error)
    sys.exit(code or 0)


__all__ = ["FleetError", "app", "main"]
