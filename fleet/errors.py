"""Every error that fleet raises on purpose.

```
FleetError(summary, hint)             two lines for a person: what was seen, then the next action
├─ UsageError                         exit 3: the command line, the environment or a secret reference is wrong
├─ InventoryError(problems)           exit 3: every problem with file and line, never only the first
├─ PluginError(plugin)                exit 3
├─ PlanRefused                        exit 4: safe to run, refused on purpose
│  ├─ Unsupported                     a limit of the vendor or of this router forbids a change
│  └─ LockHeld                        somebody else is writing
└─ RouterError(router)                exit 1: one router; never stops the others
   ├─ Unreachable                     no TCP connection or no banner: pending, not failed
   ├─ LoginFailed                     wrong user, password, key
   ├─ IdentityChanged                 host key, certificate or WireGuard key differs from the pin
   ├─ ConnectionLost(sent)            the link broke; `sent` says whether the request may have arrived
   ├─ Rejected(request, reply)        the router said no
   ├─ Unparseable(excerpt)            the router said something the driver does not know
   ├─ NotConverged(left)              everything accepted, the router still differs
   ├─ NotSettled                      pending: stored, and not live yet within the time it gets
   ├─ HeldBack                        pending: not begun, because a router before it did not come through
   └─ RolledBack                      exit 5: the change did not prove itself and was undone
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class FleetError(Exception):
    """What was seen (`summary`) and what to do about it (`hint`), each one line without a full traceback."""

    exit_code = 1

    def __init__(self, summary: str, hint: str = "") -> None:
        super().__init__(summary, hint)
        self.summary = summary
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.summary}\n  {self.hint}" if self.hint else self.summary


def hints(*parts: str) -> str:
    """Hints of several origins as one, line by line. Of lines that name the same command of fleet only the last one stays:
    what is known last is where to go on from.
    """
    lines = [line.strip() for part in parts for line in part.splitlines() if line.strip()]
    named = [re.findall(r"\bfleet (?:init|check|plan|sync|status|show|render|trust|history|drivers)\b", line) for line in lines]
    last = {command: number for number, commands in enumerate(named) for command in commands}
    kept = [line for number, line in enumerate(lines) if not named[number] or number in (last[it] for it in named[number])]
    return "\n  ".join(kept)


class UsageError(FleetError):
    """The command line, the environment or a secret reference is wrong."""

    exit_code = 3


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with an inventory: where, what, and the cure. `line` is 1-based, 0 when no line applies."""

    file: str
    line: int
    summary: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.summary}" + (f"\n  {self.cure}" if self.cure else "")


class InventoryError(FleetError):
    """An inventory that cannot be used, with all of its problems at once."""

    exit_code = 3

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def at(cls, file: str | Path, line: int, summary: str, cure: str = "") -> InventoryError:
        """The error that has one problem only."""
        return cls([Problem(str(file), line, summary, cure)])


class PluginError(FleetError):
    """A plugin is missing, broken or written for another contract."""

    exit_code = 3


class PlanRefused(FleetError):
    """Refused for safety: nothing was written."""

    exit_code = 4


class Unsupported(PlanRefused):
    """A declared limit of the vendor, or of this one router, forbids a change."""


class LockHeld(PlanRefused):
    """Another writer holds this fleet."""


class RouterError(FleetError):
    """One router failed; the others go on. `router` is its name, filled in by the Link when the raiser does not know it."""

    outcome = "failed"

    def __init__(self, summary: str, hint: str = "", *, router: str = "") -> None:
        super().__init__(summary, hint)
        self.router = router


class Unreachable(RouterError):
    """No TCP connection, or no banner, on any host of the router: pending, tried again by the next run."""

    outcome = "pending"


class LoginFailed(RouterError):
    """The router answered and refused the login."""


class IdentityChanged(RouterError):
    """Host key, certificate or WireGuard key is not the one that was pinned."""


class ConnectionLost(RouterError):
    """The connection broke after login. `sent` is False only if the request certainly never left."""

    def __init__(self, summary: str, hint: str = "", *, sent: bool, router: str = "") -> None:
        super().__init__(summary, hint, router=router)
        self.sent = sent


class Rejected(RouterError):
    """The router understood and said no. `evidence` is its own words, free of secrets."""

    def __init__(self, summary: str, hint: str = "", *, evidence: str = "", router: str = "") -> None:
        super().__init__(summary, hint, router=router)
        self.evidence = evidence


class Unparseable(RouterError):
    """The router said something this driver does not know: a driver bug or a new firmware. `excerpt` is free of secrets."""

    def __init__(self, summary: str, excerpt: str = "", *, router: str = "") -> None:
        hint = f"seen: {excerpt!r}; report it with the router's model and firmware" if excerpt else ""
        super().__init__(summary, hint, router=router)
        self.excerpt = excerpt


class NotConverged(RouterError):
    """Every request was accepted and the router still differs from the intent."""


class NotSettled(RouterError):
    """What the router, or its controller, stored is not live yet: pending, looked at again by the next run."""

    outcome = "pending"


class RolledBack(RouterError):
    """The change did not prove itself within its window, and the router is, or will be by itself, as it was."""

    outcome = "rolled back"


class HeldBack(RouterError):
    """Not begun: a canary or an earlier wave did not come through the same change."""

    outcome = "pending"
