"""The undo: a scheduled job that runs an action which an administrator installed (sheet 5).

Stock OPNsense has no timed undo for WireGuard. Where an action of configd can restore a revision of the configuration, a job
with the id of the newest one as its parameter is the armed undo; confirm takes the job away. cron counts in minutes of local
time, so it fires at the first full minute after the deadline.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import GuardSeen, Http, Mark, Rejected, Reply, RouterPlan, Step
from . import jobs
from .api import post

_GUARD: Final = re.compile(r" guard (\S+) until (\d{9,11})$")

MOST: Final = 80
"""Writes between arming and confirm: the history holds 100 revisions (sheet 0.4), and others write too."""

EVERY_MINUTE: Final = {"minutes": "*", "hours": "*", "days": "*", "months": "*", "weekdays": "*"}


@dataclass(frozen=True, slots=True)
class Disarm(Http):
    """Takes the job away; that it is gone already means that the undo has run."""


@dataclass(frozen=True, slots=True)
class Armed:
    """A job that is an undo: whose plan's, and when its window ends in Unix time."""

    uuid: str
    plan_id: str
    until: float


@dataclass(frozen=True, slots=True)
class Watchdog:
    """What arming needs: the action's command, the newest revision, the router's clock and its hours from UTC."""

    command: str
    revision: str
    now: float
    offset: dt.timedelta

    def moment(self, seconds: int) -> dict[str, str]:
        """The first full minute that is no earlier than so many seconds from now, as a job's fields."""
        due = -int(-(self.now + seconds) // 60) * 60
        local = dt.datetime.fromtimestamp(due, dt.timezone(self.offset))
        fields = {"minutes": local.minute, "hours": local.hour, "days": local.day, "months": local.month}
        return {name: str(value) for name, value in fields.items()} | {"weekdays": "*"}


def watchdog(command: str, history: Iterable[Mapping[str, Any]] | None, now: float | None) -> Watchdog | None:
    """None if no action is named, or if the router does not show its history or its clock."""
    newest = next(iter(history or ()), None)
    if not command or newest is None or now is None:
        return None
    try:
        offset = dt.datetime.fromisoformat(str(newest.get("time_iso", ""))).utcoffset()
    except ValueError:
        offset = None
    return Watchdog(command, str(newest["id"]), now, offset or dt.timedelta())  # `id`, never made from `time` (sheet 5)


def armed(rows: Iterable[Mapping[str, Any]], mark: Mark) -> tuple[Armed, ...]:
    """Undos of ours among all jobs."""
    found = []
    for row in rows:
        description = str(row.get("description", ""))
        kind = _GUARD.search(description)
        if kind and Mark.find(description) == mark:
            found.append(Armed(str(row["uuid"]), kind[1], float(kind[2])))
    return tuple(found)


def seen(found: Iterable[Armed], now: float | None) -> GuardSeen | None:
    """What the core is told of the first one."""
    for one in found:
        return GuardSeen(one.plan_id, None if now is None or one.until <= now else one.until - now)
    return None


def arm(plan: RouterPlan, mark: Mark, dog: Watchdog) -> Step:
    """The step that arms."""
    until = int(dog.now + plan.confirm_within)
    job = {
        "enabled": "1",
        **dog.moment(plan.confirm_within),
        "command": dog.command,
        "parameters": dog.revision,
        "description": f"{mark} guard {plan.plan_id} until {until}",
    }
    requests = (post("/cron/settings/addJob", {"job": job}), jobs.load())
    said = f"arm the undo: `{dog.command}` restores {dog.revision} within a minute after {plan.confirm_within} s"
    return Step(said, requests)


def disarm(found: Iterable[Armed], plan_id: str) -> tuple[Http, ...]:
    """Requests that confirm."""
    own = [one for one in found if one.plan_id == plan_id]
    return (*(Disarm("POST", f"/cron/settings/delJob/{one.uuid}", body={}) for one in own), jobs.load()) if own else ()


def trip(found: Iterable[Armed], plan_id: str) -> tuple[Http, ...]:
    """Due at the next full minute, whichever that is: a job for one that has just passed would wait a year."""
    own = [one for one in found if one.plan_id == plan_id]
    due = tuple(post(f"/cron/settings/setJob/{one.uuid}", {"job": EVERY_MINUTE}) for one in own)
    return (*due, jobs.load()) if own else ()


def judge(reply: Reply) -> None:
    """Raises Rejected if there was nothing to take away."""
    if not isinstance(reply.data, Mapping) or reply.data.get("result") != "deleted":
        raise Rejected("the job that would undo the change is gone: it has run", "`fleet plan` shows what is there now")
