"""at(1), atq and atrm: jobs with the resolution of a minute, which a power cut does not survive here.

On a router the spool is on the overlay; whether it lasts is not known (sheet 5.2 calls it the last resort).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..linux._call import Call, Refused
from .calls import edge

if TYPE_CHECKING:
    from .simulator import EdgeOsSimulator


@dataclass(frozen=True)
class Job:
    """One job: when it runs in the router's time, whose it is, what it does. `line` empty: the router's own business."""

    number: int
    due: float
    user: str
    uid: int
    line: str


class Jobs:
    """The queue of one router."""

    def __init__(self, router: EdgeOsSimulator) -> None:
        self._router = router
        self.queue: dict[int, Job] = {}
        self._made = 0

    def add(self, minutes: int, user: str, uid: int, line: str) -> Job:
        """In so many whole minutes: up to 60 s fewer."""
        now = self._router.wall()
        due = now + max(minutes * 60 - now % 60, 0.0)
        self._made += 1
        job = Job(self._made, due, user, uid, line)
        self.queue[job.number] = job
        if line:
            self._router.timers.at(f"at {job.number}", due - now, lambda: self._run(job))
        return job

    def remove(self, number: int) -> bool:
        """False if there is none."""
        self._router.timers.cancel(f"at {number}")
        return self.queue.pop(number, None) is not None

    def clear(self) -> None:
        """The power is gone."""
        self.queue.clear()

    def _run(self, job: Job) -> None:
        self.queue.pop(job.number, None)
        self._router.run_task(job.line, job.uid)

    def lines(self, user: str) -> list[str]:
        """As atq prints them; root sees everybody's."""
        mine = [job for job in self.queue.values() if user in {"root", job.user}]
        return [f"{job.number}\t{_when(job.due)} a {job.user}" for job in mine]


def _when(unix: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(unix))


def at(call: Call) -> int:
    """`at now + N minutes|hours`, the script on standard input or in a file (-f)."""
    words = [word for word in call.argv if word not in {"-M", "-m"}]
    script = call.read(words[words.index("-f") + 1]) if "-f" in words[:-1] else None
    spec = " ".join(word for index, word in enumerate(words) if word != "-f" and (index == 0 or words[index - 1] != "-f"))
    found = re.fullmatch(r"now ?\+ ?(\d+) ?(minute|min|hour)s?", spec)
    if found is None:
        raise Refused("Garbled time")
    minutes = int(found[1]) * (60 if found[2] == "hour" else 1)
    text = (script if script is not None else call.stdin()).decode("utf-8", "replace")
    me = edge(call)
    job = me.edge.jobs.add(minutes, me.user.name, me.number, text)
    call.err("warning: commands will be executed using /bin/sh")
    call.err(f"job {job.number} at {_when(job.due)}")
    return 0


def atq(call: Call) -> int:
    """Jobs that wait."""
    for line in edge(call).edge.jobs.lines(edge(call).user.name):
        call.out(line)
    return 0


def atrm(call: Call) -> int:
    """Remove jobs by number."""
    for word in call.argv:
        if not word.isdigit() or not edge(call).edge.jobs.remove(int(word)):
            raise Refused(f"Cannot find jobid {word}")
    return 0
