"""The state of one simulated router and the checks every write goes through. No sockets, no sessions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, Literal

from ..ether import Clock
from .menus import MENUS
from .schema import Field, version
from .tables import Numbers, Row, Table
from .values import Refused, no_match

INTERFACE_MENUS: Final = ("/interface/ethernet", "/interface/bridge", "/interface/wireguard")
REFERENCES: Final = {
    "/interface/wireguard/peers": ("interface",),
    "/interface/list/member": ("interface",),
    "/ip/address": ("interface", "actual-interface"),
    "/ipv6/address": ("interface", "actual-interface"),
    "/ip/route": ("gateway", "immediate-gw"),
    "/ipv6/route": ("gateway", "immediate-gw"),
    **{
        f"/{family}/firewall/{kind}": ("in-interface", "out-interface")
        for family in ("ip", "ipv6")
        for kind in ("filter", "nat", "mangle")
    },
}
"""Where interfaces are referred to by name."""


class Behaviour:
    """What one menu does beyond storing fields. Every method may raise Refused before anything is changed."""

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Complete and check the fields of a new row."""

    def added(self, device: Device, row: Row) -> None:
        """A row is there now."""

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """Check and complete the whole new fields of an existing row."""

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """A row differs now."""

    def removing(self, device: Device, row: Row) -> None:
        """Check a removal."""

    def removed(self, device: Device, row: Row) -> None:
        """A row is gone."""

    def changeable(self, device: Device, row: Row) -> None:
        """Raises Refused for a row that cannot be set, unset or removed."""
        refuse_dynamic(row)

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Properties computed when printed; None takes a stored one away."""
        return {}


PLAIN: Final = Behaviour()


class Device:
    """Tables of one router of one RouterOS release.

    `resolves`: when a peer's endpoint that is a name is looked up. RouterOS's timing is unverified (sheet 3.2): "always" at
    every handshake; "set" only when the peer is added, set, enabled or the router boots, which needs an entry that sets it.
    """

    def __init__(self, name: str, release: str, clock: Clock, behaviours: Mapping[str, Behaviour], seed: int | None) -> None:
        self.name = name
        self.release = release
        self.version = version(release)
        self.clock = clock
        self.random = random.Random(seed)
        self.unique_keys = "interface"
        self.overlap = "refuse"
        self.resolves: Literal["always", "set"] = "always"
        self.resolved: dict[int, str] = {}
        self._behaviours = behaviours
        shared: dict[str, Numbers] = {}
        self._tables: dict[str, Table] = {}
        for path, menu in MENUS.items():
            if menu.since <= self.version:
                numbers = shared.setdefault(menu.ids or path, Numbers())
                self._tables[path] = Table(menu, self.version, numbers)

    def table(self, path: str) -> Table:
        """A menu's rows. Raises Refused where this release has no such menu."""
        table = self._tables.get(path)
        if table is None:
            raise Refused("no such command prefix", 0)
        return table

    def tables(self) -> Mapping[str, Table]:
        """All menus of this release."""
        return self._tables

    def behaviour(self, path: str) -> Behaviour:
        """What a menu does beyond storing."""
        return self._behaviours.get(path, PLAIN)

    # --- interfaces ----------------------------------------------------------------------------------------------------

    def interfaces(self) -> list[tuple[str, Row]]:
        """(menu, row) of every interface, in the order of their ids."""
        found = [(path, row) for path in INTERFACE_MENUS for row in list(self._tables[path].rows)]
        return sorted(found, key=lambda entry: entry[1].number)

    def interface_row(self, reference: str) -> tuple[str, Row] | None:
        """An interface by name or id."""
        for path in INTERFACE_MENUS:
            for row in self._tables[path].rows:
                if reference in (row.fields["name"], row.id):
                    return path, row
        return None

    def interface_name(self, reference: str) -> str | None:
        """The name of an interface given by name or id, None if there is none."""
        found = self.interface_row(reference)
        return None if found is None else found[1].fields["name"]

    def rename_references(self, old: str, new: str) -> None:
        """Everything that names interface `old` shows `new`: a new name, or the bare id after a removal (unverified)."""
        for path, names in REFERENCES.items():
            for row in self._tables[path].rows:
                for name in names:
                    value = row.fields.get(name)
                    if value in (old, f"!{old}"):
                        row.fields[name] = value.replace(old, new)

    # --- writing -------------------------------------------------------------------------------------------------------

    def parsed(self, table: Table, given: Mapping[str, str]) -> dict[str, str]:
        """Reply forms of the arguments. Raises Refused for unknown, read-only and unreadable ones."""
        fields: dict[str, str] = {}
        for name, value in given.items():
            field = table.settable.get(name)
            if field is None:
                raise Refused(f"unknown parameter {name}")
            fields[name] = field.parse(value, name, self)
        return fields

    def add(self, path: str, given: Mapping[str, str], *, before: str | None = None, **forced: str) -> Row:
        """A new row as `add` makes it; `forced` fields skip the parsers. Raises Refused and changes nothing."""
        table, behaviour = self.table(path), self.behaviour(path)
        fields = self.parsed(table, given)
        missing = [name for name, field in table.settable.items() if field.required and name not in fields]
        if missing:
            raise Refused(f"missing value(s) of argument(s) {' '.join(missing)}", 1)
        complete = _with_defaults(table.fields, fields) | forced
        position = None if before is None else table.find(before)
        if position is not None and position.dynamic:
            raise Refused("failure: can not place before a dynamic entry", 4)
        behaviour.adding(self, complete)
        row = table.insert(_without_absent(table.fields, complete), position)
        behaviour.added(self, row)
        return row

    def set(self, path: str, rows: list[Row], given: Mapping[str, str]) -> None:
        """Change some fields of rows, all or none. Raises Refused."""
        table, behaviour = self.table(path), self.behaviour(path)
        fields = self.parsed(table, given)
        wanted = []
        for row in rows:
            behaviour.changeable(self, row)
            complete = {**row.fields, **fields}
            behaviour.setting(self, row, complete)
            wanted.append(complete)
        for row, complete in zip(rows, wanted, strict=True):
            old = row.fields
            row.fields = _without_absent(table.fields, complete)
            behaviour.was_set(self, row, old)
            table.tell(row)

    def unset(self, path: str, rows: list[Row], name: str) -> None:
        """Remove one field (firewall and routes, sheet 3.2). Raises Refused."""
        table = self.table(path)
        field = table.settable.get(name)
        if field is None or field.required:
            raise no_match("value-name")
        for row in rows:
            self.behaviour(path).changeable(self, row)
            old = row.fields
            kept = {**old, name: field.default} if field.default is not None else {one: old[one] for one in old if one != name}
            row.fields = kept  # a new dictionary: the ether may be reading the old one
            self.behaviour(path).was_set(self, row, old)
            table.tell(row)

    def remove(self, path: str, rows: list[Row]) -> None:
        """Take rows away, all or none. Raises Refused."""
        table, behaviour = self.table(path), self.behaviour(path)
        for row in rows:
            behaviour.changeable(self, row)
            behaviour.removing(self, row)
        for row in rows:
            table.delete(row)
            behaviour.removed(self, row)

    # --- showing -------------------------------------------------------------------------------------------------------

    def shown(self, path: str, table: Table, row: Row) -> dict[str, str]:
        """What print shows of a row, secrets in the clear."""
        words = {".id": row.id, **row.fields}
        for name in table.hidden:
            words.pop(name, None)
        for name, value in self.behaviour(path).live(self, row).items():
            if value is None:
                words.pop(name, None)
            elif name in table.fields:
                words[name] = value
        if table.menu.single:
            del words[".id"]
        return words

    def snapshot(self) -> dict[str, Any]:
        """Every menu's stored configuration in order, without ids, live facts and what the router made itself."""
        return {
            path: [
                {name: value for name, value in row.fields.items() if not table.fields[name].readonly or name == "public-key"}
                for row in table.rows
                if not row.dynamic
            ]
            for path, table in self._tables.items()
            if path not in ("/log", "/user/active", "/safe-mode", "/system/resource", "/system/clock")
        }


def refuse_dynamic(row: Row) -> None:
    """Dynamic and built-in rows cannot be changed."""
    if row.dynamic:
        raise Refused("failure: can not change dynamic entry", 4)


def _with_defaults(known: Mapping[str, Field], fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, field in known.items() if (value := fields.get(name, field.default)) is not None}


def _without_absent(known: Mapping[str, Field], fields: dict[str, str]) -> dict[str, str]:
    # Printed order is the menu's own, whatever order arguments came in.
    return {name: fields[name] for name, field in known.items() if name in fields and fields[name] not in field.absent}
