"""`/ip/firewall/address-list` and its twin: an address stands in a list once, and one with a timeout goes by itself.

Sheet 1.6: a second entry of the same list and address is refused. An entry with a timeout is dynamic and lives in memory: it
counts down by the router's own clock, is not configuration, and does not survive a restart. The sheet's rule that dynamic
rows cannot be changed (4) is about rows that the router itself made; whether it holds for these is unverified: `fixed`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .device import Behaviour, Device, refuse_dynamic
from .durations import letters, seconds
from .tables import Row
from .values import Refused

if TYPE_CHECKING:
    from .router import Router


RUNNING: Final = "running"
"""What is stored of a timeout that counts down; print shows what is left."""


class AddressLists(Behaviour):
    """`address-list` of one family. `fixed`: entries with a timeout can be neither set nor removed."""

    def __init__(self, router: Router, path: str) -> None:
        self._router, self._path = router, path
        self._ends: dict[int, float] = {}
        self.fixed = False

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """An address is in a list once; a timeout makes the entry dynamic."""
        for row in device.table(self._path).rows:
            if (row.get("list"), row.get("address")) == (fields["list"], fields["address"]):
                raise Refused("failure: already have such entry", 4)
        if "timeout" in fields:
            fields["dynamic"] = "true"

    def added(self, device: Device, row: Row) -> None:
        """It counts down from now on."""
        self._wind(row)

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """A timeout that was set begins anew; another word leaves it alone."""
        self._wind(row)

    def removed(self, device: Device, row: Row) -> None:
        """Nothing is left to run out."""
        self._ends.pop(row.number, None)

    def changeable(self, device: Device, row: Row) -> None:
        """Entries with a timeout were made by somebody, not by the router."""
        if self.fixed or row.number not in self._ends:
            refuse_dynamic(row)

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """What is left of the timeout."""
        end = self._ends.get(row.number)
        return {} if end is None else {"timeout": letters(max(0, math.ceil(end - self._router.clock.now())))}

    def next_due(self) -> float | None:
        """When the next entry runs out."""
        return min(self._ends.values(), default=None)

    def expire(self) -> None:
        """Take away what has run out."""
        table = self._router.device.table(self._path)
        for row in list(table.rows):
            if self._ends.get(row.number, float("inf")) <= self._router.clock.now():
                self._ends.pop(row.number)
                table.delete(row)

    def restart(self) -> None:
        """Before a restart gives new ids: what is in memory is gone."""
        table = self._router.device.table(self._path)
        for row in list(table.rows):
            if row.number in self._ends:
                table.delete(row)
        self._ends.clear()

    def _wind(self, row: Row) -> None:
        left = seconds(row.get("timeout", RUNNING))
        if left is not None:
            self._ends[row.number] = self._router.clock.now() + left
            row.fields = {**row.fields, "timeout": RUNNING, "dynamic": "true"}
