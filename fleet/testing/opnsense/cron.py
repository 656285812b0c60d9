"""Cron jobs and configd's actions: where a box can be given an undo of its own (sheet 5, option 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import checks
from .call import Action, Actions, Call
from .fields import Field
from .records import Explicit
from .store import Config, Record, copied
from .wgmodels import flag

if TYPE_CHECKING:
    from .box import Box

JOBS: Final = "cron"
_IDLE: Final = {
    "firmware auto-update": "Automatic firmware update",
    "firmware changelog cron": "Firmware changelog update",
    "firmware poll": "Firmware update check",
    "system halt": "Halt and power off the system",
    "system ha_reconfigure_backup": "HA update and reconfigure backup",
    "interface routes alarm": "Manual gateway switch",
    "interface reconfigure": "Periodic interface reset",
    "ids reload": "Reload intrusion detection rules",
    "ipsec reload": "Reload IPsec service",
    "dns reload": "Reload system DNS resolver configuration",
}
"""Commands that may be scheduled and do nothing here."""

STALE: Final = 135
"""Seconds without handshake after which `wireguard renew` resolves a name again (sheet 3.1)."""


@dataclass(frozen=True, slots=True)
class ConfigdAction:
    """An action of configd with a description, which cron may run. `run` gets the job's parameters as one text."""

    description: str
    run: Callable[[Box, str], None]


def restore(*sections: str) -> Callable[[Box, str], None]:
    """An undo as an administrator would install it: back to the revision that the parameters name, then applied.

    Only `sections` come back (all of them when none are named), and its own jobs go, whatever the revision holds.
    """

    def run(box: Box, parameters: str) -> None:
        revision = box.store.revision(parameters.strip())
        if revision is None:
            box.log.append(f"restore: no revision {parameters}")
            return
        draft = copied(box.store.current)
        for section in sections or revision.config:
            draft[section] = dict(revision.config[section])
        mine = [key for key, job in draft[JOBS].items() if box.cron.known.get(job["command"], PLAIN).run is run]
        for key in mine:
            del draft[JOBS][key]
        box.store.commit(draft, "root", f"restored {revision.id}")
        box.service.apply()
        box.filter.reload()
        box.routing.apply()
        box.cron.apply()

    return run


def _renew(box: Box, parameters: str) -> None:
    def stale(device: str, key: str) -> bool:
        handshake = box.handshake(device, key)
        return handshake is None or box.clock.now() - handshake.at > STALE

    for instance in box.service.instances():
        box.kernel.renew(instance, stale)
    box.changed()


PLAIN: Final = ConfigdAction("", lambda box, parameters: None)


class Cron:
    """Stored jobs, the crontab that runs, and the actions they may run."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.known: dict[str, ConfigdAction] = {
            **{command: ConfigdAction(text, PLAIN.run) for command, text in _IDLE.items()},
            "system reboot": ConfigdAction("Reboot the system", lambda box, parameters: box.reboot()),
            "wireguard renew": ConfigdAction("Renew DNS for WireGuard on stale connections", _renew),
        }
        self.fired: list[tuple[float, str, str]] = []
        self._crontab: tuple[Record, ...] = ()
        self._minute = int(box.wall_time() // 60)
        times = checks.masked(r"[\d*/,-]+", "Invalid time or time range.")
        fields = (
            Field("origin", default="cron"),
            flag("enabled", "1"),
            *(Field(name, times, "0", required=True) for name in ("minutes", "hours")),
            *(Field(name, times, "*", required=True) for name in ("days", "months", "weekdays")),
            Field("who", checks.masked(r"[a-z_][a-z0-9_-]*", "Please specify a valid user."), "root", required=True),
            Field(
                "command",
                required=True,
                shape="options",
                choices=self._commands,
                unknown=lambda value, release: "Please select a command.",
            ),
            Field("parameters", checks.masked(r"[0-9a-zA-Z:;_/.\-+=@ *,|]*", "Invalid parameters.")),
            Field("description"),
        )
        self._jobs = Explicit(box, JOBS, "job", fields)

    def install(self, command: str, action: ConfigdAction) -> None:
        """Put a file into actions.d and restart configd, as root at bootstrap."""
        self.known[command] = action

    def actions(self) -> Actions:
        """Endpoints."""
        prefix = "cron/settings"
        return {
            **self._jobs.actions(prefix, "job"),
            f"{prefix}/searchjobs": Action(self._jobs.search),
            "cron/service/reconfigure": Action(self._reconfigure),
        }

    def apply(self) -> None:
        """Write the crontab from what is stored."""
        self._minute = max(self._minute, int(self._box.wall_time() // 60))
        self._crontab = tuple(self._box.store.current[JOBS].values())

    def tick(self) -> None:
        """Run jobs of every minute that has begun since the last look. Time spent switched off runs nothing."""
        now = int(self._box.wall_time() // 60)
        while self._minute < now:
            self._minute += 1
            for job in self._crontab:
                if job["enabled"] == "1" and _due(job, self._minute * 60):
                    self._run(job)

    def _run(self, job: Record) -> None:
        self.fired.append((self._minute * 60.0, job["command"], job["parameters"]))
        action = self.known.get(job["command"])
        if action is not None:
            action.run(self._box, job["parameters"])

    def _commands(self, _box: Box, _config: Config) -> Mapping[str, str]:
        known = sorted(self.known.items(), key=lambda one: one[1].description.lower().replace(" ", ""))
        return {name: action.description for name, action in known}

    def _reconfigure(self, call: Call) -> object:
        if not call.posted:
            return {"status": "failed"}
        self.apply()
        return {"status": "ok"}


def _due(job: Record, at: float) -> bool:
    moment = time.gmtime(at)
    weekday = (moment.tm_wday + 1) % 7
    wanted = ("minutes", "hours", "days", "months", "weekdays")
    values = (moment.tm_min, moment.tm_hour, moment.tm_mday, moment.tm_mon, weekday)
    return all(_hit(job[name], value) for name, value in zip(wanted, values, strict=True))


def _hit(pattern: str, value: int) -> bool:
    for entry in pattern.split(","):
        span, _, step = entry.partition("/")
        low, _, high = span.partition("-")
        inside = span == "*" or (low.isdigit() and int(low) <= value <= int(high or low))
        if inside and (not step or value % int(step) == 0):
            return True
    return False


__all__ = ["ConfigdAction", "Cron", "restore"]
