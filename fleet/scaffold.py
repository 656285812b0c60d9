"""What `fleet init` writes: a commented inventory, and one made from the spreadsheet that every NOC has."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .driver import Driver
from .errors import InventoryError, Problem, UsageError
from .inventory import flow, load_text
from .inventory.build import ALIKE
from .inventory.identities import secret_reference
from .inventory.problems import Problems, Refused, shown
from .inventory.values import slug
from .model import NAME_PATTERN, Where

FILE_NAME: Final = "fleet.yaml"
MAX_ROWS: Final = 25_000

_TEMPLATE: Final = """\
# The inventory of {overlay}: one overlay, the routers in it, and how each is logged in to.
# Check it with `fleet check`; what would change, `fleet plan`; make it so, `fleet sync`.

overlay:
  name: {overlay}
  interface: wg0
  ipv4: {ipv4}              # tunnel addresses, one per router; choose a range that no LAN uses
  # ipv6: fd10:100::/64
  topology: hub-and-spoke           # or full-mesh
  # lan_supernets: [192.168.0.0/16] # prefixes that hold all LANs, now and later: a new branch then changes only the hubs
  listen_port: 51820
  mtu: 1420
  persistent_keepalive: 25
  preshared_keys: true

# What all routers have in common. A secret is never written here, only where it is:
# env:NAME, file:PATH, cmd:COMMAND or keyring:SERVICE/USER. {{name}} is the router's name.
defaults:
  username: fleet
  # ssh_key: "file:~/.ssh/fleet"

# What some have in common. Nearer wins: router, its groups in order, defaults, overlay.
groups:
  branches:
    role: spoke
    # via: hq                       # log in through the hub, which reaches every branch through the tunnel
    # password: "cmd:pass fleet/{{name}}"

{routers}"""

_EXAMPLE_ROUTERS: Final = """\
# `endpoint` is where other routers dial it from outside; a branch behind carrier-grade NAT has none and dials itself.
# The addresses below are documentation addresses: put yours in their place.
routers:
  hq:
    driver: wg-quick
    role: hub
    host: 198.51.100.10
    endpoint: "vpn.example.com:51820"
    lans: [192.168.1.0/24]
  # mumbai: {driver: mikrotik, groups: [branches], lans: [192.168.20.0/24]}
"""


def write_inventory(folder: Path, overlay_name: str = "acme", *, ipv4: str = "10.100.0.0/20", text: str | None = None) -> Path:
    """Write a commented inventory and a `.gitignore` that holds `.fleet/` into a folder; returns the inventory's path.

    `text` is a whole inventory as `from_csv` makes it, written in place of the commented example. An existing inventory is
    never touched. Raises UsageError for it, for a name that cannot be an overlay's, and for a folder that cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, overlay_name):
        raise UsageError(f"{shown(overlay_name)} is not a name for an overlay", "use a-z, 0-9 and -, a letter first")
    text = text or _TEMPLATE.format(overlay=overlay_name, ipv4=ipv4, routers=_EXAMPLE_ROUTERS)
    target = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(each.name for each in folder.glob("*.yaml") if not each.name.startswith("example-"))
        if others:
            raise UsageError(f"{folder} already holds {others[0]}", "edit it, or name another folder with -i")
        with open(target, "x", encoding="utf-8") as stream:
            stream.write(text)
        _ignore(folder / ".gitignore")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", "name a folder of yours with -i") from None
    return target


def _ignore(file: Path) -> None:
    """Make sure that git ignores the folder of state and secret; what else the file says stays."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if ".fleet/" not in before.split():
        lead = before if not before or before.endswith("\n") else before + "\n"
        temporary = file.with_name(f"{file.name}.new")
        temporary.write_text(f"{lead}.fleet/\n", encoding="utf-8")
        os.replace(temporary, file)


# ----------------------------------------------------------------------------------------------- from a spreadsheet
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "site", "router", "hostname", "sitename", "branch", "location", "device", "devicename"),
    "driver": ("driver", "vendor", "type", "os", "platform", "make", "manufacturer", "devicetype"),
    "role": ("role",),
    "host": ("host", "ip", "managementip", "mgmtip", "mgmt", "management", "ipaddress", "managementaddress", "managementhost"),
    "port": ("port", "managementport", "sshport"),
    "via": ("via", "jump", "jumphost", "proxy"),
    "username": ("username", "user", "login"),
    "password": ("password", "pass", "secret", "passwd"),
    "ssh_key": ("sshkey", "keyfile", "identityfile"),
    "endpoint": ("endpoint", "publicip", "wanip", "publicaddress", "wan", "publicendpoint", "external", "externalip"),
    "address": ("address", "overlayaddress", "tunnelip", "tunneladdress", "vpnip", "overlayip"),
    "lans": ("lan", "lans", "subnet", "subnets", "network", "networks", "lansubnet", "lannetwork", "prefix", "prefixes"),
    "listen_port": ("listenport", "wgport", "wireguardport"),
    "mtu": ("mtu",),
    "groups": ("group", "groups"),
    "hubs": ("hubs", "hub"),
    "public_key": ("publickey", "wgkey", "pubkey"),
    "enabled": ("enabled", "active"),
}
"""Which headers mean which key, compared without case, spaces, dots, dashes and underscores."""
_LISTS: Final = ("lans", "groups", "hubs", "via", "host", "address")


@dataclass(slots=True)
class _Row:
    line: int
    name: str
    keys: dict[str, object] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def from_csv(
    text: str,
    drivers: Mapping[str, type[Driver]],
    *,
    file: str = "CSV",
    overlay_name: str = "acme",
    ipv4: str = "10.100.0.0/20",
) -> str:
    """A whole inventory as YAML text, from a table with one router per row; it loads.

    The first row names the columns (`COLUMNS`, in any order and case); others become labels. Separators are comma,
    semicolon or tab; several LANs in a cell are separated by space or semicolon. Raises InventoryError with the CSV's own
    line for every problem, those of the inventory as a whole included.
    """
    problems = Problems()
    rows = _rows(text.removeprefix("\ufeff"), file, problems)
    _settle_roles(rows, file, problems)
    problems.raise_any()
    lines = ["overlay:", f"  name: {flow(overlay_name)}", f"  ipv4: {flow(ipv4)}", "  topology: hub-and-spoke", "", "defaults:"]
    lines += ["  username: fleet", "", *_group_lines(rows), "routers:"]
    places: dict[int, int] = {}
    for row in rows:
        keys = {**row.keys, **({"labels": row.labels} if row.labels else {})}
        lines.append(f"  {row.name}: {flow(keys)}")
        places[len(lines)] = row.line
    written = "\n".join([f"# Made from {file if file.isprintable() else repr(file)}.", *lines]) + "\n"
    _judge(written, drivers, file, {line + 1: row for line, row in places.items()})
    return written


def _group_lines(rows: list[_Row]) -> list[str]:
    names = {name for row in rows for name in _as_list(row.keys.get("groups"))}
    return ["groups:", *(f"  {name}: {{}}" for name in sorted(names)), ""] if names else []


def _as_list(value: object) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _judge(written: str, drivers: Mapping[str, type[Driver]], file: str, places: Mapping[int, int]) -> None:
    """Load what was written; what is wrong with it is wrong in the spreadsheet, so say it there."""
    try:
        load_text(written, drivers, file)
    except InventoryError as error:

        def in_csv(found: re.Match[str]) -> str:
            return f"line {places.get(int(found[1]), 1)}"

        raise InventoryError(
            [
                Problem(problem.file, places.get(problem.line, 1), re.sub(r"line (\d+)", in_csv, problem.summary), problem.cure)
                for problem in error.problems
            ]
        ) from None


def _rows(text: str, file: str, problems: Problems) -> list[_Row]:
    """Every row as keys and labels; a row with a problem is left out and reported."""
    if "\0" in text:
        problems.add(Where(file, 1), "a NUL byte: this is not CSV", "save the sheet as CSV in UTF-8")
        return []
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[_Row] = []
    try:
        header = next(reader, [])
        columns = _columns(header, file, problems)
        seen: dict[str, int] = {}
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells) and columns:
                row = _row(cells, columns, Where(file, line), problems)
                if row is not None and _new_name(row, seen, file, problems):
                    rows.append(row)
            line = reader.line_num + 1
            if len(rows) > MAX_ROWS:
                problems.add(Where(file, line), f"more than {MAX_ROWS:,} rows", "split the sheet into several overlays")
                break
    except csv.Error as error:
        problems.add(Where(file, reader.line_num), f"not CSV: {error}", "save the sheet as CSV again")
    if not rows and not problems:
        problems.add(Where(file, 1), "no rows below the header", "one row per router: name, driver, host, lan, role, endpoint")
    return rows


def _new_name(row: _Row, seen: dict[str, int], file: str, problems: Problems) -> bool:
    if row.name in seen:
        cure = "give one of them another name; case, spaces and signs do not tell names apart"
        problems.add(Where(file, row.line), f"router {row.name} is also in line {seen[row.name]}", cure)
        return False
    seen[row.name] = row.line
    return True


def _columns(header: list[str], file: str, problems: Problems) -> list[tuple[str, bool]]:
    """For every column its key and True, or the word of its label and False."""
    meaning = {word: key for key, words in COLUMNS.items() for word in words}
    columns: list[tuple[str, bool]] = []
    for title in header:
        key = meaning.get(re.sub(r"[^a-z0-9]+", "", title.lower()), "")
        if key and (key, True) not in columns:
            columns.append((key, True))
        else:
            columns.append((slug(title).replace("-", "_"), False))
    for needed in ("name", "driver"):
        if (needed, True) not in columns:
            cure = f"add a column {' or '.join(COLUMNS[needed][:3])} to the first row"
            problems.add(Where(file, 1), f"no column says the {needed} of a router", cure)
    return columns if not problems else []


def _row(cells: list[str], columns: list[tuple[str, bool]], where: Where, problems: Problems) -> _Row | None:
    row = _Row(where.line, "")
    if any(cell.strip() for cell in cells[len(columns) :]):
        problems.add(where, "more cells than the header has columns", "put quotes around a cell that holds the separator")
        return None
    for (key, known), cell in zip(columns, cells, strict=False):
        value = cell.strip()
        if not value:
            continue
        if not value.isprintable():
            problems.add(where, f"invisible characters in {key or 'a column'}: {shown(value)}", "retype the cell")
        elif not known:
            if key:
                row.labels[key] = value
        else:
            _put(row, key, value, where, problems)
    if not row.name:
        if "name" not in row.keys:
            problems.add(where, "this row has no name", "give the router a name, or delete the row")
        return None
    return row


def _put(row: _Row, key: str, value: str, where: Where, problems: Problems) -> None:
    if key == "name":
        row.name = slug(value)
        if not row.name:
            problems.add(where, f"{shown(value)} cannot become a router's name", "use letters a-z, digits and -")
            row.keys["name"] = ""  # reported; not also as missing
        elif row.name != value:
            row.labels["site"] = value
    elif key in ("password", "ssh_key"):
        try:
            row.keys[key] = value if key == "ssh_key" else secret_reference(value)
        except Refused as refusal:
            problems.refused(where, refusal, f"column {key}")
    elif key == "driver":
        row.keys[key] = _driver_word(value)
    elif key in _LISTS:
        items = [item for item in re.split(r"[;,\s]+", value) if item]
        row.keys[key] = items if key in ("lans", "groups", "hubs") or len(items) > 1 else items[0]
    elif key == "endpoint":
        row.keys[key] = value if re.search(r"(^[^:]*|\]):[0-9]+$", value) else _with_port(value)
    elif key == "role":
        row.keys[key] = "hub" if value.lower() in ("hub", "hq", "main", "head office") else _spoke_word(value)
    else:
        row.keys[key] = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value


def _spoke_word(value: str) -> str:
    return "spoke" if value.lower() in ("spoke", "branch", "remote", "site") else value.lower()


def _with_port(value: str) -> str:
    return f"[{value}]:51820" if value.count(":") > 1 and not value.startswith("[") else f"{value}:51820"


def _driver_word(value: str) -> str:
    """`MikroTik hAP ax3` -> mikrotik: the first word that names a vendor, else the cell as it is."""
    words: list[str] = [value.lower(), *re.findall(r"[a-z0-9-]+", value.lower())]
    known = {"mikrotik", "openwrt", "opnsense", "edgeos", "omada", "wg-quick", "manual"}
    for word in words:
        if word in known or word in ALIKE:
            return ALIKE.get(word, word)
    return value.lower()


def _settle_roles(rows: list[_Row], file: str, problems: Problems) -> None:
    """Without a column for it, the only router that others can dial is the hub."""
    if not rows or any("role" in row.keys for row in rows):
        return
    dialled = [row for row in rows if "endpoint" in row.keys]
    if len(dialled) == 1:
        dialled[0].keys["role"] = "hub"
    else:
        seen = f"{len(dialled)} rows have an endpoint" if dialled else "no row has an endpoint"
        cure = "add a column `role` and write hub beside the router that others dial, and its `endpoint`"
        problems.add(Where(file, 1), f"no row says which router is the hub, and {seen}", cure)


def column_help() -> Iterator[str]:
    """Lines that say which headers mean which key, for `fleet init --help` and the documentation."""
    for key, words in COLUMNS.items():
        yield f"{key}: {', '.join(words)}"
