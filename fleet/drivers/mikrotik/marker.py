"""The writer's marker on a hub: an entry of an address list of its own, with a timeout.

RouterOS refuses a second entry of the same list and address (`failure: already have such entry`, manual "REST API"), so of two
writers who read at the same moment one is refused by the router itself. An entry with a timeout is dynamic: it lives in memory,
is in no export, costs no write to flash, runs out by the router's own clock, and is gone after a restart. Adding it needs
policy `write` and nothing else. No rule refers to the list, and the address is one of documentation (RFC 5737).

Renewing sets the timeout of the entry by its `.id`: if somebody else's stands there by now, that id is gone and the router
refuses. Unverified (2026-11): that an entry with a timeout may be set and removed although it is dynamic. Where it may not,
renewing and taking off are refused, and the marker ends with its timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ... import Marker, Words
from .values import Row, parse_duration

MENU: Final = "/ip/firewall/address-list"
ADDRESS: Final = "192.0.2.1"


def list_name(overlay: str) -> str:
    """The list of an overlay's writers; it has one entry at most."""
    return f"fleet-writer-{overlay}"


def question(overlay: str) -> Words:
    """The read: entries of this list only, a hub's other lists may have thousands."""
    return Words(f"{MENU}/print", ((".proplist", ".id,timeout,comment"),), (f"?list={list_name(overlay)}",), reads=True)


def seen(rows: Sequence[Row]) -> Marker | None:
    """Who writes. An entry without timeout was not made by fleet and is over: the next writer replaces it."""
    for row in rows:
        return Marker(row.get("comment", ""), parse_duration(row.get("timeout") or "0"))
    return None


def requests(owner: str, expires: int, overlay: str, rows: Sequence[Row]) -> tuple[Words, ...]:
    """Put the marker on, renew it, or take it off, given the rows of the read. Raises ValueError for no word of one line."""
    if not owner.isprintable():
        raise ValueError(f"not an owner's name: {owner[:60]!r}")
    ids = ",".join(row[".id"] for row in rows)
    removal = (Words(f"{MENU}/remove", ((".id", ids),)),) if rows else ()
    if not owner:
        return removal
    timeout = ("timeout", f"{expires}s")
    if rows and rows[0].get("comment") == owner and rows[0].get("timeout"):
        return (Words(f"{MENU}/set", ((".id", ids), timeout)),)
    lasting = removal if any(not row.get("timeout") for row in rows) else ()
    entry = (("list", list_name(overlay)), ("address", ADDRESS), timeout, ("comment", owner))
    return (*lasting, Words(f"{MENU}/add", entry))
