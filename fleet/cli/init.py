"""`fleet init`: a commented inventory, the fleet secret, and a .gitignore, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import keys, scaffold
from ..errors import UsageError
from ..inventory.edit import set_secret_id
from ..secrets import FleetSecret
from .options import of
from .output import say


def command(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="Name of the overlay: letters, digits and hyphens.")] = "acme",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Take routers from a spreadsheet: one row a router, headers in any order.")
    ] = None,
) -> None:
    """Write a first inventory. Never overwrites one."""
    fleet_context = of(context)
    folder = fleet_context.inventory
    if folder.suffix in (".yaml", ".yml"):
        raise UsageError(f"init makes a folder, {folder} names a file", "for example: fleet -i inventory init")
    text = None
    if csv is not None:
        text = scaffold.from_csv(_read(csv), fleet_context.registry.drivers, file=str(csv), overlay_name=name)
    path = scaffold.write_inventory(folder, name, text=text)
    # A secret that is there already stays: this folder may be a clone beside a copied secret.
    secret = FleetSecret.locate(folder) or FleetSecret.create(folder)
    set_secret_id(path, keys.secret_fingerprint(secret))
    say(f"wrote {path}")
    say(f"the fleet secret is in {folder / '.fleet'}: it is in no backup yet; copy it where your team keeps secrets")
    say(f"next: edit {path}, then `fleet -i {folder} check`")


def _read(csv: Path) -> str:
    try:
        return csv.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{csv} is not UTF-8", "save the spreadsheet as CSV UTF-8") from None
    except OSError as error:
        raise UsageError(f"{csv} cannot be read: {error.strerror}", "check the path after --csv") from None
