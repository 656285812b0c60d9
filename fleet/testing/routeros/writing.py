"""add, set, remove and their kin of the simulated router (sheet 1.6, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .commands import Account, Answer, Command
from .tables import Table
from .values import Refused

if TYPE_CHECKING:
    from .router import Router


def write(router: Router, account: Account, command: Command, table: Table) -> Answer:
    """Carry out a writing verb. Raises Refused and changes nothing."""
    path, attributes, device = command.path, dict(command.attributes), router.device
    if router.sensitive_to_write and "sensitive" not in account.policies and not attributes.keys().isdisjoint(table.secrets):
        raise Refused("not enough permissions (9)")
    if path == "/interface":
        path, table = _real_menu(router, attributes)
    done: tuple[str, ...] = ()
    if command.verb == "add":
        before = attributes.pop("place-before", None) if table.menu.ordered else None
        done = (f"=ret={device.add(path, attributes, before=before).id}",)
    elif table.menu.single:
        device.set(path, table.rows, attributes)
    else:
        _change(router, command.verb, path, table, attributes)
    router.acted()
    return Answer(done=done)


def _change(router: Router, verb: str, path: str, table: Table, attributes: dict[str, str]) -> None:
    device = router.device
    references = attributes.pop(".id", None) or attributes.pop("numbers", None)
    if not references:
        raise Refused("missing value(s) of argument(s) numbers", 1)
    rows = table.find_all(references)
    if verb == "move":
        destination = attributes.pop("destination", None)
        _no_more(attributes)
        target = None if destination is None else table.find(destination)
        for row in rows:
            table.move(row, target)
        router.changed()
    elif verb == "unset":
        name = attributes.pop("value-name", "")
        _no_more(attributes)
        device.unset(path, rows, name)
    elif verb == "remove":
        _no_more(attributes)
        device.remove(path, rows)
    elif verb in ("enable", "disable"):
        _no_more(attributes)
        device.set(path, rows, {"disabled": "no" if verb == "enable" else "yes"})
    elif verb == "comment":
        device.set(path, rows, {"comment": attributes.pop("comment", "")})
    else:
        device.set(path, rows, attributes)


def _no_more(attributes: Mapping[str, str]) -> None:
    for name in attributes:
        raise Refused(f"unknown parameter {name}")


def _real_menu(router: Router, attributes: Mapping[str, str]) -> tuple[str, Table]:
    """`/interface/set` acts on the menu of that kind of interface; ids are shared between them."""
    found = router.device.interface_row(attributes.get(".id") or attributes.get("numbers") or "")
    if found is None:
        raise Refused("no such item", 0)
    return found[0], router.device.table(found[0])
