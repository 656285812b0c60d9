"""Scheduled jobs of ours: the one that resolves names again (sheet 3.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import Http, Mark
from .api import post

RENEW: Final = "wireguard renew"
_KIND: Final = re.compile(r" (wg\d{1,9}) resolves names again$")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of ours; `interface` is what it resolves names for."""

    uuid: str
    interface: str
    enabled: bool


def ours(rows: Iterable[Mapping[str, Any]], mark: Mark) -> tuple[Job, ...]:
    """Our jobs among all, by their description: the command is shown as a text up to 25.1."""
    found = []
    for row in rows:
        description = str(row.get("description", ""))
        kind = _KIND.search(description)
        if kind and Mark.find(description) == mark:
            found.append(Job(str(row["uuid"]), kind[1], str(row.get("enabled", "1")) == "1"))
    return tuple(found)


def renews(jobs: Iterable[Job], interface: str) -> bool:
    """True if names of this interface's peers are resolved again."""
    return any(job.interface == interface and job.enabled for job in jobs)


def add(mark: Mark, interface: str) -> Http:
    """Every two minutes: it does nothing for peers whose handshake is younger than 135 s."""
    job = {
        "enabled": "1",
        "minutes": "*/2",
        "hours": "*",
        "days": "*",
        "months": "*",
        "weekdays": "*",
        "command": RENEW,
        "description": f"{mark} {interface} resolves names again",
    }
    return post("/cron/settings/addJob", {"job": job})


def delete(uuid: str) -> Http:
    """Take a job away."""
    return post(f"/cron/settings/delJob/{uuid}")


def load() -> Http:
    """Write the crontab."""
    return post("/cron/service/reconfigure")
