"""System menus of the simulated router: resource, clock, scheduler, safe mode, log, reboot (sheet section 5)."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .device import Behaviour, Device
from .durations import letters, seconds
from .tables import Row
from .users import POLICIES, granted
from .values import Refused, no_match

if TYPE_CHECKING:
    from .router import Router

HISTORY: Final = 100
"""Actions that safe mode can undo; beyond them it ends and nothing is undone (sheet 5.1)."""

SILENT_LOSS: Final = 540.0
"""Seconds until a silently cut owner is noticed (sheet 5.1)."""


def check_policies(policy: str, policies: frozenset[str]) -> None:
    """Raises Refused for unknown policies, and for those that who writes does not have."""
    wanted = granted(policy)
    if not wanted <= set(POLICIES):
        raise no_match("policy")
    if not wanted <= policies:
        raise Refused("not enough permissions (9)")


class Clocked(Behaviour):
    """`/system/clock`: wall time, moved by the virtual clock."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """ISO dates from 7.10 on; before, `sep/25/2026`."""
        now = time.gmtime(self._router.wall_time())
        date = time.strftime("%Y-%m-%d" if device.version >= (7, 10) else "%b/%d/%Y", now).lower()
        return {"time": time.strftime("%H:%M:%S", now), "date": date}


class Resource(Behaviour):
    """`/system/resource`."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """Uptime in letters."""
        return {"uptime": letters(device.clock.now() - self._router.booted_at)}


@dataclass(slots=True)
class Firing:
    """One run of a scheduler entry: when, its name, script, policies and owner.

    `outcome`: "ok", the error that ended it, "running" while it waits in `:delay`.
    """

    at: float
    name: str
    on_event: str
    policy: str
    owner: str = "admin"
    outcome: str = "running"


class Scheduler(Behaviour):
    """`/system/scheduler`: the first run is one interval after adding (sheet 5.3).

    With a start in the future it is at that time; an interval of 0 runs once. `start-time=startup` with interval 0 runs once
    after every boot; with an interval it is counted from the boot and the boot itself runs nothing (manual, "Scheduler").
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._next: dict[int, float] = {}

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Refused in device mode `home`, for a taken name, for policies that the user does not have."""
        table = device.table("/system/scheduler")
        if device.table("/system/device-mode").rows[0].get("scheduler") != "true":
            raise Refused("failure: not allowed by device-mode", 4)
        taken = {row.get("name") for row in table.rows}
        fields.setdefault("name", next(f"schedule{n}" for n in range(1, 10_000) if f"schedule{n}" not in taken))
        if fields["name"] in taken:
            raise Refused("failure: item with this name already exists", 4)
        user, policies = self._router.acting
        fields["owner"] = user
        fields.setdefault("policy", ",".join(one for one in POLICIES if one in policies))
        check_policies(fields["policy"], policies)
        now = time.gmtime(self._router.wall_time())
        fields.setdefault("start-date", time.strftime("%Y-%m-%d", now))
        fields.setdefault("start-time", time.strftime("%H:%M:%S", now))

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        check_policies(fields["policy"], self._router.acting[1])

    def added(self, device: Device, row: Row) -> None:
        """Armed from now."""
        self._arm(device, row)

    def was_set(self, device: Device, row: Row, old: Mapping[str, str]) -> None:
        """A new interval, or enabling, counts from now."""
        if any(old.get(name) != row.get(name) for name in ("interval", "disabled", "start-time", "start-date")):
            self._arm(device, row)

    def _arm(self, device: Device, row: Row, *, boot: bool = False) -> None:
        self._next.pop(row.number, None)
        due = None if row.disabled else self._first(device, row, boot=boot)
        if due is not None:
            self._next[row.number] = due

    def _first(self, device: Device, row: Row, *, boot: bool) -> float | None:
        interval, now = seconds(row.get("interval")) or 0, device.clock.now()
        if row.get("start-time") == "startup":
            ready = now + (self._router.boot_delay if boot else 0)
            return ready + interval if interval else ready if boot else None
        start = _start(row)
        ago = 0.0 if start is None else self._router.wall_time() - start
        if ago < 0:
            return now - ago
        if not interval:
            return None
        # Start times are whole seconds: one that just passed is now.
        return now + interval if ago < 1 else now + interval - ago % interval

    def removed(self, device: Device, row: Row) -> None:
        """Disarmed."""
        self._next.pop(row.number, None)

    def live(self, device: Device, row: Row) -> Mapping[str, str | None]:
        """When it runs next."""
        due = self._next.get(row.number)
        if due is None:
            return {"next-run": None}
        wall = time.gmtime(self._router.wall_time() + due - device.clock.now())
        return {"next-run": time.strftime("%Y-%m-%d %H:%M:%S", wall)}

    def restart(self, device: Device) -> None:
        """A reboot resets counts, not jobs."""
        self._next.clear()
        for row in device.table("/system/scheduler").rows:
            row.fields["run-count"] = "0"
            self._arm(device, row, boot=True)

    def rearm(self, device: Device) -> None:
        """Arm what is not: rows that came back."""
        for row in device.table("/system/scheduler").rows:
            if row.number not in self._next:
                self._arm(device, row)

    def next_due(self) -> float | None:
        """When the next entry runs."""
        return min(self._next.values(), default=None)

    def fire(self, device: Device) -> Firing | None:
        """Take the entry that is due first; it is due again one interval later unless its script removes it."""
        number = min(self._next, key=self._next.__getitem__)
        at = self._next.pop(number)
        row = next((one for one in device.table("/system/scheduler").rows if one.number == number), None)
        if row is None:
            return None
        interval = seconds(row.get("interval")) or 0
        if interval:
            self._next[number] = at + interval
        row.fields["run-count"] = str(int(row.get("run-count", "0")) + 1)
        return Firing(at, row.get("name"), row.get("on-event"), row.get("policy"), row.get("owner"))


def _start(row: Row) -> float | None:
    """Unix time of `start-date` and `start-time`, None where they are written in another way."""
    written = f"{row.get('start-date')} {row.get('start-time')}"
    for form in ("%Y-%m-%d %H:%M:%S", "%b/%d/%Y %H:%M:%S"):
        try:
            return float(calendar.timegm(time.strptime(written, form)))
        except ValueError:
            continue
    return None


class Scripts(Behaviour):
    """`/system/script`: named scripts; rights as for the scheduler."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def adding(self, device: Device, fields: dict[str, str]) -> None:
        """Refused for a taken name and for policies that the user does not have."""
        taken = {row.get("name") for row in device.table("/system/script").rows}
        fields.setdefault("name", next(f"script{n}" for n in range(1, 10_000) if f"script{n}" not in taken))
        if fields["name"] in taken:
            raise Refused("failure: item with this name already exists", 4)
        user, policies = self._router.acting
        fields["owner"] = user
        fields.setdefault("policy", ",".join(one for one in POLICIES if one in policies))
        check_policies(fields["policy"], policies)

    def setting(self, device: Device, row: Row, fields: dict[str, str]) -> None:
        """As for a new one."""
        check_policies(fields["policy"], self._router.acting[1])


class SafeMode:
    """Who holds safe mode, and what the router goes back to if the holder's connection ends."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._saved: dict[str, list[tuple[int, dict[str, str]]]] | None = None
        self.owner: object | None = None
        self.user = ""
        self.actions = 0
        self.undo_at: float | None = None

    def take(self, owner: object, user: str) -> None:
        """Hold it. Raises Refused when somebody does already."""
        if self.owner is not None or self.undo_at is not None:
            raise Refused(f"Safe Mode is taken by another user ({self.user}). Action aborted.")
        self.owner, self.user, self.actions = owner, user, 0
        self._saved = {path: table.saved() for path, table in self._device.tables().items()}

    def release(self) -> None:
        """Keep what was changed. Raises Refused when nobody holds it. Any session may (sheet 5.1, as exercised)."""
        if self.owner is None and self.undo_at is None:
            raise Refused("Safe Mode has not been taken. Action aborted.")
        self._clear()

    def unroll(self) -> None:
        """Discard what was changed. Raises Refused when nobody holds it."""
        if self.owner is None:
            raise Refused("Safe Mode has not been taken. Action aborted.")
        self.undo()

    def closed(self, owner: object, delay: float) -> None:
        """A connection ended: if it held safe mode, everything goes back after `delay` seconds."""
        if owner is not None and owner is self.owner:
            self.owner = None
            self.undo_at = self._device.clock.now() + delay

    def acted(self) -> None:
        """One more change by anybody; the 101st ends safe mode and its undo."""
        if self.owner is None:
            return
        self.actions += 1
        if self.actions > HISTORY:
            self._clear()

    def undo(self) -> None:
        """Put every menu back as it was."""
        saved = self._saved
        self._clear()
        for path, rows in (saved or {}).items():
            if path not in ("/log", "/user/active"):
                self._device.table(path).replace(rows)

    def _clear(self) -> None:
        self.owner, self.user, self._saved, self.undo_at, self.actions = None, "", None, None, 0
